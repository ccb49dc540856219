"""Request lines to batches: where each cut lies, its hash, and the copy of the lines if one is made."""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from batchctl.domain.cutting import Cutter, Extent
from batchctl.domain.model import Cut, Settings
from batchctl.files.sides import pack


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanCopy:
    """Where the lines go, one after the other, and a number for each: its line in the input, or its origin."""

    requests: BinaryIO
    numbers: BinaryIO


class Cuts:
    """Fed with lines in order; the cuts as they close, with their hashes. Holds the lines since the last `flush`."""

    def __init__(self, settings: Settings, copy: CleanCopy | None) -> None:
        self._cutter = Cutter(settings.max_requests, settings.max_bytes)
        self._copy = copy
        self._hash = hashlib.sha256()
        self._is_open = False
        self._lines: list[bytes] = []
        self._numbers = array("Q")
        self._written = 0
        self.count = 0
        self._done: list[Cut] = []

    def fits_alone(self, size: int) -> bool:
        return self._cutter.fits_alone(size)

    def add(self, line: bytes, offset: int, number: int) -> None:
        """Takes a line at `offset` of its file; where a copy is made, the offset in the copy counts instead."""
        if self._copy is not None:
            offset = self._written
            self._written += len(line) + 1
            self._numbers.append(number)
        closed = self._cutter.add(offset, offset + len(line))
        if closed is not None:
            self._close(closed)
        self._lines.append(line)
        self.count += 1

    def add_all(self, run: bytes, lines: Sequence[bytes], offset: int, number: int) -> None:
        """Takes `lines` that stand one after the other, `run` being their bytes without the last newline."""
        start = offset if self._copy is None else self._written
        if not self._cutter.add_run(len(lines), start, start + len(run)):
            for line in lines:
                self.add(line, offset, number)
                offset += len(line) + 1
                number += 1
            self.flush()
            return
        self._written += len(run) + 1
        self.count += len(lines)
        self._numbers.extend(range(number, number + len(lines)) if self._copy is not None else ())
        self._take(run)

    def flush(self) -> None:
        """Hashes and writes what the block in hand added: a join per block costs less than a call per line."""
        if self._lines:
            self._take(b"\n".join(self._lines))
            self._lines.clear()

    def _take(self, run: bytes) -> None:
        if self._is_open:
            self._hash.update(b"\n")
        self._hash.update(run)
        self._is_open = True
        if self._copy is not None:
            self._copy.requests.write(run)
            self._copy.requests.write(b"\n")
            self._copy.numbers.write(pack(self._numbers))
            del self._numbers[:]

    def close(self) -> tuple[Cut, ...]:
        """All cuts."""
        last = self._cutter.close()
        if last is not None:
            self._close(last)
        return tuple(self._done)

    def _close(self, extent: Extent) -> None:
        self.flush()
        self._done.append(
            Cut(
                first=extent.first,
                count=extent.count,
                start=extent.start,
                end=extent.end,
                sha256=self._hash.hexdigest(),
            )
        )
        self._hash = hashlib.sha256()
        self._is_open = False
