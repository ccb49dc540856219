"""`status`: one job, or all of them."""

from typing import NoReturn

from batchctl.cli.exit_status import DONE, OF_STAGE
from batchctl.cli.wiring import Common, run, run_light
from batchctl.engine.reports import all_jobs, report_of
from batchctl.engine.session import Equipment, LightEquipment
from batchctl.render.screen import Screen
from batchctl.verbs.finding import find_job


def status(common: Common, word: str | None, *, watch: bool, offline: bool, wide: bool, exit_status: bool) -> NoReturn:
    def table(tools: LightEquipment, screen: Screen) -> int:
        screen.jobs(all_jobs(tools))
        return DONE

    def remembered(tools: LightEquipment, screen: Screen) -> int:
        report = report_of(tools, find_job(tools.ledger, word))
        screen.status(report, wide=wide)
        return OF_STAGE[report.stage] if exit_status else DONE

    def asked(tools: Equipment, screen: Screen) -> int:
        from batchctl.verbs import status as looking  # noqa: PLC0415 - keeps --offline quick
        from batchctl.verbs.headers import speak_as  # noqa: PLC0415 - as above

        job = speak_as(tools, find_job(tools.ledger, word))
        report, unreachable = looking.status(tools, job)
        if watch:
            screen.watch(report)
            report, unreachable = looking.watch(tools, job), None
        screen.status(report, wide=wide)
        if unreachable is not None:
            raise unreachable
        return OF_STAGE[report.stage] if exit_status else DONE

    if word is None and not watch and not exit_status and not wide:
        run_light(common, table)
    if offline:
        run_light(common, remembered)
    run(common, asked)
