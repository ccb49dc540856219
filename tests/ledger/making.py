"""The ways in which a ledger comes to have today's tables."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config

from batchctl.ledger import sqlite as engine
from batchctl.ledger.ledger import SqlLedger


def made_at_once(path: Path) -> None:
    SqlLedger(path).close()


def made_by_migrations(path: Path) -> None:
    with closing(engine.SqliteDatabase(path)) as database:
        database.open(writes=True)
        with database.write() as db:
            engine._migrate(db)


def made_at_0004(path: Path) -> None:
    """Tables that an older version made at once, and that migrations added columns to."""
    _made_from("made_at_0004.sql", path)


def made_at_0007(path: Path) -> None:
    """Tables that the last version before the renamed tables made at once."""
    _made_from("made_at_0007.sql", path)


def _made_from(script: str, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript((Path(__file__).parent / script).read_text(encoding="utf-8"))
    SqlLedger(path).close()


def upgraded(path: Path, revision: str) -> None:
    """Bring the ledger at `path` to an older revision."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(engine.__file__).parent / "migrations"))
    with closing(engine.SqliteDatabase(path)) as database:
        database.open(writes=True)
        with database.write() as connection:
            settings.attributes["connection"] = connection
            command.upgrade(settings, revision)


WAYS: tuple[Callable[[Path], None], ...] = (made_at_once, made_by_migrations, made_at_0004, made_at_0007)
