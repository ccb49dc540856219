"""Whether an id was seen before, over any number of ids, in bounded memory.

As long as each id is greater than the one before it, none can come twice, and their keyed 64-bit hashes are only kept.
Once one is not, all go into 256 buckets. Past a million ids either is spilled to an unnamed file. Equal hashes are only a
suspicion: the caller looks again at exactly those ids.
"""

import itertools
import operator
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

BUCKETS = 256
SPILL_AFTER_IDS = 1_000_000


class SeenIds:
    """Feed it every id. Python's own hash of bytes is SipHash with a key per process: nobody can aim at it."""

    def __init__(self, folder: Path, spill_after: int = SPILL_AFTER_IDS) -> None:
        self._rising = _Hashes(folder, 1, spill_after)
        self._any_order = _Hashes(folder, BUCKETS, spill_after)
        self._last = b""
        self._is_rising = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rising.close()
        self._any_order.close()

    def add_all(self, ids: Sequence[bytes]) -> None:
        if not ids:
            return
        if self._is_rising:
            self._is_rising = self._last < ids[0] and all(map(operator.lt, ids, itertools.islice(ids, 1, None)))
            self._last = ids[-1]
            if self._is_rising:
                self._rising.extend(map(hash, ids))
                return
            for held in self._rising.bucket(0):
                self._any_order.scatter(held)
        self._any_order.scatter(map(hash, ids))

    def repeated(self) -> set[int]:
        """Hashes that came more than once; empty means that every id was different."""
        found: set[int] = set()
        for number in range(0 if self._is_rising else BUCKETS):
            values = array("q", itertools.chain.from_iterable(self._any_order.bucket(number)))
            if len(set(values)) != len(values):
                found.update(one for one, other in itertools.pairwise(sorted(values)) if one == other)
        return found


class _Hashes:
    """Numbers in buckets, all of them written out when they are too many to hold."""

    def __init__(self, folder: Path, buckets: int, spill_after: int) -> None:
        self._folder = folder
        self._spill_after = spill_after
        self._buckets = [array("q") for _ in range(buckets)]
        self._file: IO[bytes] | None = None
        self._runs: list[list[tuple[int, int]]] = [[] for _ in range(buckets)]

    def extend(self, values: Iterable[int]) -> None:
        """All into the first bucket."""
        self._buckets[0].extend(values)
        self._make_room()

    def scatter(self, values: Iterable[int]) -> None:
        """Each into the bucket that its last bits name."""
        buckets, last = self._buckets, len(self._buckets) - 1
        for value in values:
            buckets[value & last].append(value)
        self._make_room()

    def bucket(self, number: int) -> "Iterator[array[int]]":
        for offset, size in self._runs[number]:
            assert self._file is not None, "runs lie in it"
            self._file.seek(offset)
            run = array("q")
            run.frombytes(self._file.read(size))
            yield run
        yield self._buckets[number]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _make_room(self) -> None:
        if sum(map(len, self._buckets)) < self._spill_after:
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed in close()
        for number, bucket in enumerate(self._buckets):
            self._runs[number].append((self._file.seek(0, 2), len(bucket) * bucket.itemsize))
            self._file.write(bucket)
            del bucket[:]
