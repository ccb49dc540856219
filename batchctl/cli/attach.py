"""`attach`: batches made elsewhere become a job; show it, give the status."""

from typing import NoReturn

from batchctl.cli.exit_status import DONE, SOME_FAILED
from batchctl.cli.wiring import GlobalOptions, run, stdin
from batchctl.engine.session import Session
from batchctl.render.writer import ReportWriter
from batchctl.verbs import attach as attaching
from batchctl.verbs.attach import Attachment


def attach(global_options: GlobalOptions, wanted: Attachment) -> NoReturn:
    def command(session: Session, writer: ReportWriter) -> int:
        report = attaching.attach(session, wanted, stdin())
        writer.write_submitted(report)
        # Not all of the input was sent, and nothing sends the rest by itself.
        return SOME_FAILED if report.in_no_batch else DONE

    run(global_options, command)
