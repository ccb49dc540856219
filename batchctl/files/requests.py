"""The request file of a round, read back: a batch's lines by position, or cut in two."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from batchctl.domain.errors import InputProblem
from batchctl.domain.model import Batch, Cut, Job
from batchctl.files.decoding import BYTE_ORDER_MARK
from batchctl.files.inputs import opened
from batchctl.files.ranges import blocks_of_range, check_range, lines_of_range
from batchctl.files.workspace import Workspace

# A range that is no larger is held while it is checked; any other is read twice.
HELD_BYTES = 8 << 20


def request_file(workspace: Workspace, job: Job, number: int) -> Path:
    """Where a round's bytes are. Raises InputProblem where they are no longer."""
    stored = next(r for r in job.rounds if r.number == number)
    path = workspace.resolve(stored.request_file)
    if not path.exists():
        raise InputProblem(
            f"{path}: the requests of {job.name} are no longer there",
            hint="name the moved file with --input PATH: it is checked by its hash",
        )
    return path


def halves(path: Path, batch: Batch) -> tuple[Cut, Cut]:
    """Two cuts with the same lines; the batch must hold more than one."""
    count = batch.count // 2
    cut = batch.cut
    digests = hashlib.sha256(), hashlib.sha256()
    end = cut.start - 1
    for position, line in enumerate(lines_of_range(path, batch)):
        digest = digests[position >= count]
        if position not in {0, count}:
            digest.update(b"\n")
        digest.update(line)
        if position < count:
            end += len(line) + 1
    return (
        Cut(first=cut.first, count=count, start=cut.start, end=end, sha256=digests[0].hexdigest()),
        Cut(
            first=cut.first + count,
            count=cut.count - count,
            start=end + 1,
            end=cut.end,
            sha256=digests[1].hexdigest(),
        ),
    )


class LinesInOrder:
    """The request lines of one batch, asked for by rising position; its range is read only if asked.

    Checked as a whole before the first is given: what is taken from them may be sent before the last is reached.
    """

    def __init__(self, path: Path, batch: Batch) -> None:
        self._path = path
        self._batch = batch
        self._blocks: Iterator[list[bytes]] | None = None
        self._lines: list[bytes] = []
        self._first = 0

    def line(self, position: int) -> bytes:
        """Raises InputProblem where the range is not the one that was planned."""
        if self._blocks is None:
            self._blocks = self._checked()
        while position >= self._first + len(self._lines):
            self._first += len(self._lines)
            self._lines = next(self._blocks)
        return self._lines[position - self._first]

    def _checked(self) -> Iterator[list[bytes]]:
        blocks = blocks_of_range(self._path, self._batch)
        if self._batch.cut.end - self._batch.cut.start <= HELD_BYTES:
            return iter([*blocks])
        check_range(self._path, self._batch)
        return blocks


def whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Every line of a checked file that holds something, with its number, a BOM and the newline left out."""
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            text = (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).rstrip(b"\n")
            if text.strip():
                yield number, text
