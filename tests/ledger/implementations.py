"""The ledgers that pass the conformance tests, each with a way to open it, to stop it between two statements, and to dump it."""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.protocol import Ledger, ReadLedger
from batchctl.ledger.reading import SqlReadLedger

Dump = dict[str, list[Any]]


class Crash(BaseException):
    """The process ends here: no `except Exception` of the program may see it."""


class Implementation(Protocol):
    """What a conformance test needs of a ledger."""

    def open(self, folder: Path) -> Ledger:
        """Open the ledger that lies in `folder`, and make it where there is none."""
        ...

    def open_for_reading(self, folder: Path) -> ReadLedger:
        """Open it to ask questions alone."""
        ...

    def dump(self, folder: Path) -> Dump:
        """Return all rows of all tables, as a reader that shares nothing with the program finds them."""
        ...

    def copy(self, folder: Path, to: Path) -> None:
        """Make a ledger in `to` that is as the one in `folder` would be if the power failed now."""
        ...

    def crashing(self, ledger: Ledger, at: int, folder: Path, to: Path) -> contextlib.AbstractContextManager[None]:
        """Raise Crash before statement number `at`, from 1, or before the commit behind the last; and copy `folder` to `to`."""
        ...


@dataclass(frozen=True)
class Sqlite:
    """The SQL ledger in a SQLite file."""

    def open(self, folder: Path) -> SqlLedger:
        folder.mkdir(exist_ok=True)
        return SqlLedger(folder / "ledger.db")

    def open_for_reading(self, folder: Path) -> SqlReadLedger:
        return SqlReadLedger(folder / "ledger.db")

    def dump(self, folder: Path) -> Dump:
        with contextlib.closing(sqlite3.connect(folder / "ledger.db")) as db:
            tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}

    def copy(self, folder: Path, to: Path) -> None:
        to.mkdir()
        for file in folder.glob("ledger.db*"):
            shutil.copy(file, to)

    @contextlib.contextmanager
    def crashing(self, ledger: Ledger, at: int, folder: Path, to: Path) -> Iterator[None]:
        assert isinstance(ledger, SqlLedger)
        left = at

        def count(*_: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.copy(folder, to)
                raise Crash

        engine = ledger._database.engine
        events = ("before_cursor_execute", "commit")
        for name in events:
            sa.event.listen(engine, name, count)
        try:
            yield
        finally:
            for name in events:
                sa.event.remove(engine, name, count)


IMPLEMENTATIONS: dict[str, Implementation] = {"sqlite": Sqlite()}
