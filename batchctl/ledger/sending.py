"""Arrows a, b and e: what became of a batch that was sent, or may have been."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from batchctl.domain.model import Batch, Cut, MessageBatch, State
from batchctl.domain.states import OF_STATUS, may_follow
from batchctl.ledger.rows import COUNTERS, cut_values, seen_values
from batchctl.ledger.schema import batch, stranger, surplus
from batchctl.ledger.store import Store, advance, state_of, state_of_bound

_NOTHING_SEEN: dict[str, Any] = {
    "message_batch_id": None,
    "provisional": False,
    "identified": False,
    "created_at": None,
    "expires_at": None,
    "ended_at": None,
    "missing_since": None,
    "not_before": None,
    **dict.fromkeys(COUNTERS, 0),
}


class Sending(Store):
    def record_created(self, sent: Batch, seen: MessageBatch, now: datetime) -> bool:
        """The API's own answer to our create: beyond doubt, whoever adopted the same id meanwhile was wrong.

        False where the row was bound, cut or its id downloaded by another process meanwhile, which takes a clock or a
        drive without locks: then this is a batch too many, kept from ever being adopted.
        """
        with self._write() as db:
            holder = db.scalars(sa.select(batch.c.id).where(batch.c.message_batch_id == seen.id)).one_or_none()
            if holder == sent.id:
                # Somebody looked and found it before the answer came.
                db.execute(sa.update(batch).where(batch.c.id == sent.id).values(provisional=False))
                return True
            is_taken = holder is not None and not may_follow(state_of(db, holder), State.SUBMITTING)
            if is_taken or not _is_still(db, sent):
                _disown(db, sent.job_id, seen.id, now)
                _note_surplus(db, sent.job_id, seen.id, now)
                return False
            if holder is not None:
                advance(db, holder, State.SUBMITTING, now, f"{seen.id} is another batch's", **_NOTHING_SEEN)
            if state_of(db, sent.id) is State.PLANNED:
                # Taken for never created while the answer was under way: it was created.
                advance(db, sent.id, State.SUBMITTING, now, "the answer came late")
            _bind(db, sent.id, seen, now, provisional=False)
            return True

    def record_adopted(self, doubt: Batch, seen: MessageBatch, now: datetime, *, identified: bool) -> bool:
        """The API has it, as far as size and time tell, or some of its ids; False when the id is taken or the doubt gone."""
        with self._write() as db:
            is_taken = db.scalar(sa.select(batch.c.id).where(batch.c.message_batch_id == seen.id))
            if is_taken or state_of(db, doubt.id) is not State.SUBMITTING:
                return False
            _bind(db, doubt.id, seen, now, provisional=True, identified=identified)
            return True

    def record_not_created(self, sent: Batch, now: datetime, *, not_before: datetime | None, note: str) -> None:
        """A definite no, or the end of a doubt: it may be sent again."""
        with self._write() as db:
            advance(db, sent.id, State.PLANNED, now, note, not_before=not_before, tries=sent.tries + 1, intent_at=None)

    def record_given_up(self, doubt: Batch, now: datetime, *, given_up_at: datetime, note: str) -> bool:
        """The end of a doubt, or of a batch that the API no longer knows: it is planned again.

        False where another process was first, or the API knows it again by now. `given_up_at` is the server's time: what its list shows later may be the
        same requests once more.
        """
        with self._write() as db:
            if doubt.state is State.PLANNED or not _is_same(db, doubt):
                return False
            if doubt.message_batch_id is not None:
                _disown(db, doubt.job_id, doubt.message_batch_id, now)
                advance(db, doubt.id, State.SUBMITTING, now, "not known to the API any more", **_NOTHING_SEEN)
            ended = {"given_up_at": given_up_at, "intent_at": None, "not_before": None, "tries": doubt.tries + 1}
            advance(db, doubt.id, State.PLANNED, now, note, **ended)
            return True

    def record_doubt(
        self,
        sent: Batch,
        *,
        not_before: datetime,
        note: str,
        looks: int = 0,
        lost_at: datetime | None = None,
        owner: str | None = None,
    ) -> None:
        """Nobody is sending it and nobody knows: it stays `submitting`, without a claim, looked for `looks` times.

        `lost_at`: when its answer was missed, by the server's clock; None leaves what is known of that. `owner`: who says so; nothing,
        where another has it by now: sent once more, it is no doubt yet.
        """
        values = {"owner": None, "lease_until": None, "not_before": not_before, "note": note, "looks": looks}
        if lost_at is not None:
            values["lost_at"] = lost_at
        with self._write() as db:
            is_doubt = sa.and_(batch.c.id == sent.id, batch.c.state == State.SUBMITTING.value)
            if owner is not None:
                is_doubt = sa.and_(is_doubt, sa.or_(batch.c.owner.is_(None), batch.c.owner == owner))
            db.execute(sa.update(batch).where(is_doubt).values(values))

    def record_refused(self, sent: Batch, now: datetime, note: str) -> None:
        with self._write() as db:
            advance(db, sent.id, State.REFUSED, now, note)

    def record_split(self, sent: Batch, halves: Sequence[Cut], now: datetime, note: str) -> None:
        """Too large for the API: its place is taken by two smaller ones."""
        with self._write() as db:
            advance(db, sent.id, State.PLANNED, now, note, tries=0, intent_at=None)
            first, second = halves
            db.execute(sa.update(batch).where(batch.c.id == sent.id).values({**cut_values(first), "note": note}))
            db.execute(
                sa.insert(batch).values(job_id=sent.job_id, round=sent.round, **{**cut_values(second), "note": note})
            )

    def record_stranger(self, job_id: int, message_batch_id: str, now: datetime) -> None:
        """A batch of the API whose ids are none of this job's doubts': never their candidate again."""
        with self._write() as db:
            _disown(db, job_id, message_batch_id, now)

    def record_surplus(self, job_id: int, message_batch_id: str, now: datetime) -> None:
        """A batch of the API that holds requests of the job which another batch holds, too: never adopted, to be canceled."""
        with self._write() as db:
            _disown(db, job_id, message_batch_id, now)
            _note_surplus(db, job_id, message_batch_id, now)

    def record_surplus_settled(self, job_id: int, message_batch_id: str, now: datetime, *, is_free: bool) -> None:
        """It is over: nothing is left to be done about it. It is forgotten only if none of it was done."""
        with self._write() as db:
            _note_surplus(db, job_id, message_batch_id, now)
            is_it = sa.and_(surplus.c.job_id == job_id, surplus.c.message_batch_id == message_batch_id)
            db.execute(
                sa.delete(surplus).where(is_it) if is_free else sa.update(surplus).where(is_it).values(settled=True)
            )

    def record_wrong_adoption(self, adopted: Batch, now: datetime) -> None:
        """The ids in the results are other requests': the batch is in doubt again, and its candidate may be another's.

        Nothing, where another process was first to find that out.
        """
        assert adopted.message_batch_id is not None, "what was adopted has a name"
        note = f"{adopted.message_batch_id} holds other requests"
        with self._write() as db:
            if state_of_bound(db, adopted.id, adopted.message_batch_id) is None:
                return
            advance(db, adopted.id, State.SUBMITTING, now, note, **_NOTHING_SEEN)

    def record_identified(self, adopted: Batch) -> None:
        """Some of its ids were read: the guess was right as far as they tell."""
        with self._write() as db:
            is_still = sa.and_(batch.c.id == adopted.id, batch.c.message_batch_id == adopted.message_batch_id)
            db.execute(sa.update(batch).where(is_still).values(identified=True))


def _disown(db: sa.Connection, job_id: int, message_batch_id: str, now: datetime) -> None:
    values = {"job_id": job_id, "message_batch_id": message_batch_id, "at": now}
    db.execute(sa.insert(stranger).prefix_with("OR IGNORE").values(values))


def _note_surplus(db: sa.Connection, job_id: int, message_batch_id: str, now: datetime) -> None:
    values = {"job_id": job_id, "message_batch_id": message_batch_id, "at": now, "settled": False}
    db.execute(sa.insert(surplus).prefix_with("OR IGNORE").values(values))


def _is_same(db: sa.Connection, seen: Batch) -> bool:
    """Whether nothing has become of a batch since it was seen: the same requests, intent, name and state."""
    columns = (
        batch.c.id,
        batch.c.sha256,
        batch.c.intent_at,
        batch.c.message_batch_id,
        batch.c.state,
        batch.c.missing_since,
    )
    values = (
        seen.id,
        seen.cut.sha256,
        seen.intent_at,
        seen.message_batch_id,
        seen.state.value,
        seen.missing_since,
    )
    same = [column.is_not_distinct_from(value) for column, value in zip(columns, values, strict=True)]
    return db.scalar(sa.select(batch.c.id).where(*same)) is not None


def _is_still(db: sa.Connection, sent: Batch) -> bool:
    """Whether the row holds the same requests, and no batch of the API yet."""
    open_states = (State.PLANNED.value, State.SUBMITTING.value)
    same = sa.and_(batch.c.id == sent.id, batch.c["count"] == sent.count, batch.c.sha256 == sent.cut.sha256)
    return db.scalar(sa.select(batch.c.id).where(same, batch.c.state.in_(open_states))) is not None


def _bind(
    db: sa.Connection, batch_id: int, seen: MessageBatch, now: datetime, *, provisional: bool, identified: bool = False
) -> None:
    found = {"message_batch_id": seen.id, "provisional": provisional, "identified": identified, "not_before": None}
    advance(db, batch_id, OF_STATUS[seen.processing_status], now, seen.id, tries=0, **seen_values(seen, now), **found)
