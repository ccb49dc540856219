"""The API as we meet it: which account asks, and the newest batch that it has shown.

No time of ours is held against a time of the API's. What bounds the batches that a lost create may have made is the newest
`created_at` that the API itself had shown before: an older batch was there already. It needs no margin, and what is out of
date about it only makes the search wider.
"""

import threading
from datetime import datetime, timedelta

from batchctl.api.protocol import LIST_LIMIT, MessageBatches, Page
from batchctl.api.secrets import shown_url
from batchctl.clock import Clock
from batchctl.domain.errors import ApiFailure, ServiceProblem
from batchctl.domain.model import MessageBatch
from batchctl.engine.accounts import Account

# Before a create the list is asked again after so long, a sleep of the machine included: a newer bound is a closer one.
MEET_AGAIN_SECONDS = 300.0
# A clock of ours that is behind by more leaves no bound at all, and the search is only wider.
NEVER_AHEAD = timedelta(days=1)


class Server:
    def __init__(self, message_batches: MessageBatches, clock: Clock, salt: str = "") -> None:
        """`salt`: of the ledger, for the fingerprint of the key."""
        self._message_batches = message_batches
        self._clock = clock
        self._salt = salt
        self._met_at: float | None = None
        self._meeting = threading.Lock()
        self._has_list = False
        self._told: set[tuple[str, ...]] = set()
        self._ahead: timedelta | None = None
        self.newest: datetime | None = None
        self.account = Account(url=shown_url(message_batches.base_url) or "default")

    def meet(self) -> None:
        """One small list page: tells the account, the newest batch, and that the key is good, before anything is sent.

        Raises as `page` does.
        """
        with self._meeting:
            if self._met_at is None or self._clock.monotonic() - self._met_at >= MEET_AGAIN_SECONDS:
                self.page(limit=1)

    def page(self, after: str = "", limit: int = LIST_LIMIT) -> Page:
        """Of the API's list. Raises ApiFailure, AccountProblem, and ServiceProblem where there is no list at all."""
        try:
            page = self._message_batches.page(after, limit)
        except ApiFailure as failure:
            # A batch may be unknown for a while, the list never is: asked for again, it would be as unknown.
            if failure.status == 404 and not self._has_list:
                where = shown_url(self._message_batches.base_url) or "the API"
                raise ServiceProblem(
                    f"{where} knows no list of Message Batches: {failure}",
                    hint="is the URL the API's? see --base-url and ANTHROPIC_BASE_URL",
                ) from failure
            raise
        self._has_list = True
        if not after:
            self._met_at = self._clock.monotonic()
        key = self._message_batches.fingerprint(self._salt)
        self.account = Account(url=self.account.url, named=page.account, key=key)
        self._ahead = None if page.server_time is None else abs(self._clock.now() - page.server_time)
        for batch in page.batches:
            self.note(batch)
        return page

    def is_clock_within(self, limit: timedelta) -> bool:
        """Whether our clock and the API's differ by less, as far as the last answer says."""
        return self._ahead is not None and self._ahead < limit

    def note(self, seen: MessageBatch) -> None:
        """A batch that the API has shown. One of the future bounds nothing: no other would be young enough."""
        created = seen.created_at
        if created is None or created > self._clock.now() + NEVER_AHEAD:
            return
        if self.newest is None or created > self.newest:
            self.newest = created

    def is_news(self, unread: tuple[str, ...]) -> bool:
        """Whether a person has not been told so far that these fields could not be read."""
        if not unread or unread in self._told:
            return False
        self._told.add(unread)
        return True
