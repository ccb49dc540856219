"""`status [JOB]`: one job, as the API and the ledger have it. From the ledger alone: `engine.job_report.read_report`."""

from collections.abc import Callable

from batchctl.domain.errors import ServiceProblem
from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Job
from batchctl.engine.job_report import read_report
from batchctl.engine.loop import Loop, LoopOptions
from batchctl.engine.next_steps import Arrow
from batchctl.engine.poll import unreachable
from batchctl.engine.session import Session
from batchctl.verbs.fetch import poll_once
from batchctl.verbs.find_job import find_job
from batchctl.verbs.headers import use_api_version

BY_THEMSELVES = "the batches continue at the API; run the same command again"


def status(
    session: Session, word: str | None, begin: Callable[[Job], object] = lambda _: None
) -> tuple[JobReport, ServiceProblem | None]:
    """Return the job after one poll, and why it may be older than now. `begin` receives the job before that.

    A failed poll is not a failed job: it is returned, so that the job can be shown first. Raises AccountProblem and
    ServiceProblem where the API refuses.
    """
    job = find_job(session.ledger, word)
    begin(job)
    job = use_api_version(session, job)
    failure = poll_once(session, job)
    return read_report(session, job), unreachable(failure, BY_THEMSELVES) if failure else None


def watch(session: Session, job: Job) -> JobReport:
    """Poll until every batch that was sent has ended, and return the job. Raises as `Loop.run` does."""
    Loop(session, job, LoopOptions(arrows=frozenset({Arrow.POLL}))).run()
    return read_report(session, job)
