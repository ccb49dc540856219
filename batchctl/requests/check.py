"""The check: one pass over an input that checks every line, finds every cut and hashes every byte.

Only the block in hand is in memory. The pass can also write the clean copy, the good lines alone: that is sent when the input
itself is not a clean run of requests. What is wrong goes into the problem file.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from batchctl.domain.check_report import Depth, Problem, Scan, deep_checked
from batchctl.domain.errors import InputProblem
from batchctl.domain.faults import Fault, Severity, are_params_plainly_good, envelope_faults
from batchctl.domain.model import Settings
from batchctl.domain.model_catalog import TOLD_ONCE
from batchctl.requests.blocks import LONG_BYTES, read_requests, read_shared_prefix
from batchctl.requests.cut_builders import CleanCopy, CopiedCuts, CutBuilder, InPlaceCuts, RangeHashes
from batchctl.requests.decoding import BYTE_ORDER_MARK, LineFault, decode_line
from batchctl.requests.grouping import LineBlock, RequestGrouper
from batchctl.requests.inputs import PIECE_BYTES, opened, refuse_wrong_file
from batchctl.requests.repeated_ids import SeenIds
from batchctl.requests.structure import are_structures_good, structure_faults
from batchctl.store.local import PRIVATE, disk

_model_and_limit = itemgetter("model", "max_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """How an input is checked.

    Attributes:
        settings: The limits of a batch, and the API version that params are for.
        scratch: A folder for what does not fit into memory.
        depth: Which lines are checked in depth.
        repeats: Lines that are known to repeat an earlier custom_id.
        judge: Returns the faults of a model and a `max_tokens`, None where it cannot tell; called often with the same.
        copy: Where the clean copy goes, if one is made.
    """

    settings: Settings
    scratch: Path
    depth: Depth = Depth.AUTO
    repeats: frozenset[int] = frozenset()
    judge: Callable[[str, int], Sequence[Fault] | None] = lambda _model, _max_tokens: None
    copy: CleanCopy | None = None


def scan(
    path: Path, options: CheckOptions, problems: "ProblemFile", emit: Callable[[int], None]
) -> tuple[Scan, set[int]]:
    """Check the input at `path`; return what it holds, and the hashes of the custom_ids that seem to repeat.

    `emit` is called with the bytes read so far. Raises InputProblem where the file is no JSONL of requests at all, or where it
    changes meanwhile.
    """
    with opened(path) as file, SeenIds(options.scratch) as seen, RangeHashes(file) as hashes:
        refuse_wrong_file(path, file)
        scanner = _Scanner(options, problems, seen, hashes)
        for block in _blocks(file, options.settings.max_bytes, scanner.skip):
            scanner.take(block)
            hashes.go_on(scanner.size)
            emit(scanner.size)
        result = scanner.finish()
        if hashes.has_changed():
            raise InputProblem(f"{path}: changed while it was read", hint="run it again once it is still")
        return result, seen.repeated()


def _blocks(file: BinaryIO, longest: int, skip: Callable[[bytes], None]) -> Iterator[bytes]:
    """Yield whole lines, about PIECE_BYTES at a time; a long line by itself, without its newline, which is skipped.

    Of a line longer than a batch the rest is skipped: the line is a fault already.
    """
    while block := file.read(PIECE_BYTES):
        tail = b"" if block.endswith(b"\n") else file.readline(LONG_BYTES)
        if len(tail) < LONG_BYTES:
            yield block + tail
            continue
        begin = block.rfind(b"\n") + 1
        size = len(block) - begin + len(tail)
        start = file.tell() - size
        while size < longest and not tail.endswith(b"\n") and (tail := file.readline(PIECE_BYTES)):
            size += len(tail)
        if begin:
            yield block[:begin]
        file.seek(start)
        # In one piece of just its size: a copy would take as much memory once more.
        yield file.read(size - tail.endswith(b"\n"))
        while rest := file.readline(PIECE_BYTES):
            skip(rest)
            if rest.endswith(b"\n"):
                break


class _Scanner:
    """The state of a check between two blocks. `size`: the bytes read so far."""

    def __init__(self, options: CheckOptions, problems: "ProblemFile", seen: SeenIds, hashes: RangeHashes) -> None:
        self._options = options
        self._problems = problems
        self._seen = seen
        self._hashes = hashes
        self._grouper = RequestGrouper()
        self._cuts: CutBuilder = (
            CopiedCuts(options.settings, options.copy) if options.copy else InPlaceCuts(options.settings, hashes)
        )
        self._number = self._blank = self._left_out = self._deep = 0
        self._is_clean = True
        self._has_bom = False
        self._gap = False
        self._told: set[tuple[str, str]] = set()
        self.size = 0

    def skip(self, rest: bytes) -> None:
        """Take bytes that belong to the file and to no line that can be sent."""
        self.size += len(rest)

    def take(self, block: bytes) -> None:
        """Take the next whole lines."""
        offset = self.size
        self.size += len(block)
        if offset == 0 and block.startswith(BYTE_ORDER_MARK):
            self._has_bom, self._is_clean = True, False
            block, offset = block[len(BYTE_ORDER_MARK) :], len(BYTE_ORDER_MARK)
        is_long = len(block) >= LONG_BYTES + PIECE_BYTES
        lines = [block] if is_long else block.split(b"\n")
        run = block
        if not lines[-1]:
            lines.pop()
            run = block[:-1]
        if not lines or self._take_at_once(run, lines, offset):
            return
        first, start = self._number + 1, offset
        good: dict[int, dict[str, Any]] = {}
        for at, line in enumerate(lines):
            if request := self._line(line, offset):
                good[at] = request
            offset += len(line) + 1
        self._seen.add_all([request["custom_id"].encode() for request in good.values()])
        self._grouper.add_each(
            [request["params"] for request in good.values()], [*good], LineBlock(lines, start, first)
        )

    def _take_at_once(self, run: bytes, lines: list[bytes], offset: int) -> bool:
        """Take lines that are all plainly good, as nearly all are. False: they have to be checked one by one."""
        if not self._cuts.fits_alone(len(run)) or self._options.repeats:
            return False
        first = self._number + 1
        deep = deep_checked(first, len(lines), self._options.depth)
        ids = self._ids_of_good(lines, [number - first for number in deep], offset)
        if ids is None:
            return False
        self._is_clean = self._is_clean and not self._gap
        self._gap = False
        self._number += len(lines)
        self._deep += len(deep)
        self._seen.add_all(ids)
        self._cuts.add_all(run, lines, offset, first)
        return True

    def _ids_of_good(self, lines: list[bytes], deep: list[int], offset: int) -> list[bytes] | None:
        """Return the custom_ids of lines that are all plainly good, those at `deep` in depth; None where one may not be."""
        shared_prefix = read_shared_prefix(lines) if len(deep) < len(lines) else None
        # Where lines differ in more than what they ask, each shows its own group.
        if shared_prefix is not None and shared_prefix.is_own:
            ids, params = shared_prefix.ids, [shared_prefix.params]
            requests = read_requests([lines[at] for at in deep]) if deep else ([], [])
        else:
            shared_prefix = None
            requests = read_requests(lines)
            ids, params = requests or ([], [])
        if requests is None or not are_params_plainly_good(params, api_version=self._options.settings.api_version):
            return None
        if any(self._new_model_faults(model, limit) for model, limit in set(map(_model_and_limit, params))):
            return None
        in_depth = requests[1] if shared_prefix is not None else [params[at] for at in deep]
        if not are_structures_good(in_depth):
            return None
        if shared_prefix is not None:
            self._grouper.add_shared_prefix(shared_prefix, LineBlock(lines, offset, self._number + 1))
        else:
            self._grouper.add_each(params, range(len(lines)), LineBlock(lines, offset, self._number + 1))
        return ids

    def _new_model_faults(self, model: str, max_tokens: int) -> list[Fault]:
        """Return the faults of a model without those that are said once and were said."""
        faults = self._options.judge(model, max_tokens) or ()
        return [fault for fault in faults if (fault.code, model) not in self._told]

    def _with_model_faults(self, params: object, faults: list[Fault]) -> list[Fault]:
        """Add the faults of the model. Where the account's models are known, how the name looks is no fault."""
        model, max_tokens = (params.get("model"), params.get("max_tokens")) if isinstance(params, dict) else ("", 0)
        if not isinstance(model, str) or not model:
            return faults
        limit = max_tokens if type(max_tokens) is int else 0
        if self._options.judge(model, limit) is None:
            return faults
        of_model = self._new_model_faults(model, limit)
        self._told |= {(fault.code, model) for fault in of_model if fault.code in TOLD_ONCE}
        return [fault for fault in faults if fault.code != "model_name_odd"] + of_model

    def _line(self, line: bytes, offset: int) -> dict[str, Any]:
        """Check the next line; return its request, empty where it is not sent."""
        self._number += 1
        if not line or line.isspace():
            self._blank += 1
            self._gap = True
            return {}
        request, faults = self._check(line)
        if faults and self._report(request, faults):
            self._left_out += 1
            self._gap = True
            return {}
        if self._gap:
            self._is_clean = False
        self._gap = False
        self._cuts.add(line, offset, self._number)
        return request

    def _check(self, line: bytes) -> tuple[dict[str, Any], list[Fault]]:
        """Return the request of a line, empty where an error leaves nothing to read, and all that is wrong with it."""
        try:
            request = decode_line(line)
        except LineFault as broken:
            if not self._cuts.fits_alone(len(line)):
                most = self._options.settings.max_bytes / 1e6
                message = f"the line is longer than {most:.1f} MB, all that a batch holds"
                return {}, [Fault("request_too_large", message)]
            return {}, [broken.fault]
        faults = envelope_faults(request, api_version=self._options.settings.api_version)
        if not isinstance(request, dict):
            return {}, faults
        if self._number in self._options.repeats:
            faults = [*faults, Fault("custom_id_repeated", "the same custom_id stands on an earlier line")]
        if not self._cuts.fits_alone(len(line)):
            size, most = len(line) / 1e6, self._options.settings.max_bytes / 1e6
            faults = [*faults, Fault("request_too_large", f"the request is {size:.1f} MB: a batch holds {most:.1f} MB")]
        if deep_checked(self._number, 1, self._options.depth):
            self._deep += 1
            faults = [*faults, *structure_faults(request.get("params"))]
        return request, self._with_model_faults(request.get("params"), faults)

    def _report(self, request: dict[str, Any], faults: list[Fault]) -> bool:
        """Write the faults into the problem file; return whether one of them is an error."""
        custom_id = request.get("custom_id", "")
        for fault in faults:
            self._problems.add(Problem(self._number, custom_id if isinstance(custom_id, str) else "", fault))
        return any(fault.severity is Severity.ERROR for fault in faults)

    def finish(self) -> Scan:
        """Return what all the lines came to."""
        return Scan(
            cuts=self._cuts.close(),
            count=self._cuts.count,
            lines=self._number - self._blank,
            blank=self._blank,
            left_out=self._left_out,
            size=self.size,
            sha256=self._hashes.whole(self.size),
            deep_checked=self._deep,
            is_clean=self._is_clean,
            has_bom=self._has_bom,
            errors=self._problems.errors,
            warnings=self._problems.warnings,
            by_code=dict(Counter(self._problems.by_code)),
            first_problems=tuple(self._problems.first),
            request_groups=self._grouper.finish(),
        )


# ---------------------------------------------------------------- the problem file

SHOWN = 20


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

    def error_lines(self) -> set[int]:
        """Return the numbers of the lines that have an error. Raises DiskProblem."""
        if self._file is None:
            return set()
        with disk(self.path):
            self._file.flush()
            written = map(orjson.loads, self.path.read_bytes().splitlines())
            return {problem["line"] for problem in written if problem["severity"] == Severity.ERROR}

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
