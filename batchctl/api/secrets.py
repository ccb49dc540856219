"""The secrets that this process uses, kept out of every text that comes from outside."""

import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial

from batchctl.api.scrubber import NAMES, PROXIES, Scrubber, bare_url, secrets_of
from batchctl.domain.health import custom_headers

# As they were sent: a token that was fetched stands in no variable.
_SENT: set[str] = set()
_VARIABLES = frozenset(map(str.upper, (*NAMES, *PROXIES, "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_BASE_URL")))
_HOST = re.compile(r"(?:[^/]*//)?[^/]*")
_OF_REQUESTS = ("authorization", "proxy-authorization", "x-api-key", "cookie")


def remember_sent(headers: Mapping[str, str]) -> None:
    """What a request carries, before anybody can answer to it."""
    _SENT.update(secrets_of({}, {name: headers[name] for name in _OF_REQUESTS if name in headers}))


def scrubbed(text: str) -> str:
    """A text from outside without any secret, and such that it can be written."""
    return scrubber()(text)


def shown_url(url: str) -> str:
    """As it may be shown and remembered: without user, password and query, and without any secret in what is left."""
    bare = bare_url(url)
    # Where escapes hide a secret the whole path goes, and the host still tells one URL from another.
    host = _HOST.match(bare)
    at = host.end() if host else 0
    return scrubbed(bare[:at]) + scrubbed(bare[at:])


def holds_secret(url: str) -> bool:
    """Whether more than a user and a password is missing where it is shown: it leads elsewhere then."""
    return shown_url(url) != bare_url(url) or "?" in url or "#" in url


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
