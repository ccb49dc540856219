"""`status`: one job, or all of them."""

from typing import NoReturn

from batchctl.cli.exit_status import DONE, OF_STAGE
from batchctl.cli.wiring import Common, run
from batchctl.commands import status as looking
from batchctl.commands.equipment import Equipment
from batchctl.commands.finding import find_job
from batchctl.render.screen import Screen


def status(common: Common, word: str | None, *, watch: bool, offline: bool, wide: bool, exit_status: bool) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        if word is None and not watch and not exit_status and not wide:
            screen.jobs(looking.all_jobs(tools))
            return DONE
        job = find_job(tools.ledger, word)
        report, unreachable = looking.status(tools, job, offline=offline)
        if watch and not offline:
            screen.watch(report)
            report, unreachable = looking.watch(tools, job), None
        screen.status(report, wide=wide)
        if unreachable is not None:
            raise unreachable
        return OF_STAGE[report.stage] if exit_status else DONE

    run(common, command)
