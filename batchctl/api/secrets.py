"""Keeps the secrets that this process uses out of every text that comes from outside."""

import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial

from batchctl.api.scrubber import MIN_CHARACTERS, NAMES, PROXIES, Scrubber, bare_url, secrets_of
from batchctl.domain.health import custom_headers

# Secrets of requests that were sent. A token that was fetched stands in no variable.
_SENT: set[str] = set()
_VARIABLES = frozenset(map(str.upper, (*NAMES, *PROXIES, "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_BASE_URL")))
_HOST = re.compile(r"(?:[^/]*//)?[^/]*")
# Headers of a request that hold a secret.
_OF_REQUESTS = ("authorization", "proxy-authorization", "x-api-key", "cookie")


def remember_sent(headers: Mapping[str, str]) -> None:
    """Remember the secrets in the headers of a request, before a server can repeat them."""
    _SENT.update(secrets_of({}, {name: headers[name] for name in _OF_REQUESTS if name in headers}))


def scrubbed(text: str) -> str:
    """Return a text from outside without any secret, and such that it can be encoded."""
    return scrubber()(text)


def shown_url(url: str) -> str:
    """Return a URL as it may be shown and stored: without user, password, query and any other secret."""
    bare = bare_url(url)
    # Where escapes hide a secret, the whole path is left out; the host still distinguishes URLs.
    host = _HOST.match(bare)
    at = host.end() if host else 0
    return scrubbed(bare[:at]) + scrubbed(bare[at:])


def holds_secret(url: str) -> bool:
    """Return whether `shown_url` leaves out more than a user and a password, so that what it shows leads elsewhere."""
    return shown_url(url) != bare_url(url) or "?" in url or "#" in url


def credentials() -> frozenset[str]:
    """Return the keys, tokens and secret headers of this process that are too long to stand in an ordinary text."""
    environment = {name: os.environ.get(name, "") for name in NAMES}
    configured = secrets_of(environment, custom_headers(os.environ)) | _SENT
    return frozenset(secret for secret in configured if len(secret) >= MIN_CHARACTERS)


def scrubber() -> Callable[[str], str]:
    """Return a function that scrubs texts of the secrets as they are now, for many texts."""
    # Reads only the variables that are needed, whatever the case of their names.
    environment = {name: os.environ.get(name, "") for name in os.environ if name.upper() in _VARIABLES}
    configured = secrets_of(environment, custom_headers(environment), environment.get("ANTHROPIC_BASE_URL", ""))
    return partial(_scrubbed, configured | _SENT)


# The same error may come a thousand times.
@lru_cache(maxsize=256)
def _scrubbed(secrets: frozenset[str], text: str) -> str:
    return _scrubber(secrets)(text)


@lru_cache(maxsize=4)
def _scrubber(secrets: frozenset[str]) -> Scrubber:
    return Scrubber(secrets)
