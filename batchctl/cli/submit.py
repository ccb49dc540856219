"""`submit`: find or make the job, send it, show the end, give the status."""

from typing import NoReturn

from batchctl.cli.exit_status import status_of_sending
from batchctl.cli.wiring import Common, ask, run, stdin
from batchctl.commands import submit as submitting
from batchctl.commands.equipment import Equipment
from batchctl.commands.submission import Submission, check
from batchctl.domain.model import Job
from batchctl.render.screen import Screen


def submit(common: Common, wanted: Submission, *, yes: bool) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        job, is_new = job_to_send(tools, wanted, yes=yes)
        job = resumed(tools, job, yes=yes)
        report = submitting.proceed(tools, job, wanted, is_new=is_new)
        screen.submitted(report)
        return status_of_sending(report)

    run(common, command)


def resumed(tools: Equipment, job: Job, *, yes: bool) -> Job:
    """A canceled job is sent on only at a person's wish. Raises Refused."""
    if job.canceled_at is None:
        return job
    if not yes:
        ask(f"{job.name} was canceled: send what was not sent then?", "--yes")
    tools.ledger.record_canceled(job, None)
    return tools.ledger.job(job.name)


def job_to_send(tools: Equipment, wanted: Submission, *, yes: bool) -> tuple[Job, bool]:
    """The job that this input is or becomes, and whether it is new."""
    known = submitting.known_job(tools, wanted)
    if known is not None:
        if not wanted.goes_on and not submitting.is_open(tools, known):
            raise submitting.already_sent(known)
        submitting.refuse_other_caching(known, wanted)
        return known, False
    planner, given = check(tools, wanted, stdin())
    try:
        if given.scan.warnings and not yes and submitting.same_input(tools, wanted, given.scan) is None:
            ask(f"{given.scan.warnings:,} warnings: send {given.scan.count:,} requests all the same?", "--yes")
        with tools.workspace.planning():
            same = submitting.same_input(tools, wanted, given.scan)
            if same:
                submitting.refuse_other_caching(same, wanted)
            return (same, False) if same else (submitting.record(tools, planner, wanted, given), True)
    finally:
        planner.discard(given)
