"""What all records share: one method is one transaction; the arrows of `domain.states` as changes of rows."""

import contextlib
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from batchctl.domain.model import Headers, State
from batchctl.domain.states import may_follow
from batchctl.ledger.reading import SqlReadLedger
from batchctl.ledger.schema import HEAD, batch_table, job_table, move_table


class Writer(SqlReadLedger):
    """A ledger that is written as well."""

    _writes = True

    def __init__(self, path: Path) -> None:
        """Open the ledger at `path`; make it where there is none, and bring an older one up to date.

        Raises:
            LedgerProblem: It cannot be used, a newer program wrote it, or its schema is none of ours.
        """
        super().__init__(path)
        if self.revision != HEAD:
            with contextlib.ExitStack() as undo:
                undo.callback(self.close)
                self._database.bring_up_to_date()
                undo.pop_all()

    def _write(self) -> contextlib.AbstractContextManager[sa.Connection]:
        return self._database.write()


def headers_from_here(db: sa.Connection, job_id: int) -> tuple[Headers, bool]:
    """Return the headers that the next create of a job is to be sent with, and whether the job was canceled."""
    stored = sa.select(job_table.c.api_version, job_table.c.betas, job_table.c.canceled_at).where(
        job_table.c.id == job_id
    )
    api_version, betas, canceled_at = db.execute(stored).one()
    return Headers(api_version=api_version, betas=tuple(betas)), canceled_at is not None


def state_of(db: sa.Connection, batch_id: int) -> State:
    """Return the state of a batch."""
    return State(db.scalars(sa.select(batch_table.c.state).where(batch_table.c.id == batch_id)).one())


def state_of_bound(db: sa.Connection, batch_id: int, message_batch_id: str) -> State | None:
    """Return the state of a batch; None where it has another id at the API by now, or none."""
    bound = sa.select(batch_table.c.state).where(
        batch_table.c.id == batch_id, batch_table.c.message_batch_id == message_batch_id
    )
    state = db.scalar(bound)
    return None if state is None else State(state)


def advance(
    db: sa.Connection,
    batch_id: int,
    after: State,
    now: datetime,
    note: str,
    *,
    before: State | None = None,
    **values: Any,
) -> None:
    """Move a batch along an arrow of `domain.states` and log the move.

    The claim ends with it; only an intent keeps it, for the create that follows.

    Args:
        db: A connection in a transaction.
        batch_id: The batch.
        after: Its new state.
        now: When that was learned.
        note: A remark for the batch and its log.
        before: Its state, where this transaction has read it already.
        values: More columns of the batch.

    Raises:
        AssertionError: `domain.states` has no such arrow.
    """
    before = before or state_of(db, batch_id)
    if not may_follow(before, after):
        message = f"batch {batch_id} cannot go from {before} to {after}"
        raise AssertionError(message)
    if not (before is State.PLANNED and after is State.SUBMITTING):
        values |= {"owner": None, "lease_until": None}
    changed = sa.update(batch_table).where(batch_table.c.id == batch_id)
    db.execute(changed.values(state=after.value, note=note, **values))
    moved = {"batch_id": batch_id, "at": now, "before": before.value, "after": after.value, "note": note}
    db.execute(sa.insert(move_table).values(moved))
