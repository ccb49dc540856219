"""Arrow c: what the API says of the batches under way. One list page answers for a thousand of them."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

from batchctl.commands.equipment import Equipment
from batchctl.commands.picture import report_of
from batchctl.domain.answers import AfterRead, after_read
from batchctl.domain.errors import AccountProblem, ApiFailure, ServiceProblem, Stopped
from batchctl.domain.events import Looked, LookFailed
from batchctl.domain.model import Batch, Job, MessageBatch
from batchctl.domain.polling import backoff, look_pause
from batchctl.transport.client import Page, Seen

# Up to this many are asked for one by one: that answer says when to ask again, the list does not.
RETRIEVE_UP_TO = 2
Told = TypeVar("Told")


class Looker:
    """Looks, and says how long to wait for the next one. A failed look is counted and shown, never a state."""

    def __init__(self, tools: Equipment) -> None:
        self._tools = tools
        self._looks = self._failures = 0
        self._begun = tools.now()

    def look(self, job: Job, batches: Sequence[Batch]) -> float:
        """Seconds until the next look. Raises AccountProblem, and ServiceProblem where asking again cannot help."""
        try:
            hint = look(self._tools, job, batches)
        except ApiFailure as failure:
            return self.failed(failure)
        self._looks, self._failures = self._looks + 1, 0
        if self._tools.poll is not None:
            return self._tools.poll
        watched = (self._tools.now() - self._begun).total_seconds()
        return look_pause(self._looks, watched, hint, self._tools.clock.draw())

    def failed(self, failure: ApiFailure) -> float:
        """Seconds until the next try. Raises as `look` does."""
        raise_unless_passing(failure)
        self._failures += 1
        pause = backoff(self._failures, failure.retry_after, self._tools.clock.draw())
        self._tools.tell(LookFailed(str(failure), self._failures, pause))
        return pause


def raise_unless_passing(failure: ApiFailure) -> None:
    match after_read(failure):
        case AfterRead.PAUSE:
            raise AccountProblem(f"the account stops this: {failure}", hint="mend the cause, then run it again")
        case AfterRead.FAIL:
            raise ServiceProblem(
                f"the API refused: {failure}",
                hint="nothing was changed; if it stays, the message above is the API's own",
            )
        case AfterRead.AGAIN | AfterRead.GONE:
            return


def patiently(tools: Equipment, question: Callable[[], Told]) -> Told:
    """Asks until an answer comes. Raises Stopped, AccountProblem, and ServiceProblem where asking again cannot help."""
    looker = Looker(tools)
    while True:
        try:
            return question()
        except ApiFailure as failure:
            pause = looker.failed(failure)
        if tools.clock.wait_until(tools.now() + timedelta(seconds=pause), tools.stop):
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


def look(tools: Equipment, job: Job, batches: Sequence[Batch]) -> float | None:
    """Asks and records; gives the API's hint when to ask again. Raises ApiFailure."""
    wanted = {b.message_batch_id: b for b in batches if b.message_batch_id}
    hint: float | None = None
    found: list[tuple[Batch, MessageBatch]] = []
    if len(wanted) > RETRIEVE_UP_TO:
        found = [(wanted[seen.id], seen) for seen in _listed(tools, wanted)]
    for message_batch_id in wanted.keys() - {seen.id for _, seen in found}:
        seen = _retrieved(tools, wanted[message_batch_id], message_batch_id)
        if seen is not None:
            found.append((wanted[message_batch_id], seen.batch))
            hint = seen.retry_after or hint
    tools.ledger.record_seen(found, tools.now())
    tools.tell(Looked(report_of(tools, job)))
    return hint


def _listed(tools: Equipment, wanted: dict[str, Batch]) -> list[MessageBatch]:
    """Those of `wanted` that the list shows, read no further back than the oldest of them."""
    oldest = min((b.created_at for b in wanted.values() if b.created_at), default=None)
    found: dict[str, MessageBatch] = {}
    for page in pages(tools):
        found.update((b.id, b) for b in page.batches if b.id in wanted)
        is_past = oldest is not None and bool(page.batches) and page.batches[-1].created_at < oldest
        if len(found) == len(wanted) or is_past:
            break
    return list(found.values())


def pages(tools: Equipment) -> Iterator[Page]:
    """The API's list, newest first, read as far as pages are asked for. Raises Stopped, and as `Server.page` does."""
    after = ""
    while not tools.stop.is_set():
        page = tools.server.page(after)
        yield page
        if not page.after:
            return
        after = page.after
    raise Stopped


def _retrieved(tools: Equipment, batch: Batch, message_batch_id: str) -> Seen | None:
    try:
        return tools.transport.retrieve(message_batch_id)
    except ApiFailure as failure:
        if after_read(failure) is not AfterRead.GONE:
            raise
        # A fresh id may answer 404 for a while, and an old one now and then: it is noted, and believed only when it stays.
        tools.ledger.record_missing(batch, tools.now())
        return None
