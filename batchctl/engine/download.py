"""Download the results of an ended batch to the disk and verify them.

After a stop between two of the numbered steps, the batch is downloaded again: answers are never partial and never doubled.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from batchctl.api.secrets import scrubbed
from batchctl.domain.api_failures import AfterRead, after_read
from batchctl.domain.errors import ApiFailure, DiskProblem, InputProblem, ServiceProblem
from batchctl.domain.events import BatchFetched, DownloadBegun, DownloadFailed, ForeignBatch, ResultsRemoved
from batchctl.domain.model import Batch, Job, ProcessingStatus, Verified
from batchctl.engine.job_cost import with_prices
from batchctl.engine.match_results import gather_evidence
from batchctl.engine.match_rules import Evidence, Match
from batchctl.engine.pacing import GIVE_UP_AFTER, MAX_REREADS, backoff
from batchctl.engine.poll import emit_unread_fields, raise_unless_passing
from batchctl.engine.session import Session
from batchctl.engine.transfers import counted
from batchctl.requests.request_file import ids_of_range, request_file
from batchctl.results.downloaded import Answers
from batchctl.results.index import OrderOfArrival, Positions
from batchctl.results.receive import ForeignResults, keep_unverified, receive, take_kept, unverified_path
from batchctl.results.result_lines import IncompleteResults


def download(session: Session, job: Job, batch: Batch) -> None:
    """Download, verify and record the results of one ended batch.

    Returns without a record where another process has claimed the batch. A transient error and incomplete results are
    recorded, and the download is tried again after a pause. A batch that is another job's becomes unconfirmed again.

    Raises AccountProblem, ServiceProblem where results stay incomplete or the API refuses, InputProblem or DiskProblem where
    the requests cannot be read, and Stopped.
    """
    # 1. The claim: one process downloads it.
    if not session.ledger.claim(batch, session.owner, session.now()):
        return
    message_batch_id = batch.message_batch_id
    assert message_batch_id is not None, "an ended batch has an id"
    session.emit(DownloadBegun(*session.place(batch)))
    try:
        if batch.counts_unread:
            batch = _with_counts(session, batch)
        # 2. The ids that must come back: those of this batch's cut.
        # 3. The raw bytes, which are then verified against these ids.
        verified = _received(session, job, batch)
        # 4. The evidence: another job may use the same ids, so the answers of a batch that was found in the API's list are
        #    compared with the requests.
        evidence = _evidence(session, job, replace(batch, results_sha256=verified.sha256))
    except ForeignResults:
        _not_ours(session, job, batch, "its custom_ids belong to other requests", is_sure=batch.identified)
    except (ApiFailure, IncompleteResults) as failure:
        _download_later(session, job, batch, failure)
    except BaseException:
        session.ledger.release(batch, session.owner, not_before=None)
        raise
    else:
        _record(session, job, batch, verified, evidence)


def _record(session: Session, job: Job, batch: Batch, verified: Verified, evidence: Evidence) -> None:
    problem = scrubbed(evidence.problem)
    match evidence.match:
        case Match.FOREIGN:
            _not_ours(session, job, batch, problem, is_sure=True)
        case Match.UNDECIDED:
            session.ledger.record_held(batch, session.owner, f"{batch.message_batch_id}: {problem}")
            session.emit(DownloadFailed(*session.place(batch), f"may belong to another job: {problem}", None))
        case Match.OURS:
            # 5. The row, last: after a stop before it the batch is downloaded again.
            verified = _scrubbed(verified)
            priced = with_prices(session, job, batch, verified)
            session.ledger.record_fetched(batch, session.owner, priced, session.now(), evidence=evidence.basis)
            session.emit(
                BatchFetched(*session.place(batch), verified.counts, verified.bytes, verified.twins, verified.unknown)
            )


def _scrubbed(verified: Verified) -> Verified:
    """Return the summary without secrets: the texts of failures and models come from outside."""
    failures = tuple(
        replace(
            failure,
            error_type=scrubbed(failure.error_type),
            sample_ids=tuple(map(scrubbed, failure.sample_ids)),
            sample_message=scrubbed(failure.sample_message),
        )
        for failure in verified.failures
    )
    usage_totals = tuple(replace(totals, model=scrubbed(totals.model)) for totals in verified.usage_totals)
    return replace(verified, failures=failures, usage_totals=usage_totals)


def _not_ours(session: Session, job: Job, batch: Batch, why: str, *, is_sure: bool) -> None:
    """Record that the adopted batch of the API is another job's, so that ours is unconfirmed again.

    `is_sure`: exclude it for good, as a foreign batch, because its ids alone would match again. That takes a second download
    with the same result.
    """
    assert batch.message_batch_id is not None
    if is_sure and not batch.tries:
        # Downloaded once more before it is a foreign batch for good: one wrong answer of the API must not decide that.
        now = session.now()
        session.ledger.record_download_failed(batch, session.owner, now, not_before=now, note=why)
        return
    session.ledger.record_wrong_adoption(batch, session.owner, session.now())
    if is_sure:
        session.ledger.record_foreign_batch(job.id, batch.message_batch_id, session.now())
    session.emit(ForeignBatch(*session.place(batch), batch.message_batch_id, why))


def _evidence(session: Session, job: Job, batch: Batch) -> Evidence:
    """Return the evidence that the results which were just received are ours. Raises as `gather_evidence` does."""
    if not batch.provisional or not job.has_requests:
        return Evidence(match=Match.OURS, basis="")
    if batch.evidence:
        return Evidence(match=Match.OURS, basis=batch.evidence)
    # Another round may have sent the same ids with other params, which token counts may not show.
    others = [
        p for p in session.ledger.presumed_not_created(job) if p.round != batch.round and p.cut.count == batch.count
    ]
    if others:
        other = f"a batch of round {others[0].round} has the same number of requests and was presumed not created"
        return Evidence(match=Match.UNDECIDED, basis="", problem=f"{other}; this may be that batch")
    answers = Answers(session.workspace.raw(job, batch), session.workspace.index(job, batch), batch)
    with contextlib.closing(answers):
        return gather_evidence(session, job, batch, answers)


def _with_counts(session: Session, batch: Batch) -> Batch:
    """Return the batch with the API's counts, where they can be read now. Raises ApiFailure."""
    assert batch.message_batch_id is not None
    polled = session.message_batches.retrieve(batch.message_batch_id).batch
    session.ledger.record_polled([(batch, polled)], session.now())
    emit_unread_fields(session, polled)
    return batch if polled.counts is None else replace(batch, counts=polled.counts, counts_unread=False)


def _received(session: Session, job: Job, batch: Batch) -> Verified:
    """Write the results to the disk, verify them, and return the summary.

    Raises InputProblem or DiskProblem where the requests cannot be read; then the results are on the disk, unverified.
    """
    raw, index = session.workspace.raw(job, batch), session.workspace.index(job, batch)
    is_patient = batch.tries < MAX_REREADS
    try:
        positions: Positions = (
            ids_of_range(request_file(session.workspace, job, batch.round), batch)
            if job.has_requests
            else OrderOfArrival(batch.count)
        )
    except (InputProblem, DiskProblem) as problem:
        # The API will remove the results one day, whether or not the input can be read by then.
        if not (kept := unverified_path(raw, batch)).exists():
            with _results(session, batch) as pieces:
                keep_unverified(counted(session, batch, pieces), batch, raw)
        hint = f"{problem.hint}; the results were downloaded and are kept, unverified, in {kept}"
        raise type(problem)(problem.message, hint=hint) from problem
    if (verified := take_kept(positions, batch, raw, index, is_patient=is_patient)) is not None:
        return verified
    with _results(session, batch) as pieces:
        return receive(counted(session, batch, pieces), positions, batch, raw, index, is_patient=is_patient)


def _results(session: Session, batch: Batch) -> contextlib.AbstractContextManager[Iterator[bytes]]:
    assert batch.message_batch_id is not None
    return session.message_batches.results(batch.message_batch_id)


def _download_later(session: Session, job: Job, batch: Batch, failure: ApiFailure | IncompleteResults) -> None:
    is_gone = isinstance(failure, ApiFailure) and after_read(failure) is AfterRead.GONE
    if is_gone and (removed_at := _removed_at(session, batch)) is not None:
        note = f"the API removed its results on {removed_at:%Y-%m-%d}"
        session.ledger.record_results_removed(batch, session.owner, removed_at, note)
        session.emit(ResultsRemoved(*session.place(batch), removed_at))
        return
    failures, reason = batch.tries + 1, scrubbed(str(failure))
    retry_after = failure.retry_after if isinstance(failure, ApiFailure) else None
    until = session.now() + timedelta(seconds=backoff(failures, retry_after, session.clock.draw()))
    session.ledger.record_download_failed(batch, session.owner, session.now(), not_before=until, note=reason)
    if isinstance(failure, ApiFailure):
        if is_gone:
            session.ledger.record_missing(batch, session.now())
        raise_unless_passing(failure)
    else:
        _refresh_counts(session, batch)
    _, number, total = session.place(batch)
    if failures % GIVE_UP_AFTER == 0 and isinstance(failure, IncompleteResults):
        kept = unverified_path(session.workspace.raw(job, batch), batch)
        raise ServiceProblem(
            f"the results of batch {number} of {total} ({batch.message_batch_id}) are incomplete: {reason}",
            hint=f"the last download is kept, unverified, in {kept}; run the same command again to download it once more",
        ) from failure
    session.emit(DownloadFailed(batch, number, total, reason, until))


def _removed_at(session: Session, batch: Batch) -> datetime | None:
    """Return when the API says that it removed the results of a batch; None where it does not say so.

    To be called after the results answered 404: the date alone does not mean that they are gone.
    """
    assert batch.message_batch_id is not None
    try:
        message_batch = session.message_batches.retrieve(batch.message_batch_id).batch
    except ApiFailure:
        return None
    return message_batch.archived_at if message_batch.processing_status is ProcessingStatus.ENDED else None


def _refresh_counts(session: Session, batch: Batch) -> None:
    """Poll the batch once: the counts that the results were verified against may have been wrong."""
    assert batch.message_batch_id is not None
    with contextlib.suppress(ApiFailure):
        session.ledger.record_polled(
            [(batch, session.message_batches.retrieve(batch.message_batch_id).batch)], session.now()
        )
