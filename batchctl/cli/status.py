"""`status`: one job, or all of them."""

from typing import NoReturn

from batchctl.cli.exit_status import DONE, OF_STAGE
from batchctl.cli.wiring import GlobalOptions, run, run_light
from batchctl.engine.reports import all_jobs, report_of
from batchctl.engine.session import ReadSession, Session
from batchctl.render.screen import Screen
from batchctl.verbs.finding import find_job


def status(
    global_options: GlobalOptions, word: str | None, *, watch: bool, offline: bool, wide: bool, exit_status: bool
) -> NoReturn:
    def table(session: ReadSession, screen: Screen) -> int:
        screen.jobs(all_jobs(session))
        return DONE

    def remembered(session: ReadSession, screen: Screen) -> int:
        report = report_of(session, find_job(session.ledger, word))
        screen.status(report, wide=wide)
        return OF_STAGE[report.stage] if exit_status else DONE

    def asked(session: Session, screen: Screen) -> int:
        from batchctl.verbs import status as looking  # noqa: PLC0415 - keeps --offline quick
        from batchctl.verbs.headers import speak_as  # noqa: PLC0415 - as above

        job = speak_as(session, find_job(session.ledger, word))
        report, unreachable = looking.status(session, job)
        if watch:
            screen.watch(report)
            report, unreachable = looking.watch(session, job), None
        screen.status(report, wide=wide)
        if unreachable is not None:
            raise unreachable
        return OF_STAGE[report.stage] if exit_status else DONE

    if word is None and not watch and not exit_status and not wide:
        run_light(global_options, table)
    if offline:
        run_light(global_options, remembered)
    run(global_options, asked)
