"""What to do next: one pure function over a snapshot of a job.

A verb is a set of allowed arrows. A stop and a re-run is no special case: the next call sees the ledger as it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from batchctl.domain.model import Batch, Job, State
from batchctl.engine.pacing import TRY_MORE_AFTER, admitted

OTHERS_PAUSE = timedelta(seconds=1)
# A clock that is put back by less makes a pause longer by that; by more, and what was put off is due.
PUT_BACK = timedelta(minutes=1)


class Arrow(StrEnum):
    SEND = "a, b"
    POLL = "c"
    DOWNLOAD = "d"
    RECONCILE = "e"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A job as the ledger has it now; claims of dead owners are already gone.

    `busy_counts`: request counts of batches that somebody is sending for other jobs of this workspace.
    """

    job: Job
    batches: tuple[Batch, ...]
    busy_counts: frozenset[int] = frozenset()
    poll_due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Send:
    batch: Batch


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Find out which of these doubts the API has."""

    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Poll:
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Download:
    batch: Batch


@dataclass(frozen=True, slots=True)
class Cancel:
    batch: Batch


@dataclass(frozen=True, slots=True)
class WaitUntil:
    at: datetime
    why: str


Step = Send | Reconcile | Poll | Download | Cancel | WaitUntil


def next_steps(snapshot: Snapshot, allowed: frozenset[Arrow], now: datetime) -> tuple[Step, ...]:
    """The steps that can be taken now, all at once; a single `WaitUntil` when there is only waiting; empty when done."""
    unconfirmed_batches = _unconfirmed_batches(snapshot, allowed)
    settle = tuple(b for b in unconfirmed_batches if b.count not in _counts_being_sent(snapshot))
    if any(_is_due(b, now) for b in settle):
        # All of them together: one left out would leave its batch to be taken for a stranger's. And alone in its wave: a
        # create of ours in flight would look like a candidate.
        return (Reconcile(settle),)
    steps: list[Step] = [
        *(Send(b) for b in _sendable(snapshot, allowed, now)),
        *(Cancel(b) for b in _cancelable(snapshot, allowed) if _is_due(b, now)),
        *_polls(snapshot, allowed, now),
        *(Download(b) for b in _downloadable(snapshot, allowed) if _is_due(b, now)),
    ]
    return tuple(steps) or _waits(snapshot, allowed, now)


def is_all_else_done(job: Job, batches: Iterable[Batch], allowed: frozenset[Arrow], now: datetime) -> bool:
    """Whether doubts are all that this verb still waits for. One that neither sends nor cancels never waits for them."""
    if not {Arrow.SEND, Arrow.CANCEL} & allowed:
        return False
    moving: set[State] = {State.PLANNED} if _may_send(job, allowed) else set()
    moving |= {State.IN_PROGRESS, State.CANCELING} if Arrow.POLL in allowed else set()
    moving |= {State.ENDED} if Arrow.DOWNLOAD in allowed else set()
    return not any(b.state in moving and not b.held and not b.is_removed and not b.is_lost(now) for b in batches)


def has_passed(until: datetime | None, since: datetime | None, now: datetime) -> bool:
    """Whether a pause is over that was set at `since`. One of the future was set before our clock was put back, and says nothing."""
    return until is None or until <= now or (since is not None and now < since - PUT_BACK)


def is_on_hold(job: Job, now: datetime) -> bool:
    """Whether no batch of it may be sent yet, by a limit of the API's or for want of a network."""
    return not has_passed(job.hold_until, job.hold_at, now)


def _is_due(batch: Batch, now: datetime) -> bool:
    return has_passed(batch.not_before, batch.put_off_at, now)


def _unconfirmed_batches(snapshot: Snapshot, allowed: frozenset[Arrow]) -> list[Batch]:
    if Arrow.RECONCILE not in allowed:
        return []
    return [b for b in snapshot.batches if b.state is State.SUBMITTING and b.claim is None]


def _counts_being_sent(snapshot: Snapshot) -> frozenset[int]:
    ours = {b.count for b in snapshot.batches if b.state is State.SUBMITTING and b.claim is not None}
    return snapshot.busy_counts | ours


def _sendable(snapshot: Snapshot, allowed: frozenset[Arrow], now: datetime) -> list[Batch]:
    job = snapshot.job
    if not _may_send(job, allowed) or is_on_hold(job, now):
        return []
    planned = [b for b in snapshot.batches if b.state is State.PLANNED and b.claim is None and _is_due(b, now)]
    return admitted(job, planned, snapshot.batches, now)


def _may_send(job: Job, allowed: frozenset[Arrow]) -> bool:
    return Arrow.SEND in allowed and not job.paused and job.canceled_at is None


def _cancelable(snapshot: Snapshot, allowed: frozenset[Arrow]) -> list[Batch]:
    if Arrow.CANCEL not in allowed or snapshot.job.canceled_at is None:
        return []
    # What may be somebody else's is not canceled: that cannot be taken back.
    return [b for b in snapshot.batches if b.state is State.IN_PROGRESS and not b.is_provisional_match]


def _polls(snapshot: Snapshot, allowed: frozenset[Arrow], now: datetime) -> list[Poll]:
    running = tuple(b for b in snapshot.batches if b.is_running)
    is_due = snapshot.poll_due is None or snapshot.poll_due <= now
    return [Poll(running)] if _may_poll(snapshot, allowed) and running and is_due else []


def _may_poll(snapshot: Snapshot, allowed: frozenset[Arrow]) -> bool:
    """Who sends into a full queue looks, too: as batches end there is room for the next."""
    is_queued = snapshot.job.window is not None and any(b.state is State.PLANNED for b in snapshot.batches)
    return Arrow.POLL in allowed or (_may_send(snapshot.job, allowed) and is_queued)


def _downloadable(snapshot: Snapshot, allowed: frozenset[Arrow]) -> list[Batch]:
    if Arrow.DOWNLOAD not in allowed:
        return []
    ended = [b for b in snapshot.batches if b.state is State.ENDED and b.claim is None]
    return [b for b in ended if not b.held and not b.is_removed]


def _waits(snapshot: Snapshot, allowed: frozenset[Arrow], now: datetime) -> tuple[WaitUntil, ...]:
    """The earliest of all reasons to wait; none means that this verb has nothing left to do."""
    waits = [*_send_waits(snapshot, allowed, now), *_other_waits(snapshot, allowed, now)]
    return (min(waits, key=lambda wait: wait.at),) if waits else ()


def _send_waits(snapshot: Snapshot, allowed: frozenset[Arrow], now: datetime) -> Iterable[WaitUntil]:
    job = snapshot.job
    if not {Arrow.SEND, Arrow.CANCEL} & allowed:
        return
    for batch in _unconfirmed_batches(snapshot, allowed):
        yield WaitUntil(_later(batch.not_before, now), batch.note or "unconfirmed: looking whether the API has it")
    for batch in snapshot.batches:
        if batch.state is State.PLANNED and batch.claim is None and _may_send(job, allowed):
            yield _planned_wait(job, batch, now)
        elif batch.claim is not None and batch.state in {State.PLANNED, State.SUBMITTING} and not job.paused:
            yield WaitUntil(now + OTHERS_PAUSE, "another process is sending")


def _planned_wait(job: Job, batch: Batch, now: datetime) -> WaitUntil:
    if job.hold_until is not None and is_on_hold(job, now):
        return WaitUntil(job.hold_until, job.hold_reason)
    if not _is_due(batch, now) or job.window is None or job.window_at is None:
        return WaitUntil(_later(batch.not_before, now), batch.note)
    return WaitUntil(_later(job.window_at + TRY_MORE_AFTER, now), _queue_is_full(job))


def _queue_is_full(job: Job) -> str:
    return f"the API's queue took {job.window:,} requests of this job at once: sending goes on as batches end"


def _other_waits(snapshot: Snapshot, allowed: frozenset[Arrow], now: datetime) -> Iterable[WaitUntil]:
    if _may_poll(snapshot, allowed) and any(b.is_running and not b.is_lost(now) for b in snapshot.batches):
        yield WaitUntil(_later(snapshot.poll_due, now), _why_polling(snapshot, allowed))
    for batch in (b for b in _cancelable(snapshot, allowed) if not b.is_lost(now)):
        yield WaitUntil(_later(batch.not_before, now), batch.note)
    if Arrow.DOWNLOAD not in allowed:
        return
    for batch in snapshot.batches:
        if batch.state is State.ENDED and batch.claim is not None:
            yield WaitUntil(now + OTHERS_PAUSE, "another process is downloading")
        elif batch.state is State.ENDED and not (batch.held or batch.is_removed or batch.is_lost(now)):
            yield WaitUntil(_later(batch.not_before, now), batch.note)


def _why_polling(snapshot: Snapshot, allowed: frozenset[Arrow]) -> str:
    if Arrow.POLL not in allowed:
        return _queue_is_full(snapshot.job)
    guess = next(
        (b.message_batch_id for b in snapshot.batches if b.state is State.IN_PROGRESS and b.is_provisional_match), None
    )
    if Arrow.CANCEL not in allowed or guess is None:
        return "batches are in progress"
    return (
        f"{guess} is a provisional match by its size, may be somebody else's, and is not canceled; if it is yours:"
        f" batchctl resolve {snapshot.job.name} --cancel {guess}"
    )


def _later(at: datetime | None, now: datetime) -> datetime:
    """A time that has come and still left nothing to do waits for somebody else: never for no time at all."""
    return at if at and at > now else now + OTHERS_PAUSE
