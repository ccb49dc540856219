"""A batch's results: raw bytes to the disk, every line checked against the requests of the batch, an index beside them.

What lies under its name is whole: the number of lines, the set of ids and the counts per outcome agreed.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from batchctl.domain.model import Batch, Failures, Outcome, OutcomeCode, Verified
from batchctl.domain.outcomes import CLASS_OF_CODE, CountedTypes, Reading
from batchctl.domain.wording import of_total, plural
from batchctl.results.downloaded import damaged, lines_at, pieces_of, remember_hash
from batchctl.results.index import IndexBuilder, OrderOfArrival, Positions
from batchctl.results.result_lines import IncompleteResults
from batchctl.results.usage import Message, UsageMeter
from batchctl.store.local import LocalStore, disk, place, replacing

SAMPLES = 3


class ForeignResults(Exception):
    """The results answer requests that this batch never held."""


def receive(
    pieces: Iterable[bytes], positions: Positions, batch: Batch, raw: Path, index: Path, *, is_patient: bool = True
) -> Verified:
    """Write results as they come, check them, and put them in place with their index if they are whole.

    All that came is on the disk before anything is said of it. What is not whole is kept as `unverified`, for a person: it
    was paid for.

    Args:
        pieces: The bytes of the results; whatever this raises is passed on.
        positions: The positions of the batch's requests.
        batch: The batch, with the counts of the API.
        raw: Where the results lie when they are whole.
        index: Where their index lies.
        is_patient: Ask again for a line that cannot be read; else the line counts as the result of its request.

    Raises:
        IncompleteResults: The results are not those of the whole batch.
        ForeignResults: They answer other requests.
        DiskProblem: They cannot be written.
    """
    check = _VerifyingIndex(positions, batch, is_patient=is_patient)
    faults: list[Exception] = []
    # 1. Write all that comes. Whatever a check stumbles over, it costs no byte of it.
    with replacing(_arriving(raw)) as file:
        for piece in pieces:
            file.write(piece)
            if not faults:
                _note_fault(faults, check.take, piece)
    # 2. Check the whole of it.
    if not faults:
        _note_fault(faults, check.finish, _arriving(raw))
    # 3. Give it its name, or the name of what is not whole.
    if not faults:
        return _put_in_place(check, _arriving(raw), raw, index, batch)
    if isinstance(faults[0], ForeignResults):
        with disk(raw):
            _arriving(raw).unlink()
    else:
        place(_arriving(raw), unverified_path(raw, batch))
    raise faults[0]


def keep_unverified(pieces: Iterable[bytes], batch: Batch, raw: Path) -> Path:
    """Write results that nothing can be held against, and return where they lie. Raises DiskProblem, and as `pieces`."""
    with replacing(_arriving(raw)) as file:
        for piece in pieces:
            file.write(piece)
    place(_arriving(raw), unverified_path(raw, batch))
    return unverified_path(raw, batch)


def take_kept(
    positions: Positions, batch: Batch, raw: Path, index: Path, *, is_patient: bool = True
) -> Verified | None:
    """Verify what an earlier download kept, and put it in place; None where nothing was kept or it is still not whole.

    When the requests are known again, the API may have removed the results. Raises DiskProblem.
    """
    kept = unverified_path(raw, batch)
    if not kept.exists():
        return None
    check = _VerifyingIndex(positions, batch, is_patient=is_patient)
    try:
        check.read_file(kept)
    except (IncompleteResults, ForeignResults):
        return None
    return _put_in_place(check, kept, raw, index, batch)


def unverified_path(raw: Path, batch: Batch) -> Path:
    """Return where a complete download is kept that does not hold what it should, or that nobody can verify.

    A digest of the API's id is in its name: the cut may be another batch's by the time that it is looked at again.
    """
    name = hashlib.sha256((batch.message_batch_id or "").encode()).hexdigest()[:8]
    return raw.with_suffix(f".{name}.unverified")


def reindex(positions: Positions, batch: Batch, raw: Path, index: Path) -> None:
    """Write the index of downloaded results anew, for requests that have become known; every line is checked again.

    Raises DiskProblem where they are not the results that were verified when they came.
    """
    _write_index(_checked_again(positions, batch, raw), index)


def verified_again(batch: Batch, raw: Path) -> Verified:
    """Return what downloaded results are, whoever they answer. Raises DiskProblem where they are not as verified."""
    return _checked_again(OrderOfArrival(batch.count), batch, raw).verified()


def _checked_again(positions: Positions, batch: Batch, raw: Path) -> "_VerifyingIndex":
    # The hash says that these are the bytes of then: a line that cannot be read could not be read then, either.
    check = _VerifyingIndex(positions, batch, is_patient=False)
    try:
        check.read_file(raw)
    except IncompleteResults as odd:
        raise damaged(raw, str(odd)) from odd
    if check.verified().sha256 != batch.results_sha256:
        raise damaged(raw, "differs from the bytes that were verified after the download")
    return check


def _arriving(raw: Path) -> Path:
    return raw.with_name(f"{raw.name}.arriving")


def _note_fault(faults: list[Exception], check: Callable[..., None], *given: object) -> None:
    try:
        check(*given)
    except Exception as fault:  # noqa: BLE001 - raised once all of it is on the disk
        faults.append(fault)


def _put_in_place(check: "_VerifyingIndex", source: Path, raw: Path, index: Path, batch: Batch) -> Verified:
    # 1. The index first: a raw file under its name always has one.
    _write_index(check, index)
    # 2. The raw file, which is whole on the disk.
    place(source, raw)
    # 3. What an earlier download kept of this batch is of no more use.
    with disk(raw):
        unverified_path(raw, batch).unlink(missing_ok=True)
        verified = check.verified()
        remember_hash(raw, verified.sha256)
    return verified


def _write_index(check: "_VerifyingIndex", index: Path) -> None:
    LocalStore(index.parent).put(index.name, check.index())


@dataclass
class _Kind:
    """Results of one outcome, error type and code: how many, the first message, and a few of their ids."""

    message: str
    count: int = 0
    sample_ids: list[str] = field(default_factory=list)


class _VerifyingIndex(IndexBuilder):
    """The index of results as they are downloaded, with their hash, their failures and their usage."""

    def __init__(self, positions: Positions, batch: Batch, *, is_patient: bool) -> None:
        super().__init__(positions, batch.count, is_patient=is_patient)
        self._batch = batch
        self._hash = hashlib.sha256()
        self._size = 0
        self._told_apart = CountedTypes()
        self._kinds: dict[tuple[Outcome, str, OutcomeCode], _Kind] = {}
        self._meter = UsageMeter()

    def take(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._size += len(piece)
        super().take(piece)

    def read_file(self, path: Path) -> None:
        """Take a whole file. Raises as `finish` does, and DiskProblem."""
        for piece in pieces_of(path):
            self.take(piece)
        self.finish(path)

    def finish(self, raw: Path) -> None:
        """Raise ForeignResults or IncompleteResults where what was taken is not whole. `raw`: where all of it lies."""
        self.end()
        with lines_at(raw) as line_at:
            self.drop_twins(line_at)
        # One foreign id refutes a match by size alone. Once some ids were read and were ours, more than half of the lines must
        # be foreign: a single odd line does not take a batch away that was paid for.
        most = 0 if not self._batch.identified else self.lines / 2
        if self._batch.provisional and self.foreign > most:
            raise ForeignResults(f"{of_total(self.foreign, self.lines, 'result')} with custom_ids of other requests")
        missing = self.codes.count(0)
        why_foreign = "was not sent" if self._batch.cut.has_requests else "exceeds the number of requests"
        faults = [
            (missing, f"{missing:,} of {plural(self.count, 'request has', 'requests have')} no result"),
            (self.foreign, f"{plural(self.foreign, 'result has', 'results have')} a custom_id that {why_foreign}"),
            (self.repeated, f"{plural(self.repeated, 'result')} came twice"),
        ]
        messages = [text for count, text in faults if count]
        if not self._batch.counts_unread:
            messages += self.disagreements(self._batch.counts)
        if messages:
            raise IncompleteResults("; ".join(messages))

    def verified(self) -> Verified:
        """Return what came, for the ledger."""
        return Verified(
            bytes=self._size,
            sha256=self._hash.hexdigest(),
            counts=self.counts(),
            unknown=self._sum_of(OutcomeCode.UNKNOWN, OutcomeCode.UNREADABLE),
            truncated=self._sum_of(OutcomeCode.TRUNCATED),
            refusals=self._sum_of(OutcomeCode.REFUSAL),
            paused_turns=self._sum_of(OutcomeCode.PAUSED),
            failures=tuple(self._failures()),
            usage_totals=self._meter.usage_totals,
            usage_unread=self._meter.unread,
            twins=self.twins,
        )

    def _failures(self) -> Iterator[Failures]:
        for (outcome, error_type, code), kind in self._kinds.items():
            if not code.is_success:
                yield Failures(
                    round=self._batch.round,
                    outcome=outcome,
                    error_type=error_type,
                    failure_class=CLASS_OF_CODE[code],
                    count=kind.count,
                    sample_ids=tuple(kind.sample_ids),
                    sample_message=kind.message,
                )

    def _note(self, custom_id: str, reading: Reading) -> None:
        key = (reading.outcome, self._told_apart(reading.error_type), reading.code)
        if (kind := self._kinds.get(key)) is None:
            kind = self._kinds[key] = _Kind(reading.message)
        kind.count += 1
        if custom_id and len(kind.sample_ids) < SAMPLES:
            kind.sample_ids.append(custom_id)

    def _succeeded(self, messages: list[Message | None]) -> None:
        self._meter.take(messages)
