"""The first batch of a job: a few requests are sent and awaited before the others are planned.

With `--canary` it has one request of each shape, and tells which shapes the API refuses. With `--prime` it has one of each long
prompt that others share, and writes that to a cache, from which the others read it.

1. choose   an unsent request of each shape that is to be tried, or of each prompt that is to be cached
2. record   them as a round of their own, all or nothing
3. send     that round, and wait for its results
4. judge    each shape by the outcome of its request; back to 1 for a shape without a verdict
5. measure  with `--prime`: send some of the others, and see how much they read from the cache; back to 1 where it expires too soon
6. record   the rest as a round, without the shapes that were refused, together with the verdicts, all or nothing
Round 1 of such a job is only the plan of its input. Every later round takes requests that no round before it has, so that no stop
can make one be sent twice. A stop before 2, or while 5 or 6 is planned, leaves files that the next try removes; any other is
continued from the ledger.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path

from batchctl.api.secrets import scrubber
from batchctl.domain.caching import LONG
from batchctl.domain.errors import AccountProblem, Refused
from batchctl.domain.events import CacheMeasured, FirstBatchJudged, PrimePlanned, ShapesSampled
from batchctl.domain.groups import RequestGroup
from batchctl.domain.model import Batch, Job, OutcomeCode, Purpose, State, WithheldShape
from batchctl.domain.prices import dollars
from batchctl.domain.wording import plural
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
from batchctl.engine.job_cost import cost
from batchctl.engine.latest_outcomes import OpenBatch
from batchctl.engine.loop import Loop, LoopOptions
from batchctl.engine.next_steps import Arrow
from batchctl.engine.poll import ask_until_answered
from batchctl.engine.prime_rules import MEASURED, PrimeStep, hit_rate, is_worth_priming, prime_step, time_left
from batchctl.engine.retry_choice import Chosen
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import Budget
from batchctl.requests.caching import caches_prefix, with_cache_control
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
    """Plan the next round of the input. The caller holds `workspace.planning()`."""
    batches = session.ledger.batches(job)
    if first_step(job, batches, session.now()) is not FirstStep.PLAN:
        # Another process has planned it meanwhile.
        return
    tried = _tried(session, job, batches)
    if was_awaited:
        _refuse_account(session, job, tried)
    again = to_try_again(job, tried)
    if (tried and not again) or not _plan_first(session, job, batches, tried, again, budget.of(job)):
        _plan_others(session, job, batches, tried, budget.of(job))


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


def _plan_of_input(batches: Iterable[Batch]) -> list[Batch]:
    return sorted((b for b in batches if b.round == 1), key=lambda batch: batch.cut.first)


# ---------------------------------------------------------------- 1 and 2. a first batch


def _plan_first(
    session: Session,
    job: Job,
    batches: Sequence[Batch],
    tried: Sequence[Tried],
    again: Collection[str],
    budget: Budget,
    left: timedelta | None = None,
) -> bool:
    """Plan a first batch, and return whether there is one.

    Args:
        session: The session of the verb.
        job: The job.
        batches: Its batches.
        tried: The requests that earlier first batches had, which are not sent again.
        again: The shapes that are tried once more; empty for the first time, in which all are.
        budget: The limit of the job.
        left: How long lives what was cached before; None where nothing was.
    """
    path = request_file(session.workspace, job, 1)
    groups = group_ranges(path, _plan_of_input(batches))
    without = {one.position for one in tried}
    primed = [g for g in groups if is_primed(job, g)]
    if again:
        wanted = [g for g in groups if g.digest in again]
        chosen = {position: line for g in wanted for position, line in _sampled(path, g, 1, without)}
    else:
        chosen = _one_of_each(session, job, path, groups)
    if job.settings.prime_min_hit is not None and (not again or left is not None):
        requests = sum(g.requests for g in primed)
        others = sum(g.requests for g in groups) - requests
        session.emit(PrimePlanned(job, len(primed), requests, others, left))
    if not chosen:
        return False
    digests = frozenset(g.digest for g in primed)
    lines = _Lines(digests, job.settings.max_bytes)
    runs = [(position, [lines.cached_if_primed(line)]) for position, line in sorted(chosen.items())]
    plan_round(session, job, _rebuild(session, job, Purpose.FIRST, runs), budget)
    return True


def _one_of_each(session: Session, job: Job, path: Path, groups: Sequence[RequestGroup]) -> dict[int, bytes]:
    """Return a request of each shape, or only of each prompt that is to be cached, by its position."""
    # The shapes of these are not told apart: of each model a few requests are tried, spread over the file.
    mixed = [g for g in groups if not g.digest] if job.settings.canary else []
    apart = sorted((g for g in groups if g.digest), key=lambda group: (not is_primed(job, group), -group.requests))
    if not job.settings.canary:
        apart = [g for g in apart if is_primed(job, g)]
    room = MAX_TRIED - min(MAX_TRIED // 2, sum(g.requests for g in mixed))
    chosen: dict[int, bytes] = {}
    for group in apart[:room]:
        chosen.update(_sampled(path, group, 1))
    for place, group in enumerate(mixed):
        chosen.update(_sampled(path, group, (MAX_TRIED - len(chosen)) // (len(mixed) - place)))
    if mixed or len(apart) > len(chosen):
        session.emit(ShapesSampled(job, len(chosen), len(apart)))
    return chosen


def _sampled(path: Path, group: RequestGroup, most: int, without: Collection[int] = ()) -> Iterator[tuple[int, bytes]]:
    """Yield some of the sampled lines of a group, spread over the file, each with its position; none of those in `without`."""
    sampled = sorted(chain.from_iterable(stratum.sampled for stratum in group.strata), key=lambda line: line.line)
    free = [line for line in sampled if line.line - 1 not in without]
    count = min(most, len(free))
    for n in range(count):
        line = free[n * len(free) // count]
        yield line.line - 1, line_at(path, line)


# ---------------------------------------------------------------- 4. judge


def _tried(session: Session, job: Job, batches: Sequence[Batch]) -> list[Tried]:
    """Return the requests of the first batches with their outcomes, in the order in which they were sent."""
    first = [b for b in batches if _purpose(job, b) is Purpose.FIRST]
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
    session: Session, job: Job, batch: Batch, origins: Sequence[int], before: Mapping[int, bytes], lines: LineMap
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


def _lines_of_input(session: Session, job: Job, batches: Sequence[Batch], positions: Sequence[int]) -> dict[int, bytes]:
    """Return the requests of the input at a few positions, in order."""
    lines: dict[int, bytes] = {}
    for batch in _plan_of_input(batches):
        mine = [p - batch.cut.first for p in positions if batch.cut.first <= p < batch.cut.first + batch.count]
        with closing(OpenBatch(session, job, batch)) as opened:
            lines.update({batch.cut.first + position: opened.request_line(position) for position in mine})
    return lines


def _purpose(job: Job, batch: Batch) -> Purpose:
    return next(r.purpose for r in job.rounds if r.number == batch.round)


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


# ---------------------------------------------------------------- 5 and 6. the others


def _plan_others(session: Session, job: Job, batches: Sequence[Batch], tried: Sequence[Tried], budget: Budget) -> None:
    """Plan the rest, or what comes before it where a cache is primed."""
    path, plan = request_file(session.workspace, job, 1), _plan_of_input(batches)
    sent = _sent(session, job)
    rest = _Rest(path, job, tried, sent)
    rebuilt = _rebuild(session, job, Purpose.REST, rest.runs(plan))
    step = PrimeStep.GO if job.settings.prime_min_hit is None else _prime_step(session, job, batches, rest.primed)
    if step is PrimeStep.GO:
        _record_rest(session, job, rebuilt, tried, tuple(rest.withheld.values()), budget)
        return
    discard(session, job, rebuilt)
    primed = {one.digest for one in tried if one.is_primed}
    left = _time_left(session, batches)
    match step:
        case PrimeStep.MEASURE:
            measured = _first(_Rest(path, job, tried, sent, only_primed=True).runs(plan), MEASURED)
            plan_round(session, job, _rebuild(session, job, Purpose.MEASURE, measured), budget)
        case PrimeStep.AGAIN if _plan_first(session, job, batches, tried, primed, budget, left):
            pass
        case PrimeStep.HOLD_UNREAD:
            raise _held_unread(session, job, batches, rest.primed)
        case _:
            minutes = max(0, int((left or timedelta()).total_seconds()) // 60)
            raise Refused(
                f"the prompts that {job.name} cached expire in {plural(minutes, 'minute')}; {plural(rest.primed, 'request')}"
                " might not read them in time, and are held",
                hint=f"send them all the same: batchctl submit {job.name} --prime-min-hit 0",
            )


def _record_rest(
    session: Session,
    job: Job,
    rebuilt: Rebuilt,
    tried: Sequence[Tried],
    withheld: tuple[WithheldShape, ...],
    budget: Budget,
) -> None:
    deciding = verdicts(tried).values()
    accepted = sum(one.verdict is Verdict.GOES for one in deciding)
    if deciding:
        session.emit(FirstBatchJudged(job, len(deciding), accepted, withheld))
    if rebuilt.cuts:
        plan_round(session, job, replace(rebuilt, withheld=withheld), budget)
    else:
        session.ledger.record_judged(job, withheld)
        discard(session, job, rebuilt)


def _sent(session: Session, job: Job) -> set[int]:
    """Return the positions of the requests that rounds of the input have, which are few before the rest is planned."""
    return {p for r in job.rounds if r.purpose is not Purpose.ORDINARY for p in _origins(session, job, r.number)}


# ---------------------------------------------------------------- 5. a primed cache


def is_primed(job: Job, group: RequestGroup) -> bool:
    """Return whether the prompt that a group shares is written to a cache first."""
    return job.settings.prime_min_hit is not None and is_worth_priming(group)


def _prime_step(session: Session, job: Job, batches: Sequence[Batch], rest: int) -> PrimeStep:
    """Return what follows for `rest` requests that are to read from the cache."""
    measured = [b for b in batches if _purpose(job, b) is Purpose.MEASURE]
    hit = _hit_rate(session, job, measured)
    if measured and rest:
        session.emit(CacheMeasured(job, hit))
    return prime_step(
        min_hit=job.settings.prime_min_hit or 0,
        first_batches=sum(r.purpose is Purpose.FIRST for r in job.rounds),
        is_measured=bool(measured),
        hit=hit,
        left=_time_left(session, batches),
        rest=rest,
    )


def _hit_rate(session: Session, job: Job, measured: Iterable[Batch]) -> Decimal | None:
    totals = session.ledger.usage_totals(job)
    return hit_rate([one for batch in measured for one in totals.get(batch.id, ())])


def _time_left(session: Session, batches: Sequence[Batch]) -> timedelta | None:
    """Return how long lives what the newest fetched batch wrote or read, by the API's clock; None where that is not known."""
    created = [b.created_at for b in batches if b.state is State.FETCHED and b.created_at is not None]
    return time_left(max(created, default=None), ask_until_answered(session, session.server.now))


def _held_unread(session: Session, job: Job, batches: Sequence[Batch], rest: int) -> Refused:
    """Return the refusal to send requests that would not read enough from the cache, with what they would cost."""
    measured = [b for b in batches if _purpose(job, b) is Purpose.MEASURE]
    hit = _hit_rate(session, job, measured)
    ids, answered = {b.id for b in measured}, sum(b.counts.succeeded for b in measured)
    amounts = [billed.billed for billed in cost(session, job).batches if billed.batch.id in ids]
    known = [amount for amount in amounts if amount is not None]
    price = ""
    if answered and len(known) == len(amounts):
        price = f"; at the cost of those they would cost about {dollars(sum(known, Decimal(0)) / answered * rest)}"
    read = "nothing was cached" if hit is None else f"{hit:.0f} % of the shared prompts were read from the cache"
    return Refused(
        f"of the first {plural(answered, 'request')} of {job.name} {read}, less than the {job.settings.prime_min_hit} % of"
        f" --prime-min-hit; {plural(rest, 'request is', 'requests are')} held{price}",
        hint=f"send them all the same: batchctl submit {job.name} --prime-min-hit 0",
    )


class _Lines:
    """Adds a breakpoint to the requests that share a prompt which is cached first."""

    def __init__(self, primed: Collection[str], longest: int) -> None:
        """`primed`: the digests of their shapes. `longest`: the longest that a line may be."""
        self._primed = primed
        self._longest = longest
        self._shapes = ShapeReader()

    def cached_if_primed(self, line: bytes) -> bytes:
        """Return a line with its breakpoint, where its shape has one."""
        return self.cached(line) if self._shapes.shape(line)[0] in self._primed else line

    def cached(self, line: bytes) -> bytes:
        """Return a line with a breakpoint; as it is where it has one, or has no room for one."""
        cached = with_cache_control(line, LONG)
        return line if cached is None or len(cached.line) > self._longest else cached.line


class _Rest:
    """The requests that no round had, without those that are withheld.

    Attributes:
        withheld: The shapes of these, by what stands for each.
        primed: How many of the others read their prompt from the cache.
    """

    def __init__(
        self, path: Path, job: Job, tried: Sequence[Tried], sent: Collection[int], *, only_primed: bool = False
    ) -> None:
        """`sent`: the positions that rounds have. `only_primed`: leave out what reads from no cache, too."""
        self._path = path
        self._sent = sent
        self._only_primed = only_primed
        self._withholding = Withholding(tried)
        self._digests = frozenset(one.digest for one in tried if one.is_primed and one.verdict is Verdict.GOES)
        self._lines = _Lines(self._digests, job.settings.max_bytes)
        self._shapes = ShapeReader()
        self.withheld: dict[tuple[str, str], WithheldShape] = {}
        self.primed = 0

    def runs(self, plan: Iterable[Batch]) -> Iterator[Run]:
        """Yield the requests, in order, in runs of lines that follow each other."""
        for batch in plan:
            first = batch.cut.first
            for lines in blocks_of_range(self._path, batch):
                yield from self._runs_of(lines, first)
                first += len(lines)

    def _runs_of(self, block: Sequence[bytes], first: int) -> Iterator[Run]:
        left_out = {n for n in range(len(block)) if first + n in self._sent}
        lines = [*block]
        if self._digests or not self._withholding.refuses_nothing:
            for digest, model, at in self._shapes.read(block):
                unsent = [n for n in at if n not in left_out]
                refused = self._withholding.refused(digest, model)
                if refused is not None:
                    self._withhold(digest, model, len(unsent), refused)
                    left_out.update(unsent)
                elif digest in self._digests:
                    self.primed += len(unsent)
                    for n in unsent:
                        lines[n] = self._lines.cached(block[n])
                elif self._only_primed:
                    left_out.update(unsent)
        begin = 0
        for end in (*sorted(left_out), len(lines)):
            if begin < end:
                yield first + begin, lines[begin:end]
            begin = end + 1

    def _withhold(self, digest: str, model: str, requests: int, refused: Tried) -> None:
        # Shapes that were not tried stand together: there may be as many as requests.
        key = digest if digest == refused.digest else "", model
        known = self.withheld.get(key)
        if requests:
            self.withheld[key] = WithheldShape(
                digest=key[0],
                model=model,
                line=refused.line,
                custom_id=refused.custom_id,
                requests=requests + (known.requests if known else 0),
                message=refused.message,
            )


def _first(runs: Iterable[Run], count: int) -> Iterator[Run]:
    """Yield the runs of the first `count` requests."""
    for first, lines in runs:
        yield first, lines[:count]
        count -= len(lines)
        if count <= 0:
            return
