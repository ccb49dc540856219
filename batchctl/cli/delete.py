"""`delete`: only what is proved to be on the disk, and only after a yes."""

from typing import NoReturn

from batchctl.cli.exit_status import DONE
from batchctl.cli.wiring import GlobalOptions, ask, run
from batchctl.engine.session import Session
from batchctl.render.writer import ReportWriter
from batchctl.verbs import delete as deleting
from batchctl.verbs.finding import find_job
from batchctl.verbs.headers import speak_as


def delete(global_options: GlobalOptions, word: str | None, *, yes: bool) -> NoReturn:
    def command(session: Session, writer: ReportWriter) -> int:
        def confirm(question: str) -> None:
            if not yes:
                ask(writer, question, "--yes")

        deleted = deleting.delete(session, speak_as(session, find_job(session.ledger, word)), confirm)
        writer.write_deleted(deleted.job.name, deleted.batches, deleted.folder, deleted.bytes)
        return DONE

    run(global_options, command)
