"""How a ledger is opened, without SQLAlchemy: the pragmas of every connection, its revision, errors as a person needs them."""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from batchctl.domain.errors import LedgerProblem

HEAD = "0007"
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")

# SQLite before 3.51.3 can corrupt a WAL database when two connections checkpoint at the same instant (the WAL-reset bug).
WAL_IS_SAFE_SINCE = (3, 51, 3)


def journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    return "WAL" if version >= WAL_IS_SAFE_SINCE else "PERSIST"


# Whoever reads takes the journal as it is: to change it would be to write, in a folder that may only be read.
# A schema that was made elsewhere may call no function that does more than compute.
TO_READ = ("busy_timeout=30000", "trusted_schema=OFF")
TO_WRITE = (*TO_READ, f"journal_mode={journal_mode()}", "synchronous=FULL", "foreign_keys=ON")


def connected(path: Path, pragmas: Iterable[str]) -> sqlite3.Connection:
    """A connection that several threads may use in turn."""
    # For writing where it may be: a transaction that a crash left half-way is rolled back before anything is read.
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        set_up(connection, pragmas)
    except BaseException:
        connection.close()
        raise
    return connection


def set_up(connection: sqlite3.Connection, pragmas: Iterable[str]) -> None:
    # The driver must not open transactions of its own: ours begin with BEGIN IMMEDIATE.
    connection.isolation_level = None
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").close()


def stored_revision(connection: sqlite3.Connection) -> str | None:
    """None for a ledger that is not made yet."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        return None
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if found is None else str(found[0])


def refuse_newer(path: Path, revision: str | None) -> None:
    if revision not in {None, *REVISIONS}:
        raise LedgerProblem(
            f"the ledger {path} was written by a newer batchctl (schema {revision}, this one knows {HEAD})",
            hint="upgrade batchctl; nothing was changed",
        )


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as a person needs them."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise problem(path, str(error)) from error


def problem(path: Path, reason: str) -> LedgerProblem:
    hint = "see that the file is readable and writable and the disk has room, then run the same command again"
    if "not a database" in reason or "malformed" in reason:
        hint = (
            f"the file is damaged: put back a copy of it; without one, move {path.parent} away, and `batchctl attach` the API's"
            " batches with --input before you submit anew: what was sent would be sent, and paid for, again"
        )
    elif "locked" in reason:
        hint = "another batchctl is writing; run the same command again"
    return LedgerProblem(f"the ledger {path} cannot be used: {reason}", hint=hint)
