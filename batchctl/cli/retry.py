"""`retry`: choose, show the choice, send it or leave it in a file."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from batchctl.cli.agreeing import agreed
from batchctl.cli.exit_status import DONE, SOME_FAILED, status_of_sending
from batchctl.cli.wiring import GlobalOptions, continued_by, run
from batchctl.domain.errors import Refused, UsageProblem
from batchctl.domain.headers import NO_CHANGE, HeaderChange
from batchctl.domain.model import Job
from batchctl.domain.names import job_of_request_file, request_file_name
from batchctl.domain.outcomes import KNOWN_TYPES, OTHER_TYPES
from batchctl.engine.choosing import Choice, unknown_words
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import Budget
from batchctl.render.text import clean
from batchctl.render.writer import ReportWriter
from batchctl.requests.param_changes import ParamChange
from batchctl.results.outputs import WrittenFiles, refuse_to_replace
from batchctl.verbs import retry as retrying
from batchctl.verbs.edited import check_rest
from batchctl.verbs.finding import find_job
from batchctl.verbs.headers import record_headers, speak_as, wanted_headers
from batchctl.verbs.retry import Rebuilt
from batchctl.verbs.submit import send_rest, use_moved_input


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
    change: HeaderChange = NO_CHANGE
    param_changes: tuple[ParamChange, ...] = ()

    @property
    def is_particular(self) -> bool:
        """Whether more was asked for than to go on."""
        return bool(self.keeps_file or self.edited or self.param_changes or self.choice != Choice())


def retry(global_options: GlobalOptions, word: str | None, wanted: Retry) -> NoReturn:
    def command(session: Session, writer: ReportWriter) -> int:
        odd = unknown_words(wanted.choice.only, KNOWN_TYPES)
        if wanted.edited and (wanted.is_for_editing or wanted.param_changes or wanted.choice != Choice()):
            raise UsageProblem(
                "--from FILE holds the requests as they are to be sent: --only, --include-*, --set and --edit go without it"
            )
        _refuse_what_is_not_used(wanted)
        of_file = job_of_request_file(wanted.edited.name) if wanted.edited else None
        job = find_job(session.ledger, word or of_file)
        known = {f.error_type for f in session.ledger.failures(job)}
        if OTHER_TYPES not in known and (odd := [w for w in odd if w not in known]):
            raise UsageProblem(f"--only {odd[0]!r} is no class, no outcome and no error type of this job")
        job = use_moved_input(session, job, wanted.moved_to)
        with session.workspace.planning():
            seen = session.ledger.job(job.name)
            # From here on all is checked, estimated and asked with the headers that it is to be sent with.
            job = speak_as(session, _with_headers(session, seen, wanted))
            rebuilt = None if _goes_on(session, seen, job, wanted) else _rebuilt(session, writer, job, wanted)
        if rebuilt is not None:
            if (status := _shown(session, writer, job, rebuilt, wanted)) is not None:
                if not wanted.keeps_file:
                    # Nothing is left to send now; of a later round it holds all the same.
                    record_headers(session, seen, job.settings.headers)
                    wanted.budget.record(session, job)
                return status
            agreed_to = _agreed(session, writer, job, rebuilt, wanted)
            _record(session, seen, job, agreed_to, wanted)
        # What makes a round is not repeated: the same words would ask for another one.
        with continued_by(_going_on(job, wanted)):
            report = send_rest(session, session.ledger.job(job.name), is_new=rebuilt is not None, waits=wanted.waits)
        writer.write_submitted(report)
        return status_of_sending(report)

    run(global_options, command)


def _going_on(job: Job, wanted: Retry) -> str:
    """The command that sends the rest of a round. A yes to what cannot be told holds against a limit only where it is said."""
    needs_yes = wanted.budget.yes and wanted.budget.of(job).limit is not None
    return f"batchctl retry {job.name}{' --yes' if needs_yes else ''}"


def _refuse_what_is_not_used(wanted: Retry) -> None:
    """Raises UsageProblem for an option that would be ignored."""
    if problem := wanted.change.problem():
        raise UsageProblem(problem)
    if wanted.output_dir is not None and not wanted.keeps_file:
        raise UsageProblem(
            "--output-dir is where --dry-run and --edit write the requests: without them, no file is written"
        )
    if wanted.change != NO_CHANGE and wanted.keeps_file:
        raise UsageProblem(
            "--dry-run and --edit send nothing, and change nothing of the job: its headers are named when it is sent",
            hint=f"add to the command that sends it: {wanted.change.options()}",
        )


def _with_headers(session: Session, job: Job, wanted: Retry) -> Job:
    headers = wanted_headers(session, job, wanted.change)
    return replace(job, settings=replace(job.settings, api_version=headers.api_version, betas=headers.betas))


def _goes_on(session: Session, seen: Job, job: Job, wanted: Retry) -> bool:
    """Whether a round is still to be sent, as it was agreed to: no other is made before that."""
    if not retrying.open_round(session, job):
        return False
    if job.canceled_at is not None:
        raise Refused(
            f"{job.name} was canceled: what was not sent then goes only after a yes",
            hint=f"batchctl submit {job.name} --yes",
        )
    if wanted.is_particular:
        raise Refused(
            f"round {job.rounds[-1].number} of {job.name} still has batches to send: no other is made before that",
            hint=f"batchctl retry {job.name}, without options, sends the rest of it",
        )
    wanted.budget.of(job).hold_rest(session, job)
    check_rest(session, seen, job.settings.headers)
    record_headers(session, seen, job.settings.headers)
    wanted.budget.record(session, job)
    return True


def _rebuilt(session: Session, writer: ReportWriter, job: Job, wanted: Retry) -> Rebuilt:
    if wanted.edited:
        return retrying.use_edited(session, job, wanted.edited)
    path = _path_to_keep(session, writer, job, wanted)
    return retrying.rebuild(
        session, job, wanted.choice, wanted.param_changes, path, is_for_editing=wanted.is_for_editing
    )


def _shown(session: Session, writer: ReportWriter, job: Job, rebuilt: Rebuilt, wanted: Retry) -> int | None:
    """The choice, and what it would cost where that is all. The status to leave with; None where it is to be sent."""
    chosen = rebuilt.chosen
    is_last = wanted.keeps_file or not chosen.requests
    # What is to be edited may be made cheaper by that.
    is_rehearsal = wanted.keeps_file and bool(chosen.requests)
    price, refusal = retrying.rehearsed(session, job, rebuilt, wanted.budget.of(job)) if is_rehearsal else (None, None)
    path = wanted.edited or rebuilt.path
    writer.write_retry(job.name, rebuilt.number, chosen, path, is_last=is_last, price=price)
    if is_last or retrying.account_is_cause(chosen, wanted.choice):
        retrying.discard(session, job, rebuilt, keeps_file=is_rehearsal and wanted.edited is None)
    retrying.pause_for_account(session, job, chosen, wanted.choice)
    if not is_last:
        return None
    if not chosen.requests:
        writer.note(f"{job.name}: nothing to send again")
        return SOME_FAILED if chosen.left or job.left_out else DONE
    writer.note("nothing was sent")
    writer.write_next_command(f"batchctl retry {job.name} --from {writer.options.path(path)}")
    if refusal is not None and not wanted.is_for_editing:
        raise refusal
    return DONE


def _agreed(session: Session, writer: ReportWriter, job: Job, rebuilt: Rebuilt, wanted: Retry) -> Rebuilt:
    """At its price, and as they are. Nobody else waits for a person's answer: who plans the same round meanwhile is first."""
    danger = retrying.look_elsewhere(session, job, rebuilt).danger
    budget, what = wanted.budget.of(job), _what(rebuilt, danger)
    if danger and budget.yes:
        # Who said yes beforehand reads it all the same.
        writer.note(f"! {what}")
    needs_yes = bool(rebuilt.chosen.cut or rebuilt.warnings or danger)
    return retrying.agreed(
        session, job, rebuilt, lambda of: agreed(session, writer, budget, of, what, job, needs_yes=needs_yes)
    )


def _what(rebuilt: Rebuilt, danger: str) -> str:
    """`danger`: of requests that were never sent from here."""
    before, unsent = rebuilt.chosen.requests - rebuilt.unsent, ""
    if rebuilt.unsent:
        unsent = f"{rebuilt.unsent:,} requests for the first time{f' ({danger})' if danger else ''}"
    again = f"send {before:,} requests again" if before else "send"
    if unsent:
        again += f" and {unsent}" if before else f" {unsent}"
    if rebuilt.changes:
        again += f" with {clean(', '.join(rebuilt.changes))}"
    if rebuilt.warnings:
        again += f", {rebuilt.warnings:,} warnings all the same"
    if not rebuilt.chosen.cut:
        return again
    return (
        f"{again}, {rebuilt.chosen.cut:,} of them unchanged after an answer that was cut or paused: it may end the same way"
        " (--set max_tokens=N makes room)"
    )


def _record(session: Session, seen: Job, job: Job, rebuilt: Rebuilt, wanted: Retry) -> None:
    """`seen`: the job as it was when the price was worked out. Raises Refused where it is another by now: nothing is changed."""
    with session.workspace.planning():
        try:
            _refuse_other_than_agreed(session, seen)
            record_headers(session, seen, job.settings.headers)
        except Refused:
            retrying.discard(session, job, rebuilt, keeps_file=False)
            raise
        # First the limit: a round that stands is sent by whoever goes on with the job.
        wanted.budget.record(session, job)
        # A new round is a person's word to send; before it, nothing is left that the cancel had kept back.
        session.ledger.record_canceled(job, None)
        retrying.record(session, job, rebuilt)


def _refuse_other_than_agreed(session: Session, seen: Job) -> None:
    if _agreed_to(session.ledger.job(seen.name)) != _agreed_to(seen):
        raise Refused(
            f"{seen.name} was changed by another process while its price was agreed to: nothing was sent",
            hint="run the same command again",
        )


def _agreed_to(job: Job) -> tuple[object, ...]:
    """What a person's yes rests on besides the requests."""
    return job.rounds[-1].number, job.settings.headers, job.max_cost


def _path_to_keep(session: Session, writer: ReportWriter, job: Job, wanted: Retry) -> Path | None:
    """Where a person wants the rebuilt file. Raises Refused where it would take the place of their edits, or of another file."""
    if not wanted.keeps_file:
        return None
    path = (wanted.output_dir or Path()) / request_file_name(job.name, job.rounds[-1].number + 1)
    if wanted.is_for_editing and path.exists():
        raise Refused(
            f"{path} is there already: it may hold your edits",
            hint=f"batchctl retry {job.name} --from {writer.options.path(path)}",
        )
    written = WrittenFiles(session.workspace.outputs(job.name))
    refuse_to_replace(path, written, elsewhere="name another folder with --output-dir", forcing="")
    return path
