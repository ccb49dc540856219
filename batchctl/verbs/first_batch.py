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

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from pathlib import Path

from batchctl.domain.errors import AccountProblem
from batchctl.domain.events import FirstBatchJudged, PrimePlanned, ShapesSampled
from batchctl.domain.groups import RequestGroup
from batchctl.domain.model import Batch, Job, OutcomeCode, Purpose, WithheldShape
from batchctl.engine.first_batch_rules import (
    MAX_TRIED,
    FirstStep,
    Tried,
    Verdict,
    first_step,
    to_try_again,
    verdicts,
)
from batchctl.engine.loop import Loop, LoopOptions
from batchctl.engine.next_steps import TO_ANSWERS
from batchctl.engine.prime_rules import MEASURED, PrimeStep
from batchctl.engine.rest_of_input import RestOfInput, Run, as_first_sent, first_of
from batchctl.engine.retry_choice import Chosen
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import Budget
from batchctl.engine.tried_requests import plan_of_input, positions_sent, tried_requests
from batchctl.requests.cut_builders import CleanCopy, CopiedCuts
from batchctl.requests.grouping import group_ranges
from batchctl.requests.request_file import line_at, request_file
from batchctl.store.local import replacing
from batchctl.verbs.next_round import Rebuilt, discard, plan_round, remove_leftovers
from batchctl.verbs.primed_cache import cache_left, held_late, held_unread, is_primed, step_of_primed


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
                Loop(session, job, LoopOptions(arrows=TO_ANSWERS, waits=waits)).run()
                was_awaited = True


def _plan(session: Session, job: Job, budget: Budget, *, was_awaited: bool) -> None:
    """Plan the next round of the input. The caller holds `workspace.planning()`."""
    batches = session.ledger.batches(job)
    if first_step(job, batches, session.now()) is not FirstStep.PLAN:
        # Another process has planned it meanwhile.
        return
    tried = tried_requests(session, job, batches)
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
    groups = group_ranges(path, plan_of_input(batches))
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
    longest = job.settings.max_bytes
    runs = [(position, [as_first_sent(line, digests, longest)]) for position, line in sorted(chosen.items())]
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
    path, plan = request_file(session.workspace, job, 1), plan_of_input(batches)
    sent = positions_sent(session, job)
    rest = RestOfInput(path, job, tried, sent)
    rebuilt = _rebuild(session, job, Purpose.REST, rest.runs(plan))
    left = cache_left(session, job, batches)
    step = step_of_primed(session, job, batches, rest.primed, left)
    if step is PrimeStep.GO:
        _record_rest(session, job, rebuilt, tried, tuple(rest.withheld.values()), budget)
        return
    discard(session, job, rebuilt)
    primed = {one.digest for one in tried if one.is_primed}
    match step:
        case PrimeStep.MEASURE:
            measured = first_of(RestOfInput(path, job, tried, sent, only_primed=True).runs(plan), MEASURED)
            plan_round(session, job, _rebuild(session, job, Purpose.MEASURE, measured), budget)
        case PrimeStep.AGAIN if _plan_first(session, job, batches, tried, primed, budget, left):
            pass
        case PrimeStep.HOLD_UNREAD:
            raise held_unread(session, job, batches, rest.primed)
        case _:
            raise held_late(job, rest.primed, left)


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
