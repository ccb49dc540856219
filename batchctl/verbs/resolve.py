"""`resolve JOB`: the unconfirmed batches of a job, the evidence about each, and a person's decision. It sends nothing itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from batchctl.domain.api_failures import AfterRead, after_read
from batchctl.domain.attaching import ids_problem
from batchctl.domain.errors import ApiFailure, Refused, ServiceProblem, UsageProblem
from batchctl.domain.events import BatchReconciled
from batchctl.domain.model import Batch, Job, MessageBatch, ProcessingStatus, State
from batchctl.engine.accounts import is_other_key
from batchctl.engine.copy_check import check_copies
from batchctl.engine.duplicates import notice_duplicates
from batchctl.engine.poll import ask_once, emit_unread_fields
from batchctl.engine.reconciler import Reconciler, is_in_grace, listing_for, refuse_other_account, shares_of
from batchctl.engine.resend_rules import candidates_of
from batchctl.engine.session import Session
from batchctl.engine.unconfirmed import (
    Candidate,
    UnconfirmedBatch,
    adopting_problem,
    possible_batches,
    resending_problem,
    resending_risks,
)
from batchctl.results.result_lines import IncompleteResults
from batchctl.verbs.confirmation import Confirm, Question
from batchctl.verbs.find_job import find_job
from batchctl.verbs.headers import use_api_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person decided: to adopt a batch, to send again, to cancel a duplicate batch, or nothing yet.

    `number` names one batch by its place in its round; None stands for all that the decision fits.
    """

    adopt: str = ""
    resend: bool = False
    cancel: str = ""
    number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnconfirmedBatches:
    """What a person may decide about a job.

    `duplicates` holds the duplicate batches of the API, which have requests a second time, and `suspects` those that may.
    """

    job: Job
    unconfirmed_batches: tuple[UnconfirmedBatch, ...]
    duplicates: tuple[str, ...]
    suspects: tuple[MessageBatch, ...]


def resolve(session: Session, word: str | None, decision: Decision, confirm: Confirm) -> UnconfirmedBatches:
    """Carry out a decision about the job that a word means, and return what is left to decide.

    Raises:
        UsageProblem: More than one decision, or one that fits no batch.
        Refused: The decision contradicts what is known, or nobody says yes to the risk of paying twice.
        ServiceProblem: The API cannot be asked.
    """
    if bool(decision.adopt) + decision.resend + bool(decision.cancel) > 1:
        raise UsageProblem("--adopt, --resend and --cancel exclude each other")
    job = use_api_version(session, find_job(session.ledger, word))
    left = unconfirmed_batches_of(session, job)
    if decision.adopt:
        adopt(session, left, decision.adopt, decision.number)
    elif decision.resend:
        resend(session, left, decision.number, confirm)
    elif decision.cancel:
        cancel_duplicate(session, left, decision.cancel)
    else:
        return left
    return unconfirmed_batches_of(session, job)


def unconfirmed_batches_of(session: Session, job: Job) -> UnconfirmedBatches:
    """Reconcile once more, and return what is left. Raises ServiceProblem where the API cannot be asked."""
    with ask_once():
        session.server.meet()
        check_copies(session, job)
        submitting = _submitting(session, job)
        # Where one was sent with another key, nobody but a person can say whether this one sees it.
        if submitting and not any(_is_other_key(session, b) for b in submitting):
            Reconciler(session).reconcile(job, submitting)
        _seek_lost(session, job)
        suspects = notice_duplicates(session, job)
        unconfirmed = _with_candidates(session, job, _submitting(session, job))
    now = session.now()
    lost = [b for b in session.ledger.batches(job) if b.is_lost(now)]
    unconfirmed += [_unconfirmed(session, b, is_lost=True) for b in lost]
    unconfirmed += [_held(session, b) for b in session.ledger.batches(job) if b.held and b not in lost]
    now_known = session.ledger.job(job.name)
    return UnconfirmedBatches(
        job=now_known,
        unconfirmed_batches=tuple(unconfirmed),
        duplicates=now_known.duplicate_batches,
        suspects=tuple(suspects),
    )


def _held(session: Session, batch: Batch) -> UnconfirmedBatch:
    assert batch.message_batch_id is not None, "what was downloaded has a name"
    seen = MessageBatch(
        id=batch.message_batch_id,
        processing_status=ProcessingStatus.ENDED,
        counts=batch.counts,
        created_at=batch.created_at,
    )
    return _unconfirmed(session, batch, [Candidate(seen=seen, share=1.0)])


def _seek_lost(session: Session, job: Job) -> None:
    """Ask again for the batches that answered 404: what the API knows by now needs no decision."""
    lost = [b for b in session.ledger.batches(job) if b.is_lost(session.now())]
    for batch in lost:
        try:
            seen = _seen_whole(session, batch)
        except ApiFailure as failure:
            if after_read(failure) is not AfterRead.GONE:
                raise
            session.ledger.record_missing(batch, session.now())
        else:
            session.ledger.record_polled([(batch, seen)], session.now())


def _seen_whole(session: Session, batch: Batch) -> MessageBatch:
    """Return the batch, once its results can be had, too, where it has ended. Raises ApiFailure."""
    assert batch.message_batch_id is not None, "what was lost had a name"
    seen = session.message_batches.retrieve(batch.message_batch_id).batch
    if batch.state is State.ENDED:
        with session.message_batches.results(batch.message_batch_id):
            pass
    return seen


def _submitting(session: Session, job: Job) -> list[Batch]:
    """Return the batches of which nobody knows whether they exist. Raises Refused while another process sends one of them."""
    session.ledger.release_dead(session.clock.monotonic())
    sending = [b for b in session.ledger.batches(job) if b.state is State.SUBMITTING]
    if any(b.claim is not None for b in sending):
        raise Refused(
            f"another process is sending {job.name}", hint="run the same command again when the other process is done"
        )
    return sending


def _with_candidates(session: Session, job: Job, unconfirmed_batches: Sequence[Batch]) -> list[UnconfirmedBatch]:
    if not unconfirmed_batches:
        return []
    listing = listing_for(session, job, unconfirmed_batches, with_any_key=True)
    return [
        replace(
            _unconfirmed(
                session,
                unconfirmed_batch,
                [_candidate(session, seen, unconfirmed_batch) for seen in candidates_of([unconfirmed_batch], listing)],
            ),
            is_list_whole=listing.is_whole,
            is_other_key=_is_other_key(session, unconfirmed_batch),
        )
        for unconfirmed_batch in unconfirmed_batches
    ]


def _is_other_key(session: Session, batch: Batch) -> bool:
    return is_other_key(batch.api, session.server.account)


def _unconfirmed(
    session: Session, batch: Batch, candidates: Sequence[Candidate] = (), *, is_lost: bool = False
) -> UnconfirmedBatch:
    _, number, total = session.place(batch)
    is_early = not is_lost and not batch.held and is_in_grace([batch])
    return UnconfirmedBatch(
        batch=batch, number=number, total=total, is_lost=is_lost, is_early=is_early, candidates=tuple(candidates)
    )


def _candidate(session: Session, seen: MessageBatch, unconfirmed_batch: Batch) -> Candidate:
    if seen.processing_status is not ProcessingStatus.ENDED:
        return Candidate(seen=seen, share=None)
    try:
        ((_, share),) = shares_of(session, seen, [unconfirmed_batch])
    except IncompleteResults:
        return Candidate(seen=seen, share=None)
    except ApiFailure as failure:
        if after_read(failure) is not AfterRead.GONE:
            raise
        return Candidate(seen=seen, share=None)
    return Candidate(seen=seen, share=share)


def _meant(left: UnconfirmedBatches, number: int | None) -> list[UnconfirmedBatch]:
    """Return the batches that a person means: all, or the one at a place of its round."""
    if not left.unconfirmed_batches:
        raise Refused(f"{left.job.name}: nothing is unconfirmed", hint=f"batchctl status {left.job.name}")
    numbered = [d for d in left.unconfirmed_batches if number is None or d.number == number]
    if not numbered:
        numbers = ", ".join(str(d.number) for d in left.unconfirmed_batches)
        raise UsageProblem(f"--batch {number}: the unconfirmed batches are {numbers}")
    return numbered


def adopt(session: Session, left: UnconfirmedBatches, message_batch_id: str, number: int | None) -> None:
    """Bind a batch of the API to the one unconfirmed batch it can be. Raises UsageProblem and Refused where it is not one."""
    seen = _retrieved(session, message_batch_id)
    mine = []
    for unconfirmed_batch in _meant(left, number):
        with ask_once():
            candidate = _candidate(session, seen, unconfirmed_batch.batch)
        problem = adopting_problem(unconfirmed_batch, candidate)
        if problem and number is not None:
            raise Refused(f"{seen.id} {problem}")
        mine += [(d, candidate) for d in possible_batches([unconfirmed_batch], candidate)]
    if not mine:
        raise Refused(f"{seen.id} is not one of the unconfirmed batches: its size or custom_ids differ")
    if len(mine) > 1:
        numbers = " or ".join(str(d.number) for d, _ in mine)
        raise UsageProblem(f"{seen.id} may be batch {numbers}", hint=f"choose one: --adopt {seen.id} --batch N")
    ((unconfirmed_batch, candidate),) = mine
    if unconfirmed_batch.batch.held:
        _vouch(session, unconfirmed_batch, seen)
        return
    _make_free(session, unconfirmed_batch.batch, seen.id)
    if not session.ledger.record_adopted(
        unconfirmed_batch.batch, seen, session.owner, session.now(), identified=candidate.share == 1
    ):
        raise Refused(
            f"{seen.id} was taken by another process in the meantime", hint=f"batchctl status {left.job.name}"
        )
    session.emit(
        BatchReconciled(
            unconfirmed_batch.batch,
            unconfirmed_batch.number,
            unconfirmed_batch.total,
            seen.id,
            identified=candidate.share == 1,
        )
    )


def _vouch(session: Session, unconfirmed_batch: UnconfirmedBatch, seen: MessageBatch) -> None:
    """Record a person's statement that results are ours which could not be compared with anything."""
    if seen.id != unconfirmed_batch.batch.message_batch_id or not session.ledger.record_vouched(
        unconfirmed_batch.batch, "size, ids and your decision"
    ):
        raise Refused(
            f"batch {unconfirmed_batch.number} is {unconfirmed_batch.batch.message_batch_id}, or nothing",
            hint="to send it again, use --resend",
        )
    session.emit(
        BatchReconciled(
            unconfirmed_batch.batch, unconfirmed_batch.number, unconfirmed_batch.total, seen.id, identified=True
        )
    )


def _make_free(session: Session, unconfirmed_batch: Batch, message_batch_id: str) -> None:
    """Take a batch back from where it is a provisional match. Raises Refused where it is surely another batch."""
    job_names = session.ledger.jobs_of_message_batches({message_batch_id})
    if not job_names:
        return
    matched = next((g for g in session.ledger.provisional_matches() if g.message_batch_id == message_batch_id), None)
    if matched is None or matched.id == unconfirmed_batch.id:
        raise Refused(f"{message_batch_id} is another batch, of {job_names[message_batch_id]}")
    session.ledger.record_wrong_adoption(matched, session.owner, session.now())


def _retrieved(session: Session, message_batch_id: str) -> MessageBatch:
    if problem := ids_problem([message_batch_id]):
        raise UsageProblem(problem)
    try:
        seen = session.message_batches.retrieve(message_batch_id).batch
    except ApiFailure as failure:
        if after_read(failure) is AfterRead.GONE:
            raise UsageProblem(f"the API has no batch {message_batch_id!r}, or this key cannot see it") from failure
        with ask_once():
            raise
    emit_unread_fields(session, seen)
    return seen


def resend(session: Session, left: UnconfirmedBatches, number: int | None, confirm: Confirm) -> None:
    """Plan the batches again, after a yes where that could pay twice. Raises Refused where it surely would."""
    wanted = _meant(left, number)
    if not left.job.has_requests:
        raise Refused(
            f"{left.job.name} was attached without its input: its requests are not known",
            hint=f"add the input: batchctl attach {left.job.name} --input FILE",
        )
    refuse_other_account(session, [d.batch for d in wanted if not d.is_other_key])
    for unconfirmed_batch in wanted:
        if problem := resending_problem(unconfirmed_batch):
            raise Refused(problem, hint=f"batchctl resolve {left.job.name} --adopt ID")
    risks = resending_risks(wanted)
    if risks:
        confirm(Question(text=f"{'; '.join(risks)}. Send again and risk paying twice?"))
    for unconfirmed_batch in wanted:
        note = "sent again by a person's decision"
        if not session.ledger.record_presumed_not_created(
            unconfirmed_batch.batch, session.owner, session.now(), note=note
        ):
            raise Refused(
                f"batch {unconfirmed_batch.number} of {left.job.name} changed in the meantime; it is not sent again",
                hint=f"review the rest: batchctl resolve {left.job.name}",
            )
        session.emit(
            BatchReconciled(
                unconfirmed_batch.batch, unconfirmed_batch.number, unconfirmed_batch.total, "", identified=False
            )
        )


def cancel_duplicate(session: Session, left: UnconfirmedBatches, message_batch_id: str) -> None:
    """Cancel a batch that holds requests twice, or of a canceled job one that was found by its size and time alone.

    What was answered by then is paid for. Raises Refused for any other batch.
    """
    provisional_matches = {
        g.message_batch_id
        for g in session.ledger.provisional_matches()
        if left.job.canceled_at and g.job_id == left.job.id
    }
    if message_batch_id not in {*left.duplicates, *(s.id for s in left.suspects), *provisional_matches}:
        raise Refused(f"{message_batch_id} is not a known duplicate of {left.job.name}; it is not canceled")
    seen = _retrieved(session, message_batch_id)
    if seen.processing_status is ProcessingStatus.IN_PROGRESS:
        try:
            session.message_batches.cancel(message_batch_id)
        except ApiFailure as failure:
            raise ServiceProblem(f"{message_batch_id} could not be canceled: {failure}", hint="try again") from failure
    if message_batch_id in provisional_matches:
        return
    session.ledger.record_foreign_batch(left.job.id, message_batch_id, session.now())
    counts = seen.counts
    is_free = seen.processing_status is ProcessingStatus.ENDED and counts is not None and not counts.succeeded
    session.ledger.record_duplicate_ended(left.job.id, message_batch_id, session.now(), is_free=is_free)
