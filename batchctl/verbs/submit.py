"""`submit INPUT|JOB`: check, cut, record the plan, send. The same input again continues its job.

1. find      the job that a name means, or that an unchanged file was planned as
2. check     else the whole input
3. price     what a new job may cost, agreed to by a limit, a yes or a person
4. record    job, round and batches, all or nothing: two processes with one input make one job
5. resume    a job that is there already: with the headers and the limit that are named now
6. send      what is not sent yet; of a job with a first batch that one first (see `verbs.first_batch`)
A stop before 4 leaves nothing; one after it is continued by the same command.
"""

import contextlib
import shlex
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.check_report import Depth, Scan
from batchctl.domain.errors import AccountProblem, InputProblem, Stopped, UsageProblem
from batchctl.domain.events import Continued
from batchctl.domain.headers import shown_betas
from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Job
from batchctl.domain.names import job_name
from batchctl.domain.prices import Forecast
from batchctl.domain.states import OPEN_STATES
from batchctl.domain.wording import plural
from batchctl.engine.job_report import read_report
from batchctl.engine.loop import Loop, LoopOptions
from batchctl.engine.next_steps import Arrow
from batchctl.engine.planning import Input, Planner
from batchctl.engine.session import Session
from batchctl.requests.inputs import absolute, input_name, is_spooled, sha256_of, stat
from batchctl.verbs.check_again import check_rest
from batchctl.verbs.check_input import Submission, check, estimated, is_input, nothing_left, refuse_contradiction
from batchctl.verbs.confirmation import Confirm, Question, confirm_price
from batchctl.verbs.find_job import find_named_job
from batchctl.verbs.first_batch import send_first_batch
from batchctl.verbs.headers import record_headers, use_api_version, wanted_headers

ARROWS = frozenset({Arrow.SEND, Arrow.RECONCILE})


def submit(
    session: Session,
    wanted: Submission,
    stdin: BinaryIO | None,
    confirm: Confirm,
    begin: Callable[[Job], object] = lambda _: None,
) -> JobReport:
    """Send an input as a new job, or what is left of a job, and return the job.

    `begin` receives the job once it is there, before anything of it is sent.

    Raises:
        UsageProblem: An option makes no sense, or contradicts the job.
        InputProblem: The input cannot be sent. Nothing was sent.
        Refused: Nobody agrees to the price, it exceeds the limit, or nothing is left to send. Nothing was sent.
        AccountProblem: The account stops the sending; what was sent stays sent, here and below.
        ServiceProblem: The API refuses a batch for good.
        UnconfirmedProblem: A person must decide about a batch.
    """
    job, is_new = job_to_send(session, wanted, stdin, confirm)
    # The same command with --again would send, and pay for, the input once more.
    with continued_by(f"batchctl submit {job.name}" if wanted.again else ""):
        begin(job)
        job = resume(session, job, wanted, confirm, is_new=is_new)
        job = send_first_batch(session, job, waits=wanted.waits, yes=wanted.budget.yes)
        return send_rest(session, job, is_new=is_new, waits=wanted.waits)


# ---------------------------------------------------------------- 1 to 4. the job


def job_to_send(session: Session, wanted: Submission, stdin: BinaryIO | None, confirm: Confirm) -> tuple[Job, bool]:
    """Return the job that the input is or becomes, and whether it is new."""
    known = _known_job(session, wanted)
    if known is not None:
        if not wanted.goes_on and not _is_open(session, known):
            raise nothing_left(session, known)
        return known, False
    planner, given = check(session, wanted, stdin)
    try:
        if same := _same_input(session, wanted, given.scan):
            return same, False
        if wanted.change.drop:
            raise UsageProblem(
                f"--no-beta {wanted.change.drop[0]}: this is a new job, which uses {shown_betas(wanted.settings.betas)}",
                hint="remove the option",
            )
        warnings, action = given.scan.warnings, f"send {plural(given.scan.count, 'request')}"
        if warnings:
            action = f"{action} despite {plural(warnings, 'warning')}"
        estimating = partial(estimated, session, wanted, given)
        estimate = confirm_price(session, wanted.budget, estimating, action, confirm, needs_yes=bool(warnings))
        with session.workspace.planning():
            if same := _same_input(session, wanted, given.scan):
                return same, False
            return _record(session, planner, wanted, given, estimate.forecast), True
    finally:
        planner.discard(given)


def _known_job(session: Session, wanted: Submission) -> Job | None:
    """Return the job that is named instead of a path, or that has work left and was planned from this unchanged file."""
    if not is_input(wanted.path):
        return find_named_job(session.ledger, wanted.path)
    if wanted.again or is_spooled(wanted.path):
        return None
    path = Path(wanted.path)
    now = stat(path)
    same = [
        job
        for job in session.ledger.jobs()
        if job.input_path == absolute(path)
        and (job.input_size, job.input_mtime_ns) == (now.st_size, now.st_mtime_ns)
        and (wanted.goes_on or _is_open(session, job))
    ]
    return same[-1] if same else None


def _same_input(session: Session, wanted: Submission, scan: Scan) -> Job | None:
    """Return the latest job of the same bytes. Raises Refused where all of it was sent."""
    if wanted.again:
        return None
    same = [job for job in session.ledger.jobs() if job.input_sha256 == scan.sha256]
    if not same:
        return None
    if not wanted.goes_on and not _is_open(session, same[-1]):
        raise nothing_left(session, same[-1])
    return same[-1]


def _is_open(session: Session, job: Job) -> bool:
    return job.awaits_first_batch or any(b.state in OPEN_STATES for b in session.ledger.batches(job))


def _record(session: Session, planner: Planner, wanted: Submission, given: Input, forecast: Forecast | None) -> Job:
    names = {job.name for job in session.ledger.jobs()}
    if wanted.name in names:
        raise UsageProblem(f"a job with the name {wanted.name!r} already exists", hint="use another --name")
    name = wanted.name or job_name(input_name(wanted.path), given.scan.sha256, names)
    job = planner.record(name, given, forecast, wanted.budget.limit)
    session.place_guard.compare(session.emit)
    return session.ledger.job(job.name)


# ---------------------------------------------------------------- 5. resume


def resume(session: Session, job: Job, wanted: Submission, confirm: Confirm, *, is_new: bool) -> Job:
    """Return a job that may be sent on: as it was planned, but for the headers and the limit that are named now.

    Beyond its limit, or once it was canceled, it goes on at a person's wish alone. Raises Refused, UsageProblem, and
    InputProblem where the input that moved is another one: then nothing is changed.
    """
    seen, headers = job, job.settings.headers
    if not is_new:
        refuse_contradiction(job, wanted)
        headers = wanted_headers(session, job, wanted.change)
    wanted.budget.of(job).enforce_rest(session, job)
    if job.canceled_at is not None:
        confirm(Question(text=f"{job.name} was canceled: send the rest?"))
    job = use_moved_input(session, job, wanted.moved_to)
    check_rest(session, job, headers, Depth(wanted.settings.depth) if "check" in wanted.named else None)
    record_headers(session, seen, headers)
    wanted.budget.record(session, job)
    if "prime_min_hit" in wanted.named and wanted.settings.prime_min_hit is not None:
        session.ledger.record_prime_min_hit(job, wanted.settings.prime_min_hit)
    if job.canceled_at is not None:
        session.ledger.record_canceled(job, None)
    return use_api_version(session, session.ledger.job(job.name))


def use_moved_input(session: Session, job: Job, path: str) -> Job:
    """Record that the bytes of round 1 are at `path` from now on; an empty path changes nothing.

    Raises UsageProblem where the job reads no input, and InputProblem where the bytes are others.
    """
    if not path:
        return job
    if not job.has_requests:
        raise UsageProblem(
            f"{job.name} was attached without its input",
            hint=f"batchctl attach {job.name} --input {shlex.quote(absolute(path))}",
        )
    is_copied = session.workspace.lines(job.name).exists() or bool(job.settings.cache_system)
    if is_copied or is_spooled(job.input_path):
        raise UsageProblem(f"{job.name} sends from its own copy of the input: --input is not needed")
    moved = Path(absolute(path))
    now = stat(moved)
    if now.st_size != job.input_size or sha256_of(moved) != job.input_sha256:
        raise InputProblem(
            f"{path} is not the input of {job.name}: its bytes differ from those that were planned",
            hint=f"it was {job.input_size:,} bytes, sha256 {job.input_sha256[:12]}...; this one is {now.st_size:,} bytes",
        )
    session.ledger.record_request_file(job, 1, str(moved), now.st_mtime_ns)
    return session.ledger.job(job.name)


# ---------------------------------------------------------------- 6. send


def send_rest(session: Session, job: Job, *, is_new: bool, waits: bool) -> JobReport:
    """Send what is not sent yet, of whatever round. Raises what stops the job, as `Loop.run` does; what was sent stays sent."""
    if not is_new:
        emit_rest(session, job)
    # Whoever runs it again says that the cause of a pause is gone; the API has the last word.
    session.ledger.record_pause(job, "")
    Loop(session, job, LoopOptions(arrows=ARROWS, waits=waits)).run()
    return read_report(session, job)


def emit_rest(session: Session, job: Job) -> None:
    """Emit that a job is continued, and how many of its batches are left to send."""
    session.emit(Continued(job, sum(b.state in OPEN_STATES for b in session.ledger.batches(job))))


@contextlib.contextmanager
def continued_by(command: str) -> Iterator[None]:
    """Name the command that continues what is stopped in the block; an empty one stands for the command that was typed."""
    try:
        yield
    except Stopped as stopped:
        raise Stopped(command or stopped.command) from None
    except AccountProblem as problem:
        if command and "batchctl " not in problem.hint:
            cure = problem.hint.removesuffix(", then run the same command again")
            problem.hint = f"{cure}; then: {command}"
        raise
