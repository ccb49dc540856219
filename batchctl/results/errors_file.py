"""The lines of NAME.errors.jsonl: every request without a success, with its line in the input and the cause."""

import heapq
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from batchctl.domain.errors import DiskProblem
from batchctl.store.local import disk


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorLine:
    """A request without a success. `line` counts from 1 in the input; `round` is 0 where it was never sent."""

    line: int
    custom_id: str
    round: int
    outcome: str
    failure_class: str
    error_type: str
    message: str


def encode_error_line(error: ErrorLine) -> bytes:
    """Return the line as JSON with its newline."""
    shape = {
        "line": error.line,
        "custom_id": error.custom_id or None,
        "round": error.round,
        "outcome": error.outcome,
        "class": error.failure_class,
        "type": error.error_type,
        "message": error.message,
    }
    return orjson.dumps(shape, option=orjson.OPT_APPEND_NEWLINE)


def left_out_lines(path: Path) -> Iterator[ErrorLine]:
    """Yield the input lines that were left out, in order, each with its first error, from the problem file at `path`.

    They may be as many as the input has lines, so they are never held: the file is merged from the runs it was written in,
    the problems of the check and then the repeated ids. Raises DiskProblem where it is not as it was written.
    """
    if not path.exists():
        return
    last = 0
    for problem in heapq.merge(*_runs(path), key=lambda problem: problem["line"]):
        if problem["line"] > last:
            last = problem["line"]
            yield _left_out(path, problem)


def _runs(path: Path) -> list[Iterator[dict[str, Any]]]:
    """Return the errors of a problem file as runs of rising line numbers."""
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
        problem: dict[str, Any] = orjson.loads(written)
        int(problem["line"])
    except (ValueError, KeyError, TypeError) as error:
        raise _not_as_written(path) from error
    return problem


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
    return DiskProblem(f"{path}: changed since it was written", hint="restore a copy of it")


def in_line_order(*streams: Iterable[ErrorLine]) -> Iterator[ErrorLine]:
    """Merge lines that are each in the order of the input."""
    return heapq.merge(*streams, key=lambda error: error.line)
