"""The ways in which a ledger comes to have today's tables."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

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


WAYS: tuple[Callable[[Path], None], ...] = (made_at_once, made_by_migrations, made_at_once_before)
