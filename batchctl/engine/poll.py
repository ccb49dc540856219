"""Arrow c: what the API says of the batches under way. One list page answers for a thousand of them."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from batchctl.api.protocol import Page, Seen
from batchctl.domain.answers import AfterRead, after_read
from batchctl.domain.errors import AccountProblem, ApiFailure, ServiceProblem, Stopped
from batchctl.domain.events import FieldsUnread, Polled, PollFailed
from batchctl.domain.model import Batch, Job, MessageBatch
from batchctl.engine.job_report import read_report
from batchctl.engine.pacing import backoff, poll_pause
from batchctl.engine.reconcile import is_past
from batchctl.engine.session import Session

# Up to this many are asked for one by one: that answer says when to ask again, the list does not.
RETRIEVE_UP_TO = 2
# Entries of one reading of the list that are asked for by their ids, because the list does not say their size.
MOST_COMPLETED = 20
Told = TypeVar("Told")


class Poller:
    """Looks, and says how long to wait for the next one. A failed look is counted and shown, never a state."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._polls = self._failures = 0
        self._begun = session.clock.monotonic()

    def poll(self, job: Job, batches: Sequence[Batch]) -> float:
        """Seconds until the next look. Raises AccountProblem, and ServiceProblem where asking again cannot help."""
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
        """Seconds until the next try. Raises as `look` does."""
        raise_unless_passing(failure)
        self._failures += 1
        pause = backoff(self._failures, failure.retry_after, self._session.clock.draw())
        self._session.emit(PollFailed(str(failure), self._failures, pause))
        return pause


def raise_unless_passing(failure: ApiFailure) -> None:
    match after_read(failure):
        case AfterRead.PAUSE:
            said = f"the account stops this: {failure}"
            raise AccountProblem(said, hint="mend the cause, then run it again") from failure
        case AfterRead.FAIL:
            raise ServiceProblem(
                f"the API refused: {failure}",
                hint="nothing was changed; if it stays, the message above is the API's own",
            )
        case AfterRead.AGAIN | AfterRead.GONE:
            return


def patiently(session: Session, question: Callable[[], Told]) -> Told:
    """Asks until an answer comes. Raises Stopped, AccountProblem, and ServiceProblem where asking again cannot help."""
    poller = Poller(session)
    while True:
        try:
            return question()
        except ApiFailure as failure:
            pause = poller.failed(failure)
        if session.clock.wait_until(session.now() + timedelta(seconds=pause), session.stop):
            raise Stopped


@contextlib.contextmanager
def reachable(hint: str = "run the same command again") -> Iterator[None]:
    """What is asked in the block is asked once. Raises AccountProblem, and ServiceProblem where no answer comes."""
    try:
        yield
    except ApiFailure as failure:
        raise_unless_passing(failure)
        raise unreachable(failure, hint) from failure


def unreachable(failure: ApiFailure, hint: str) -> ServiceProblem:
    return ServiceProblem(f"the API cannot be reached: {failure}", hint=hint)


def poll(session: Session, job: Job, batches: Sequence[Batch]) -> float | None:
    """Asks and records; gives the API's hint when to ask again. Raises ApiFailure."""
    wanted = {b.message_batch_id: b for b in batches if b.message_batch_id}
    hint: float | None = None
    found: list[tuple[Batch, MessageBatch]] = []
    if len(wanted) > RETRIEVE_UP_TO:
        found = [(wanted[seen.id], seen) for seen in _listed(session, wanted)]
    for message_batch_id in wanted.keys() - {seen.id for _, seen in found}:
        seen = _retrieved(session, wanted[message_batch_id], message_batch_id)
        if seen is not None:
            found.append((wanted[message_batch_id], seen.batch))
            hint = seen.retry_after or hint
    session.ledger.record_polled(found, session.now())
    for _, batch in found:
        emit_unread_fields(session, batch)
    session.emit(Polled(read_report(session, job)))
    return hint


def emit_unread_fields(session: Session, seen: MessageBatch) -> None:
    """Once for each set of fields: what could not be read is not known, and is asked for again with every look."""
    session.server.note(seen)
    if session.server.is_news(seen.unread):
        session.emit(FieldsUnread(seen.id, seen.unread))


def _listed(session: Session, wanted: dict[str, Batch]) -> list[MessageBatch]:
    """Those of `wanted` that the list shows, read no further back than the oldest of them.

    An entry that does not say whether the batch has ended says nothing: that batch is asked for by its id.
    """
    times = [b.created_at for b in wanted.values()]
    oldest = min((at for at in times if at is not None), default=None) if None not in times else None
    found: dict[str, MessageBatch] = {}
    for page in pages(session):
        found.update((b.id, b) for b in page.batches if b.id in wanted and "processing_status" not in b.unread)
        if len(found) == len(wanted) or is_past(page.batches, oldest):
            break
    return list(found.values())


def completed(session: Session, listed: Sequence[MessageBatch], known: Collection[str]) -> list[MessageBatch]:
    """Entries of the list, each asked for by its id where its size cannot be read; so many at most. Raises ApiFailure."""
    left = MOST_COMPLETED
    found = []
    for batch in listed:
        if batch.size is None and batch.id not in known and left:
            left -= 1
            with contextlib.suppress(ApiFailure):
                batch = session.message_batches.retrieve(batch.id).batch  # noqa: PLW2901 - the same batch, better known
        found.append(batch)
    return found


def pages(session: Session) -> Iterator[Page]:
    """The API's list, newest first, read as far as pages are asked for. Raises Stopped, and as `Server.page` does."""
    after = ""
    shown: set[str] = set()
    while not session.stop.is_set():
        page = session.server.page(after)
        ids = {b.id for b in page.batches}
        # A list that does not move on has no end: nothing can be said to be missing from it.
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
        # A fresh id may answer 404 for a while, and an old one now and then: it is noted, and believed only when it stays.
        session.ledger.record_missing(batch, session.now())
        return None
