"""An input that a person wants sent: what they asked for, the check of it, and what it may cost. Nothing is recorded."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from batchctl.domain.caching import SHORT
from batchctl.domain.check_report import Depth, ProblemKind
from batchctl.domain.errors import InputProblem, Refused, UsageProblem
from batchctl.domain.events import CountRefused
from batchctl.domain.faults import Severity
from batchctl.domain.headers import NO_CHANGE, HeaderChange, beta_problem
from batchctl.domain.limits import DEFAULT_SAMPLE
from batchctl.domain.model import Job, Settings
from batchctl.domain.names import name_problem
from batchctl.domain.wording import plural
from batchctl.engine.account_models import AccountModels
from batchctl.engine.estimate_requests import estimate
from batchctl.engine.job_report import in_no_batch
from batchctl.engine.planning import Input, Planner
from batchctl.engine.prime_rules import as_primed
from batchctl.engine.session import ReadSession
from batchctl.engine.spending_limit import NO_LIMIT, Budget
from batchctl.money.estimate import Estimate
from batchctl.requests.cutting import limits_problem
from batchctl.requests.inputs import STDIN
from batchctl.verbs.contradictions import refuse_other_plan

if TYPE_CHECKING:
    from batchctl.api.protocol import MessageBatches


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a person asked `submit`, `run` or `estimate` for.

    Attributes:
        path: The input, `-` for stdin, or the name of a job.
        settings: The settings of a new job.
        name: The name of a new job; empty for one made of the input's.
        skip_bad: Whether lines with errors are left out.
        strict: Whether warnings are errors.
        again: Whether an input that was sent before is sent once more.
        waits: Whether a full queue of the API is waited out.
        goes_on: Whether a job that is all sent is taken all the same: `run` has more to do than to send.
        moved_to: Where the input of an existing job is now; empty where it did not move.
        budget: The limit and the yes that were given beforehand.
        change: Of the headers of an existing job.
        named: The parameters that the command line names, by their names in Python.
    """

    path: str
    settings: Settings
    name: str = ""
    skip_bad: bool = False
    strict: bool = False
    again: bool = False
    waits: bool = True
    goes_on: bool = False
    moved_to: str = ""
    budget: Budget = NO_LIMIT
    change: HeaderChange = NO_CHANGE
    named: frozenset[str] = frozenset()


def is_input(word: str) -> bool:
    """Return whether the word is a file, or stdin: anything else can only be a job."""
    path = Path(word)
    return word == STDIN or (path.exists() and not path.is_dir())


def check(session: ReadSession, wanted: Submission, stdin: BinaryIO | None) -> tuple[Planner, Input]:
    """Return the checked input, and the planner that made it. The API is asked for its models, if it can be.

    Raises UsageProblem for options that no job can have, and InputProblem for an input that cannot be sent.
    """
    settings = wanted.settings
    problem = limits_problem(settings.max_requests, settings.max_bytes) or name_problem(wanted.name)
    problem = problem or wanted.change.problem() or beta_problem(settings.betas)
    if problem:
        raise UsageProblem(problem)
    if settings.prime_min_hit is not None and settings.cache_system == SHORT:
        raise UsageProblem(
            "--prime caches for 1 hour, and --cache-system 5m for 5 minutes", hint="remove one of the two"
        )
    depth = Depth(settings.depth)
    models = AccountModels(session, settings, depth)
    planner = Planner(session, settings, skip_bad=wanted.skip_bad, depth=depth, strict=wanted.strict, models=models)
    return planner, planner.read(wanted.path, stdin)


def refuse_contradiction(job: Job, wanted: Submission) -> None:
    """Raise UsageProblem or Refused where an option contradicts what the job was planned with."""
    if wanted.again:
        is_file = job.has_requests and job.input_path != STDIN
        command = f"batchctl submit {shlex.quote(job.input_path) if is_file else 'INPUT.jsonl'} --again"
        raise UsageProblem(f"{job.name} is a job: --again works only with an input", hint=command)
    refuse_other_plan(job, wanted.settings, wanted.named, wanted.name)


def nothing_left(session: ReadSession, job: Job) -> Refused:
    """Return the refusal to send a job of which `submit` has nothing left to send."""
    if not job.has_requests:
        return Refused(f"{job.name} was attached: there is nothing to send", hint=f"batchctl status {job.name}")
    unsent = in_no_batch(session, job, session.ledger.batches(job))
    if job.awaits_first_batch:
        return Refused(
            f"{plural(unsent, 'request')} of {job.name} cannot be planned before its first batch is judged",
            hint=f"batchctl submit {job.name}",
        )
    if unsent and job.has_first_batch:
        withheld = plural(unsent, "request is", "requests are")
        return Refused(
            f"this input is already job {job.name}; {withheld} withheld, because the API refused a request of the same shape",
            hint=f"fix them: batchctl retry {job.name} --include-invalid --edit; to send (and pay for) all of it again, use --again",
        )
    if unsent:
        return Refused(
            f"this input is already job {job.name}; {plural(unsent, 'request is', 'requests are')} in none of the attached batches",
            hint=f"to send only those: batchctl retry {job.name}; to send (and pay for) all of it again, use --again",
        )
    return Refused(
        f"this input is already job {job.name}: all of it was already sent",
        hint=f"details: batchctl status {job.name}; to send (and pay for) it again, use --again",
    )


def estimated(
    session: ReadSession,
    wanted: Submission,
    given: Input,
    message_batches: "MessageBatches | None" = None,
    *,
    sample: int = DEFAULT_SAMPLE,
) -> Estimate:
    """Return what sending it may cost. Arguments are those of `engine.estimate_requests.estimate`.

    Raises:
        InputProblem: The API refuses requests when it counts their tokens. `CountRefused`, which names them, was emitted.
        Stopped: The stop signal was set.
        UsageProblem: The file of private prices is wrong.
    """
    groups = given.scan.request_groups
    if wanted.settings.prime_min_hit is not None:
        # A bound has to hold where nothing is read from the cache.
        groups = tuple(map(as_primed, groups))
    found = estimate(
        session,
        groups,
        given.plain,
        wanted.settings,
        message_batches=message_batches,
        sample=sample,
        strict=wanted.strict,
    )
    if found.refusals:
        session.emit(CountRefused(wanted.path, found.refusals))
    if errors := [kind for kind in found.refusals if kind.first.fault.severity is Severity.ERROR]:
        raise _refused(wanted.path, *errors)
    return found


def _refused(path: str, first: ProblemKind, *more: ProblemKind) -> InputProblem:
    line, message = f"line {first.first.line:,}", first.first.fault.message
    text = (
        f"{line} is refused by the API"
        if first.lines == 1
        else f"{plural(first.lines, 'line is', 'lines are')} like {line}, which the API refuses"
    )
    others = f"; it also refuses {plural(sum(kind.lines for kind in more), 'other line')}" if more else ""
    return InputProblem(
        f"{path}: {text}: {message}{others}; nothing was sent",
        hint="fix them; or send the others with submit --canary; or, if they are right, skip this check with --check envelope",
    )
