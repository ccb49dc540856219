"""The secrets that this process uses, kept out of every text that comes from outside."""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache, partial

from batchctl.domain.health import custom_headers
from batchctl.domain.secrets import NAMES, PROXIES, Scrubber, secrets_of

# As they were sent: a token that was fetched stands in no variable.
_SENT: set[str] = set()
_VARIABLES = frozenset(map(str.upper, (*NAMES, *PROXIES, "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_BASE_URL")))
_OF_REQUESTS = ("authorization", "proxy-authorization", "x-api-key", "cookie")


def remember_sent(headers: Mapping[str, str]) -> None:
    """What a request carries, before anybody can answer to it."""
    _SENT.update(secrets_of({}, {name: headers[name] for name in _OF_REQUESTS if name in headers}))


def scrubbed(text: str) -> str:
    """A text from outside without any secret, and such that it can be written."""
    return scrubber()(text)


def scrubber() -> Callable[[str], str]:
    """The same for many texts, with the secrets of now."""
    # Each name that a list shows is looked at: of the environment no more is read than is needed.
    environment = {name: os.environ.get(name, "") for name in os.environ if name.upper() in _VARIABLES}
    found = secrets_of(environment, custom_headers(environment), environment.get("ANTHROPIC_BASE_URL", ""))
    return partial(_scrubbed, found | _SENT)


# Errors say the same a thousand times.
@lru_cache(maxsize=256)
def _scrubbed(secrets: frozenset[str], text: str) -> str:
    return _scrubber(secrets)(text)


@lru_cache(maxsize=4)
def _scrubber(secrets: frozenset[str]) -> Scrubber:
    return Scrubber(secrets)
