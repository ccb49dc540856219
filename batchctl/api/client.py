"""The Message Batches API in our words.

The SDK's own retries are off for creating: the API takes no idempotency key, so a create tried twice may be two batches,
both paid. They are off for everything else too: waiting is decided, shown and bounded in one place, by the caller.
"""

import contextlib
import ipaddress
import logging
import math
import os
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from batchctl.api.secrets import remember_sent, shown_url
from batchctl.domain.catalog import Model
from batchctl.domain.errors import ApiFailure, BatchctlError, CertificateProblem, UsageProblem
from batchctl.domain.limits import API_VERSION
from batchctl.domain.model import MessageBatch

if TYPE_CHECKING:
    import ssl

    import httpx2

    from batchctl.api import bounds
    from batchctl.api.credentials import Credential

PATH = "/v1/messages/batches"
MODELS_PATH = "/v1/models"
API_DOMAIN = "anthropic.com"
LIFECYCLES = ("active", "deprecated", "retired")
COUNT_PATH = "/v1/messages/count_tokens"
LIST_LIMIT = 1000  # the API's most, in one page
MOST_MODEL_PAGES = 10
# Without a byte in either direction. A create is answered only once all of it was read; giving up on it is a doubt.
UPLOAD_TIMEOUT_SECONDS = 600.0
ANSWER_TIMEOUT_SECONDS = 120.0
# For the whole of an answer that is no results, however its bytes come. That to an upload may take as long as its first byte.
WHOLE_ANSWER_SECONDS = 300.0
CONNECT_TIMEOUT_SECONDS = 10.0
# What the HTTP library finds CAs by, in place of those of the machine.
TRUSTED = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A batch as just described. `retry_after`: seconds the API asks to wait before the next look, None if it does not."""

    batch: MessageBatch
    retry_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Batches of the key's API workspace, newest first; `after` is the cursor of the next page, empty on the last.

    `is_whole`: every entry has an id that can be read, and it says whether there are more. Any other page proves of no
    batch that it is not there.
    `account`: organization and API workspace, as the answer's headers name them; empty where they do not.
    """

    batches: tuple[MessageBatch, ...]
    after: str
    is_whole: bool
    server_time: datetime | None
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """All models of the key's account, retired ones too; `account` as in `Page`."""

    models: tuple[Model, ...]
    account: str


class Body:
    """A request body of known length, sent once; remembers how far it got and what stopped it."""

    def __init__(self, pieces: Iterable[bytes], length: int) -> None:
        self._pieces = pieces
        self.length = length
        self.given = 0
        self.failure: BatchctlError | None = None

    @property
    def is_sent_whole(self) -> bool:
        """Whether its last byte was handed to the socket, as far as can be known."""
        return self.given >= self.length

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._pieces:
                self.given += len(piece)
                yield piece
        except BatchctlError as failure:
            self.failure = failure
            raise


class SdkMessageBatches:
    """Opens nothing before the first request. Every method raises ApiFailure, or AccountProblem where no key is found or the
    certificate is not one to be trusted; all but `create` raise Stopped.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        is_stopped: Callable[[], bool] = bool,
        patience: float = ANSWER_TIMEOUT_SECONDS,
        longest: float = WHOLE_ANSWER_SECONDS,
        api_version: str = API_VERSION,
        insecure_http: bool = False,
    ) -> None:
        """`patience`: seconds without a byte of an answer, `longest`: for all of it, an upload apart. `is_stopped`: asked while
        one is read. `api_version`: of every call that names no other.

        Raises UsageProblem for a URL that would show the key, as `checked_base_url` does.
        """
        self.base_url = checked_base_url(
            base_url or os.environ.get("ANTHROPIC_BASE_URL") or "", insecure_http=insecure_http
        )
        self.api_version = api_version
        self._is_stopped = is_stopped
        self._patience = patience
        self._longest = longest
        self._client: Any = None
        self._watch: Any = None
        self._opening = threading.Lock()

    def create(self, body: Body, *, api_version: str = API_VERSION, betas: Iterable[str] = ()) -> Seen:
        """POST a batch, once. The headers govern all of its requests. Raises what stopped the body, too."""
        headers = _headers(body.length, api_version, betas)
        from batchctl.api import translate  # noqa: PLC0415 - it imports the SDK: 1.2 s, and only when needed

        # No stop ends it: a create whose answer is not heard is a doubt.
        with translate.failures(body), self._watched(UPLOAD_TIMEOUT_SECONDS, heeds_stop=False, is_streamed=True):
            response = self._request("POST", PATH, headers, content=iter(body), stream=True)
            batch = translate.created(response)
        return Seen(batch=batch, retry_after=translate.retry_after(response.headers))

    def count_tokens(self, body: bytes, *, api_version: str = API_VERSION, betas: Iterable[str] = ()) -> int:
        """Input tokens of a Messages body without `max_tokens`, as the API estimates them: free, with a rate of its own."""
        from batchctl.api import translate  # noqa: PLC0415 - as above

        headers = _headers(len(body), api_version, betas)
        with translate.failures(), self._watched(self._longest):
            return translate.input_tokens(self._request("POST", COUNT_PATH, headers, content=body))

    def cancel(self, message_batch_id: str) -> Seen:
        """Asks for the end of a batch; what has begun is finished, and billed. Safe to repeat."""
        return _seen(self._call("POST", f"{PATH}/{quote(message_batch_id, safe='')}/cancel"), asked=message_batch_id)

    def delete(self, message_batch_id: str) -> None:
        """Removes an ended batch and its results for good. Safe to repeat: then it is a 404."""
        self._call("DELETE", f"{PATH}/{quote(message_batch_id, safe='')}")

    def retrieve(self, message_batch_id: str) -> Seen:
        return _seen(self._call("GET", f"{PATH}/{quote(message_batch_id, safe='')}"), asked=message_batch_id)

    def page(self, after: str = "", limit: int = LIST_LIMIT) -> Page:
        from batchctl.api import translate  # noqa: PLC0415 - as above

        query = {"limit": limit, **({"after_id": after} if after else {})}
        response = self._call("GET", PATH, query)
        return Page(
            **translate.page(response),
            server_time=translate.server_time(response),
            account=translate.account(response),
        )

    def models(self) -> Models:
        """The whole list, one page after the other. An API that names none at all does not tell: that is a failure, too."""
        from batchctl.api import translate  # noqa: PLC0415 - as above

        found: list[Model] = []
        query: dict[str, Any] = {"limit": LIST_LIMIT, "lifecycle": list(LIFECYCLES)}
        for _ in range(MOST_MODEL_PAGES):
            response = self._call("GET", MODELS_PATH, query)
            page, after = translate.models(response)
            found += page
            if not after and not found:
                raise ApiFailure("the list of models is empty", status=200)
            if not after:
                return Models(models=tuple(found), account=translate.account(response))
            query = {**query, "after_id": after}
        raise ApiFailure("the list of models has no end", status=200)

    def model(self, name: str) -> Model:
        """By its id, or by an alias, which the list does not name."""
        from batchctl.api import translate  # noqa: PLC0415 - as above

        return translate.model(translate.parsed(self._call("GET", f"{MODELS_PATH}/{quote(name, safe='')}")))

    @contextlib.contextmanager
    def results(self, message_batch_id: str) -> Iterator[Iterator[bytes]]:
        """The raw bytes of a batch's results as they arrive. The path is ours: `results_url` could lead elsewhere."""
        from batchctl.api import bounds, translate  # noqa: PLC0415 - as above

        path = f"{PATH}/{quote(message_batch_id, safe='')}/results"
        with self._watched(self._longest, is_streamed=True):
            with translate.failures():
                response = self._request("GET", path, {"Accept": "application/x-jsonl"}, stream=True)
            self._watch.allow(math.inf)
            try:
                yield translate.guarded(bounds.pieces(response, self._watch))
            finally:
                response.close()

    def credential(self) -> "Credential":
        """Where it comes from, without asking anybody. Raises AccountProblem where what is there cannot be read."""
        from batchctl.api import credentials  # noqa: PLC0415 - as above

        return credentials.credential(self._opened())

    def fingerprint(self, salt: str) -> str:
        """Of a static key or token, salted: tells two keys apart and gives neither away. Empty for any other credential."""
        from batchctl.api import credentials  # noqa: PLC0415 - as above

        return credentials.fingerprint(self._opened(), salt)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _call(self, method: str, path: str, query: dict[str, Any] | None = None) -> "httpx2.Response":
        from batchctl.api import translate  # noqa: PLC0415 - as above

        with translate.failures(), self._watched(self._longest):
            return self._request(method, path, {}, query=query)

    def _watched(self, seconds: float, **how: bool) -> contextlib.AbstractContextManager[None]:
        self._opened()
        watch: bounds.Watch = self._watch
        return watch.request(seconds, **how)

    def _request(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        *,
        content: Iterator[bytes] | bytes | None = None,
        query: dict[str, Any] | None = None,
        stream: bool = False,
    ) -> "httpx2.Response":
        import anthropic  # noqa: PLC0415 - as above
        import httpx2  # noqa: PLC0415

        options: Any = {
            "max_retries": 0,
            # A followed redirect would send an empty body, or our key to another host.
            "follow_redirects": False,
            "headers": {"anthropic-version": self.api_version, **headers},
            "timeout": _timeout(self._patience if isinstance(content, bytes | None) else UPLOAD_TIMEOUT_SECONDS),
        }
        if query:
            options["params"] = query
        client = self._opened()
        if method == "DELETE":
            return client.delete(path, cast_to=httpx2.Response, options=options)  # type: ignore[no-any-return]
        streaming: Any = {"stream": True, "stream_cls": anthropic.Stream[object]} if stream else {}
        if method == "POST":
            return client.post(path, cast_to=httpx2.Response, content=content, options=options, **streaming)  # type: ignore[no-any-return]
        return client.get(path, cast_to=httpx2.Response, options=options, **streaming)  # type: ignore[no-any-return]

    def _opened(self) -> Any:
        with self._opening:
            if self._client is None:
                from batchctl.api import bounds  # noqa: PLC0415 - as above

                self._watch = bounds.Watch(self._is_stopped)
                self._client = _open_client(self.base_url, self._watch)
            return self._client


def checked_base_url(base_url: str, *, insecure_http: bool = False) -> str:
    """Empty for the SDK's own. Raises UsageProblem for one that would show the key on the wire.

    `insecure_http`: a person says that it may, to a host inside their own network. Never to the API's own.
    """
    if not base_url:
        return ""
    host = host_of(base_url)
    if not host:
        raise UsageProblem(f"--base-url {shown_url(base_url)!r} is not a URL", hint="like https://api.anthropic.com")
    if base_url.lower().startswith("https:") or is_loopback(host):
        return base_url
    if is_host_of_api(host):
        raise UsageProblem(f"{shown_url(base_url)}: a key is never sent to the API over plain http", hint="use https")
    if not insecure_http:
        raise UsageProblem(
            f"{shown_url(base_url)}: a key is not sent over plain http, except to this machine",
            hint="use https; or, where everybody on the way may read the key, as inside a cluster: --insecure-http",
        )
    return base_url


def is_host_of_api(host: str) -> bool:
    """However it is written: a resolver takes other dots and other letters for the same, and one dot more at the end."""
    plain = unicodedata.normalize("NFKC", unquote(host)).replace("\u3002", ".").lower().strip(".")
    return plain == API_DOMAIN or plain.endswith(f".{API_DOMAIN}")


def host_of(url: str) -> str:
    """Empty where it is no URL of http or https."""
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        return ""
    return (parts.hostname or "") if is_one else ""


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_loopback_url(base_url: str) -> bool:
    """Of one that was checked."""
    return is_loopback(urlsplit(base_url).hostname or "")


def _open_client(base_url: str, watch: "bounds.Watch") -> Any:
    import anthropic  # noqa: PLC0415 - as above
    import httpx2  # noqa: PLC0415

    from batchctl.api import bounds, translate  # noqa: PLC0415

    # The libraries' own logs may hold headers; what a person should know comes as events.
    for name in ("anthropic", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    trusted = _trusted()
    settings: dict[str, Any] = {}
    if base_url:
        settings["base_url"] = base_url
        if is_loopback_url(base_url):
            # A proxy for the outside world cannot reach this machine's loopback. Certificates are trusted here as elsewhere.
            settings["http_client"] = httpx2.Client(trust_env=False, verify=trusted)
    with translate.failures():
        client = anthropic.Anthropic(max_retries=0, timeout=_timeout(UPLOAD_TIMEOUT_SECONDS), **settings)
    # What a request carries is known before anybody can echo it: also a token that was fetched for it.
    client._client.event_hooks["request"].append(lambda request: remember_sent(request.headers))  # noqa: SLF001

    def on_answer(response: "httpx2.Response") -> None:
        bounds.bound(response)
        if not (watch.is_streamed and response.is_success):
            bounds.read(response)

    client._client.event_hooks["response"].append(on_answer)  # noqa: SLF001
    bounds.bind(client._client, watch)  # noqa: SLF001
    return client


def _trusted() -> "ssl.SSLContext | bool":
    """What the HTTP library trusts: read here, where somebody says what, to say so where it cannot be."""
    import httpx2  # noqa: PLC0415 - as above

    named = " and ".join(f"{name}={os.environ[name]}" for name in TRUSTED if os.environ.get(name))
    try:
        return httpx2.create_ssl_context() if named else True
    except OSError as error:
        said = f"{named} cannot be used: {error.strerror or error}"
        raise CertificateProblem(said, hint="it names a file or a folder of CAs in PEM") from error


def _headers(length: int, api_version: str, betas: Iterable[str]) -> dict[str, str]:
    named = ",".join(betas)
    return {
        "Content-Type": "application/json",
        "Content-Length": str(length),
        "anthropic-version": api_version,
        **({"anthropic-beta": named} if named else {}),
    }


def _timeout(seconds: float) -> Any:
    import anthropic  # noqa: PLC0415 - as above

    return anthropic.Timeout(seconds, connect=CONNECT_TIMEOUT_SECONDS)


def _seen(response: "httpx2.Response", *, asked: str) -> Seen:
    from batchctl.api import translate  # noqa: PLC0415 - as above

    return Seen(
        batch=translate.message_batch(translate.parsed(response), asked),
        retry_after=translate.retry_after(response.headers),
    )
