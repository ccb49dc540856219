"""Find out whether a copy of this workspace has sent what this one still plans.

`engine.copy_guard` has noticed that the workspace was copied, moved or put back (steps 1 and 2). Then, for each such job and
before a round of it is sent:

3. read      the API's list, for batches that no job of this workspace knows and that have the size of a planned batch
4. record    these planned batches are unconfirmed from now on: the ids in the results tell whose they are, or a person does

A process that stops before step 4 reads the list again.
"""

from collections.abc import Sequence
from datetime import timedelta

from batchctl.domain.errors import UnconfirmedProblem
from batchctl.domain.model import Batch, Job, State
from batchctl.engine.accounts import is_other
from batchctl.engine.reconciler import list_since
from batchctl.engine.session import Session

# A job's creation time is read from our clock, and a batch's from the API's. While the two differ by less than
# CLOCK_TOLERANCE, a batch that is older than the job by more than AGE_TOLERANCE was not sent for it.
AGE_TOLERANCE = timedelta(days=1)
CLOCK_TOLERANCE = timedelta(hours=1)
NOTE = "unconfirmed: a copy of this workspace may have sent it"


def check_copies(session: Session, job: Job) -> bool:
    """Mark planned batches as unconfirmed that a copy of the workspace may have sent; return whether there are none.

    Where there are some, they are reconciled before anything is sent. Raises ApiFailure, and UnconfirmedProblem where the
    list cannot be read whole.
    """
    guard = session.place_guard
    guard.compare(session.emit)
    job = session.ledger.job(job.name)
    planned = [b for b in session.ledger.batches(job) if b.state is State.PLANNED and b.claim is None]
    unchecked = [b for b in planned if (b.id, b.cut.sha256) not in guard.checked]
    if not job.may_be_copied or not unchecked:
        return True
    count = _mark_unconfirmed(session, job, unchecked)
    guard.checked |= {(b.id, b.cut.sha256) for b in unchecked}
    return not count


def _mark_unconfirmed(session: Session, job: Job, planned: Sequence[Batch]) -> int:
    """Take steps 3 and 4, and return how many batches are unconfirmed now. Raises as `check_copies` does."""
    batches = session.ledger.batches(job)
    known = session.ledger.known_message_batches(job) | session.ledger.message_batch_ids()
    listed, is_whole = list_since(session, None, known)
    if not is_whole:
        raise UnconfirmedProblem(
            "this workspace was moved, copied or restored, and the API's list of batches cannot be read completely; nothing was sent",
            hint="run the same command again later; to see what the API answers: batchctl doctor",
        )
    counts = {None, *(b.count for b in planned)}
    candidates = [b for b in listed if b.id not in known and b.size in counts]
    # A job from the future was planned while our clock was wrong: its time cannot be compared.
    is_comparable = session.server.is_clock_within(CLOCK_TOLERANCE) and job.created_at <= session.now()
    oldest = job.created_at - AGE_TOLERANCE
    for candidate in [b for b in candidates if is_comparable and b.created_at is not None and b.created_at < oldest]:
        session.ledger.record_foreign_batch(job.id, candidate.id, session.now())
        candidates.remove(candidate)
    sizes = {b.size for b in candidates}
    # The list does not show what another account has sent.
    other_api = next((b.api for b in batches if is_other(b.api, session.server.account)), "")
    affected = [b for b in planned if other_api or None in sizes or b.count in sizes]
    session.ledger.record_copied(affected, session.now(), NOTE, api=other_api)
    return len(affected)
