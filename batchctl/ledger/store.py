"""One method, one transaction: the connection, and the arrows of the state diagram as rows."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from batchctl.domain.model import Headers, State
from batchctl.domain.states import may_follow
from batchctl.ledger.engine import bring_up_to_date, open_engine, translated
from batchctl.ledger.opening import HEAD, TO_WRITE
from batchctl.ledger.questions import Questions
from batchctl.ledger.schema import batch, job, move


class Store(Questions):
    """Opens the ledger at `path`, making it if it is not there. Raises LedgerProblem."""

    def __init__(self, path: Path) -> None:
        # The journal before any other connection is made: while one reads, it cannot be changed.
        super().__init__(path, TO_WRITE)
        self._engine = open_engine(path)
        self._owners = path.parent / "owners"
        # Leases of owners that cannot be asked whether they live: as last read, and when that changed, by our clock.
        self._seen_leases: dict[str, tuple[datetime, float]] = {}
        if self.revision != HEAD:
            self._bring_up_to_date()

    def close(self) -> None:
        super().close()
        self._engine.dispose()

    @contextlib.contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with translated(self._path), self._engine.connect().execution_options(write=True) as db, db.begin():
            yield db

    def _bring_up_to_date(self) -> None:
        try:
            with translated(self._path):
                bring_up_to_date(self._engine, self._path)
        except BaseException:
            self.close()
            raise
        self.revision = HEAD


def headers_from_here(db: sa.Connection, job_id: int) -> Headers:
    """With what the next create of the job is to be sent."""
    api_version, betas = db.execute(sa.select(job.c.api_version, job.c.betas).where(job.c.id == job_id)).one()
    return Headers(api_version=api_version, betas=tuple(betas))


def state_of(db: sa.Connection, batch_id: int) -> State:
    return State(db.scalars(sa.select(batch.c.state).where(batch.c.id == batch_id)).one())


def advance(db: sa.Connection, batch_id: int, after: State, now: datetime, note: str, **values: Any) -> None:
    """One arrow of the state diagram: any other raises. Only an intent keeps the claim, for the create that follows."""
    before = state_of(db, batch_id)
    if not may_follow(before, after):
        message = f"batch {batch_id} cannot go from {before} to {after}"
        raise AssertionError(message)
    if not (before is State.PLANNED and after is State.SUBMITTING):
        values |= {"owner": None, "lease_until": None}
    db.execute(sa.update(batch).where(batch.c.id == batch_id).values(state=after.value, note=note, **values))
    db.execute(sa.insert(move).values(batch_id=batch_id, at=now, before=before.value, after=after.value, note=note))


def state_of_bound(db: sa.Connection, batch_id: int, message_batch_id: str) -> State | None:
    """None where the batch goes by another name by now, or by none."""
    found = sa.select(batch.c.state).where(batch.c.id == batch_id, batch.c.message_batch_id == message_batch_id)
    state = db.scalar(found)
    return None if state is None else State(state)
