"""Where the merged answers of a job are written: one reading of `--output` and `--output-dir` for all verbs."""

import sys
from dataclasses import dataclass
from pathlib import Path

from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import Job
from batchctl.engine.merge import Output, check_outputs
from batchctl.engine.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """The values of `--output` (empty where it was left out), `--output-dir` and `--force`."""

    output: str = ""
    output_dir: Path | None = None
    force: bool = False


def checked_output(session: Session, job: Job, options: OutputOptions) -> Output:
    """Return where the answers are written. Raises UsageProblem as `output_of` does, and Refused for a file of others."""
    output = output_of(job, options)
    check_outputs(session, job, output)
    return output


def output_of(job: Job, options: OutputOptions) -> Output:
    """Return the files of results and errors. Raises UsageProblem where the folder is missing, or stdout is closed."""
    output, output_dir = options.output, options.output_dir
    if output == "-" and sys.__stdout__ is None:
        raise UsageProblem("-o -: stdout is closed")
    folder = output_dir or Path()
    if output_dir is not None and not output_dir.is_dir():
        raise UsageProblem(f"--output-dir {output_dir}: no such folder", hint=f"mkdir -p {output_dir}")
    if output in {"", "-"}:
        results = output or str(folder / f"{job.name}.results.jsonl")
        return Output(results=results, errors=folder / f"{job.name}.errors.jsonl", force=options.force)
    path = folder / output
    stem = path.name.removesuffix(".jsonl").removesuffix(".results")
    return Output(results=str(path), errors=path.with_name(f"{stem}.errors.jsonl"), force=options.force)
