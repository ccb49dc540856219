"""An input that a person wants sent, checked: all that `submit` does before it asks the ledger or the API for anything."""

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from batchctl.domain.errors import UsageProblem
from batchctl.domain.headers import NO_CHANGE, HeaderChange, beta_problem
from batchctl.domain.limits import DEFAULT_SAMPLE
from batchctl.domain.model import Job, Settings
from batchctl.domain.names import name_problem
from batchctl.domain.scan import Depth
from batchctl.engine.estimating import estimate
from batchctl.engine.models import Models
from batchctl.engine.planning import Input, Planner
from batchctl.engine.session import ReadSession
from batchctl.engine.spending_limit import NO_LIMIT, Budget
from batchctl.money.estimate import Estimate
from batchctl.requests.cutting import limits_problem
from batchctl.requests.inputs import STDIN
from batchctl.verbs.continuing import refuse_other_plan

if TYPE_CHECKING:
    from batchctl.api.protocol import MessageBatches


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a person asked for. `goes_on`: a job that is all sent is not refused; there is more to do than to send.

    `change`: of the headers, where the job is there already. `named`: the parameters that the command line names.
    """

    path: str
    settings: Settings
    name: str = ""
    skip_bad: bool = False
    depth: Depth = Depth.AUTO
    again: bool = False
    waits: bool = True
    goes_on: bool = False
    moved_to: str = ""
    budget: Budget = NO_LIMIT
    change: HeaderChange = NO_CHANGE
    named: frozenset[str] = frozenset()


def check(session: ReadSession, wanted: Submission, stdin: BinaryIO | None) -> tuple[Planner, Input]:
    """Everything up to the plan: nothing is recorded and nothing is sent. The API is asked for its models, if it can be."""
    settings = wanted.settings
    problem = limits_problem(settings.max_requests, settings.max_bytes) or name_problem(wanted.name)
    problem = problem or wanted.change.problem() or beta_problem(settings.betas)
    if problem:
        raise UsageProblem(problem)
    models = Models(session, settings, wanted.depth)
    planner = Planner(session, settings, skip_bad=wanted.skip_bad, depth=wanted.depth, models=models)
    return planner, planner.read(wanted.path, stdin)


def refuse_contradiction(job: Job, wanted: Submission) -> None:
    """A job that is there goes on as it was planned. Raises UsageProblem and Refused for what says otherwise."""
    if wanted.again:
        is_file = job.has_requests and job.input_path != STDIN
        command = f"batchctl submit {shlex.quote(job.input_path) if is_file else 'INPUT.jsonl'} --again"
        raise UsageProblem(f"{job.name} is a job: --again sends an input once more", hint=command)
    refuse_other_plan(job, wanted.settings, wanted.named, wanted.name)


def estimated(
    session: ReadSession,
    wanted: Submission,
    given: Input,
    message_batches: "MessageBatches | None" = None,
    *,
    sample: int = DEFAULT_SAMPLE,
) -> Estimate:
    """What sending it may cost. `message_batches`, `sample`, and what it raises: as of `estimate`."""
    return estimate(
        session, given.scan.request_groups, given.plain, wanted.settings, message_batches=message_batches, sample=sample
    )
