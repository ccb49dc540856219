"""The words of notifications: the targets of a job, and what is to be delivered to each of them.

A target may hold a secret, so its text is kept outside of the ledger: here it has only an id and a label that may be shown.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class NotifyEvent(StrEnum):
    """What a notification is about. The values are the words of the JSON object, which never change."""

    ENDED = "ended"
    NEEDS_PERSON = "needs_person"


class TargetKind(StrEnum):
    """How a target is reached."""

    COMMAND = "command"
    URL = "url"


class Delivery(StrEnum):
    """Where a notification stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # it is not tried again


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTarget:
    """A target of a job, as the ledger knows it.

    Attributes:
        id: A random name, under which its text is kept in the state folder of the user.
        label: What may be shown of it.
    """

    id: str
    kind: TargetKind
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One event of a job for one target.

    Attributes:
        id: The number that the ledger gave it.
        message_id: The webhook-id: the same in every attempt, so that a receiver recognizes a repetition.
        job: The name of the job.
        body: The JSON object, the same in every attempt.
        attempts: Attempts that were begun. It is the fence of what is recorded of an attempt.
        created_at: When it was recorded.
        attempted_at: When the last attempt was recorded; None before the first.
        not_before: When the next attempt is due; None for at once.
    """

    id: int
    target: NotifyTarget
    message_id: str
    job: str
    event: NotifyEvent
    body: str
    attempts: int
    created_at: datetime
    attempted_at: datetime | None = None
    not_before: datetime | None = None
