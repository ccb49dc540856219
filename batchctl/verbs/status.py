"""`status [JOB]`: what there is to know, from the API and the ledger. From the ledger alone: `picture`."""

from batchctl.domain.errors import ServiceProblem
from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Job
from batchctl.engine.loop import Loop, Verb
from batchctl.engine.next_steps import Arrow
from batchctl.engine.poll import unreachable
from batchctl.engine.reports import report_of
from batchctl.engine.session import Session
from batchctl.verbs.fetch import poll_once

BY_THEMSELVES = "the batches go on without us: run the same command again"


def status(session: Session, job: Job) -> tuple[JobReport, ServiceProblem | None]:
    """The job, and why it may be older than now: a failed look is told, and is no state."""
    failure = poll_once(session, job)
    return report_of(session, job), unreachable(failure, BY_THEMSELVES) if failure else None


def watch(session: Session, job: Job) -> JobReport:
    """Looks again and again, until every batch that was sent has ended."""
    Loop(session, job, Verb(arrows=frozenset({Arrow.POLL}))).run()
    return report_of(session, job)
