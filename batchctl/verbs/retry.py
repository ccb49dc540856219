"""`retry [JOB]`: what failed and can succeed, sent again as the next round, from the original bytes.

The steps are those of `verbs.next_round`. A round that is recorded and not all sent is continued instead: no other is made
before that.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from batchctl.domain.errors import Refused, UsageProblem
from batchctl.domain.headers import NO_CHANGE, HeaderChange
from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Job
from batchctl.domain.names import job_of_request_file, request_file_name
from batchctl.domain.outcomes import KNOWN_TYPES, OTHER_TYPES
from batchctl.domain.states import OPEN_STATES
from batchctl.domain.wording import of_total
from batchctl.engine.retry_choice import Choice, unknown_words
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import NO_LIMIT, Budget
from batchctl.money.estimate import Estimate
from batchctl.requests.grouping import group_requests
from batchctl.requests.param_changes import ParamChange
from batchctl.results.outputs import WrittenFiles, refuse_to_replace
from batchctl.verbs.check_again import check_rest
from batchctl.verbs.confirmation import Confirm
from batchctl.verbs.find_job import find_job
from batchctl.verbs.headers import record_headers, use_api_version, wanted_headers
from batchctl.verbs.next_round import (
    Rebuilt,
    discard,
    estimating_of,
    pause_for_account,
    plan_round,
    rebuild,
    rebuild_edited,
)
from batchctl.verbs.submit import continued_by, send_rest, use_moved_input

# What passes by itself, and what was never sent.
USUAL_CHOICE = Choice()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What a person asked `retry` for.

    Attributes:
        choice: Which requests are sent again.
        keeps_file: Whether the requests are written to a file for the person, and nothing is sent.
        is_for_editing: Whether the person will edit that file.
        edited: A file that the person edited, to be sent.
        output_dir: The folder of the file that is kept; None for the current one.
        moved_to: Where the input of the job is now; empty where it did not move.
        waits: Whether a full queue of the API is waited out.
        budget: The limit and the yes that were given beforehand.
        change: Of the headers of what is still to be sent.
        param_changes: Of the params of what is sent again.
        in_command: Writes a path as it stands in a command.
    """

    choice: Choice = USUAL_CHOICE
    keeps_file: bool = False
    is_for_editing: bool = False
    edited: Path | None = None
    output_dir: Path | None = None
    moved_to: str = ""
    waits: bool = True
    budget: Budget = NO_LIMIT
    change: HeaderChange = NO_CHANGE
    param_changes: tuple[ParamChange, ...] = ()
    in_command: Callable[[Path], str] = lambda path: shlex.quote(str(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundChoice:
    """What a retry sends again, and what it would cost.

    Attributes:
        job: The job.
        rebuilt: The round.
        path: The file that holds its requests.
        is_last: Whether nothing follows: no request is chosen, or the file is kept for the person.
        estimate: What the round would cost; None where it is sent, since its price is agreed to then.
    """

    job: Job
    rebuilt: Rebuilt
    path: Path
    is_last: bool
    estimate: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """How a retry ended.

    Attributes:
        report: The job once the round is sent; None where nothing was to be sent.
        choice: What was chosen; None where a round that was there already was continued.
        refusal: What the limit of the job says to sending the file that was kept; None where it says nothing.
    """

    report: JobReport | None
    choice: RoundChoice | None
    refusal: Refused | None = None


def retry(
    session: Session,
    word: str | None,
    wanted: Retry,
    *,
    confirm: Confirm,
    show: Callable[[RoundChoice], None],
    begin: Callable[[Job], object] = lambda _: None,
) -> Retried:
    """Plan and send the next round of a job, or continue the one that is not all sent.

    Args:
        session: The session of the verb.
        word: Names the job; None for the latest, or for that of the edited file.
        wanted: What the person asked for.
        confirm: Asks the person about the price and the dangers.
        show: Receives the choice before anything is agreed to.
        begin: Receives the job before anything is done.

    Raises:
        UsageProblem: Options contradict each other, or would be ignored.
        Refused: A round cannot be planned now, or nobody agrees to it. Nothing was sent.
        InputProblem: A request cannot be sent. Nothing was sent.
        AccountProblem: The account was the cause of failures; or what stops the sending.
    """
    _refuse_contradictions(wanted)
    job = find_job(session.ledger, word or (job_of_request_file(wanted.edited.name) if wanted.edited else None))
    begin(job)
    _refuse_unknown_words(session, job, wanted.choice)
    job = use_moved_input(session, job, wanted.moved_to)
    with session.workspace.planning():
        seen = session.ledger.job(job.name)
        headers = wanted_headers(session, seen, wanted.change)
        # From here on all is checked, estimated and asked with the headers that it is to be sent with.
        settings = replace(seen.settings, api_version=headers.api_version, betas=headers.betas)
        job = use_api_version(session, replace(seen, settings=settings))
        rebuilt = None if _continues_round(session, seen, job, wanted) else _rebuilt(session, job, wanted)
    choice = None
    budget = wanted.budget.of(job)
    if rebuilt is not None:
        choice, refusal = _shown(session, job, rebuilt, wanted, show)
        if choice.is_last:
            if not wanted.keeps_file:
                # Nothing is left to send now; they hold for a later round all the same.
                record_headers(session, seen, job.settings.headers)
                wanted.budget.record(session, job)
            return Retried(report=None, choice=choice, refusal=refusal)
        plan_round(session, job, rebuilt, budget, seen=seen, confirm=confirm)
    # What makes a round is not repeated: the same command would ask for another one. A yes to what cannot be known holds
    # against a limit only where it is given again.
    needs_yes = budget.yes and budget.limit is not None
    with continued_by(f"batchctl retry {job.name}{' --yes' if needs_yes else ''}"):
        report = send_rest(session, session.ledger.job(job.name), is_new=rebuilt is not None, waits=wanted.waits)
    return Retried(report=report, choice=choice)


def _refuse_contradictions(wanted: Retry) -> None:
    """Raise UsageProblem for options that contradict each other, and for one that would be ignored."""
    if wanted.edited and (wanted.is_for_editing or wanted.param_changes or wanted.choice != USUAL_CHOICE):
        raise UsageProblem(
            "--from FILE excludes --only, --include-*, --set and --edit: the file holds the requests to send"
        )
    if problem := wanted.change.problem():
        raise UsageProblem(problem)
    if wanted.output_dir is not None and not wanted.keeps_file:
        raise UsageProblem("--output-dir needs --dry-run or --edit: otherwise no file is written")
    if wanted.change != NO_CHANGE and wanted.keeps_file:
        raise UsageProblem(
            "--dry-run and --edit send nothing, so that they cannot change the headers of the job",
            hint=f"add to the command that sends the requests: {wanted.change.options()}",
        )


def _refuse_unknown_words(session: Session, job: Job, choice: Choice) -> None:
    known = {failure.error_type for failure in session.ledger.failures(job)}
    unknown = [word for word in unknown_words(choice.only, KNOWN_TYPES) if word not in known]
    if unknown and OTHER_TYPES not in known:
        raise UsageProblem(f"--only {unknown[0]!r} is not a class, an outcome or an error type of this job")


def _continues_round(session: Session, seen: Job, job: Job, wanted: Retry) -> bool:
    """Return whether a round is still to be sent, as it was agreed to; then its headers and limit are recorded.

    `seen` is the job as the ledger has it, `job` the same with the headers that it is to have. Raises Refused where more is
    asked for than to continue the round, and where results are outstanding.
    """
    if not open_round(session, job):
        return False
    if job.canceled_at is not None:
        raise Refused(
            f"{job.name} was canceled; pass --yes to send the rest",
            hint=f"batchctl submit {job.name} --yes",
        )
    if wanted.keeps_file or wanted.edited or wanted.param_changes or wanted.choice != USUAL_CHOICE:
        raise Refused(
            f"round {job.rounds[-1].number} of {job.name} still has batches to send, so that no new round can begin",
            hint=f"send the rest first: batchctl retry {job.name}",
        )
    wanted.budget.of(job).enforce_rest(session, job)
    check_rest(session, seen, job.settings.headers)
    record_headers(session, seen, job.settings.headers)
    wanted.budget.record(session, job)
    return True


def open_round(session: Session, job: Job) -> bool:
    """Return whether the newest round has batches to send. Raises Refused while results or requests are outstanding."""
    if not job.has_requests:
        raise Refused(
            f"{job.name} was attached without its input: its requests are not known",
            hint=f"batchctl attach {job.name} --input FILE",
        )
    if job.awaits_first_batch:
        raise Refused(
            f"the first batch of {job.name} is not judged yet, so that most of its requests were not sent",
            hint=f"batchctl submit {job.name}",
        )
    batches = [b for b in session.ledger.batches(job) if not b.is_unattached]
    if any(b.state in OPEN_STATES for b in batches):
        return True
    waiting = [b for b in batches if not b.is_settled]
    if waiting:
        raise Refused(
            f"not downloaded yet: {of_total(len(waiting), len(batches), 'batch')} of {job.name}; the failed requests are not all known",
            hint=f"batchctl status {job.name} --watch, then batchctl fetch {job.name}",
        )
    return False


def _rebuilt(session: Session, job: Job, wanted: Retry) -> Rebuilt:
    if wanted.edited:
        return rebuild_edited(session, job, wanted.edited)
    path = None
    if wanted.keeps_file:
        path = (wanted.output_dir or Path()) / request_file_name(job.name, job.rounds[-1].number + 1)
        if wanted.is_for_editing and path.exists():
            raise Refused(
                f"{path} already exists and may hold your edits",
                hint=f"batchctl retry {job.name} --from {wanted.in_command(path)}",
            )
        written = WrittenFiles(session.workspace.outputs(job.name))
        refuse_to_replace(path, written, elsewhere="use another folder: --output-dir DIR", forcing="")
    choice = wanted.choice
    if job.withheld and wanted.param_changes and not choice.only:
        # What is withheld, and what was refused before it, is fixed by a change.
        choice = replace(choice, include_invalid=True)
    return rebuild(session, job, choice, wanted.param_changes, path, is_for_editing=wanted.is_for_editing)


def _shown(
    session: Session, job: Job, rebuilt: Rebuilt, wanted: Retry, show: Callable[[RoundChoice], None]
) -> tuple[RoundChoice, Refused | None]:
    """Show the choice; of a rehearsal with what it would cost, and what a limit would say to that.

    Raises AccountProblem where the account was the cause of failures.
    """
    is_rehearsal = wanted.keeps_file and bool(rebuilt.chosen.requests)
    keeps_file = is_rehearsal and wanted.edited is None
    price, refusal = None, None
    if is_rehearsal:
        price = estimating_of(session, job, rebuilt, group_requests(rebuilt.path))(None)
        try:
            wanted.budget.of(job).rehearse(session, price, job)
        except Refused as refused:
            # What is to be edited may be made cheaper by that.
            refusal = None if wanted.is_for_editing else refused
    choice = RoundChoice(
        job=job,
        rebuilt=rebuilt,
        path=wanted.edited or rebuilt.path,
        is_last=wanted.keeps_file or not rebuilt.chosen.requests,
        estimate=price,
    )
    show(choice)
    pause_for_account(session, job, rebuilt, wanted.choice, keeps_file=keeps_file)
    if choice.is_last:
        discard(session, job, rebuilt, keeps_file=keeps_file)
    return choice, refusal
