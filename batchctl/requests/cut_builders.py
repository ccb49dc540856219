"""Cuts with their hashes: of the file that is read, or of a copy that is written of its lines."""

import hashlib
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from batchctl.domain.model import Cut, Settings
from batchctl.requests.cutting import Cutter, Extent
from batchctl.requests.inputs import identity_of
from batchctl.store.line_maps import pack

BUFFER_BYTES = 1 << 21


class RangeHashes:
    """SHA-256 of a file and of ranges of it, in a thread that follows the reader while the bytes are in the page cache.

    The bytes that were read and the bytes that are hashed are the same only where nobody writes to the file meanwhile: see
    `has_changed`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._handle = file.fileno()
        self._begun = identity_of(file)
        self._pool = ThreadPoolExecutor(1)
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._whole = hashlib.sha256()
        self._asked = self._hashed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def of_range(self, start: int, end: int) -> "Future[str]":
        """Return the hash of the bytes from `start` to before `end`, as a future."""
        return self._pool.submit(self._range, start, end)

    def go_on(self, end: int) -> None:
        """Hash on: the file was read up to `end`."""
        if end - self._asked >= BUFFER_BYTES:
            self._asked = end
            self._pool.submit(self._go_on, end)

    def whole(self, end: int) -> str:
        """Return the hash of the file up to `end`; waits for it."""
        self._pool.submit(self._go_on, end).result()
        return self._whole.hexdigest()

    def has_changed(self) -> bool:
        """Return whether somebody wrote to the file since this was made."""
        return identity_of(self._file) != self._begun

    def _range(self, start: int, end: int) -> str:
        digest = hashlib.sha256()
        for piece in self._pieces(start, end):
            digest.update(piece)
        return digest.hexdigest()

    def _go_on(self, end: int) -> None:
        for piece in self._pieces(self._hashed, end):
            self._whole.update(piece)
            self._hashed += len(piece)

    def _pieces(self, start: int, end: int) -> Iterator[memoryview]:
        """Yield the bytes of a range, each piece good until the next; fewer where the file has become shorter."""
        while start < end and (size := os.preadv(self._handle, [self._buffer[: end - start]], start)):
            yield self._buffer[:size]
            start += size


class CutBuilder(Protocol):
    """Takes good lines in order, and gives the cuts once all of them were taken."""

    @property
    def count(self) -> int:
        """Return how many lines were taken."""

    def fits_alone(self, size: int) -> bool:
        """Return whether a batch can hold a line of `size` bytes."""

    def add(self, line: bytes, offset: int, number: int) -> None:
        """Take the line at `offset` of its file; `number` is its number there."""

    def add_all(self, run: bytes, lines: Sequence[bytes], offset: int, number: int) -> None:
        """Take `lines` that follow each other; `run` is their bytes without the last newline, `number` that of the first."""

    def close(self) -> tuple[Cut, ...]:
        """Return the cuts of all lines."""


class InPlaceCuts:
    """Cuts of the file that is read; `hashes` reads it once more."""

    def __init__(self, settings: Settings, hashes: RangeHashes) -> None:
        self._cutter = Cutter(settings)
        self._hashes = hashes
        self._done: list[tuple[Extent, Callable[[], str]]] = []
        self.count = 0

    def fits_alone(self, size: int) -> bool:
        """Return whether a batch can hold a line of `size` bytes."""
        return self._cutter.fits_alone(size)

    def add(self, line: bytes, offset: int, number: int) -> None:  # noqa: ARG002 - its place is enough
        """Take a line."""
        self.count += 1
        self._note(self._cutter.add(offset, offset + len(line)))

    def add_all(self, run: bytes, lines: Sequence[bytes], offset: int, number: int) -> None:
        """Take lines that follow each other."""
        if self._cutter.add_run(len(lines), offset, offset + len(run)):
            self.count += len(lines)
            return
        for line in lines:
            self.add(line, offset, number)
            offset += len(line) + 1

    def add_block(self, count: int, start: int, end: int, lines_of: Callable[[int, int], list[bytes]]) -> None:
        """Take `count` lines from the byte `start` on, with the last newline at `end`. `lines_of` reads lines where they are needed."""
        if self._cutter.add_run(count, start, end):
            self.count += count
            return
        for line in lines_of(start, end):
            self.add(line, start, 0)
            start += len(line) + 1

    def close(self) -> tuple[Cut, ...]:
        """Return the cuts of all lines; waits for their hashes."""
        self._note(self._cutter.close())
        return tuple(_cut(extent, sha256()) for extent, sha256 in self._done)

    def _note(self, closed: Extent | None) -> None:
        if closed is not None:
            self._done.append((closed, self._hashes.of_range(closed.start, closed.end).result))


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanCopy:
    """The files that lines are copied to, and their numbers: lines of the input, or origins."""

    requests: BinaryIO
    numbers: BinaryIO


class CopiedCuts:
    """Cuts of a copy that is written here."""

    def __init__(self, settings: Settings, copy: CleanCopy, first: int = 0, *, written: int = 0) -> None:
        """`first`: how many batches the job has already. `written`: bytes that the copy has already."""
        self._cutter = Cutter(settings, first)
        self._copy = copy
        self._hash = hashlib.sha256()
        self._is_open = False
        self._numbers = array("Q")
        self._written = written
        self._done: list[Cut] = []
        self.count = 0

    def fits_alone(self, size: int) -> bool:
        """Return whether a batch can hold a line of `size` bytes."""
        return self._cutter.fits_alone(size)

    def add(self, line: bytes, offset: int, number: int) -> None:  # noqa: ARG002 - its place is in the copy
        """Take a line and copy it."""
        self._note(self._cutter.add(self._written, self._written + len(line)))
        self._write(line, range(number, number + 1))

    def add_all(self, run: bytes, lines: Sequence[bytes], offset: int, number: int) -> None:
        """Take lines that follow each other and copy them."""
        if self._cutter.add_run(len(lines), self._written, self._written + len(run)):
            self._write(run, range(number, number + len(lines)))
            return
        for at, line in enumerate(lines, number):
            self.add(line, offset, at)

    def end_cut(self) -> None:
        """End the cut under way: the next line is in another one."""
        self._note(self._cutter.close())

    def close(self) -> tuple[Cut, ...]:
        """Return the cuts of all lines."""
        self.end_cut()
        return tuple(self._done)

    def _write(self, run: bytes, numbers: range) -> None:
        if self._is_open:
            self._hash.update(b"\n")
        self._hash.update(run)
        self._is_open = True
        self._copy.requests.write(run)
        self._copy.requests.write(b"\n")
        self._written += len(run) + 1
        self.count += len(numbers)
        self._numbers.extend(numbers)

    def _note(self, closed: Extent | None) -> None:
        if closed is None:
            return
        self._done.append(_cut(closed, self._hash.hexdigest()))
        self._hash = hashlib.sha256()
        self._is_open = False
        self._copy.numbers.write(pack(self._numbers))
        del self._numbers[:]


def _cut(extent: Extent, sha256: str) -> Cut:
    return Cut(first=extent.first, count=extent.count, start=extent.start, end=extent.end, sha256=sha256)
