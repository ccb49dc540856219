"""A batch's results: raw to the disk, every line checked against the range that asked for it, and an index beside.

What is on the disk under its name is whole: the number of lines, the set of ids and the counts per outcome agreed.
"""

import hashlib
import json
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import orjson

from batchctl.domain.classifying import CLASS_OF_MARK, Reading, read_result
from batchctl.domain.errors import DiskProblem
from batchctl.domain.model import Batch, Failures, Mark, Outcome, RequestCounts, Verified
from batchctl.files.durable import disk, place, replacing
from batchctl.files.sides import pack, unpack
from batchctl.files.splice import changed, range_pieces

# How the API writes the head of a line. A line that does not match is parsed whole: slower, never wrong.
_HEAD = re.compile(rb'\s*\{"custom_id":\s*"([^"\\]*)",\s*"result":\s*\{"type":\s*"([a-z_]+)"').match
_TAILS = (b"}}", b"}}\r")
_REQUEST_HEAD = re.compile(rb'\s*\{\s*"custom_id"\s*:\s*"([a-zA-Z0-9_-]{1,64})"\s*,').match
# A success that may be less than one: only a line that holds one of these words is parsed for its stop_reason.
_STOP_WORDS = re.compile(rb'"(?:max_tokens|refusal|pause_turn|model_context_window_exceeded)"').search

SAMPLES = 3
IN_MEMORY_BYTES = 8 << 20
PIECE_BYTES = 1 << 18


class NotWhole(Exception):
    """The download does not hold what the batch should; asking again may help."""


class NotOurs(Exception):
    """The results answer requests that this batch never held."""


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


def ids_of_range(path: Path, batch: Batch) -> dict[bytes, int]:
    """The custom_ids of a batch with their positions in it, read from its range of the request file."""
    positions: dict[bytes, int] = {}
    for line in lines_of_range(path, batch):
        positions[custom_id_of(line)] = len(positions)
    return positions


def lines_of_range(path: Path, batch: Batch) -> Iterator[bytes]:
    """The request lines of a batch, without their newlines.

    Raises InputProblem, after the last of them, where they are not the bytes that were planned.
    """
    digest = hashlib.sha256()
    rest = b""
    for piece in range_pieces(path, batch.cut.start, batch.cut.end):
        digest.update(piece)
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    yield rest
    if digest.hexdigest() != batch.cut.sha256:
        raise changed(path, batch.cut)


def custom_id_of(line: bytes) -> bytes:
    """Of a request line that was checked when it was planned; empty when it no longer is one."""
    match = _REQUEST_HEAD(line)
    if match and line.count(b'"custom_id"') == 1:
        return match.group(1)
    try:
        return str(orjson.loads(line)["custom_id"]).encode()
    except (ValueError, KeyError, TypeError):
        return b""


def first_ids(pieces: Iterable[bytes], most: int) -> list[bytes]:
    """The custom_ids of the first result lines, at least one. Raises NotWhole where a line is no result, or none comes."""
    found: list[bytes] = []
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in filter(bytes.strip, lines):
            found.append(_read_line(line)[0])
            if len(found) == most:
                return found
    if rest.strip():
        found.append(_parsed(rest)[0])
    if not found:
        raise NotWhole("no result came")
    return found


def receive(pieces: Iterable[bytes], positions: Positions, batch: Batch, raw: Path, index: Path) -> Verified:
    """Writes what comes to `raw`, checks it, and puts it and its index in place only when it is whole.

    What came to its end and is not whole is kept under another name, for a person: it was paid for. Raises NotWhole,
    NotOurs, DiskProblem, and whatever `pieces` raises.
    """
    arriving = raw.with_name(f"{raw.name}.arriving")
    check = _Check(positions, batch)
    fault: NotWhole | None = None
    with replacing(arriving) as file:
        for piece in pieces:
            file.write(piece)
            fault = fault or _fault(check.take, piece)
        fault = fault or _fault(check.finish)
    if fault is not None:
        place(arriving, unverified(raw))
        raise fault
    # The index first: a raw file under its name always has one.
    with replacing(index) as side:
        side.write(check.index())
    place(arriving, raw)
    unverified(raw).unlink(missing_ok=True)
    return check.verified()


def unverified(raw: Path) -> Path:
    """Where a download is kept that came to its end and does not hold what it should."""
    return raw.with_suffix(".unverified")


def _fault(check: Callable[..., None], *piece: bytes) -> NotWhole | None:
    try:
        check(*piece)
    except NotWhole as fault:
        return fault
    return None


def reindex(positions: Positions, batch: Batch, raw: Path, index: Path) -> None:
    """Gives downloaded results other positions, every line checked once more: their requests have become known.

    Raises DiskProblem where they are not the results that were verified when they came.
    """
    check = _Check(positions, batch)
    try:
        for piece in pieces_of(raw):
            check.take(piece)
        check.finish()
    except NotWhole as odd:
        raise _damaged(raw, str(odd)) from odd
    if check.verified().sha256 != batch.results_sha256:
        raise _damaged(raw, "not the bytes that were verified when they came")
    with replacing(index) as side:
        side.write(check.index())


class Lines:
    """The result lines of a batch, wherever their pieces end: what came for each request, and what belongs to none."""

    def __init__(self, positions: Positions, count: int) -> None:
        self._positions = positions
        self.count = count
        self.offsets = array("Q", bytes(8 * count))
        self.sizes = array("I", bytes(4 * count))
        self.marks = bytearray(count)
        self.lines = self.foreign = self.repeated = 0
        self._rest: list[bytes] = []
        self._rest_at = 0

    def take(self, piece: bytes) -> None:
        """Raises NotWhole where a line is no result."""
        if b"\n" not in piece:
            self._rest.append(piece)
            return
        *lines, rest = b"".join((*self._rest, piece)).split(b"\n")
        for line in lines:
            self._line(line, self._rest_at)
            self._rest_at += len(line) + 1
        self._rest = [rest]

    def end(self) -> None:
        """Takes the last line, where no newline ended it. Raises as `take` does."""
        last = b"".join(self._rest)
        if last.strip():
            # Without its newline it may be cut, and a head alone would not show that.
            _parsed(last)
            self._line(last, self._rest_at)

    def _line(self, line: bytes, offset: int) -> None:
        if not line.strip():
            return
        self.lines += 1
        custom_id, reading = _read_line(line)
        position = self._positions.get(custom_id)
        if position is None:
            self.foreign += 1
        elif self.marks[position]:
            self.repeated += 1
        else:
            self.offsets[position], self.sizes[position] = offset, len(line)
            self.marks[position] = reading.mark
            if reading.mark is not Mark.SUCCEEDED:
                self._note(custom_id.decode(), reading)

    def _note(self, custom_id: str, reading: Reading) -> None:
        """Of a result that is no plain success."""

    def index(self) -> bytes:
        """As it stands beside the raw file."""
        return pack(self.offsets) + pack(self.sizes) + self.marks

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
        return _disagreements(self.counts(), self._tally(Mark.UNKNOWN), theirs)

    def _tally(self, *marks: Mark) -> int:
        return sum(self.marks.count(mark) for mark in marks)

    def counts(self) -> RequestCounts:
        return RequestCounts(
            succeeded=self._tally(Mark.SUCCEEDED, Mark.TRUNCATED, Mark.REFUSAL, Mark.PAUSED),
            errored=self._tally(Mark.ERRORED_RETRY, Mark.ERRORED_FIX, Mark.ERRORED_ACCOUNT),
            canceled=self._tally(Mark.CANCELED),
            expired=self._tally(Mark.EXPIRED),
        )


class _Check(Lines):
    """The lines as they are downloaded: whole, or refused."""

    def __init__(self, positions: Positions, batch: Batch) -> None:
        super().__init__(positions, batch.count)
        self._batch = batch
        self._hash = hashlib.sha256()
        self._size = 0
        self._kinds: dict[tuple[Outcome, str, Mark], list[str]] = {}
        self._kind_counts: dict[tuple[Outcome, str, Mark], int] = {}
        self._messages: dict[tuple[Outcome, str, Mark], str] = {}

    def take(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._size += len(piece)
        super().take(piece)

    def _note(self, custom_id: str, reading: Reading) -> None:
        kind = (reading.outcome, reading.error_type, reading.mark)
        self._kind_counts[kind] = self._kind_counts.get(kind, 0) + 1
        samples = self._kinds.setdefault(kind, [])
        if len(samples) < SAMPLES:
            samples.append(custom_id)
        self._messages.setdefault(kind, reading.message)

    def finish(self) -> None:
        """Raises NotOurs or NotWhole with what is missing."""
        self.end()
        # A guess by size is no better than its ids. Where some of them were read and ours, a single odd line does not
        # make a batch that was paid for a stranger's.
        most = 0 if not self._batch.identified else self.lines / 2
        if self._batch.provisional and self.foreign > most:
            raise NotOurs(f"{self.foreign:,} of {self.lines:,} results answer other requests")
        missing = self.marks.count(0)
        faults = [
            (missing, f"{missing:,} of {self.count:,} requests have no result"),
            (self.foreign, f"{self.foreign:,} results have a custom_id that {self._why_foreign()}"),
            (self.repeated, f"{self.repeated:,} results came twice"),
        ]
        found = [text for count, text in faults if count]
        found += self.disagreements(self._batch.counts)
        if found:
            raise NotWhole("; ".join(found))

    def _why_foreign(self) -> str:
        return "was not sent" if self._batch.cut.has_requests else "is one more than the batch has requests"

    def verified(self) -> Verified:
        return Verified(
            bytes=self._size,
            sha256=self._hash.hexdigest(),
            counts=self.counts(),
            unknown=self._tally(Mark.UNKNOWN),
            truncated=self._tally(Mark.TRUNCATED),
            refusals=self._tally(Mark.REFUSAL),
            paused_turns=self._tally(Mark.PAUSED),
            failures=tuple(self._failures()),
        )

    def _failures(self) -> Iterator[Failures]:
        for kind, count in self._kind_counts.items():
            outcome, error_type, mark = kind
            if not mark.is_success:
                yield Failures(
                    round=self._batch.round,
                    outcome=outcome,
                    error_type=error_type,
                    failure_class=CLASS_OF_MARK[mark],
                    count=count,
                    sample_ids=tuple(self._kinds[kind]),
                    sample_message=self._messages[kind],
                )


class Reread(Lines):
    """The lines of a raw file, read again: what is odd is noted with its line, and reading goes on."""

    def __init__(self, positions: Positions, count: int, note: Callable[[str, int, str], None]) -> None:
        """`note`: what is odd, the line of the raw file from 1, and its custom_id, empty where it has none."""
        super().__init__(positions, count)
        self._tell = note
        self._number = 0

    def end(self) -> None:
        try:
            super().end()
        except NotWhole as odd:
            self._tell(str(odd), self._number + 1, "")

    def _line(self, line: bytes, offset: int) -> None:
        self._number += 1
        known = self.foreign, self.repeated
        try:
            super()._line(line, offset)
        except NotWhole as odd:
            self._tell(str(odd), self._number, "")
            return
        if (self.foreign, self.repeated) != known:
            what = "was not sent in this batch" if self.foreign > known[0] else "came twice"
            self._tell(f"a result whose custom_id {what}", self._number, custom_id_of_result(line))


def _disagreements(ours: RequestCounts, unknown: int, theirs: RequestCounts) -> list[str]:
    """Where the lines and the API's counters differ. A type we do not know may be counted there as any of its own."""
    pairs = [
        (name, getattr(ours, name), getattr(theirs, name)) for name in ("succeeded", "errored", "canceled", "expired")
    ]
    wrong = [f"{have:,} {name}, the API counted {want:,}" for name, have, want in pairs if have != want]
    if unknown and sum(want - have for _, have, want in pairs if want > have) <= unknown:
        wrong = [f"{have:,} {name}, the API counted {want:,}" for name, have, want in pairs if have > want]
    return wrong


def _read_line(line: bytes) -> tuple[bytes, Reading]:
    match = _HEAD(line)
    if match and match.group(2) == b"succeeded" and line.endswith(_TAILS) and not _STOP_WORDS(line):
        return match.group(1), _SUCCEEDED
    return _parsed(line)


def custom_id_of_result(line: bytes) -> str:
    """Raises NotWhole where it is no result."""
    return _read_line(line)[0].decode("utf-8", "replace")


def _parsed(line: bytes) -> tuple[bytes, Reading]:
    try:
        # orjson is stricter than a result need be: half a surrogate pair in an answer does not unmake it.
        try:
            parsed = orjson.loads(line)
        except orjson.JSONDecodeError:
            parsed = json.loads(line)
        return str(parsed["custom_id"]).encode(), read_result(parsed["result"])
    except (ValueError, KeyError, TypeError) as error:
        raise NotWhole(f"a line is no result: {line[:80].decode('utf-8', 'replace')}") from error


_SUCCEEDED = Reading(Mark.SUCCEEDED, Outcome.SUCCEEDED)
_MARKS = frozenset(Mark)
# An offset, a size and a mark for every request.
INDEX_BYTES = 13


def _triples(index: bytes, count: int) -> Iterator[tuple[int, int, int]]:
    """Offset, size and mark of each position of an index."""
    offsets, sizes = unpack("Q", index[: 8 * count]), unpack("I", index[8 * count : 12 * count])
    return zip(offsets, sizes, index[12 * count :], strict=True)


def pieces_of(raw: Path) -> Iterator[bytes]:
    """A raw file from end to end. Raises DiskProblem."""
    with disk(raw), raw.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def is_on_disk(raw: Path, index: Path, batch: Batch) -> bool:
    """Whether a downloaded batch's files are still there, and as long as they were."""
    try:
        sizes = raw.stat().st_size, index.stat().st_size
    except OSError:
        return False
    return sizes == (batch.results_bytes, INDEX_BYTES * batch.count)


def _damaged(path: Path, why: str) -> DiskProblem:
    return DiskProblem(f"{path}: {why}", hint="delete it: `batchctl fetch` downloads this batch again")


class Answers:
    """A downloaded batch, by position: its marks, and its lines as the API sent them."""

    def __init__(self, raw: Path, index: Path, batch: Batch) -> None:
        count = batch.count
        with disk(index):
            stored = index.read_bytes()
        if len(stored) != INDEX_BYTES * count or not _MARKS.issuperset(stored[12 * count :]):
            raise _damaged(index, f"not the index of a batch of {count:,} requests")
        self.marks = stored[12 * count :]
        self._offsets = unpack("Q", stored[: 8 * count])
        self._sizes = unpack("I", stored[8 * count : 12 * count])
        self._raw = raw
        with disk(raw):
            self._file = raw.open("rb")
            self._is_small = os.fstat(self._file.fileno()).st_size <= IN_MEMORY_BYTES
            self._whole = self._file.read() if self._is_small else b""
        if self._is_small and hashlib.sha256(self._whole).hexdigest() != batch.results_sha256:
            self._file.close()
            raise _damaged(raw, "not the bytes that were verified when they came")

    def line(self, position: int) -> bytes:
        """The API's own bytes, without the newline."""
        offset, size = self._offsets[position], self._sizes[position]
        if self._is_small:
            return self._whole[offset : offset + size]
        return os.pread(self._file.fileno(), size, offset)

    def custom_id(self, position: int) -> bytes:
        """Raises DiskProblem where the line is no result any more."""
        return self._read(position)[0]

    def reading(self, position: int) -> Reading:
        """Raises as `custom_id` does."""
        return self._read(position)[1]

    def _read(self, position: int) -> tuple[bytes, Reading]:
        try:
            return _read_line(self.line(position))
        except NotWhole as odd:
            raise _damaged(self._raw, str(odd)) from odd

    def close(self) -> None:
        self._file.close()
        # Let go now: the next batch is opened before the last name for this one is gone.
        self._whole = b""
