"""Numbers kept beside a file, eight bytes each, by position: line numbers of round 1, origins of a retry."""

import os
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.errors import DiskProblem
from batchctl.store.local import disk

_BYTES = 8
_RUN_BYTES = 1 << 18


class Numbers:
    """The number at each position; where no file was made, position `n` stands for `n + base`."""

    def __init__(self, path: Path | None, base: int = 0) -> None:
        self._base = base
        self._file: BinaryIO | None = None
        if path is not None and path.exists():
            with disk(path):
                self._file = path.open("rb")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def run(self, first: int, count: int) -> "range | array[int]":
        """The numbers of `count` positions from `first` on."""
        if self._file is None:
            return range(first + self._base, first + self._base + count)
        self._file.seek(first * _BYTES)
        numbers = unpack("Q", self._file.read(count * _BYTES))
        if len(numbers) != count:
            raise DiskProblem(f"{self._file.name}: shorter than the batches it belongs to")
        return numbers


def runs(path: Path, count: int) -> "Iterator[array[int]]":
    """All numbers of a file that holds `count`, piece by piece. Raises DiskProblem where it holds more or fewer."""
    with disk(path), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size != count * _BYTES:
            raise DiskProblem(f"{path}: {size:,} bytes, not the {count * _BYTES:,} of {count:,} numbers")
        while piece := file.read(_RUN_BYTES):
            yield unpack("Q", piece)


def pack(numbers: "array[int]") -> bytes:
    """Little-endian whatever the machine."""
    if sys.byteorder == "big":
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    return numbers.tobytes()


def unpack(typecode: str, stored: bytes) -> "array[int]":
    numbers = array(typecode)
    numbers.frombytes(stored)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
