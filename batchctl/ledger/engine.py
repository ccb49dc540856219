"""The way to write into the database: how it is made, brought up to date and locked."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from batchctl.ledger.opening import TO_WRITE, problem, set_up


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
    """SQLite's errors as SQLAlchemy wraps them, as a person needs them."""
    try:
        yield
    except sa.exc.DatabaseError as error:
        raise problem(path, str(error.orig)) from error


def _on_connect(connection: Any, _: Any) -> None:
    set_up(connection, TO_WRITE)


def _on_begin(connection: sa.Connection) -> None:
    is_write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def migrate(engine: sa.Engine) -> None:
    # Alembic costs a quarter of a second to import, so it is met only when there is something to do.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
