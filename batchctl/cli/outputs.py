"""Where the merged answers of a job go, or are: one reading of `--output` and `--output-dir` for all verbs."""

import sys
from dataclasses import dataclass
from pathlib import Path

from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import Job
from batchctl.engine.merge import Output, hold
from batchctl.engine.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a person said of the files: `--output`, `--output-dir` and `--force`."""

    output: str
    output_dir: Path | None
    force: bool


def held_output(session: Session, job: Job, named: Named) -> Output:
    """Where the answers are to go. Raises UsageProblem as `output_of` does, and Refused where a file may not be replaced."""
    output = output_of(job, named.output, named.output_dir, force=named.force)
    hold(session, job, output)
    return output


def output_of(job: Job, output: str, output_dir: Path | None, *, force: bool = False) -> Output:
    """Raises UsageProblem where the folder is not there, or stdout is closed."""
    if output == "-" and sys.__stdout__ is None:
        raise UsageProblem("-o -: stdout is closed")
    folder = output_dir or Path()
    if output_dir is not None and not output_dir.is_dir():
        raise UsageProblem(f"--output-dir {output_dir}: no such folder", hint=f"mkdir -p {output_dir}")
    if output in {"", "-"}:
        results = output or str(folder / f"{job.name}.results.jsonl")
        return Output(results=results, errors=folder / f"{job.name}.errors.jsonl", force=force)
    path = folder / output
    stem = path.name.removesuffix(".jsonl").removesuffix(".results")
    return Output(results=str(path), errors=path.with_name(f"{stem}.errors.jsonl"), force=force)
