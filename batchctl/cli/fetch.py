"""`fetch`: bring home, merge, say where."""

import sys
from pathlib import Path
from typing import NoReturn

from batchctl.cli.exit_status import OF_STAGE
from batchctl.cli.wiring import Common, run
from batchctl.commands import fetch as fetching
from batchctl.commands.equipment import Equipment
from batchctl.commands.fetch import Fetched
from batchctl.commands.finding import find_job
from batchctl.commands.merging import Output
from batchctl.commands.submit import use_moved_input
from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import Job
from batchctl.render.screen import Screen


def fetch(common: Common, word: str | None, *, output: str, output_dir: Path | None, moved_to: str) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        job = use_moved_input(tools, find_job(tools.ledger, word), moved_to)
        return shown(fetching.fetch(tools, job, output_of(job, output, output_dir)), screen)

    run(common, command)


def shown(fetched: Fetched, screen: Screen) -> int:
    """The exit status of what was brought home. Raises what kept some of it from coming."""
    screen.fetched(fetched.report, fetched.merged, fetched.output.results, fetched.output.errors)
    if fetched.problem is not None:
        raise fetched.problem
    return OF_STAGE[fetched.report.stage]


def output_of(job: Job, output: str, output_dir: Path | None) -> Output:
    """Where the two files go. Raises UsageProblem."""
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
