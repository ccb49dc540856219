"""Lines of an attached job's input that are in none of its batches: what is checked before a round sends them.

They were never checked as an input is. And another job may hold them by now, or a batch that the same script sent and nobody
named: the jobs of this workspace and the API's list are searched for one.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from batchctl.domain.attaching import list_some
from batchctl.domain.errors import ApiFailure, DiskProblem, InputProblem, Refused
from batchctl.domain.events import Checked, Event
from batchctl.domain.model import Batch, Job, MessageBatch, ProcessingStatus, State
from batchctl.engine.job_report import first_unattached, in_no_batch
from batchctl.engine.poll import ask_until_answered
from batchctl.engine.reconciler import SAMPLE_IDS, list_since
from batchctl.engine.session import Session
from batchctl.requests.inputs import input_name
from batchctl.requests.request_file import custom_id_of, ids_of, lines_of_range, request_file, whole_lines
from batchctl.results.result_lines import IncompleteResults, first_ids
from batchctl.store.line_maps import read_line_map
from batchctl.store.local import PRIVATE, disk
from batchctl.verbs.check_again import check_anew

_PIECE = 1 << 16
# The API's list is searched from so long before the oldest attached batch: the person may not have named the first batch that
# the script made.
SEARCH_MARGIN = timedelta(hours=1)
# Ended batches that are asked for some of their ids; of any more it is not known whose they are.
MAX_SAMPLED = 50


class UnsentLines:
    """Lines that are in no batch, in a file for the check; each at its line number in the input, which a fault names.

    A context manager: the file is removed at its end.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._path = session.workspace.temporary(f"{session.owner}.unsent")
        self._file: BinaryIO | None = None
        self._number = 0
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)

    def add(self, line: bytes, number: int) -> None:
        """Add a line by its number in the input. Numbers rise; the lines between are left blank."""
        blank = number - self._number - 1
        with disk(self._path):
            if self._file is None:
                handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
                self._file = os.fdopen(handle, "wb")
            for size in (*[_PIECE] * (blank // _PIECE), blank % _PIECE):
                self._file.write(b"\n" * size)
            self._file.write(line + b"\n")
        self._number = number
        self.count += 1

    def check(self, job: Job) -> int:
        """Return the number of warnings. Raises InputProblem where one of the lines cannot be sent."""
        if self._file is None:
            return 0
        with disk(self._path):
            self._file.flush()

        def emit(event: Event) -> None:
            if isinstance(event, Checked):
                scan = event.scan
                event = replace(event, scan=replace(scan, blank=0, size=scan.size - scan.blank))
            self._session.emit(event)

        try:
            return check_anew(replace(self._session, emit=emit), job, self._path, called=job.input_path)
        except InputProblem as problem:
            listed = self._session.workspace.problems(input_name(job.input_path))
            raise InputProblem(
                problem.message,
                hint=f"fix or remove them in a file: batchctl retry {job.name} --edit; the full list of problems: {listed}",
            ) from problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Batches in no job of this workspace that may hold lines which are in none of an attached job's batches.

    `maybe` are those whose size would fit and whose ids cannot be read yet. `is_whole` says whether all of the API's list
    could be read.
    """

    maybe: tuple[MessageBatch, ...] = ()
    is_whole: bool = True

    @property
    def danger(self) -> str:
        """The danger that a person is told of before they say yes; empty where there is none."""
        if self.maybe:
            some = list_some([seen.id for seen in self.maybe])
            return f"paying twice for those in {some}, which no job here has"
        if self.is_whole:
            return ""
        return "paying twice for those that another batch holds: the API's list cannot be read completely"


def find_elsewhere(session: Session, job: Job, path: Path, origins: Path, count: int) -> Elsewhere:
    """Search the other jobs of the workspace, and the API's list from before the oldest attached batch on.

    Args:
        session: The session of the verb.
        job: The attached job.
        path: The requests of the round that would send the lines.
        origins: The positions of those requests in round 1.
        count: How many requests the round has.

    Raises:
        Refused: Some of the lines are in another job or batch.
        AccountProblem: The API refuses to list its batches.
        ServiceProblem: The API cannot be asked.
    """
    batches = session.ledger.batches(job)
    known, since, most = session.ledger.message_batch_ids(), _since(batches), in_no_batch(session, job, batches)
    here = {name: ids for name, ids in _ids_of_other_jobs(session, job, since) if ids}
    listed, is_whole = ask_until_answered(session, partial(list_since, session, since, known))
    candidates = [batch for batch in listed if batch.id not in known and _may_contain(batch, since, most)]
    there = {batch.id: ids for batch in candidates[:MAX_SAMPLED] if (ids := _some_ids(session, batch))}
    wanted = frozenset(chain(*here.values(), *there.values()))
    unsent_ids = _unsent_ids(path, origins, count, first_unattached(batches), wanted) if wanted else set()
    for name, ids in (*here.items(), *there.items()):
        if custom_id := next((each for each in ids if each in unsent_ids), None):
            raise Refused(
                f"{name} holds {custom_id.decode(errors='replace')}, which is in none of the batches of {job.name}. Sending"
                " it would pay twice; nothing was sent",
                hint=_way_out(job, name, is_here=name in here),
            )
    return Elsewhere(maybe=tuple(batch for batch in candidates if batch.id not in there), is_whole=is_whole)


def _way_out(job: Job, name: str, *, is_here: bool) -> str:
    if is_here:
        return f"remove what {name} sends in a file: batchctl retry {job.name} --edit"
    return (
        "attach it with the others: batchctl attach --workspace DIR ID... --input FILE; or if it belongs to another input,"
        f" attach it alone: batchctl attach {name}, then run the same command again"
    )


def _ids_of_other_jobs(session: Session, job: Job, since: datetime | None) -> Iterator[tuple[str, list[bytes]]]:
    """Yield each job here that has sent something since then, or will, with a sample of its custom_ids.

    An attached job whose requests are not known is left out: a person has said that it is another's.
    """
    for other in session.ledger.jobs():
        if other.id == job.id or not other.has_requests:
            continue
        batches = [b for b in session.ledger.batches(other) if not b.is_unattached and b.state is not State.REFUSED]
        young = [b for b in batches if since is None or b.created_at is None or b.created_at >= since]
        yield other.name, [custom_id for batch in young for custom_id in _ids_here(session, other, batch)]


def _ids_here(session: Session, job: Job, batch: Batch) -> list[bytes]:
    """Return a sample of the custom_ids of a batch; none where its requests are no longer those that were planned."""
    try:
        lines = lines_of_range(request_file(session.workspace, job, batch.round), batch)
        return ids_of(list(islice(lines, 0, None, max(1, batch.count // SAMPLE_IDS))))
    except (InputProblem, DiskProblem):
        return []


def _since(batches: Sequence[Batch]) -> datetime | None:
    """Return the time from which the API's list is searched; None for all of it."""
    times = [b.created_at for b in batches if b.message_batch_id]
    oldest = min((at for at in times if at is not None), default=None)
    return None if oldest is None or None in times else oldest - SEARCH_MARGIN


def _may_contain(seen: MessageBatch, since: datetime | None, most: int) -> bool:
    """Return whether a batch may hold some of so many lines, and cost money. No batch of the script is older than `since`."""
    if seen.size is not None and not 0 < seen.size <= most:
        return False
    if since is not None and seen.created_at is not None and seen.created_at < since:
        return False
    is_ended = seen.processing_status is ProcessingStatus.ENDED
    is_free = is_ended and seen.counts is not None and not seen.counts.succeeded
    return not is_free


def _some_ids(session: Session, seen: MessageBatch) -> list[bytes]:
    """Return a sample of the custom_ids of a batch of the API; none where they cannot be read, or not yet."""
    if seen.processing_status is not ProcessingStatus.ENDED:
        return []
    try:
        with session.message_batches.results(seen.id) as pieces:
            return first_ids(pieces, SAMPLE_IDS)
    except (ApiFailure, IncompleteResults):
        return []


def _unsent_ids(path: Path, origins: Path, count: int, first: int | None, wanted: frozenset[bytes]) -> set[bytes]:
    """Return those of the ids that a round has on a line which was never sent. `first` is the position of the first such line."""
    numbers = chain.from_iterable(read_line_map(origins, count))
    lines = zip(numbers, (line for _, line in whole_lines(path)), strict=True)
    ids = (custom_id_of(line) for origin, line in lines if first is not None and origin >= first)
    return {custom_id for custom_id in ids if custom_id in wanted}
