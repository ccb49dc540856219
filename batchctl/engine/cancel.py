"""Asks the API to end a batch early. What was answered by then is billed, and comes home like any other result.

Safe to repeat, so a stop at any instant is continued by asking again.
"""

from datetime import timedelta

from batchctl.domain.answers import AfterRead, after_read
from batchctl.domain.errors import ApiFailure
from batchctl.domain.events import CancelAsked, LookFailed
from batchctl.domain.model import Batch, MessageBatch, ProcessingStatus
from batchctl.engine.pacing import backoff
from batchctl.engine.poll import raise_unless_passing
from batchctl.engine.session import Equipment


def cancel(tools: Equipment, batch: Batch) -> None:
    """Raises AccountProblem; what passes, or is refused, is asked again after a while."""
    assert batch.message_batch_id is not None, "what runs has a name"
    try:
        seen = _asked(tools, batch.message_batch_id)
    except ApiFailure as failure:
        if after_read(failure) is AfterRead.GONE:
            tools.ledger.record_missing(batch, tools.now())
        _again(tools, batch, failure)
        return
    tools.ledger.record_seen([(batch, seen)], tools.now())
    if seen.processing_status is ProcessingStatus.IN_PROGRESS:
        # Taken, and not to be seen yet: without a pause it would be asked for as fast as answers come.
        _rest(tools, batch, "the API does not show the cancel yet", None)
    tools.tell(CancelAsked(*tools.place(batch)))


def _asked(tools: Equipment, message_batch_id: str) -> MessageBatch:
    try:
        return tools.transport.cancel(message_batch_id).batch
    except ApiFailure as failure:
        if after_read(failure) is not AfterRead.FAIL:
            raise
        # What has ended by itself meanwhile may be refused: there is nothing left to cancel.
        seen = tools.transport.retrieve(message_batch_id).batch
        if seen.processing_status is not ProcessingStatus.ENDED:
            raise
        return seen


def _again(tools: Equipment, batch: Batch, failure: ApiFailure) -> None:
    if after_read(failure) is not AfterRead.FAIL:
        raise_unless_passing(failure)
    # One that refuses to be canceled keeps none of the others from it; it ends by itself, too.
    pause = _rest(tools, batch, str(failure), failure.retry_after)
    tools.tell(LookFailed(str(failure), batch.tries + 1, pause))


def _rest(tools: Equipment, batch: Batch, note: str, retry_after: float | None) -> float:
    """Seconds until it is asked again."""
    pause = backoff(batch.tries + 1, retry_after, tools.clock.draw())
    tools.ledger.record_rest(batch, tools.now(), not_before=tools.now() + timedelta(seconds=pause), note=note)
    return pause
