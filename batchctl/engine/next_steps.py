"""The rules of the control loop (pure): `next_steps` says what to do next, from a snapshot of a job. `engine.loop` performs it.

A verb is a set of allowed arrows. A second run after a stop is no special case: it starts from the ledger as it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from batchctl.domain.model import Batch, Job, State
from batchctl.domain.wording import plural
from batchctl.engine.pacing import TRY_MORE_AFTER, admitted

# The pause before the ledger is read again to see what another process has done.
OTHERS_PAUSE = timedelta(seconds=1)
# A clock that is set back by more than this cancels the pauses that were set before. A smaller step only lengthens them.
CLOCK_STEP_TOLERANCE = timedelta(minutes=1)


class Arrow(StrEnum):
    """A kind of step that a verb may allow, with its arrow in the life of a batch (docs/explanation/architecture.md)."""

    SEND = "a, b"
    POLL = "c"
    DOWNLOAD = "d"
    RECONCILE = "e"
    CANCEL = "cancel"


# Those that bring the answers of what is planned to the disk.
TO_ANSWERS = frozenset({Arrow.SEND, Arrow.RECONCILE, Arrow.POLL, Arrow.DOWNLOAD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A job as the ledger has it now, without the claims of dead owners.

    Attributes:
        job: The job.
        batches: The batches of all its rounds.
        busy_counts: Request counts of the batches of other jobs in this workspace that are being sent now.
        poll_due: When the next poll is due; None for at once.
    """

    job: Job
    batches: tuple[Batch, ...]
    busy_counts: frozenset[int] = frozenset()
    poll_due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Create a planned batch at the API."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Find out which of these unconfirmed batches the API has."""

    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask the API about running batches."""

    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Download:
    """Download the results of an ended batch."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask the API to cancel a running batch."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Do nothing until a time, and say why."""

    at: datetime
    why: str


Step = Send | Reconcile | Poll | Download | Cancel | WaitUntil


def next_steps(snapshot: Snapshot, allowed: frozenset[Arrow], now: datetime) -> tuple[Step, ...]:
    """Return the steps that can be taken now, in any order and at the same time.

    A single `WaitUntil` means that nothing can be done before that time; an empty tuple, that the verb is done.
    """
    # While a create of the same size is under way, what it creates would be a candidate.
    counts_being_sent = snapshot.busy_counts | {
        b.count for b in snapshot.batches if b.state is State.SUBMITTING and b.claim is not None
    }
    to_reconcile = tuple(b for b in _unconfirmed_batches(snapshot, allowed) if b.count not in counts_being_sent)
    if any(_is_due(b, now) for b in to_reconcile):
        # Reconcile all of them in one step: a batch that is left out would be taken for a foreign one. Take no other step
        # beside it: a create that is under way would look like a candidate.
        return (Reconcile(to_reconcile),)
    steps: list[Step] = [
        *(Send(b) for b in _sendable(snapshot, allowed, now)),
        *(Cancel(b) for b in _cancelable(snapshot, allowed) if _is_due(b, now)),
        *_polls(snapshot, allowed, now),
        *(Download(b) for b in _downloadable(snapshot, allowed) if _is_due(b, now)),
    ]
    if steps:
        return tuple(steps)
    waits = [*_send_waits(snapshot, allowed, now), *_other_waits(snapshot, allowed, now)]
    return (min(waits, key=lambda wait: wait.at),) if waits else ()


def is_all_else_done(job: Job, batches: Iterable[Batch], allowed: frozenset[Arrow], now: datetime) -> bool:
    """Return whether this verb waits for nothing but unconfirmed batches.

    False for a verb that neither sends nor cancels, which never waits for them.
    """
    if not {Arrow.SEND, Arrow.CANCEL} & allowed:
        return False
    awaited: set[State] = {State.PLANNED} if _may_send(job, allowed) else set()
    awaited |= {State.IN_PROGRESS, State.CANCELING} if Arrow.POLL in allowed else set()
    awaited |= {State.ENDED} if Arrow.DOWNLOAD in allowed else set()
    return not any(b.state in awaited and not b.held and not b.is_removed and not b.is_lost(now) for b in batches)


def has_passed(until: datetime | None, since: datetime | None, now: datetime) -> bool:
    """Return whether a pause is over that was set at `since` and lasts until `until`.

    A `since` in the future shows that our clock was set back: then the pause is over.
    """
    return until is None or until <= now or (since is not None and now < since - CLOCK_STEP_TOLERANCE)


def is_on_hold(job: Job, now: datetime) -> bool:
    """Return whether no batch of a job may be sent yet, because of a rate limit of the API or a network that is down."""
    return not has_passed(job.hold_until, job.hold_at, now)


def _is_due(batch: Batch, now: datetime) -> bool:
    return has_passed(batch.not_before, batch.put_off_at, now)


def _unconfirmed_batches(snapshot: Snapshot, allowed: frozenset[Arrow]) -> list[Batch]:
    if Arrow.RECONCILE not in allowed:
        return []
    return [b for b in snapshot.batches if b.state is State.SUBMITTING and b.claim is None]


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
    # A batch that may be another job's is not canceled: a cancel cannot be undone.
    return [b for b in snapshot.batches if b.state is State.IN_PROGRESS and not b.is_provisional_match]


def _polls(snapshot: Snapshot, allowed: frozenset[Arrow], now: datetime) -> list[Poll]:
    running = tuple(b for b in snapshot.batches if b.is_running)
    is_due = snapshot.poll_due is None or snapshot.poll_due <= now
    return [Poll(running)] if _may_poll(snapshot, allowed) and running and is_due else []


def _may_poll(snapshot: Snapshot, allowed: frozenset[Arrow]) -> bool:
    """Return whether the verb polls. One that sends into a full queue polls, too: a batch that ends makes room for the next."""
    is_queued = snapshot.job.window is not None and any(b.state is State.PLANNED for b in snapshot.batches)
    return Arrow.POLL in allowed or (_may_send(snapshot.job, allowed) and is_queued)


def _downloadable(snapshot: Snapshot, allowed: frozenset[Arrow]) -> list[Batch]:
    if Arrow.DOWNLOAD not in allowed:
        return []
    ended = [b for b in snapshot.batches if b.state is State.ENDED and b.claim is None]
    return [b for b in ended if not b.held and not b.is_removed]


def _send_waits(snapshot: Snapshot, allowed: frozenset[Arrow], now: datetime) -> Iterable[WaitUntil]:
    job = snapshot.job
    if not {Arrow.SEND, Arrow.CANCEL} & allowed:
        return
    for batch in _unconfirmed_batches(snapshot, allowed):
        yield WaitUntil(_later(batch.not_before, now), batch.note or "unconfirmed: looking for it in the API's list")
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
    return WaitUntil(_later(job.window_at + TRY_MORE_AFTER, now), _why_queue_waits(job))


def _why_queue_waits(job: Job) -> str:
    return f"the API's queue took {plural(job.window or 0, 'request')} of this job; sending continues as batches end"


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
        return _why_queue_waits(snapshot.job)
    provisional_match = next(
        (b.message_batch_id for b in snapshot.batches if b.state is State.IN_PROGRESS and b.is_provisional_match), None
    )
    if Arrow.CANCEL not in allowed or provisional_match is None:
        return "batches are in progress"
    return (
        f"{provisional_match} is a provisional match by its size, may belong to somebody else, and is not canceled; to cancel it, if it is yours:"
        f" batchctl resolve {snapshot.job.name} --cancel {provisional_match}"
    )


def _later(at: datetime | None, now: datetime) -> datetime:
    """Return `at` if it is in the future, else a second from now: another process has to act first."""
    return at if at and at > now else now + OTHERS_PAUSE
