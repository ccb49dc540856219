"""Fetching a public file: no key is sent, and no redirect is followed. Does not import the SDK."""

from collections.abc import Iterator

from batchctl.api.client import host_of, is_loopback
from batchctl.api.secrets import shown_url
from batchctl.domain.errors import ServiceProblem, UsageProblem

PATIENCE_SECONDS = 30.0
CONNECT_SECONDS = 10.0
WHOLE_SECONDS = 300.0


def fetch(url: str, most: int, *, longest: float = WHOLE_SECONDS) -> bytes:
    """Return the bytes of a public file, at most `most` of them, within `longest` seconds.

    Raises UsageProblem for a URL of plain HTTP to another machine, and ServiceProblem where the file cannot be had.
    """
    shown = shown_url(url)
    is_here = is_loopback(_checked_host(url))
    import httpx2  # noqa: PLC0415 - only when the network is needed

    from batchctl.api import bounds  # noqa: PLC0415

    watch = bounds.Watch(bool)
    timeout = httpx2.Timeout(PATIENCE_SECONDS, connect=CONNECT_SECONDS)
    try:
        # A proxy for the outside world cannot reach this machine.
        with httpx2.Client(trust_env=not is_here, timeout=timeout, follow_redirects=False) as client:
            bounds.bind(client, watch)
            with watch.request(longest), client.stream("GET", url) as response:
                if response.status_code != httpx2.codes.OK:
                    raise ServiceProblem(f"{shown}: HTTP {response.status_code}", hint="check the URL")
                bounds.bound(response)
                return _read(bounds.pieces(response, watch), shown, most)
    # The last two are raised for a proxy in the environment that cannot be used.
    except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, ValueError, ImportError) as error:
        text = str(error).strip() or type(error).__name__
        raise ServiceProblem(f"{shown}: {text}", hint="check the network and the proxies: batchctl doctor") from error


def _read(pieces: Iterator[bytes], shown: str, most: int) -> bytes:
    read = bytearray()
    for piece in pieces:
        read += piece
        if len(read) > most:
            raise ServiceProblem(f"{shown}: more than {most:,} bytes", hint="check the URL")
    return bytes(read)


def _checked_host(url: str) -> str:
    host = host_of(url)
    if not host:
        raise UsageProblem(f"{shown_url(url)!r} is not a URL", hint="use a URL like https://example.com/prices.json")
    if not url.lower().startswith("https:") and not is_loopback(host):
        raise UsageProblem(
            f"{shown_url(url)}: plain http is refused, because anybody on the way can change the answer",
            hint="use https",
        )
    return host
