"""Theirs to ours, at the edge, once: the SDK's errors and the API's objects in our words.

Importing this module imports the SDK (1.2 s): only `client` does, and only when a request is made.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2

from batchctl.domain.catalog import Model
from batchctl.domain.errors import AccountProblem, ApiFailure, BatchctlError
from batchctl.domain.model import MessageBatch, ProcessingStatus, RequestCounts

if TYPE_CHECKING:
    from batchctl.transport.client import Body

CREDENTIALS_HINT = (
    "the SDK looks for one in five places: ANTHROPIC_API_KEY; ANTHROPIC_AUTH_TOKEN; ANTHROPIC_PROFILE; workload identity"
    " (ANTHROPIC_IDENTITY_TOKEN or ANTHROPIC_IDENTITY_TOKEN_FILE with ANTHROPIC_FEDERATION_RULE_ID and"
    " ANTHROPIC_ORGANIZATION_ID); the profile that `ant auth login` writes"
)

# A wait for longer than a batch can take is no answer, and `inf` is a number to Python.
MOST_SECONDS = 7 * 24 * 3600.0
MOST_REQUESTS = 10_000_000
MOST_TOKENS = 1_000_000_000


_KEY = re.compile(r"sk-ant-[A-Za-z0-9_-]+|(?<=Bearer )\S+")


@contextlib.contextmanager
def failures(body: "Body | None" = None) -> Iterator[None]:
    """Everything that the SDK and the wire can raise, as ApiFailure; no credential at all, as AccountProblem."""
    try:
        yield
    except (BatchctlError, ApiFailure):
        raise
    except anthropic.APIStatusError as error:
        raise _status_failure(error) from error
    except (anthropic.APIConnectionError, httpx2.HTTPError, httpx2.StreamError) as error:
        if body is not None and body.failure is not None:
            raise body.failure from error
        if isinstance(error.__cause__ or error, httpx2.LocalProtocolError) and not (body is not None and body.given):
            # Its text would show the header, and so the key.
            raise AccountProblem(
                "the key, or another header, holds a character that no header may hold",
                hint="often a newline at the end of the variable: see ANTHROPIC_API_KEY and ANTHROPIC_CUSTOM_HEADERS",
            ) from None
        raise _connection_failure(error, body) from error
    except TypeError as error:
        # The SDK says "no credential" with a TypeError at the first request; any other one is a bug and stays one.
        if "authentication method" not in str(error):
            raise
        raise AccountProblem("no API key was found", hint=CREDENTIALS_HINT) from error
    except anthropic.AnthropicError as error:
        if body is not None and body.given:
            # Whatever it is, it came after the upload had begun: not the place to say that nothing was sent.
            raise ApiFailure(_scrubbed(str(error)), sent_whole=body.is_sent_whole) from error
        said = _scrubbed(str(error))
        raise AccountProblem(f"the credentials cannot be used: {said}", hint=CREDENTIALS_HINT) from error


def guarded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A stream whose breaks are ApiFailures too: the SDK lets the HTTP library's own errors through."""
    with failures():
        yield from pieces


def parsed(response: httpx2.Response) -> dict[str, Any]:
    """The JSON object of a 200 answer. Raises ApiFailure where it is none, as a proxy's page is."""
    try:
        found = response.json()
    except ValueError as error:
        raise _unreadable(response) from error
    if not isinstance(found, dict):
        raise _unreadable(response)
    return found


def input_tokens(response: httpx2.Response) -> int:
    found = parsed(response).get("input_tokens")
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= MOST_TOKENS:
        raise ApiFailure("the answer counts no tokens", status=200)
    return found


def message_batch(found: Mapping[str, Any]) -> MessageBatch:
    try:
        counts = found["request_counts"]
        return MessageBatch(
            id=str(found["id"]),
            processing_status=_processing_status(str(found["processing_status"])),
            counts=RequestCounts(
                **{n: _count(counts.get(n, 0)) for n in ("processing", "succeeded", "errored", "canceled", "expired")}
            ),
            created_at=_time(found["created_at"]),
            expires_at=_time(found["expires_at"]),
            ended_at=_time_or_none(found.get("ended_at")),
            archived_at=_time_or_none(found.get("archived_at")),
        )
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ApiFailure(_scrubbed(f"the answer is no Message Batch: {error!r}"), status=200) from error


def _count(said: object) -> int:
    found = int(said)  # type: ignore[call-overload]  # whatever is no number raises
    if not 0 <= found <= MOST_REQUESTS:
        raise ValueError(f"{said!r} requests")
    return int(found)


def _processing_status(said: str) -> ProcessingStatus:
    """A word the API invents tomorrow is no end: the batch counts as in progress until it says `ended`."""
    return ProcessingStatus(said) if said in list(ProcessingStatus) else ProcessingStatus.IN_PROGRESS


def page(response: httpx2.Response) -> dict[str, Any]:
    """What stands in a list. One batch that cannot be read, perhaps somebody else's, hides none of the others."""
    listed, after = _listed(response, "Message Batches")
    batches = []
    for one in listed:
        with contextlib.suppress(ApiFailure):
            batches.append(message_batch(one))
    return {"batches": tuple(batches), "after": after}


def _listed(response: httpx2.Response, of_what: str) -> tuple[list[Any], str]:
    """The objects of a page, and the cursor of the next one, empty on the last."""
    found = parsed(response)
    listed = found.get("data")
    after = str(found.get("last_id") or "") if found.get("has_more") else ""
    if not isinstance(listed, list) or (found.get("has_more") and not after):
        raise ApiFailure(f"the answer is no list of {of_what}", status=200)
    return listed, after


def models(response: httpx2.Response) -> tuple[list[Model], str]:
    """What stands in a page of the list of models, and the cursor of the next. One that cannot be read hides no other."""
    listed, after = _listed(response, "models")
    found = []
    for one in listed:
        with contextlib.suppress(ApiFailure):
            found.append(model(one))
    return found, after


def model(found: object) -> Model:
    """Of what the API leaves out or says in another way than today, nothing is known."""
    if not isinstance(found, Mapping) or not isinstance(found.get("id"), str):
        raise ApiFailure("the answer is no model", status=200)
    return Model(
        id=found["id"],
        lifecycle=str(found.get("lifecycle") or ""),
        retires_at=_date_or_none(found.get("retires_at")),
        max_input_tokens=_tokens_or_none(found.get("max_input_tokens")),
        max_tokens=_tokens_or_none(found.get("max_tokens")),
        is_in_batches=_is_supported(found.get("capabilities"), "batch"),
    )


def _date_or_none(said: object) -> datetime | None:
    try:
        return _time(str(said)) if said else None
    except (ValueError, OverflowError):
        return None


def _tokens_or_none(said: object) -> int | None:
    return said if isinstance(said, int) and not isinstance(said, bool) and said > 0 else None


def _is_supported(capabilities: object, name: str) -> bool | None:
    one = capabilities.get(name) if isinstance(capabilities, Mapping) else None
    said = one.get("supported") if isinstance(one, Mapping) else None
    return said if isinstance(said, bool) else None


def account(response: httpx2.Response) -> str:
    names = ("anthropic-organization-id", "anthropic-workspace-id")
    return " ".join(response.headers[name] for name in names if name in response.headers)


def server_time(response: httpx2.Response) -> datetime | None:
    try:
        return parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, at most as many as a date can be put off by; None where there are none, as in an HTTP date."""
    try:
        seconds = float(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return min(seconds, MOST_SECONDS) if seconds > 0 else None


def _status_failure(error: anthropic.APIStatusError) -> ApiFailure:
    has_envelope = isinstance(error.body, dict) and isinstance(error.body.get("error"), dict)
    message = str((error.body or {}).get("error", {}).get("message", "")) if has_envelope else _page_text(error)  # type: ignore[attr-defined]
    return ApiFailure(
        _scrubbed(message) or f"HTTP {error.status_code}",
        status=error.status_code,
        error_type=_scrubbed(str(error.type or "")),
        error_code=str(error.error_code or ""),
        retry_after=retry_after(error.response.headers),
        has_envelope=has_envelope,
        request_id=str(error.request_id or ""),
    )


def _scrubbed(text: str) -> str:
    """Without anything that looks like a key, and such that it can be written: an error may quote what it was sent."""
    return _KEY.sub("...", text).encode("utf-8", "replace").decode()


def _page_text(error: anthropic.APIStatusError) -> str:
    kind = error.response.headers.get("content-type", "").split(";")[0] or "no content type"
    return f"HTTP {error.status_code} with {kind} instead of the API's JSON: a proxy or the edge answered"


def _connection_failure(error: Exception, body: "Body | None") -> ApiFailure:
    cause = error.__cause__ or error
    kinds = {
        httpx2.ConnectTimeout: "no connection within the time allowed",
        httpx2.ConnectError: "cannot connect",
        httpx2.ReadTimeout: "no answer within the time allowed",
        httpx2.WriteTimeout: "the upload stood still",
    }
    said = next((text for kind, text in kinds.items() if isinstance(cause, kind)), "the connection broke")
    detail = _scrubbed(str(cause)).strip()
    return ApiFailure(
        f"{said}: {detail}" if detail else said,
        # A connection that never stood has carried nothing, whatever the body was asked for.
        sent_whole=body is not None and body.is_sent_whole and not isinstance(cause, httpx2.ConnectError),
    )


def _unreadable(response: httpx2.Response) -> ApiFailure:
    kind = response.headers.get("content-type", "no content type").split(";")[0]
    return ApiFailure(
        f"an answer that cannot be read: HTTP {response.status_code}, {kind}",
        status=response.status_code,
        request_id=response.headers.get("request-id", ""),
    )


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if not 2000 <= found.year <= 9000:
        raise ValueError(f"{text!r} is no time of a batch")
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _time_or_none(text: str | None) -> datetime | None:
    return _time(text) if text else None
