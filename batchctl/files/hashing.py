"""SHA-256 of a file and of ranges of it, read once more in a thread: that needs no Python, and a second core is often idle."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO, Self

BUFFER_BYTES = 1 << 21


class RangeHashes:
    """Right behind whoever reads the file, so that what it reads lies in memory already.

    What was read and what is hashed are the same bytes only where nobody writes to the file meanwhile: see `has_changed`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._handle = file.fileno()
        self._begun = os.fstat(self._handle)
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

    def of(self, start: int, end: int) -> "Future[str]":
        """The hash of the bytes from `start` to before `end`, once it is known."""
        return self._pool.submit(self._range, start, end)

    def go_on(self, end: int) -> None:
        """The file was read up to `end`."""
        if end - self._asked >= BUFFER_BYTES:
            self._asked = end
            self._pool.submit(self._go_on, end)

    def whole(self, end: int) -> str:
        """The hash of the file up to `end`."""
        self._pool.submit(self._go_on, end).result()
        return self._whole.hexdigest()

    def has_changed(self) -> bool:
        """Whether somebody wrote to the file since this began."""
        now = os.fstat(self._handle)
        return (now.st_size, now.st_mtime_ns) != (self._begun.st_size, self._begun.st_mtime_ns)

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
        """Each good until the next; fewer bytes where the file has become shorter."""
        while start < end and (size := os.preadv(self._handle, [self._buffer[: end - start]], start)):
            yield self._buffer[:size]
            start += size
