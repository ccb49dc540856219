"""What a line of results says about its request, and what can be done about it.

The lines have the form of the API reference (Retrieve Message Batch results). A form that this program does not know is the
outcome `unknown`, never a success and never an exception.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from batchctl.domain.api_failures import ACCOUNT_CODES, REQUEST_CODES, text_is_about_account
from batchctl.domain.model import FailureClass, Outcome, OutcomeCode

# Values of `result.error.error.type`: `result.error` is a whole error response (API reference).
RETRY_TYPES = {"api_error", "overloaded_error", "timeout_error", "rate_limit_error"}
ACCOUNT_TYPES = {"billing_error", "authentication_error", "permission_error"}
FIX_TYPES = {"invalid_request_error", "not_found_error", "request_too_large"}
KNOWN_TYPES = RETRY_TYPES | ACCOUNT_TYPES | FIX_TYPES
# Parts of the messages of `invalid_request_error` that may pass: a URL that was not there, a document that was not read.
MAY_PASS_TEXTS = ("unable to download", "could not process")
# The longest error type that the ledger keeps; a longer text is cut.
TYPE_CHARACTERS = 80
# Further types are counted together as OTHER_TYPES: each takes room in the ledger and on the screen.
MAX_TYPES = 50
OTHER_TYPES = "other types"

_NOT_SUCCEEDED = re.compile(b"[^%c]" % OutcomeCode.SUCCEEDED, re.DOTALL).finditer

CODE_OF_STOP_REASON = {
    "max_tokens": OutcomeCode.TRUNCATED,
    "model_context_window_exceeded": OutcomeCode.TRUNCATED,
    "refusal": OutcomeCode.REFUSAL,
    "pause_turn": OutcomeCode.PAUSED,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One line of results, understood. `error_type` and `message` are empty for a success."""

    code: OutcomeCode
    outcome: Outcome
    error_type: str = ""
    message: str = ""


class CountedTypes:
    """The error types that are counted by themselves: the known ones, and the first MAX_TYPES of all others.

    Call it with the type of each failure; it returns the type to count that failure under.
    """

    def __init__(self) -> None:
        self._met: set[str] = set()

    def __call__(self, error_type: str) -> str:
        """Return the type under which a failure is counted."""
        if error_type in self._met or error_type in KNOWN_TYPES:
            return error_type
        if len(self._met) >= MAX_TYPES:
            return OTHER_TYPES
        self._met.add(error_type)
        return error_type


UNREADABLE = Reading(
    OutcomeCode.UNREADABLE,
    Outcome.UNKNOWN,
    "unreadable",
    "its result is not JSON in UTF-8; the raw results hold what came",
)


def failure_class(error_type: str, message: str, error_code: str = "") -> FailureClass:
    """Return what can be done about an error.

    Account problems often come as `invalid_request_error`; a code, or else only the text, distinguishes them. An unknown type is
    worth a retry: the API's documentation says to treat an unrecognised error like its broad class.
    """
    if error_type in ACCOUNT_TYPES or error_code in ACCOUNT_CODES:
        return FailureClass.ACCOUNT
    if error_code in REQUEST_CODES:
        return FailureClass.FIX
    if error_type not in FIX_TYPES:
        return FailureClass.RETRY
    if text_is_about_account(message):
        return FailureClass.ACCOUNT
    return FailureClass.RETRY if any(text in message.lower() for text in MAY_PASS_TEXTS) else FailureClass.FIX


def read_result(result: object) -> Reading:
    """Return what the parsed `result` of a line says. Never raises: an unknown shape has the outcome `unknown`."""
    if not isinstance(result, dict):
        return Reading(OutcomeCode.UNKNOWN, Outcome.UNKNOWN, "unknown", "a result that is not an object")
    match result.get("type"):
        case "succeeded":
            message = result.get("message")
            return reading_of_success(message.get("stop_reason") if isinstance(message, dict) else None)
        case "errored":
            return _errored(result)
        case "expired":
            return Reading(OutcomeCode.EXPIRED, Outcome.EXPIRED, "expired", "not processed within 24 hours")
        case "canceled":
            return Reading(OutcomeCode.CANCELED, Outcome.CANCELED, "canceled", "the batch was canceled before it ran")
        case other:
            error_type = _storable(other)[:TYPE_CHARACTERS] or "unknown"
            return Reading(
                OutcomeCode.UNKNOWN,
                Outcome.UNKNOWN,
                error_type,
                f"a result of the unknown type {error_type!r}: newer than this batchctl",
            )


def reading_of_success(stop_reason: object) -> Reading:
    """Return what a success with this `stop_reason` says."""
    return Reading(CODE_OF_STOP_REASON.get(str(stop_reason), OutcomeCode.SUCCEEDED), Outcome.SUCCEEDED)


def _errored(result: dict[str, object]) -> Reading:
    response = result.get("error")
    error = response.get("error") if isinstance(response, dict) else None
    # Older pages of the documentation show one level less: both are read.
    source = error if isinstance(error, dict) else response if isinstance(response, dict) else {}
    error_type = _storable(source.get("type") or "unknown")[:TYPE_CHARACTERS]
    message = _storable(source.get("message") or "")
    code = {
        FailureClass.RETRY: OutcomeCode.ERRORED_RETRY,
        FailureClass.FIX: OutcomeCode.ERRORED_FIX,
        FailureClass.ACCOUNT: OutcomeCode.ERRORED_ACCOUNT,
    }[failure_class(error_type, message, _code(source))]
    return Reading(code, Outcome.ERRORED, error_type, message)


def _code(error: dict[str, object]) -> str:
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    return code if isinstance(code, str) else ""


def _storable(value: object) -> str:
    """As text that a file and a database accept: JSON may hold half a surrogate pair."""
    return str(value).encode("utf-8", "replace").decode()


# Requests that no batch of the job holds.
NEVER_SENT = frozenset({OutcomeCode.IN_NO_BATCH, OutcomeCode.WITHHELD})

# What can be done about a request, by its code; a success that is complete has no class.
CLASS_OF_CODE = {
    OutcomeCode.UNANSWERED: FailureClass.RETRY,
    OutcomeCode.IN_NO_BATCH: FailureClass.RETRY,
    OutcomeCode.WITHHELD: FailureClass.FIX,
    OutcomeCode.ERRORED_RETRY: FailureClass.RETRY,
    OutcomeCode.ERRORED_FIX: FailureClass.FIX,
    OutcomeCode.ERRORED_ACCOUNT: FailureClass.ACCOUNT,
    OutcomeCode.EXPIRED: FailureClass.RETRY,
    # A person canceled it: it is sent again only when they ask for it.
    OutcomeCode.CANCELED: FailureClass.FIX,
    # It may be a success that this program cannot read: it is never paid for again unless a person asks for it.
    OutcomeCode.UNKNOWN: FailureClass.FIX,
    OutcomeCode.UNREADABLE: FailureClass.FIX,
    OutcomeCode.REFUSAL: FailureClass.POLICY,
}


# ---------------------------------------------------------------- one answer for each request, over all rounds


def replaces(newer: OutcomeCode, older: OutcomeCode) -> bool:
    """Return whether the result of a later round replaces an earlier one: the newest success wins, else the newest outcome."""
    if newer is OutcomeCode.UNANSWERED:
        return False
    return newer.is_success or not older.is_success


def without_plain_success(codes: bytes | bytearray) -> Iterator[int]:
    """Yield the positions, in order, of the codes that are not SUCCEEDED: few among very many."""
    return (match.start() for match in _NOT_SUCCEEDED(codes))


def counted(codes: Mapping[OutcomeCode, int]) -> dict[str, int]:
    """Return how many requests have each outcome, named as the fields of `Merged`; `codes` counts their newest codes."""

    def sum_of(*wanted: OutcomeCode) -> int:
        return sum(codes.get(code, 0) for code in wanted)

    return {
        "succeeded": sum(n for code, n in codes.items() if code.is_success),
        "errored": sum_of(OutcomeCode.ERRORED_RETRY, OutcomeCode.ERRORED_FIX, OutcomeCode.ERRORED_ACCOUNT),
        "canceled": sum_of(OutcomeCode.CANCELED),
        "expired": sum_of(OutcomeCode.EXPIRED),
        "unknown": sum_of(OutcomeCode.UNKNOWN, OutcomeCode.UNREADABLE),
        "unanswered": sum_of(OutcomeCode.UNANSWERED, *NEVER_SENT),
        "in_no_batch": sum_of(*NEVER_SENT),
        "truncated": sum_of(OutcomeCode.TRUNCATED),
        "refusals": sum_of(OutcomeCode.REFUSAL),
        "paused_turns": sum_of(OutcomeCode.PAUSED),
    }
