"""`verify`: prove it again from the disk, show the proof, say by the status whether it holds."""

from pathlib import Path
from typing import NoReturn

from batchctl.cli.exit_status import DONE, SOME_FAILED
from batchctl.cli.outputs import output_of
from batchctl.cli.wiring import GlobalOptions, run_light
from batchctl.domain.errors import UsageProblem
from batchctl.engine.session import ReadSession
from batchctl.render.writer import ReportWriter
from batchctl.verbs import verify as verifying
from batchctl.verbs.finding import find_job


def verify(global_options: GlobalOptions, word: str | None, *, output: str, output_dir: Path | None) -> NoReturn:
    def command(session: ReadSession, writer: ReportWriter) -> int:
        if output == "-":
            raise UsageProblem("-o -: what went to stdout cannot be read again", hint="name the file it was written to")
        job = find_job(session.ledger, word)
        results = Path(output_of(job, output, output_dir).results)
        proof = verifying.verify(session, job, results, is_named=bool(output))
        writer.write_proof(proof)
        return DONE if proof.is_complete else SOME_FAILED

    run_light(global_options, command)
