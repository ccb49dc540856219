"""`cancel`: ends a job early, after a yes."""

from dataclasses import replace
from typing import TYPE_CHECKING

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options

if TYPE_CHECKING:
    from batchctl.engine.session import Session
    from batchctl.render.writer import ReportWriter


@with_global_options()
def cancel(
    options: GlobalOptions,
    job: o.JobWord = None,
    output: o.Output = "",
    output_dir: o.OutputDir = None,
    force: o.Force = False,
    poll_seconds: o.Poll = None,
    no_wait: o.NoWaitForEnd = False,
    timeout: o.Timeout = None,
    yes: o.YesToCancel = False,
) -> None:
    """Cancel a job: send no more batches, end those in progress, and fetch what was answered.

    Examples:
        batchctl cancel
        batchctl cancel @last --yes --no-wait
    """
    from batchctl.cli.exit_status import DONE, NOT_FINISHED
    from batchctl.cli.fetch import show_fetched
    from batchctl.cli.run_verb import TerminalConfirm, run
    from batchctl.domain.job_report import Stage
    from batchctl.verbs.cancel import cancel as verb
    from batchctl.verbs.open_session import open_session
    from batchctl.verbs.outputs import OutputOptions

    files = OutputOptions(output=output, output_dir=output_dir, force=force)

    def course(session: "Session", writer: "ReportWriter") -> int:
        fetched = verb(session, job, files, confirm=TerminalConfirm(writer, yes), waits=not no_wait)
        status = show_fetched(fetched, writer)
        # Canceled requests are what was asked for: only what has not come to its end yet is left to do.
        if fetched.report.stage in {Stage.SENDING, Stage.RUNNING, Stage.TO_FETCH}:
            return NOT_FINISHED
        return DONE if fetched.report.stage in {Stage.DONE, Stage.INCOMPLETE, Stage.CANCELED} else status

    run(replace(options, poll_seconds=poll_seconds, timeout=timeout, cancels=True), course, open_session)
