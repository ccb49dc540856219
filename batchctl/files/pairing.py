"""Which line of an input went into which batch, told by the ids in the batches' results.

A Message Batch does not give back its requests, so an input of any length is held against any number of results, in any
order. Lines and ids go into a database of their own in the workspace's scratch folder, which sorts and pairs them on the
disk: the memory it takes does not grow with them, but for the ids of one batch. It costs one reading of the input for
the ids and, once they are paired, one for the lines of each batch: a script that sent slices has had them one after the
other, so that this is one reading in all; lines dealt out in turns are read by skipping. On the disk it takes some 150
bytes for each request, until the end of the command.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from batchctl.domain.errors import DiskProblem
from batchctl.files.durable import PRIVATE, disk

NAMED = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the input: its number, and the bytes it lies at, without the newline."""

    number: int
    custom_id: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Odd:
    """Ids that cannot be paired: how many, and a few of them with two numbers that say why."""

    count: int
    some: tuple[tuple[str, int, int], ...]


_TABLES = """
CREATE TABLE line (number INTEGER PRIMARY KEY, custom_id TEXT NOT NULL, start INTEGER NOT NULL, size INTEGER NOT NULL);
CREATE TABLE answered (batch INTEGER NOT NULL, custom_id TEXT NOT NULL);
"""
_INDEXES = """
CREATE INDEX line_by_id ON line (custom_id);
CREATE INDEX answered_by_id ON answered (custom_id, batch);
CREATE INDEX answered_by_batch ON answered (batch);
"""
_HELD_TWICE = """
SELECT count(*) OVER (), custom_id, min(batch), max(batch) FROM answered
GROUP BY custom_id HAVING count(*) > 1 ORDER BY 3, 4, 2
"""
_WITHOUT_LINE = """
SELECT count(*) OVER (), custom_id, batch, 0 FROM answered
WHERE NOT EXISTS (SELECT 1 FROM line WHERE line.custom_id = answered.custom_id) ORDER BY batch, custom_id
"""
_ON_TWO_LINES = """
SELECT count(*) OVER (), custom_id, min(number), max(number) FROM line
WHERE EXISTS (SELECT 1 FROM answered WHERE answered.custom_id = line.custom_id)
GROUP BY custom_id HAVING count(*) > 1 ORDER BY 3
"""
_LINES_OF = """
SELECT line.number, line.custom_id, line.start, line.size FROM answered JOIN line ON line.custom_id = answered.custom_id
WHERE answered.batch = ? ORDER BY line.number
"""
_LEFT = """
SELECT number, custom_id, start, size, (
    SELECT min(other.number) FROM line AS other WHERE other.custom_id = line.custom_id AND other.number != line.number
) AS twin FROM line
WHERE NOT EXISTS (SELECT 1 FROM answered WHERE answered.custom_id = line.custom_id) AND twin IS {} NULL ORDER BY number
"""


class Pairing:
    """Fed with lines and ids, then asked. A context manager: at its end the scratch file at `path` is gone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk(path):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE))
        self._db = sqlite3.connect(path, isolation_level=None)

    def __enter__(self) -> Self:
        # Nothing of it outlives the command, so nothing of it is kept safe from a stop.
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE"):
            self._run(f"PRAGMA {pragma}")
        with _readable(self._path):
            self._db.executescript(_TABLES)
        self._run("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def add_lines(self, lines: Iterable[Line]) -> None:
        with _readable(self._path):
            rows = ((line.number, line.custom_id, line.start, line.size) for line in lines)
            self._db.executemany("INSERT INTO line VALUES (?, ?, ?, ?)", rows)

    def add_batch(self, batch: int, custom_ids: Iterable[str]) -> None:
        """The ids of one batch, each once, under a number of the caller's."""
        with _readable(self._path):
            self._db.executemany("INSERT INTO answered VALUES (?, ?)", ((batch, each) for each in custom_ids))

    def finish(self) -> None:
        """Everything was added: from here on it is asked."""
        self._run("COMMIT")
        with _readable(self._path):
            self._db.executescript(_INDEXES)

    def held_twice(self) -> Odd:
        """Ids that two batches answer, with the two."""
        return self._odd(_HELD_TWICE)

    def without_line(self) -> Odd:
        """Ids that no line has, with their batch."""
        return self._odd(_WITHOUT_LINE)

    def on_two_lines(self) -> Odd:
        """Ids of the batches that stand on two lines, with the two."""
        return self._odd(_ON_TWO_LINES)

    def lines_of(self, batch: int) -> Sequence[Line]:
        """The lines that went into a batch, in the order of the input."""
        return [Line(*row) for row in self._run(_LINES_OF, batch)]

    def left(self) -> Iterator[Line]:
        """The lines that are in no batch, each the only one with its id, in order."""
        for line, _ in self._left(""):
            yield line

    def left_with_twins(self) -> Iterator[tuple[Line, int]]:
        """The lines that are in no batch and whose id another line has, too, with the first of those; in order."""
        return self._left("NOT")

    def _left(self, word: str) -> Iterator[tuple[Line, int]]:
        with _readable(self._path):
            for *row, twin in self._db.execute(_LEFT.format(word)):
                yield Line(*row), twin

    def _odd(self, question: str) -> Odd:
        rows = self._run(f"{question} LIMIT {NAMED}")
        return Odd(rows[0][0] if rows else 0, tuple(row[1:] for row in rows))

    def _run(self, statement: str, *values: object) -> list[Any]:
        with _readable(self._path):
            return self._db.execute(statement, values).fetchall()


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """SQLite's errors as a person needs them."""
    try:
        yield
    except sqlite3.Error as error:
        raise DiskProblem(
            f"{path}: {error}",
            hint="it needs room for some 150 bytes a request, there and where SQLite sorts (SQLITE_TMPDIR)",
        ) from error
