"""`fetch`: downloads, verifies and merges."""

from dataclasses import replace
from typing import TYPE_CHECKING

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options

if TYPE_CHECKING:
    from batchctl.engine.session import Session
    from batchctl.render.writer import ReportWriter
    from batchctl.verbs.fetch import Fetched


@with_global_options()
def fetch(
    options: GlobalOptions,
    job: o.JobWord = None,
    output: o.Output = "",
    output_dir: o.OutputDir = None,
    force: o.Force = False,
    input_now: o.MovedInput = None,
    parallel: o.Parallel = 4,
    engine: o.EngineWord = "",
    timeout: o.Timeout = None,
) -> None:
    """Download the results of the batches that have ended, verify them, and write them in input order.

    Examples:
        batchctl fetch
        batchctl fetch @last -o results.jsonl
        batchctl fetch @last --output-dir .
    """
    from batchctl.cli.run_verb import run
    from batchctl.verbs.fetch import fetch as verb
    from batchctl.verbs.notifying import notifying
    from batchctl.verbs.open_session import open_session
    from batchctl.verbs.outputs import OutputOptions

    files = OutputOptions(output=output, output_dir=output_dir, force=force)

    def course(session: "Session", writer: "ReportWriter") -> int:
        with notifying(session, {}, writer.options.in_full, waits_for_end=True) as notifier:
            return show_fetched(verb(session, job, files, str(input_now or ""), notifier.begin), writer)

    run(replace(options, parallel=parallel, engine=o.engine_of(engine), timeout=timeout), course, open_session)


def show_fetched(fetched: "Fetched", writer: "ReportWriter") -> int:
    """Show what was fetched, and return the exit status. Raises the problem that kept some results from coming."""
    from batchctl.cli.exit_status import OF_STAGE

    writer.write_fetched(fetched.report, fetched.merged, fetched.output.results, fetched.output.errors)
    if fetched.problem is not None:
        raise fetched.problem
    return OF_STAGE[fetched.report.stage]
