"""Bounds on every answer: how much of it is read, how long it may take, who may end it, and which server gives it.

The HTTP library bounds only the wait for the next byte, and the SDK reads an answer to its end. A proxy that sends a byte
now and then, or a few bytes that unpack to gigabytes, would be read for ever.

Importing this module imports the HTTP library, so it is imported only when a request is made.
"""

import math
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore2
import httpx2

from batchctl.api.secrets import scrubbed
from batchctl.domain.errors import ApiFailure, CertificateProblem, Stopped

CERTIFICATE_HINT = (
    "behind a company's inspecting proxy, set SSL_CERT_FILE to a file with the company's CA; otherwise check the base URL"
    " (--base-url, ANTHROPIC_BASE_URL) and the clock of this machine"
)
# The most unpacked bytes of an answer other than results. A page of 1,000 batches has half a megabyte; parsed JSON takes some
# twenty times its length in memory.
MAX_BYTES = 16 << 20
TOO_LARGE = f"more than {MAX_BYTES >> 20} MiB"
# How soon a stop is noticed while no byte comes.
SLICE_SECONDS = 0.5


class Watch(threading.local):
    """The bounds of the request that this thread makes. A thread makes one request after the other.

    Attributes:
        is_streamed: Whoever asked reads a 2xx answer in pieces.
    """

    def __init__(self, is_stopped: Callable[[], bool]) -> None:
        self._is_stopped = is_stopped
        self._heeds_stop = True
        self._seconds = math.inf
        self._ends_at: float | None = None
        self.is_streamed = False

    @contextmanager
    def request(self, seconds: float, *, heeds_stop: bool = True, is_streamed: bool = False) -> Iterator[None]:
        """Bound the requests in a `with` block.

        Args:
            seconds: For the whole answer, from the first wait for it.
            heeds_stop: A stop ends the wait, too.
            is_streamed: Whoever asked reads a 2xx answer in pieces.
        """
        before = self._seconds, self._ends_at, self._heeds_stop, self.is_streamed
        self._heeds_stop, self.is_streamed = heeds_stop, is_streamed
        self.allow(seconds)
        try:
            yield
        finally:
            self._seconds, self._ends_at, self._heeds_stop, self.is_streamed = before

    def allow(self, seconds: float) -> None:
        """Allow so many seconds from the next wait on."""
        self._seconds, self._ends_at = seconds, None

    def sending(self) -> None:
        """Note that bytes are sent. The time for the answer begins after the last of them."""
        self._ends_at = None

    def left(self) -> float:
        """Return the seconds that are left. Raise Stopped after a stop, and ReadTimeout where none are left."""
        if self._heeds_stop and self._is_stopped():
            raise Stopped
        now = time.monotonic()
        if self._ends_at is None:
            self._ends_at = now + self._seconds
        if now >= self._ends_at:
            raise httpx2.ReadTimeout(f"the whole answer took more than {self._seconds:g} s")
        return self._ends_at - now


class _Stream(httpcore2.NetworkStream):
    """A connection that is read in slices, so that no wait for the next byte lasts longer than the bounds allow."""

    def __init__(self, stream: httpcore2.NetworkStream, watch: Watch) -> None:
        self._stream = stream
        self._watch = watch

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        until = time.monotonic() + (math.inf if timeout is None else timeout)
        while True:
            left = min(self._watch.left(), max(until - time.monotonic(), 0.001))
            try:
                return self._stream.read(max_bytes, min(left, SLICE_SECONDS))
            except httpcore2.ReadTimeout:
                if time.monotonic() >= until:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._watch.sending()
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> "_Stream":
        try:
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._watch)
        except httpcore2.ConnectError as error:
            refused = error.__cause__
            if not isinstance(refused, ssl.SSLCertVerificationError):
                raise
            # Raised before a byte of the request was sent.
            text = f"the certificate of {server_hostname} is not trusted: {scrubbed(refused.verify_message)}"
            raise CertificateProblem(text, hint=CERTIFICATE_HINT) from error

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Network(httpcore2.NetworkBackend):
    def __init__(self, backend: httpcore2.NetworkBackend, watch: Watch) -> None:
        self._backend = backend
        self._watch = watch

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> _Stream:
        return _Stream(self._backend.connect_tcp(host, port, timeout, local_address, socket_options), self._watch)


def bind(client: httpx2.Client, watch: Watch) -> None:
    """Bound every connection that a client will make by `watch`."""
    # The library has no public way to do this. If these names go away, nothing works and every test fails.
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if transport is not None:
            pool = transport._pool  # type: ignore[attr-defined]  # noqa: SLF001
            pool._network_backend = _Network(pool._network_backend, watch)  # noqa: SLF001


class _Wire(httpx2.SyncByteStream):
    """The packed bytes of an answer, until there are more of them than an answer may unpack to."""

    def __init__(self, stream: httpx2.SyncByteStream, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self.left = MAX_BYTES

    def __iter__(self) -> Iterator[bytes]:
        # One decoder unpacks in pieces of a megabyte. With two in a row, nobody counts what the first one unpacks.
        if "," in self._encoding:
            raise httpx2.DecodingError(f"compressed more than once ({self._encoding})")
        for piece in self._stream:
            self.left -= len(piece)
            if self.left < 0:
                raise httpx2.DecodingError(TOO_LARGE)
            yield piece

    def close(self) -> None:
        self._stream.close()


def bound(response: httpx2.Response) -> None:
    """Bound the size of an answer, before any of it is read."""
    assert isinstance(response.stream, httpx2.SyncByteStream)
    response.stream = _Wire(response.stream, response.headers.get("content-encoding", ""))


def read(response: httpx2.Response) -> None:
    """Read all of a bound answer, so that nobody else does.

    Raises ApiFailure where that is too much or cannot be unpacked: such an answer says nothing but its status.
    """
    try:
        response._content = b"".join(_at_most(MAX_BYTES, response.iter_bytes()))  # noqa: SLF001 - as its own `read` leaves it
    except httpx2.DecodingError as error:
        raise ApiFailure(
            f"the answer cannot be read: {scrubbed(str(error))}",
            status=response.status_code,
            request_id=scrubbed(response.headers.get("request-id", "")),
        ) from error


def _at_most(most: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        most -= len(piece)
        if most < 0:
            raise httpx2.DecodingError(TOO_LARGE)
        yield piece


def pieces(response: httpx2.Response, watch: Watch) -> Iterator[bytes]:
    """Yield a bound answer of any length in pieces of at most a megabyte. Raise Stopped after a stop."""
    assert isinstance(response.stream, _Wire)
    for piece in response.iter_bytes():
        watch.left()
        response.stream.left = MAX_BYTES
        yield piece
