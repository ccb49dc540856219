"""The first batch of a job: one request of each shape is sent and awaited before the others are planned.

1. choose   an unsent request of each shape that is to be tried
2. record   them as a round of their own, all or nothing
3. send     that round, and wait for its results
4. judge    each shape by the outcome of its request; back to 1 for a shape without a verdict
5. record   the rest as a round, without the shapes that were refused, together with the verdicts, all or nothing
Round 1 of such a job is only the plan of its input. Every later round takes requests that no round before it has, so that no stop
can make one be sent twice. A stop before 2 or 5 leaves files that the next try removes; any other is continued from the ledger.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path

from batchctl.api.secrets import scrubber
from batchctl.domain.errors import AccountProblem
from batchctl.domain.events import FirstBatchJudged, ShapesSampled
from batchctl.domain.groups import RequestGroup
from batchctl.domain.model import Batch, Job, OutcomeCode, Purpose, WithheldShape
from batchctl.engine.first_batch_rules import (
    MAX_TRIED,
    FirstStep,
    Tried,
    Verdict,
    Withholding,
    first_step,
    to_try_again,
    verdicts,
)
from batchctl.engine.latest_outcomes import OpenBatch
from batchctl.engine.loop import Loop, LoopOptions
from batchctl.engine.next_steps import Arrow
from batchctl.engine.retry_choice import Chosen
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import Budget
from batchctl.requests.cut_builders import CleanCopy, CopiedCuts
from batchctl.requests.grouping import group_ranges
from batchctl.requests.request_file import blocks_of_range, custom_id_of, line_at, request_file
from batchctl.requests.shapes import ShapeReader
from batchctl.store.line_maps import LineMap, read_line_map
from batchctl.store.local import replacing
from batchctl.verbs.next_round import Rebuilt, discard, plan_round, remove_leftovers

# The position in round 1 of the first of some request lines that follow each other there.
Run = tuple[int, Sequence[bytes]]

ARROWS = frozenset({Arrow.SEND, Arrow.RECONCILE, Arrow.POLL, Arrow.DOWNLOAD})


def send_first_batch(session: Session, job: Job, *, waits: bool, yes: bool) -> Job:
    """Return the job with all of its input planned; where it has no first batch, as it is.

    Args:
        session: The session of the verb.
        job: The job, which is read anew before each step.
        waits: Whether the results of the first batch are awaited. If not, the job may come back with most of it unplanned.
        yes: Whether a cost that cannot be known was agreed to.

    Raises:
        AccountProblem: The account failed the first batch. The job is paused.
        Refused: The rest may cost more than the limit of the job.
        BatchctlError: What `Loop.run` raises.
    """
    name, was_awaited = job.name, False
    while True:
        job = session.ledger.job(name)
        if job.canceled_at is not None:
            return job
        match first_step(job, session.ledger.batches(job), session.now()):
            case FirstStep.NOTHING:
                return job
            case FirstStep.PLAN:
                with session.workspace.planning():
                    _plan(session, session.ledger.job(name), Budget(yes=yes), was_awaited=was_awaited)
                was_awaited = False
            case FirstStep.WAIT if was_awaited:
                # Nothing waits for its results, or no step is left that this process may take.
                return job
            case FirstStep.WAIT:
                # Whoever runs it again says that the cause of a pause is gone; the API has the last word.
                session.ledger.record_pause(job, "")
                Loop(session, job, LoopOptions(arrows=ARROWS, waits=waits)).run()
                was_awaited = True


def _plan(session: Session, job: Job, budget: Budget, *, was_awaited: bool) -> None:
    """Take steps 1 and 2, or 4 and 5. The caller holds `workspace.planning()`."""
    batches = session.ledger.batches(job)
    if first_step(job, batches, session.now()) is not FirstStep.PLAN:
        # Another process has planned it meanwhile.
        return
    tried = _tried(session, job, batches)
    if was_awaited:
        _refuse_account(session, job, tried)
    again = to_try_again(job, tried)
    if not tried or again:
        chosen = _choose(session, job, batches, again, without={one.position for one in tried})
        if chosen:
            plan_round(session, job, _rebuild(session, job, Purpose.FIRST, chosen), budget.of(job))
            return
    _plan_rest(session, job, batches, tried, budget.of(job))


def _rebuild(session: Session, job: Job, purpose: Purpose, runs: Iterable[Run]) -> Rebuilt:
    """Write the request file of a round, and the positions that its requests have in round 1."""
    number, workspace = job.rounds[-1].number + 1, session.workspace
    remove_leftovers(session, job, number)
    path = workspace.requests(job.name, number, session.owner)
    with replacing(path) as requests, replacing(workspace.origins(path)) as numbers:
        before = len(session.ledger.batches(job))
        copied = CopiedCuts(job.settings, CleanCopy(requests=requests, numbers=numbers), before)
        for first, lines in runs:
            copied.add_all(b"\n".join(lines), lines, 0, first)
        cuts = copied.close()
    count, size = sum(cut.count for cut in cuts), sum(cut.body_bytes for cut in cuts)
    chosen = Chosen(sent={}, left={}, requests=count, bytes=size)
    return Rebuilt(number=number, path=path, cuts=cuts, chosen=chosen, purpose=purpose)


# ---------------------------------------------------------------- 1. choose


def _choose(
    session: Session, job: Job, batches: Sequence[Batch], again: Collection[str], without: Collection[int]
) -> list[Run]:
    """Return one request of each shape, in order; `again`: only of these shapes, `without`: none at these positions."""
    path = request_file(session.workspace, job, 1)
    groups = group_ranges(path, _plan_of_input(batches))
    apart = sorted((g for g in groups if g.digest), key=lambda group: -group.requests)
    # The shapes of these are not told apart: of each model a few requests are tried, spread over the file.
    mixed = [g for g in groups if not g.digest]
    room = MAX_TRIED - min(MAX_TRIED // 2, sum(g.requests for g in mixed))
    chosen: dict[int, bytes] = {}
    for group in [g for g in apart if not again or g.digest in again][:room]:
        chosen.update(_sampled(path, group, 1, without))
    for place, group in enumerate([] if again else mixed):
        chosen.update(_sampled(path, group, (MAX_TRIED - len(chosen)) // (len(mixed) - place), without))
    if not again and (mixed or len(apart) > len(chosen)):
        session.emit(ShapesSampled(job, len(chosen), len(apart)))
    return [(position, [line]) for position, line in sorted(chosen.items())]


def _sampled(path: Path, group: RequestGroup, most: int, without: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """Yield some of the sampled lines of a group, spread over the file, each with its position."""
    sampled = sorted(chain.from_iterable(stratum.sampled for stratum in group.strata), key=lambda line: line.line)
    free = [line for line in sampled if line.line - 1 not in without]
    count = min(most, len(free))
    for n in range(count):
        line = free[n * len(free) // count]
        yield line.line - 1, line_at(path, line)


def _plan_of_input(batches: Iterable[Batch]) -> list[Batch]:
    return sorted((b for b in batches if b.round == 1), key=lambda batch: batch.cut.first)


# ---------------------------------------------------------------- 4. judge


def _tried(session: Session, job: Job, batches: Sequence[Batch]) -> list[Tried]:
    """Return the requests of the first batches with their outcomes, in the order in which they were sent."""
    purposes = {r.number: r.purpose for r in job.rounds}
    with closing(LineMap(session.workspace.lines(job.name), base=1)) as lines:
        return [
            one
            for batch in batches
            if purposes[batch.round] is Purpose.FIRST
            for one in _tried_in(session, job, batch, lines)
        ]


def _tried_in(session: Session, job: Job, batch: Batch, lines: LineMap) -> Iterator[Tried]:
    shapes, scrubbed, cut = ShapeReader(), scrubber(), batch.cut
    origins = _origins(session, job, batch.round)[cut.first : cut.first + cut.count]
    with closing(OpenBatch(session, job, batch)) as opened:
        for position, origin in enumerate(origins):
            request = opened.request_line(position)
            digest, model = shapes.shape(request)
            yield Tried(
                position=origin,
                digest=digest,
                model=model,
                line=lines.numbers(origin, 1)[0],
                custom_id=custom_id_of(request).decode(),
                code=OutcomeCode(opened.code(position)),
                message=scrubbed(opened.answers.read(position)[1].message) if opened.answers else "",
            )


def _origins(session: Session, job: Job, number: int) -> list[int]:
    """Return the positions in round 1 of the few requests of a round. Raises DiskProblem where they cannot be read."""
    planned = next(r for r in job.rounds if r.number == number)
    path = session.workspace.origins(session.workspace.resolve(planned.request_file))
    return [*chain.from_iterable(read_line_map(path, planned.count))]


def _refuse_account(session: Session, job: Job, tried: Iterable[Tried]) -> None:
    """Raise AccountProblem, and pause the job, where the account failed a request: it would fail all others."""
    failed = [one for one in verdicts(tried).values() if one.code is OutcomeCode.ERRORED_ACCOUNT]
    if failed:
        session.ledger.record_pause(job, failed[-1].message)
        raise AccountProblem(
            f"the first batch of {job.name} failed because of the account: {failed[-1].message}",
            hint=f"fix the account, then: batchctl submit {job.name}",
        )


# ---------------------------------------------------------------- 5. the rest


def _plan_rest(session: Session, job: Job, batches: Sequence[Batch], tried: Sequence[Tried], budget: Budget) -> None:
    """Record all that no round has, without the shapes that were refused, and the verdicts with it."""
    rest = _Rest(request_file(session.workspace, job, 1), tried)
    rebuilt = _rebuild(session, job, Purpose.REST, rest.runs(_plan_of_input(batches)))
    withheld = tuple(rest.withheld.values())
    deciding = verdicts(tried).values()
    accepted = sum(one.verdict is Verdict.GOES for one in deciding)
    session.emit(FirstBatchJudged(job, len(deciding), accepted, withheld))
    if rebuilt.cuts:
        plan_round(session, job, replace(rebuilt, withheld=withheld), budget)
    else:
        session.ledger.record_judged(job, withheld)
        discard(session, job, rebuilt)


class _Rest:
    """The requests that no first batch had, without those that are withheld.

    Attributes:
        withheld: The shapes of these, by what stands for each.
    """

    def __init__(self, path: Path, tried: Sequence[Tried]) -> None:
        self._path = path
        self._sent = {one.position for one in tried}
        self._withholding = Withholding(tried)
        self._shapes = ShapeReader()
        self.withheld: dict[tuple[str, int], WithheldShape] = {}

    def runs(self, plan: Iterable[Batch]) -> Iterator[Run]:
        """Yield the requests, in order, in runs of lines that follow each other."""
        for batch in plan:
            first = batch.cut.first
            for lines in blocks_of_range(self._path, batch):
                left_out = {n for n in range(len(lines)) if first + n in self._sent}
                if not self._withholding.refuses_nothing:
                    left_out |= self._withhold(lines, left_out)
                begin = 0
                for end in (*sorted(left_out), len(lines)):
                    if begin < end:
                        yield first + begin, lines[begin:end]
                    begin = end + 1
                first += len(lines)

    def _withhold(self, lines: Sequence[bytes], sent: Collection[int]) -> set[int]:
        """Return the indexes of the lines that are withheld, and count them."""
        withheld: set[int] = set()
        for digest, model, at in self._shapes.read(lines):
            refused = self._withholding.refused(digest, model)
            unsent = [] if refused is None else [n for n in at if n not in sent]
            if refused is None or not unsent:
                continue
            # Shapes that were not tried stand together: there may be as many as requests.
            key = digest if digest == refused.digest else "", refused.line
            known = self.withheld.get(key)
            withheld.update(unsent)
            self.withheld[key] = WithheldShape(
                digest=key[0],
                model=model,
                line=refused.line,
                custom_id=refused.custom_id,
                requests=len(unsent) + (known.requests if known else 0),
                message=refused.message,
            )
        return withheld
