"""`retry`: choose, show the choice, send it or leave it in a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from batchctl.cli.exit_status import DONE, SOME_FAILED, status_of_sending
from batchctl.cli.wiring import Common, run
from batchctl.commands import retry as retrying
from batchctl.commands.equipment import Equipment
from batchctl.commands.finding import find_job
from batchctl.commands.looking import report_of
from batchctl.commands.submit import use_moved_input
from batchctl.domain.choosing import Choice, unknown_words
from batchctl.domain.classifying import KNOWN_TYPES
from batchctl.domain.errors import Refused, UsageProblem
from batchctl.domain.model import Job
from batchctl.domain.progress import JobReport
from batchctl.render.screen import Screen


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
        job = use_moved_input(tools, job, wanted.moved_to)
        if wanted.keeps_file and wanted.edited is None and not retrying.open_round(tools, job):
            retrying.pause_for_account(tools, job, wanted.choice)
            return _keep_file(tools, screen, job, wanted)
        with tools.workspace.planning():
            planned, is_new = _round_to_send(tools, screen, tools.ledger.job(job.name), wanted)
        if planned is None:
            return _nothing_to_send(screen, job, report_of(tools, job))
        return _send_round(tools, screen, planned, wanted, is_new=is_new)

    run(common, command)


def _round_to_send(tools: Equipment, screen: Screen, job: Job, wanted: Retry) -> tuple[Job | None, bool]:
    """The job with a round to send, and whether it is new; None where nothing is left that was asked for."""
    if retrying.open_round(tools, job):
        return job, False
    retrying.pause_for_account(tools, job, wanted.choice)
    rebuilt = (
        retrying.use_edited(tools, job, wanted.edited) if wanted.edited else retrying.rebuild(tools, job, wanted.choice)
    )
    is_empty = not rebuilt.chosen.requests
    screen.chosen(job.name, rebuilt.number, rebuilt.chosen, rebuilt.path, is_last=is_empty)
    if is_empty:
        retrying.discard(tools, job, rebuilt)
        return None, False
    return retrying.record(tools, job, rebuilt), True


def _send_round(tools: Equipment, screen: Screen, job: Job, wanted: Retry, *, is_new: bool) -> int:
    report = retrying.proceed(tools, job, is_new=is_new, waits=wanted.waits)
    screen.submitted(report)
    return status_of_sending(report)


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
    return DONE


def _nothing_to_send(screen: Screen, job: Job, report: JobReport) -> int:
    screen.note(f"{job.name}: nothing to send again")
    return SOME_FAILED if report.failures or job.left_out else DONE
