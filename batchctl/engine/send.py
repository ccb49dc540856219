"""Arrows a, b and e: the only place that spends money.

A stop between any two numbered steps is continued by running the same command again:
after 1   the batch is `submitting` and its owner is dead: it is unconfirmed, and looked for in the API's list
after 2   the same
after 3   the same: the API has the batch, the ledger does not know its name yet
after 4   nothing is open
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from batchctl.api.protocol import Body, Seen
from batchctl.domain.answers import AfterCreate, after_create, is_proven, why_paused
from batchctl.domain.errors import AccountProblem, ApiFailure, BatchctlError, ServiceProblem, UnconfirmedProblem
from batchctl.domain.events import BatchNotSent, BatchSent, BatchUnconfirmed, SendingBegun
from batchctl.domain.headers import command_for_rest
from batchctl.domain.model import Batch, Headers, IfAbsent, Job, Unconfirmed
from batchctl.engine.pacing import backoff, is_queue_full, under_way
from batchctl.engine.poll import emit_unread_fields
from batchctl.engine.session import Session
from batchctl.requests.request_file import body_pieces, halves, request_file
from batchctl.store.line_maps import LineMap

FIRST_RECONCILE_PAUSE = timedelta(seconds=1)
# How often an upload asks whether its step is still its own. Claims are renewed more often than they run out.
HOLD_CHECK_SECONDS = 20.0


class StepLost(BatchctlError):
    """While this process stood still, another took its step over. Its upload was broken off: nothing was created."""


def send(session: Session, job: Job, planned: Batch) -> None:
    """Creates one planned batch. Raises what stops the whole job: account, changed input, refused, unreachable."""
    path = request_file(session.workspace, job, planned.round)
    here = session.server
    # 1. The intent, on the disk before a byte leaves: from here on the batch may exist.
    batch = session.ledger.claim_send(
        planned, session.owner, session.now(), created_after=here.newest, api=here.account.stored()
    )
    if batch is None:
        return
    session.emit(SendingBegun(*session.place(batch)))
    body = Body(_while_held(session, batch, body_pieces(path, batch.cut)), batch.cut.body_bytes)
    headers = _sent_headers(job, batch)
    try:
        # 2. The generation, in the state folder: a copy of this workspace that goes on elsewhere stops here.
        session.place_guard.advance()
        # 3. One POST. The API takes no idempotency key, so whatever goes wrong, it is not simply tried again.
        seen = session.message_batches.create(body, api_version=headers.api_version, betas=headers.betas)
    except ApiFailure as failure:
        _not_answered(session, job, batch, failure)
    except StepLost as lost:
        session.emit(BatchNotSent(*session.place(batch), lost.message, None))
    except BatchctlError as problem:
        # The body was never completed, no key was found or no certificate was trusted: the API has seen no whole request.
        session.ledger.record_not_created(batch, session.owner, session.now(), not_before=None, note=problem.message)
        if isinstance(problem, AccountProblem):
            session.ledger.record_pause(job, why_stopped(problem))
        raise
    else:
        # 4. The API's name for it.
        _created(session, batch, seen)


def _while_held(session: Session, batch: Batch, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces, as long as the step is ours. Raises StepLost, at the latest before the last of them leaves.

    A process that was suspended for longer than its lease comes back in the middle of this.
    """
    checked_at = session.clock.monotonic()
    waiting = b""
    for piece in pieces:
        if waiting:
            yield waiting
        waiting = piece
        if session.clock.monotonic() - checked_at > HOLD_CHECK_SECONDS:
            _raise_if_lost(session, batch)
            checked_at = session.clock.monotonic()
    _raise_if_lost(session, batch)
    yield waiting


def _raise_if_lost(session: Session, batch: Batch) -> None:
    if not session.ledger.is_held(batch, session.owner):
        raise StepLost("another process took it over while this one stood still; this upload was broken off")


def _created(session: Session, batch: Batch, seen: Seen) -> None:
    emit_unread_fields(session, seen.batch)
    if not session.ledger.record_created(batch, seen.batch, session.now()):
        job = session.ledger.job_of(batch)
        if seen.batch.id not in job.duplicate_batches:
            raise UnconfirmedProblem(
                f"the answer to a create names {seen.batch.id}, which is another batch of this workspace",
                hint=f"a batch was made, and nobody knows which: batchctl resolve {job.name}",
            )
        raise UnconfirmedProblem(
            f"{seen.batch.id} was created, but another process sent or cut the same requests meanwhile: it is a duplicate",
            hint=f"batchctl resolve {job.name} --cancel {seen.batch.id}",
        )
    _widen(session, batch)
    session.emit(BatchSent(*session.place(batch), seen.batch.id))


def _widen(session: Session, sent: Batch) -> None:
    """The queue took more than it was known to take: one more is tried, until it refuses again."""
    job = session.ledger.job_of(sent)
    if job.window is None:
        return
    taken = under_way(session.ledger.batches(job))
    if taken > job.window:
        session.ledger.record_window(job, taken + sent.count, session.now())


def _not_answered(session: Session, job: Job, batch: Batch, failure: ApiFailure) -> None:
    after = after_create(failure)
    match after:
        case AfterCreate.UNCONFIRMED:
            _unconfirmed(session, batch, failure, Unconfirmed.UNKNOWN)
        case AfterCreate.ACCEPTED:
            _unconfirmed(session, batch, failure, Unconfirmed.ACCEPTED)
        case _ if not is_proven(failure):
            _refused_elsewhere(session, job, batch, failure, after)
        case AfterCreate.AGAIN:
            _again(session, job, batch, failure)
        case AfterCreate.PAUSE | AfterCreate.HEADER:
            session.ledger.record_not_created(batch, session.owner, session.now(), not_before=None, note=str(failure))
            raise _paused(session, job, batch, failure)
        case AfterCreate.SPLIT:
            _split(session, job, batch, failure)
        case AfterCreate.REFUSE:
            refuse(session, job, batch, str(failure))


def _unconfirmed(session: Session, batch: Batch, failure: ApiFailure, why: Unconfirmed) -> None:
    now = session.now()
    session.ledger.record_unconfirmed(
        batch, session.owner, now, not_before=now + FIRST_RECONCILE_PAUSE, note=str(failure), unconfirmed=why
    )
    session.emit(BatchUnconfirmed(*session.place(batch), str(failure)))


def _refused_elsewhere(session: Session, job: Job, batch: Batch, failure: ApiFailure, after: AfterCreate) -> None:
    """A no that did not come from the API: somebody between may have said it after the batch was made.

    What it asks for is done once the API's list shows no such batch.
    """
    now, pause = session.now(), FIRST_RECONCILE_PAUSE
    if after is AfterCreate.AGAIN:
        pause = timedelta(seconds=_backoff(session, batch, failure))
        _hold(session, job, batch, failure, now + pause)
    then = {AfterCreate.SPLIT: IfAbsent.SPLIT, AfterCreate.REFUSE: IfAbsent.REFUSE}.get(after, IfAbsent.PLAN)
    if then is IfAbsent.SPLIT and batch.count == 1:
        then = IfAbsent.REFUSE
    session.ledger.record_unconfirmed(
        batch,
        session.owner,
        now,
        not_before=now + pause,
        note=str(failure),
        unconfirmed=Unconfirmed.REFUSED,
        if_absent=then,
    )
    session.emit(BatchUnconfirmed(*session.place(batch), str(failure)))
    if after in {AfterCreate.PAUSE, AfterCreate.HEADER}:
        raise _paused(session, job, batch, failure)


def _paused(session: Session, job: Job, batch: Batch, failure: ApiFailure) -> AccountProblem:
    session.ledger.record_pause(job, str(failure))
    sent = _sent_headers(job, batch)
    cause, hint = why_paused(failure, sent)
    command = command_for_rest(job, failure.message, sent.betas)
    return AccountProblem(f"{cause}: {failure!s}", hint=f"{hint}: {command}")


def why_stopped(problem: AccountProblem) -> str:
    """Return what a pause says of it: the API's own words, where it was the API."""
    return str(problem.__cause__ if isinstance(problem.__cause__, ApiFailure) else problem.message)


def _sent_headers(job: Job, batch: Batch) -> Headers:
    """Those that were recorded with the intent, and no newer ones."""
    return batch.headers or job.settings.headers


def _again(session: Session, job: Job, batch: Batch, failure: ApiFailure) -> None:
    until = session.now() + timedelta(seconds=_backoff(session, batch, failure))
    session.ledger.record_not_created(batch, session.owner, session.now(), not_before=until, note=str(failure))
    _hold(session, job, batch, failure, until)
    session.emit(BatchNotSent(*session.place(batch), str(failure), until))


def _backoff(session: Session, batch: Batch, failure: ApiFailure) -> float:
    """Seconds until the next try."""
    return backoff(batch.tries + 1, failure.retry_after, session.clock.draw())


def _hold(session: Session, job: Job, batch: Batch, failure: ApiFailure, until: datetime) -> None:
    """What is no matter of this batch alone: a queue that is full, a limit of the account, a network that is not there."""
    if is_queue_full(failure, batch.tries):
        others = [b for b in session.ledger.batches(job) if b.id != batch.id]
        session.ledger.record_window(job, under_way(others), session.now())
    if failure.status in {None, 429}:
        # None is uploaded only to be refused.
        session.ledger.record_hold(job, until, str(failure), session.now())


def _split(session: Session, job: Job, batch: Batch, failure: ApiFailure) -> None:
    if batch.count == 1:
        refuse(session, job, batch, str(failure))
        return
    split(session, job, batch)


def split(session: Session, job: Job, batch: Batch) -> None:
    """Too large for the API: its two halves are planned in its place."""
    path = request_file(session.workspace, job, batch.round)
    note = "too large for the API: cut in two"
    if session.ledger.record_split(batch, session.owner, halves(path, batch), session.now(), note):
        session.emit(BatchNotSent(*session.place(batch), note, session.now()))


def refuse(session: Session, job: Job, batch: Batch, said: str) -> None:
    """The API, or somebody before it, says no to what is in the batch. Raises ServiceProblem."""
    if not session.ledger.record_refused(batch, session.owner, session.now(), said):
        return
    _, number, total = session.place(batch)
    session.emit(BatchNotSent(batch, number, total, said, None))
    raise ServiceProblem(
        f"the API refused batch {number} of {total}: {said}{_where(session, job, batch, said)}",
        hint=f"nothing was created for it; its requests stay unanswered: {_others_first(session, job)}batchctl retry {job.name} --edit",
    )


def _others_first(session: Session, job: Job) -> str:
    """A retry takes requests of all batches, and so waits until all of them are settled."""
    is_open = any(not b.is_settled for b in session.ledger.batches(job))
    return f"batchctl run {job.name} --max-rounds {len(job.rounds)}, then " if is_open else ""


def _where(session: Session, job: Job, batch: Batch, said: str) -> str:
    """The API counts requests from the start of the batch; a person counts lines of the input."""
    found = re.search(r"requests\.(\d+)\.", said)
    if not found or int(found.group(1)) >= batch.count or batch.round != 1:
        return ""
    numbers = LineMap(session.workspace.lines(job.name), base=1)
    try:
        return f" (line {numbers.numbers(batch.cut.first + int(found.group(1)), 1)[0]:,} of {job.input_path})"
    finally:
        numbers.close()
