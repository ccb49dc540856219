"""`retry`: choose, show the choice, send it or leave it in a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from batchctl.cli.exit_status import DONE, SOME_FAILED, status_of_sending
from batchctl.cli.wiring import Common, run
from batchctl.commands import retry as retrying
from batchctl.commands.budget import Budget
from batchctl.commands.equipment import Equipment
from batchctl.commands.finding import find_job
from batchctl.commands.submit import send_rest, use_moved_input
from batchctl.domain.choosing import Choice, unknown_words
from batchctl.domain.classifying import KNOWN_TYPES
from batchctl.domain.errors import Refused, UsageProblem
from batchctl.domain.model import Job
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
    budget: Budget

    @property
    def is_particular(self) -> bool:
        """Whether more was asked for than to go on."""
        return bool(self.keeps_file or self.edited or self.choice != Choice())


def retry(common: Common, word: str | None, wanted: Retry) -> NoReturn:
    def command(tools: Equipment, screen: Screen) -> int:
        odd = unknown_words(wanted.choice.only, KNOWN_TYPES)
        job = find_job(tools.ledger, word)
        known = {f.error_type for f in tools.ledger.failures(job)}
        if odd := [w for w in odd if w not in known]:
            raise UsageProblem(f"--only {odd[0]!r} is no class, no outcome and no error type of this job")
        job = use_moved_input(tools, job, wanted.moved_to)
        with tools.workspace.planning():
            planned, status = _round_to_send(tools, screen, tools.ledger.job(job.name), wanted)
        if planned is None:
            return status
        report = send_rest(tools, planned, is_new=planned.rounds != job.rounds, waits=wanted.waits)
        screen.submitted(report)
        return status_of_sending(report)

    run(common, command)


def _round_to_send(tools: Equipment, screen: Screen, job: Job, wanted: Retry) -> tuple[Job | None, int]:
    """The job with a round to send; or None, and the status to leave with."""
    if retrying.open_round(tools, job):
        if wanted.is_particular:
            raise Refused(
                f"round {job.rounds[-1].number} of {job.name} still has batches to send: no other is made before that",
                hint=f"batchctl retry {job.name}, without options, sends the rest of it",
            )
        if job.canceled_at is not None:
            raise Refused(
                f"{job.name} was canceled: what was not sent then goes only after a yes",
                hint=f"batchctl submit {job.name} --yes",
            )
        wanted.budget.of(job).hold_rest(tools, job)
        wanted.budget.record(tools, job)
        return job, DONE
    path = _path_to_keep(job, wanted)
    rebuilt = (
        retrying.use_edited(tools, job, wanted.edited)
        if wanted.edited
        else retrying.rebuild(tools, job, wanted.choice, target=path)
    )
    chosen = rebuilt.chosen
    is_last, budget = wanted.keeps_file or not chosen.requests, wanted.budget.of(job)
    screen.chosen(job.name, rebuilt.number, chosen, rebuilt.path, is_last=is_last)
    # What is to be edited may be made cheaper by that.
    is_rehearsal = wanted.keeps_file and not wanted.is_for_editing and bool(chosen.requests)
    refusal = retrying.refusal(tools, job, rebuilt, budget) if is_rehearsal else None
    if is_last or retrying.account_is_cause(chosen, wanted.choice):
        retrying.discard(tools, job, rebuilt, keeps_file=path is not None and bool(chosen.requests))
    retrying.pause_for_account(tools, job, chosen, wanted.choice)
    if not is_last:
        rebuilt = retrying.agreed(tools, job, rebuilt, budget)
        wanted.budget.record(tools, job)
        # A new round is a person's word to send; before it, nothing was left that the cancel had kept back.
        tools.ledger.record_canceled(job, None)
        return retrying.record(tools, job, rebuilt), DONE
    if not chosen.requests:
        screen.note(f"{job.name}: nothing to send again")
        return None, SOME_FAILED if chosen.left or job.left_out else DONE
    screen.note("nothing was sent")
    if path is not None:
        screen.note(f"next: batchctl retry {job.name} --from {path}")
    if refusal is not None:
        raise refusal
    return None, DONE


def _path_to_keep(job: Job, wanted: Retry) -> Path | None:
    """Where a person wants the rebuilt file. Raises Refused where it would take the place of their edits."""
    if not wanted.keeps_file or wanted.edited is not None:
        return None
    path = (wanted.output_dir or Path()) / f"{job.name}.round-{job.rounds[-1].number + 1}.requests.jsonl"
    if wanted.is_for_editing and path.exists():
        raise Refused(
            f"{path} is there already: it may hold your edits", hint=f"batchctl retry {job.name} --from {path}"
        )
    return path
