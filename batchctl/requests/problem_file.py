"""The problem file: all that is wrong with an input, as JSON Lines."""

import contextlib
import os
from collections import Counter
from pathlib import Path
from typing import BinaryIO

import orjson

from batchctl.domain.check_report import Problem, ProblemKind
from batchctl.domain.faults import Fault, Severity
from batchctl.store.local import PRIVATE, disk, link_or_copy

SHOWN = 20
# Kinds of faults that are told apart: each line of an input may have one of its own.
MAX_KINDS = 1_000


class ProblemFile:
    """The problems of an input as JSON Lines: line, custom_id, severity, code, path, message.

    The file at `path` is made at the first problem; what an earlier check left there is removed.

    Attributes:
        errors: How many there are.
        warnings: How many there are.
        by_code: How many there are of each code.
        first: The first `shown` of them, errors before warnings.
    """

    def __init__(self, path: Path, shown: int = SHOWN) -> None:
        self.path = path
        self.errors = self.warnings = 0
        self.by_code: Counter[str] = Counter()
        self.first: list[Problem] = []
        self._shown = shown
        # The first problem of each kind, and how many there are.
        self._kinds: dict[Fault, tuple[Problem, int]] = {}
        self._file: BinaryIO | None = None
        with contextlib.suppress(FileNotFoundError):
            path.unlink()

    def add(self, problem: Problem) -> None:
        """Write a problem. Raises DiskProblem."""
        is_error = problem.fault.severity is Severity.ERROR
        self.errors += is_error
        self.warnings += not is_error
        self.by_code[problem.fault.code] += 1
        self._show(problem, is_error=is_error)
        first, lines = self._kinds.get(problem.fault, (problem, 0))
        if lines or len(self._kinds) < MAX_KINDS:
            self._kinds[problem.fault] = first, lines + 1
        with disk(self.path):
            if self._file is None:
                handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
                self._file = os.fdopen(handle, "wb", 1 << 16)
            self._file.write(_encode_problem(problem))

    def _show(self, problem: Problem, *, is_error: bool) -> None:
        """Keep a problem for showing; a warning gives up its place to an error."""
        if len(self.first) < self._shown:
            self.first.append(problem)
        elif is_error:
            last_warning = next((p for p in reversed(self.first) if p.fault.severity is Severity.WARNING), None)
            if last_warning is not None:
                self.first.remove(last_warning)
                self.first.append(problem)

    @property
    def kinds(self) -> tuple[ProblemKind, ...]:
        """The first `shown` kinds of faults, errors before warnings."""
        kinds = sorted(self._kinds.values(), key=lambda kind: (kind[0].fault.severity, kind[0].line))
        return tuple(ProblemKind(first, lines) for first, lines in kinds[: self._shown])

    def error_lines(self) -> set[int]:
        """Return the numbers of the lines that have an error. Raises DiskProblem."""
        if self._file is None:
            return set()
        with disk(self.path):
            self._file.flush()
            written = map(orjson.loads, self.path.read_bytes().splitlines())
            return {problem["line"] for problem in written if problem["severity"] == Severity.ERROR}

    def publish(self, listed: Path) -> None:
        """Close the file and give it a second name, under which a person finds it; what stood there is gone. Raises DiskProblem."""
        self.close()
        listed.unlink(missing_ok=True)
        if self.path.exists():
            link_or_copy(self.path, listed)

    def close(self) -> None:
        """Force the file to the disk: it may become the only record of the lines that are not sent. Raises DiskProblem."""
        if self._file is not None and not self._file.closed:
            with disk(self.path), self._file as file:
                file.flush()
                os.fsync(file.fileno())


def _encode_problem(problem: Problem) -> bytes:
    fault = problem.fault
    shape = {
        "line": problem.line,
        "custom_id": problem.custom_id or None,
        "severity": fault.severity.value,
        "code": fault.code,
        "path": fault.path or None,
        "message": fault.message,
    }
    return orjson.dumps(shape, option=orjson.OPT_APPEND_NEWLINE)
