"""A ledger looked at from outside: whatever state it is in, it is not brought up to date, and no row is changed."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from batchctl.domain.errors import LedgerProblem
from batchctl.domain.health import PUT_BACK, LedgerFacts
from batchctl.ledger import owners
from batchctl.ledger.opening import HEAD
from batchctl.ledger.structure import refuse_strange

WAIT_SECONDS = 5.0
DAMAGE_SHOWN = 3
# Lines that none of the attached batches holds are no batch.
_BY_STATE = "SELECT state, count(*) FROM batch WHERE state != 'in_no_batch' GROUP BY state"


def look(path: Path, owners_folder: Path) -> LedgerFacts:
    """Raises LedgerProblem where it cannot be read at all."""
    with _translated(path), contextlib.closing(_opened(path)) as db:
        damage = [row[0] for row in db.execute(f"PRAGMA quick_check({DAMAGE_SHOWN})") if row[0] != "ok"]
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        revision = (
            db.execute("SELECT version_num FROM alembic_version").fetchone() if "alembic_version" in tables else None
        )
        refuse_strange(path, db, is_newest=revision is not None and revision[0] == HEAD)
        has_rows = {"job", "batch"} <= tables
        by_state = dict(db.execute(_BY_STATE)) if has_rows else {}
        claimed = (
            {row[0] for row in db.execute("SELECT DISTINCT owner FROM batch WHERE owner IS NOT NULL")}
            if has_rows
            else set()
        )
        known = {owner: owners.is_alive(owners_folder, owner) for owner in {*claimed, *_running(owners_folder)}}
        return LedgerFacts(
            bytes=path.stat().st_size,
            damage=tuple(damage),
            revision=revision[0] if revision else None,
            journal=db.execute("PRAGMA journal_mode").fetchone()[0],
            jobs=db.execute("SELECT count(*) FROM job").fetchone()[0] if has_rows else 0,
            by_state=by_state,
            alive=sum(lives is True for lives in known.values()),
            dead=sum(lives is False for owner, lives in known.items() if owner in claimed),
            unknown=sum(lives is None for lives in known.values()),
        )


def _opened(path: Path) -> sqlite3.Connection:
    # For writing where it may be: a transaction that a crash left half-way is rolled back before anything is read.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=WAIT_SECONDS)


def _running(folder: Path) -> Iterator[str]:
    return (path.stem for path in folder.glob("*.lock"))


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise LedgerProblem(f"{path}: {error}", hint=_hint(str(error))) from error


def _hint(reason: str) -> str:
    if "locked" in reason:
        return "another batchctl, or a program that has the file open, is writing: try again when it is done"
    is_damaged = any(word in reason for word in ("not a database", "malformed", "corrupt"))
    return PUT_BACK if is_damaged else "see that it is a file, and readable and writable for you (ls -l)"
