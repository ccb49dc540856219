"""The API as we meet it: its clock, and whose key asks.

Intents are written in the server's time: our own clock may be put back between a create and the look for it, and then
the batch we created would seem too old to be ours.
"""

import threading
from datetime import datetime, timedelta

from batchctl.clock import Clock
from batchctl.domain.errors import ApiFailure, ServiceProblem
from batchctl.transport.client import LIST_LIMIT, Page, Transport, shown_url


class Server:
    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._met: tuple[datetime, float] | None = None
        self._meeting = threading.Lock()
        self._has_list = False
        self.identity = self.account = ""

    def meet(self) -> None:
        """One small list page, once: tells the time and the account, and that the key is good, before anything is sent.

        Raises as `page` does.
        """
        with self._meeting:
            if self._met is None:
                self.learn(self.page(limit=1))

    def page(self, after: str = "", limit: int = LIST_LIMIT) -> Page:
        """Of the API's list. Raises ApiFailure, AccountProblem, and ServiceProblem where there is no list at all."""
        try:
            page = self._transport.page(after, limit)
        except ApiFailure as failure:
            # A batch may be unknown for a while, the list never is: asked for again, it would be as unknown.
            if failure.status == 404 and not self._has_list:
                where = shown_url(self._transport.base_url) or "the API"
                raise ServiceProblem(
                    f"{where} knows no list of Message Batches: {failure}",
                    hint="is the URL the API's? see --base-url and ANTHROPIC_BASE_URL",
                ) from failure
            raise
        self._has_list = True
        return page

    def learn(self, page: Page) -> None:
        self.account = page.account
        self.identity = f"{shown_url(self._transport.base_url) or 'default'} {page.account}".strip()
        if page.server_time is not None:
            self._met = page.server_time, self._clock.monotonic()

    def now(self) -> datetime:
        """The server's time, carried on by a clock that nobody can put back; ours where the server does not tell."""
        if self._met is None:
            return self._clock.now()
        then, at = self._met
        return then + timedelta(seconds=self._clock.monotonic() - at)
