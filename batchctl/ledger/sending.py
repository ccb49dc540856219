"""Arrows a, b and e: what became of a batch that was sent, or may have been."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from batchctl.domain.model import Batch, Cut, IfAbsent, MessageBatch, State, Unconfirmed
from batchctl.domain.states import OF_STATUS, may_follow
from batchctl.ledger.rows import COUNTERS, FORGOTTEN, cut_values, seen_values
from batchctl.ledger.schema import batch, presumed, stranger, surplus
from batchctl.ledger.store import Store, advance, state_of, state_of_bound

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


class Sending(Store):
    """Every record of a create is fenced: whoever makes it proves that the step is still its own, by owner and attempt.

    A process that was suspended for longer than its lease comes back to a step that another has taken over: what it has to
    say is refused, but for the id of a batch that it created.
    """

    def record_created(self, sent: Batch, seen: MessageBatch, now: datetime) -> bool:
        """The API's own answer to our create: beyond doubt, whoever adopted the same id meanwhile was wrong.

        False where the requests were sent once more, cut or bound by another process meanwhile: then this is a duplicate
        batch, which is remembered and never adopted. False, too, where the API has named another batch so: then one was
        made, and nobody knows which.
        """
        with self._write() as db:
            held = sa.select(batch.c.id, batch.c.provisional).where(batch.c.message_batch_id == seen.id)
            holder, is_provisional = db.execute(held).one_or_none() or (None, False)
            if holder not in {None, sent.id} and not is_provisional:
                odd = {
                    "unconfirmed": Unconfirmed.ACCEPTED.value,
                    "note": f"{seen.id} was named, which is another batch",
                }
                free = {"owner": None, "lease_until": None}
                db.execute(sa.update(batch).where(_is_this(sent), _in_flight()).values(**odd, **free))
                return False
            if holder == sent.id:
                # Another process found it in the list before the answer came.
                known = {"provisional": False, "unconfirmed": Unconfirmed.NOTHING.value}
                db.execute(sa.update(batch).where(batch.c.id == sent.id).values(known))
                return True
            is_taken = holder is not None and not may_follow(state_of(db, holder), State.SUBMITTING)
            if is_taken or not _is_still(db, sent):
                _disown(db, sent.job_id, seen.id, now)
                _note_surplus(db, sent.job_id, seen.id, now)
                return False
            if holder is not None:
                advance(db, holder, State.SUBMITTING, now, f"{seen.id} is another batch's", **_NOTHING_SEEN)
            if state_of(db, sent.id) is State.PLANNED:
                # Presumed to have made nothing while the answer was under way: it made this.
                advance(db, sent.id, State.SUBMITTING, now, "the answer came late")
                last = sa.select(sa.func.max(presumed.c.id)).where(presumed.c.batch_id == sent.id).scalar_subquery()
                db.execute(sa.delete(presumed).where(presumed.c.id == last))
            _bind(db, sent.id, seen, now, provisional=False, unconfirmed=Unconfirmed.NOTHING.value)
            return True

    def record_adopted(self, found: Batch, seen: MessageBatch, owner: str, now: datetime, *, identified: bool) -> bool:
        """A provisional match: the API has it, as far as its size and some of its ids tell.

        False where the id is taken, or the unconfirmed batch is another process's, or settled, by now.
        """
        with self._write() as db:
            is_taken = db.scalar(sa.select(batch.c.id).where(batch.c.message_batch_id == seen.id))
            if is_taken or not _is_unconfirmed(db, found, owner):
                return False
            _bind(db, found.id, seen, now, provisional=True, identified=identified)
            return True

    def record_not_created(
        self, sent: Batch, owner: str, now: datetime, *, not_before: datetime | None, note: str
    ) -> bool:
        """A definite no: it may be sent again. False where the step is another's by now."""
        with self._write() as db:
            if not _is_mine(db, sent, owner):
                return False
            again = {"put_off_at": now, "tries": sent.tries + 1, "intent_at": None, "unconfirmed": ""}
            advance(db, sent.id, State.PLANNED, now, note, not_before=not_before, **again)
            return True

    def record_presumed(self, lost: Batch, owner: str, now: datetime, *, note: str) -> bool:
        """An unconfirmed create is presumed to have made nothing, or a batch is no longer known to the API: planned again.

        False where another process was first, or the API knows it again by now. The create is remembered: it may be paid for,
        and what the API shows of it later are the same requests once more.
        """
        with self._write() as db:
            if lost.state is State.PLANNED or not _is_same(db, lost, owner):
                return False
            if lost.message_batch_id is not None:
                _disown(db, lost.job_id, lost.message_batch_id, now)
                advance(db, lost.id, State.SUBMITTING, now, FORGOTTEN, **_NOTHING_SEEN)
            if lost.unconfirmed is not Unconfirmed.COPIED:
                db.execute(sa.insert(presumed).values(_presumed_values(lost, now)))
            again = {"intent_at": None, "not_before": None, "tries": lost.tries + 1, "unconfirmed": ""}
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
        looks: int = 0,
        unconfirmed: Unconfirmed | None = None,
        if_absent: IfAbsent | None = None,
    ) -> None:
        """Nobody is sending it and nobody knows: it stays `submitting`, without a claim, looked for `looks` times.

        Nothing where another has the step by now. None leaves what is known.
        """
        values: dict[str, Any] = {"owner": None, "lease_until": None, "not_before": not_before, "put_off_at": now}
        values |= {"note": note, "looks": looks}
        values |= {} if unconfirmed is None else {"unconfirmed": unconfirmed.value}
        values |= {} if if_absent is None else {"if_absent": if_absent.value}
        with self._write() as db:
            if _is_unconfirmed(db, sent, owner):
                db.execute(sa.update(batch).where(batch.c.id == sent.id).values(values))

    def record_copied(self, planned: Sequence[Batch], now: datetime, note: str, *, api: str) -> None:
        """A copy of this workspace may have sent them: they are unconfirmed, unless somebody has taken them meanwhile.

        `api`: with which account; empty for the one that asks.
        """
        with self._write() as db:
            for one in planned:
                is_free = sa.and_(batch.c.id == one.id, batch.c.owner.is_(None), batch.c.attempt == one.attempt)
                if db.scalar(sa.select(batch.c.state).where(is_free)) == State.PLANNED.value:
                    unknown = {"unconfirmed": Unconfirmed.COPIED.value, "if_absent": IfAbsent.PLAN.value}
                    fresh: dict[str, Any] = {
                        "intent_at": now,
                        "created_after": None,
                        "looks": 0,
                        "not_before": None,
                        "api": api,
                    }
                    fresh["headers"] = sa.null()
                    advance(db, one.id, State.SUBMITTING, now, note, **unknown, **fresh)

    def record_refused(self, sent: Batch, owner: str, now: datetime, note: str) -> bool:
        with self._write() as db:
            if not _is_unconfirmed(db, sent, owner):
                return False
            if sent.unconfirmed is Unconfirmed.REFUSED:
                # Not the API's own word: what it shows of this create later is looked for.
                db.execute(sa.insert(presumed).values(_presumed_values(sent, now)))
            advance(db, sent.id, State.REFUSED, now, note, unconfirmed="")
            return True

    def record_split(self, sent: Batch, owner: str, halves: Sequence[Cut], now: datetime, note: str) -> bool:
        """Too large for the API: its place is taken by two smaller ones."""
        with self._write() as db:
            if not _is_unconfirmed(db, sent, owner):
                return False
            if sent.unconfirmed is Unconfirmed.REFUSED:
                db.execute(sa.insert(presumed).values(_presumed_values(sent, now)))
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
            db.execute(sa.update(batch).where(batch.c.id == sent.id).values({**cut_values(first), **kept}))
            db.execute(sa.insert(batch).values(job_id=sent.job_id, round=sent.round, **{**cut_values(second), **kept}))
            return True

    def record_vouched(self, held: Batch, evidence: str) -> bool:
        """A person says that a batch which was found in the list is ours. False where it is another batch's by now."""
        with self._write() as db:
            is_still = sa.and_(batch.c.id == held.id, batch.c.message_batch_id == held.message_batch_id)
            values = {"evidence": evidence, "held": ""}
            return db.execute(sa.update(batch).where(is_still).values(values)).rowcount == 1

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

    def record_wrong_adoption(self, adopted: Batch, owner: str, now: datetime) -> None:
        """The results are other requests': the batch is unconfirmed again, and its candidate may be another's.

        Nothing, where another process is downloading it, has fetched it, or was first to find that out.
        """
        assert adopted.message_batch_id is not None, "what was adopted has a name"
        note = f"{adopted.message_batch_id} holds other requests"
        with self._write() as db:
            state = state_of_bound(db, adopted.id, adopted.message_batch_id)
            is_free = db.scalar(sa.select(batch.c.id).where(batch.c.id == adopted.id, _is_free_for(owner)))
            if state is None or is_free is None or not may_follow(state, State.SUBMITTING):
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


def _presumed_values(lost: Batch, now: datetime) -> dict[str, Any]:
    return {"batch_id": lost.id, **asdict(lost.cut), "created_after": lost.created_after, "at": now}


def _counted(lost: Batch) -> dict[str, int]:
    """The creates of a cut that nobody knows the outcome of, and this one."""
    if lost.unconfirmed is Unconfirmed.REFUSED:
        return {"unproven_refusals": lost.unproven_refusals + 1}
    return {"unknown_creates": lost.unknown_creates + (lost.unconfirmed is not Unconfirmed.COPIED)}


def _is_same(db: sa.Connection, seen: Batch, owner: str) -> bool:
    """Whether nothing has become of a batch since it was seen, and nobody else is at it."""
    columns = (batch.c.sha256, batch.c.intent_at, batch.c.message_batch_id, batch.c.state, batch.c.missing_since)
    values = (seen.cut.sha256, seen.intent_at, seen.message_batch_id, seen.state.value, seen.missing_since)
    same = [column.is_not_distinct_from(value) for column, value in zip(columns, values, strict=True)]
    return db.scalar(sa.select(batch.c.id).where(_is_this(seen), _is_free_for(owner), *same)) is not None


def _is_mine(db: sa.Connection, sent: Batch, owner: str) -> bool:
    """Whether a create is still under way for this owner, in this attempt."""
    is_sent = sa.and_(_is_this(sent), _in_flight(), batch.c.owner == owner)
    return db.scalar(sa.select(batch.c.id).where(is_sent)) is not None


def _is_unconfirmed(db: sa.Connection, found: Batch, owner: str) -> bool:
    """Whether its outcome is still not known in this attempt, and nobody else is at it."""
    is_open = sa.and_(_is_this(found), _in_flight(), _is_free_for(owner))
    return db.scalar(sa.select(batch.c.id).where(is_open)) is not None


def _is_still(db: sa.Connection, sent: Batch) -> bool:
    """Whether the row holds the same requests in the same attempt, and no batch of the API yet."""
    open_states = (State.PLANNED.value, State.SUBMITTING.value)
    same = sa.and_(_is_this(sent), batch.c["count"] == sent.count, batch.c.sha256 == sent.cut.sha256)
    return db.scalar(sa.select(batch.c.id).where(same, batch.c.state.in_(open_states))) is not None


def _in_flight() -> sa.ColumnElement[bool]:
    return batch.c.state == State.SUBMITTING.value


def _is_this(sent: Batch) -> sa.ColumnElement[bool]:
    return sa.and_(batch.c.id == sent.id, batch.c.attempt == sent.attempt)


def _is_free_for(owner: str) -> sa.ColumnElement[bool]:
    return sa.or_(batch.c.owner.is_(None), batch.c.owner == owner)


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
    count = sa.select(batch.c["count"]).where(batch.c.id == batch_id)
    counted = {"processing": db.scalar(count)} | seen_values(seen, now)
    advance(db, batch_id, OF_STATUS[seen.processing_status], now, seen.id, tries=0, **counted, **known, **more)
