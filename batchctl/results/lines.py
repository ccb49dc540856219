"""The lines of a batch's results: whose they are, what they say, and where they lie.

How the API writes the head of a success is known, and most lines are one. A line that looks otherwise is parsed whole:
slower, never wrong.
"""

import codecs
import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import orjson

from batchctl.domain.faults import MAX_CUSTOM_ID_CHARACTERS
from batchctl.domain.model import Outcome, OutcomeCode, RequestCounts
from batchctl.domain.outcomes import UNREADABLE, Reading, read_result
from batchctl.store.line_maps import pack, unpack

BLOCK_BYTES = 1 << 17
PIECE_BYTES = 1 << 20
# One is held in memory until it ends. A whole batch is sent with fewer, and answered with shorter ones.
MOST_LINE_BYTES = 1 << 28

_HEAD = re.compile(rb'\s*\{"custom_id":\s*"([^"\\]*)",\s*"result":\s*\{"type":\s*"([a-z_]+)"').match
_ID_IN_HEAD = re.compile(rb'\s*\{\s*"custom_id"\s*:\s*"([^"\\]*)"').match
_BRACKETS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]}]', re.DOTALL).finditer
# Levels of JSON that are parsed in one go, where all of them are too many.
LAYER = 100
# What an id of the API cannot be is none that can be read. (It takes up to 64 letters, digits, _ and - today.)
_is_custom_id = re.compile(rb"[^\x00-\x1f\x7f]{1,256}").fullmatch
_OPENING = b'{"custom_id":"'
_SUCCEEDED_HEAD = b'","result":{"type":"succeeded",'
_HEAD_BYTES = len(_OPENING) + MAX_CUSTOM_ID_CHARACTERS + len(_SUCCEEDED_HEAD)
_TAILS = (b"}}}", b"}}}\r")
_STOP_REASON = b'"stop_reason"'
_PLAIN_STOPS = (b'"stop_reason":"end_turn"', b'"stop_reason":"tool_use"', b'"stop_reason":"stop_sequence"')
_SUCCEEDED = Reading(OutcomeCode.SUCCEEDED, Outcome.SUCCEEDED)
_PLAIN = OutcomeCode.SUCCEEDED.value


class IncompleteResults(Exception):
    """The download does not hold what the batch should; asking again may help."""


class Positions(Protocol):
    """Where in its batch a custom_id stands; None where it stands nowhere."""

    def get(self, custom_id: bytes, /) -> int | None: ...


class OrderOfArrival:
    """Positions of a batch whose requests are not known: each new id takes the next, and there are only `count`."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken: dict[bytes, int] = {}

    def get(self, custom_id: bytes, /) -> int | None:
        position = self._taken.get(custom_id)
        if position is None and len(self._taken) < self._count:
            position = self._taken[custom_id] = len(self._taken)
        return position


def first_ids(pieces: Iterable[bytes], most: int) -> list[bytes]:
    """The custom_ids of the first result lines, at least one. Raises IncompleteResults where a line is no result, or none comes."""
    found: list[bytes] = []
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        _refuse_endless(size)
        if b"\n" not in piece:
            continue
        *lines, rest = b"".join(held).split(b"\n")
        held, size = [rest], len(rest)
        for line in filter(bytes.strip, lines):
            found.append(read_line(line)[0])
            if len(found) == most:
                return found
    rest = b"".join(held)
    if rest.strip():
        found.append(_parsed(rest)[0])
    if not found:
        raise IncompleteResults("no result came")
    return found


def _refuse_endless(size: int) -> None:
    """Of the bytes since the last newline. Raises IncompleteResults."""
    if size > MOST_LINE_BYTES:
        raise IncompleteResults(f"a line of more than {MOST_LINE_BYTES >> 20} MiB")


class IndexBuilder:
    """The result lines of a batch, wherever their pieces end: what came for each request, and what belongs to none."""

    def __init__(self, positions: Positions, count: int, *, is_patient: bool = True) -> None:
        """`is_patient`: raise for a line that cannot be read, because it may come otherwise the next time."""
        self._positions = positions
        self._is_patient = is_patient
        self.count = count
        self.offsets = array("Q", bytes(8 * count))
        self.sizes = array("I", bytes(4 * count))
        self.codes = bytearray(count)
        self.number = self.lines = self.foreign = self.repeated = self.twins = 0
        # Lines for requests that had one already, as position, offset, size and number, and whether their usage is summed up.
        self._again: list[tuple[int, int, int, int, bool]] = []
        # Lines that cannot be read, and do not say whose they are: offset and size.
        self._nobodys: list[tuple[int, int]] = []
        # Where the requests are not known, an id is looked at closely before it takes a position.
        known = positions if isinstance(positions, dict) else {}
        self._positions_by_head = {_OPENING + custom_id: position for custom_id, position in known.items()}
        # Of the lines looked at closely.
        self._successes: list[bytes] = []
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._rest_at = 0

    def take(self, piece: bytes) -> None:
        """Raises IncompleteResults where a line is no result."""
        self._rest.append(piece)
        self._rest_size += len(piece)
        if self._rest_size > MOST_LINE_BYTES:
            # Whoever keeps what comes goes on, and this one is asked no more.
            self._rest = []
        _refuse_endless(self._rest_size)
        if self._rest_size < BLOCK_BYTES or b"\n" not in piece:
            return
        self._take_rest()

    def end(self) -> None:
        """Takes the last line, where no newline ended it. Raises as `take` does."""
        self._take_rest()
        last = b"".join(self._rest)
        if last.strip():
            # Without its newline it may be cut, and a head alone would not show that.
            _parsed(last)
            self._line(last, self._rest_at)
            self._hand_over()
        self._place_nobodys()

    def drop_twins(self, line_at: Callable[[int, int], bytes]) -> None:
        """Leaves out what came a second time, byte for byte. `line_at`: what was taken, by offset and size."""
        for position, offset, size, number, is_summed_up in self._again:
            line = line_at(offset, size)
            if size == self.sizes[position] and line == line_at(self.offsets[position], size):
                self.twins += 1
                self.lines -= 1
                if is_summed_up:
                    self._take_back(line)
            else:
                self._came_twice(line, number)
        self._again = []

    def _came_twice(self, line: bytes, number: int) -> None:  # noqa: ARG002 - who reads again tells of it
        self.repeated += 1

    def _place_nobodys(self) -> None:
        """Gives each request without a result one of the lines that cannot be read: any, because none of them is used.

        Raises IncompleteResults where they are not as many, or the most: then it is no download with a bad line, but a bad download.
        """
        missing = [position for position in range(self.count) if not self.codes[position]] if self._nobodys else []
        if len(missing) != len(self._nobodys) or 2 * len(missing) > self.lines:
            raise IncompleteResults(f"{len(self._nobodys):,} lines are no results")
        for position, (offset, size) in zip(missing, self._nobodys, strict=True):
            self._place(position, offset, size, UNREADABLE)
            self._note("", UNREADABLE)

    def _place(self, position: int, offset: int, size: int, reading: Reading) -> None:
        self.offsets[position], self.sizes[position], self.codes[position] = offset, size, reading.code

    def _take_rest(self) -> None:
        """The whole lines of what is in hand."""
        block = b"".join(self._rest)
        *lines, rest = block.split(b"\n")
        if lines:
            self._take_lines(lines, block)
            self._hand_over()
        self._rest, self._rest_size = [rest], len(rest)

    def _take_lines(self, lines: list[bytes], block: bytes) -> None:
        """A success that is plainly one, for a request that had none so far, is noted here; all else line by line."""
        heads = [line[:_HEAD_BYTES].partition(_SUCCEEDED_HEAD)[0] for line in lines]
        found = list(map(self._positions_by_head.get, heads))
        # What follows the last newline may be cut within a character.
        if b"\0" in block or not (block.isascii() or _is_utf8(memoryview(block)[: block.rfind(b"\n")])):
            found = [at if _is_text(line) else None for at, line in zip(found, lines, strict=True)]
        successes = [line for line, at in zip(lines, found, strict=True) if at is not None]
        if not self._sum_up(successes):
            # What stopped early, and what is cut, is looked at closely.
            if not _ends_plainly(block) or {line[-3:] for line in successes} != {b"}}}"}:
                found = [at if _is_plain(line) else None for at, line in zip(found, lines, strict=True)]
            self._succeeded([line for line, at in zip(lines, found, strict=True) if at is not None])
        codes, offsets, sizes, at = self.codes, self.offsets, self.sizes, self._rest_at
        first, closely = self.number, 0
        for number, position, size in zip(range(len(lines)), found, map(len, lines), strict=True):
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
        if position is None and reading is UNREADABLE and len(self._nobodys) < self.count:
            self._nobodys.append((offset, len(line)))
        elif position is None:
            self.foreign += 1
        elif self.codes[position] and len(self._again) < self.count:
            self._again.append((position, offset, len(line), self.number, is_summed_up))
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

    def _hand_over(self) -> None:
        self._succeeded(self._successes)
        self._successes = []

    def _note(self, custom_id: str, reading: Reading) -> None:
        """Of a result that is no plain success."""

    def _sum_up(self, lines: list[bytes]) -> bool:
        """Of lines that begin like successes: whether all of them are plain ones, and what they used is summed up."""
        return not lines

    def _succeeded(self, lines: list[bytes]) -> None:
        """Of successes that were not summed up so far."""

    def _take_back(self, line: bytes) -> None:
        """Of a success that was summed up and is left out."""

    def index(self) -> bytes:
        """As it stands beside the raw file."""
        return pack(self.offsets) + pack(self.sizes) + self.codes

    def differences(self, stored: bytes) -> list[int]:
        """The positions of results that an index of the right length has otherwise."""
        found = self.index()
        if stored == found:
            return []
        pairs = zip(_triples(stored, self.count), _triples(found, self.count), strict=True)
        return [position for position, (one, other) in enumerate(pairs) if other[2] and one != other]

    def has_same_lines(self, stored: bytes) -> bool:
        """Whether an index of the right length tells of the same lines, in whatever order."""
        return sorted(_triples(stored, self.count)) == sorted(_triples(self.index(), self.count))

    def disagreements(self, theirs: RequestCounts) -> list[str]:
        """Where the lines and the API's counters differ."""
        return _disagreements(self.counts(), self._request_group(OutcomeCode.UNKNOWN, OutcomeCode.UNREADABLE), theirs)

    def _request_group(self, *codes: OutcomeCode) -> int:
        return sum(self.codes.count(code) for code in codes)

    def counts(self) -> RequestCounts:
        return RequestCounts(
            succeeded=self._request_group(
                OutcomeCode.SUCCEEDED, OutcomeCode.TRUNCATED, OutcomeCode.REFUSAL, OutcomeCode.PAUSED
            ),
            errored=self._request_group(
                OutcomeCode.ERRORED_RETRY, OutcomeCode.ERRORED_FIX, OutcomeCode.ERRORED_ACCOUNT
            ),
            canceled=self._request_group(OutcomeCode.CANCELED),
            expired=self._request_group(OutcomeCode.EXPIRED),
        )


class IndexRebuilder(IndexBuilder):
    """The lines of a raw file, read again: what is odd is noted with its line, and reading goes on."""

    def __init__(
        self, positions: Positions, count: int, note: Callable[[str, int, str], None], *, is_patient: bool = True
    ) -> None:
        """`note`: what is odd, the line of the raw file from 1, and its custom_id, empty where it has none."""
        super().__init__(positions, count, is_patient=is_patient)
        self._emit = note

    def end(self) -> None:
        try:
            super().end()
        except IncompleteResults as odd:
            self._emit(str(odd), self.number + 1, "")

    def _line(self, line: bytes, offset: int, *, is_summed_up: bool = False) -> None:
        known = self.foreign, self.repeated
        try:
            super()._line(line, offset, is_summed_up=is_summed_up)
        except IncompleteResults as odd:
            self._emit(str(odd), self.number, "")
            return
        if (self.foreign, self.repeated) != known:
            what = "was not sent in this batch" if self.foreign > known[0] else "came twice"
            self._emit(f"a result whose custom_id {what}", self.number, _named(line))

    def _came_twice(self, line: bytes, number: int) -> None:
        super()._came_twice(line, number)
        self._emit("a result whose custom_id came twice", number, _named(line))


def _disagreements(ours: RequestCounts, unknown: int, theirs: RequestCounts) -> list[str]:
    """Where the lines and the API's counters differ. A type we do not know may be counted there as any of its own."""
    pairs = [
        (name, getattr(ours, name), getattr(theirs, name)) for name in ("succeeded", "errored", "canceled", "expired")
    ]
    wrong = [f"{have:,} {name}, the API counted {want:,}" for name, have, want in pairs if have != want]
    if unknown and sum(want - have for _, have, want in pairs if want > have) <= unknown:
        wrong = [f"{have:,} {name}, the API counted {want:,}" for name, have, want in pairs if have > want]
    return wrong


def read_line(line: bytes) -> tuple[bytes, Reading]:
    match = _HEAD(line)
    if match and match.group(2) == b"succeeded" and _is_plain(line) and _is_custom_id(match[1]) and _is_text(line):
        return match.group(1), _SUCCEEDED
    return _parsed(line)


def id_in_head(line: bytes) -> bytes:
    """The custom_id of a line that may be anything, where it begins as results do; else empty."""
    match = _ID_IN_HEAD(line)
    return match[1] if match and _is_custom_id(match[1]) and _is_text(match[1]) else b""


def custom_id_of_result(line: bytes) -> str:
    """Raises IncompleteResults where it is no result."""
    return read_line(line)[0].decode("utf-8", "replace")


def _named(line: bytes) -> str:
    """The custom_id to tell of, as far as it can be read."""
    try:
        return custom_id_of_result(line)
    except IncompleteResults:
        return id_in_head(line).decode("utf-8", "replace")


def message_of(line: bytes) -> object:
    """Return the `message` of a success; None where the line has none."""
    try:
        return loaded(line)["result"]["message"]
    except (ValueError, KeyError, TypeError):
        return None


def loaded(line: bytes) -> Any:
    """What lies very deep may be null in what is given. Raises ValueError."""
    # orjson is stricter than a result need be: half a surrogate pair in an answer does not unmake it.
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            return json.loads(line)
        except RecursionError:
            return _loaded_in_layers(line)


def _loaded_in_layers(line: bytes) -> Any:
    """The outermost levels of JSON of any depth. Each further layer is parsed by itself, and is null in the one around it."""
    layers: list[list[bytes]] = [[]]
    depth = at = 0
    for token in _BRACKETS(line):
        kind = token[0]
        if kind in {b"[", b"{"}:
            if depth and depth % LAYER == 0:
                layers[-1].append(line[at : token.start()])
                layers.append([])
                at = token.start()
            depth += 1
        elif kind in {b"]", b"}"}:
            depth -= 1
            if depth > 0 and depth % LAYER == 0:
                json.loads(b"".join((*layers.pop(), line[at : token.end()])).decode())
                layers[-1].append(b"null")
                at = token.end()
    if len(layers) > 1:
        raise ValueError("a bracket is not closed")
    return json.loads(b"".join((*layers[0], line[at:])).decode())


def _parsed(line: bytes) -> tuple[bytes, Reading]:
    try:
        parsed = loaded(line)
        return _custom_id_of(parsed), read_result(parsed["result"])
    except (ValueError, KeyError, TypeError) as error:
        raise IncompleteResults(f"a line is no result: {line[:80].decode('utf-8', 'replace')}") from error


def _custom_id_of(parsed: Any) -> bytes:
    """Raises ValueError for an id that cannot be read: it says nothing of whose the result is, and is not another job's."""
    custom_id = parsed["custom_id"]
    if not isinstance(custom_id, str) or not _is_custom_id(custom_id.encode()):
        raise ValueError("no custom_id")
    return custom_id.encode()


def _is_plain(line: bytes) -> bool:
    return line.endswith(_TAILS) and _ends_plainly(line)


def _is_text(line: bytes) -> bool:
    """Whether it is UTF-8 without NUL: what a success that is not parsed must be at the least."""
    return b"\0" not in line and (line.isascii() or _is_utf8(memoryview(line)))


def _is_utf8(text: "memoryview[int]") -> bool:
    # Piece by piece: as characters it may take four times the room.
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(text), PIECE_BYTES):
            decoder.decode(text[at : at + PIECE_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _ends_plainly(text: bytes) -> bool:
    """Whether no answer in `text` stopped before its end: every `stop_reason` in it, wherever it stands, is a plain one."""
    left = text.count(_STOP_REASON)
    for plain in _PLAIN_STOPS:
        if not left:
            break
        left -= text.count(plain)
    return not left


def _triples(index: bytes, count: int) -> Iterator[tuple[int, int, int]]:
    """Offset, size and mark of each position of an index."""
    offsets, sizes = unpack("Q", index[: 8 * count]), unpack("I", index[8 * count : 12 * count])
    return zip(offsets, sizes, index[12 * count :], strict=True)
