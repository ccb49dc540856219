"""One pass over an input: every line checked, every cut found, every byte hashed; nothing held but the block in hand.

The pass can also write the clean copy: the good lines alone, one after the other, which is what is sent when the input
itself is not a clean run of requests.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

from batchctl.domain.catalog import TOLD_ONCE
from batchctl.domain.errors import InputProblem
from batchctl.domain.faults import Fault, Severity, are_params_plainly_good, envelope_faults
from batchctl.domain.model import Settings
from batchctl.domain.scan import Depth, Problem, Scan, deep_checked
from batchctl.requests.blocks import LONG_BYTES, read_requests, read_shared_prefix
from batchctl.requests.cuts import CleanCopy, CopiedCuts, CutBuilder, InPlaceCuts, RangeHashes
from batchctl.requests.decoding import BYTE_ORDER_MARK, LineFault, decode_line
from batchctl.requests.group import LineBlock, RequestGrouper
from batchctl.requests.inputs import PIECE_BYTES, opened, refuse_wrong_file
from batchctl.requests.problems import ProblemFile
from batchctl.requests.structure import are_structures_good, structure_faults
from batchctl.requests.uniqueness import SeenIds

_model_and_limit = itemgetter("model", "max_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What to scan for. `repeats`: lines already known to repeat an earlier id.

    `judge`: what is wrong with a model and a `max_tokens`, None where it cannot tell; asked for the same again and again.
    """

    settings: Settings
    scratch: Path
    depth: Depth = Depth.AUTO
    repeats: frozenset[int] = frozenset()
    judge: Callable[[str, int], Sequence[Fault] | None] = lambda _model, _max_tokens: None
    copy: CleanCopy | None = None


def scan(path: Path, order: CheckOptions, problems: ProblemFile, emit: Callable[[int], None]) -> tuple[Scan, set[int]]:
    """Reads the input at `path` whole; gives what it found, and the hashes of ids that seem to repeat.

    Raises InputProblem where it is no JSONL of requests at all, or somebody writes to it meanwhile.
    """
    with opened(path) as file, SeenIds(order.scratch) as seen, RangeHashes(file) as hashes:
        refuse_wrong_file(path, file)
        scanner = _Scanner(order, problems, seen, hashes)
        for block in _blocks(file, order.settings.max_bytes, scanner.skip):
            scanner.take(block)
            hashes.go_on(scanner.size)
            emit(scanner.size)
        found = scanner.finish()
        if hashes.has_changed():
            raise InputProblem(f"{path}: changed while it was read", hint="run it again once it is still")
        return found, seen.repeated()


def repeated_lines(path: Path, hashes: set[int], bad: Collection[int]) -> Iterator[tuple[int, str, int]]:
    """A second, exact look at suspected ids: (line, custom_id, line of its first appearance) of every true repeat.

    Lines that are `bad` for another reason are not sent and repeat nothing.
    """
    first: dict[str, int] = {}
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            custom_id = _id_of(line, is_first=number == 1)
            if custom_id is None or hash(custom_id.encode()) not in hashes or number in bad:
                continue
            if custom_id in first:
                yield number, custom_id, first[custom_id]
            else:
                first[custom_id] = number


def _id_of(line: bytes, *, is_first: bool) -> str | None:
    try:
        request = decode_line(line.rstrip(b"\n").removeprefix(BYTE_ORDER_MARK) if is_first else line.rstrip(b"\n"))
    except LineFault:
        return None
    custom_id = request.get("custom_id") if isinstance(request, dict) else None
    return custom_id if isinstance(custom_id, str) else None


def _blocks(file: BinaryIO, longest: int, skip: Callable[[bytes], None]) -> Iterator[bytes]:
    """Whole lines, about PIECE_BYTES at a time; a long one by itself, and without its newline, which is skipped.

    Of a line longer than a batch the rest is skipped: it is a fault already.
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
        # In one piece of just its size: a copy of it would take as much once more.
        yield file.read(size - tail.endswith(b"\n"))
        while rest := file.readline(PIECE_BYTES):
            skip(rest)
            if rest.endswith(b"\n"):
                break


class _Scanner:
    def __init__(self, order: CheckOptions, problems: ProblemFile, seen: SeenIds, hashes: RangeHashes) -> None:
        self._order = order
        self._problems = problems
        self._seen = seen
        self._hashes = hashes
        self._grouper = RequestGrouper()
        self._cuts: CutBuilder = (
            CopiedCuts(order.settings, order.copy) if order.copy else InPlaceCuts(order.settings, hashes)
        )
        self._number = self._blank = self._left_out = self._deep = 0
        self._is_clean = True
        self._has_bom = False
        self._gap = False
        self._told: set[tuple[str, str]] = set()
        self.size = 0

    def skip(self, rest: bytes) -> None:
        """Bytes that belong to the file and to no line that can be sent."""
        self.size += len(rest)

    def take(self, block: bytes) -> None:
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
        self._grouper.add_each([one["params"] for one in good.values()], [*good], LineBlock(lines, start, first))

    def _take_at_once(self, run: bytes, lines: list[bytes], offset: int) -> bool:
        """Where all of the lines are plainly good, as nearly all lines are. False: they have to be looked at one by one."""
        if not self._cuts.fits_alone(len(run)) or self._order.repeats:
            return False
        first = self._number + 1
        deep = deep_checked(first, len(lines), self._order.depth)
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
        """The custom_ids of lines that are all plainly good, those at `deep` in depth; None where one may not be."""
        shared_prefix = read_shared_prefix(lines) if len(deep) < len(lines) else None
        # Where they differ in more than what they ask, each says for itself which group it is of.
        if shared_prefix is not None and shared_prefix.is_own:
            ids, params = shared_prefix.ids, [shared_prefix.params]
            found = read_requests([lines[at] for at in deep]) if deep else ([], [])
        else:
            shared_prefix = None
            found = read_requests(lines)
            ids, params = found or ([], [])
        if found is None or not are_params_plainly_good(params, api_version=self._order.settings.api_version):
            return None
        if not self._are_models_good(params):
            return None
        in_depth = found[1] if shared_prefix is not None else [params[at] for at in deep]
        if not are_structures_good(in_depth):
            return None
        if shared_prefix is not None:
            self._grouper.add_shared_prefix(shared_prefix, LineBlock(lines, offset, self._number + 1))
        else:
            self._grouper.add_each(params, range(len(lines)), LineBlock(lines, offset, self._number + 1))
        return ids

    def _are_models_good(self, params: list[Any]) -> bool:
        """Of params that are plainly good."""
        return not any(self._untold(model, max_tokens) for model, max_tokens in set(map(_model_and_limit, params)))

    def _untold(self, model: str, max_tokens: int) -> list[Fault]:
        found = self._order.judge(model, max_tokens) or ()
        return [fault for fault in found if (fault.code, model) not in self._told]

    def _with_model_faults(self, params: object, faults: list[Fault]) -> list[Fault]:
        """And what the account's models say: where they say anything, how a name looks says nothing more."""
        model, max_tokens = (params.get("model"), params.get("max_tokens")) if isinstance(params, dict) else ("", 0)
        if not isinstance(model, str) or not model:
            return faults
        limit = max_tokens if type(max_tokens) is int else 0
        if self._order.judge(model, limit) is None:
            return faults
        found = self._untold(model, limit)
        self._told |= {(fault.code, model) for fault in found if fault.code in TOLD_ONCE}
        return [fault for fault in faults if fault.code != "model_name_odd"] + found

    def _line(self, line: bytes, offset: int) -> dict[str, Any]:
        """The request, where it can be sent; empty else."""
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
        """The parsed line (empty when it has an error that leaves nothing to read), and all that is wrong with it."""
        try:
            request = decode_line(line)
        except LineFault as broken:
            if not self._cuts.fits_alone(len(line)):
                most = self._order.settings.max_bytes / 1e6
                return {}, [
                    Fault("request_too_large", f"the line is longer than {most:.1f} MB, all that a batch holds")
                ]
            return {}, [broken.fault]
        faults = envelope_faults(request, api_version=self._order.settings.api_version)
        if not isinstance(request, dict):
            return {}, faults
        if self._number in self._order.repeats:
            faults = [*faults, Fault("custom_id_repeated", "the same custom_id stands on an earlier line")]
        if not self._cuts.fits_alone(len(line)):
            size, most = len(line) / 1e6, self._order.settings.max_bytes / 1e6
            faults = [*faults, Fault("request_too_large", f"the request is {size:.1f} MB: a batch holds {most:.1f} MB")]
        if deep_checked(self._number, 1, self._order.depth):
            self._deep += 1
            faults = [*faults, *structure_faults(request.get("params"))]
        return request, self._with_model_faults(request.get("params"), faults)

    def _report(self, request: dict[str, Any], faults: list[Fault]) -> bool:
        """Writes the faults down; True when one of them is an error."""
        custom_id = request.get("custom_id", "")
        for fault in faults:
            self._problems.add(Problem(self._number, custom_id if isinstance(custom_id, str) else "", fault))
        return any(fault.severity is Severity.ERROR for fault in faults)

    def finish(self) -> Scan:
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
