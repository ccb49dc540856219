"""The index of a batch's results: for each request where its line lies and what became of it.

It is built while the lines come (`results.receive`), or from a raw file that is read again. On the disk it lies beside the raw
file as three columns by position: offsets (8 bytes each), sizes (4 bytes each, without the newline) and outcome codes (1 byte
each), little-endian.
"""

from array import array
from collections.abc import Callable, Iterator
from typing import Protocol

from batchctl.domain.model import OutcomeCode, RequestCounts
from batchctl.domain.outcomes import CODE_OF_STOP_REASON, UNREADABLE, Reading
from batchctl.domain.wording import plural
from batchctl.results.result_lines import (
    NO_SUCCESS,
    IncompleteResults,
    ResultLine,
    custom_id_of_result,
    decode_success,
    id_in_head,
    is_utf8,
    parse_line,
    read_line,
    refuse_endless,
)
from batchctl.results.usage import Message
from batchctl.store.line_maps import pack, unpack

BLOCK_BYTES = 1 << 17
# An offset, a size and an outcome code for every request.
INDEX_BYTES = 13

_SUCCEEDED = OutcomeCode.SUCCEEDED.value


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
        # Lines for requests that had one already: position, offset, size and number.
        self._second_lines: list[tuple[int, int, int, int]] = []
        # Lines that cannot be read and do not say whose they are: offset and size.
        self._unreadable: list[tuple[int, int]] = []
        # Where the requests are not known, an id is looked at closely before it takes a position.
        self._known: dict[bytes, int] = positions if isinstance(positions, dict) else {}
        # The messages of the successes in the lines in hand.
        self._messages: list[Message | None] = []
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
            # Without its newline it may be cut, which is more than a line that cannot be read.
            read_line(last)
            self._line(last)
            self._hand_over()
        self._place_unreadable()

    def drop_twins(self, line_at: Callable[[int, int], bytes]) -> None:
        """Leave out the lines that came a second time, byte for byte. `line_at` reads a line by offset and size."""
        for position, offset, size, number in self._second_lines:
            line = line_at(offset, size)
            if size == self.sizes[position] and line == line_at(self.offsets[position], size):
                self.twins += 1
                self.lines -= 1
            else:
                self._came_twice(line, number)
        self._second_lines = []

    def _take_rest(self) -> None:
        """Take the whole lines of what is in hand."""
        block = b"".join(self._rest)
        *lines, rest = block.split(b"\n")
        # What follows the last newline may be cut within a character.
        if self._known and is_utf8(block, len(block) - len(rest)):
            self._take_lines(lines)
        else:
            for line in lines:
                self._line(line)
        self._hand_over()
        self._rest, self._rest_size = [rest], len(rest)

    def _take_lines(self, lines: list[bytes]) -> None:
        """Take each success that ended by itself, for a request that had no line so far; take any other line closely."""
        known, codes, offsets, sizes = self._known, self.codes, self.offsets, self.sizes
        messages: list[Message | None] = []
        first, at = self.number, self._rest_at
        for number, line in enumerate(lines, first):
            size = len(line)
            try:
                success = decode_success(line)
            except NO_SUCCESS:
                self.number, self._rest_at = number, at
                self._line(line, parse_line)
            else:
                message = success.result.message
                position = known.get(success.custom_id.encode())
                if position is None or codes[position] or message.stop_reason in CODE_OF_STOP_REASON:
                    self.number, self._rest_at = number, at
                    self._line(line)
                else:
                    offsets[position] = at
                    sizes[position] = size
                    codes[position] = _SUCCEEDED
                    messages.append(message)
            at += size + 1
        self.number, self._rest_at = first + len(lines), at
        self.lines += len(messages)
        self._messages += messages

    def _line(self, line: bytes, reader: Callable[[bytes], ResultLine] = read_line) -> None:
        """Take any line. Raises IncompleteResults where it is no result."""
        offset, size = self._rest_at, len(line)
        self._rest_at += size + 1
        self.number += 1
        if not line.strip():
            return
        self.lines += 1
        custom_id, reading, message = self._read(line, reader)
        position = self._positions.get(custom_id) if custom_id else None
        if position is None and reading is UNREADABLE and len(self._unreadable) < self.count:
            self._unreadable.append((offset, size))
        elif position is None:
            self.foreign += 1
        elif self.codes[position] and len(self._second_lines) < self.count:
            self._second_lines.append((position, offset, size, self.number))
        elif self.codes[position]:
            self.repeated += 1
        else:
            self._place(position, offset, size, reading)
            if reading.code.is_success:
                self._messages.append(message)
            if reading.code is not OutcomeCode.SUCCEEDED:
                self._note(custom_id.decode(), reading)

    def _read(self, line: bytes, reader: Callable[[bytes], ResultLine]) -> ResultLine:
        try:
            return reader(line)
        except IncompleteResults:
            if self._is_patient:
                raise
            return ResultLine(id_in_head(line), UNREADABLE, None)

    def _place(self, position: int, offset: int, size: int, reading: Reading) -> None:
        self.offsets[position], self.sizes[position], self.codes[position] = offset, size, reading.code

    def _place_unreadable(self) -> None:
        """Give each request without a result one of the lines that cannot be read: any, because none of them is used.

        Raises IncompleteResults where there are more or fewer of them, or where they are more than half of all lines: that is
        no download with a bad line but a bad download.
        """
        missing = [position for position in range(self.count) if not self.codes[position]] if self._unreadable else []
        if len(missing) != len(self._unreadable) or 2 * len(missing) > self.lines:
            raise IncompleteResults(f"{plural(len(self._unreadable), 'line is not a result', 'lines are not results')}")
        for position, (offset, size) in zip(missing, self._unreadable, strict=True):
            self._place(position, offset, size, UNREADABLE)
            self._note("", UNREADABLE)

    def _hand_over(self) -> None:
        self._succeeded(self._messages)
        self._messages = []

    # ------------------------------------------------------------ what a subclass is told

    def _came_twice(self, line: bytes, number: int) -> None:  # noqa: ARG002 - for a subclass that names the line
        """Take note of a second, different line for a request."""
        self.repeated += 1

    def _note(self, custom_id: str, reading: Reading) -> None:
        """Take note of a result that is no plain success."""

    def _succeeded(self, messages: list[Message | None]) -> None:
        """Take the messages of successes, None for one that does not say what it used."""

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

    def _line(self, line: bytes, reader: Callable[[bytes], ResultLine] = read_line) -> None:
        before = self.foreign, self.repeated
        try:
            super()._line(line, reader)
        except IncompleteResults as odd:
            self._note_odd(str(odd), self.number, "")
            return
        if (self.foreign, self.repeated) != before:
            what = "was not sent in this batch" if self.foreign > before[0] else "occurs twice"
            self._note_odd(f"a result whose custom_id {what}", self.number, _shown_id(line))

    def _came_twice(self, line: bytes, number: int) -> None:
        super()._came_twice(line, number)
        self._note_odd("a result whose custom_id occurs twice", number, _shown_id(line))


def _shown_id(line: bytes) -> str:
    """Return the custom_id of a line as far as it can be read."""
    try:
        return custom_id_of_result(line)
    except IncompleteResults:
        return id_in_head(line).decode("utf-8", "replace")
