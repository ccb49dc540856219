"""Where the merged answers of a job go, or are: one reading of `--output` and `--output-dir` for all verbs."""

import sys
from pathlib import Path

from batchctl.commands.merging import Output
from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import Job


def output_of(job: Job, output: str, output_dir: Path | None) -> Output:
    """Raises UsageProblem where the folder is not there, or stdout is closed."""
    if output == "-" and sys.__stdout__ is None:
        raise UsageProblem("-o -: stdout is closed")
    folder = output_dir or Path()
    if output_dir is not None and not output_dir.is_dir():
        raise UsageProblem(f"--output-dir {output_dir}: no such folder", hint=f"mkdir -p {output_dir}")
    if output in {"", "-"}:
        results = output or str(folder / f"{job.name}.results.jsonl")
        return Output(results=results, errors=folder / f"{job.name}.errors.jsonl")
    path = folder / output
    stem = path.name.removesuffix(".jsonl").removesuffix(".results")
    return Output(results=str(path), errors=path.with_name(f"{stem}.errors.jsonl"))
