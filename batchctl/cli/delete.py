"""`delete`: removes batches at the API, after a yes."""

from dataclasses import replace
from typing import TYPE_CHECKING

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options

if TYPE_CHECKING:
    from batchctl.engine.session import Session
    from batchctl.render.writer import ReportWriter


@with_global_options()
def delete(
    options: GlobalOptions, job: o.JobWord = None, timeout: o.Timeout = None, yes: o.YesToDelete = False
) -> None:
    """Delete the batches of a job at the API, once the local files are proved to hold all of their results.

    Examples:
        batchctl delete
        batchctl delete @last --yes
    """
    from batchctl.cli.exit_status import DONE
    from batchctl.cli.run_verb import TerminalConfirm, run
    from batchctl.verbs.delete import delete as verb
    from batchctl.verbs.open_session import open_session

    def course(session: "Session", writer: "ReportWriter") -> int:
        deleted = verb(session, job, TerminalConfirm(writer, yes))
        writer.write_deleted(deleted.job.name, deleted.batches, deleted.folder, deleted.bytes)
        return DONE

    run(replace(options, timeout=timeout), course, open_session)
