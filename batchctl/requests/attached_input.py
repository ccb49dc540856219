"""The input of attached batches: which line went into which batch, and the request file of their job made of that.

1. `read_attached` reads the ids of the input into a `LineMatching`, a scratch database.
2. The caller adds the ids of the results of each batch, and asks what does not match.
3. `write_attached_requests` writes the lines of each batch, and then those that are in no batch, to a request file.

The params were sent already and are not checked. A line must only be one that a retry could send.
"""

import contextlib
import hashlib
import os
import sqlite3
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from batchctl.domain.errors import DiskProblem, InputProblem
from batchctl.domain.limits import CEILING_MAX_BYTES
from batchctl.domain.model import Cut, Settings
from batchctl.requests.cut_builders import CleanCopy, CopiedCuts
from batchctl.requests.decoding import BYTE_ORDER_MARK, LineFault, decode_line
from batchctl.requests.inputs import opened, refuse_wrong_file, stat
from batchctl.store.line_maps import pack
from batchctl.store.local import PRIVATE, disk, replacing

# How many ids are named of those that do not match.
NAMED = 3


@dataclass(frozen=True, slots=True)
class InputLine:
    """A line of the input: its number, its custom_id, and its place in bytes, without the newline."""

    number: int
    custom_id: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class UnmatchedIds:
    """Ids that do not match: how many, and a few of them, each with two numbers that say why."""

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


class LineMatching:
    """The lines of an input and the ids of batches, in a scratch database at `path` that is removed at the end.

    A context manager: first lines and batches are added, then `finish` is called, then it is asked. It raises DiskProblem
    where the database cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk(path):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE))
        self._db = sqlite3.connect(path, isolation_level=None)

    def __enter__(self) -> Self:
        # Nothing of it outlives the command, so nothing of it must survive a crash.
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

    def add_lines(self, lines: Iterable[InputLine]) -> None:
        """Add lines of the input."""
        with _readable(self._path):
            rows = ((line.number, line.custom_id, line.start, line.size) for line in lines)
            self._db.executemany("INSERT INTO line VALUES (?, ?, ?, ?)", rows)

    def add_batch(self, batch: int, custom_ids: Iterable[str]) -> None:
        """Add the ids of one batch, each once, under a number that the caller chooses."""
        with _readable(self._path):
            self._db.executemany("INSERT INTO answered VALUES (?, ?)", ((batch, each) for each in custom_ids))

    def finish(self) -> None:
        """End the adding, and make the indexes that the questions need."""
        self._run("COMMIT")
        with _readable(self._path):
            self._db.executescript(_INDEXES)

    def in_two_batches(self) -> UnmatchedIds:
        """Return the ids that two batches answer, with both batches."""
        return self._unmatched(_HELD_TWICE)

    def without_line(self) -> UnmatchedIds:
        """Return the ids that no line has, with their batch and 0."""
        return self._unmatched(_WITHOUT_LINE)

    def on_two_lines(self) -> UnmatchedIds:
        """Return the ids of the batches that stand on two lines, with both lines."""
        return self._unmatched(_ON_TWO_LINES)

    def lines_of(self, batch: int) -> Sequence[InputLine]:
        """Return the lines that went into a batch, in the order of the input."""
        return [InputLine(*row) for row in self._run(_LINES_OF, batch)]

    def left(self) -> Iterator[InputLine]:
        """Yield the lines that are in no batch, in order, without those whose id stands on another line, too."""
        for line, _ in self._left(""):
            yield line

    def left_with_twins(self) -> Iterator[tuple[InputLine, int]]:
        """Yield the lines that are in no batch and whose id another line has, with the number of the first such line."""
        return self._left("NOT")

    def _left(self, word: str) -> Iterator[tuple[InputLine, int]]:
        with _readable(self._path):
            for *row, twin in self._db.execute(_LEFT.format(word)):
                yield InputLine(*row), twin

    def _unmatched(self, question: str) -> UnmatchedIds:
        rows = self._run(f"{question} LIMIT {NAMED}")
        return UnmatchedIds(rows[0][0] if rows else 0, tuple(row[1:] for row in rows))

    def _run(self, statement: str, *values: object) -> list[Any]:
        with _readable(self._path):
            return self._db.execute(statement, values).fetchall()


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise every error of SQLite as a DiskProblem that says what is needed."""
    try:
        yield
    except sqlite3.Error as error:
        raise DiskProblem(
            f"{path}: {error}",
            hint="free some space: about 150 bytes per request, there and in SQLITE_TMPDIR",
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedInput:
    """An input that was read.

    Attributes:
        path: What the person named.
        plain: The file of its bytes, decompressed.
        lines: How many lines hold something.
        sha256: The hash of the bytes.
        size: How many they are.
        mtime_ns: When they were last written.
    """

    path: str
    plain: Path
    lines: int
    sha256: str
    size: int
    mtime_ns: int


def read_attached(path: str, plain: Path, matching: LineMatching, emit: Callable[[int], None]) -> AttachedInput:
    """Read the whole input at `plain` into `matching`; `path` is its name in messages, `emit` gets the bytes read so far.

    Raises InputProblem with the first line that no batch can hold.
    """
    facts = stat(plain)
    with opened(plain) as file:
        refuse_wrong_file(path, file)
        reading = _Reading(path, file, emit)
        matching.add_lines(reading)
    return AttachedInput(
        path=path,
        plain=plain,
        lines=reading.lines,
        sha256=reading.sha256.hexdigest(),
        size=facts.st_size,
        mtime_ns=facts.st_mtime_ns,
    )


class _Reading:
    def __init__(self, path: str, file: BinaryIO, emit: Callable[[int], None]) -> None:
        self._path = path
        self._file = file
        self._emit = emit
        self.lines = 0
        self.sha256 = hashlib.sha256()

    def __iter__(self) -> Iterator[InputLine]:
        at = number = 0
        # No longer than a body: a file without line ends is not read into memory.
        while whole := self._file.readline(CEILING_MAX_BYTES):
            number += 1
            self.sha256.update(whole)
            mark = len(BYTE_ORDER_MARK) if number == 1 and whole.startswith(BYTE_ORDER_MARK) else 0
            line = whole[mark:].removesuffix(b"\n")
            if line.strip():
                self.lines += 1
                yield InputLine(number, self._custom_id(line, number), at + mark, len(line))
            at += len(whole)
            self._emit(at)

    def _custom_id(self, line: bytes, number: int) -> str:
        try:
            request = decode_line(line)
        except LineFault as broken:
            raise self._problem(number, broken.fault.message) from None
        assert isinstance(request, dict), "decode_line gives objects"
        custom_id = request.get("custom_id")
        if not isinstance(custom_id, str) or not isinstance(request.get("params"), dict):
            raise self._problem(number, 'not a request: it needs "custom_id" (text) and "params" (object)')
        if len(request) != 2:
            raise self._problem(number, 'other keys than "custom_id" and "params": the API would reject the request')
        return custom_id

    def _problem(self, number: int, why: str) -> InputProblem:
        return InputProblem(
            f"{self._path} line {number:,}: {why}",
            hint='use lines as they were sent, {"custom_id": ..., "params": {...}}; to drop other keys: jq -c "{custom_id, params}"',
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedCuts:
    """The cuts of the request file: those of the batches, and after them those of the lines in no batch."""

    batches: tuple[Cut, ...]
    rest: tuple[Cut, ...]


def write_attached_requests(
    given: AttachedInput,
    matching: LineMatching,
    places: Sequence[Cut],
    settings: Settings,
    requests: Path,
    numbers: Path,
    emit: Callable[[int], None],
) -> AttachedCuts:
    """Write the lines of each batch to `requests`, then all others, and the number of each line to `numbers`.

    `places` are the cuts of the batches, of which only positions are known. Raises InputProblem where the input changed since
    it was read.
    """
    cuts, at, firsts = [], 0, []
    with opened(given.plain) as file, replacing(requests) as out, replacing(numbers) as side:
        for batch, place in enumerate(places):
            lines = matching.lines_of(batch)
            digest = hashlib.sha256()
            start = at
            for position, line in enumerate(lines):
                file.seek(line.start)
                piece = file.read(line.size)
                digest.update(b"\n" + piece if position else piece)
                out.write(piece + b"\n")
                at += len(piece) + 1
            side.write(pack(array("Q", (line.number for line in lines))))
            cuts.append(replace(place, start=start, end=at - 1, sha256=digest.hexdigest()))
            firsts.append(lines[0].number)
            emit(at)
        copied = CopiedCuts(settings, CleanCopy(requests=out, numbers=side), written=at)
        _copy_rest(file, matching, sorted(firsts), copied, lambda size: emit(at + size))
        rest = copied.close()
    facts = stat(given.plain)
    if (facts.st_size, facts.st_mtime_ns) != (given.size, given.mtime_ns):
        raise InputProblem(
            f"{given.path}: the file changed while it was read",
            hint="run the same command again when nothing writes to the file",
        )
    count = sum(place.count for place in places)
    return AttachedCuts(batches=tuple(cuts), rest=tuple(replace(cut, first=cut.first + count) for cut in rest))


def _copy_rest(
    file: BinaryIO, matching: LineMatching, firsts: Sequence[int], copied: CopiedCuts, emit: Callable[[int], None]
) -> None:
    """Copy the lines that are in no batch. `firsts`: the first line of each batch, in order.

    Cuts are read in the order of their first lines. So the lines before and after the first line of a batch are in two cuts.
    """
    place = size = 0
    for line in matching.left():
        if place < len(firsts) and firsts[place] < line.number:
            copied.end_cut()
            place = bisect_left(firsts, line.number)
        file.seek(line.start)
        copied.add(file.read(line.size), 0, line.number)
        size += line.size + 1
        emit(size)
