"""When a notification is due, and what it is about: pure functions of a job's state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from batchctl.domain.errors import (
    AccountProblem,
    BatchctlError,
    LedgerProblem,
    ServiceProblem,
    TimedOut,
    UnconfirmedProblem,
    UsageProblem,
)
from batchctl.domain.job_report import Stage
from batchctl.domain.model import Batch
from batchctl.domain.notifications import Notification, NotifyEvent

# How long a process may hold an attempt that it began. A command has a minute and some seconds to end.
ATTEMPT_LIMIT = timedelta(minutes=2)
# Waits after the first attempts; the last one holds for all that follow.
PAUSES = tuple(map(timedelta, (0,) * 7, (1, 4, 60, 300, 900, 3600, 7200)))
# A longer wait is left to a later command.
LONGEST_WAIT = timedelta(seconds=10)
GIVES_UP_AFTER = timedelta(days=1)

FINISHED_STAGES = frozenset({Stage.DONE, Stage.INCOMPLETE, Stage.CANCELED})
STAGES_FOR_A_PERSON = frozenset({Stage.UNCONFIRMED, Stage.LOST, Stage.PAUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """An event of a job, and why it happened: the code of a problem, or a stage."""

    event: NotifyEvent
    reason: str


def occasion_of(stage: Stage, problem: BatchctlError | None, *, was_sent: bool, waits_for_end: bool) -> Occasion | None:
    """Return what the end of a command means for a job; None where nobody is to be notified.

    Args:
        stage: Where the job stands at the end of the command.
        problem: What ended the command, or kept some results from coming; None where nothing did.
        was_sent: Whether any batch of the job was created.
        waits_for_end: Whether the command waits until the job has ended. A command that only sends ends before.
    """
    match problem:
        case TimedOut() | UsageProblem() | LedgerProblem():
            # The person asked for this end, is there to read the message, or no intent can be recorded.
            return None
        case UnconfirmedProblem() | AccountProblem():
            return Occasion(event=NotifyEvent.NEEDS_PERSON, reason=problem.code)
        case ServiceProblem() if stage in FINISHED_STAGES:
            # The API refused some batches for good, and nothing is left to do with the others.
            pass
        case BatchctlError():
            # Before anything was sent, the person who typed the command reads the message.
            return Occasion(event=NotifyEvent.NEEDS_PERSON, reason=problem.code) if was_sent else None
        case None:
            pass
    if not waits_for_end or not was_sent:
        return None
    if stage in FINISHED_STAGES | {Stage.TO_FETCH}:
        return Occasion(event=NotifyEvent.ENDED, reason="ended")
    if stage in STAGES_FOR_A_PERSON:
        return Occasion(event=NotifyEvent.NEEDS_PERSON, reason=stage.name.lower())
    return None


def occasion_key(occasion: Occasion, rounds: int, batches: Sequence[Batch]) -> str:
    """Return a key that is the same until the job moves on: a target is notified once for each key.

    A job moves on when a round is planned, when a batch gets its id at the API, and when an unconfirmed create is presumed to
    have made nothing.
    """
    created = sum(b.message_batch_id is not None for b in batches)
    presumed = sum(b.unknown_creates for b in batches)
    return f"{occasion.event} {occasion.reason} round {rounds} created {created} presumed {presumed}"


def is_due(notification: Notification, now: datetime) -> bool:
    """Return whether an attempt may begin. A clock that was set back makes it due, so that it does not wait for hours."""
    if notification.not_before is None or notification.attempted_at is None:
        return True
    return now >= notification.not_before or now < notification.attempted_at


def next_attempt(attempts: int, created_at: datetime, now: datetime) -> datetime | None:
    """Return when the next attempt is due after so many failed ones; None where no other follows."""
    due = now + PAUSES[min(attempts, len(PAUSES)) - 1]
    return due if due - created_at <= GIVES_UP_AFTER else None


def is_waited_for(due: datetime, now: datetime) -> bool:
    """Return whether this process waits for an attempt instead of leaving it to a later command."""
    return due - now <= LONGEST_WAIT
