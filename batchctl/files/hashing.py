"""SHA-256 of a file and of ranges of it, read once more in a thread: that needs no Python, and a second core is often idle."""

import hashlib
import os
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
        self._read_into(digest, start, end)
        return digest.hexdigest()

    def _go_on(self, end: int) -> None:
        self._read_into(self._whole, self._hashed, end)
        self._hashed = end

    def _read_into(self, digest: "hashlib._Hash", start: int, end: int) -> None:
        while start < end:
            size = os.preadv(self._handle, [self._buffer[: end - start]], start)
            if not size:
                return
            digest.update(self._buffer[:size])
            start += size
