"""`submit`: find or make the job, send it, show the end, give the status."""

from functools import partial
from typing import NoReturn

from batchctl.cli.agreeing import agreed
from batchctl.cli.exit_status import status_of_sending
from batchctl.cli.wiring import Common, ask, run, stdin
from batchctl.commands import submit as submitting
from batchctl.commands.equipment import Equipment
from batchctl.commands.planning import Input
from batchctl.commands.submission import Submission, check, estimated
from batchctl.domain.estimating import Estimate
from batchctl.domain.model import Job
from batchctl.render.screen import Screen


def submit(common: Common, wanted: Submission) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        job, is_new = job_to_send(tools, screen, wanted)
        job = resumed(tools, screen, job, wanted)
        report = submitting.send_rest(tools, job, is_new=is_new, waits=wanted.waits)
        screen.submitted(report)
        return status_of_sending(report)

    run(common, command)


def resumed(tools: Equipment, screen: Screen, job: Job, wanted: Submission) -> Job:
    """A job goes on as it was planned; beyond their limit, or once it was canceled, at a person's wish alone.

    Raises Refused, and InputProblem for a moved input that is another: then nothing is changed.
    """
    submitting.refuse_other_caching(job, wanted)
    wanted.budget.of(job).hold_rest(tools, job)
    if job.canceled_at is not None and not wanted.budget.yes:
        ask(screen, f"{job.name} was canceled: send what was not sent then?", "--yes")
    job = submitting.use_moved_input(tools, job, wanted.moved_to)
    wanted.budget.record(tools, job)
    if job.canceled_at is not None:
        tools.ledger.record_canceled(job, None)
    return tools.ledger.job(job.name)


def job_to_send(tools: Equipment, screen: Screen, wanted: Submission) -> tuple[Job, bool]:
    """The job that this input is or becomes, and whether it is new."""
    known = submitting.known_job(tools, wanted)
    if known is not None:
        if not wanted.goes_on and not submitting.is_open(tools, known):
            raise submitting.already_sent(known)
        return known, False
    planner, given = check(tools, wanted, stdin())
    try:
        if same := submitting.same_input(tools, wanted, given.scan):
            return same, False
        estimate = _agreed(tools, screen, wanted, given)
        with tools.workspace.planning():
            same = submitting.same_input(tools, wanted, given.scan)
            if same:
                return same, False
            return submitting.record(tools, planner, wanted, given, estimate.forecast), True
    finally:
        planner.discard(given)


def _agreed(tools: Equipment, screen: Screen, wanted: Submission, given: Input) -> Estimate:
    """Somebody wants it sent at its price and with its warnings. Raises Refused."""
    warnings, requests = given.scan.warnings, f"send {given.scan.count:,} requests"
    said = f"{warnings:,} warnings: {requests} all the same" if warnings else requests
    estimate = agreed(tools, screen, wanted.budget, partial(estimated, tools, wanted, given), said)
    # A limit is a word about the price alone.
    if warnings and wanted.budget.limit is not None and not wanted.budget.yes:
        ask(screen, f"{said}?", "--yes")
    return estimate
