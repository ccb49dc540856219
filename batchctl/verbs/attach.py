"""`attach ID...`: a job of batches that were made elsewhere. Nothing is sent, and nothing changes at the API.

1. ask      the API for every batch that was named
2. record   job, round and batches, all or nothing; what their requests were is not known
3. match    the batches with the input: which line went into which batch (`verbs.attach_input`)
A stop before 2 leaves nothing; one after it leaves a job without its input, and the same command continues with 3. An input
that is not the one of these batches takes 2 back.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import BinaryIO

from batchctl.domain.api_failures import AfterRead, after_read
from batchctl.domain.attaching import (
    cuts_without_requests,
    ids_problem,
    is_id,
    list_some,
    may_be,
    sorted_by_creation,
    stand_in_sha256,
)
from batchctl.domain.errors import ApiFailure, InputProblem, Refused, UsageProblem
from batchctl.domain.events import Attached
from batchctl.domain.headers import beta_problem
from batchctl.domain.job_report import JobReport
from batchctl.domain.limits import API_VERSION
from batchctl.domain.model import Job, MessageBatch, ProcessingStatus, Round, Settings
from batchctl.domain.names import job_name, name_problem
from batchctl.domain.wording import of_total
from batchctl.engine.job_report import read_report
from batchctl.engine.poll import RETRIEVE_UP_TO, ask_until_answered
from batchctl.engine.session import Session
from batchctl.requests.attached_input import AttachedInput
from batchctl.requests.inputs import STDIN, input_name
from batchctl.verbs.attach_input import detach, give_input, reading
from batchctl.verbs.headers import use_api_version

STEM = "attached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What a person asked `attach` for.

    Attributes:
        words: Ids of batches, `-` for more of them from stdin, or the name of a job without its input.
        path: The input of the batches; empty where it is not given.
        name: The name of the job; empty for one made of the input's.
        api_version: The anthropic-version header of what is sent later; None for the usual one.
        betas: The anthropic-beta header of what is sent later.
        labels: Labels of the job.
    """

    words: tuple[str, ...]
    path: str = ""
    name: str = ""
    api_version: str | None = None
    betas: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)


def attach(session: Session, wanted: Attachment, stdin: BinaryIO | None) -> JobReport:
    """Make a job of batches, or give a job of them its input, and return the job.

    Raises UsageProblem, Refused and InputProblem where that is refused; then nothing is recorded.
    """
    if problem := name_problem(wanted.name) or beta_problem(wanted.betas):
        raise UsageProblem(problem)
    ids = _ids(session, wanted, stdin)
    job = _without_input(session, wanted, ids)
    if job is not None:
        as_wanted = use_api_version(session, _as_wanted(job, wanted))
        with reading(session, wanted.path, stdin) as (given, matching):
            give_input(session, as_wanted, given, matching)
        return read_report(session, job)
    message_batches = sorted_by_creation(_asked_for(session, ids))
    if not wanted.path:
        return read_report(session, _record(session, wanted, message_batches, None))
    _refuse_running(message_batches)
    with reading(session, wanted.path, stdin) as (given, matching):
        job = _record(session, wanted, message_batches, given)
        try:
            give_input(session, job, given, matching)
        except (InputProblem, Refused):
            detach(session, job)
            raise
    return read_report(session, job)


# ---------------------------------------------------------------- what was named


def _ids(session: Session, wanted: Attachment, stdin: BinaryIO | None) -> list[str]:
    """Return the ids that were named. Raises UsageProblem where the words are neither different ids nor one job."""
    if STDIN in wanted.words and wanted.path == STDIN:
        raise UsageProblem("stdin can hold either the ids or the input, not both", hint="pass --input FILE")
    ids: list[str] = []
    for word in wanted.words:
        ids += _from_stdin(stdin) if word == STDIN else [word]
    if len(ids) == 1 and not is_id(ids[0]):
        named = next((job for job in session.ledger.jobs() if job.name == ids[0]), None)
        if named is not None and named.has_requests:
            raise Refused(f"{named.name} already has its input", hint=f"batchctl status {named.name}")
        if named is not None:
            return [b.message_batch_id for b in session.ledger.batches(named) if b.message_batch_id]
    if problem := ids_problem(ids):
        raise UsageProblem(problem)
    return ids


def _from_stdin(stdin: BinaryIO | None) -> list[str]:
    text = stdin.read().decode(errors="replace") if stdin is not None else ""
    ids = [line.strip() for line in text.split("\n") if line.strip()]
    if not ids:
        raise UsageProblem("-: stdin holds no id", hint="write one id per line")
    return ids


def _without_input(session: Session, wanted: Attachment, ids: Sequence[str]) -> Job | None:
    """Return the job of exactly these batches, which lacks the input that is given; None where no batch is in a job.

    Raises Refused in every other case.
    """
    job_names = session.ledger.jobs_of_message_batches(set(ids))
    if not job_names:
        return None
    name = job_names[next(one for one in ids if one in job_names)]
    job = session.ledger.job(name)
    is_whole = set(job_names.values()) == {name} and len(job_names) == len(ids) == len(session.ledger.batches(job))
    if job.has_requests or not (wanted.path and is_whole):
        raise _taken(ids, job_names, job)
    if wanted.name not in {"", name}:
        raise UsageProblem(f"these batches are already job {name}, and a job keeps its name", hint="remove --name")
    return job


def _taken(ids: Sequence[str], job_names: dict[str, str], job: Job) -> Refused:
    taken = list_some([f"{one} in {job_names[one]}" for one in ids if one in job_names])
    hint = f"details: batchctl status {job.name}; or pass only the other batches"
    if not job.has_requests:
        hint = f"add the input of {job.name}: batchctl attach {job.name} --input FILE"
    return Refused(f"already in a job of this workspace: {taken}", hint=hint)


def _as_wanted(job: Job, wanted: Attachment) -> Job:
    """Return the job with the headers and labels that are named now in place of those it was attached with."""
    settings = replace(
        job.settings,
        api_version=wanted.api_version or job.settings.api_version,
        betas=wanted.betas or job.settings.betas,
        labels=wanted.labels or job.settings.labels,
    )
    return replace(job, settings=settings)


# ---------------------------------------------------------------- 1. ask


def _asked_for(session: Session, ids: Sequence[str]) -> list[MessageBatch]:
    """Return the batches in the order in which they were named. Raises UsageProblem and Refused where they make no job."""
    by_id: dict[str, MessageBatch] = {}
    if len(ids) > RETRIEVE_UP_TO:
        by_id = _listed(session, set(ids))
    for message_batch_id in ids:
        if message_batch_id not in by_id and (
            retrieved := ask_until_answered(session, partial(_retrieved, session, message_batch_id))
        ):
            by_id[message_batch_id] = retrieved
    if unknown := [each for each in ids if each not in by_id]:
        raise UsageProblem(
            f"the API does not know {list_some(unknown)}",
            hint="check the ids and ANTHROPIC_API_KEY: they may be deleted, or belong to another API workspace",
        )
    _refuse_archived([seen for seen in by_id.values() if seen.archived_at is not None])
    _refuse_unconfirmed(session, list(by_id.values()))
    # To another key they will be unknown, which is what deleted ones are, too.
    ask_until_answered(session, session.server.meet)
    empty = [seen.id for seen in by_id.values() if not seen.size]
    if empty:
        raise Refused(
            f"the API does not report the number of requests of {list_some(empty)}",
            hint="run the same command again later",
        )
    return [by_id[each] for each in ids]


def _listed(session: Session, ids: Collection[str]) -> dict[str, MessageBatch]:
    """Return the batches that the newest pages of the API's list show, by id.

    No more pages are read than requests would be made for the batches that are missing.
    """
    by_id: dict[str, MessageBatch] = {}
    after, pages = "", 0
    while len(ids) - len(by_id) > max(RETRIEVE_UP_TO, pages):
        page = ask_until_answered(session, partial(session.server.page, after))
        by_id.update((seen.id, seen) for seen in page.batches if seen.id in ids)
        after, pages = page.after, pages + 1
        if not after:
            break
    return by_id


def _retrieved(session: Session, message_batch_id: str) -> MessageBatch | None:
    try:
        return session.message_batches.retrieve(message_batch_id).batch
    except ApiFailure as failure:
        if after_read(failure) is AfterRead.GONE:
            return None
        raise


def _refuse_archived(archived: Sequence[MessageBatch]) -> None:
    if archived:
        names = list_some([seen.id for seen in archived])
        raise Refused(
            f"the API archived {names}, so that the results no longer exist",
            hint="the API keeps results for 29 days; attach only the other batches",
        )


def _refuse_unconfirmed(session: Session, message_batches: Sequence[MessageBatch]) -> None:
    """Refuse the Message Batch of an unconfirmed batch: taken by another job, that batch would be sent, and paid for, again."""
    for unconfirmed_batch in session.ledger.unconfirmed_batches():
        if seen := next((seen for seen in message_batches if may_be(unconfirmed_batch, seen)), None):
            job = session.ledger.job_of(unconfirmed_batch)
            raise Refused(
                f"{seen.id} may be a batch that {job.name} is sending, or an unconfirmed batch of it",
                hint=f"reconcile it first: batchctl submit {job.name}",
            )


def _refuse_running(message_batches: Sequence[MessageBatch]) -> None:
    running = [seen.id for seen in message_batches if seen.processing_status is not ProcessingStatus.ENDED]
    if running:
        raise Refused(
            f"not ended: {of_total(len(running), len(message_batches), 'batch')}: {list_some(running)}. Their results are needed to assign"
            " the lines of the input",
            hint="attach them without --input now, and again with --input after they have ended",
        )


# ---------------------------------------------------------------- 2. record


def _record(
    session: Session, wanted: Attachment, message_batches: Sequence[MessageBatch], given: AttachedInput | None
) -> Job:
    """Record the job in one transaction. Raises Refused where another process was first with one of the batches."""
    places = cuts_without_requests(message_batches)
    with session.workspace.planning():
        job = _job(session, wanted, message_batches, given)
        session.workspace.job_folder(job.name)
        api = session.server.account.stored()
        if not session.ledger.record_attached(
            job, list(zip(places, message_batches, strict=True)), session.now(), api=api
        ):
            _without_input(session, Attachment(words=()), [seen.id for seen in message_batches])
            _refuse_unconfirmed(session, message_batches)
            raise Refused("another process attached one of these batches", hint="run the same command again")
    recorded = session.ledger.job(job.name)
    session.emit(Attached(recorded, session.ledger.batches(recorded)))
    return recorded


def _job(
    session: Session, wanted: Attachment, message_batches: Sequence[MessageBatch], given: AttachedInput | None
) -> Job:
    """Return the job without its input; `given` serves for its name alone. Raises UsageProblem where the name is taken."""
    names = {job.name for job in session.ledger.jobs()}
    if wanted.name in names:
        raise UsageProblem(f"a job with the name {wanted.name!r} already exists", hint="use another --name")
    stand_in = stand_in_sha256([seen.id for seen in message_batches])
    name = job_name(input_name(wanted.path), given.sha256, names) if given else job_name(STEM, stand_in, names)
    count = sum(seen.size or 0 for seen in message_batches)
    began = min((seen.created_at for seen in message_batches if seen.created_at), default=session.now())
    return Job(
        id=0,
        name=wanted.name or name,
        input_path="",
        input_sha256=stand_in,
        input_size=0,
        input_mtime_ns=0,
        line_count=count,
        left_out=0,
        settings=Settings(
            api_version=wanted.api_version or API_VERSION, betas=wanted.betas, labels=dict(wanted.labels)
        ),
        created_at=began,
        rounds=(Round(number=1, request_file="", size=0, mtime_ns=0, count=count, created_at=began),),
    )
