"""Who is taking a step: two processes may ask for it at the same instant, one of them gets it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from batchctl.domain.model import Batch, IfAbsent, State, Unconfirmed
from batchctl.ledger import owners
from batchctl.ledger.rows import headers_values
from batchctl.ledger.schema import batch, job, place
from batchctl.ledger.store import Store, advance, headers_from_here

LEASE = timedelta(minutes=2)


class Claims(Store):
    def claim(self, wanted: Batch, owner: str, now: datetime) -> bool:
        """Takes the next step on a batch for `owner`, if it is still in this state and nobody has it."""
        with self._write() as db:
            return _claim(db, wanted, owner, now)

    def claim_all(self, wanted: Sequence[Batch], owner: str, now: datetime) -> bool:
        """All of them or none: who settles a part of the doubts takes the batches of the rest for a stranger's."""
        with self._write() as db:
            if all(_claim(db, one, owner, now) for one in wanted):
                return True
            db.rollback()
            return False

    def claim_send(
        self, wanted: Batch, owner: str, now: datetime, *, created_after: datetime | None, api: str
    ) -> Batch | None:
        """The claim that is also the intent: from here until an answer is recorded, the batch may exist.

        Return the batch with its new attempt; None where another was first, or the job was canceled meanwhile.
        `created_after`: the newest `created_at` that the API has shown so far; `api` says where the create goes. It is to be
        sent with the headers that it has then: those of the job at this instant, whoever changed them since it was planned.
        """
        fresh: dict[str, Any] = {
            "attempt": wanted.attempt + 1,
            "intent_at": now,
            "created_after": created_after,
            "unconfirmed": Unconfirmed.UNKNOWN.value,
            "if_absent": IfAbsent.PLAN.value,
            "api": api,
            "looks": 0,
            "not_before": None,
            "put_off_at": None,
        }
        with self._write() as db:
            if wanted.state is not State.PLANNED or not _claim(db, wanted, owner, now):
                return None
            if db.scalar(sa.select(job.c.canceled_at).where(job.c.id == wanted.job_id)) is not None:
                db.rollback()
                return None
            headers = headers_from_here(db, wanted.job_id)
            advance(db, wanted.id, State.SUBMITTING, now, "", headers=headers_values(headers), **fresh)
            db.execute(sa.update(place).values(generation=place.c.generation + 1))
        return replace(
            wanted,
            state=State.SUBMITTING,
            attempt=wanted.attempt + 1,
            intent_at=now,
            created_after=created_after,
            unconfirmed=Unconfirmed.UNKNOWN,
            if_absent=IfAbsent.PLAN,
            api=api,
            headers=headers,
            looks=0,
            not_before=None,
        )

    def is_held(self, sent: Batch, owner: str) -> bool:
        """Whether the create under way is still this owner's, in this attempt."""
        return self.holder_of(sent) == (owner, sent.attempt)

    def release(self, owned: Batch, owner: str, *, not_before: datetime | None = None, note: str = "") -> None:
        """Gives the step back; the state stays."""
        with self._write() as db:
            db.execute(
                sa.update(batch)
                .where(batch.c.id == owned.id, batch.c.owner == owner)
                .values(owner=None, lease_until=None, not_before=not_before, put_off_at=None, note=note)
            )

    def renew(self, owner: str, now: datetime) -> None:
        """A sign of life for all claims of `owner`."""
        with self._write() as db:
            db.execute(sa.update(batch).where(batch.c.owner == owner).values(lease_until=now + LEASE))

    def release_dead(self, elapsed: float) -> int:
        """Take the claims of owners that no longer run; their half-sent batches become unconfirmed. How many.

        `elapsed`: seconds of a clock that does not stop in a sleep. An owner that cannot be asked, as one on another host,
        is dead when its lease has not been renewed for LEASE of them: its own clock says nothing here.
        """
        held = self.holders()
        dead = [owner for owner, until in held.items() if not self._lives(owner, until, elapsed)]
        self._seen_leases = {owner: seen for owner, seen in self._seen_leases.items() if owner in held}
        if not dead:
            return 0
        with self._write() as db:
            freed = sa.update(batch).where(batch.c.owner.in_(dead)).values(owner=None, lease_until=None)
            return int(db.execute(freed).rowcount)

    def _lives(self, owner: str, until: datetime, elapsed: float) -> bool:
        alive = owners.is_alive(self._owners, owner)
        if alive is not None:
            return alive
        seen = self._seen_leases.get(owner)
        if seen is None or seen[0] != until:
            self._seen_leases[owner] = seen = until, elapsed
        return elapsed - seen[1] < LEASE.total_seconds()


def _claim(db: sa.Connection, wanted: Batch, owner: str, now: datetime) -> bool:
    free = sa.update(batch).where(
        batch.c.id == wanted.id,
        batch.c.state == wanted.state.value,
        batch.c.owner.is_(None),
        # As it was seen: it may have been cut in two, or sent and lost once more, since.
        batch.c["count"] == wanted.count,
        batch.c.sha256 == wanted.cut.sha256,
        batch.c.looks == wanted.looks,
        batch.c.attempt == wanted.attempt,
        batch.c.intent_at.is_not_distinct_from(wanted.intent_at),
    )
    return db.execute(free.values(owner=owner, lease_until=now + LEASE)).rowcount == 1
