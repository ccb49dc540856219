"""Ask the API to cancel a batch. What was answered by then is billed, and is downloaded like any other result.

Asking is safe to repeat: after a stop at any instant, the next run asks again.
"""

from datetime import timedelta

from batchctl.domain.api_failures import AfterRead, after_read
from batchctl.domain.errors import ApiFailure
from batchctl.domain.events import CancelAsked, PollFailed
from batchctl.domain.model import Batch, MessageBatch, ProcessingStatus
from batchctl.engine.pacing import backoff
from batchctl.engine.poll import raise_unless_passing
from batchctl.engine.session import Session


def cancel(session: Session, batch: Batch) -> None:
    """Ask the API to cancel a running batch, and record its answer.

    A transient error and a refusal are recorded, and it is asked again after a pause. Raises AccountProblem.
    """
    assert batch.message_batch_id is not None, "a running batch has an id"
    try:
        message_batch = _asked(session, batch.message_batch_id)
    except ApiFailure as failure:
        if after_read(failure) is AfterRead.GONE:
            session.ledger.record_missing(batch, session.now())
        _ask_later(session, batch, failure)
        return
    session.ledger.record_polled([(batch, message_batch)], session.now())
    if message_batch.processing_status is ProcessingStatus.IN_PROGRESS:
        # Accepted, and not visible yet: without a pause the loop would ask again at once.
        _postpone(session, batch, "the API does not show the cancel yet", None)
    session.emit(CancelAsked(*session.place(batch)))


def _asked(session: Session, message_batch_id: str) -> MessageBatch:
    try:
        return session.message_batches.cancel(message_batch_id).batch
    except ApiFailure as failure:
        if after_read(failure) is not AfterRead.FAIL:
            raise
        # The API may refuse because the batch has ended meanwhile: then there is nothing left to cancel.
        message_batch = session.message_batches.retrieve(message_batch_id).batch
        if message_batch.processing_status is not ProcessingStatus.ENDED:
            raise
        return message_batch


def _ask_later(session: Session, batch: Batch, failure: ApiFailure) -> None:
    if after_read(failure) is not AfterRead.FAIL:
        raise_unless_passing(failure)
    # A batch whose cancel is refused does not keep the others from being canceled. It ends by itself, too.
    pause = _postpone(session, batch, str(failure), failure.retry_after)
    session.emit(PollFailed(str(failure), batch.tries + 1, pause))


def _postpone(session: Session, batch: Batch, note: str, retry_after: float | None) -> float:
    """Record when the API is asked again, and return the seconds until then."""
    pause = backoff(batch.tries + 1, retry_after, session.clock.draw())
    session.ledger.record_postponed(
        batch, session.now(), not_before=session.now() + timedelta(seconds=pause), note=note
    )
    return pause
