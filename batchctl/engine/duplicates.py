"""Batches that the API shows too late: what was presumed to have made nothing, and was sent again, is there twice.

It takes an API whose list lags behind by more than the grace, a proxy whose refusal was not true, or a person's word. Every
presumption is remembered and looked for until the job's last fetch; then it is at least said.
"""

import contextlib

from batchctl.domain.errors import AccountProblem, ApiFailure, ServiceProblem, UnconfirmedProblem
from batchctl.domain.events import DuplicateBatch
from batchctl.domain.model import Job, MessageBatch, PresumedNotCreated, ProcessingStatus
from batchctl.engine.reconcile import created_bound, may_be_duplicate
from batchctl.engine.reconciler import bound_of, list_since, shares_of
from batchctl.engine.session import Session
from batchctl.results.result_lines import IncompleteResults


def notice_duplicates(session: Session, job: Job) -> list[MessageBatch]:
    """Looks for them and writes them down; gives those that only their ids can tell, once they have ended.

    Asks nothing where nothing was presumed; what cannot be asked now is asked the next time.
    """
    presumed = session.ledger.presumed_not_created(job)
    if not presumed:
        return []
    with contextlib.suppress(ApiFailure, AccountProblem, ServiceProblem, UnconfirmedProblem):
        # A provisional match is some batch's own as long as its ids do not say otherwise: canceled as one too many, it would
        # be lost.
        matched = {g.message_batch_id for g in session.ledger.provisional_matches() if g.message_batch_id}
        known = session.ledger.known_message_batches(job) | matched
        listed, _ = list_since(session, bound_of(presumed), known, session.ledger.batches(job))
        since = created_bound(presumed, listed)
        seen = [s for s in listed if any(may_be_duplicate(p, s, known, since) for p in presumed)]
        return [one for one in seen if not _is_settled(session, job, one, presumed)]
    return []


def _is_settled(session: Session, job: Job, seen: MessageBatch, presumed: list[PresumedNotCreated]) -> bool:
    if seen.processing_status is not ProcessingStatus.ENDED:
        return False
    try:
        shares = shares_of(session, seen, [p for p in presumed if seen.size in {None, p.cut.count}])
    except (ApiFailure, IncompleteResults):
        return False
    ours = next((p for p, share in shares if share == 1), None)
    if ours is not None:
        batch = next(b for b in session.ledger.batches(job) if b.id == ours.batch_id)
        session.ledger.record_duplicate_batch(job.id, seen.id, session.now())
        session.emit(DuplicateBatch(*session.place(batch), seen.id))
    elif not any(share for _, share in shares):
        session.ledger.record_foreign_batch(job.id, seen.id, session.now())
    return True
