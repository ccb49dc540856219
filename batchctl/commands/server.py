"""The API as we meet it: its clock, and whose key asks.

Intents are written in the server's time: our own clock may be put back between a create and the look for it, and then
the batch we created would seem too old to be ours.
"""

import threading
from datetime import datetime, timedelta

from batchctl.clock import Clock
from batchctl.transport.client import Page, Transport, shown_url


class Server:
    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._met: tuple[datetime, float] | None = None
        self._meeting = threading.Lock()
        self.identity = ""

    def meet(self) -> None:
        """One small list page, once: tells the time and the account, and that the key is good, before anything is sent.

        Raises ApiFailure, AccountProblem.
        """
        with self._meeting:
            if self._met is None:
                self.learn(self._transport.page(limit=1))

    def learn(self, page: Page) -> None:
        self.identity = f"{shown_url(self._transport.base_url) or 'default'} {page.account}".strip()
        if page.server_time is not None:
            self._met = page.server_time, self._clock.monotonic()

    def now(self) -> datetime:
        """The server's time, carried on by a clock that nobody can put back; ours where the server does not tell."""
        if self._met is None:
            return self._clock.now()
        then, at = self._met
        return then + timedelta(seconds=self._clock.monotonic() - at)
