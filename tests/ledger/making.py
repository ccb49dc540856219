"""The ways in which a ledger comes to have today's tables."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config

from batchctl.ledger import engine
from batchctl.ledger.ledger import Ledger


def made_at_once(path: Path) -> None:
    Ledger(path).close()


def made_by_migrations(path: Path) -> None:
    at = engine.open_engine(path)
    with at.connect().execution_options(write=True) as db, db.begin():
        engine._migrate(db)
    at.dispose()


def made_at_once_before(path: Path) -> None:
    """By a version that made its tables at once, and today's, which added columns at their ends."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / "made_at_0004.sql").read_text(encoding="utf-8"))
    Ledger(path).close()


def upgraded(path: Path, revision: str) -> None:
    """Bring the ledger at `path` to an older revision."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(engine.__file__).parent / "migrations"))
    made = engine.open_engine(path)
    with made.connect().execution_options(write=True) as connection, connection.begin():
        settings.attributes["connection"] = connection
        command.upgrade(settings, revision)
    made.dispose()


WAYS: tuple[Callable[[Path], None], ...] = (made_at_once, made_by_migrations, made_at_once_before)
