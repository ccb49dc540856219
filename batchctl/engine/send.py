"""Send a batch at the API. This is the only module that spends money.

After a stop between two of the numbered steps, running the same command again continues:

after 1   the batch is `submitting` and its owner is dead: it is unconfirmed, and `engine.reconciler` searches the API's list
after 2   the same
after 3   the same: the API has the batch, and the ledger does not have its id yet
after 4   nothing is left to do

`refuse` and `split` record what follows from a definite refusal. `engine.reconciler` calls them, too, where a refusal was
first compared with the API's list.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from batchctl.api.protocol import Body, Seen
from batchctl.domain.api_failures import AfterCreate, after_create, is_proven, why_paused
from batchctl.domain.errors import AccountProblem, ApiFailure, BatchctlError, ServiceProblem, UnconfirmedProblem
from batchctl.domain.events import BatchNotSent, BatchSent, BatchUnconfirmed, SendingBegun
from batchctl.domain.headers import command_for_rest
from batchctl.domain.model import Batch, Headers, IfAbsent, Job, Unconfirmed
from batchctl.engine.pacing import backoff, is_queue_full, under_way
from batchctl.engine.poll import emit_unread_fields
from batchctl.engine.session import Session
from batchctl.engine.transfers import counted
from batchctl.requests.request_file import body_pieces, halves, request_file
from batchctl.store.line_maps import LineMap

# The pause before the API's list is read for the first time for a batch of unknown outcome.
FIRST_RECONCILE_PAUSE = timedelta(seconds=1)
# Seconds between two checks of an upload that this process still owns the batch.
CLAIM_CHECK_SECONDS = 20.0


class StepLost(BatchctlError):
    """Another process took the batch over while this one was suspended. The upload was aborted: nothing was created."""


def send(session: Session, job: Job, planned: Batch) -> None:
    """Create one planned batch at the API and record what became of it.

    Returns without a record where another process has claimed the batch. Transient errors and unknown outcomes are recorded
    and emitted. What stops the whole job is raised: AccountProblem, ServiceProblem for a refused batch,
    UnconfirmedProblem for a duplicate, InputProblem where the input has changed, DiskProblem, and Stopped.
    """
    path = request_file(session.workspace, job, planned.round)
    server = session.server
    # 1. The intent, on the disk before a byte is sent: from here on the batch may exist.
    batch = session.ledger.claim_send(
        planned, session.owner, session.now(), created_after=server.newest, api=server.account.stored()
    )
    if batch is None:
        return
    # Known once for both events: it is counted over all batches of the round.
    _, number, total = session.place(batch)
    session.emit(SendingBegun(batch, number, total))
    pieces = counted(session, batch, body_pieces(path, batch.cut))
    body = Body(_while_claimed(session, batch, pieces), batch.cut.body_bytes)
    headers = _sent_headers(job, batch)
    try:
        # 2. The generation, in the state folder: it stops a copy of this workspace that is used elsewhere.
        session.place_guard.advance()
        # 3. One POST. The API takes no idempotency key, so a failed create is never just repeated.
        created = session.message_batches.create(body, api_version=headers.api_version, betas=headers.betas)
    except ApiFailure as failure:
        _not_answered(session, job, batch, failure)
    except StepLost as lost:
        session.emit(BatchNotSent(batch, number, total, lost.message, None))
    except BatchctlError as problem:
        # The body was not sent whole, no key was found, or no certificate was trusted: the API has no complete request.
        session.ledger.record_not_created(batch, session.owner, session.now(), not_before=None, note=problem.message)
        if isinstance(problem, AccountProblem):
            session.ledger.record_pause(job, why_stopped(problem))
        raise
    else:
        # 4. The id that the API gave it.
        _record_created(session, batch, created)
        _widen_window(session, batch)
        session.emit(BatchSent(batch, number, total, created.batch.id))


def _while_claimed(session: Session, batch: Batch, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces while this process owns the batch. Raise StepLost otherwise, at the latest before the last piece.

    A process that was suspended for longer than its lease may resume in the middle of an upload.
    """
    checked_at = session.clock.monotonic()
    pending = b""
    for piece in pieces:
        if pending:
            yield pending
        pending = piece
        if session.clock.monotonic() - checked_at > CLAIM_CHECK_SECONDS:
            _raise_if_lost(session, batch)
            checked_at = session.clock.monotonic()
    _raise_if_lost(session, batch)
    yield pending


def _raise_if_lost(session: Session, batch: Batch) -> None:
    if not session.ledger.is_claimed_by(batch, session.owner):
        raise StepLost("another process took the batch over while this one was suspended; the upload was aborted")


def _record_created(session: Session, batch: Batch, created: Seen) -> None:
    message_batch_id = created.batch.id
    emit_unread_fields(session, created.batch)
    if not session.ledger.record_created(batch, created.batch, session.now()):
        job = session.ledger.job_of(batch)
        if message_batch_id not in job.duplicate_batches:
            raise UnconfirmedProblem(
                f"the API answered a create with {message_batch_id}, which is another batch of this workspace",
                hint=f"a batch was created and its id is unknown; review and decide: batchctl resolve {job.name}",
            )
        raise UnconfirmedProblem(
            f"{message_batch_id} is a duplicate: another process sent or split the same requests in the meantime",
            hint=f"batchctl resolve {job.name} --cancel {message_batch_id}",
        )


def _widen_window(session: Session, sent: Batch) -> None:
    """Let one more batch into the API's queue if it took more requests than it was known to take."""
    # Read again: another thread may have met a full queue since the step began.
    job = session.ledger.job_of(sent)
    if job.window is None:
        return
    queued = under_way(session.ledger.batches(job))
    if queued > job.window:
        session.ledger.record_window(job, queued + sent.count, session.now())


def _not_answered(session: Session, job: Job, batch: Batch, failure: ApiFailure) -> None:
    after = after_create(failure)
    match after:
        case AfterCreate.UNCONFIRMED:
            _record_unconfirmed(session, batch, failure, Unconfirmed.UNKNOWN)
        case AfterCreate.ACCEPTED:
            _record_unconfirmed(session, batch, failure, Unconfirmed.ACCEPTED)
        case _ if not is_proven(failure):
            _unproven_refusal(session, job, batch, failure, after)
        case AfterCreate.AGAIN:
            _send_later(session, job, batch, failure)
        case AfterCreate.PAUSE | AfterCreate.HEADER:
            session.ledger.record_not_created(batch, session.owner, session.now(), not_before=None, note=str(failure))
            raise _paused(session, job, batch, failure)
        case AfterCreate.SPLIT if batch.count > 1:
            split(session, job, batch)
        case AfterCreate.SPLIT | AfterCreate.REFUSE:
            refuse(session, job, batch, str(failure))


def _record_unconfirmed(session: Session, batch: Batch, failure: ApiFailure, why: Unconfirmed) -> None:
    now = session.now()
    session.ledger.record_unconfirmed(
        batch, session.owner, now, not_before=now + FIRST_RECONCILE_PAUSE, note=str(failure), unconfirmed=why
    )
    session.emit(BatchUnconfirmed(*session.place(batch), str(failure)))


def _unproven_refusal(session: Session, job: Job, batch: Batch, failure: ApiFailure, after: AfterCreate) -> None:
    """Record a refusal that did not come from the API itself: a proxy may have sent it after the batch was created.

    What the refusal asks for is done once the API's list does not show the batch.
    """
    now, pause = session.now(), FIRST_RECONCILE_PAUSE
    if after is AfterCreate.AGAIN:
        pause = timedelta(seconds=_backoff(session, batch, failure))
        _slow_down(session, job, batch, failure, now + pause)
    if_absent = {AfterCreate.SPLIT: IfAbsent.SPLIT, AfterCreate.REFUSE: IfAbsent.REFUSE}.get(after, IfAbsent.PLAN)
    if if_absent is IfAbsent.SPLIT and batch.count == 1:
        if_absent = IfAbsent.REFUSE
    session.ledger.record_unconfirmed(
        batch,
        session.owner,
        now,
        not_before=now + pause,
        note=str(failure),
        unconfirmed=Unconfirmed.REFUSED,
        if_absent=if_absent,
    )
    session.emit(BatchUnconfirmed(*session.place(batch), str(failure)))
    if after in {AfterCreate.PAUSE, AfterCreate.HEADER}:
        raise _paused(session, job, batch, failure)


def _paused(session: Session, job: Job, batch: Batch, failure: ApiFailure) -> AccountProblem:
    """Pause the job, and return the error to raise."""
    session.ledger.record_pause(job, str(failure))
    headers = _sent_headers(job, batch)
    cause, hint = why_paused(failure, headers)
    command = command_for_rest(job, failure.message, headers.betas)
    return AccountProblem(f"{cause}: {failure!s}", hint=f"{hint}: {command}")


def why_stopped(problem: AccountProblem) -> str:
    """Return the reason to record with a pause: the API's own words where the problem came from the API."""
    return str(problem.__cause__ if isinstance(problem.__cause__, ApiFailure) else problem.message)


def _sent_headers(job: Job, batch: Batch) -> Headers:
    """Return the headers that were recorded with the intent, not those that the job has by now."""
    return batch.headers or job.settings.headers


def _send_later(session: Session, job: Job, batch: Batch, failure: ApiFailure) -> None:
    until = session.now() + timedelta(seconds=_backoff(session, batch, failure))
    session.ledger.record_not_created(batch, session.owner, session.now(), not_before=until, note=str(failure))
    _slow_down(session, job, batch, failure, until)
    session.emit(BatchNotSent(*session.place(batch), str(failure), until))


def _backoff(session: Session, batch: Batch, failure: ApiFailure) -> float:
    """Return the seconds until the next try."""
    return backoff(batch.tries + 1, failure.retry_after, session.clock.draw())


def _slow_down(session: Session, job: Job, batch: Batch, failure: ApiFailure, until: datetime) -> None:
    """Record what concerns all batches of the job: a full queue, a rate limit of the account, a network that is down."""
    if is_queue_full(failure, batch.tries):
        others = [b for b in session.ledger.batches(job) if b.id != batch.id]
        session.ledger.record_window(job, under_way(others), session.now())
    if failure.status in {None, 429}:
        # No other batch is uploaded just to be refused.
        session.ledger.record_hold(job, until, str(failure), session.now())


def split(session: Session, job: Job, batch: Batch) -> None:
    """Plan the two halves of a batch in its place, because it is too large for the API. It must have two requests or more."""
    path = request_file(session.workspace, job, batch.round)
    note = "too large for the API: split in two"
    if session.ledger.record_split(batch, session.owner, halves(path, batch), session.now(), note):
        session.emit(BatchNotSent(*session.place(batch), note, session.now()))


def refuse(session: Session, job: Job, batch: Batch, reason: str) -> None:
    """Record that the API, or a proxy, refuses the contents of a batch, and raise ServiceProblem with its `reason`.

    Returns where the batch is no longer this process's own.
    """
    if not session.ledger.record_refused(batch, session.owner, session.now(), reason):
        return
    _, number, total = session.place(batch)
    session.emit(BatchNotSent(batch, number, total, reason, None))
    raise ServiceProblem(
        f"the API rejected batch {number} of {total}: {reason}{_named_line(session, job, batch, reason)}",
        hint=f"its requests stay unanswered; to fix and send them: {_command_first(session, job)}batchctl retry {job.name} --edit",
    )


def _command_first(session: Session, job: Job) -> str:
    """Return the command to run first; a retry needs every batch settled."""
    is_open = any(not b.is_settled for b in session.ledger.batches(job))
    return f"batchctl run {job.name} --max-rounds {len(job.rounds)}, then " if is_open else ""


def _named_line(session: Session, job: Job, batch: Batch, reason: str) -> str:
    """Return the input line of the request that a refusal names, or nothing. The API counts requests from the start of the batch."""
    named = re.search(r"requests\.(\d+)\.", reason)
    if not named or int(named.group(1)) >= batch.count or batch.round != 1:
        return ""
    line_map = LineMap(session.workspace.lines(job.name), base=1)
    try:
        return f" (line {line_map.numbers(batch.cut.first + int(named.group(1)), 1)[0]:,} of {job.input_path})"
    finally:
        line_map.close()
