"""The two files a person wants: results in input order, and what has no success, with its line and its cause."""

import hashlib
import heapq
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from batchctl.domain.errors import DiskProblem
from batchctl.store.local import disk


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorLine:
    """A line of NAME.errors.jsonl."""

    line: int
    custom_id: str
    round: int
    outcome: str
    failure_class: str
    error_type: str
    message: str


def encode_error_line(of: ErrorLine) -> bytes:
    shape = {
        "line": of.line,
        "custom_id": of.custom_id or None,
        "round": of.round,
        "outcome": of.outcome,
        "class": of.failure_class,
        "type": of.error_type,
        "message": of.message,
    }
    return orjson.dumps(shape, option=orjson.OPT_APPEND_NEWLINE)


def left_out_lines(path: Path) -> Iterator[ErrorLine]:
    """The input lines that were left out, in order, one for each, with the first thing that was wrong.

    They may be as many as the input has lines, so they are never held: the file is read as the runs it was written in,
    what the check found and then what it found to repeat. Raises DiskProblem where it is not as it was written.
    """
    if not path.exists():
        return
    last = 0
    for problem in heapq.merge(*_runs(path), key=lambda problem: problem["line"]):
        if problem["line"] > last:
            last = problem["line"]
            yield _left_out(path, problem)


def _runs(path: Path) -> list[Iterator[dict[str, Any]]]:
    """The errors of a problem file, as runs of rising line numbers."""
    starts, at, last = [0], 0, 0
    with disk(path), path.open("rb") as file:
        for written in file:
            number = _problem(path, written)["line"]
            if number < last:
                starts.append(at)
            last = number
            at += len(written)
    return [_errors(path, start, end) for start, end in itertools.pairwise((*starts, at))]


def _errors(path: Path, start: int, end: int) -> Iterator[dict[str, Any]]:
    with disk(path), path.open("rb") as file:
        file.seek(start)
        while file.tell() < end:
            problem = _problem(path, file.readline())
            if problem["severity"] == "error":
                yield problem


def _problem(path: Path, written: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = orjson.loads(written)
        int(found["line"])
    except (ValueError, KeyError, TypeError) as error:
        raise _not_as_written(path) from error
    return found


def _left_out(path: Path, problem: dict[str, Any]) -> ErrorLine:
    try:
        return ErrorLine(
            line=problem["line"],
            custom_id=problem["custom_id"] or "",
            round=0,
            outcome="unanswered",
            failure_class="fix",
            error_type=problem["code"],
            message=problem["message"],
        )
    except KeyError as error:
        raise _not_as_written(path) from error


def _not_as_written(path: Path) -> DiskProblem:
    return DiskProblem(f"{path}: not as it was written", hint="put back a copy of it")


def in_line_order(*streams: Iterable[ErrorLine]) -> Iterator[ErrorLine]:
    return heapq.merge(*streams, key=lambda of: of.line)


class OutputComparison:
    """A results file that is there, held against what would be written in its place; nothing is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.lines = 0
        self.expected: bytes | None = None

    def take(self, piece: bytes) -> None:
        """Whole lines, as they would be written; nothing is read on after the first that differs."""
        if self.expected is not None:
            return
        found = self._file.read(len(piece))
        if found == piece:
            self._hash.update(piece)
            self.lines += piece.count(b"\n")
            return
        for wanted, there in zip_longest(piece.split(b"\n"), found.split(b"\n")):
            if wanted != there:
                self.expected = wanted or b""
                return
            self.lines += 1

    def end(self) -> None:
        """Of all that would be written."""
        if self.expected is None and self._file.read(1):
            self.expected = b""

    @property
    def sha256(self) -> str:
        """Of what is equal."""
        return self._hash.hexdigest()
