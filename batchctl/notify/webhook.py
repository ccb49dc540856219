"""Posts a notification to an http or https URL.

With the standard library, and not with the HTTP client of the SDK: one small POST needs no pool of connections, and importing that
client takes as long as the rest of a short command. The library's proxies and certificate authorities are those of the
environment, as for the SDK.
"""

import base64
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from batchctl import __version__
from batchctl.api.client import is_loopback_url
from batchctl.notify.attempt import DELIVERED, Attempt, within
from batchctl.notify.message import SECRET_VARIABLE
from batchctl.notify.signing import signature_headers, signing_bytes

TIME_LIMIT = 10.0
# Answers after which the same message may be taken later: request timeout, too many requests, and all of the server's own.
PASSING = frozenset({408, 429})


def post_signed(url: str, body: bytes, message_id: str, timestamp: int, secret: str) -> Attempt:
    """Post a message with the headers of Standard Webhooks, and return what came of it. An empty secret signs nothing."""
    try:
        signing = signing_bytes(secret) if secret else None
    except ValueError as error:
        return Attempt(why=f"{SECRET_VARIABLE} is not a secret of Standard Webhooks: {error}")
    return post(url, body, signature_headers(signing, message_id, timestamp, body))


def post(url: str, body: bytes, headers: Mapping[str, str], seconds: float = TIME_LIMIT) -> Attempt:
    """Post a message, and return what came of it. Redirects are not followed; the whole attempt takes at most `seconds`."""
    return within(seconds, lambda: _post(url, body, headers, seconds))


def _post(url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Attempt:
    try:
        address, authorization = _without_user(url)
        sent = {
            "Content-Type": "application/json",
            "User-Agent": f"batchctl/{__version__}",
            **authorization,
            **headers,
        }
        request = urllib.request.Request(address, body, sent, method="POST")  # noqa: S310 - the scheme was checked
        # A proxy for the outside world cannot reach this machine.
        proxies: dict[str, str] | None = {} if is_loopback_url(address) else None
        opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies), _NoRedirects)
        with opener.open(request, timeout=seconds) as answer:
            return of_status(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return of_status(error.code)
    except urllib.error.URLError as error:
        return Attempt(why=f"cannot be reached: {_shown(error.reason)}")
    except (OSError, http.client.HTTPException) as error:
        return Attempt(why=f"cannot be reached: {_shown(error)}")
    except Exception as error:  # noqa: BLE001 - a URL that the library cannot take; its text may hold the URL
        return Attempt(why=f"cannot be posted to: {type(error).__name__}", is_final=True)


def of_status(status: int) -> Attempt:
    """Return what an HTTP status means for a notification."""
    if 200 <= status < 300:
        return DELIVERED
    if 300 <= status < 400:
        return Attempt(why=f"HTTP {status}: redirects are not followed", is_final=True)
    return Attempt(why=f"HTTP {status}", is_final=400 <= status < 500 and status not in PASSING)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A signed message goes to no other address than the one that a person named."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _without_user(url: str) -> tuple[str, dict[str, str]]:
    """Return a URL without user and password, and these as a header."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    address = urlunsplit((parts.scheme.lower(), host, parts.path or "/", parts.query, ""))
    if not at:
        return address, {}
    encoded = base64.b64encode(unquote(user).encode()).decode()
    return address, {"Authorization": f"Basic {encoded}"}


def _shown(reason: object) -> str:
    """Return what the system says of an error, or its kind: other texts may hold the URL."""
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {reason.verify_message}"
    if isinstance(reason, OSError) and reason.strerror:
        return str(reason.strerror)
    return type(reason).__name__ if isinstance(reason, BaseException) else str(reason)
