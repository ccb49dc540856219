"""Asks the API to end a batch early. What was answered by then is billed, and comes home like any other result.

Safe to repeat, so a stop at any instant is continued by asking again.
"""

from datetime import timedelta

from batchctl.domain.answers import AfterRead, after_read
from batchctl.domain.errors import ApiFailure
from batchctl.domain.events import CancelAsked, PollFailed
from batchctl.domain.model import Batch, MessageBatch, ProcessingStatus
from batchctl.engine.pacing import backoff
from batchctl.engine.poll import raise_unless_passing
from batchctl.engine.session import Session


def cancel(session: Session, batch: Batch) -> None:
    """Raises AccountProblem; what passes, or is refused, is asked again after a while."""
    assert batch.message_batch_id is not None, "what runs has a name"
    try:
        seen = _asked(session, batch.message_batch_id)
    except ApiFailure as failure:
        if after_read(failure) is AfterRead.GONE:
            session.ledger.record_missing(batch, session.now())
        _again(session, batch, failure)
        return
    session.ledger.record_polled([(batch, seen)], session.now())
    if seen.processing_status is ProcessingStatus.IN_PROGRESS:
        # Taken, and not to be seen yet: without a pause it would be asked for as fast as answers come.
        _rest(session, batch, "the API does not show the cancel yet", None)
    session.emit(CancelAsked(*session.place(batch)))


def _asked(session: Session, message_batch_id: str) -> MessageBatch:
    try:
        return session.message_batches.cancel(message_batch_id).batch
    except ApiFailure as failure:
        if after_read(failure) is not AfterRead.FAIL:
            raise
        # What has ended by itself meanwhile may be refused: there is nothing left to cancel.
        seen = session.message_batches.retrieve(message_batch_id).batch
        if seen.processing_status is not ProcessingStatus.ENDED:
            raise
        return seen


def _again(session: Session, batch: Batch, failure: ApiFailure) -> None:
    if after_read(failure) is not AfterRead.FAIL:
        raise_unless_passing(failure)
    # One that refuses to be canceled keeps none of the others from it; it ends by itself, too.
    pause = _rest(session, batch, str(failure), failure.retry_after)
    session.emit(PollFailed(str(failure), batch.tries + 1, pause))


def _rest(session: Session, batch: Batch, note: str, retry_after: float | None) -> float:
    """Seconds until it is asked again."""
    pause = backoff(batch.tries + 1, retry_after, session.clock.draw())
    session.ledger.record_postponed(
        batch, session.now(), not_before=session.now() + timedelta(seconds=pause), note=note
    )
    return pause
