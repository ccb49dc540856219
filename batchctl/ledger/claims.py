"""Who is taking a step: two processes may ask for it at the same instant, one of them gets it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from batchctl.domain.model import Batch, State
from batchctl.ledger import owners
from batchctl.ledger.schema import batch, job
from batchctl.ledger.store import Store, advance

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

    def claim_send(self, wanted: Batch, owner: str, now: datetime, *, intent_at: datetime, api: str) -> bool:
        """The claim that is also the intent: from here until an answer is recorded, the batch may exist.

        `intent_at` is the server's time; `api` says where the create goes. False for a job that was canceled meanwhile, too.
        """
        fresh = {"intent_at": intent_at, "api": api, "lost_at": None, "looks": 0, "not_before": None}
        with self._write() as db:
            if wanted.state is not State.PLANNED or not _claim(db, wanted, owner, now):
                return False
            if db.scalar(sa.select(job.c.canceled_at).where(job.c.id == wanted.job_id)) is not None:
                db.rollback()
                return False
            advance(db, wanted.id, State.SUBMITTING, now, "", **fresh)
            return True

    def release(self, owned: Batch, owner: str, *, not_before: datetime | None = None, note: str = "") -> None:
        """Gives the step back; the state stays."""
        with self._write() as db:
            db.execute(
                sa.update(batch)
                .where(batch.c.id == owned.id, batch.c.owner == owner)
                .values(owner=None, lease_until=None, not_before=not_before, note=note)
            )

    def renew(self, owner: str, now: datetime) -> None:
        """A sign of life for all claims of `owner`."""
        with self._write() as db:
            db.execute(sa.update(batch).where(batch.c.owner == owner).values(lease_until=now + LEASE))

    def release_dead(self, now: datetime) -> int:
        """Takes the claims of owners that no longer run; their half-sent batches become doubts. How many."""
        held = self.holders().items()
        dead = [owner for owner, until in held if not _lives(owners.is_alive(self._owners, owner), until, now)]
        if not dead:
            return 0
        with self._write() as db:
            freed = sa.update(batch).where(batch.c.owner.in_(dead)).values(owner=None, lease_until=None)
            return int(db.execute(freed).rowcount)


def _lives(alive: bool | None, until: datetime, now: datetime) -> bool:  # noqa: FBT001 - an answer, not a switch
    return until > now if alive is None else alive


def _claim(db: sa.Connection, wanted: Batch, owner: str, now: datetime) -> bool:
    free = sa.update(batch).where(
        batch.c.id == wanted.id,
        batch.c.state == wanted.state.value,
        batch.c.owner.is_(None),
        # As it was seen: it may have been cut in two, or sent and lost once more, since.
        batch.c["count"] == wanted.count,
        batch.c.sha256 == wanted.cut.sha256,
        batch.c.looks == wanted.looks,
        batch.c.intent_at.is_not_distinct_from(wanted.intent_at),
    )
    return db.execute(free.values(owner=owner, lease_until=now + LEASE)).rowcount == 1
