"""Which requests a retry sends again, and why it leaves the others."""

from collections.abc import Collection
from dataclasses import dataclass

from batchctl.domain.model import FailureClass, OutcomeCode
from batchctl.domain.outcomes import CLASS_OF_CODE

# Words for `--only` beside the API's error types: failure classes, and outcomes that a person may want to send again.
CLASS_WORDS = {c.value: c for c in FailureClass}
CODE_WORDS = {
    "expired": OutcomeCode.EXPIRED,
    "canceled": OutcomeCode.CANCELED,
    "unknown": OutcomeCode.UNKNOWN,
    "truncated": OutcomeCode.TRUNCATED,
    "refusal": OutcomeCode.REFUSAL,
    "pause_turn": OutcomeCode.PAUSED,
    "in_no_batch": OutcomeCode.IN_NO_BATCH,
    "withheld": OutcomeCode.WITHHELD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a person asked `retry` for.

    Attributes:
        only: Failure classes, error types of the API, or words of `CODE_WORDS`; empty for the class `retry`.
        include_invalid: Whether requests that were refused as invalid are sent again, and those that are withheld because of
            one.
        include_canceled: Whether canceled requests are sent again.
        in_no_batch: Whether requests of an attached job that are in no batch are sent. False where nobody is asked to agree to
            their price.
    """

    only: frozenset[str] = frozenset()
    include_invalid: bool = False
    include_canceled: bool = False
    in_no_batch: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a retry sends again and what it leaves.

    Attributes:
        sent: Numbers of requests by (outcome or error type, failure class).
        left: Numbers of requests by (outcome or error type, failure class, why they are left).
        requests: How many requests are sent.
        bytes: How large the requests are that are sent.
        cut_or_paused: How many of those sent are unchanged and had an answer that was truncated or paused, which may happen again.
    """

    sent: dict[tuple[str, str], int]
    left: dict[tuple[str, str, str], int]
    requests: int
    bytes: int
    cut_or_paused: int = 0


def is_chosen(code: OutcomeCode, error_type: str, choice: Choice) -> bool:
    """Return whether a request of this outcome is sent again. `error_type` is empty where the API named none."""
    failure_class = CLASS_OF_CODE.get(code)
    if choice.only:
        word = next((w for w, m in CODE_WORDS.items() if m is code), "")
        # What was canceled, or may have succeeded, is sent again by its own name only, never by its class.
        by_name_only = {OutcomeCode.CANCELED, OutcomeCode.UNKNOWN, OutcomeCode.UNREADABLE}
        by_class = failure_class.value if failure_class and code not in by_name_only else ""
        return bool(choice.only & ({error_type, word, by_class} - {""}))
    if code is OutcomeCode.IN_NO_BATCH:
        return choice.in_no_batch
    if code is OutcomeCode.CANCELED:
        return choice.include_canceled
    if code in {OutcomeCode.ERRORED_FIX, OutcomeCode.WITHHELD}:
        return choice.include_invalid
    return failure_class is FailureClass.RETRY


def why_left(code: OutcomeCode) -> str:
    """Return why a request that did not succeed is not sent again, and the option that would send it."""
    return {
        OutcomeCode.ERRORED_FIX: "the request is invalid and would fail again (--edit or --include-invalid)",
        OutcomeCode.WITHHELD: "a request of the same shape is invalid (--edit or --include-invalid)",
        OutcomeCode.ERRORED_ACCOUNT: "an account problem (--only account once it is fixed)",
        OutcomeCode.CANCELED: "canceled (--include-canceled)",
        OutcomeCode.UNKNOWN: "a result of an unknown type (--only unknown)",
        OutcomeCode.UNREADABLE: "a result that cannot be read and may be a success (--only unreadable)",
        OutcomeCode.IN_NO_BATCH: "in none of the attached batches: not selected by --only",
        OutcomeCode.EXPIRED: "expired: not selected by --only",
        OutcomeCode.ERRORED_RETRY: "transient error: not selected by --only",
    }.get(code, "not selected by --only")


def unknown_words(only: Collection[str], known_types: Collection[str]) -> list[str]:
    """Return the words of `--only` that name no failure class, no outcome and no error type of `known_types`, sorted."""
    return sorted(set(only) - set(CLASS_WORDS) - set(CODE_WORDS) - set(known_types))
