"""`submit INPUT`: check, cut, record the plan, send. The same input again continues its job."""

import shlex
from pathlib import Path

from batchctl.domain.errors import InputProblem, UsageProblem
from batchctl.domain.events import Continued
from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Job
from batchctl.domain.names import job_name
from batchctl.domain.prices import Forecast
from batchctl.domain.scan import Scan
from batchctl.domain.states import OPEN_STATES
from batchctl.engine.loop import Loop, Verb
from batchctl.engine.next_steps import Arrow
from batchctl.engine.planning import Input, Planner
from batchctl.engine.reports import report_of
from batchctl.engine.session import Session
from batchctl.requests.inputs import absolute, input_name, is_spooled, sha256_of, stat
from batchctl.verbs.finding import find_whole
from batchctl.verbs.rest import is_input, nothing_left
from batchctl.verbs.submission import Submission

ARROWS = frozenset({Arrow.SEND, Arrow.RECONCILE})


def known_job(session: Session, wanted: Submission) -> Job | None:
    """A job this can only be: named instead of a path, or unfinished with a file that is unchanged since it was planned."""
    if not is_input(wanted.path):
        return find_whole(session.ledger, wanted.path)
    if wanted.again or is_spooled(wanted.path):
        return None
    path = Path(wanted.path)
    now = stat(path)
    same = [
        job
        for job in session.ledger.jobs()
        if job.input_path == absolute(path)
        and (job.input_size, job.input_mtime_ns) == (now.st_size, now.st_mtime_ns)
        and (wanted.goes_on or is_open(session, job))
    ]
    return same[-1] if same else None


def same_input(session: Session, wanted: Submission, scan: Scan) -> Job | None:
    """The latest job of the same bytes. Raises Refused where all of it was sent."""
    if wanted.again:
        return None
    same = [job for job in session.ledger.jobs() if job.input_sha256 == scan.sha256]
    if not same:
        return None
    if not wanted.goes_on and not is_open(session, same[-1]):
        raise nothing_left(session, same[-1])
    return same[-1]


def is_open(session: Session, job: Job) -> bool:
    return any(b.state in OPEN_STATES for b in session.ledger.batches(job))


def record(session: Session, planner: Planner, wanted: Submission, given: Input, forecast: Forecast | None) -> Job:
    names = {job.name for job in session.ledger.jobs()}
    if wanted.name in names:
        raise UsageProblem(f"a job is called {wanted.name!r} already", hint="give it another --name")
    name = wanted.name or job_name(input_name(wanted.path), given.scan.sha256, names)
    job = planner.record(session.ledger, name, given, forecast, wanted.budget.limit)
    session.place_guard.compare(session.emit)
    return session.ledger.job(job.name)


def send_rest(session: Session, job: Job, *, is_new: bool, waits: bool) -> JobReport:
    """Sends what is not sent yet, of whatever round. Raises what stops the job; what was sent stays sent."""
    if not is_new:
        emit_rest(session, job)
    # Whoever runs it again says that the cause of a pause is gone; the API has the last word.
    session.ledger.record_pause(job, "")
    Loop(session, job, Verb(arrows=ARROWS, waits=waits)).run()
    return report_of(session, job)


def emit_rest(session: Session, job: Job) -> None:
    session.emit(Continued(job, sum(b.state in OPEN_STATES for b in session.ledger.batches(job))))


def use_moved_input(session: Session, job: Job, path: str) -> Job:
    """The bytes of round 1 are found at `path` from now on; an empty one leaves them where they are.

    Raises InputProblem where they are others.
    """
    if not path:
        return job
    if not job.has_requests:
        raise UsageProblem(
            f"{job.name} was attached without its input: none is to be found again",
            hint=f"batchctl attach {job.name} --input {shlex.quote(absolute(path))}",
        )
    is_copied = session.workspace.lines(job.name).exists() or bool(job.settings.cache_system)
    if is_copied or is_spooled(job.input_path):
        raise UsageProblem(f"{job.name} sends from its own copy of the input: --input is not needed")
    moved = Path(absolute(path))
    found = stat(moved)
    if found.st_size != job.input_size or sha256_of(moved) != job.input_sha256:
        raise InputProblem(
            f"{path} is not the input of {job.name}: its bytes are others than those that were planned",
            hint=f"it was {job.input_size:,} bytes, sha256 {job.input_sha256[:12]}...; this one is {found.st_size:,} bytes",
        )
    session.ledger.record_request_file(job, 1, str(moved), found.st_mtime_ns)
    return session.ledger.job(job.name)
