"""Find duplicate batches: creates that were presumed to have created nothing, were sent again, and are there after all.

That happens where the API's list lags behind by more than the grace, where a proxy's refusal was wrong, or where a person
decided to send again. Every presumption is kept in the ledger and checked until the job's last fetch, so that a duplicate is
named.
"""

import contextlib

from batchctl.domain.errors import AccountProblem, ApiFailure, ServiceProblem, UnconfirmedProblem
from batchctl.domain.model import Job, MessageBatch, PresumedNotCreated, ProcessingStatus
from batchctl.engine.reconciler import list_since, record_if_duplicate, shares_of
from batchctl.engine.resend_rules import created_bound, may_be_duplicate, oldest_created_after
from batchctl.engine.session import Session
from batchctl.results.result_lines import IncompleteResults


def notice_duplicates(session: Session, job: Job) -> list[MessageBatch]:
    """Read the API's list for duplicates of a job's batches, and record and emit those that their ids prove.

    Returns the batches that may be duplicates and whose ids cannot be read yet, mostly because they have not ended. Asks
    nothing where nothing was presumed. Where the API cannot be asked, the list is empty and the next call asks again.
    """
    presumed = session.ledger.presumed_not_created(job)
    if not presumed:
        return []
    with contextlib.suppress(ApiFailure, AccountProblem, ServiceProblem, UnconfirmedProblem):
        # A provisional match counts as a batch of ours until its ids show otherwise: canceled as a duplicate, it would be lost.
        matched = {b.message_batch_id for b in session.ledger.provisional_matches() if b.message_batch_id}
        known = session.ledger.known_message_batches(job) | matched
        listed, _ = list_since(session, oldest_created_after(presumed), known, session.ledger.batches(job))
        since = created_bound(presumed, listed)
        candidates = [b for b in listed if any(may_be_duplicate(p, b, known, since) for p in presumed)]
        return [b for b in candidates if not _is_identified(session, job, b, presumed)]
    return []


def _is_identified(session: Session, job: Job, candidate: MessageBatch, presumed: list[PresumedNotCreated]) -> bool:
    """Record whether a batch of the API is a duplicate or a foreign batch. Return False where its ids cannot be read."""
    if candidate.processing_status is not ProcessingStatus.ENDED:
        return False
    try:
        shares = shares_of(session, candidate, [p for p in presumed if candidate.size in {None, p.cut.count}])
    except (ApiFailure, IncompleteResults):
        return False
    if not record_if_duplicate(session, job, candidate, shares) and not any(share for _, share in shares):
        session.ledger.record_foreign_batch(job.id, candidate.id, session.now())
    return True
