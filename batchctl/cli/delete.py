"""`delete`: only what is proved to be on the disk, and only after a yes."""

from typing import NoReturn

from batchctl.cli.exit_status import DONE
from batchctl.cli.wiring import Common, ask, run
from batchctl.engine.session import Equipment
from batchctl.render.screen import Screen
from batchctl.verbs import delete as deleting
from batchctl.verbs.finding import find_job
from batchctl.verbs.headers import speak_as


def delete(common: Common, word: str | None, *, yes: bool) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        def confirm(question: str) -> None:
            if not yes:
                ask(screen, question, "--yes")

        deleted = deleting.delete(tools, speak_as(tools, find_job(tools.ledger, word)), confirm)
        screen.deleted(deleted.job.name, deleted.batches, deleted.folder, deleted.bytes)
        return DONE

    run(common, command)
