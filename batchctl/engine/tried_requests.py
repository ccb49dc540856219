"""The requests of a job's input that its rounds have: those that were tried first, with their outcomes, and all of them.

They are few until the rest is planned. What cannot be read is not absent: a line map that is gone or cut short raises.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain

from batchctl.api.secrets import scrubber
from batchctl.domain.caching import LONG
from batchctl.domain.model import Batch, Job, OutcomeCode, Purpose
from batchctl.engine.first_batch_rules import Tried
from batchctl.engine.latest_outcomes import OpenBatch
from batchctl.engine.session import ReadSession
from batchctl.requests.caching import caches_prefix
from batchctl.requests.request_file import custom_id_of
from batchctl.requests.shapes import ShapeReader
from batchctl.store.line_maps import LineMap, read_line_map


def plan_of_input(batches: Iterable[Batch]) -> list[Batch]:
    """Return the ranges that round 1 of a job plans, in order."""
    return sorted((b for b in batches if b.round == 1), key=lambda batch: batch.cut.first)


def of_purpose(job: Job, batches: Iterable[Batch], purpose: Purpose) -> list[Batch]:
    """Return the batches of the rounds that are for this."""
    numbers = {r.number for r in job.rounds if r.purpose is purpose}
    return [b for b in batches if b.round in numbers]


def positions_sent(session: ReadSession, job: Job) -> set[int]:
    """Return the positions in round 1 of the requests that later rounds of the input have. Raises DiskProblem."""
    return {p for r in job.rounds if r.purpose is not Purpose.ORDINARY for p in _origins(session, job, r.number)}


def tried_requests(session: ReadSession, job: Job, batches: Sequence[Batch]) -> list[Tried]:
    """Return the requests of the first batches with their outcomes, in the order in which they were sent. Raises DiskProblem."""
    first = of_purpose(job, batches, Purpose.FIRST)
    origins = {number: _origins(session, job, number) for number in {b.round for b in first}}
    before = _lines_of_input(session, job, batches, sorted(chain.from_iterable(origins.values())))
    with closing(LineMap(session.workspace.lines(job.name), base=1)) as lines:
        return [
            one
            for batch in first
            for one in _tried_in(
                session, job, batch, origins[batch.round][batch.cut.first :][: batch.count], before, lines
            )
        ]


def _tried_in(
    session: ReadSession, job: Job, batch: Batch, origins: Sequence[int], before: Mapping[int, bytes], lines: LineMap
) -> Iterator[Tried]:
    shapes, scrubbed = ShapeReader(), scrubber()
    with closing(OpenBatch(session, job, batch)) as opened:
        for position, origin in enumerate(origins):
            # As it is in the input: a breakpoint that was added makes another shape of it.
            digest, model = shapes.shape(before[origin])
            yield Tried(
                position=origin,
                digest=digest,
                model=model,
                line=lines.numbers(origin, 1)[0],
                custom_id=custom_id_of(before[origin]).decode(),
                code=OutcomeCode(opened.code(position)),
                is_primed=job.settings.prime_min_hit is not None and caches_prefix(opened.request_line(position), LONG),
                message=scrubbed(opened.answers.read(position)[1].message) if opened.answers else "",
            )


def _lines_of_input(
    session: ReadSession, job: Job, batches: Sequence[Batch], positions: Sequence[int]
) -> dict[int, bytes]:
    """Return the requests of the input at a few positions, in order."""
    lines: dict[int, bytes] = {}
    for batch in plan_of_input(batches):
        mine = [p - batch.cut.first for p in positions if batch.cut.first <= p < batch.cut.first + batch.count]
        with closing(OpenBatch(session, job, batch)) as opened:
            lines.update({batch.cut.first + position: opened.request_line(position) for position in mine})
    return lines


def _origins(session: ReadSession, job: Job, number: int) -> list[int]:
    """Return the positions in round 1 of the few requests of a round. Raises DiskProblem where they cannot be read."""
    planned = next(r for r in job.rounds if r.number == number)
    path = session.workspace.origins(session.workspace.resolve(planned.request_file))
    return [*chain.from_iterable(read_line_map(path, planned.count))]
