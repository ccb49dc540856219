"""Arrow d: results to the disk, whole and checked.

A stop between any two numbered steps downloads this batch again, never half, never twice into the answers.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from batchctl.api.secrets import scrubbed
from batchctl.domain.answers import AfterRead, after_read
from batchctl.domain.errors import ApiFailure, DiskProblem, InputProblem, ServiceProblem
from batchctl.domain.events import BatchFetched, DownloadBegun, DownloadFailed, ForeignBatch, ResultsRemoved
from batchctl.domain.model import Batch, Job, ProcessingStatus, Verified
from batchctl.engine.evidence import Evidence, Match
from batchctl.engine.job_cost import with_prices
from batchctl.engine.matching import hold_against_requests
from batchctl.engine.pacing import GIVE_UP_AFTER, READ_AGAIN, backoff
from batchctl.engine.poll import emit_unread_fields, raise_unless_passing
from batchctl.engine.session import Session
from batchctl.requests.request_file import ids_of_range, request_file
from batchctl.results.downloaded import Answers
from batchctl.results.index import OrderOfArrival, Positions
from batchctl.results.receive import ForeignResults, keep_unverified, receive, take_kept, unverified
from batchctl.results.result_lines import IncompleteResults


def download(session: Session, job: Job, batch: Batch) -> None:
    # 1. One process downloads it.
    if not session.ledger.claim(batch, session.owner, session.now()):
        return
    message_batch_id = batch.message_batch_id
    assert message_batch_id is not None, "a batch that ended has a name"
    session.emit(DownloadBegun(*session.place(batch)))
    try:
        if batch.counts_unread:
            batch = _asked_again(session, batch)
        # 2. What must come back: the ids of this batch's range. 3. The raw bytes, and then whether they are that.
        verified = _received(session, job, batch)
        # 4. The answers of a batch that was found in the list are held against the requests: its ids may be another job's, too.
        evidence = _evidence(session, job, replace(batch, results_sha256=verified.sha256))
    except ForeignResults:
        _not_ours(session, job, batch, "its custom_ids are other requests'", is_sure=batch.identified)
    except (ApiFailure, IncompleteResults) as failure:
        _again(session, job, batch, failure)
    except BaseException:
        session.ledger.release(batch, session.owner, not_before=None)
        raise
    else:
        _verified(session, job, batch, verified, evidence)


def _verified(session: Session, job: Job, batch: Batch, verified: Verified, evidence: Evidence) -> None:
    problem = scrubbed(evidence.problem)
    match evidence.match:
        case Match.FOREIGN:
            _not_ours(session, job, batch, problem, is_sure=True)
        case Match.UNDECIDED:
            session.ledger.record_held(batch, session.owner, f"{batch.message_batch_id}: {problem}")
            session.emit(DownloadFailed(*session.place(batch), f"may be another job's: {problem}", None))
        case Match.OURS:
            # 5. The row last: a stop before it downloads again, never forgets.
            verified = _scrubbed(verified)
            priced = with_prices(session, job, batch, verified)
            session.ledger.record_fetched(batch, session.owner, priced, session.now(), evidence=evidence.basis)
            session.emit(
                BatchFetched(*session.place(batch), verified.counts, verified.bytes, verified.twins, verified.unknown)
            )


def _scrubbed(verified: Verified) -> Verified:
    """What results say of failures and models is as much a text from outside as any other."""
    failures = tuple(
        replace(
            each,
            error_type=scrubbed(each.error_type),
            sample_ids=tuple(map(scrubbed, each.sample_ids)),
            sample_message=scrubbed(each.sample_message),
        )
        for each in verified.failures
    )
    usage_totals = tuple(replace(each, model=scrubbed(each.model)) for each in verified.usage_totals)
    return replace(verified, failures=failures, usage_totals=usage_totals)


def _not_ours(session: Session, job: Job, batch: Batch, why: str, *, is_sure: bool) -> None:
    """Ours is unconfirmed again. `is_sure`: read once more, the batch would say the same."""
    assert batch.message_batch_id is not None
    if is_sure and not batch.tries:
        # Once more before it is disowned for good: one odd answer must not make ours a foreign one.
        now = session.now()
        session.ledger.record_download_failed(batch, session.owner, now, not_before=now, note=why)
        return
    session.ledger.record_wrong_adoption(batch, session.owner, session.now())
    if is_sure:
        session.ledger.record_foreign_batch(job.id, batch.message_batch_id, session.now())
    session.emit(ForeignBatch(*session.place(batch), batch.message_batch_id, why))


def _evidence(session: Session, job: Job, batch: Batch) -> Evidence:
    """What it rests on that the results which were just received are ours. Raises ApiFailure."""
    if not batch.provisional or not job.has_requests:
        return Evidence(match=Match.OURS, basis="")
    if batch.evidence:
        return Evidence(match=Match.OURS, basis=batch.evidence)
    # The same ids in another round may have been sent with other params, of which no count of tokens tells.
    earlier = [
        p for p in session.ledger.presumed_not_created(job) if p.round != batch.round and p.cut.count == batch.count
    ]
    if earlier:
        said = f"a create of round {earlier[0].round} that was given up sent as many requests"
        return Evidence(match=Match.UNDECIDED, basis="", problem=f"{said}, and it may be that one")
    answers = Answers(session.workspace.raw(job, batch), session.workspace.index(job, batch), batch)
    with contextlib.closing(answers):
        return hold_against_requests(session, job, batch, answers)


def _asked_again(session: Session, batch: Batch) -> Batch:
    """The batch with the API's counters, if it says them now. Raises ApiFailure."""
    assert batch.message_batch_id is not None
    seen = session.message_batches.retrieve(batch.message_batch_id).batch
    session.ledger.record_polled([(batch, seen)], session.now())
    emit_unread_fields(session, seen)
    return batch if seen.counts is None else replace(batch, counts=seen.counts, counts_unread=False)


def _received(session: Session, job: Job, batch: Batch) -> Verified:
    """The results on the disk, verified. Raises InputProblem or DiskProblem where the requests cannot be read, and then they
    are on the disk all the same.
    """
    raw, index = session.workspace.raw(job, batch), session.workspace.index(job, batch)
    is_patient = batch.tries < READ_AGAIN
    try:
        positions = _positions(session, job, batch)
    except (InputProblem, DiskProblem) as problem:
        # The API removes them one day, whatever becomes of the input.
        if not (kept := unverified(raw, batch)).exists():
            with _results(session, batch) as pieces:
                keep_unverified(pieces, batch, raw)
        said = f"{problem.hint}; the results came all the same, and are kept unverified in {kept}"
        raise type(problem)(problem.message, hint=said) from problem
    if (verified := take_kept(positions, batch, raw, index, is_patient=is_patient)) is not None:
        return verified
    with _results(session, batch) as pieces:
        return receive(pieces, positions, batch, raw, index, is_patient=is_patient)


def _positions(session: Session, job: Job, batch: Batch) -> Positions:
    if not job.has_requests:
        return OrderOfArrival(batch.count)
    return ids_of_range(request_file(session.workspace, job, batch.round), batch)


def _results(session: Session, batch: Batch) -> contextlib.AbstractContextManager[Iterator[bytes]]:
    assert batch.message_batch_id is not None
    return session.message_batches.results(batch.message_batch_id)


def _again(session: Session, job: Job, batch: Batch, failure: ApiFailure | IncompleteResults) -> None:
    is_gone = isinstance(failure, ApiFailure) and after_read(failure) is AfterRead.GONE
    if is_gone and (removed_at := _removed_at(session, batch)) is not None:
        note = f"its results were removed by the API on {removed_at:%Y-%m-%d}"
        session.ledger.record_results_removed(batch, session.owner, removed_at, note)
        session.emit(ResultsRemoved(*session.place(batch), removed_at))
        return
    failures, said = batch.tries + 1, scrubbed(str(failure))
    retry_after = failure.retry_after if isinstance(failure, ApiFailure) else None
    until = session.now() + timedelta(seconds=backoff(failures, retry_after, session.clock.draw()))
    session.ledger.record_download_failed(batch, session.owner, session.now(), not_before=until, note=said)
    if isinstance(failure, ApiFailure):
        if is_gone:
            session.ledger.record_missing(batch, session.now())
        raise_unless_passing(failure)
    else:
        _look_again(session, batch)
    _, number, total = session.place(batch)
    if failures % GIVE_UP_AFTER == 0 and isinstance(failure, IncompleteResults):
        kept = unverified(session.workspace.raw(job, batch), batch)
        raise ServiceProblem(
            f"the results of batch {number} of {total} ({batch.message_batch_id}) cannot be had whole: {said}",
            hint=f"what came last is kept, unverified, in {kept}; the same command asks for it again",
        ) from failure
    session.emit(DownloadFailed(batch, number, total, said, until))


def _removed_at(session: Session, batch: Batch) -> datetime | None:
    """When the API removed the results that it does not have, as it says itself; None where it does not say so.

    The date alone says nothing: results that can be downloaded are there.
    """
    assert batch.message_batch_id is not None
    try:
        seen = session.message_batches.retrieve(batch.message_batch_id).batch
    except ApiFailure:
        return None
    return seen.archived_at if seen.processing_status is ProcessingStatus.ENDED else None


def _look_again(session: Session, batch: Batch) -> None:
    """The counters that the lines were held against may have been what was wrong."""
    assert batch.message_batch_id is not None
    with contextlib.suppress(ApiFailure):
        session.ledger.record_polled(
            [(batch, session.message_batches.retrieve(batch.message_batch_id).batch)], session.now()
        )
