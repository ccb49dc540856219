"""What the API's answers say of itself: the account of the key, and the newest batch that it has shown.

Times of our clock are never compared with times of the API. A batch that a lost create may have made is bounded by the newest
`created_at` that the API itself had shown before the create: an older batch existed already. That needs no margin, and an
older bound only makes the search wider.
"""

import threading
from datetime import datetime, timedelta

from batchctl.api.protocol import LIST_LIMIT, MessageBatches, Page
from batchctl.api.secrets import shown_url
from batchctl.clock import Clock
from batchctl.domain.errors import ApiFailure, ServiceProblem
from batchctl.domain.model import MessageBatch
from batchctl.engine.accounts import Account

# Before a create, the list is read again after so long, a sleep of the machine included: a newer bound is narrower.
MEET_AGAIN_SECONDS = 300.0
# Where our clock is behind by more, there is no bound, and the search is only wider.
NEVER_AHEAD = timedelta(days=1)


class Server:
    """The API as this process has seen it.

    Attributes:
        account: The account of the key, as the last page of the list named it.
        newest: The latest `created_at` of all batches that the API has shown; None for none.
    """

    def __init__(self, message_batches: MessageBatches, clock: Clock, salt: str = "") -> None:
        """Start with nothing seen. `salt` is the ledger's, for the fingerprint of the key."""
        self._message_batches = message_batches
        self._clock = clock
        self._salt = salt
        self._met_at: float | None = None
        self._meeting = threading.Lock()
        self._has_list = False
        self._emitted: set[tuple[str, ...]] = set()
        self._ahead: timedelta | None = None
        self.newest: datetime | None = None
        self.account = Account(url=shown_url(message_batches.base_url) or "default")

    def meet(self) -> None:
        """Read one small page of the list, unless that was done lately.

        It shows the account, the newest batch, and that the key is good, before anything is sent. Raises as `page` does.
        """
        with self._meeting:
            if self._met_at is None or self._clock.monotonic() - self._met_at >= MEET_AGAIN_SECONDS:
                self.page(limit=1)

    def page(self, after: str = "", limit: int = LIST_LIMIT) -> Page:
        """Return a page of the API's list of batches.

        Raises:
            ApiFailure: The API refused, or could not be reached.
            AccountProblem: The key is not good.
            ServiceProblem: There is no such list at this URL.
        """
        try:
            page = self._message_batches.page(after, limit)
        except ApiFailure as failure:
            # A batch may be unknown for a while; the list never is, so it is not asked for again.
            if failure.status == 404 and not self._has_list:
                where = shown_url(self._message_batches.base_url) or "the API"
                raise ServiceProblem(
                    f"{where} has no list of Message Batches: {failure}",
                    hint="check the base URL: --base-url, ANTHROPIC_BASE_URL",
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

    def now(self) -> datetime | None:
        """Return the time by the API's clock; None where its answer has none. Raises as `page` does."""
        return self.page(limit=1).server_time

    def is_clock_within(self, limit: timedelta) -> bool:
        """Return whether our clock and the API's differ by less than `limit`; False where the last page had no time."""
        return self._ahead is not None and self._ahead < limit

    def note(self, seen: MessageBatch) -> None:
        """Note a batch that the API has shown. A time in the future is ignored: no batch would be newer."""
        created = seen.created_at
        if created is None or created > self._clock.now() + NEVER_AHEAD:
            return
        if self.newest is None or created > self.newest:
            self.newest = created

    def is_news(self, unread: tuple[str, ...]) -> bool:
        """Return whether these fields of an answer could not be read and this was not emitted before."""
        if not unread or unread in self._emitted:
            return False
        self._emitted.add(unread)
        return True
