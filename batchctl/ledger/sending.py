"""Records of sending and reconciling: what became of a batch that was sent, or may have been."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from batchctl.domain.model import Batch, Cut, IfAbsent, MessageBatch, State, Unconfirmed
from batchctl.domain.states import STATE_OF_STATUS, may_follow
from batchctl.ledger.rows import COUNTERS, FORGOTTEN, cut_values, seen_values
from batchctl.ledger.schema import batch_table, duplicate_batch_table, foreign_batch_table, presumed_table
from batchctl.ledger.sqlite import insert_new
from batchctl.ledger.writing import Writer, advance, state_of, state_of_bound

_NOTHING_SEEN: dict[str, Any] = {
    "message_batch_id": None,
    "provisional": False,
    "identified": False,
    "evidence": "",
    "held": "",
    "created_at": None,
    "expires_at": None,
    "ended_at": None,
    "missing_since": None,
    "not_before": None,
    "counts_unread": False,
    **dict.fromkeys(COUNTERS, 0),
}


class Sending(Writer):
    """The records of `Ledger` on creates, each fenced by owner and attempt.

    A process that was suspended for longer than its lease comes back to a step that another has taken over. Then its records
    are refused, but for the id of a batch that it created.
    """

    def record_created(self, sent: Batch, seen: MessageBatch, now: datetime) -> bool:
        """See `Ledger.record_created`."""
        with self._write() as db:
            held = sa.select(batch_table.c.id, batch_table.c.provisional).where(
                batch_table.c.message_batch_id == seen.id
            )
            holder, is_provisional = db.execute(held).one_or_none() or (None, False)
            if holder not in {None, sent.id} and not is_provisional:
                odd = {
                    "unconfirmed": Unconfirmed.ACCEPTED.value,
                    "note": f"{seen.id} was named, which is another batch",
                }
                free = {"owner": None, "lease_until": None}
                db.execute(sa.update(batch_table).where(_is_this(sent), _in_flight()).values(**odd, **free))
                return False
            if holder == sent.id:
                # Another process found it in the list before the answer came.
                known = {"provisional": False, "unconfirmed": Unconfirmed.NOTHING.value}
                db.execute(sa.update(batch_table).where(batch_table.c.id == sent.id).values(known))
                return True
            is_taken = holder is not None and not may_follow(state_of(db, holder), State.SUBMITTING)
            state = _open_state_of(db, sent)
            if is_taken or state is None:
                _disown(db, sent.job_id, seen.id, now)
                _note_duplicate(db, sent.job_id, seen.id, now)
                return False
            if holder is not None:
                advance(db, holder, State.SUBMITTING, now, f"{seen.id} is another batch's", **_NOTHING_SEEN)
            if state is State.PLANNED:
                # Presumed to have made nothing while the answer was under way: it made this.
                advance(db, sent.id, State.SUBMITTING, now, "the answer came late", before=state)
                last = (
                    sa.select(sa.func.max(presumed_table.c.id))
                    .where(presumed_table.c.batch_id == sent.id)
                    .scalar_subquery()
                )
                db.execute(sa.delete(presumed_table).where(presumed_table.c.id == last))
            _bind(db, sent.id, seen, now, provisional=False, unconfirmed=Unconfirmed.NOTHING.value)
            return True

    def record_adopted(self, found: Batch, seen: MessageBatch, owner: str, now: datetime, *, identified: bool) -> bool:
        """See `Ledger.record_adopted`."""
        with self._write() as db:
            is_taken = db.scalar(sa.select(batch_table.c.id).where(batch_table.c.message_batch_id == seen.id))
            if is_taken or not _is_unconfirmed(db, found, owner):
                return False
            _bind(db, found.id, seen, now, provisional=True, identified=identified)
            return True

    def record_not_created(
        self, sent: Batch, owner: str, now: datetime, *, not_before: datetime | None, note: str
    ) -> bool:
        """See `Ledger.record_not_created`."""
        with self._write() as db:
            if not _is_mine(db, sent, owner):
                return False
            again: dict[str, Any] = {"put_off_at": now, "tries": sent.tries + 1, "intent_at": None, "unconfirmed": ""}
            advance(db, sent.id, State.PLANNED, now, note, not_before=not_before, **again)
            return True

    def record_presumed_not_created(self, lost: Batch, owner: str, now: datetime, *, note: str) -> bool:
        """See `Ledger.record_presumed_not_created`."""
        with self._write() as db:
            if lost.state is State.PLANNED or not _is_same(db, lost, owner):
                return False
            if lost.message_batch_id is not None:
                _disown(db, lost.job_id, lost.message_batch_id, now)
                advance(db, lost.id, State.SUBMITTING, now, FORGOTTEN, **_NOTHING_SEEN)
            if lost.unconfirmed is not Unconfirmed.COPIED:
                db.execute(sa.insert(presumed_table).values(_presumed_values(lost, now)))
            again: dict[str, Any] = {"intent_at": None, "not_before": None, "tries": lost.tries + 1, "unconfirmed": ""}
            advance(db, lost.id, State.PLANNED, now, note, **again, **_counted(lost))
            return True

    def record_unconfirmed(
        self,
        sent: Batch,
        owner: str,
        now: datetime,
        *,
        not_before: datetime,
        note: str,
        list_reads: int = 0,
        unconfirmed: Unconfirmed | None = None,
        if_absent: IfAbsent | None = None,
    ) -> None:
        """See `Ledger.record_unconfirmed`."""
        values: dict[str, Any] = {"owner": None, "lease_until": None, "not_before": not_before, "put_off_at": now}
        values |= {"note": note, "list_reads": list_reads}
        values |= {} if unconfirmed is None else {"unconfirmed": unconfirmed.value}
        values |= {} if if_absent is None else {"if_absent": if_absent.value}
        with self._write() as db:
            if _is_unconfirmed(db, sent, owner):
                db.execute(sa.update(batch_table).where(batch_table.c.id == sent.id).values(values))

    def record_copied(self, planned: Sequence[Batch], now: datetime, note: str, *, api: str) -> None:
        """See `Ledger.record_copied`."""
        with self._write() as db:
            for one in planned:
                is_free = sa.and_(
                    batch_table.c.id == one.id, batch_table.c.owner.is_(None), batch_table.c.attempt == one.attempt
                )
                if db.scalar(sa.select(batch_table.c.state).where(is_free)) == State.PLANNED.value:
                    unknown: dict[str, Any] = {
                        "unconfirmed": Unconfirmed.COPIED.value,
                        "if_absent": IfAbsent.PLAN.value,
                    }
                    fresh: dict[str, Any] = {
                        "intent_at": now,
                        "created_after": None,
                        "list_reads": 0,
                        "not_before": None,
                        "api": api,
                    }
                    fresh["headers"] = sa.null()
                    advance(db, one.id, State.SUBMITTING, now, note, **unknown, **fresh)

    def record_refused(self, sent: Batch, owner: str, now: datetime, note: str) -> bool:
        """See `Ledger.record_refused`."""
        with self._write() as db:
            if not _is_unconfirmed(db, sent, owner):
                return False
            if sent.unconfirmed is Unconfirmed.REFUSED:
                # Not the API's own word: what it shows of this create later is looked for.
                db.execute(sa.insert(presumed_table).values(_presumed_values(sent, now)))
            advance(db, sent.id, State.REFUSED, now, note, unconfirmed="")
            return True

    def record_split(self, sent: Batch, owner: str, halves: Sequence[Cut], now: datetime, note: str) -> bool:
        """See `Ledger.record_split`."""
        with self._write() as db:
            if not _is_unconfirmed(db, sent, owner):
                return False
            if sent.unconfirmed is Unconfirmed.REFUSED:
                db.execute(sa.insert(presumed_table).values(_presumed_values(sent, now)))
            advance(db, sent.id, State.PLANNED, now, note, tries=0, intent_at=None)
            first, second = halves
            # A half inherits what is not known of the whole.
            is_unproven = sent.unconfirmed is Unconfirmed.REFUSED
            kept = {
                "note": note,
                "attempt": sent.attempt,
                "unknown_creates": sent.unknown_creates,
                "unproven_refusals": sent.unproven_refusals + is_unproven,
            }
            db.execute(sa.update(batch_table).where(batch_table.c.id == sent.id).values({**cut_values(first), **kept}))
            db.execute(
                sa.insert(batch_table).values(job_id=sent.job_id, round=sent.round, **{**cut_values(second), **kept})
            )
            return True

    def record_vouched(self, held: Batch, evidence: str) -> bool:
        """See `Ledger.record_vouched`."""
        with self._write() as db:
            is_still = sa.and_(batch_table.c.id == held.id, batch_table.c.message_batch_id == held.message_batch_id)
            values = {"evidence": evidence, "held": ""}
            return db.execute(sa.update(batch_table).where(is_still).values(values)).rowcount == 1

    def record_foreign_batch(self, job_id: int, message_batch_id: str, now: datetime) -> None:
        """See `Ledger.record_foreign_batch`."""
        with self._write() as db:
            _disown(db, job_id, message_batch_id, now)

    def record_duplicate_batch(self, job_id: int, message_batch_id: str, now: datetime) -> None:
        """See `Ledger.record_duplicate_batch`."""
        with self._write() as db:
            _disown(db, job_id, message_batch_id, now)
            _note_duplicate(db, job_id, message_batch_id, now)

    def record_duplicate_ended(self, job_id: int, message_batch_id: str, now: datetime, *, is_free: bool) -> None:
        """See `Ledger.record_duplicate_ended`."""
        with self._write() as db:
            _note_duplicate(db, job_id, message_batch_id, now)
            is_it = sa.and_(
                duplicate_batch_table.c.job_id == job_id, duplicate_batch_table.c.message_batch_id == message_batch_id
            )
            over = sa.update(duplicate_batch_table).where(is_it).values(is_over=True)
            db.execute(sa.delete(duplicate_batch_table).where(is_it) if is_free else over)

    def record_wrong_adoption(self, adopted: Batch, owner: str, now: datetime) -> None:
        """See `Ledger.record_wrong_adoption`."""
        assert adopted.message_batch_id is not None, "what was adopted has a name"
        note = f"{adopted.message_batch_id} holds other requests"
        with self._write() as db:
            state = state_of_bound(db, adopted.id, adopted.message_batch_id)
            is_free = db.scalar(sa.select(batch_table.c.id).where(batch_table.c.id == adopted.id, _is_free_for(owner)))
            if state is None or is_free is None or not may_follow(state, State.SUBMITTING):
                return
            advance(db, adopted.id, State.SUBMITTING, now, note, **_NOTHING_SEEN)

    def record_identified(self, adopted: Batch) -> None:
        """See `Ledger.record_identified`."""
        with self._write() as db:
            is_still = sa.and_(
                batch_table.c.id == adopted.id, batch_table.c.message_batch_id == adopted.message_batch_id
            )
            db.execute(sa.update(batch_table).where(is_still).values(identified=True))


def _disown(db: sa.Connection, job_id: int, message_batch_id: str, now: datetime) -> None:
    values = {"job_id": job_id, "message_batch_id": message_batch_id, "at": now}
    insert_new(db, foreign_batch_table, values)


def _note_duplicate(db: sa.Connection, job_id: int, message_batch_id: str, now: datetime) -> None:
    values = {"job_id": job_id, "message_batch_id": message_batch_id, "at": now, "is_over": False}
    insert_new(db, duplicate_batch_table, values)


def _presumed_values(lost: Batch, now: datetime) -> dict[str, Any]:
    return {"batch_id": lost.id, **asdict(lost.cut), "created_after": lost.created_after, "at": now}


def _counted(lost: Batch) -> dict[str, Any]:
    """Return how many creates of a cut have an unknown outcome, with this one."""
    if lost.unconfirmed is Unconfirmed.REFUSED:
        return {"unproven_refusals": lost.unproven_refusals + 1}
    return {"unknown_creates": lost.unknown_creates + (lost.unconfirmed is not Unconfirmed.COPIED)}


def _is_same(db: sa.Connection, seen: Batch, owner: str) -> bool:
    """Return whether a batch is as it was seen, and no other owner has it."""
    columns = (
        batch_table.c.sha256,
        batch_table.c.intent_at,
        batch_table.c.message_batch_id,
        batch_table.c.state,
        batch_table.c.missing_since,
    )
    values = (seen.cut.sha256, seen.intent_at, seen.message_batch_id, seen.state.value, seen.missing_since)
    same = [column.is_not_distinct_from(value) for column, value in zip(columns, values, strict=True)]
    return db.scalar(sa.select(batch_table.c.id).where(_is_this(seen), _is_free_for(owner), *same)) is not None


def _is_mine(db: sa.Connection, sent: Batch, owner: str) -> bool:
    """Return whether a create is still under way for this owner, in this attempt."""
    is_sent = sa.and_(_is_this(sent), _in_flight(), batch_table.c.owner == owner)
    return db.scalar(sa.select(batch_table.c.id).where(is_sent)) is not None


def _is_unconfirmed(db: sa.Connection, found: Batch, owner: str) -> bool:
    """Return whether the outcome of this attempt is still unknown, and no other owner has the batch."""
    is_open = sa.and_(_is_this(found), _in_flight(), _is_free_for(owner))
    return db.scalar(sa.select(batch_table.c.id).where(is_open)) is not None


def _open_state_of(db: sa.Connection, sent: Batch) -> State | None:
    """Return the state of a batch; None where its row holds other requests or another attempt, or has a batch of the API."""
    open_states = (State.PLANNED.value, State.SUBMITTING.value)
    same = sa.and_(_is_this(sent), batch_table.c["count"] == sent.count, batch_table.c.sha256 == sent.cut.sha256)
    state = db.scalar(sa.select(batch_table.c.state).where(same, batch_table.c.state.in_(open_states)))
    return None if state is None else State(state)


def _in_flight() -> sa.ColumnElement[bool]:
    return batch_table.c.state == State.SUBMITTING.value


def _is_this(sent: Batch) -> sa.ColumnElement[bool]:
    return sa.and_(batch_table.c.id == sent.id, batch_table.c.attempt == sent.attempt)


def _is_free_for(owner: str) -> sa.ColumnElement[bool]:
    return sa.or_(batch_table.c.owner.is_(None), batch_table.c.owner == owner)


def _bind(
    db: sa.Connection,
    batch_id: int,
    seen: MessageBatch,
    now: datetime,
    *,
    provisional: bool,
    identified: bool = False,
    **more: Any,
) -> None:
    known = {"message_batch_id": seen.id, "provisional": provisional, "identified": identified, "not_before": None}
    # Until the API counts them, all of its requests are under way.
    counted = {"processing": batch_table.c["count"]} | seen_values(seen, now)
    # Whoever binds has read in this transaction that it is in flight.
    state, before = STATE_OF_STATUS[seen.processing_status], State.SUBMITTING
    advance(db, batch_id, state, now, seen.id, before=before, tries=0, **counted, **known, **more)
