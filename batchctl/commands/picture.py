"""Where jobs stand, as the ledger has it: nobody is asked, and nothing is written."""

from batchctl.commands.equipment import LightEquipment
from batchctl.domain.model import Job
from batchctl.domain.progress import JobReport, report


def report_of(tools: LightEquipment, job: Job) -> JobReport:
    """The job as the ledger has it now."""
    current = tools.ledger.job(job.name)
    return report(current, tools.ledger.batches(current), tools.ledger.failures(current), tools.now())


def all_jobs(tools: LightEquipment) -> list[JobReport]:
    return [report_of(tools, job) for job in tools.ledger.jobs()]
