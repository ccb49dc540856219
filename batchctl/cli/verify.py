"""`verify`: proves a job from the disk alone."""

from typing import TYPE_CHECKING

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options

if TYPE_CHECKING:
    from batchctl.engine.session import ReadSession
    from batchctl.render.writer import ReportWriter


@with_global_options("base_url", "insecure_http")
def verify(
    options: GlobalOptions, job: o.JobWord = None, output: o.ResultsFile = "", output_dir: o.OutputDir = None
) -> None:
    """Prove from local files only that every line of the input has exactly one answer. Nothing is written.

    Examples:
        batchctl verify
        batchctl verify @last --output results.jsonl
    """
    from batchctl.cli.exit_status import DONE, SOME_FAILED
    from batchctl.cli.run_verb import run
    from batchctl.verbs.open_read_session import open_read_session
    from batchctl.verbs.outputs import OutputOptions
    from batchctl.verbs.verify import verify as verb

    files = OutputOptions(output=output, output_dir=output_dir)

    def course(session: "ReadSession", writer: "ReportWriter") -> int:
        proof = verb(session, job, files)
        writer.write_proof(proof)
        return DONE if proof.is_complete else SOME_FAILED

    run(options, course, open_read_session)
