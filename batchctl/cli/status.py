"""`status`: one job, or all of them."""

from typing import NoReturn

from batchctl.cli.exit_status import DONE, OF_STAGE
from batchctl.cli.wiring import GlobalOptions, run, run_light
from batchctl.engine.reports import all_jobs, report_of
from batchctl.engine.session import ReadSession, Session
from batchctl.render.writer import ReportWriter
from batchctl.verbs.finding import find_job


def status(
    global_options: GlobalOptions, word: str | None, *, watch: bool, offline: bool, wide: bool, exit_status: bool
) -> NoReturn:
    def table(session: ReadSession, writer: ReportWriter) -> int:
        writer.write_jobs(all_jobs(session))
        return DONE

    def remembered(session: ReadSession, writer: ReportWriter) -> int:
        report = report_of(session, find_job(session.ledger, word))
        writer.write_status(report, wide=wide)
        return OF_STAGE[report.stage] if exit_status else DONE

    def asked(session: Session, writer: ReportWriter) -> int:
        from batchctl.verbs import status as looking  # noqa: PLC0415 - keeps --offline quick
        from batchctl.verbs.headers import speak_as  # noqa: PLC0415 - as above

        job = speak_as(session, find_job(session.ledger, word))
        report, unreachable = looking.status(session, job)
        if watch:
            writer.watch(report)
            report, unreachable = looking.watch(session, job), None
        writer.write_status(report, wide=wide)
        if unreachable is not None:
            raise unreachable
        return OF_STAGE[report.stage] if exit_status else DONE

    if word is None and not watch and not exit_status and not wide:
        run_light(global_options, table)
    if offline:
        run_light(global_options, remembered)
    run(global_options, asked)
