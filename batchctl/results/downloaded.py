"""A downloaded batch on the disk: its raw results and its index, read by position.

What lies there is whole: `results.receive` puts it in place only then.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.errors import DiskProblem
from batchctl.domain.model import Batch, OutcomeCode
from batchctl.domain.outcomes import UNREADABLE, Reading
from batchctl.domain.wording import plural
from batchctl.results.index import INDEX_BYTES
from batchctl.results.result_lines import IncompleteResults, id_in_head, read_line
from batchctl.store.line_maps import unpack
from batchctl.store.local import disk

IN_MEMORY_BYTES = 8 << 20
PIECE_BYTES = 1 << 18

_CODES = frozenset(OutcomeCode)
# The hashes of raw files that this process verified, by what the disk said of them then.
_verified_hashes: dict[tuple[int, ...], str] = {}


class Answers:
    """The answers of a downloaded batch by position, as the API sent them.

    Attributes:
        codes: The OutcomeCode of each request, one byte each.
        line_bytes: How long a line is on average.
    """

    def __init__(self, raw: Path, index: Path, batch: Batch) -> None:
        """Open both files. Raises DiskProblem where they are not those that were verified."""
        count = batch.count
        with disk(index):
            stored = index.read_bytes()
        if len(stored) != INDEX_BYTES * count or not _CODES.issuperset(stored[12 * count :]):
            raise damaged(index, f"not the index of a batch with {plural(count, 'request')}")
        self.codes = stored[12 * count :]
        self._offsets = unpack("Q", stored[: 8 * count])
        self._sizes = unpack("I", stored[8 * count : 12 * count])
        self._raw = raw
        self.line_bytes = sum(self._sizes) // max(1, count)
        with disk(raw):
            self._file = raw.open("rb")
            self._is_small = os.fstat(self._file.fileno()).st_size <= IN_MEMORY_BYTES
            self._whole = self._file.read() if self._is_small else b""
            sha256 = self._sha256()
        if sha256 != batch.results_sha256:
            self._file.close()
            raise damaged(raw, "differs from the bytes that were verified after the download")

    def _sha256(self) -> str:
        if self._is_small:
            return hashlib.sha256(self._whole).hexdigest()
        # What this process wrote itself, and nobody has written to since, is not read a second time.
        return _verified_hashes.get(_identity(self._file)) or hashlib.file_digest(self._file, "sha256").hexdigest()

    def line(self, position: int) -> bytes:
        """Return the line of a request without its newline; empty where it has none."""
        offset, size = self._offsets[position], self._sizes[position]
        if self._is_small:
            return self._whole[offset : offset + size]
        return os.pread(self._file.fileno(), size, offset)

    def lines(self, first: int, end: int) -> list[bytes]:
        """Return the lines of the positions from `first` to before `end`; empty for a request that has none."""
        places = zip(self._offsets[first:end], self._sizes[first:end], strict=True)
        if self._is_small:
            whole = self._whole
            return [whole[offset : offset + size] for offset, size in places]
        return [os.pread(self._file.fileno(), size, offset) for offset, size in places]

    def read(self, position: int) -> tuple[bytes, Reading]:
        """Return the custom_id of a line and what the line says. Raises DiskProblem where it is no result any more.

        Of a line that cannot be read the custom_id is empty where its beginning does not show it.
        """
        if self.codes[position] == OutcomeCode.UNREADABLE:
            message = f"{UNREADABLE.message}, {self._raw} from byte {self._offsets[position]:,} on"
            return id_in_head(self.line(position)), replace(UNREADABLE, message=message)
        try:
            line = read_line(self.line(position))
        except IncompleteResults as odd:
            raise damaged(self._raw, str(odd)) from odd
        return line.custom_id, line.reading

    def close(self) -> None:
        """Close the raw file and free its bytes now: the next batch is opened while a variable still refers to this one."""
        self._file.close()
        self._whole = b""


def is_on_disk(raw: Path, index: Path, batch: Batch) -> bool:
    """Return whether both files of a downloaded batch are there, as long as they were."""
    try:
        sizes = raw.stat().st_size, index.stat().st_size
    except OSError:
        return False
    return sizes == (batch.results_bytes, INDEX_BYTES * batch.count)


def pieces_of(raw: Path) -> Iterator[bytes]:
    """Yield a raw file from end to end. Raises DiskProblem."""
    with disk(raw), raw.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


@contextlib.contextmanager
def lines_at(raw: Path) -> Iterator[Callable[[int, int], bytes]]:
    """Give a function that reads a line of a raw file by offset and size. Raises DiskProblem."""
    with disk(raw), raw.open("rb") as file:
        yield lambda offset, size: os.pread(file.fileno(), size, offset)


def remember_hash(raw: Path, sha256: str) -> None:
    """Note the hash of a file that was just verified, so that this process need not read it for that again."""
    with raw.open("rb") as file:
        _verified_hashes[_identity(file)] = sha256


def _identity(file: BinaryIO) -> tuple[int, ...]:
    facts = os.fstat(file.fileno())
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def damaged(path: Path, why: str) -> DiskProblem:
    """Return the problem of a file that is not as it was verified."""
    return DiskProblem(f"{path}: {why}", hint="delete it, then download the batch again: batchctl fetch")
