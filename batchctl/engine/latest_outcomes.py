"""The latest outcome of every request, in input order, over all rounds; one batch of round 1 in memory at a time.

The results of a batch answer only its own range, and every later round keeps the order of round 1. So the rounds are read side
by side, and no request is looked up.
"""

import contextlib
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from batchctl.domain.model import Batch, Job, OutcomeCode, State
from batchctl.domain.outcomes import NEVER_SENT, replaces
from batchctl.engine.session import ReadSession
from batchctl.requests.request_file import LinesInOrder, request_file
from batchctl.results.downloaded import Answers
from batchctl.store.line_maps import LineMap

BYTES_AT_A_TIME = 1 << 18
# A lookup takes a fraction of what a call of the enumeration does, and there is one for each request of a later round.
CODES = {code.value: code for code in OutcomeCode}


@dataclass(slots=True)
class Source:
    """Where an outcome of a request lies: a batch, and the position in it."""

    batch: "OpenBatch"
    position: int

    @property
    def code(self) -> OutcomeCode:
        """The outcome and what can be done about it."""
        return CODES[self.batch.code(self.position)]


class OpenBatch:
    """A batch with its answers, if it has any, and its request lines, if they are asked for. Close it after use.

    Attributes:
        has_requests: Whether the job has its requests; an attached job may have none.
        code_of_unsent: The outcome of the requests of this job that no batch holds.
        answers: None for a batch that is not fetched.
    """

    def __init__(self, session: ReadSession, job: Job, batch: Batch) -> None:
        """Open the answers of `batch`. Raises DiskProblem."""
        self.batch = batch
        self._session = session
        self._job = job
        self._lines: LinesInOrder | None = None
        self.has_requests = job.has_requests
        self.code_of_unsent = OutcomeCode.WITHHELD if job.has_first_batch else OutcomeCode.IN_NO_BATCH
        self.answers: Answers | None = None
        if batch.state is State.FETCHED:
            self.answers = Answers(session.workspace.raw(job, batch), session.workspace.index(job, batch), batch)

    def code(self, position: int) -> int:
        """Return the outcome code of a position."""
        return self.answers.codes[position] if self.answers else OutcomeCode.UNANSWERED

    def request_line(self, position: int) -> bytes:
        """Return a request as it was sent. Positions must rise from call to call, and the job must have its requests."""
        if self._lines is None:
            self._lines = LinesInOrder(request_file(self._session.workspace, self._job, self.batch.round), self.batch)
        return self._lines.line(position)

    def close(self) -> None:
        """Close the answers."""
        if self.answers:
            self.answers.close()


class LatestOutcomes:
    """The requests of one batch of round 1, with the latest outcome of each. Positions are those in the batch.

    Attributes:
        lines: The line of the input of each request.
        count: How many requests there are.
        origin: The position of the first of them in round 1.
        has_requests: Whether the job has its requests.
        codes: The `OutcomeCode` of each request, one byte each.
    """

    def __init__(self, first: OpenBatch, lines: Sequence[int]) -> None:
        """Start with the outcomes of round 1."""
        self._first = first
        self.lines = lines
        self.count = first.batch.count
        self.origin = first.batch.cut.first
        self.has_requests = first.has_requests
        nothing = first.code_of_unsent if first.batch.is_unattached else OutcomeCode.UNANSWERED
        self.codes = bytearray(first.answers.codes) if first.answers else bytearray([nothing]) * self.count
        self._answered_by: dict[int, Source] = {}
        self._sent_by: dict[int, Source] = {}

    def add_later_outcome(self, source: Source, origin: int) -> None:
        """Take the outcome in a later round of the request at `origin` of round 1, where it replaces the one so far."""
        position = origin - self.origin
        self._sent_by[position] = source
        if self.codes[position] in NEVER_SENT:
            self.codes[position] = OutcomeCode.UNANSWERED
        code = source.code
        if replaces(code, CODES[self.codes[position]]):
            self.codes[position] = code
            self._answered_by[position] = source

    def answer(self, position: int) -> Source:
        """Return where the answer that counts lies. The code of the position must be one of an answer."""
        return self._answered_by.get(position) or Source(self._first, position)

    def answer_line(self, position: int) -> bytes:
        """Return the result line of the answer that counts."""
        source = self.answer(position)
        assert source.batch.answers is not None
        return source.batch.answers.line(source.position)

    def answer_lines(self) -> Iterator[list[bytes]]:
        """Yield the result lines of all requests that have an answer, in input order, about `BYTES_AT_A_TIME` at a time.

        A line that cannot be read is left out: with it in the file, a reader might not read the lines around it.
        """
        answers = self._first.answers
        later = sorted(self._answered_by)
        step = max(1, BYTES_AT_A_TIME // max(1, answers.line_bytes if answers else 0))
        for first in range(0, self.count, step):
            end = min(first + step, self.count)
            lines = answers.lines(first, end) if answers else [b""] * (end - first)
            for position in later[bisect_left(later, first) : bisect_left(later, end)]:
                lines[position - first] = self.answer_line(position)
            at = -1
            while (at := self.codes.find(OutcomeCode.UNREADABLE, max(first, at + 1), end)) >= 0:
                lines[at - first] = b""
            if answered := list(filter(None, lines)):
                yield answered

    def answers_of_later_rounds(self) -> Iterator[tuple[int, bytes]]:
        """Yield each position whose answer is of a later round, with its result line, where that can be read."""
        for position in (p for p in sorted(self._answered_by) if self.codes[p] != OutcomeCode.UNREADABLE):
            yield position, self.answer_line(position)

    def request_line(self, position: int) -> bytes:
        """Return a request as it was sent last. Positions must rise from call to call."""
        source = self.sent_last(position)
        return source.batch.request_line(source.position)

    def sent_last(self, position: int) -> Source:
        """Return where a request was sent last. Its outcome there does not count where it failed after a success."""
        return self._sent_by.get(position) or Source(self._first, position)


def reading_order(batches: Sequence[Batch], lines: LineMap) -> list[Batch]:
    """Return the batches of round 1 by their first line. Attached batches may have been created in another order."""
    return sorted((b for b in batches if b.round == 1), key=lambda b: lines.numbers(b.cut.first, 1)[0])


def latest_outcomes(session: ReadSession, job: Job, batches: Sequence[Batch]) -> Iterator[LatestOutcomes]:
    """Yield the requests of round 1, batch by batch. Each value is valid until the next is asked for."""
    with contextlib.ExitStack() as stack:
        # Without requests there is no line map: a file there is left from an `attach --input` that was stopped.
        lines = LineMap(session.workspace.lines(job.name) if job.has_requests else None, base=1)
        stack.callback(lines.close)
        later_rounds = [_LaterRound(session, job, r.number, batches) for r in job.rounds[1:]]
        for later_round in later_rounds:
            stack.callback(later_round.close)
        for first in _opened_ahead(reading_order(batches, lines), partial(OpenBatch, session, job)):
            outcomes = LatestOutcomes(first, lines.numbers(first.batch.cut.first, first.batch.count))
            for later_round in later_rounds:
                later_round.add_to(outcomes)
            yield outcomes


def _opened_ahead(batches: Sequence[Batch], open_batch: Callable[[Batch], OpenBatch]) -> Iterator[OpenBatch]:
    """Yield each batch opened, and close it after use. Meanwhile a thread reads and hashes the next, without the GIL."""
    with ThreadPoolExecutor(1) as pool:
        coming = deque(pool.submit(open_batch, batch) for batch in batches[:1])
        try:
            for following in (*batches[1:], None):
                with contextlib.closing(coming[0].result()) as batch:
                    if following is not None:
                        coming.append(pool.submit(open_batch, following))
                    yield batch
                coming.popleft()
        finally:
            for left in coming:
                if left.exception() is None:
                    left.result().close()


class _LaterRound:
    """The requests of a later round, in the order in which those of round 1 are read."""

    def __init__(self, session: ReadSession, job: Job, number: int, batches: Sequence[Batch]) -> None:
        self._opened: list[OpenBatch] = []
        stored = next(r.request_file for r in job.rounds if r.number == number)
        self._numbers = LineMap(session.workspace.origins(session.workspace.resolve(stored)))
        self._session = session
        self._job = job
        self._sources = self._read([b for b in batches if b.round == number])
        self._next = next(self._sources, None)

    def _read(self, batches: Sequence[Batch]) -> Iterator[tuple[int, Source]]:
        for batch in batches:
            opened = OpenBatch(self._session, self._job, batch)
            self._opened.append(opened)
            origins = self._numbers.numbers(batch.cut.first, batch.count)
            for position, origin in enumerate(origins):
                yield origin, Source(opened, position)

    def add_to(self, outcomes: LatestOutcomes) -> None:
        for done in self._opened[:-1]:
            done.close()
        del self._opened[:-1]
        end = outcomes.origin + outcomes.count
        while self._next is not None and outcomes.origin <= self._next[0] < end:
            origin, source = self._next
            outcomes.add_later_outcome(source, origin)
            self._next = next(self._sources, None)

    def close(self) -> None:
        for opened in self._opened:
            opened.close()
        self._numbers.close()
