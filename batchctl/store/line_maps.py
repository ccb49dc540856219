"""Line maps: a number for each position, eight bytes each, in a file beside a request file.

That of round 1 holds line numbers of the input, that of a retry the positions in round 1 ("origins").
"""

import os
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.errors import DiskProblem
from batchctl.store.local import disk

_BYTES = 8
_PIECE_BYTES = 1 << 18


class LineMap:
    """The number at each position. Without a file, position `n` stands for `n + base`."""

    def __init__(self, path: Path | None, base: int = 0) -> None:
        self._base = base
        self._file: BinaryIO | None = None
        if path is not None and path.exists():
            with disk(path):
                self._file = path.open("rb")

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def numbers(self, first: int, count: int) -> "range | array[int]":
        """Return the numbers of `count` positions from `first` on. Raises DiskProblem where the file is too short."""
        if self._file is None:
            return range(first + self._base, first + self._base + count)
        self._file.seek(first * _BYTES)
        numbers = unpack("Q", self._file.read(count * _BYTES))
        if len(numbers) != count:
            raise DiskProblem(f"{self._file.name}: shorter than the batches it belongs to")
        return numbers


def read_line_map(path: Path, count: int) -> "Iterator[array[int]]":
    """Yield all numbers of a file, some at a time. Raises DiskProblem where it does not hold exactly `count`."""
    with disk(path), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size != count * _BYTES:
            raise DiskProblem(f"{path}: {size:,} bytes, not the {count * _BYTES:,} of {count:,} numbers")
        while piece := file.read(_PIECE_BYTES):
            yield unpack("Q", piece)


def pack(numbers: "array[int]") -> bytes:
    """Return numbers as bytes, little-endian on every machine."""
    if sys.byteorder == "big":
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    return numbers.tobytes()


def unpack(typecode: str, stored: bytes) -> "array[int]":
    """Return what `pack` packed; `typecode` as of `array`."""
    numbers = array(typecode)
    numbers.frombytes(stored)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
