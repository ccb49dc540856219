"""The way to write into the database: how it is made, brought up to date and locked."""

import contextlib
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from batchctl.ledger import schema
from batchctl.ledger.opening import HEAD, TO_WRITE, problem, set_up
from batchctl.ledger.structure import refuse_strange


def open_engine(path: Path) -> sa.Engine:
    """The engine on the ledger at `path`, as it is. Connects to nothing yet."""
    # Not as text: a `?` or `#` in the name of a folder would end the path.
    url = sa.URL.create("sqlite", database=str(path))
    engine = sa.create_engine(url, pool_size=8, max_overflow=8)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as SQLAlchemy wraps them, or as they are, as a person needs them."""
    try:
        yield
    except sa.exc.DatabaseError as error:
        raise problem(path, str(error.orig)) from error
    except sqlite3.DatabaseError as error:
        raise problem(path, str(error)) from error


def _on_connect(connection: Any, _: Any) -> None:
    set_up(connection, TO_WRITE)


def _on_begin(connection: sa.Connection) -> None:
    is_write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def bring_up_to_date(engine: sa.Engine, path: Path) -> None:
    """Make today's tables in an empty database, and migrate those of an older version. All of it or nothing is done.

    Raises LedgerProblem, and nothing is done, where other tables would come of it than any version makes.
    """
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        if connection.exec_driver_sql("SELECT 1 FROM sqlite_master").first():
            _migrate(connection)
        else:
            _make(connection)
        made = connection.connection.driver_connection
        assert isinstance(made, sqlite3.Connection), "the engine is SQLite's"
        refuse_strange(path, made, is_newest=True)


def _make(connection: sa.Connection) -> None:
    """The tables that all migrations would make, and the revision that they are: twenty times as quick."""
    schema.metadata.create_all(connection)
    first_place = {"workspace_id": secrets.token_hex(16), "salt": secrets.token_hex(16)}
    nowhere = {"machine": "", "path": "", "device": 0, "inode": 0, "generation": 0}
    connection.execute(sa.insert(schema.place).values(**first_place, **nowhere))
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version"
        " (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))


def _migrate(connection: sa.Connection) -> None:
    # Alembic costs a quarter of a second to import, so it is met only when there is something to do.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")
