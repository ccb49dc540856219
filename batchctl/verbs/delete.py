"""`delete JOB`: removes its batches, and with them its results, at the API; what is on the disk stays.

1. prove     every batch that the API ever took is on the disk, whole: it is read again
2. confirm   what is deleted there does not come back
3. delete    one batch after the other, each recorded at once: a stop is continued by the same command
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from batchctl.domain.api_failures import AfterRead, after_read
from batchctl.domain.errors import ApiFailure, Refused
from batchctl.domain.events import BatchDeleted
from batchctl.domain.model import Batch, Job, State
from batchctl.domain.wording import plural
from batchctl.engine.accounts import account_of, is_other, is_other_key, is_same
from batchctl.engine.poll import ask_once, ask_until_answered
from batchctl.engine.session import Session
from batchctl.verbs.confirmation import Confirm, Question
from batchctl.verbs.find_job import find_job
from batchctl.verbs.headers import use_api_version
from batchctl.verbs.verify import verify_job

AT_THE_API = frozenset({State.SUBMITTING, State.IN_PROGRESS, State.CANCELING, State.ENDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What was deleted: `batches` counts those of this time. `folder` stays on the disk, with `bytes` of results in it."""

    job: Job
    batches: int
    folder: Path
    bytes: int


def delete(session: Session, word: str | None, confirm: Confirm) -> Deleted:
    """Delete the batches of the job that a word means.

    Raises:
        Refused: Something is not proved, was sent with another key, or nobody says yes.
        AccountProblem: The API refuses the account.
        ServiceProblem: The API cannot be asked.
    """
    job = use_api_version(session, find_job(session.ledger, word))
    _prove(session, job)
    fetched = [b for b in session.ledger.batches(job) if b.state is State.FETCHED]
    left = [b for b in fetched if b.deleted_at is None]
    if left:
        _refuse_other_account(session, left)
        requests = sum(b.count for b in left)
        text = f"delete {plural(len(left), 'batch')} of {job.name} ({plural(requests, 'request')} with results) at the API?"
        confirm(Question(text=text))
    for batch in left:
        ask_until_answered(session, partial(_delete, session, batch))
        session.ledger.record_deleted(batch, session.now())
        session.emit(BatchDeleted(*session.place(batch)))
    return Deleted(
        job=job,
        batches=len(left),
        folder=session.workspace.job_folder(job.name),
        bytes=sum(b.results_bytes or 0 for b in fetched),
    )


def _prove(session: Session, job: Job) -> None:
    still = [b for b in session.ledger.batches(job) if b.state in AT_THE_API and not b.is_removed]
    if still:
        raise Refused(
            f"{plural(len(still), 'batch')} of {job.name} not downloaded yet; nothing was deleted",
            hint=f"batchctl fetch {job.name}; or to end the job early: batchctl cancel {job.name}",
        )
    # The merged file may have been moved or changed by a person: what was paid for lies in the workspace.
    proof = verify_job(session, job, session.workspace.job_folder(job.name) / "no-output", is_named=False)
    if proof.flaws:
        raise Refused(
            f"the local files do not prove that {job.name} is complete; nothing was deleted",
            hint=f"details: batchctl verify {job.name}",
        )


def _refuse_other_account(session: Session, batches: list[Batch]) -> None:
    # To another key they would be unknown, as deleted ones are.
    with ask_once("nothing was deleted"):
        session.server.meet()
    here = session.server.account
    # A key that was rotated deletes what it sees; what it does not see is judged there.
    elsewhere = next((b.api for b in batches if is_other(b.api, here) and not is_other_key(b.api, here)), "")
    if elsewhere:
        raise Refused(
            f"the batches were sent to {account_of(elsewhere).shown()}; this key and URL use {here.shown()}; nothing was deleted",
            hint="run the same command again with the key and the --base-url that sent them",
        )


def _delete(session: Session, batch: Batch) -> None:
    """Delete a batch that may be gone already. Raises ApiFailure, and Refused where this key may just not see it."""
    assert batch.message_batch_id is not None, "what was fetched has a name"
    try:
        session.message_batches.delete(batch.message_batch_id)
    except ApiFailure as failure:
        if after_read(failure) is not AfterRead.GONE or not _is_gone(session, batch.message_batch_id):
            raise
        if not is_same(batch.api, session.server.account):
            raise Refused(
                f"{batch.message_batch_id} is unknown to this key, which may belong to another account than the batch: it may"
                " still exist",
                hint="run the same command again with the key that sent it",
            ) from None


def _is_gone(session: Session, message_batch_id: str) -> bool:
    """Return whether a second request gets a 404, too: a transient one is no proof. What cannot be asked counts as there."""
    try:
        session.message_batches.retrieve(message_batch_id)
    except ApiFailure as failure:
        return after_read(failure) is AfterRead.GONE
    return False
