"""The index of a batch's results: for each request where its line lies and what became of it.

It is built while the lines come (`results.receive`), or from a raw file that is read again. On the disk it lies beside the raw
file as three columns by position: offsets (8 bytes each), sizes (4 bytes each, without the newline) and outcome codes (1 byte
each), little-endian.
"""

from array import array
from collections.abc import Callable, Iterator
from typing import Protocol

from batchctl.domain.model import OutcomeCode, RequestCounts
from batchctl.domain.outcomes import UNREADABLE, Reading
from batchctl.results.result_lines import (
    HEAD_BYTES,
    OPENING,
    SUCCEEDED_HEAD,
    IncompleteResults,
    custom_id_of_result,
    ends_plainly,
    id_in_head,
    is_plain,
    is_text,
    is_utf8,
    parse_line,
    read_line,
    refuse_endless,
)
from batchctl.store.line_maps import pack, unpack

BLOCK_BYTES = 1 << 17
# An offset, a size and an outcome code for every request.
INDEX_BYTES = 13

_PLAIN = OutcomeCode.SUCCEEDED.value


class Positions(Protocol):
    """The positions of a batch's requests by custom_id."""

    def get(self, custom_id: bytes, /) -> int | None:
        """Return the position of a request, or None where the batch has none of that id."""


class OrderOfArrival:
    """Positions of a batch whose requests are not known: each new id takes the next, up to `count` of them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken: dict[bytes, int] = {}

    def get(self, custom_id: bytes, /) -> int | None:
        """Return the position of an id, or None for a new one when all positions are taken."""
        position = self._taken.get(custom_id)
        if position is None and len(self._taken) < self._count:
            position = self._taken[custom_id] = len(self._taken)
        return position


class IndexBuilder:
    """Takes the bytes of a batch's results, cut into pieces anywhere, and holds the index of what came so far.

    Attributes:
        count: The requests of the batch.
        offsets: Where the line of each request begins.
        sizes: How long it is, without its newline.
        codes: Its OutcomeCode; 0 as long as none came.
        number: The lines that were read.
        lines: Those of them that hold something and are no twins.
        foreign: Lines whose custom_id the batch does not have.
        repeated: Lines for a request that had another one already.
        twins: Lines that came a second time byte for byte; known after `drop_twins`.
    """

    def __init__(self, positions: Positions, count: int, *, is_patient: bool = True) -> None:
        """`is_patient`: raise for a line that cannot be read, because it may come otherwise the next time."""
        self._positions = positions
        self._is_patient = is_patient
        self.count = count
        self.offsets = array("Q", bytes(8 * count))
        self.sizes = array("I", bytes(4 * count))
        self.codes = bytearray(count)
        self.number = self.lines = self.foreign = self.repeated = self.twins = 0
        # Lines for requests that had one already: position, offset, size, number, and whether their usage is summed up.
        self._second_lines: list[tuple[int, int, int, int, bool]] = []
        # Lines that cannot be read and do not say whose they are: offset and size.
        self._unreadable: list[tuple[int, int]] = []
        # Where the requests are not known, an id is looked at closely before it takes a position.
        known = positions if isinstance(positions, dict) else {}
        self._positions_by_head = {OPENING + custom_id: position for custom_id, position in known.items()}
        # Successes among the lines that were looked at closely.
        self._successes: list[bytes] = []
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._rest_at = 0

    # ------------------------------------------------------------ lines come

    def take(self, piece: bytes) -> None:
        """Take the next piece. Raises IncompleteResults where a line is no result."""
        self._rest.append(piece)
        self._rest_size += len(piece)
        try:
            refuse_endless(self._rest_size)
        except IncompleteResults:
            # The caller goes on to keep what comes; here none of it is held.
            self._rest = []
            raise
        if self._rest_size < BLOCK_BYTES or b"\n" not in piece:
            return
        self._take_rest()

    def end(self) -> None:
        """Take the last line where no newline ended it. Raises as `take` does."""
        self._take_rest()
        last = b"".join(self._rest)
        if last.strip():
            # Without its newline it may be cut, and a head alone would not show that.
            parse_line(last)
            self._line(last, self._rest_at)
            self._hand_over()
        self._place_unreadable()

    def drop_twins(self, line_at: Callable[[int, int], bytes]) -> None:
        """Leave out the lines that came a second time, byte for byte. `line_at` reads a line by offset and size."""
        for position, offset, size, number, is_summed_up in self._second_lines:
            line = line_at(offset, size)
            if size == self.sizes[position] and line == line_at(self.offsets[position], size):
                self.twins += 1
                self.lines -= 1
                if is_summed_up:
                    self._take_back(line)
            else:
                self._came_twice(line, number)
        self._second_lines = []

    def _take_rest(self) -> None:
        """Take the whole lines of what is in hand."""
        block = b"".join(self._rest)
        *lines, rest = block.split(b"\n")
        if lines:
            self._take_lines(lines, block)
            self._hand_over()
        self._rest, self._rest_size = [rest], len(rest)

    def _take_lines(self, lines: list[bytes], block: bytes) -> None:
        """Note what is plainly a success, for a request that had no line so far; take all else line by line."""
        heads = [line[:HEAD_BYTES].partition(SUCCEEDED_HEAD)[0] for line in lines]
        positions = list(map(self._positions_by_head.get, heads))
        # What follows the last newline may be cut within a character.
        if b"\0" in block or not (block.isascii() or is_utf8(memoryview(block)[: block.rfind(b"\n")])):
            positions = [at if is_text(line) else None for at, line in zip(positions, lines, strict=True)]
        successes = [line for line, at in zip(lines, positions, strict=True) if at is not None]
        if not self._sum_up(successes):
            # What stopped early, and what is cut, is looked at closely.
            if not ends_plainly(block) or {line[-3:] for line in successes} != {b"}}}"}:
                positions = [at if is_plain(line) else None for at, line in zip(positions, lines, strict=True)]
            self._succeeded([line for line, at in zip(lines, positions, strict=True) if at is not None])
        codes, offsets, sizes, at = self.codes, self.offsets, self.sizes, self._rest_at
        first, closely = self.number, 0
        for number, position, size in zip(range(len(lines)), positions, map(len, lines), strict=True):
            if position is None or codes[position]:
                closely += 1
                self.number = first + number
                self._line(lines[number], at, is_summed_up=position is not None)
            else:
                offsets[position] = at
                sizes[position] = size
                codes[position] = _PLAIN
            at += size + 1
        self.number = first + len(lines)
        self.lines += len(lines) - closely
        self._rest_at = at

    def _line(self, line: bytes, offset: int, *, is_summed_up: bool = False) -> None:
        self.number += 1
        if not line.strip():
            return
        self.lines += 1
        custom_id, reading = self._read(line)
        position = self._positions.get(custom_id) if custom_id else None
        if position is None and reading is UNREADABLE and len(self._unreadable) < self.count:
            self._unreadable.append((offset, len(line)))
        elif position is None:
            self.foreign += 1
        elif self.codes[position] and len(self._second_lines) < self.count:
            self._second_lines.append((position, offset, len(line), self.number, is_summed_up))
        elif self.codes[position]:
            self.repeated += 1
        else:
            self._place(position, offset, len(line), reading)
            if reading.code.is_success:
                self._successes.append(line)
            if reading.code is not OutcomeCode.SUCCEEDED:
                self._note(custom_id.decode(), reading)

    def _read(self, line: bytes) -> tuple[bytes, Reading]:
        try:
            return read_line(line)
        except IncompleteResults:
            if self._is_patient:
                raise
            return id_in_head(line), UNREADABLE

    def _place(self, position: int, offset: int, size: int, reading: Reading) -> None:
        self.offsets[position], self.sizes[position], self.codes[position] = offset, size, reading.code

    def _place_unreadable(self) -> None:
        """Give each request without a result one of the lines that cannot be read: any, because none of them is used.

        Raises IncompleteResults where there are more or fewer of them, or where they are more than half of all lines: that is
        no download with a bad line but a bad download.
        """
        missing = [position for position in range(self.count) if not self.codes[position]] if self._unreadable else []
        if len(missing) != len(self._unreadable) or 2 * len(missing) > self.lines:
            raise IncompleteResults(f"{len(self._unreadable):,} lines are no results")
        for position, (offset, size) in zip(missing, self._unreadable, strict=True):
            self._place(position, offset, size, UNREADABLE)
            self._note("", UNREADABLE)

    def _hand_over(self) -> None:
        self._succeeded(self._successes)
        self._successes = []

    # ------------------------------------------------------------ what a subclass is told

    def _came_twice(self, line: bytes, number: int) -> None:  # noqa: ARG002 - for a subclass that names the line
        """Take note of a second, different line for a request."""
        self.repeated += 1

    def _note(self, custom_id: str, reading: Reading) -> None:
        """Take note of a result that is no plain success."""

    def _sum_up(self, lines: list[bytes]) -> bool:
        """Sum up what lines used that begin like successes; return whether all are plain ones and it was done."""
        return not lines

    def _succeeded(self, lines: list[bytes]) -> None:
        """Take successes that were not summed up so far."""

    def _take_back(self, line: bytes) -> None:
        """Take back a success that was summed up and is left out."""

    # ------------------------------------------------------------ what came

    def index(self) -> bytes:
        """Return the index as it stands beside the raw file."""
        return pack(self.offsets) + pack(self.sizes) + self.codes

    def differences(self, stored: bytes) -> list[int]:
        """Return the positions of results that `stored`, an index of the right length, has otherwise."""
        index = self.index()
        if stored == index:
            return []
        pairs = zip(_entries(stored, self.count), _entries(index, self.count), strict=True)
        return [position for position, (theirs, ours) in enumerate(pairs) if ours[2] and theirs != ours]

    def has_same_lines(self, stored: bytes) -> bool:
        """Return whether an index of the right length tells of the same lines, in whatever order."""
        return sorted(_entries(stored, self.count)) == sorted(_entries(self.index(), self.count))

    def counts(self) -> RequestCounts:
        """Return the results by the outcomes that the API counts."""
        return RequestCounts(
            succeeded=self._sum_of(
                OutcomeCode.SUCCEEDED, OutcomeCode.TRUNCATED, OutcomeCode.REFUSAL, OutcomeCode.PAUSED
            ),
            errored=self._sum_of(OutcomeCode.ERRORED_RETRY, OutcomeCode.ERRORED_FIX, OutcomeCode.ERRORED_ACCOUNT),
            canceled=self._sum_of(OutcomeCode.CANCELED),
            expired=self._sum_of(OutcomeCode.EXPIRED),
        )

    def disagreements(self, theirs: RequestCounts) -> list[str]:
        """Return where the lines and the API's counts differ, in words.

        A result of a type that is not known here may be counted there as any of the known ones.
        """
        ours = self.counts()
        unknown = self._sum_of(OutcomeCode.UNKNOWN, OutcomeCode.UNREADABLE)
        pairs = [
            (name, getattr(ours, name), getattr(theirs, name))
            for name in ("succeeded", "errored", "canceled", "expired")
        ]
        wrong = [pair for pair in pairs if pair[1] != pair[2]]
        if unknown and sum(want - have for _, have, want in pairs if want > have) <= unknown:
            wrong = [pair for pair in pairs if pair[1] > pair[2]]
        return [f"{have:,} {name}, the API counted {want:,}" for name, have, want in wrong]

    def _sum_of(self, *codes: OutcomeCode) -> int:
        return sum(self.codes.count(code) for code in codes)


def _entries(index: bytes, count: int) -> Iterator[tuple[int, int, int]]:
    """Yield offset, size and outcome code of each position of an index."""
    offsets, sizes = unpack("Q", index[: 8 * count]), unpack("I", index[8 * count : 12 * count])
    return zip(offsets, sizes, index[12 * count :], strict=True)


class IndexRebuilder(IndexBuilder):
    """An IndexBuilder for a raw file that is read again: what is odd is noted with its line, and reading goes on."""

    def __init__(
        self, positions: Positions, count: int, note: Callable[[str, int, str], None], *, is_patient: bool = True
    ) -> None:
        """`note`: called with what is odd, the line of the raw file from 1, and its custom_id or an empty text."""
        super().__init__(positions, count, is_patient=is_patient)
        self._note_odd = note

    def end(self) -> None:
        """Take the last line, and note what does not fit."""
        try:
            super().end()
        except IncompleteResults as odd:
            self._note_odd(str(odd), self.number + 1, "")

    def _line(self, line: bytes, offset: int, *, is_summed_up: bool = False) -> None:
        before = self.foreign, self.repeated
        try:
            super()._line(line, offset, is_summed_up=is_summed_up)
        except IncompleteResults as odd:
            self._note_odd(str(odd), self.number, "")
            return
        if (self.foreign, self.repeated) != before:
            what = "was not sent in this batch" if self.foreign > before[0] else "came twice"
            self._note_odd(f"a result whose custom_id {what}", self.number, _shown_id(line))

    def _came_twice(self, line: bytes, number: int) -> None:
        super()._came_twice(line, number)
        self._note_odd("a result whose custom_id came twice", number, _shown_id(line))


def _shown_id(line: bytes) -> str:
    """Return the custom_id of a line as far as it can be read."""
    try:
        return custom_id_of_result(line)
    except IncompleteResults:
        return id_in_head(line).decode("utf-8", "replace")
