"""Repeated custom_ids, over any number of ids, in bounded memory.

`SeenIds` takes a hash of every id while the input is checked; equal hashes are only a suspicion. `repeated_lines` then reads
the input once more and compares exactly the suspected ids.
"""

import itertools
import operator
import tempfile
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from batchctl.requests.decoding import BYTE_ORDER_MARK, LineFault, decode_line
from batchctl.requests.inputs import opened

BUCKETS = 256
SPILL_AFTER_IDS = 1_000_000


def is_rising(ids: Sequence[bytes]) -> bool:
    """Return whether each id is greater than the one before."""
    return all(map(operator.lt, ids, itertools.islice(ids, 1, None)))


class SeenIds:
    """The hashes of the ids that were added. Python hashes bytes by SipHash with a key per process: nobody can aim at it.

    As long as each id is greater than the one before, none can come twice, and the hashes are only kept. From the first that
    is not, all are sorted into buckets. Past `spill_after` of them they go to an unnamed file in `folder`.
    """

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
        """Add ids in the order of the input."""
        if not ids:
            return
        # Only as long as it matters: to compare them takes time.
        rises = self._is_rising and is_rising(ids)
        self.add_hashed(array("q", map(hash, ids)), ids[0], ids[-1], is_rising=rises)

    def add_hashed(self, hashes: "array[int]", first: bytes, last: bytes, *, is_rising: bool) -> None:
        """Add ids of which the hashes are known, by a function that is the same for all ids: the first and the last of them too."""
        if self._is_rising:
            self._is_rising = is_rising and self._last < first
            self._last = last
            if self._is_rising:
                self._rising.extend(hashes)
                return
            for before in self._rising.bucket(0):
                self._any_order.scatter(before)
        self._any_order.scatter(hashes)

    def repeated(self) -> set[int]:
        """Return the hashes that came more than once; where there is none, every id is different."""
        repeated: set[int] = set()
        for number in range(0 if self._is_rising else BUCKETS):
            values = array("q", itertools.chain.from_iterable(self._any_order.bucket(number)))
            if len(set(values)) != len(values):
                repeated.update(value for value, after in itertools.pairwise(sorted(values)) if value == after)
        return repeated


class _Hashes:
    """Numbers in buckets, all of them written to a file when they are too many to hold."""

    def __init__(self, folder: Path, buckets: int, spill_after: int) -> None:
        self._folder = folder
        self._spill_after = spill_after
        self._buckets = [array("q") for _ in range(buckets)]
        self._file: IO[bytes] | None = None
        self._runs: list[list[tuple[int, int]]] = [[] for _ in range(buckets)]

    def extend(self, values: Iterable[int]) -> None:
        """Add all to the first bucket."""
        self._buckets[0].extend(values)
        self._make_room()

    def scatter(self, values: Iterable[int]) -> None:
        """Add each to the bucket that its last bits name."""
        buckets, last = self._buckets, len(self._buckets) - 1
        for value in values:
            buckets[value & last].append(value)
        self._make_room()

    def bucket(self, number: int) -> "Iterator[array[int]]":
        """Yield the numbers of a bucket, some at a time."""
        for offset, size in self._runs[number]:
            assert self._file is not None, "runs lie in it"
            self._file.seek(offset)
            run = array("q")
            run.frombytes(self._file.read(size))
            yield run
        yield self._buckets[number]

    def close(self) -> None:
        """Close the file, if there is one."""
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


def repeated_lines(path: Path, hashes: set[int], bad: Collection[int]) -> Iterator[tuple[int, str, int]]:
    """Yield each repeated custom_id as its line, the id, and the line of its first appearance.

    `hashes` are those that `SeenIds` suspects; lines that are `bad` for another reason are not sent and repeat nothing.
    """
    first: dict[str, int] = {}
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            custom_id = _id_of(line, is_first=number == 1)
            if custom_id is None or hash(custom_id.encode()) not in hashes or number in bad:
                continue
            if custom_id in first:
                yield number, custom_id, first[custom_id]
            else:
                first[custom_id] = number


def _id_of(line: bytes, *, is_first: bool) -> str | None:
    try:
        request = decode_line(line.rstrip(b"\n").removeprefix(BYTE_ORDER_MARK) if is_first else line.rstrip(b"\n"))
    except LineFault:
        return None
    custom_id = request.get("custom_id") if isinstance(request, dict) else None
    return custom_id if isinstance(custom_id, str) else None
