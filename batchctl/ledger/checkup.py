"""An examination of a ledger in whatever state it is: it is not brought up to date, and no row is changed."""

import contextlib
from pathlib import Path

import sqlalchemy as sa

from batchctl.domain.errors import LedgerProblem
from batchctl.domain.health import PUT_BACK, LedgerFacts
from batchctl.domain.model import State
from batchctl.ledger.liveness import FileLockLiveness
from batchctl.ledger.schema import batch_table, job_table
from batchctl.ledger.sqlite import SqliteDatabase

WAIT_SECONDS = 5.0

# Lines that none of the attached batches holds are no batch.
_BY_STATE = (
    sa.select(batch_table.c.state, sa.func.count())
    .where(batch_table.c.state != State.IN_NO_BATCH.value)
    .group_by(batch_table.c.state)
)
_OWNERS = sa.select(batch_table.c.owner).where(batch_table.c.owner.is_not(None)).distinct()


def examine(path: Path, owners_folder: Path) -> LedgerFacts:
    """Return what the ledger at `path` says of itself, and who holds claims in it.

    Raises:
        LedgerProblem: It cannot be read at all, or its schema is none of ours.
    """
    database = SqliteDatabase(path, busy_seconds=WAIT_SECONDS, must_exist=True, problem=_problem)
    with contextlib.closing(database):
        damage = database.damage()
        database.check(accepts_newer=True)
        by_state, claimed, jobs = {}, set(), 0
        with database.read() as db:
            if {"job", "batch"} <= set(sa.inspect(db).get_table_names()):
                by_state = {row[0]: row[1] for row in db.execute(_BY_STATE)}
                claimed = set(db.scalars(_OWNERS))
                jobs = db.scalar(sa.select(sa.func.count()).select_from(job_table)) or 0
        liveness = FileLockLiveness(owners_folder)
        known = {owner: liveness.is_alive(owner) for owner in {*claimed, *liveness.announced()}}
        return LedgerFacts(
            bytes=path.stat().st_size,
            damage=damage,
            revision=database.revision,
            journal=database.journal(),
            jobs=jobs,
            by_state=by_state,
            alive=sum(lives is True for lives in known.values()),
            dead=sum(lives is False for owner, lives in known.items() if owner in claimed),
            unknown=sum(lives is None for lives in known.values()),
        )


def _problem(path: Path, reason: str) -> LedgerProblem:
    if "locked" in reason:
        hint = "another process is writing to the file: try again when it is done"
    elif any(word in reason for word in ("not a database", "malformed", "corrupt")):
        hint = PUT_BACK
    else:
        hint = "check the owner and permissions of the file: ls -l"
    return LedgerProblem(f"{path}: {reason}", hint=hint)
