"""Each command's course: find the job, do the verb, show the end, give the status."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import typer

from batchctl.cli.exit_status import OF_STAGE
from batchctl.cli.wiring import Common, ask, run
from batchctl.commands import fetch as fetching
from batchctl.commands import retry as retrying
from batchctl.commands import status as looking
from batchctl.commands import submit as submitting
from batchctl.commands.equipment import Equipment
from batchctl.commands.finding import find_job
from batchctl.commands.looking import report_of
from batchctl.commands.merging import Output
from batchctl.commands.submit import Submission
from batchctl.domain.choosing import Choice, unknown_words
from batchctl.domain.classifying import KNOWN_TYPES
from batchctl.domain.errors import Refused, UsageProblem
from batchctl.domain.model import Job
from batchctl.domain.plans import Depth
from batchctl.domain.progress import JobReport
from batchctl.files.splice import single_request_body
from batchctl.render.screen import Screen

SENT = 0
NOT_FINISHED = 8
SOME_FAILED = 3


def labels_of(pairs: list[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"--label {pair!r}: like team=evals")
        labels[key] = value
    return labels


def depth_of(word: str) -> Depth:
    if word not in list(Depth):
        raise typer.BadParameter(f"--check {word!r}: {', '.join(Depth)}")
    return Depth(word)


def is_wide(word: str) -> bool:
    if word not in {"", "wide"}:
        raise typer.BadParameter(f"-o {word!r}: the only other format is wide (and --json)")
    return word == "wide"


# ---------------------------------------------------------------------- submit


def submit(common: Common, wanted: Submission, *, dry_run: bool, show: int | None, yes: bool) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        if dry_run:
            return _dry_run(tools, screen, wanted, show)
        job, is_new = _job_to_send(tools, wanted, yes=yes)
        report = submitting.proceed(tools, job, wanted, is_new=is_new)
        screen.submitted(report)
        return _status_of_sending(report)

    run(common, command)


def _job_to_send(tools: Equipment, wanted: Submission, *, yes: bool) -> tuple[Job, bool]:
    """The job that this input is or becomes, and whether it is new."""
    known = submitting.known_job(tools, wanted)
    if known is not None:
        if not submitting.is_open(tools, known):
            raise submitting.already_sent(known)
        return known, False
    planner, given = submitting.check(tools, wanted, sys.stdin.buffer)
    same = submitting.same_input(tools, wanted, given.scan)
    if same is not None:
        planner.discard(given)
        return same, False
    if given.scan.warnings and not yes:
        ask(f"{given.scan.warnings:,} warnings: send {given.scan.count:,} requests all the same?", "--yes")
    return submitting.record(tools, planner, wanted, given), True


def _dry_run(tools: Equipment, screen: Screen, wanted: Submission, show: int | None) -> int:
    planner, given = submitting.check(tools, wanted, sys.stdin.buffer)
    if show is not None and show > given.scan.count:
        raise UsageProblem(f"--show {show:,}: the input has {given.scan.count:,} requests")
    try:
        with planner.rehearsed(given) as (plain, cuts):
            if show is None:
                screen.dry_run(given.scan, [(cut.count, cut.body_bytes) for cut in cuts])
            else:
                screen.payload(single_request_body(plain, cuts, show - 1))
    finally:
        planner.discard(given)
    return SENT


def _status_of_sending(report: JobReport) -> int:
    unsent = any(b.state in submitting.OPEN_STATES for b in report.batches)
    return NOT_FINISHED if unsent else SENT


# ---------------------------------------------------------------------- status


def status(common: Common, word: str | None, *, watch: bool, offline: bool, wide: bool, exit_status: bool) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        if word is None and not watch and not exit_status and not wide:
            screen.jobs(looking.all_jobs(tools))
            return SENT
        job = find_job(tools.ledger, word)
        report, unreachable = looking.status(tools, job, offline=offline)
        if watch and not offline:
            screen.watch(report)
            report, unreachable = looking.watch(tools, job), None
        screen.status(report, wide=wide)
        if unreachable is not None:
            raise unreachable
        return OF_STAGE[report.stage] if exit_status else SENT

    run(common, command)


# ---------------------------------------------------------------------- fetch


def fetch(common: Common, word: str | None, *, output: str, output_dir: Path | None, moved_to: str) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        job = _with_input(tools, find_job(tools.ledger, word), moved_to)
        fetched = fetching.fetch(tools, job, _output(job, output, output_dir))
        screen.fetched(fetched.report, fetched.merged, fetched.output.results, fetched.output.errors)
        return OF_STAGE[fetched.report.stage]

    run(common, command)


def _output(job: Job, output: str, output_dir: Path | None) -> Output:
    folder = output_dir or Path()
    if output_dir is not None and not output_dir.is_dir():
        raise UsageProblem(f"--output-dir {output_dir}: no such folder", hint=f"mkdir -p {output_dir}")
    if output in {"", "-"}:
        results = output or str(folder / f"{job.name}.results.jsonl")
        return Output(results=results, errors=folder / f"{job.name}.errors.jsonl")
    path = folder / output
    stem = path.name.removesuffix(".jsonl").removesuffix(".results")
    return Output(results=str(path), errors=path.with_name(f"{stem}.errors.jsonl"))


# ---------------------------------------------------------------------- retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What a person asked `retry` for. `keeps_file`: write the rebuilt file for them and send nothing."""

    choice: Choice
    keeps_file: bool
    is_for_editing: bool
    edited: Path | None
    output_dir: Path | None
    moved_to: str
    waits: bool


def retry(common: Common, word: str | None, wanted: Retry) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        odd = unknown_words(wanted.choice.only, KNOWN_TYPES)
        job = find_job(tools.ledger, word)
        known = {f.error_type for f in tools.ledger.failures(job)}
        if odd := [w for w in odd if w not in known]:
            raise UsageProblem(f"--only {odd[0]!r} is no class, no outcome and no error type of this job")
        job = _with_input(tools, job, wanted.moved_to)
        if retrying.open_round(tools, job):
            return _send_round(tools, screen, job, wanted, is_new=False)
        retrying.pause_for_account(tools, job, wanted.choice)
        if wanted.keeps_file and wanted.edited is None:
            return _keep_file(tools, screen, job, wanted)
        rebuilt = (
            retrying.use_edited(tools, job, wanted.edited)
            if wanted.edited
            else retrying.rebuild(tools, job, wanted.choice)
        )
        screen.chosen(job.name, rebuilt.number, rebuilt.chosen, rebuilt.path, is_last=not rebuilt.chosen.requests)
        if not rebuilt.chosen.requests:
            retrying.discard(tools, job, rebuilt)
            return _nothing_to_send(screen, job, report_of(tools, job))
        job = retrying.record(tools, job, rebuilt)
        return _send_round(tools, screen, job, wanted, is_new=True)

    run(common, command)


def _send_round(tools: Equipment, screen: Screen, job: Job, wanted: Retry, *, is_new: bool) -> int:
    report = retrying.proceed(tools, job, is_new=is_new, waits=wanted.waits)
    screen.submitted(report)
    return _status_of_sending(report)


def _keep_file(tools: Equipment, screen: Screen, job: Job, wanted: Retry) -> int:
    number = job.rounds[-1].number + 1
    path = (wanted.output_dir or Path()) / f"{job.name}.round-{number}.requests.jsonl"
    if wanted.is_for_editing and path.exists():
        raise Refused(
            f"{path} is there already: it may hold your edits", hint=f"batchctl retry {job.name} --from {path}"
        )
    rebuilt = retrying.rebuild(tools, job, wanted.choice, target=path)
    screen.chosen(job.name, number, rebuilt.chosen, path, is_last=True)
    if not rebuilt.chosen.requests:
        path.unlink()
        return _nothing_to_send(screen, job, report_of(tools, job))
    screen.note(f"nothing was sent; to send it{', once edited' if wanted.is_for_editing else ''}:")
    screen.note(f"next: batchctl retry {job.name} --from {path}")
    return SENT


def _nothing_to_send(screen: Screen, job: Job, report: JobReport) -> int:
    screen.note(f"{job.name}: nothing to send again")
    return SOME_FAILED if report.failures or job.left_out else SENT


# ---------------------------------------------------------------------- all of them


def _with_input(tools: Equipment, job: Job, moved_to: str) -> Job:
    if not moved_to:
        return job
    submitting.use_moved_input(tools, job, moved_to)
    return tools.ledger.job(job.name)
