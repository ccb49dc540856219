"""Numbers kept beside a file, eight bytes each, by position: line numbers of round 1, origins of a retry."""

import sys
from array import array
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.errors import DiskProblem
from batchctl.files.durable import disk

_BYTES = 8


class Numbers:
    """The number at each position; where no file was made, position `n` stands for `n + base`."""

    def __init__(self, path: Path, base: int = 0) -> None:
        self._base = base
        self._file: BinaryIO | None = None
        if path.exists():
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
