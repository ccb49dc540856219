"""`submit --dry-run`: what would be sent. Of an input, from the input alone; of a job, what is left of it.

Nothing is asked of the API, recorded or sent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.check_report import Scan
from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import ENVELOPE_CLOSE, ENVELOPE_OPEN, Batch, Job, State
from batchctl.domain.states import OPEN_STATES
from batchctl.domain.wording import plural
from batchctl.engine.estimate_requests import estimate
from batchctl.engine.planning import Input
from batchctl.engine.prime_rules import is_worth_priming
from batchctl.engine.rest_of_input import as_first_sent
from batchctl.engine.session import ReadSession
from batchctl.money.estimate import Estimate
from batchctl.requests.grouping import group_ranges
from batchctl.requests.request_file import check_range, request_file, single_request_body
from batchctl.verbs.check_input import Submission, check, estimated, is_input, nothing_left, refuse_contradiction
from batchctl.verbs.find_job import find_named_job
from batchctl.verbs.headers import wanted_headers


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRehearsal:
    """What would be sent of an input: the number of requests and the body bytes of each batch, and the estimate."""

    scan: Scan
    batches: tuple[tuple[int, int], ...]
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRehearsal:
    """What would be sent of a job.

    Attributes:
        job: The job.
        planned: Each batch that is to be sent, with its number in its round and the size of the round.
        unconfirmed: How many batches may exist at the API already.
        estimate: What the planned batches may cost; None where there is none.
    """

    job: Job
    planned: tuple[tuple[tuple[int, int], Batch], ...]
    unconfirmed: int
    estimate: Estimate | None


Show = Callable[[InputRehearsal | JobRehearsal | bytes], None]


def dry_run(session: ReadSession, wanted: Submission, stdin: BinaryIO | None, number: int | None, show: Show) -> None:
    """Show what `submit` would send, then raise what it would raise, as far as that is known without asking the API.

    Args:
        session: The session of the verb.
        wanted: What `submit` is asked for.
        stdin: Holds the input where its path is `-`.
        number: The request, from 1, whose body alone is to be shown; None for an overview of all batches.
        show: Receives the overview, or the body of one request.
    """
    if not is_input(wanted.path) and (job := find_named_job(session.ledger, wanted.path)) is not None:
        _rehearse_job(session, job, wanted, number, show)
        return
    planner, given = check(session, wanted, stdin)
    try:
        if number is not None and number > given.scan.count:
            raise UsageProblem(f"--show {number:,}: the input has {plural(given.scan.count, 'request')}")
        with planner.rehearsed(given) as (plain, cuts):
            if number is not None:
                show(_with_breakpoint(single_request_body(plain, cuts, number - 1), wanted, given))
                return
            estimate = estimated(session, wanted, given)
            batches = tuple((cut.count, cut.body_bytes) for cut in cuts)
            show(InputRehearsal(scan=given.scan, batches=batches, estimate=estimate))
            wanted.budget.rehearse(session, estimate)
    finally:
        planner.discard(given)


def _with_breakpoint(body: bytes, wanted: Submission, given: Input) -> bytes:
    """Return the body of one request as it is sent where its prompt is cached by a first batch."""
    if wanted.settings.prime_min_hit is None:
        return body
    primed = frozenset(group.digest for group in given.scan.request_groups if is_worth_priming(group))
    line = body.removeprefix(ENVELOPE_OPEN).removesuffix(ENVELOPE_CLOSE)
    return ENVELOPE_OPEN + as_first_sent(line, primed, wanted.settings.max_bytes) + ENVELOPE_CLOSE


def _rehearse_job(session: ReadSession, job: Job, wanted: Submission, number: int | None, show: Show) -> None:
    refuse_contradiction(job, wanted)
    wanted_headers(session, job, wanted.change)
    batches = [batch for batch in session.ledger.batches(job) if batch.state in OPEN_STATES]
    planned = [batch for batch in batches if batch.state is State.PLANNED]
    if not batches:
        raise nothing_left(session, job)
    if number is not None:
        show(_body(session, job, planned, number, wanted.moved_to))
        return
    cost = None
    if planned:
        path = _request_file(session, job, planned, wanted.moved_to)
        cost = estimate(session, group_ranges(path, planned), path, job.settings, job=job)
    placed = tuple((session.ledger.place(batch), batch) for batch in planned)
    show(JobRehearsal(job=job, planned=placed, unconfirmed=len(batches) - len(planned), estimate=cost))
    wanted.budget.of(job).enforce_rest(session, job)


def _body(session: ReadSession, job: Job, planned: Sequence[Batch], number: int, moved_to: str) -> bytes:
    """Return the body that holds one request alone: the one with this number, from 1, of those that are left to send."""
    left = sum(batch.count for batch in planned)
    if number > left:
        raise UsageProblem(f"--show {number:,}: {plural(left, 'request')} of {job.name} left to send")
    path = _request_file(session, job, planned, moved_to)
    before = 0
    for batch in planned:
        if number <= before + batch.count:
            check_range(path, batch)
            return single_request_body(path, [batch.cut], batch.cut.first + number - before - 1)
        before += batch.count
    raise AssertionError(number)


def _request_file(session: ReadSession, job: Job, planned: Sequence[Batch], moved_to: str) -> Path:
    # A round is planned once all that was planned before it is sent: what is left is of one round.
    number = planned[0].round
    return Path(moved_to) if moved_to and number == 1 else request_file(session.workspace, job, number)
