"""Theirs to ours, at the edge, once: the SDK's errors and the API's objects in our words.

Importing this module imports the SDK (1.2 s): only `client` does, and only when a request is made.
"""

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2

from batchctl.api.secrets import scrubbed
from batchctl.domain.catalog import Model
from batchctl.domain.errors import AccountProblem, ApiFailure, BatchctlError, CertificateProblem
from batchctl.domain.model import MessageBatch, ProcessingStatus, RequestCounts

if TYPE_CHECKING:
    from batchctl.api.client import Body

CREDENTIALS_HINT = (
    "the SDK looks for one in five places: ANTHROPIC_API_KEY; ANTHROPIC_AUTH_TOKEN; ANTHROPIC_PROFILE; workload identity"
    " (ANTHROPIC_IDENTITY_TOKEN or ANTHROPIC_IDENTITY_TOKEN_FILE with ANTHROPIC_FEDERATION_RULE_ID and"
    " ANTHROPIC_ORGANIZATION_ID); the profile that `ant auth login` writes"
)

# A wait for longer than a batch can take is no answer, and `inf` is a number to Python.
MOST_SECONDS = 7 * 24 * 3600.0
MOST_REQUESTS = 10_000_000
MOST_TOKENS = 1_000_000_000
MOST_ID_CHARACTERS = 128
# An answer to a create is some 500 bytes.
MOST_ANSWER_BYTES = 1 << 20

_ID_IN_FRAGMENT = re.compile(rb'"id"\s*:\s*"(msgbatch_[A-Za-z0-9_]{1,119})"')


@contextlib.contextmanager
def failures(body: "Body | None" = None) -> Iterator[None]:
    """Everything that the SDK and the wire can raise, as ApiFailure; what a person has to set first, as AccountProblem."""
    try:
        yield
    except (BatchctlError, ApiFailure):
        raise
    except anthropic.APIStatusError as error:
        raise _status_failure(error) from error
    except (anthropic.APIConnectionError, httpx2.HTTPError, httpx2.StreamError, UnicodeError, LookupError) as error:
        # The last two: a page whose header names a character set that it is not in, or that nobody knows.
        if isinstance(error.__cause__ or error, httpx2.LocalProtocolError) and not (body is not None and body.given):
            # Its text would show the header, and so the key.
            raise AccountProblem(
                "the key, or another header, holds a character that no header may hold",
                hint="often a newline at the end of the variable: see ANTHROPIC_API_KEY and ANTHROPIC_CUSTOM_HEADERS",
            ) from None
        raise _on_the_way(error, body) from error
    except TypeError as error:
        # The SDK says "no credential" with a TypeError at the first request; any other one is a bug and stays one.
        if "authentication method" not in str(error):
            raise
        raise AccountProblem("no API key was found", hint=CREDENTIALS_HINT) from error
    except anthropic.AnthropicError as error:
        if body is not None and body.given:
            # Whatever it is, it came after the upload had begun: not the place to say that nothing was sent.
            raise ApiFailure(scrubbed(str(error)), sent_whole=body.is_sent_whole) from error
        said = scrubbed(str(error))
        raise AccountProblem(f"the credentials cannot be used: {said}", hint=CREDENTIALS_HINT) from error


def guarded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A stream whose breaks are ApiFailures too: the SDK lets the HTTP library's own errors through."""
    with failures():
        yield from pieces


def parsed(response: httpx2.Response) -> dict[str, Any]:
    """The JSON object of a 200 answer. Raises ApiFailure where it is none, as a proxy's page is."""
    found = _json(response.content)
    if not isinstance(found, dict):
        raise _unreadable(response)
    return found


def _json(body: bytes) -> Any:
    """None where it is no JSON, or nested deeper than can be read."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def created(response: httpx2.Response) -> MessageBatch:
    """The batch that a create made: a 2xx with an id is that batch, whatever else is odd about the answer or missing from it.

    The answer is read here, piece by piece: of one that breaks, the id may have come. Raises ApiFailure with the status
    where none has: then a batch may have been made, and nobody knows which.
    """
    body, broken = bytearray(), ""
    try:
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MOST_ANSWER_BYTES:
                break
    except httpx2.HTTPError as error:
        broken = scrubbed(str(error))
    finally:
        response.close()
    found = _json(bytes(body))
    named = found.get("id") if isinstance(found, dict) else None
    if isinstance(found, dict) and is_batch_id(named):
        return message_batch(found)
    if found is None and (match := _ID_IN_FRAGMENT.search(body)):
        return message_batch({"id": match[1].decode()})
    raise ApiFailure(
        f"no id of a batch in the answer{f': {broken}' if broken else ''}",
        status=response.status_code,
        request_id=scrubbed(response.headers.get("request-id", "")),
    )


def input_tokens(response: httpx2.Response) -> int:
    found = parsed(response).get("input_tokens")
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= MOST_TOKENS:
        raise ApiFailure("the answer counts no tokens", status=200)
    return found


def is_batch_id(said: object) -> bool:
    """Whether this can name a batch, or where a page ends: opaque to us, but a short text of one line that can stand in a path,
    and shows no secret.
    """
    if not isinstance(said, str) or not 0 < len(said) <= MOST_ID_CHARACTERS:
        return False
    return said.isprintable() and not said.isspace() and scrubbed(said) == said


def message_batch(found: object, asked: str = "") -> MessageBatch:
    """A batch by its id; of every other field that is missing or in another form than today's, nothing is known.

    `asked`: the id that was asked for, which stands for one that cannot be read. Raises ApiFailure where there is none, or
    another batch came.
    """
    if not isinstance(found, Mapping):
        raise ApiFailure("the answer is no Message Batch", status=200)
    named = found["id"] if is_batch_id(found.get("id")) else asked
    if not named or (asked and named != asked):
        raise ApiFailure("the answer is no Message Batch that was asked for: it has no id, or another", status=200)
    read: dict[str, Any] = {
        "processing_status": _processing_status(found),
        "counts": _counts(found.get("request_counts")),
        **{name: _time_or_none(found.get(name)) for name in ("created_at", "expires_at", "ended_at", "archived_at")},
    }
    unread = [name for name in ("created_at", "expires_at") if read[name] is None]
    unread += [name for name in ("ended_at", "archived_at") if read[name] is None and found.get(name) is not None]
    unread += ["request_counts"] if read["counts"] is None else []
    unread += ["processing_status"] if read["processing_status"] is None else []
    read["processing_status"] = read["processing_status"] or _status_of(found)
    return MessageBatch(id=named, **read, unread=tuple(sorted(unread)))


def _counts(said: object) -> RequestCounts | None:
    """None where one of the five is missing or cannot be read, or where they count no request at all."""
    if not isinstance(said, Mapping):
        return None
    names = ("processing", "succeeded", "errored", "canceled", "expired")
    known = {name: count for name in names if (count := _count(said.get(name))) is not None}
    found = RequestCounts(**known)
    return found if len(known) == len(names) and 0 < found.total <= MOST_REQUESTS else None


def _count(said: object) -> int | None:
    return said if isinstance(said, int) and not isinstance(said, bool) and 0 <= said <= MOST_REQUESTS else None


def _processing_status(found: Mapping[str, Any]) -> ProcessingStatus | None:
    said = found.get("processing_status")
    return ProcessingStatus(said) if isinstance(said, str) and said in list(ProcessingStatus) else None


def _status_of(found: Mapping[str, Any]) -> ProcessingStatus:
    """Where the status cannot be read, `ended_at` says that it has ended; nothing else does."""
    has_ended = _time_or_none(found.get("ended_at")) is not None
    return ProcessingStatus.ENDED if has_ended else ProcessingStatus.IN_PROGRESS


def page(response: httpx2.Response) -> dict[str, Any]:
    """What stands in a list, the cursor of the next page, and whether all of it could be read.

    One entry that cannot be read hides none of the others. Where the page does not say whether there are more, there may be.
    """
    listed, more, last = _listed(response, "Message Batches")
    batches = []
    for one in listed:
        with contextlib.suppress(ApiFailure):
            batches.append(message_batch(one))
    after = "" if more is False else last or (batches[-1].id if batches else "")
    is_end_known = bool(after) or more is False
    return {"batches": tuple(batches), "after": after, "is_whole": len(batches) == len(listed) and is_end_known}


def _listed(response: httpx2.Response, of_what: str) -> tuple[list[Any], bool | None, str]:
    """The objects of a page; whether there are more, None where it does not say; the cursor of the next, if there is one."""
    found = parsed(response)
    listed, more, last = found.get("data"), found.get("has_more"), found.get("last_id")
    if not isinstance(listed, list):
        raise ApiFailure(f"the answer is no list of {of_what}", status=200)
    return listed, more if isinstance(more, bool) else None, str(last) if is_batch_id(last) else ""


def models(response: httpx2.Response) -> tuple[list[Model], str]:
    """What stands in a page of the list of models, and the cursor of the next. One that cannot be read hides no other."""
    listed, more, last = _listed(response, "models")
    after = "" if more is False else last
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
        id=scrubbed(found["id"]),
        lifecycle=scrubbed(str(found.get("lifecycle") or "")),
        retires_at=_time_or_none(found.get("retires_at")),
        max_input_tokens=_tokens_or_none(found.get("max_input_tokens")),
        max_tokens=_tokens_or_none(found.get("max_tokens")),
        is_in_batches=_is_supported(found.get("capabilities"), "batch"),
    )


def _tokens_or_none(said: object) -> int | None:
    return said if isinstance(said, int) and not isinstance(said, bool) and 0 < said <= MOST_TOKENS else None


def _is_supported(capabilities: object, name: str) -> bool | None:
    one = capabilities.get(name) if isinstance(capabilities, Mapping) else None
    said = one.get("supported") if isinstance(one, Mapping) else None
    return said if isinstance(said, bool) else None


def account(response: httpx2.Response) -> str:
    names = ("anthropic-organization-id", "anthropic-workspace-id")
    return " ".join(_told_apart(response.headers[name]) for name in names if name in response.headers)


def _told_apart(name: str) -> str:
    """A name that shows no secret, and is the same for no two accounts: what one of them lacks, the other may have."""
    return name if scrubbed(name) == name else f"hidden-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


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
    return min(seconds, MOST_SECONDS) if 0 < seconds < math.inf else None


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
    """Whether the API itself answered: its errors are of one form, and name the request. A proxy or the edge may be of neither."""
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error")
    has_form = body.get("type") == "error" and isinstance(inner, dict) and isinstance(inner.get("type"), str)
    return has_form and bool(error.request_id or body.get("request_id"))


def _page_text(error: anthropic.APIStatusError) -> str:
    kind = error.response.headers.get("content-type", "").split(";")[0] or "no content type"
    return f"{kind} instead of the API's JSON: a proxy or the edge answered"


def _on_the_way(error: Exception, body: "Body | None") -> BatchctlError | ApiFailure:
    """What stopped the body, what was said of the answer or of who gives it, or the connection that broke."""
    if body is not None and body.failure is not None:
        return body.failure
    # Raised within the library, which wraps whatever it meets.
    if isinstance(error.__cause__, ApiFailure | CertificateProblem):
        return error.__cause__
    return _connection_failure(error, body)


def _connection_failure(error: Exception, body: "Body | None") -> ApiFailure:
    cause = error.__cause__ or error
    kinds = {
        httpx2.ConnectTimeout: "no connection within the time allowed",
        httpx2.ConnectError: "cannot connect",
        httpx2.ReadTimeout: "no answer within the time allowed",
        httpx2.WriteTimeout: "the upload stood still",
        UnicodeError: "an answer that cannot be read",
        LookupError: "an answer that cannot be read",
    }
    said = next((text for kind, text in kinds.items() if isinstance(cause, kind)), "the connection broke")
    detail = scrubbed(str(cause)).strip()
    return ApiFailure(
        f"{said}: {detail}" if detail else said,
        # A connection that never stood has carried nothing, whatever the body was asked for.
        sent_whole=body is not None and body.is_sent_whole and not isinstance(cause, httpx2.ConnectError),
    )


def _unreadable(response: httpx2.Response) -> ApiFailure:
    kind = response.headers.get("content-type", "no content type").split(";")[0]
    return ApiFailure(
        scrubbed(f"an answer that cannot be read ({kind})"),
        status=response.status_code,
        request_id=scrubbed(response.headers.get("request-id", "")),
    )


def _time_or_none(said: object) -> datetime | None:
    """A time as the API writes it; None for anything else, and for one that no batch can have."""
    if not isinstance(said, str):
        return None
    try:
        found = datetime.fromisoformat(said)
        is_one = 2000 <= found.year <= 9000
        return (found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)) if is_one else None
    except (ValueError, OverflowError):
        return None
