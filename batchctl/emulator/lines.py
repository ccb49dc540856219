"""The result lines of a batch on disk: written once when it is created, read in the order they finished."""

import os
import random
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from batchctl.emulator.outcomes import COUNTERS


class Lines:
    """One line per request in `<path>`, and beside it in `<path>.order` where each starts and which finished when.

    Lines finish in a shuffled order, so the first k of that order are those that had finished at some instant.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.order_path = path.with_suffix(".order")
        self._starts = array("Q", [0])
        self._counters = bytearray()

    def write(self, lines: Iterator[tuple[bytes, int]]) -> None:
        """Write result lines, each with the number of its counter."""
        with self.path.open("wb") as file:
            for line, counter in lines:
                file.write(line)
                self._starts.append(self._starts[-1] + len(line))
                self._counters.append(counter)

    def shuffle(self, seed: str) -> None:
        """Decides the order and puts the index to disk."""
        order = array("I", range(len(self._counters)))
        random.Random(seed).shuffle(order)
        with self.order_path.open("wb") as file:
            self._starts.tofile(file)
            order.tofile(file)
            file.write(bytes(self._counters[number] for number in order))
        self._starts, self._counters = array("Q"), bytearray()

    def counts(self, total: int, finished: int) -> Counter[str]:
        """How many of the first `finished` lines moved each counter."""
        with self.order_path.open("rb") as file:
            file.seek(8 * (total + 1) + 4 * total)
            found = Counter(file.read(finished))
        return Counter({name: found[counter] for counter, name in COUNTERS.items()})

    def read(self, total: int) -> Iterator[bytes]:
        """Every line in the order of finishing."""
        starts, order = array("Q"), array("I")
        with self.order_path.open("rb") as file:
            starts.fromfile(file, total + 1)
            order.fromfile(file, total)
        with self.path.open("rb") as file:
            for number in order:
                # Not mapped: pages of a mapping would count as this process's memory.
                yield os.pread(file.fileno(), starts[number + 1] - starts[number], starts[number])

    def remove(self) -> None:
        """Remove the files."""
        self.path.unlink(missing_ok=True)
        self.order_path.unlink(missing_ok=True)


def custom_id_of(line: bytes) -> bytes:
    """The id in a line written here, which always begins with it."""
    return line[len(b'{"custom_id":"') : line.index(b'"', len(b'{"custom_id":"'))]


def result_line(custom_id: bytes, kind: str) -> bytes:
    """The line of a request that never ran."""
    return b'{"custom_id":"%s","result":{"type":"%s"}}\n' % (custom_id, kind.encode())
