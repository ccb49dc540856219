"""`cost [JOB]`: what a job cost so far, from the ledger."""

from datetime import date

from batchctl.engine import job_cost
from batchctl.engine.job_report import read_report
from batchctl.engine.session import ReadSession
from batchctl.money.bill import Bill
from batchctl.verbs.find_job import find_job


def cost(session: ReadSession, word: str | None, *, at: date | None, anew: bool) -> tuple[Bill, str]:
    """Return the bill of the job that a word means, and the command that comes next.

    Args:
        session: The session of the verb.
        word: Names the job; None for the latest.
        at: The day whose prices hold; None for those that were recorded with the answers.
        anew: Whether private prices were named, which go before those that were recorded.
    """
    job = find_job(session.ledger, word)
    return job_cost.cost(session, job, at=at, anew=anew), read_report(session, job).next_command
