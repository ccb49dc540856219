"""Whether an id was seen before, over any number of ids, in bounded memory.

64-bit keyed hashes go into 256 buckets; past two million ids the buckets are spilled to an unnamed file. Equal hashes
are only a suspicion: the caller looks again at exactly those ids.
"""

import itertools
import tempfile
from array import array
from pathlib import Path
from types import TracebackType
from typing import Self

BUCKETS = 256
SPILL_AFTER_IDS = 2_000_000


class SeenIds:
    """Feed it every id. Python's own string hash is SipHash with a key per process: nobody can aim at it."""

    def __init__(self, folder: Path, spill_after: int = SPILL_AFTER_IDS) -> None:
        self._spill_after = spill_after
        self._held = 0
        self._buckets = _empty_buckets()
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed in __exit__
        self._runs: list[list[tuple[int, int]]] = [[] for _ in range(BUCKETS)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add_all(self, ids: list[str]) -> None:
        buckets = self._buckets
        for value in map(hash, ids):
            buckets[value & (BUCKETS - 1)].append(value)
        self._held += len(ids)
        if self._held >= self._spill_after:
            self._spill()

    def repeated(self) -> set[int]:
        """Hashes that came more than once; empty means that every id was different."""
        found: set[int] = set()
        for number in range(BUCKETS):
            values = self._bucket(number)
            if len(set(values)) != len(values):
                found.update(one for one, other in itertools.pairwise(sorted(values)) if one == other)
        return found

    def _spill(self) -> None:
        for number, bucket in enumerate(self._buckets):
            self._runs[number].append((self._file.seek(0, 2), len(bucket) * bucket.itemsize))
            self._file.write(bucket.tobytes())
        self._buckets = _empty_buckets()
        self._held = 0

    def _bucket(self, number: int) -> "array[int]":
        whole = array("q", self._buckets[number])
        for offset, size in self._runs[number]:
            self._file.seek(offset)
            whole.frombytes(self._file.read(size))
        return whole


def _empty_buckets() -> "list[array[int]]":
    return [array("q") for _ in range(BUCKETS)]
