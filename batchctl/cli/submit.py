"""`submit`: find or make the job, send it, show the end, give the status."""

from typing import NoReturn

from batchctl.cli.exit_status import DONE, status_of_sending
from batchctl.cli.wiring import Common, ask, run, stdin
from batchctl.commands import submit as submitting
from batchctl.commands.equipment import Equipment
from batchctl.commands.submit import Submission
from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import Job
from batchctl.files.splice import single_request_body
from batchctl.render.screen import Screen


def submit(common: Common, wanted: Submission, *, dry_run: bool, show: int | None, yes: bool) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        if dry_run:
            return _dry_run(tools, screen, wanted, show)
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
        return known, False
    planner, given = submitting.check(tools, wanted, stdin())
    try:
        if given.scan.warnings and not yes and submitting.same_input(tools, wanted, given.scan) is None:
            ask(f"{given.scan.warnings:,} warnings: send {given.scan.count:,} requests all the same?", "--yes")
        with tools.workspace.planning():
            same = submitting.same_input(tools, wanted, given.scan)
            return (same, False) if same else (submitting.record(tools, planner, wanted, given), True)
    finally:
        planner.discard(given)


def _dry_run(tools: Equipment, screen: Screen, wanted: Submission, show: int | None) -> int:
    planner, given = submitting.check(tools, wanted, stdin())
    if show is not None and show > given.scan.count:
        raise UsageProblem(f"--show {show:,}: the input has {given.scan.count:,} requests")
    try:
        with planner.rehearsed(given) as (plain, cuts):
            if show is None:
                screen.dry_run(given.scan, [(cut.count, cut.body_bytes) for cut in cuts])
            else:
                screen.payload(single_request_body(plain, cuts, show - 1))
    finally:
        planner.discard(given)
    return DONE
