"""From the API's words to ours: the SDK's errors as facts, and the API's objects as values of `domain`.

Everything is read leniently: a field that is missing or has another form than today's is unknown, and only an id is
required. Every text is scrubbed of secrets. The forms are those of the API reference.

Importing this module imports the SDK (1.2 s). Only `client` does, and only when a request is made.
"""

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import anthropic
import httpx2

from batchctl.api.protocol import Body
from batchctl.api.secrets import scrubbed
from batchctl.domain.errors import AccountProblem, ApiFailure, BatchctlError, CertificateProblem
from batchctl.domain.model import MessageBatch, ProcessingStatus, RequestCounts
from batchctl.domain.model_catalog import Model

CREDENTIALS_HINT = (
    "the SDK looks for one in five places: ANTHROPIC_API_KEY; ANTHROPIC_AUTH_TOKEN; ANTHROPIC_PROFILE; workload identity"
    " (ANTHROPIC_IDENTITY_TOKEN or ANTHROPIC_IDENTITY_TOKEN_FILE with ANTHROPIC_FEDERATION_RULE_ID and"
    " ANTHROPIC_ORGANIZATION_ID); the profile that `ant auth login` writes"
)

# The longest `retry-after` that is believed; a longer one, up to `inf`, would stop the job for good.
MAX_SECONDS = 7 * 24 * 3600.0
# Counts and limits above these are not believed.
MAX_REQUESTS = 10_000_000
MAX_TOKENS = 1_000_000_000
MAX_ID_CHARACTERS = 128
# The most that is read of an answer to a create, which has some 500 bytes.
MAX_ANSWER_BYTES = 1 << 20

_ID_IN_FRAGMENT = re.compile(rb'"id"\s*:\s*"(msgbatch_[A-Za-z0-9_]{1,119})"')


@contextlib.contextmanager
def failures(body: Body | None = None) -> Iterator[None]:
    """Raise ApiFailure for everything that the SDK and the connection raise, AccountProblem for what a person must set first.

    `body`: the body of a create, so that a failure after its upload began is never taken for one before it.
    """
    try:
        yield
    except (BatchctlError, ApiFailure):
        raise
    except anthropic.APIStatusError as error:
        raise _status_failure(error) from error
    except (anthropic.APIConnectionError, httpx2.HTTPError, httpx2.StreamError, UnicodeError, LookupError) as error:
        # The last two: the headers of a page name a character set that it is not in, or that does not exist.
        if isinstance(error.__cause__ or error, httpx2.LocalProtocolError) and not (body is not None and body.given):
            # The text of the error would show the header, and so the key.
            raise AccountProblem(
                "the key or another header holds a character that is not allowed in a header",
                hint="look for a newline at the end of ANTHROPIC_API_KEY or ANTHROPIC_CUSTOM_HEADERS",
            ) from None
        raise _on_the_way(error, body) from error
    except TypeError as error:
        # The SDK raises a TypeError at the first request where there is no credential. Any other one is a bug of ours.
        if "authentication method" not in str(error):
            raise
        raise AccountProblem("no API key was found", hint=CREDENTIALS_HINT) from error
    except anthropic.AnthropicError as error:
        if body is not None and body.given:
            # It came after the upload had begun, so that nobody may say that nothing was sent.
            raise ApiFailure(scrubbed(str(error)), sent_whole=body.is_sent_whole) from error
        message = scrubbed(str(error))
        raise AccountProblem(f"the credentials cannot be used: {message}", hint=CREDENTIALS_HINT) from error


def guarded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield pieces of a stream; raise ApiFailure where it breaks. The SDK does not translate these errors."""
    with failures():
        yield from pieces


def parsed(response: httpx2.Response) -> dict[str, Any]:
    """Return the JSON object of a 2xx answer. Raise ApiFailure where it is none, as with the page of a proxy."""
    answer = _json(response.content)
    if not isinstance(answer, dict):
        raise _unreadable(response)
    return answer


def _json(body: bytes) -> Any:
    """The parsed JSON, None where it is none or nested too deeply."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def created(response: httpx2.Response) -> MessageBatch:
    """Return the batch that a create made: a 2xx answer with an id is that batch, whatever else is odd about it or missing.

    The answer is read in pieces, since the id may stand in the part that came before a break. Raises ApiFailure with the 2xx
    status where no id came: then a batch may exist, and nobody knows which one.
    """
    body, broken = bytearray(), ""
    try:
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
                break
    except httpx2.HTTPError as error:
        broken = scrubbed(str(error))
    finally:
        response.close()
    answer = _json(bytes(body))
    named = answer.get("id") if isinstance(answer, dict) else None
    if isinstance(answer, dict) and is_batch_id(named):
        return message_batch(answer)
    if answer is None and (match := _ID_IN_FRAGMENT.search(body)):
        return message_batch({"id": match[1].decode()})
    raise ApiFailure(
        f"the answer holds no batch id{f': {broken}' if broken else ''}",
        status=response.status_code,
        request_id=scrubbed(response.headers.get("request-id", "")),
    )


def input_tokens(response: httpx2.Response) -> int:
    """Return the `input_tokens` of a token count. Raise ApiFailure where they are no plausible number."""
    tokens = parsed(response).get("input_tokens")
    if not isinstance(tokens, int) or isinstance(tokens, bool) or not 1 <= tokens <= MAX_TOKENS:
        raise ApiFailure("the answer holds no token count", status=200)
    return tokens


def is_batch_id(value: object) -> bool:
    """Return whether a value can be the id of a batch or a cursor.

    Ids are opaque to us; such a one is a short text on one line that can stand in a path and shows no secret.
    """
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARACTERS:
        return False
    return value.isprintable() and not value.isspace() and scrubbed(value) == value


def message_batch(answer: object, asked: str = "") -> MessageBatch:
    """Return a batch by its id. Other fields that are missing or of another form than today's are unknown.

    `asked`: the id that was asked for, which stands in for one that cannot be read. Raises ApiFailure where there is no id, or
    that of another batch.
    """
    if not isinstance(answer, Mapping):
        raise ApiFailure("the answer is not a Message Batch", status=200)
    named = answer["id"] if is_batch_id(answer.get("id")) else asked
    if not named or (asked and named != asked):
        raise ApiFailure(
            "the answer is not the Message Batch that was asked for: it has no id or another id", status=200
        )
    fields: dict[str, Any] = {
        "processing_status": _processing_status(answer),
        "counts": _counts(answer.get("request_counts")),
        **{name: _time_or_none(answer.get(name)) for name in ("created_at", "expires_at", "ended_at", "archived_at")},
    }
    unread = [name for name in ("created_at", "expires_at") if fields[name] is None]
    unread += [name for name in ("ended_at", "archived_at") if fields[name] is None and answer.get(name) is not None]
    unread += ["request_counts"] if fields["counts"] is None else []
    unread += ["processing_status"] if fields["processing_status"] is None else []
    fields["processing_status"] = fields["processing_status"] or _status_of(answer)
    return MessageBatch(id=named, **fields, unread=tuple(sorted(unread)))


def _counts(value: object) -> RequestCounts | None:
    """The counters, None where one of the five is missing or cannot be read, or where they count no request."""
    if not isinstance(value, Mapping):
        return None
    names = ("processing", "succeeded", "errored", "canceled", "expired")
    known = {name: count for name in names if (count := _count(value.get(name))) is not None}
    counts = RequestCounts(**known)
    return counts if len(known) == len(names) and 0 < counts.total <= MAX_REQUESTS else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_REQUESTS else None


def _processing_status(answer: Mapping[str, Any]) -> ProcessingStatus | None:
    status = answer.get("processing_status")
    return ProcessingStatus(status) if isinstance(status, str) and status in list(ProcessingStatus) else None


def _status_of(answer: Mapping[str, Any]) -> ProcessingStatus:
    """The status where it cannot be read: only `ended_at` shows that a batch has ended."""
    has_ended = _time_or_none(answer.get("ended_at")) is not None
    return ProcessingStatus.ENDED if has_ended else ProcessingStatus.IN_PROGRESS


def page(response: httpx2.Response) -> dict[str, Any]:
    """Return the batches of a list page, the cursor of the next page, and whether all of the page could be read.

    An entry that cannot be read hides no other one. A page that does not say whether there are more may have more.
    """
    listed, more, last = _listed(response, "Message Batches")
    batches = []
    for entry in listed:
        with contextlib.suppress(ApiFailure):
            batches.append(message_batch(entry))
    after = "" if more is False else last or (batches[-1].id if batches else "")
    is_end_known = bool(after) or more is False
    return {"batches": tuple(batches), "after": after, "is_whole": len(batches) == len(listed) and is_end_known}


def _listed(response: httpx2.Response, of_what: str) -> tuple[list[Any], bool | None, str]:
    """The entries of a page; whether there are more, None where it does not say; the cursor of the next page."""
    answer = parsed(response)
    listed, more, last = answer.get("data"), answer.get("has_more"), answer.get("last_id")
    if not isinstance(listed, list):
        raise ApiFailure(f"the answer is not a list of {of_what}", status=200)
    return listed, more if isinstance(more, bool) else None, str(last) if is_batch_id(last) else ""


def models(response: httpx2.Response) -> tuple[list[Model], str]:
    """Return the models of a list page and the cursor of the next page. A model that cannot be read hides no other."""
    listed, more, last = _listed(response, "models")
    after = "" if more is False else last
    readable = []
    for entry in listed:
        with contextlib.suppress(ApiFailure):
            readable.append(model(entry))
    return readable, after


def model(answer: object) -> Model:
    """Return a model. What the API leaves out, or writes in another form than today's, is unknown."""
    if not isinstance(answer, Mapping) or not isinstance(answer.get("id"), str):
        raise ApiFailure("the answer is not a model", status=200)
    return Model(
        id=scrubbed(answer["id"]),
        lifecycle=scrubbed(str(answer.get("lifecycle") or "")),
        retires_at=_time_or_none(answer.get("retires_at")),
        max_input_tokens=_tokens_or_none(answer.get("max_input_tokens")),
        max_tokens=_tokens_or_none(answer.get("max_tokens")),
        is_in_batches=_is_supported(answer.get("capabilities"), "batch"),
    )


def _tokens_or_none(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_TOKENS else None


def _is_supported(capabilities: object, name: str) -> bool | None:
    capability = capabilities.get(name) if isinstance(capabilities, Mapping) else None
    supported = capability.get("supported") if isinstance(capability, Mapping) else None
    return supported if isinstance(supported, bool) else None


def account(response: httpx2.Response) -> str:
    """Return organization and API workspace as the headers of an answer name them, empty where they do not."""
    names = ("anthropic-organization-id", "anthropic-workspace-id")
    return " ".join(_told_apart(response.headers[name]) for name in names if name in response.headers)


def _told_apart(name: str) -> str:
    """A name that shows no secret and still differs between any two accounts."""
    return name if scrubbed(name) == name else f"hidden-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def server_time(response: httpx2.Response) -> datetime | None:
    """Return the time of an answer by the API's clock, in whole seconds; None where it cannot be read."""
    try:
        return parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
    except (KeyError, ValueError, TypeError):
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a `retry-after` header, at most MAX_SECONDS; None where it names none, as an HTTP date does."""
    try:
        seconds = float(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return min(seconds, MAX_SECONDS) if 0 < seconds < math.inf else None


def _status_failure(error: anthropic.APIStatusError) -> ApiFailure:
    has_envelope = isinstance(error.body, dict) and isinstance(error.body.get("error"), dict)
    message = str((error.body or {}).get("error", {}).get("message", "")) if has_envelope else _page_text(error)  # type: ignore[attr-defined]
    return ApiFailure(
        scrubbed(message),
        status=error.status_code,
        error_type=scrubbed(str(error.type or "")),
        error_code=scrubbed(str(error.error_code or "")),
        retry_after=retry_after(error.response.headers),
        has_envelope=has_envelope,
        is_from_api=_is_from_api(error),
        request_id=scrubbed(str(error.request_id or "")),
    )


def _is_from_api(error: anthropic.APIStatusError) -> bool:
    """Whether the API itself answered: its errors have one form and name the request."""
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error")
    has_form = body.get("type") == "error" and isinstance(inner, dict) and isinstance(inner.get("type"), str)
    return has_form and bool(error.request_id or body.get("request_id"))


def _page_text(error: anthropic.APIStatusError) -> str:
    kind = error.response.headers.get("content-type", "").split(";")[0] or "no content type"
    return f"{kind} instead of the API's JSON: a proxy answered"


def _on_the_way(error: Exception, body: Body | None) -> BatchctlError | ApiFailure:
    """What ended the body early, what `bounds` raised about the answer or the certificate, or else a broken connection."""
    if body is not None and body.failure is not None:
        return body.failure
    # Raised by `bounds` within the HTTP library, which wraps every exception.
    if isinstance(error.__cause__, ApiFailure | CertificateProblem):
        return error.__cause__
    return _connection_failure(error, body)


def _connection_failure(error: Exception, body: Body | None) -> ApiFailure:
    cause = error.__cause__ or error
    kinds = {
        httpx2.ConnectTimeout: "no connection within the time allowed",
        httpx2.ConnectError: "cannot connect",
        httpx2.ReadTimeout: "no answer within the time allowed",
        httpx2.WriteTimeout: "the upload stalled",
        UnicodeError: "the answer cannot be read",
        LookupError: "the answer cannot be read",
    }
    message = next((text for kind, text in kinds.items() if isinstance(cause, kind)), "the connection broke")
    detail = scrubbed(str(cause)).strip()
    return ApiFailure(
        f"{message}: {detail}" if detail else message,
        # A connection that was never made has carried nothing, even if pieces of the body were taken.
        sent_whole=body is not None and body.is_sent_whole and not isinstance(cause, httpx2.ConnectError),
    )


def _unreadable(response: httpx2.Response) -> ApiFailure:
    kind = response.headers.get("content-type", "no content type").split(";")[0]
    return ApiFailure(
        scrubbed(f"the answer cannot be read ({kind})"),
        status=response.status_code,
        request_id=scrubbed(response.headers.get("request-id", "")),
    )


def _time_or_none(value: object) -> datetime | None:
    """A time as the API writes it, None for anything else and for a time that no batch can have."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        is_one = 2000 <= time.year <= 9000
        return (time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)) if is_one else None
    except (ValueError, OverflowError):
        return None
