"""`cancel`: asked first, because what is canceled does not come back."""

from dataclasses import replace
from typing import NoReturn

from batchctl.cli.exit_status import DONE, NOT_FINISHED
from batchctl.cli.fetch import shown
from batchctl.cli.outputs import Named, held_output
from batchctl.cli.wiring import GlobalOptions, ask, run
from batchctl.domain.errors import Refused
from batchctl.domain.job_report import Stage
from batchctl.domain.model import Job, State
from batchctl.engine.session import Session
from batchctl.render.writer import ReportWriter
from batchctl.verbs import cancel as canceling
from batchctl.verbs.finding import find_job
from batchctl.verbs.headers import speak_as

# Canceled requests are what was asked for: only what has not come to its end yet is left to do.
OPEN = frozenset({Stage.SENDING, Stage.RUNNING, Stage.TO_FETCH})


def cancel(global_options: GlobalOptions, word: str | None, *, files: Named, waits: bool, yes: bool) -> NoReturn:
    def command(session: Session, writer: ReportWriter) -> int:
        job = speak_as(session, find_job(session.ledger, word))
        if not canceling.is_left(session, job):
            raise Refused(f"{job.name}: nothing of it runs any more", hint=f"batchctl fetch {job.name}")
        output = held_output(session, job, files)
        if not yes and job.canceled_at is None:
            ask(writer, _question(session, job), "--yes")
        fetched = canceling.cancel(session, job, output, waits=waits)
        status = shown(fetched, writer)
        if fetched.report.stage in OPEN:
            return NOT_FINISHED
        return DONE if fetched.report.stage in {Stage.DONE, Stage.INCOMPLETE, Stage.CANCELED} else status

    run(replace(global_options, cancels=True), command)


def _question(session: Session, job: Job) -> str:
    batches = session.ledger.batches(job)
    running = [b for b in batches if b.is_running or b.state is State.SUBMITTING]
    unsent = sum(b.state is State.PLANNED for b in batches)
    parts = f"{len(running)} batches in progress ({sum(b.count for b in running):,} requests)"
    return f"cancel {job.name}: {parts}{f' and {unsent} not sent yet' if unsent else ''}?"
