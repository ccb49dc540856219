"""`cost`: what a job cost so far."""

from datetime import date
from typing import NoReturn

from batchctl.cli.exit_status import DONE
from batchctl.cli.options import TODAY
from batchctl.cli.wiring import Common, run_light
from batchctl.engine import costs as costing
from batchctl.engine.reports import report_of
from batchctl.engine.session import LightEquipment
from batchctl.render.screen import Screen
from batchctl.verbs.finding import find_job


def cost(common: Common, word: str | None, *, at: str | None, wide: bool) -> NoReturn:
    def command(tools: LightEquipment, screen: Screen) -> int:
        job = find_job(tools.ledger, word)
        day = None if at is None else tools.clock.now().date() if at == TODAY else date.fromisoformat(at)
        screen.cost(
            costing.cost(tools, job, at=day, anew=common.prices is not None),
            report_of(tools, job).next_command,
            wide=wide,
        )
        return DONE

    run_light(common, command)
