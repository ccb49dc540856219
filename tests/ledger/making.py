"""The two ways in which a ledger comes to have today's tables."""

from collections.abc import Callable
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


WAYS: tuple[Callable[[Path], None], ...] = (made_at_once, made_by_migrations)
