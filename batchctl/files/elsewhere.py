"""The input of batches that were made elsewhere: read for its ids, then laid down as the request file of their job.

What stands in `params` was sent already: it is not checked here. A line must only be one that a retry could send.
"""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.errors import InputProblem
from batchctl.domain.limits import CEILING_MAX_BYTES
from batchctl.domain.model import Cut, Settings
from batchctl.files.cuts import CleanCopy, Copied
from batchctl.files.decoding import BYTE_ORDER_MARK, LineFault, decode_line
from batchctl.files.durable import replacing
from batchctl.files.inputs import opened, refuse_wrong_file, stat
from batchctl.files.pairing import Line, Pairing
from batchctl.files.sides import pack


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An input, read. `path` is what the person named, `plain` the file of its bytes; `lines` hold something."""

    path: str
    plain: Path
    lines: int
    sha256: str
    size: int
    mtime_ns: int


def read(path: str, plain: Path, pairing: Pairing, tell: Callable[[int], None]) -> Given:
    """Reads the whole input into `pairing`. Raises InputProblem with the first line that no batch can hold."""
    found = stat(plain)
    with opened(plain) as file:
        refuse_wrong_file(path, file)
        reading = _Reading(path, file, tell)
        pairing.add_lines(reading)
    return Given(
        path=path,
        plain=plain,
        lines=reading.lines,
        sha256=reading.sha256.hexdigest(),
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
    )


class _Reading:
    def __init__(self, path: str, file: BinaryIO, tell: Callable[[int], None]) -> None:
        self._path = path
        self._file = file
        self._tell = tell
        self.lines = 0
        self.sha256 = hashlib.sha256()

    def __iter__(self) -> Iterator[Line]:
        at = number = 0
        # No longer than a body: a file without line ends is not read into memory.
        while whole := self._file.readline(CEILING_MAX_BYTES):
            number += 1
            self.sha256.update(whole)
            mark = len(BYTE_ORDER_MARK) if number == 1 and whole.startswith(BYTE_ORDER_MARK) else 0
            line = whole[mark:].removesuffix(b"\n")
            if line.strip():
                self.lines += 1
                yield Line(number, self._custom_id(line, number), at + mark, len(line))
            at += len(whole)
            self._tell(at)

    def _custom_id(self, line: bytes, number: int) -> str:
        try:
            request = decode_line(line)
        except LineFault as broken:
            raise self._problem(number, broken.fault.message) from None
        assert isinstance(request, dict), "decode_line gives objects"
        custom_id = request.get("custom_id")
        if not isinstance(custom_id, str) or not isinstance(request.get("params"), dict):
            raise self._problem(number, 'no request: it needs "custom_id", a text, and "params", an object')
        if len(request) != 2:
            raise self._problem(number, 'keys beside "custom_id" and "params": the API takes no such request again')
        return custom_id

    def _problem(self, number: int, why: str) -> InputProblem:
        return InputProblem(
            f"{self._path} line {number:,}: {why}",
            hint='each line as it was sent: {"custom_id": ..., "params": {...}}; jq -c "{custom_id, params}" drops the rest',
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidDown:
    """Where the lines lie now: those of each batch, and after them those that are in no batch and could be sent."""

    batches: tuple[Cut, ...]
    rest: tuple[Cut, ...]


def lay_down(
    given: Given,
    pairing: Pairing,
    places: Sequence[Cut],
    settings: Settings,
    requests: Path,
    numbers: Path,
    tell: Callable[[int], None],
) -> LaidDown:
    """The lines of each batch, one after the other, to `requests`, and their line numbers to `numbers`; then all others.

    Raises InputProblem where the input changed since it was read.
    """
    cuts, at, firsts = [], 0, []
    with opened(given.plain) as file, replacing(requests) as out, replacing(numbers) as side:
        for batch, place in enumerate(places):
            lines = pairing.lines_of(batch)
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
            tell(at)
        copied = Copied(settings, CleanCopy(requests=out, numbers=side), written=at)
        _copy_rest(file, pairing, sorted(firsts), copied, lambda size: tell(at + size))
        rest = copied.close()
    found = stat(given.plain)
    if (found.st_size, found.st_mtime_ns) != (given.size, given.mtime_ns):
        raise InputProblem(f"{given.path}: changed while it was read", hint="run it again once it is still")
    count = sum(place.count for place in places)
    return LaidDown(batches=tuple(cuts), rest=tuple(replace(cut, first=cut.first + count) for cut in rest))


def _copy_rest(
    file: BinaryIO, pairing: Pairing, firsts: Sequence[int], copied: Copied, tell: Callable[[int], None]
) -> None:
    """The lines that are in no batch. `firsts`: the first line of each batch, in order.

    All is read in the order of first lines: where a batch begins between two of these, they are in two cuts.
    """
    place = size = 0
    for line in pairing.left():
        if place < len(firsts) and firsts[place] < line.number:
            copied.end_cut()
            place = bisect_left(firsts, line.number)
        file.seek(line.start)
        copied.add(file.read(line.size), 0, line.number)
        size += line.size + 1
        tell(size)
