"""`status [JOB]`: what there is to know, from the API and the ledger. From the ledger alone: `picture`."""

from batchctl.commands.equipment import Equipment
from batchctl.commands.fetch import look_once
from batchctl.commands.looking import unreachable
from batchctl.commands.loop import Loop, Verb
from batchctl.commands.picture import report_of
from batchctl.domain.errors import ServiceProblem
from batchctl.domain.model import Job
from batchctl.domain.progress import JobReport
from batchctl.domain.steps import Arrow

BY_THEMSELVES = "the batches go on without us: run the same command again"


def status(tools: Equipment, job: Job) -> tuple[JobReport, ServiceProblem | None]:
    """The job, and why it may be older than now: a failed look is told, and is no state."""
    failure = look_once(tools, job)
    return report_of(tools, job), unreachable(failure, BY_THEMSELVES) if failure else None


def watch(tools: Equipment, job: Job) -> JobReport:
    """Looks again and again, until every batch that was sent has ended."""
    Loop(tools, job, Verb(arrows=frozenset({Arrow.LOOK}))).run()
    return report_of(tools, job)
