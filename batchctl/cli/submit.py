"""`submit`: find or make the job, send it, show the end, give the status."""

from functools import partial
from typing import NoReturn

from batchctl.cli.agreeing import agreed
from batchctl.cli.exit_status import status_of_sending
from batchctl.cli.wiring import GlobalOptions, ask, continued_by, run, stdin
from batchctl.domain.errors import UsageProblem
from batchctl.domain.headers import shown_betas
from batchctl.domain.model import Job
from batchctl.engine.planning import Input
from batchctl.engine.session import Session
from batchctl.money.estimate import Estimate
from batchctl.render.writer import ReportWriter
from batchctl.verbs import submit as submitting
from batchctl.verbs.edited import check_rest
from batchctl.verbs.headers import record_headers, speak_as, wanted_headers
from batchctl.verbs.rest import nothing_left
from batchctl.verbs.submission import Submission, check, estimated, refuse_contradiction


def submit(global_options: GlobalOptions, wanted: Submission) -> NoReturn:
    def command(session: Session, writer: ReportWriter) -> int:
        job, is_new = job_to_send(session, writer, wanted)
        # The same words with --again would send, and pay for, the input once more.
        with continued_by(f"batchctl submit {job.name}" if wanted.again else ""):
            job = resumed(session, writer, job, wanted, is_new=is_new)
            report = submitting.send_rest(session, job, is_new=is_new, waits=wanted.waits)
        writer.write_submitted(report)
        return status_of_sending(report)

    run(global_options, command)


def resumed(session: Session, writer: ReportWriter, job: Job, wanted: Submission, *, is_new: bool) -> Job:
    """A job goes on as it was planned, but for its headers; beyond their limit, or once it was canceled, at a person's wish alone.

    Raises Refused, UsageProblem, and InputProblem for a moved input that is another: then nothing is changed.
    """
    seen, headers = job, job.settings.headers
    if not is_new:
        refuse_contradiction(job, wanted)
        headers = wanted_headers(session, job, wanted.change)
    wanted.budget.of(job).hold_rest(session, job)
    if job.canceled_at is not None and not wanted.budget.yes:
        ask(writer, f"{job.name} was canceled: send what was not sent then?", "--yes")
    job = submitting.use_moved_input(session, job, wanted.moved_to)
    check_rest(session, job, headers, wanted.depth if "check" in wanted.named else None)
    record_headers(session, seen, headers)
    wanted.budget.record(session, job)
    if job.canceled_at is not None:
        session.ledger.record_canceled(job, None)
    return speak_as(session, session.ledger.job(job.name))


def job_to_send(session: Session, writer: ReportWriter, wanted: Submission) -> tuple[Job, bool]:
    """The job that this input is or becomes, and whether it is new."""
    known = submitting.known_job(session, wanted)
    if known is not None:
        if not wanted.goes_on and not submitting.is_open(session, known):
            raise nothing_left(session, known)
        return known, False
    planner, given = check(session, wanted, stdin())
    try:
        if same := submitting.same_input(session, wanted, given.scan):
            return same, False
        if wanted.change.drop:
            raise UsageProblem(
                f"--no-beta {wanted.change.drop[0]}: this is a new job, which sends {shown_betas(wanted.settings.betas)}",
                hint="leave it out",
            )
        estimate = _agreed(session, writer, wanted, given)
        with session.workspace.planning():
            same = submitting.same_input(session, wanted, given.scan)
            if same:
                return same, False
            return submitting.record(session, planner, wanted, given, estimate.forecast), True
    finally:
        planner.discard(given)


def _agreed(session: Session, writer: ReportWriter, wanted: Submission, given: Input) -> Estimate:
    """Somebody wants it sent at its price and with its warnings. Raises Refused."""
    warnings, requests = given.scan.warnings, f"send {given.scan.count:,} requests"
    said = f"{warnings:,} warnings: {requests} all the same" if warnings else requests
    estimating = partial(estimated, session, wanted, given)
    return agreed(session, writer, wanted.budget, estimating, said, needs_yes=bool(warnings))
