"""`cost`: what a job cost so far."""

from datetime import date
from typing import NoReturn

from batchctl.cli.exit_status import DONE
from batchctl.cli.options import TODAY
from batchctl.cli.wiring import GlobalOptions, run_light
from batchctl.engine import costs as costing
from batchctl.engine.reports import report_of
from batchctl.engine.session import ReadSession
from batchctl.render.writer import ReportWriter
from batchctl.verbs.finding import find_job


def cost(global_options: GlobalOptions, word: str | None, *, at: str | None, wide: bool) -> NoReturn:
    def command(session: ReadSession, writer: ReportWriter) -> int:
        job = find_job(session.ledger, word)
        day = None if at is None else session.clock.now().date() if at == TODAY else date.fromisoformat(at)
        writer.write_bill(
            costing.cost(session, job, at=day, anew=global_options.prices is not None),
            report_of(session, job).next_command,
            wide=wide,
        )
        return DONE

    run_light(global_options, command)
