"""`attach`: batches made elsewhere become a job; show it, give the status."""

from typing import NoReturn

from batchctl.cli.exit_status import DONE
from batchctl.cli.wiring import Common, run, stdin
from batchctl.commands import attach as attaching
from batchctl.commands.attach import Attachment
from batchctl.commands.equipment import Equipment
from batchctl.render.screen import Screen


def attach(common: Common, wanted: Attachment) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        screen.submitted(attaching.attach(tools, wanted, stdin()))
        return DONE

    run(common, command)
