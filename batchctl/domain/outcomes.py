"""What a result line says about its request, and what can be done about it."""

from dataclasses import dataclass

from batchctl.domain.answers import ACCOUNT_CODES, REQUEST_CODES, text_is_about_account
from batchctl.domain.model import FailureClass, Outcome, OutcomeCode

# The error's own type stands at result.error.error.type: result.error is a whole error response (API reference).
RETRY_TYPES = {"api_error", "overloaded_error", "timeout_error", "rate_limit_error"}
ACCOUNT_TYPES = {"billing_error", "authentication_error", "permission_error"}
FIX_TYPES = {"invalid_request_error", "not_found_error", "request_too_large"}
KNOWN_TYPES = RETRY_TYPES | ACCOUNT_TYPES | FIX_TYPES
# A URL that could not be fetched may well be there the next time, and a document that could not be read may be read then.
MAY_PASS_TEXTS = ("unable to download", "could not process")
# Failures are counted by type: a longer text is no type, and the ledger keeps no more of it.
TYPE_CHARACTERS = 80
# More types than these are counted as one, by class: nobody reads them, and each takes room in the ledger and on a screen.
MOST_TYPES = 50
OTHER_TYPES = "other types"

CODE_OF_STOP_REASON = {
    "max_tokens": OutcomeCode.TRUNCATED,
    "model_context_window_exceeded": OutcomeCode.TRUNCATED,
    "refusal": OutcomeCode.REFUSAL,
    "pause_turn": OutcomeCode.PAUSED,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One result line, understood: `error_type` and `message` are empty unless it is without success."""

    code: OutcomeCode
    outcome: Outcome
    error_type: str = ""
    message: str = ""


class CountedTypes:
    """The types of failures that are counted by themselves: those that are known, and the first of all others."""

    def __init__(self) -> None:
        self._met: set[str] = set()

    def __call__(self, error_type: str) -> str:
        """The type under which a failure is counted."""
        if error_type in self._met or error_type in KNOWN_TYPES:
            return error_type
        if len(self._met) >= MOST_TYPES:
            return OTHER_TYPES
        self._met.add(error_type)
        return error_type


UNREADABLE = Reading(
    OutcomeCode.UNREADABLE,
    Outcome.UNKNOWN,
    "unreadable",
    "its result is no JSON in UTF-8: what came stands in the raw results",
)


def failure_class(error_type: str, message: str, error_code: str = "") -> FailureClass:
    """What ails the account often comes as `invalid_request_error`, and is told apart by its code or else by its text only.

    A type nobody heard of is worth another try: the API says to treat unrecognised errors as their broad class.
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
    """From the parsed `result` of a line. Never raises: a shape nobody heard of is `unknown`."""
    if not isinstance(result, dict):
        return Reading(OutcomeCode.UNKNOWN, Outcome.UNKNOWN, "unknown", "a result that is not an object")
    match result.get("type"):
        case "succeeded":
            message = result.get("message")
            stop = message.get("stop_reason") if isinstance(message, dict) else None
            return Reading(CODE_OF_STOP_REASON.get(str(stop), OutcomeCode.SUCCEEDED), Outcome.SUCCEEDED)
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
                f"a result of type {error_type!r}, newer than batchctl",
            )


def _errored(result: dict[str, object]) -> Reading:
    response = result.get("error")
    error = response.get("error") if isinstance(response, dict) else None
    # Older documents show one level less; read both.
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


def _storable(said: object) -> str:
    """As a text that a file and a database take: JSON may hold half a surrogate pair."""
    return str(said).encode("utf-8", "replace").decode()


CLASS_OF_CODE = {
    OutcomeCode.UNANSWERED: FailureClass.RETRY,
    OutcomeCode.IN_NO_BATCH: FailureClass.RETRY,
    OutcomeCode.ERRORED_RETRY: FailureClass.RETRY,
    OutcomeCode.ERRORED_FIX: FailureClass.FIX,
    OutcomeCode.ERRORED_ACCOUNT: FailureClass.ACCOUNT,
    OutcomeCode.EXPIRED: FailureClass.RETRY,
    # Canceled by choice: it goes again only when the person says so.
    OutcomeCode.CANCELED: FailureClass.FIX,
    # It may be a success of a kind this program cannot read: never paid for twice without being told to.
    OutcomeCode.UNKNOWN: FailureClass.FIX,
    OutcomeCode.UNREADABLE: FailureClass.FIX,
    OutcomeCode.REFUSAL: FailureClass.POLICY,
}
