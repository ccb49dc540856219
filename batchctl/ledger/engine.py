"""The way to the database: how it is opened, brought up to date and locked for writing."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from batchctl.domain.errors import LedgerProblem
from batchctl.ledger.schema import HEAD, REVISIONS

# SQLite before 3.51.3 can corrupt a WAL database when two connections checkpoint at the same instant (the WAL-reset bug).
WAL_IS_SAFE_SINCE = (3, 51, 3)


def journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    return "WAL" if version >= WAL_IS_SAFE_SINCE else "TRUNCATE"


def open_engine(path: Path) -> sa.Engine:
    """The engine on the ledger at `path`, at today's schema. Raises LedgerProblem."""
    # Not as text: a `?` or `#` in the name of a folder would end the path.
    url = sa.URL.create("sqlite", database=str(path))
    engine = sa.create_engine(url, pool_size=8, max_overflow=8)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    with translated(path):
        revision = _stored_revision(engine)
        if revision not in {None, *REVISIONS}:
            raise LedgerProblem(
                f"the ledger {path} was written by a newer batchctl (schema {revision}, this one knows {HEAD})",
                hint="upgrade batchctl; nothing was changed",
            )
        if revision != HEAD:
            _migrate(engine)
    return engine


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as a person needs them."""
    try:
        yield
    except sa.exc.DatabaseError as error:
        reason = str(error.orig)
        hint = "see that the file is readable and writable and the disk has room, then run the same command again"
        if "not a database" in reason or "malformed" in reason:
            hint = f"the file is damaged: put back a copy, or move {path.parent} away to start anew"
        elif "locked" in reason:
            hint = "another batchctl is writing; run the same command again"
        raise LedgerProblem(f"the ledger {path} cannot be used: {reason}", hint=hint) from error


def _on_connect(connection: Any, _: Any) -> None:
    # The driver must not open transactions of its own: ours begin with BEGIN IMMEDIATE.
    connection.isolation_level = None
    for pragma in (
        "busy_timeout=30000",
        f"journal_mode={journal_mode()}",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_begin(connection: sa.Connection) -> None:
    is_write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def _stored_revision(engine: sa.Engine) -> str | None:
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        return None if found is None else str(found)


def _migrate(engine: sa.Engine) -> None:
    # Alembic costs a quarter of a second to import, so it is met only when there is something to do.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
