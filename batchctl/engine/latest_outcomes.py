"""The latest answer to every request, in input order, over all rounds; one batch of round 1 in hand at a time.

A batch's results answer only its own range, and every later round keeps the order in which these are read: so the rounds
are read side by side, and no request is ever looked up.
"""

import contextlib
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from batchctl.domain.model import Batch, Job, OutcomeCode, State
from batchctl.engine.session import ReadSession
from batchctl.requests.request_file import LinesInOrder, request_file
from batchctl.results.downloaded import Answers
from batchctl.results.merging import replaces
from batchctl.store.line_maps import LineMap

BYTES_AT_A_TIME = 1 << 18


@dataclass(slots=True)
class Source:
    """Where one later round's word on a request lies: its batch there, and the position in it."""

    batch: "OpenBatch"
    position: int

    @property
    def code(self) -> OutcomeCode:
        return OutcomeCode(self.batch.code(self.position))


class OpenBatch:
    """A batch with its answers, if it has any, and its request lines, if they are asked for."""

    def __init__(self, session: ReadSession, job: Job, batch: Batch) -> None:
        self.batch = batch
        self._session = session
        self._job = job
        self._lines: LinesInOrder | None = None
        self.has_requests = job.has_requests
        self.answers: Answers | None = None
        if batch.state is State.FETCHED:
            self.answers = Answers(session.workspace.raw(job, batch), session.workspace.index(job, batch), batch)

    def code(self, position: int) -> int:
        return self.answers.codes[position] if self.answers else OutcomeCode.UNANSWERED

    def request_line(self, position: int) -> bytes:
        """Ask by rising position only, and where the job has its requests."""
        if self._lines is None:
            self._lines = LinesInOrder(request_file(self._session.workspace, self._job, self.batch.round), self.batch)
        return self._lines.line(position)

    def close(self) -> None:
        if self.answers:
            self.answers.close()


class LatestOutcomes:
    """The requests of one batch of round 1, with the newest word on each."""

    def __init__(self, first: OpenBatch, lines: Sequence[int]) -> None:
        self._first = first
        self.lines = lines
        self.count = first.batch.count
        self.origin = first.batch.cut.first
        self.has_requests = first.has_requests
        nothing = OutcomeCode.IN_NO_BATCH if first.batch.is_unattached else OutcomeCode.UNANSWERED
        self.codes = bytearray(first.answers.codes) if first.answers else bytearray([nothing]) * self.count
        self._answered_by: dict[int, Source] = {}
        self._sent_by: dict[int, Source] = {}

    def add_later_outcome(self, source: Source, origin: int) -> None:
        """A later round's word."""
        position = origin - self.origin
        self._sent_by[position] = source
        if self.codes[position] == OutcomeCode.IN_NO_BATCH:
            self.codes[position] = OutcomeCode.UNANSWERED
        code = source.code
        if replaces(code, OutcomeCode(self.codes[position])):
            self.codes[position] = code
            self._answered_by[position] = source

    def answer(self, position: int) -> Source:
        """Where the answer that counts lies; ask only where the mark says that there is one."""
        return self._answered_by.get(position) or Source(self._first, position)

    def answer_line(self, position: int) -> bytes:
        source = self.answer(position)
        assert source.batch.answers is not None
        return source.batch.answers.line(source.position)

    def answer_lines(self) -> Iterator[list[bytes]]:
        """The lines of all requests that have an answer, in input order, about `BYTES_AT_A_TIME` at a time.

        Without those that cannot be read: nobody could read the lines around them, either.
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
            if found := list(filter(None, lines)):
                yield found

    def answers_of_later_rounds(self) -> Iterator[tuple[int, bytes]]:
        """The positions whose answer is not the first round's, with that answer's line, where it can be read."""
        for position in (p for p in sorted(self._answered_by) if self.codes[p] != OutcomeCode.UNREADABLE):
            yield position, self.answer_line(position)

    def request_line(self, position: int) -> bytes:
        """As it was sent last. Ask by rising position only."""
        source = self.sent_last(position)
        return source.batch.request_line(source.position)

    def sent_last(self, position: int) -> Source:
        """Where it was sent last. What came of that is not the answer that counts where it failed after a success."""
        return self._sent_by.get(position) or Source(self._first, position)


def reading_order(batches: Sequence[Batch], lines: LineMap) -> list[Batch]:
    """Those of round 1, by their first line: made elsewhere, they may have been created in another order than the input's."""
    return sorted((b for b in batches if b.round == 1), key=lambda b: lines.numbers(b.cut.first, 1)[0])


def latest_outcomes(session: ReadSession, job: Job, batches: Sequence[Batch]) -> Iterator[LatestOutcomes]:
    """Round 1, batch by batch. What is given is good until the next is asked for."""
    with contextlib.ExitStack() as stack:
        # Without requests there are no lines: what lies there is of an input whose way here was stopped.
        lines = LineMap(session.workspace.lines(job.name) if job.has_requests else None, base=1)
        stack.callback(lines.close)
        later = [_LaterRound(session, job, r.number, batches) for r in job.rounds[1:]]
        for one in later:
            stack.callback(one.close)
        for first in _opened_ahead(reading_order(batches, lines), partial(OpenBatch, session, job)):
            found = LatestOutcomes(first, lines.numbers(first.batch.cut.first, first.batch.count))
            for one in later:
                one.hand_over(found)
            yield found


def _opened_ahead(batches: Sequence[Batch], opened: Callable[[Batch], OpenBatch]) -> Iterator[OpenBatch]:
    """Each in its turn, closed after it; the next is read and hashed meanwhile, which needs no Python."""
    with ThreadPoolExecutor(1) as pool:
        coming = deque(pool.submit(opened, batch) for batch in batches[:1])
        try:
            for following in (*batches[1:], None):
                with contextlib.closing(coming[0].result()) as batch:
                    if following is not None:
                        coming.append(pool.submit(opened, following))
                    yield batch
                coming.popleft()
        finally:
            for left in coming:
                if left.exception() is None:
                    left.result().close()


class _LaterRound:
    """The requests of a retry, in the order in which those of round 1 are read."""

    def __init__(self, session: ReadSession, job: Job, number: int, batches: Sequence[Batch]) -> None:
        self._opened: list[OpenBatch] = []
        stored = next(r.request_file for r in job.rounds if r.number == number)
        self._numbers = LineMap(session.workspace.origins(session.workspace.resolve(stored)))
        self._session = session
        self._job = job
        self._sources = self._all([b for b in batches if b.round == number])
        self._next = next(self._sources, None)

    def _all(self, batches: Sequence[Batch]) -> Iterator[tuple[int, Source]]:
        for batch in batches:
            opened = OpenBatch(self._session, self._job, batch)
            self._opened.append(opened)
            origins = self._numbers.numbers(batch.cut.first, batch.count)
            for position, origin in enumerate(origins):
                yield origin, Source(opened, position)

    def hand_over(self, found: LatestOutcomes) -> None:
        """All that this round knows of the requests of one batch of round 1."""
        for done in self._opened[:-1]:
            done.close()
        del self._opened[:-1]
        end = found.origin + found.count
        while self._next is not None and found.origin <= self._next[0] < end:
            origin, source = self._next
            found.add_later_outcome(source, origin)
            self._next = next(self._sources, None)

    def close(self) -> None:
        for opened in self._opened:
            opened.close()
        self._numbers.close()
