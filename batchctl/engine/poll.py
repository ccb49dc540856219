"""Poll the API about running batches, and read its list. One page of the list describes up to 1,000 batches."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from batchctl.api.protocol import Page, Seen
from batchctl.domain.api_failures import AfterRead, after_read
from batchctl.domain.errors import AccountProblem, ApiFailure, ServiceProblem, Stopped
from batchctl.domain.events import FieldsUnread, Polled, PollFailed
from batchctl.domain.model import Batch, Job, MessageBatch
from batchctl.engine.job_report import read_report
from batchctl.engine.pacing import backoff, poll_pause
from batchctl.engine.resend_rules import is_past
from batchctl.engine.session import Session

# Up to this many batches are asked for one by one: those answers say when to poll again, and the list does not.
RETRIEVE_UP_TO = 2
# Entries of one reading of the list that are asked for by their ids because the list does not say their size.
MAX_COMPLETED = 20
Answer = TypeVar("Answer")


class Poller:
    """Polls, and computes the pause before the next poll. A failed poll is counted and emitted; it changes no state."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._polls = self._failures = 0
        self._begun = session.clock.monotonic()

    def poll(self, job: Job, batches: Sequence[Batch]) -> float:
        """Poll once and return the seconds until the next poll.

        A transient error is emitted. Raises AccountProblem, and ServiceProblem where asking again cannot help.
        """
        try:
            hint = poll(self._session, job, batches)
        except ApiFailure as failure:
            return self.failed(failure)
        self._polls, self._failures = self._polls + 1, 0
        if self._session.poll_seconds is not None:
            return self._session.poll_seconds
        watched = self._session.clock.monotonic() - self._begun
        return poll_pause(self._polls, watched, hint, self._session.clock.draw())

    def failed(self, failure: ApiFailure) -> float:
        """Count and emit a failed request, and return the seconds until the next try. Raises as `poll` does."""
        raise_unless_passing(failure)
        self._failures += 1
        pause = backoff(self._failures, failure.retry_after, self._session.clock.draw())
        self._session.emit(PollFailed(str(failure), self._failures, pause))
        return pause


def raise_unless_passing(failure: ApiFailure) -> None:
    """Raise AccountProblem or ServiceProblem where a failed read will not succeed by itself; return for a transient error."""
    match after_read(failure):
        case AfterRead.PAUSE:
            message = f"account problem: {failure}"
            raise AccountProblem(message, hint="fix the cause, then run the same command again") from failure
        case AfterRead.FAIL:
            raise ServiceProblem(
                f"rejected by the API: {failure}",
                hint="nothing was changed; the message above is the API's own",
            )
        case AfterRead.AGAIN | AfterRead.GONE:
            return


def ask_until_answered(session: Session, question: Callable[[], Answer]) -> Answer:
    """Ask until an answer comes, and return it; transient errors are emitted and waited out.

    Raises Stopped, AccountProblem, and ServiceProblem where asking again cannot help.
    """
    poller = Poller(session)
    while True:
        try:
            return question()
        except ApiFailure as failure:
            pause = poller.failed(failure)
        if session.clock.wait_until(session.now() + timedelta(seconds=pause), session.stop):
            raise Stopped


@contextlib.contextmanager
def ask_once(hint: str = "run the same command again") -> Iterator[None]:
    """Turn an ApiFailure in the block into AccountProblem or ServiceProblem, without a second try.

    `hint` says what to do where the API cannot be reached.
    """
    try:
        yield
    except ApiFailure as failure:
        raise_unless_passing(failure)
        raise unreachable(failure, hint) from failure


def unreachable(failure: ApiFailure, hint: str) -> ServiceProblem:
    """Return the error that says the API cannot be reached, to be raised."""
    return ServiceProblem(f"the API cannot be reached: {failure}", hint=hint)


def poll(session: Session, job: Job, batches: Sequence[Batch]) -> float | None:
    """Ask the API about `batches`, record the answers, and return the seconds that it asks to wait, if it does.

    Raises ApiFailure.
    """
    wanted = {b.message_batch_id: b for b in batches if b.message_batch_id}
    hint: float | None = None
    polled: list[tuple[Batch, MessageBatch]] = []
    if len(wanted) > RETRIEVE_UP_TO:
        polled = [(wanted[message_batch.id], message_batch) for message_batch in _listed(session, wanted)]
    for message_batch_id in wanted.keys() - {message_batch.id for _, message_batch in polled}:
        retrieved = _retrieved(session, wanted[message_batch_id], message_batch_id)
        if retrieved is not None:
            polled.append((wanted[message_batch_id], retrieved.batch))
            hint = retrieved.retry_after or hint
    session.ledger.record_polled(polled, session.now())
    for _, message_batch in polled:
        emit_unread_fields(session, message_batch)
    session.emit(Polled(read_report(session, job)))
    return hint


def emit_unread_fields(session: Session, seen: MessageBatch) -> None:
    """Emit which fields of an API's answer could not be read, once for each set of fields.

    Their values are unknown; every poll asks for them again.
    """
    session.server.note(seen)
    if session.server.is_news(seen.unread):
        session.emit(FieldsUnread(seen.id, seen.unread))


def _listed(session: Session, wanted: dict[str, Batch]) -> list[MessageBatch]:
    """Return those of `wanted` that the list shows, reading it no further back than the oldest of them.

    An entry without a readable processing status is left out: that batch is asked for by its id.
    """
    times = [b.created_at for b in wanted.values()]
    oldest = min((at for at in times if at is not None), default=None) if None not in times else None
    listed: dict[str, MessageBatch] = {}
    for page in pages(session):
        listed.update((b.id, b) for b in page.batches if b.id in wanted and "processing_status" not in b.unread)
        if len(listed) == len(wanted) or is_past(page.batches, oldest):
            break
    return list(listed.values())


def fill_in_sizes(session: Session, listed: Sequence[MessageBatch], known: Collection[str]) -> list[MessageBatch]:
    """Return the entries of the list, with sizes that it does not show asked for by id.

    At most 20 batches are asked for, and none of `known`. A size that cannot be had stays None.
    """
    requests_left = MAX_COMPLETED
    filled_in = []
    for batch in listed:
        if batch.size is None and batch.id not in known and requests_left:
            requests_left -= 1
            with contextlib.suppress(ApiFailure):
                batch = session.message_batches.retrieve(batch.id).batch  # noqa: PLW2901 - the same batch, better known
        filled_in.append(batch)
    return filled_in


def pages(session: Session) -> Iterator[Page]:
    """Yield the pages of the API's list, newest first; each is requested when it is needed.

    Raises Stopped, and what `Server.page` raises.
    """
    after = ""
    shown: set[str] = set()
    while not session.stop.is_set():
        page = session.server.page(after)
        ids = {b.id for b in page.batches}
        # A list that repeats itself never ends: it does not prove that a batch is missing.
        is_stuck = bool(page.after) and ids <= shown
        yield replace(page, is_whole=page.is_whole and not is_stuck)
        if not page.after or is_stuck:
            return
        after = page.after
        shown |= ids
    raise Stopped


def _retrieved(session: Session, batch: Batch, message_batch_id: str) -> Seen | None:
    try:
        return session.message_batches.retrieve(message_batch_id)
    except ApiFailure as failure:
        if after_read(failure) is not AfterRead.GONE:
            raise
        # A new id may answer 404 for a while, and an old one now and then. The 404 is recorded, and believed if it persists.
        session.ledger.record_missing(batch, session.now())
        return None
