"""`resolve JOB`: what is in doubt, what speaks for each side, and a person's decision. It sends nothing itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from batchctl.domain.answers import AfterRead, after_read
from batchctl.domain.attaching import ids_problem
from batchctl.domain.errors import ApiFailure, Refused, ServiceProblem, UsageProblem
from batchctl.domain.events import DoubtSettled
from batchctl.domain.model import Batch, Job, MessageBatch, ProcessingStatus, State
from batchctl.engine.accounts import is_other_key
from batchctl.engine.duplicates import notice_surplus
from batchctl.engine.poll import reachable, tell_unread
from batchctl.engine.reconcile import candidates_of
from batchctl.engine.reconciler import Settler, is_in_grace, listing_for, refuse_other_account, shares_of
from batchctl.engine.session import Equipment
from batchctl.engine.unconfirmed import (
    Candidate,
    OpenDoubt,
    adopting_problem,
    meant,
    resending_problem,
    resending_risks,
)
from batchctl.results.lines import NotWhole


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """What is open. `surplus`: batches of the API that hold requests twice; `suspects`: those that may."""

    job: Job
    doubts: tuple[OpenDoubt, ...]
    surplus: tuple[str, ...]
    suspects: tuple[MessageBatch, ...]


def doubts_of(tools: Equipment, job: Job) -> Doubts:
    """After one more look, which settles what it can. Raises ServiceProblem where the API cannot be asked."""
    with reachable():
        tools.server.meet()
        tools.place_guard.is_passed(tools, job)
        found = _in_doubt(tools, job)
        # Where one was sent with another key, nobody but a person can say whether this one sees it.
        if found and not any(_is_other_key(tools, b) for b in found):
            Settler(tools).settle(job, found)
        _seek_lost(tools, job)
        suspects = notice_surplus(tools, job)
        still = _in_doubt(tools, job)
        opened = _opened(tools, job, still)
    now = tools.now()
    lost = [b for b in tools.ledger.batches(job) if b.is_lost(now)]
    opened += [_open_doubt(tools, b, is_lost=True) for b in lost]
    opened += [_held(tools, b) for b in tools.ledger.batches(job) if b.held and b not in lost]
    fresh = tools.ledger.job(job.name)
    return Doubts(job=fresh, doubts=tuple(opened), surplus=fresh.surplus, suspects=tuple(suspects))


def _held(tools: Equipment, batch: Batch) -> OpenDoubt:
    assert batch.message_batch_id is not None, "what was downloaded has a name"
    seen = MessageBatch(
        id=batch.message_batch_id,
        processing_status=ProcessingStatus.ENDED,
        counts=batch.counts,
        created_at=batch.created_at,
    )
    return _open_doubt(tools, batch, [Candidate(seen=seen, share=1.0)])


def _seek_lost(tools: Equipment, job: Job) -> None:
    """Whoever noted the 404 may have had another key, or a bad hour: what is there again needs no decision."""
    lost = [b for b in tools.ledger.batches(job) if b.is_lost(tools.now())]
    for batch in lost:
        try:
            seen = _seen_whole(tools, batch)
        except ApiFailure as failure:
            if after_read(failure) is not AfterRead.GONE:
                raise
            tools.ledger.record_missing(batch, tools.now())
        else:
            tools.ledger.record_seen([(batch, seen)], tools.now())


def _seen_whole(tools: Equipment, batch: Batch) -> MessageBatch:
    """The batch, and for one that has ended its results, too. Raises ApiFailure."""
    assert batch.message_batch_id is not None, "what was lost had a name"
    seen = tools.transport.retrieve(batch.message_batch_id).batch
    if batch.state is State.ENDED:
        with tools.transport.results(batch.message_batch_id):
            pass
    return seen


def _in_doubt(tools: Equipment, job: Job) -> list[Batch]:
    """Raises Refused while another process is sending one of them."""
    tools.ledger.release_dead(tools.clock.monotonic())
    sending = [b for b in tools.ledger.batches(job) if b.state is State.SUBMITTING]
    if any(b.claim is not None for b in sending):
        raise Refused(f"another process is sending {job.name}", hint="run the same command again when it is done")
    return sending


def _opened(tools: Equipment, job: Job, doubts: Sequence[Batch]) -> list[OpenDoubt]:
    if not doubts:
        return []
    listing = listing_for(tools, job, doubts, with_any_key=True)
    return [
        replace(
            _open_doubt(tools, doubt, [_candidate(tools, seen, doubt) for seen in candidates_of([doubt], listing)]),
            is_list_whole=listing.is_whole,
            is_other_key=_is_other_key(tools, doubt),
        )
        for doubt in doubts
    ]


def _is_other_key(tools: Equipment, batch: Batch) -> bool:
    return is_other_key(batch.api, tools.server.account)


def _open_doubt(
    tools: Equipment, batch: Batch, candidates: Sequence[Candidate] = (), *, is_lost: bool = False
) -> OpenDoubt:
    _, number, total = tools.place(batch)
    is_early = not is_lost and not batch.held and is_in_grace([batch])
    return OpenDoubt(
        batch=batch, number=number, total=total, is_lost=is_lost, is_early=is_early, candidates=tuple(candidates)
    )


def _candidate(tools: Equipment, seen: MessageBatch, doubt: Batch) -> Candidate:
    if seen.processing_status is not ProcessingStatus.ENDED:
        return Candidate(seen=seen, share=None)
    try:
        ((_, share),) = shares_of(tools, seen, [doubt])
    except NotWhole:
        return Candidate(seen=seen, share=None)
    except ApiFailure as failure:
        if after_read(failure) is not AfterRead.GONE:
            raise
        return Candidate(seen=seen, share=None)
    return Candidate(seen=seen, share=share)


def chosen(found: Doubts, number: int | None) -> list[OpenDoubt]:
    """The doubts that a person means: all, or the one at a place of its round. Raises UsageProblem, Refused."""
    if not found.doubts:
        raise Refused(f"{found.job.name}: nothing is unconfirmed", hint=f"batchctl status {found.job.name}")
    numbered = [d for d in found.doubts if number is None or d.number == number]
    if not numbered:
        numbers = ", ".join(str(d.number) for d in found.doubts)
        raise UsageProblem(f"--batch {number}: unconfirmed are {numbers}")
    return numbered


def adopt(tools: Equipment, found: Doubts, message_batch_id: str, number: int | None) -> None:
    """Binds a batch of the API to the doubt it can be. Raises UsageProblem and Refused where that is not one."""
    seen = _retrieved(tools, message_batch_id)
    mine = []
    for doubt in chosen(found, number):
        with reachable():
            candidate = _candidate(tools, seen, doubt.batch)
        problem = adopting_problem(doubt, candidate)
        if problem and number is not None:
            raise Refused(f"{seen.id} {problem}")
        mine += [(d, candidate) for d in meant([doubt], candidate)]
    if not mine:
        raise Refused(f"{seen.id} is none of the unconfirmed batches: its size or its custom_ids say so")
    if len(mine) > 1:
        numbers = " or ".join(str(d.number) for d, _ in mine)
        raise UsageProblem(f"{seen.id} may be batch {numbers}", hint=f"say which: --adopt {seen.id} --batch N")
    ((doubt, candidate),) = mine
    if doubt.batch.held:
        _vouch(tools, doubt, seen)
        return
    _make_free(tools, doubt.batch, seen.id)
    if not tools.ledger.record_adopted(doubt.batch, seen, tools.owner, tools.now(), identified=candidate.share == 1):
        raise Refused(f"{seen.id} was taken by another process meanwhile", hint=f"batchctl status {found.job.name}")
    tools.tell(DoubtSettled(doubt.batch, doubt.number, doubt.total, seen.id, identified=candidate.share == 1))


def _vouch(tools: Equipment, doubt: OpenDoubt, seen: MessageBatch) -> None:
    """A person says that results are ours which nothing could be held against."""
    if seen.id != doubt.batch.message_batch_id or not tools.ledger.record_vouched(
        doubt.batch, "size, ids and your word"
    ):
        raise Refused(
            f"batch {doubt.number} is {doubt.batch.message_batch_id}, or nothing", hint="--resend sends it again"
        )
    tools.tell(DoubtSettled(doubt.batch, doubt.number, doubt.total, seen.id, identified=True))


def _make_free(tools: Equipment, doubt: Batch, message_batch_id: str) -> None:
    """Whoever was given it as a guess gives it back. Raises Refused where it is surely another batch."""
    held = tools.ledger.jobs_of_message_batches({message_batch_id})
    if not held:
        return
    holder = next((g for g in tools.ledger.guesses() if g.message_batch_id == message_batch_id), None)
    if holder is None or holder.id == doubt.id:
        raise Refused(f"{message_batch_id} is another batch, of {held[message_batch_id]}")
    tools.ledger.record_wrong_adoption(holder, tools.owner, tools.now())


def _retrieved(tools: Equipment, message_batch_id: str) -> MessageBatch:
    if problem := ids_problem([message_batch_id]):
        raise UsageProblem(problem)
    try:
        seen = tools.transport.retrieve(message_batch_id).batch
    except ApiFailure as failure:
        if after_read(failure) is AfterRead.GONE:
            raise UsageProblem(f"the API knows no batch {message_batch_id!r}, or this key does not see it") from failure
        with reachable():
            raise
    tell_unread(tools, seen)
    return seen


def resend(tools: Equipment, found: Doubts, number: int | None, confirm: Callable[[str], None]) -> None:
    """Plans them again; `confirm` asks a person where that could pay twice. Raises Refused where it surely would."""
    wanted = chosen(found, number)
    if not found.job.has_requests:
        raise Refused(
            f"{found.job.name} was made elsewhere: its requests are not known here",
            hint=f"batchctl attach {found.job.name} --input FILE gives them to it",
        )
    refuse_other_account(tools, [d.batch for d in wanted if not d.is_other_key])
    for doubt in wanted:
        if problem := resending_problem(doubt):
            raise Refused(problem, hint=f"batchctl resolve {found.job.name} --adopt ID")
    risks = resending_risks(wanted)
    if risks:
        confirm(f"{'; '.join(risks)}. Send again all the same, and perhaps pay twice?")
    for doubt in wanted:
        note = "sent again at a person's word"
        if not tools.ledger.record_presumed(doubt.batch, tools.owner, tools.now(), note=note):
            raise Refused(
                f"batch {doubt.number} of {found.job.name} has come on meanwhile: it is not sent again",
                hint=f"batchctl resolve {found.job.name} shows what is left",
            )
        tools.tell(DoubtSettled(doubt.batch, doubt.number, doubt.total, "", identified=False))


def cancel_surplus(tools: Equipment, found: Doubts, message_batch_id: str) -> None:
    """Ends a batch that holds requests twice, or of a canceled job one that was found by size and time alone.

    What of it was done by then is paid for, and stays so. Raises Refused for any other.
    """
    guesses = {g.message_batch_id for g in tools.ledger.guesses() if found.job.canceled_at and g.job_id == found.job.id}
    if message_batch_id not in {*found.surplus, *(s.id for s in found.suspects), *guesses}:
        raise Refused(f"{message_batch_id} is not known to hold requests of {found.job.name} twice: it is not canceled")
    seen = _retrieved(tools, message_batch_id)
    if seen.processing_status is ProcessingStatus.IN_PROGRESS:
        try:
            tools.transport.cancel(message_batch_id)
        except ApiFailure as failure:
            raise ServiceProblem(f"{message_batch_id} could not be canceled: {failure}", hint="try again") from failure
    if message_batch_id in guesses:
        return
    tools.ledger.record_stranger(found.job.id, message_batch_id, tools.now())
    counts = seen.counts
    is_free = seen.processing_status is ProcessingStatus.ENDED and counts is not None and not counts.succeeded
    tools.ledger.record_surplus_settled(found.job.id, message_batch_id, tools.now(), is_free=is_free)
