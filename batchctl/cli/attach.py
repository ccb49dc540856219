"""`attach`: batches made elsewhere become a job; show it, give the status."""

from typing import NoReturn

from batchctl.cli.exit_status import DONE, SOME_FAILED
from batchctl.cli.wiring import Common, run, stdin
from batchctl.engine.session import Equipment
from batchctl.render.screen import Screen
from batchctl.verbs import attach as attaching
from batchctl.verbs.attach import Attachment


def attach(common: Common, wanted: Attachment) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        report = attaching.attach(tools, wanted, stdin())
        screen.submitted(report)
        # Not all of the input was sent, and nothing sends the rest by itself.
        return SOME_FAILED if report.in_no_batch else DONE

    run(common, command)
