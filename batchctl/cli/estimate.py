"""`estimate`: what an input would cost. It is checked as `submit` does it; nothing is recorded and nothing is sent."""

import contextlib
from typing import NoReturn

from batchctl.cli.exit_status import DONE
from batchctl.cli.wiring import Common, run_light, stdin
from batchctl.commands.equipment import LightEquipment
from batchctl.commands.estimating import estimate as estimate_of
from batchctl.commands.submission import Submission, check
from batchctl.ledger.questions import Questions
from batchctl.render.screen import Screen
from batchctl.transport.client import Transport


def estimate(common: Common, wanted: Submission, *, sample: int, offline: bool) -> NoReturn:
    def command(tools: LightEquipment, screen: Screen) -> int:
        # A URL that cannot be used is said before a large input is read.
        with contextlib.closing(Transport(common.base_url)) as transport:
            planner, given = check(tools, wanted, stdin())
            try:
                found = estimate_of(
                    tools,
                    given.scan.tallies,
                    given.plain,
                    wanted.settings,
                    transport=None if offline else transport,
                    sample=sample,
                )
            finally:
                planner.discard(given)
        screen.estimated(found, wanted.path)
        return DONE

    # As a dry run: the ledger of a new folder need not be made.
    run_light(common, command, Questions)
