"""`MessageBatches` over the SDK, and the check of a base URL.

The SDK's retries are off. The API takes no idempotency key, so a create that is tried twice may be two batches, both paid.
They are off for every other call, too: the caller decides, shows and bounds every wait in one place.

Importing this module does not import the SDK (1.2 s). The first request does, in `_open_client`.
"""

import contextlib
import ipaddress
import logging
import math
import os
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from batchctl.api.protocol import LIST_LIMIT, Body, Credential, MessageBatches, Models, Page, Seen
from batchctl.api.secrets import remember_sent, shown_url
from batchctl.domain.errors import ApiFailure, CertificateProblem, UsageProblem
from batchctl.domain.limits import API_VERSION
from batchctl.domain.model_catalog import Model

if TYPE_CHECKING:
    import ssl

    import httpx2

    from batchctl.api import bounds

PATH = "/v1/messages/batches"
MODELS_PATH = "/v1/models"
API_DOMAIN = "anthropic.com"
LIFECYCLES = ("active", "deprecated", "retired")
COUNT_PATH = "/v1/messages/count_tokens"
MAX_MODEL_PAGES = 10
# How long nothing may move in either direction. The API answers a create only after it has read all of it; whoever gives up
# waiting has an unconfirmed batch.
UPLOAD_TIMEOUT_SECONDS = 600.0
ANSWER_TIMEOUT_SECONDS = 120.0
# For a whole answer except results, however slowly its bytes come. The answer to an upload may take UPLOAD_TIMEOUT_SECONDS.
WHOLE_ANSWER_SECONDS = 300.0
CONNECT_TIMEOUT_SECONDS = 10.0
# Variables that name certificate authorities to the HTTP library, in place of those of the machine.
TRUSTED = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class SdkMessageBatches(MessageBatches):
    """The Message Batches API over the `anthropic` SDK. `protocol.MessageBatches` says what each method does and raises."""

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
        """Check the base URL; open nothing.

        Args:
            base_url: Where the API is; ANTHROPIC_BASE_URL, or the SDK's own URL, where it is empty.
            is_stopped: Called while an answer is read; true ends the call with Stopped.
            patience: Seconds without a byte of an answer after which a call fails.
            longest: Seconds for the whole of an answer, other than that to a create and results.
            api_version: The anthropic-version header of every call that names no other.
            insecure_http: Whether a person allows plain HTTP, as in `checked_base_url`.

        Raises:
            UsageProblem: The key would be readable on its way to this URL.
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
        """Create a batch with one POST, never retried."""
        headers = _headers(body.length, api_version, betas)
        from batchctl.api import translate  # noqa: PLC0415 - it imports the SDK: 1.2 s, and only when needed

        # A stop does not end it: a create whose answer nobody reads leaves an unconfirmed batch.
        with translate.failures(body), self._watched(UPLOAD_TIMEOUT_SECONDS, heeds_stop=False, is_streamed=True):
            response = self._request("POST", PATH, headers, content=iter(body), stream=True)
            batch = translate.created(response)
        return Seen(batch=batch, retry_after=translate.retry_after(response.headers))

    def count_tokens(self, body: bytes, *, api_version: str = API_VERSION, betas: Iterable[str] = ()) -> int:
        """Return the input tokens of a Messages body, as the API estimates them."""
        from batchctl.api import translate  # noqa: PLC0415 - as above

        headers = _headers(len(body), api_version, betas)
        with translate.failures(), self._watched(self._longest):
            return translate.input_tokens(self._request("POST", COUNT_PATH, headers, content=body))

    def cancel(self, message_batch_id: str) -> Seen:
        """Ask the API to end a batch."""
        return _seen(self._call("POST", f"{_path(message_batch_id)}/cancel"), asked=message_batch_id)

    def delete(self, message_batch_id: str) -> None:
        """Remove an ended batch and its results at the API for good."""
        self._call("DELETE", _path(message_batch_id))

    def retrieve(self, message_batch_id: str) -> Seen:
        """Return the batch as the API describes it now."""
        return _seen(self._call("GET", _path(message_batch_id)), asked=message_batch_id)

    def page(self, after: str = "", limit: int = LIST_LIMIT) -> Page:
        """Return one page of the list of batches, newest first."""
        from batchctl.api import translate  # noqa: PLC0415 - as above

        query = {"limit": limit, **({"after_id": after} if after else {})}
        response = self._call("GET", PATH, query)
        return Page(
            **translate.page(response),
            server_time=translate.server_time(response),
            account=translate.account(response),
        )

    def models(self) -> Models:
        """Return every model of the account; raise ApiFailure for an empty list, and for one whose pages never end."""
        from batchctl.api import translate  # noqa: PLC0415 - as above

        listed: list[Model] = []
        query: dict[str, Any] = {"limit": LIST_LIMIT, "lifecycle": list(LIFECYCLES)}
        for _ in range(MAX_MODEL_PAGES):
            response = self._call("GET", MODELS_PATH, query)
            page, after = translate.models(response)
            listed += page
            if not after and not listed:
                raise ApiFailure("the list of models is empty", status=200)
            if not after:
                return Models(models=tuple(listed), account=translate.account(response))
            query = {**query, "after_id": after}
        raise ApiFailure("the list of models has no end", status=200)

    def model(self, name: str) -> Model:
        """Return one model by its id or by an alias."""
        from batchctl.api import translate  # noqa: PLC0415 - as above

        return translate.model(translate.parsed(self._call("GET", f"{MODELS_PATH}/{quote(name, safe='')}")))

    @contextlib.contextmanager
    def results(self, message_batch_id: str) -> Iterator[Iterator[bytes]]:
        """Open the results of an ended batch as a stream of raw bytes."""
        from batchctl.api import bounds, translate  # noqa: PLC0415 - as above

        # Built here: the `results_url` of an answer could lead the key elsewhere.
        path = f"{_path(message_batch_id)}/results"
        with self._watched(self._longest, is_streamed=True):
            with translate.failures():
                response = self._request("GET", path, {"Accept": "application/x-jsonl"}, stream=True)
            self._watch.allow(math.inf)
            try:
                yield translate.guarded(bounds.pieces(response, self._watch))
            finally:
                response.close()

    def credential(self) -> Credential:
        """Return where the credential comes from, without a request."""
        from batchctl.api import credentials  # noqa: PLC0415 - as above

        return credentials.credential(self._opened())

    def fingerprint(self, salt: str) -> str:
        """Return a salted fingerprint of the static key or token, empty for any other credential."""
        from batchctl.api import credentials  # noqa: PLC0415 - as above

        return credentials.fingerprint(self._opened(), salt)

    def close(self) -> None:
        """Close the connections, if any were opened."""
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
            # Following a redirect would send an empty body, or the key to another host.
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


def load_sdk() -> None:
    """Import what the first request would import: for a process that has time until it is given something to do."""
    from batchctl.api import bounds, credentials, translate  # noqa: F401, PLC0415 - for nothing but their import


def _path(message_batch_id: str) -> str:
    return f"{PATH}/{quote(message_batch_id, safe='')}"


def checked_base_url(base_url: str, *, insecure_http: bool = False) -> str:
    """Return `base_url` where the key may be sent to it; an empty one, which stands for the SDK's own, stays empty.

    `insecure_http` allows plain HTTP to any host but the API's own, for a gateway inside a person's own network. Plain HTTP
    to this machine is always allowed. Raises UsageProblem for any other URL that is not https, and for what is no URL.
    """
    if not base_url:
        return ""
    host = host_of(base_url)
    if not host:
        raise UsageProblem(
            f"--base-url {shown_url(base_url)!r} is not a URL", hint="use a URL like https://api.anthropic.com"
        )
    if base_url.lower().startswith("https:") or is_loopback(host):
        return base_url
    if is_host_of_api(host):
        raise UsageProblem(f"{shown_url(base_url)}: the key is never sent to the API over plain http", hint="use https")
    if not insecure_http:
        raise UsageProblem(
            f"{shown_url(base_url)}: the key is sent over plain http only to this machine",
            hint="use https; inside a trusted network, --insecure-http allows plain http, where others can read the key",
        )
    return base_url


def is_host_of_api(host: str) -> bool:
    """Return whether a host is the API's, in any spelling that a resolver takes for it: other dots, other letters, a last dot."""
    plain = unicodedata.normalize("NFKC", unquote(host)).replace("\u3002", ".").lower().strip(".")
    return plain == API_DOMAIN or plain.endswith(f".{API_DOMAIN}")


def host_of(url: str) -> str:
    """Return the host of an http or https URL; empty for anything else."""
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        return ""
    return (parts.hostname or "") if is_one else ""


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its address or the name `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_loopback_url(base_url: str) -> bool:
    """Return whether a URL that `checked_base_url` returned leads to this machine."""
    return is_loopback(urlsplit(base_url).hostname or "")


def _open_client(base_url: str, watch: "bounds.Watch") -> Any:
    import ssl  # noqa: PLC0415 - as above

    import anthropic  # noqa: PLC0415
    import httpx2  # noqa: PLC0415

    from batchctl.api import bounds, translate  # noqa: PLC0415

    # The libraries' own logs may hold headers, and so the key.
    for name in ("anthropic", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    settings: dict[str, Any] = {}
    if base_url:
        settings["base_url"] = base_url
    if urlsplit(base_url).scheme.lower() == "http":
        # No certificate is ever asked for, so none is trusted: to read all CAs takes a quarter of a short command.
        trusted: ssl.SSLContext | bool = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        trusted = _trusted()
    if base_url and is_loopback_url(base_url):
        # A proxy for the outside world cannot reach this machine. Certificates are checked here as elsewhere.
        settings["http_client"] = httpx2.Client(trust_env=False, verify=trusted)
    with translate.failures():
        client = anthropic.Anthropic(max_retries=0, timeout=_timeout(UPLOAD_TIMEOUT_SECONDS), **settings)
    # Remembers the credential before a server can echo it; a token that was fetched stands in no variable.
    client._client.event_hooks["request"].append(lambda request: remember_sent(request.headers))  # noqa: SLF001

    def on_answer(response: "httpx2.Response") -> None:
        bounds.bound(response)
        if not (watch.is_streamed and response.is_success):
            bounds.read(response)

    client._client.event_hooks["response"].append(on_answer)  # noqa: SLF001
    bounds.bind(client._client, watch)  # noqa: SLF001
    return client


def _trusted() -> "ssl.SSLContext | bool":
    """Return what the HTTP library trusts. Read here, so that a file of CAs that cannot be read is named."""
    import httpx2  # noqa: PLC0415 - as above

    named = " and ".join(f"{name}={os.environ[name]}" for name in TRUSTED if os.environ.get(name))
    try:
        return httpx2.create_ssl_context() if named else True
    except OSError as error:
        message = f"{named} cannot be used: {error.strerror or error}"
        raise CertificateProblem(
            message, hint="it must name a file or a folder of CA certificates in PEM format"
        ) from error


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
