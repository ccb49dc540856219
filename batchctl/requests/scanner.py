"""The check of lines, a block at a time: every line is checked, its id noted, its group and its cut found."""

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from batchctl.domain.check_report import Depth, Problem, Scan, deep_checked
from batchctl.domain.faults import Fault, Severity, envelope_faults, may_be_refused
from batchctl.domain.model import Settings
from batchctl.domain.model_catalog import TOLD_ONCE
from batchctl.requests.cut_builders import CleanCopy, CutBuilder
from batchctl.requests.decoding import BYTE_ORDER_MARK, LineFault, decode_line
from batchctl.requests.grouping import LineBlock, RequestGrouper
from batchctl.requests.inputs import PIECE_BYTES
from batchctl.requests.problem_file import ProblemFile
from batchctl.requests.request_lines import LONG_BYTES, RequestBlock, RequestReader, block_of
from batchctl.requests.rules import Rules
from batchctl.requests.structure import are_structures_good, beta_places, structure_faults


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """How an input is checked.

    Attributes:
        settings: The limits of a batch, and the API version that params are for.
        scratch: A folder for what does not fit into memory.
        depth: Which lines are checked in depth.
        strict: Whether warnings are errors.
        processes: How many processes may check a large input.
        repeats: Lines that are known to repeat an earlier custom_id.
        judge: Returns the faults of a model and a `max_tokens`, None where it cannot tell; called often with the same.
        copy: Where the clean copy goes, if one is made.
    """

    settings: Settings
    scratch: Path
    depth: Depth = Depth.AUTO
    strict: bool = False
    processes: int = 1
    repeats: frozenset[int] = frozenset()
    judge: Callable[[str, int], Sequence[Fault] | None] = lambda _model, _max_tokens: None
    copy: CleanCopy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionReport:
    """A section of whole lines in which every line is plainly good, but for its model.

    Attributes:
        end: Where the next section begins.
        count: Its lines; `deep` of them were checked in depth.
        blocks: Runs of lines: how many they are, where they begin, and where the last of their newlines is.
        id_hashes: A hash of each custom_id, by a function that all sections share.
        is_rising: Whether each id is greater than the one before, from `first_id` to `last_id`.
        models: Each model with each `max_tokens` that a request has.
        grouper: Its requests by groups.
    """

    end: int
    count: int
    deep: int
    blocks: tuple[tuple[int, int, int], ...]
    id_hashes: "array[int]"
    is_rising: bool
    first_id: bytes
    last_id: bytes
    models: frozenset[tuple[str, int]]
    grouper: RequestGrouper


class IdNotes(Protocol):
    """Takes the custom_ids of good lines, in order."""

    def add_all(self, ids: Sequence[bytes]) -> None:
        """Take the ids of lines that follow each other."""


class RunNotes(Protocol):
    """Takes runs of good lines, in order."""

    def fits_alone(self, size: int) -> bool:
        """Return whether a batch can hold a line of `size` bytes."""

    def add_all(self, run: bytes, lines: Sequence[bytes], offset: int, number: int) -> None:
        """Take `lines` that follow each other; `run` is their bytes without the last newline, `number` that of the first."""


class BlockChecker:
    """Checks blocks of lines of which all are plainly good, as nearly all lines are.

    Attributes:
        number: The lines that were taken, and those before them.
        deep: How many of them were checked in depth.
        grouper: Their requests by groups.
    """

    def __init__(self, options: CheckOptions, seen: IdNotes, runs: RunNotes, *, lines_before: int = 0) -> None:
        """`lines_before`: the lines of the file before the first block."""
        self.number = lines_before
        self.deep = 0
        self.grouper = RequestGrouper(lines_before)
        self._reader = RequestReader()
        self._rules = Rules(options.settings.headers)
        self._options = options
        self._seen = seen
        self._runs = runs
        self._told: set[tuple[str, str]] = set()

    def take_good(self, run: bytes, lines: list[bytes], offset: int) -> bool:
        """Take lines that are all plainly good, as nearly all are. False: they have to be checked one by one.

        `run` are their bytes without the last newline, `offset` is where they begin.
        """
        if not self._runs.fits_alone(len(run)) or self._options.repeats:
            return False
        first = self.number + 1
        deep = deep_checked(first, len(lines), self._options.depth)
        requests = self._reader.read(lines)
        if requests is None or not self._are_good(requests, {number - first for number in deep}):
            return False
        self.number += len(lines)
        self.deep += len(deep)
        self.grouper.add(requests, LineBlock(lines, offset, first))
        self._seen.add_all(requests.ids)
        self._runs.add_all(run, lines, offset, first)
        return True

    def _are_good(self, requests: RequestBlock, deep: set[int]) -> bool:
        """Return whether requests have no fault that is known here, those at the indexes `deep` none in depth."""
        if any(map(self._rules.faults_of_request, requests.looked_at.values())):
            return False
        in_depth = [requests.looked_at[n] for n in deep & requests.looked_at.keys()]
        for params, at in requests.shapes:
            limits = {requests.max_tokens[n] for n in at}
            if may_be_refused(params) or self._rules.faults(params, limits):
                return False
            if any(self._new_model_faults(params["model"], limit) for limit in limits):
                return False
            # Of messages that are texts nothing else can be wrong.
            if not deep.isdisjoint(at):
                in_depth.append(params)
        return are_structures_good(in_depth)

    def _new_model_faults(self, model: str, max_tokens: int) -> list[Fault]:
        """Return the faults of a model without those that are said once and were said."""
        faults = self._options.judge(model, max_tokens) or ()
        return [fault for fault in faults if (fault.code, model) not in self._told]


class Scanner(BlockChecker):
    """The state of a check between two blocks. `size`: the bytes read so far."""

    def __init__(self, options: CheckOptions, problems: ProblemFile, seen: IdNotes, cuts: CutBuilder) -> None:
        super().__init__(options, seen, cuts)
        self._problems = problems
        self._cuts = cuts
        self._blank = self._left_out = 0
        self._is_clean = True
        self._has_bom = False
        self._gap = False
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
        if not lines:
            return
        if self.take_good(run, lines, offset):
            self._is_clean = self._is_clean and not self._gap
            self._gap = False
            return
        first, start = self.number + 1, offset
        good: dict[int, dict[str, Any]] = {}
        for at, line in enumerate(lines):
            if request := self._line(line, offset):
                good[at] = request
            offset += len(line) + 1
        requests = block_of(good, len(lines))
        self._seen.add_all(requests.ids)
        self.grouper.add(requests, LineBlock(lines, start, first))

    def take_section(self, section: SectionReport) -> bool:
        """Take the lines of a section that was checked elsewhere; False, and take none, for a fault of a model."""
        if any(self._new_model_faults(model, limit) for model, limit in section.models):
            return False
        self.number += section.count
        self.deep += section.deep
        self.grouper.merge(section.grouper)
        self.size = section.end
        return True

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
        self.number += 1
        if not line or line.isspace():
            self._blank += 1
            self._gap = True
            return {}
        request, faults = self._check(line)
        if self._options.strict:
            faults = [replace(fault, severity=Severity.ERROR) for fault in faults]
        if faults and self._report(request, faults):
            self._left_out += 1
            self._gap = True
            return {}
        if self._gap:
            self._is_clean = False
        self._gap = False
        self._cuts.add(line, offset, self.number)
        return request

    def _check(self, line: bytes) -> tuple[dict[str, Any], list[Fault]]:
        """Return the request of a line, empty where an error leaves nothing to read, and all that is wrong with it."""
        try:
            request = decode_line(line)
        except LineFault as broken:
            if not self._cuts.fits_alone(len(line)):
                most = self._options.settings.max_bytes / 1e6
                message = f"the line is longer than {most:.1f} MB, the limit of a batch"
                return {}, [Fault("request_too_large", message)]
            return {}, [broken.fault]
        faults = envelope_faults(request)
        if not isinstance(request, dict):
            return {}, faults
        if self.number in self._options.repeats:
            faults = [*faults, Fault("custom_id_repeated", "an earlier line has the same custom_id")]
        if not self._cuts.fits_alone(len(line)):
            size, most = len(line) / 1e6, self._options.settings.max_bytes / 1e6
            faults = [
                *faults,
                Fault(
                    "request_too_large",
                    f"the request has {size:.1f} MB, more than the limit of {most:.1f} MB for a batch",
                ),
            ]
        params = request.get("params")
        refused = self._rule_faults(params) if isinstance(params, dict) else []
        if deep_checked(self.number, 1, self._options.depth):
            self.deep += 1
            # What a rule refuses may be an unknown key, too. What is of a beta is none where betas are sent.
            places = {fault.path for fault in refused} | (
                beta_places() if self._options.settings.betas else frozenset()
            )
            faults = [*faults, *(fault for fault in structure_faults(params) if fault.path not in places)]
        return request, self._with_model_faults(params, [*faults, *refused])

    def _rule_faults(self, params: dict[str, Any]) -> list[Fault]:
        """Return what the API's rules say. With the depth that is for a newer API, they warn."""
        max_tokens = params.get("max_tokens")
        faults = self._rules.faults(params, [max_tokens] if type(max_tokens) is int else [])
        if self._options.depth is not Depth.ENVELOPE:
            return faults
        return [replace(fault, severity=Severity.WARNING) for fault in faults]

    def _report(self, request: dict[str, Any], faults: list[Fault]) -> bool:
        """Write the faults into the problem file; return whether one of them is an error."""
        custom_id = request.get("custom_id", "")
        for fault in faults:
            self._problems.add(Problem(self.number, custom_id if isinstance(custom_id, str) else "", fault))
        return any(fault.severity is Severity.ERROR for fault in faults)

    def finish(self, sha256: str) -> Scan:
        """Return what all the lines came to; `sha256` is the hash of the file."""
        return Scan(
            cuts=self._cuts.close(),
            count=self._cuts.count,
            lines=self.number - self._blank,
            blank=self._blank,
            left_out=self._left_out,
            size=self.size,
            sha256=sha256,
            deep_checked=self.deep,
            is_clean=self._is_clean,
            has_bom=self._has_bom,
            errors=self._problems.errors,
            warnings=self._problems.warnings,
            by_code=dict(Counter(self._problems.by_code)),
            first_problems=tuple(self._problems.first),
            problem_kinds=self._problems.kinds,
            request_groups=self.grouper.finish(),
        )
