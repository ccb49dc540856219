"""`fetch`: bring home, merge, say where."""

from typing import NoReturn

from batchctl.cli.exit_status import OF_STAGE
from batchctl.cli.outputs import Named, held_output
from batchctl.cli.wiring import GlobalOptions, run
from batchctl.engine.session import Session
from batchctl.render.writer import ReportWriter
from batchctl.verbs import fetch as fetching
from batchctl.verbs.fetch import Fetched
from batchctl.verbs.finding import find_job
from batchctl.verbs.headers import speak_as
from batchctl.verbs.submit import use_moved_input


def fetch(global_options: GlobalOptions, word: str | None, *, files: Named, moved_to: str) -> NoReturn:
    def command(session: Session, writer: ReportWriter) -> int:
        job = use_moved_input(session, speak_as(session, find_job(session.ledger, word)), moved_to)
        return shown(fetching.fetch(session, job, held_output(session, job, files)), writer)

    run(global_options, command)


def shown(fetched: Fetched, writer: ReportWriter) -> int:
    """The exit status of what was brought home. Raises what kept some of it from coming."""
    writer.write_fetched(fetched.report, fetched.merged, fetched.output.results, fetched.output.errors)
    if fetched.problem is not None:
        raise fetched.problem
    return OF_STAGE[fetched.report.stage]
