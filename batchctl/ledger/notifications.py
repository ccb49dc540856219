"""Notifications: an intent is recorded before the first attempt, and each attempt is claimed by its number."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from batchctl.domain.model import Job
from batchctl.domain.notifications import Delivery, Notification, NotifyEvent, NotifyTarget, TargetKind
from batchctl.ledger.schema import notification_table, notify_target_table
from batchctl.ledger.sqlite import insert_new
from batchctl.ledger.writing import Writer


class Notifications(Writer):
    """The records of `Ledger` on notifications."""

    def record_notify_targets(self, job: Job, kind: TargetKind, targets: Sequence[NotifyTarget]) -> None:
        """See `Ledger.record_notify_targets`."""
        mine = sa.and_(notify_target_table.c.job_id == job.id, notify_target_table.c.kind == kind.value)
        kept = [target.id for target in targets]
        gone = sa.select(notify_target_table.c.id).where(mine, notify_target_table.c.id.not_in(kept))
        with self._write() as db:
            db.execute(sa.delete(notification_table).where(notification_table.c.target_id.in_(gone)))
            db.execute(sa.delete(notify_target_table).where(mine, notify_target_table.c.id.not_in(kept)))
            for target in targets:
                values = {"id": target.id, "job_id": job.id, "kind": kind.value, "label": target.label}
                insert_new(db, notify_target_table, values)

    def record_notifications(self, job: Job, event: NotifyEvent, occasion: str, body: str, now: datetime) -> None:
        """See `Ledger.record_notifications`."""
        mine = (
            sa.select(notify_target_table.c.id)
            .where(notify_target_table.c.job_id == job.id)
            .order_by(notify_target_table.c.kind, notify_target_table.c.id)
        )
        with self._write() as db:
            for target_id in db.scalars(mine).all():
                values = {
                    "target_id": target_id,
                    "occasion": occasion,
                    "event": event.value,
                    "message_id": _message_id(target_id, occasion),
                    "body": body,
                    "created_at": now,
                    "delivery": Delivery.PENDING.value,
                    "attempts": 0,
                    "note": "",
                }
                insert_new(db, notification_table, values)

    def claim_notification(self, wanted: Notification, now: datetime, *, until: datetime) -> Notification | None:
        """See `Ledger.claim_notification`."""
        claimed = replace(wanted, attempts=wanted.attempts + 1, attempted_at=now, not_before=until)
        values = {"attempts": claimed.attempts, "attempted_at": now, "not_before": until}
        with self._write() as db:
            is_ours = bool(db.execute(_as_seen(wanted).values(values)).rowcount)
        return claimed if is_ours else None

    def record_attempt(
        self,
        claimed: Notification,
        delivery: Delivery,
        now: datetime,
        *,
        not_before: datetime | None = None,
        note: str = "",
    ) -> bool:
        """See `Ledger.record_attempt`."""
        values = {"delivery": delivery.value, "attempted_at": now, "not_before": not_before, "note": note}
        with self._write() as db:
            return bool(db.execute(_as_seen(claimed).values(values)).rowcount)


def _message_id(target_id: str, occasion: str) -> str:
    """Return the id of a message, which is the same in every copy of a ledger. Ids of targets are random, and so it is unique."""
    return f"msg_{hashlib.blake2b(f'{target_id} {occasion}'.encode(), digest_size=16).hexdigest()}"


def _as_seen(notification: Notification) -> sa.Update:
    """Match the row as long as it is pending and no other attempt was begun."""
    return sa.update(notification_table).where(
        notification_table.c.id == notification.id,
        notification_table.c.delivery == Delivery.PENDING.value,
        notification_table.c.attempts == notification.attempts,
    )
