"""A batch's results: raw to the disk, every line checked against the range that asked for it, and an index beside.

What is on the disk under its name is whole: the number of lines, the set of ids and the counts per outcome agreed.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.errors import DiskProblem
from batchctl.domain.model import Batch, Failures, Outcome, OutcomeCode, Verified
from batchctl.domain.outcomes import CLASS_OF_CODE, UNREADABLE, Reading, ToldApart
from batchctl.results.lines import IncompleteResults, IndexBuilder, OrderOfArrival, Positions, id_in_head, read_line
from batchctl.results.usage import UsageMeter
from batchctl.store.line_maps import unpack
from batchctl.store.local import disk, place, replacing

SAMPLES = 3
IN_MEMORY_BYTES = 8 << 20
PIECE_BYTES = 1 << 18


class ForeignResults(Exception):
    """The results answer requests that this batch never held."""


def receive(
    pieces: Iterable[bytes], positions: Positions, batch: Batch, raw: Path, index: Path, *, is_patient: bool = True
) -> Verified:
    """Writes what comes, checks it, and puts it at `raw` and its index in place only when it is whole.

    What came to its end is on the disk before anything is said of it. If it is not whole it is kept under another name,
    for a person: it was paid for. `is_patient`: a line that cannot be read is a reason to ask again; else it counts as the
    result of its request. Raises IncompleteResults, ForeignResults, DiskProblem, and whatever `pieces` raises.
    """
    check = _Check(positions, batch, is_patient=is_patient)
    faults: list[Exception] = []
    with replacing(_arriving(raw)) as file:
        for piece in pieces:
            file.write(piece)
            if not faults:
                _note_fault(faults, check.take, piece)
    if not faults:
        _note_fault(faults, check.finish, _arriving(raw))
    if not faults:
        return _placed(check, _arriving(raw), raw, index, batch)
    if isinstance(faults[0], ForeignResults):
        with disk(raw):
            _arriving(raw).unlink()
    else:
        place(_arriving(raw), unverified(raw, batch))
    raise faults[0]


def keep_unverified(pieces: Iterable[bytes], batch: Batch, raw: Path) -> Path:
    """Writes what comes where nothing can say whether it is whole; where it lies then. Raises DiskProblem, and as `pieces` does."""
    with replacing(_arriving(raw)) as file:
        for piece in pieces:
            file.write(piece)
    place(_arriving(raw), unverified(raw, batch))
    return unverified(raw, batch)


def take_kept(
    positions: Positions, batch: Batch, raw: Path, index: Path, *, is_patient: bool = True
) -> Verified | None:
    """Verifies what an earlier download kept, and puts it in place; None where it kept nothing, or it is still not whole.

    Nobody need have it any more when what it is held against is there again. Raises DiskProblem.
    """
    kept = unverified(raw, batch)
    if not kept.exists():
        return None
    check = _Check(positions, batch, is_patient=is_patient)
    try:
        for piece in pieces_of(kept):
            check.take(piece)
        check.finish(kept)
    except (IncompleteResults, ForeignResults):
        return None
    return _placed(check, kept, raw, index, batch)


def unverified(raw: Path, batch: Batch) -> Path:
    """Where a download is kept that came to its end and does not hold what it should, or nobody can tell.

    A digest of the API's id is in its name: the cut may be another batch's by the time that it is looked at again.
    """
    name = hashlib.sha256((batch.message_batch_id or "").encode()).hexdigest()[:8]
    return raw.with_suffix(f".{name}.unverified")


def _arriving(raw: Path) -> Path:
    return raw.with_name(f"{raw.name}.arriving")


def _note_fault(faults: list[Exception], check: Callable[..., None], *given: object) -> None:
    """Whatever it is that a check stumbles over, it costs nothing of what comes."""
    try:
        check(*given)
    except Exception as fault:  # noqa: BLE001 - raised once all of it is on the disk
        faults.append(fault)


def _placed(check: "_Check", source: Path, raw: Path, index: Path, batch: Batch) -> Verified:
    # The index first: a raw file under its name always has one.
    with replacing(index) as side:
        side.write(check.index())
    place(source, raw)
    with disk(raw):
        unverified(raw, batch).unlink(missing_ok=True)
        with raw.open("rb") as file:
            verified = check.verified()
            _JUST_VERIFIED[_identity(file)] = verified.sha256
    return verified


def reindex(positions: Positions, batch: Batch, raw: Path, index: Path) -> None:
    """Gives downloaded results other positions, every line checked once more: their requests have become known.

    Raises DiskProblem where they are not the results that were verified when they came.
    """
    check = _checked_again(positions, batch, raw)
    with replacing(index) as side:
        side.write(check.index())


def verified_again(batch: Batch, raw: Path) -> Verified:
    """What downloaded results are, whoever they answer. Raises DiskProblem where they are not those that were verified."""
    return _checked_again(OrderOfArrival(batch.count), batch, raw).verified()


def _checked_again(positions: Positions, batch: Batch, raw: Path) -> "_Check":
    # The hash says whether they are: a line that cannot be read was one then.
    check = _Check(positions, batch, is_patient=False)
    try:
        for piece in pieces_of(raw):
            check.take(piece)
        check.finish(raw)
    except IncompleteResults as odd:
        raise _damaged(raw, str(odd)) from odd
    if check.verified().sha256 != batch.results_sha256:
        raise _damaged(raw, "not the bytes that were verified when they came")
    return check


class _Check(IndexBuilder):
    """The lines as they are downloaded: whole, or refused."""

    def __init__(self, positions: Positions, batch: Batch, *, is_patient: bool) -> None:
        super().__init__(positions, batch.count, is_patient=is_patient)
        self._batch = batch
        self._hash = hashlib.sha256()
        self._size = 0
        self._told_apart = ToldApart()
        self._kinds: dict[tuple[Outcome, str, OutcomeCode], list[str]] = {}
        self._kind_counts: dict[tuple[Outcome, str, OutcomeCode], int] = {}
        self._messages: dict[tuple[Outcome, str, OutcomeCode], str] = {}
        self._meter = UsageMeter()

    def take(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._size += len(piece)
        super().take(piece)

    def _note(self, custom_id: str, reading: Reading) -> None:
        kind = (reading.outcome, self._told_apart(reading.error_type), reading.code)
        self._kind_counts[kind] = self._kind_counts.get(kind, 0) + 1
        samples = self._kinds.setdefault(kind, [])
        if custom_id and len(samples) < SAMPLES:
            samples.append(custom_id)
        self._messages.setdefault(kind, reading.message)

    def _sum_up(self, lines: list[bytes]) -> bool:
        return self._meter.take_shared_prefix(lines)

    def _succeeded(self, lines: list[bytes]) -> None:
        self._meter.take(lines)

    def _take_back(self, line: bytes) -> None:
        self._meter.take_back(line)

    def finish(self, raw: Path) -> None:
        """`raw`: where all that was taken lies. Raises ForeignResults or IncompleteResults with what is missing."""
        self.end()
        with lines_at(raw) as line_at:
            self.drop_twins(line_at)
        # A guess by size is no better than its ids. Where some of them were read and ours, a single odd line does not
        # make a batch that was paid for a stranger's.
        most = 0 if not self._batch.identified else self.lines / 2
        if self._batch.provisional and self.foreign > most:
            raise ForeignResults(f"{self.foreign:,} of {self.lines:,} results answer other requests")
        missing = self.codes.count(0)
        faults = [
            (missing, f"{missing:,} of {self.count:,} requests have no result"),
            (self.foreign, f"{self.foreign:,} results have a custom_id that {self._why_foreign()}"),
            (self.repeated, f"{self.repeated:,} results came twice"),
        ]
        found = [text for count, text in faults if count]
        if not self._batch.counts_unread:
            found += self.disagreements(self._batch.counts)
        if found:
            raise IncompleteResults("; ".join(found))

    def _why_foreign(self) -> str:
        return "was not sent" if self._batch.cut.has_requests else "is one more than the batch has requests"

    def verified(self) -> Verified:
        return Verified(
            bytes=self._size,
            sha256=self._hash.hexdigest(),
            counts=self.counts(),
            unknown=self._request_group(OutcomeCode.UNKNOWN, OutcomeCode.UNREADABLE),
            truncated=self._request_group(OutcomeCode.TRUNCATED),
            refusals=self._request_group(OutcomeCode.REFUSAL),
            paused_turns=self._request_group(OutcomeCode.PAUSED),
            failures=tuple(self._failures()),
            usage_totals=self._meter.usage_totals,
            usage_unread=self._meter.unread,
            twins=self.twins,
        )

    def _failures(self) -> Iterator[Failures]:
        for kind, count in self._kind_counts.items():
            outcome, error_type, code = kind
            if not code.is_success:
                yield Failures(
                    round=self._batch.round,
                    outcome=outcome,
                    error_type=error_type,
                    failure_class=CLASS_OF_CODE[code],
                    count=count,
                    sample_ids=tuple(self._kinds[kind]),
                    sample_message=self._messages[kind],
                )


_CODES = frozenset(OutcomeCode)
# The hashes of raw files that this process downloaded, by what the disk said of them then.
_JUST_VERIFIED: dict[tuple[int, ...], str] = {}
# An offset, a size and a mark for every request.
INDEX_BYTES = 13


def pieces_of(raw: Path) -> Iterator[bytes]:
    """A raw file from end to end. Raises DiskProblem."""
    with disk(raw), raw.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _identity(file: BinaryIO) -> tuple[int, ...]:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@contextlib.contextmanager
def lines_at(raw: Path) -> Iterator[Callable[[int, int], bytes]]:
    """What reads the lines of a raw file by offset and size. Raises DiskProblem."""
    with disk(raw), raw.open("rb") as file:
        yield lambda offset, size: os.pread(file.fileno(), size, offset)


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
    """A downloaded batch, by position: its marks, and its lines as the API sent them.

    `line_bytes`: how long a line is on average.
    """

    def __init__(self, raw: Path, index: Path, batch: Batch) -> None:
        count = batch.count
        with disk(index):
            stored = index.read_bytes()
        if len(stored) != INDEX_BYTES * count or not _CODES.issuperset(stored[12 * count :]):
            raise _damaged(index, f"not the index of a batch of {count:,} requests")
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
            raise _damaged(raw, "not the bytes that were verified when they came")

    def _sha256(self) -> str:
        if self._is_small:
            return hashlib.sha256(self._whole).hexdigest()
        # What this process wrote itself, and nobody has written to since, is not read a second time.
        return _JUST_VERIFIED.get(_identity(self._file)) or hashlib.file_digest(self._file, "sha256").hexdigest()

    def line(self, position: int) -> bytes:
        """The API's own bytes, without the newline."""
        offset, size = self._offsets[position], self._sizes[position]
        if self._is_small:
            return self._whole[offset : offset + size]
        return os.pread(self._file.fileno(), size, offset)

    def lines(self, first: int, end: int) -> list[bytes]:
        """Of the positions from `first` to before `end`; empty for one that has none."""
        places = zip(self._offsets[first:end], self._sizes[first:end], strict=True)
        if self._is_small:
            whole = self._whole
            return [whole[offset : offset + size] for offset, size in places]
        return [os.pread(self._file.fileno(), size, offset) for offset, size in places]

    def read(self, position: int) -> tuple[bytes, Reading]:
        """The custom_id, and what the line says. Raises DiskProblem where it is no result any more.

        Of a line that cannot be read the custom_id is empty where its beginning does not show it.
        """
        if self.codes[position] == OutcomeCode.UNREADABLE:
            said = f"{UNREADABLE.message}, {self._raw} from byte {self._offsets[position]:,} on"
            return id_in_head(self.line(position)), replace(UNREADABLE, message=said)
        try:
            return read_line(self.line(position))
        except IncompleteResults as odd:
            raise _damaged(self._raw, str(odd)) from odd

    def close(self) -> None:
        self._file.close()
        # Let go now: the next batch is opened before the last name for this one is gone.
        self._whole = b""
