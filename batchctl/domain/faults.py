"""Faults of a request: the cheap checks, which run on every line before anything is sent.

The API checks the envelope (`custom_id` and `params`) when a batch is created, and refuses the whole batch for one wrong
line. It checks what is inside `params` hours later, line by line. Both are checked here; `requests.structure` checks
`params` in depth. The rules are those of the API reference (Create a Message Batch, Create a Message).
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from batchctl.domain.foreign_formats import CONVERT, foreign_format
from batchctl.domain.model import Headers

CUSTOM_ID_PATTERN = "^[a-zA-Z0-9_-]{1,64}$"
MAX_CUSTOM_ID_CHARACTERS = 64

# The greatest `max_tokens` of any model, and only with this beta. The API's list of models has that of each model.
MAX_TOKENS_CEILING = 300_000
MAX_TOKENS_BETA = "output-300k-2026-03-24"

# From this API version on the three sampling parameters are refused, with their default values, too.
NO_SAMPLING_SINCE = "2026-10-21"
SAMPLING_PARAMS = frozenset({"temperature", "top_p", "top_k"})

# Parameters of the Messages API that are not available in a batch.
REFUSED_PARAMS = frozenset(
    {
        "cache_hint",
        "context_hint",
        "fallback_credit_token",
        "fallbacks",
        "previous_thread_event_id",
        "research_preview_2026_02",
        "speed",
        "store",
        "stream",
        "thread",
    }
)

# Options of client libraries that end up in `params` by mistake, and what to do instead.
CLIENT_PARAMS: Mapping[str, str] = {
    "extra_body": "put its keys directly into params",
    "extra_headers": "headers apply to a whole batch: remove it and pass betas with --beta NAME",
    "extra_query": "remove it",
    "betas": "betas apply to a whole batch: remove it and pass --beta NAME",
    "anthropic_beta": "betas apply to a whole batch: remove it and pass --beta NAME",
    "anthropic-beta": "betas apply to a whole batch: remove it and pass --beta NAME",
    "anthropic_version": "the version applies to a whole batch: remove it and pass --api-version VERSION",
    "anthropic-version": "the version applies to a whole batch: remove it and pass --api-version VERSION",
    "timeout": "remove it: batchctl has its own timeouts",
    "max_retries": "remove it: batchctl retries by itself",
    "idempotency_key": "remove it: the API has no such key for batches",
}

REQUIRED_PARAMS = ("model", "max_tokens", "messages")
JUDGED_PARAMS = frozenset({"model", "max_tokens"}) | REFUSED_PARAMS | SAMPLING_PARAMS | CLIENT_PARAMS.keys()


class Severity(StrEnum):
    """Whether a fault keeps a request from being sent."""

    ERROR = "error"  # it does
    WARNING = "warning"  # it does not


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one line.

    Attributes:
        code: The kind of fault, as `--json` names it.
        message: What is wrong, to be read after `path`.
        path: Where in the line it is, like `params.model`; empty for the whole line.
        command: For a whole file: the command that takes it further, with INPUT for the file; empty where there is none.
    """

    code: str
    message: str
    severity: Severity = Severity.ERROR
    path: str = ""
    command: str = ""

    def __str__(self) -> str:
        """Return the path and the message on one line."""
        return f"{self.path}: {self.message}" if self.path else self.message


_is_custom_id = re.compile(CUSTOM_ID_PATTERN).fullmatch
_SUSPECT = REFUSED_PARAMS | CLIENT_PARAMS.keys()


def is_stricter(headers: Headers, than: Headers) -> bool:
    """Return whether requests that passed the check with other headers may fail it with these."""
    forbids_sampling = than.api_version < NO_SAMPLING_SINCE <= headers.api_version
    # A beta raises a limit, or allows a tool or a param.
    return forbids_sampling or not set(than.betas) <= set(headers.betas)


def envelope_faults(request: object) -> list[Fault]:
    """Return the faults of a request's envelope and of the params that every request needs, empty where there are none.

    `request` is one decoded line of the input.
    """
    return [] if _is_plainly_good(request) else list(_request_faults(request))


def may_be_refused(names: Iterable[str]) -> bool:
    """Return whether one of the names of params is not for a batch, or only with some values."""
    return not _SUSPECT.isdisjoint(names)


def _is_plainly_good(request: object) -> bool:
    """Return whether a request passes every check here, as those of nearly all inputs do."""
    if not isinstance(request, dict) or len(request) != 2:
        return False
    match request:
        case {
            "custom_id": str(custom_id),
            "params": {"model": str(model), "max_tokens": limit, "messages": list(messages)},
        }:
            # fullmatch: `$` alone lets a trailing newline pass. By exact type: in Python True is an int.
            are_values_good = bool(model and messages) and type(limit) is int and 1 <= limit <= MAX_TOKENS_CEILING
            is_good = are_values_good and _is_custom_id(custom_id) is not None
            return is_good and not may_be_refused(request["params"])
        case _:
            return False


def _request_faults(request: object) -> Iterator[Fault]:
    if not isinstance(request, dict):
        yield Fault("not_an_object", f"a line must be one JSON object, not {shown(request)}")
        return
    if foreign := foreign_format(request):
        advice = foreign.advice or f"convert the file first: {CONVERT}"
        yield Fault("foreign_format", f"a line in {foreign.name}: {advice}")
        return
    yield from custom_id_faults(request)
    yield from _envelope_key_faults(request)
    if "params" not in request:
        yield Fault("params_missing", 'a request needs "params": the body of a Messages request', path="params")
    elif not isinstance(params := request["params"], dict):
        yield Fault("params_not_an_object", f"must be an object, not {shown(params)}", path="params")
    else:
        yield from _params_faults(params)


def custom_id_faults(request: Mapping[str, object]) -> Iterator[Fault]:
    """Yield what is wrong with the `custom_id` of a request."""
    if "custom_id" not in request:
        message = 'a request needs "custom_id": your name for it, unique in the input'
        yield Fault("custom_id_missing", message, path="custom_id")
        return
    custom_id = request["custom_id"]
    if not isinstance(custom_id, str):
        yield Fault("custom_id_not_text", f"must be text, not {shown(custom_id)}", path="custom_id")
    elif not custom_id:
        yield Fault("custom_id_empty", f"must have 1 to {MAX_CUSTOM_ID_CHARACTERS} characters", path="custom_id")
    elif len(custom_id) > MAX_CUSTOM_ID_CHARACTERS:
        message = f"{shown(custom_id)} has {len(custom_id)} characters; at most {MAX_CUSTOM_ID_CHARACTERS} are allowed"
        yield Fault("custom_id_too_long", message, path="custom_id")
    elif wrong := re.search("[^a-zA-Z0-9_-]", custom_id):
        message = f"{shown(custom_id)} has {shown(wrong[0])} at character {wrong.start() + 1}"
        yield Fault(
            "custom_id_pattern", f"{message}; only letters a-z, A-Z, digits, _ and - are allowed", path="custom_id"
        )


def _envelope_key_faults(request: dict[str, object]) -> Iterator[Fault]:
    for key in (key for key in request if key not in {"custom_id", "params"}):
        advice = f'only "custom_id" and "params" are allowed here{_envelope_advice(key)}'
        yield Fault("unknown_envelope_key", f"unknown key; {advice}", path=shown_key(key))


def _envelope_advice(key: str) -> str:
    if key in REQUIRED_PARAMS or key in JUDGED_PARAMS or key in {"system", "tools", "metadata"}:
        return ': move it into "params"'
    if key in {"method", "url", "body"}:
        return ": this is OpenAI's batch format"
    if key == "result":
        return ": this is a line of results"
    return did_you_mean(key, ("custom_id", "params"))


def _params_faults(params: dict[str, object]) -> Iterator[Fault]:
    for name in REQUIRED_PARAMS:
        if name not in params:
            near = did_you_mean_one_of(name, params)
            yield Fault("param_missing", f'"{name}" is required{near}', path=f"params.{name}")
    yield from _value_faults(params)
    for name, value in params.items():
        yield from _availability_faults(name, value)


def _value_faults(params: dict[str, object]) -> Iterator[Fault]:
    model, messages = params.get("model", "-"), params.get("messages", ["-"])
    if not isinstance(model, str) or not model:
        yield Fault("model_not_text", f"must be the name of a model, not {shown(model)}", path="params.model")
    if not isinstance(messages, list):
        yield Fault("messages_not_a_list", f"must be a list of messages, not {shown(messages)}", path="params.messages")
    elif not messages:
        yield Fault("messages_empty", "must hold at least one message", path="params.messages")
    yield from _max_tokens_faults(params.get("max_tokens", 1))


def _max_tokens_faults(max_tokens: object) -> Iterator[Fault]:
    path = "params.max_tokens"
    # In Python a bool is an int; for the API true is no number.
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool):
        yield Fault("max_tokens_not_an_integer", f"must be an integer, not {shown(max_tokens)}", path=path)
    elif max_tokens < 1:
        note = " (0, which warms the cache, works only in real time)" if max_tokens == 0 else ""
        yield Fault("max_tokens_below_1", f"must be at least 1 in a batch, not {max_tokens}{note}", path=path)
    elif max_tokens > MAX_TOKENS_CEILING:
        message = (
            f"{max_tokens} is above {MAX_TOKENS_CEILING}, the limit of every model (with --beta {MAX_TOKENS_BETA})"
        )
        yield Fault("max_tokens_high", message, Severity.WARNING, path)


def _availability_faults(name: str, value: object) -> Iterator[Fault]:
    path = f"params.{name}"
    if name in CLIENT_PARAMS:
        yield Fault(
            "client_param", f"an option of a client library, not of a request: {CLIENT_PARAMS[name]}", path=path
        )
    elif name == "stream" and value not in (False, None):
        yield Fault("stream_not_supported", "a batch cannot stream: remove it", path=path)
    elif name in REFUSED_PARAMS and _is_in_use(name, value):
        yield Fault("param_not_supported", "not available in a batch: remove it", path=path)


def _is_in_use(name: str, value: object) -> bool:
    """Whether a refused parameter has a value that the API refuses. null means absent; `stream` is checked by its caller."""
    if name == "research_preview_2026_02":
        return value == "active"
    return name != "stream" and value is not None


# ---------------------------------------------------------------- how a value is shown in a message

SHOWN_CHARACTERS = 60


def shown(value: object) -> str:
    """Return any JSON value as one short line: `"64"`, `the number 5`, `true`, `a list`."""
    match value:
        case str():
            return _quoted(value)
        case None | bool():
            return json.dumps(value)
        case int() | float():
            return f"the number {value!r:.{SHOWN_CHARACTERS}}"
        case list():
            return "a list" if value else "an empty list"
        case _:
            return "an object" if value else "an empty object"


def shown_key(key: str) -> str:
    """Return a key as a part of a path: as it is where that is plain, else quoted, so that it cannot drive the terminal."""
    return key if re.fullmatch(r"[\w$@-]{1,64}", key) else _quoted(key)


def _quoted(text: str) -> str:
    short = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
    # Escape sequences, bidi marks and U+2028 must not reach a terminal or break the line.
    return json.dumps(short, ensure_ascii=not short.isprintable())


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a suggestion, like ` (did you mean "max_tokens"?)`, empty where no known name is near."""
    near = _nearest(name, tuple(known))
    return f' (did you mean "{near}"?)' if near else ""


def did_you_mean_one_of(missing: str, present: Iterable[str]) -> str:
    """Return which of the keys that are there was probably meant to be the missing one, empty where none is near."""
    near = _nearest(missing, tuple(key for key in present if key not in JUDGED_PARAMS))
    return f"; did you mean {shown(near)}?" if near else ""


@lru_cache(maxsize=1024)
def _nearest(name: str, known: tuple[str, ...]) -> str | None:
    if len(name) > MAX_CUSTOM_ID_CHARACTERS:
        return None
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.75)), None)
