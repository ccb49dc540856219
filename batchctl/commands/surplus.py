"""Batches that the API shows too late: what was taken for never created and sent again is there twice, and paid twice.

It takes an API whose list lags behind by more than the grace window, or a person's word. Then it is at least said.
"""

import contextlib
from datetime import timedelta

from batchctl.commands.equipment import Equipment
from batchctl.commands.settling import list_since, shares_of
from batchctl.domain.errors import ApiFailure, ServiceProblem
from batchctl.domain.model import Batch, Job, MessageBatch, ProcessingStatus
from batchctl.domain.reconciling import may_be_surplus
from batchctl.files.result_lines import NotWhole

# The job's own time is ours, the list's is the server's; and a create is given up some minutes after it was made.
BEFORE = timedelta(hours=1)


def notice_surplus(tools: Equipment, job: Job) -> list[MessageBatch]:
    """Looks for them and writes them down; gives those that only their ids can tell, once they have ended.

    Asks nothing where no create was ever given up; what cannot be asked now is asked the next time.
    """
    given_up = [b for b in tools.ledger.batches(job) if b.given_up_at is not None]
    if not given_up:
        return []
    with contextlib.suppress(ApiFailure, ServiceProblem):
        # A guess is some batch's own as long as its ids do not say otherwise: canceled as one too many, it would be lost.
        guessed = {g.message_batch_id for g in tools.ledger.guesses() if g.message_batch_id}
        known = tools.ledger.known_message_batches(job) | guessed
        oldest = min(job.created_at, *(b.given_up_at for b in given_up if b.given_up_at)) - BEFORE
        seen = [s for s in list_since(tools, oldest) if any(may_be_surplus(b, s, known) for b in given_up)]
        return [one for one in seen if not _is_settled(tools, job, one, given_up)]
    return []


def _is_settled(tools: Equipment, job: Job, seen: MessageBatch, given_up: list[Batch]) -> bool:
    if seen.processing_status is not ProcessingStatus.ENDED:
        return False
    try:
        shares = shares_of(tools, seen, [b for b in given_up if b.count == seen.counts.total])
    except (ApiFailure, NotWhole):
        return False
    if any(share == 1 for _, share in shares):
        tools.ledger.record_surplus(job.id, seen.id, tools.now())
    elif not any(share for _, share in shares):
        tools.ledger.record_stranger(job.id, seen.id, tools.now())
    return True
