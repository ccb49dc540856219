"""`run`: a job from wherever it stands to its end."""

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from batchctl.cli import submit as submitting
from batchctl.cli.fetch import shown
from batchctl.cli.outputs import Named, held_output
from batchctl.cli.wiring import GlobalOptions, continued_by
from batchctl.cli.wiring import run as run_command
from batchctl.domain.errors import Stopped
from batchctl.domain.model import Job
from batchctl.engine.reports import report_of
from batchctl.engine.session import Session
from batchctl.render.writer import ReportWriter
from batchctl.requests.inputs import STDIN
from batchctl.verbs import run as running
from batchctl.verbs.finding import find_job
from batchctl.verbs.submission import Submission
from batchctl.verbs.submit import emit_rest


def run(global_options: GlobalOptions, wanted: Submission, *, files: Named, max_rounds: int) -> NoReturn:
    def command(session: Session, writer: ReportWriter) -> int:
        job, is_new = _job(session, writer, wanted)
        again = f"batchctl run {job.name}"
        # The same words with --again would send, and pay for, the input once more.
        with continued_by(again if wanted.again else ""):
            job = submitting.resumed(session, writer, job, wanted, is_new=is_new)
            if not is_new:
                emit_rest(session, job)
            output = held_output(session, job, files)
            writer.watch(report_of(session, job), output.results, was_polled=False)
            try:
                fetched = running.run(session, job, output, max_rounds=max_rounds, yes=wanted.budget.yes)
            except Stopped:
                if not wanted.again:
                    writer.write_next_command(again)
                raise
        return shown(fetched, writer)

    run_command(global_options, command)


def _job(session: Session, writer: ReportWriter, wanted: Submission) -> tuple[Job, bool]:
    """The job that a path or a word means, and whether it is new."""
    if wanted.path != STDIN and not Path(wanted.path).exists() and session.ledger.jobs():
        return find_job(session.ledger, wanted.path, may_be_file=True), False
    return submitting.job_to_send(session, writer, replace(wanted, goes_on=True))
