"""Claims: two processes may ask for a step at the same instant, and one of them gets it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from batchctl.domain.model import Batch, IfAbsent, State, Unconfirmed
from batchctl.ledger.liveness import LEASE, FileLockLiveness, LeaseLiveness
from batchctl.ledger.rows import headers_values
from batchctl.ledger.schema import batch_table, place_table
from batchctl.ledger.writing import Writer, advance, headers_from_here


class Claims(Writer):
    """The claims of `Ledger`."""

    def __init__(self, path: Path) -> None:
        """Open the ledger at `path`; the locks of its owners lie in the folder `owners` beside it."""
        super().__init__(path)
        self._locks = FileLockLiveness(path.parent / "owners")
        self._leases = LeaseLiveness(self)

    def claim(self, wanted: Batch, owner: str, now: datetime) -> bool:
        """See `Ledger.claim`."""
        with self._write() as db:
            return _claim(db, wanted, owner, now)

    def claim_all(self, wanted: Sequence[Batch], owner: str, now: datetime) -> bool:
        """See `Ledger.claim_all`."""
        with self._write() as db:
            if all(_claim(db, batch, owner, now) for batch in wanted):
                return True
            db.rollback()
            return False

    def claim_send(
        self, wanted: Batch, owner: str, now: datetime, *, created_after: datetime | None, api: str
    ) -> Batch | None:
        """See `Ledger.claim_send`."""
        fresh: dict[str, Any] = {
            "attempt": wanted.attempt + 1,
            "intent_at": now,
            "created_after": created_after,
            "unconfirmed": Unconfirmed.UNKNOWN.value,
            "if_absent": IfAbsent.PLAN.value,
            "api": api,
            "list_reads": 0,
            "not_before": None,
            "put_off_at": None,
        }
        with self._write() as db:
            if wanted.state is not State.PLANNED or not _claim(db, wanted, owner, now):
                return None
            headers, is_canceled = headers_from_here(db, wanted.job_id)
            if is_canceled:
                db.rollback()
                return None
            fresh["headers"] = headers_values(headers)
            advance(db, wanted.id, State.SUBMITTING, now, "", before=State.PLANNED, **fresh)
            db.execute(sa.update(place_table).values(generation=place_table.c.generation + 1))
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
            list_reads=0,
            not_before=None,
        )

    def release(self, owned: Batch, owner: str, *, not_before: datetime | None = None, note: str = "") -> None:
        """See `Ledger.release`."""
        with self._write() as db:
            db.execute(
                sa.update(batch_table)
                .where(batch_table.c.id == owned.id, batch_table.c.owner == owner)
                .values(owner=None, lease_until=None, not_before=not_before, put_off_at=None, note=note)
            )

    def renew(self, owner: str, now: datetime) -> None:
        """See `Ledger.renew`."""
        with self._write() as db:
            db.execute(sa.update(batch_table).where(batch_table.c.owner == owner).values(lease_until=now + LEASE))

    def release_dead(self, elapsed: float) -> int:
        """See `Ledger.release_dead`."""
        holders = self.holders()
        dead = [owner for owner, until in holders.items() if self._is_dead(owner, until, elapsed)]
        self._leases.forget_all_but(holders)
        if not dead:
            return 0
        with self._write() as db:
            freed = sa.update(batch_table).where(batch_table.c.owner.in_(dead)).values(owner=None, lease_until=None)
            return int(db.execute(freed).rowcount)

    def _is_dead(self, owner: str, until: datetime, elapsed: float) -> bool:
        is_alive = self._locks.is_alive(owner)
        return not (self._leases.is_renewed(owner, until, elapsed) if is_alive is None else is_alive)


def _claim(db: sa.Connection, wanted: Batch, owner: str, now: datetime) -> bool:
    free = sa.update(batch_table).where(
        batch_table.c.id == wanted.id,
        batch_table.c.state == wanted.state.value,
        batch_table.c.owner.is_(None),
        # As it was seen: it may have been cut in two, or sent and lost once more, since.
        batch_table.c["count"] == wanted.count,
        batch_table.c.sha256 == wanted.cut.sha256,
        batch_table.c.list_reads == wanted.list_reads,
        batch_table.c.attempt == wanted.attempt,
        batch_table.c.intent_at.is_not_distinct_from(wanted.intent_at),
    )
    return db.execute(free.values(owner=owner, lease_until=now + LEASE)).rowcount == 1
