"""Which requests a retry sends again, and why not the others."""

from collections.abc import Collection
from dataclasses import dataclass

from batchctl.domain.model import FailureClass, OutcomeCode
from batchctl.domain.outcomes import CLASS_OF_CODE

# Words for `--only` beside the API's error types: our classes, and the successes a person may want to send again.
CLASS_WORDS = {c.value: c for c in FailureClass}
CODE_WORDS = {
    "expired": OutcomeCode.EXPIRED,
    "canceled": OutcomeCode.CANCELED,
    "unknown": OutcomeCode.UNKNOWN,
    "truncated": OutcomeCode.TRUNCATED,
    "refusal": OutcomeCode.REFUSAL,
    "pause_turn": OutcomeCode.PAUSED,
    "in_no_batch": OutcomeCode.IN_NO_BATCH,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a person asked `retry` for. `only` holds classes, error types or the words above; empty means class `retry`.

    `in_no_batch`: also what was never sent so far; False where nobody is there who agrees to its price.
    """

    only: frozenset[str] = frozenset()
    include_invalid: bool = False
    include_canceled: bool = False
    in_no_batch: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What goes again and what stays, by (outcome or error type, failure class), and why it stays."""

    sent: dict[tuple[str, str], int]
    left: dict[tuple[str, str, str], int]
    requests: int
    bytes: int
    cut: int = 0  # of those sent: the same bytes whose answers were cut or paused, and may be again


def is_chosen(code: OutcomeCode, error_type: str, choice: Choice) -> bool:
    failure_class = CLASS_OF_CODE.get(code)
    if choice.only:
        word = next((w for w, m in CODE_WORDS.items() if m is code), "")
        # What was canceled, or may be a success for all we know, goes again by its own name only, never by its class.
        by_name_only = {OutcomeCode.CANCELED, OutcomeCode.UNKNOWN, OutcomeCode.UNREADABLE}
        by_class = failure_class.value if failure_class and code not in by_name_only else ""
        return bool(choice.only & ({error_type, word, by_class} - {""}))
    if code is OutcomeCode.IN_NO_BATCH:
        return choice.in_no_batch
    if code is OutcomeCode.CANCELED:
        return choice.include_canceled
    if code is OutcomeCode.ERRORED_FIX:
        return choice.include_invalid
    return failure_class is FailureClass.RETRY


def why_left(code: OutcomeCode) -> str:
    """Why a request without success stays where it is, and what would send it."""
    return {
        OutcomeCode.ERRORED_FIX: "the request is wrong: the same bytes fail again (--edit, or --include-invalid)",
        OutcomeCode.ERRORED_ACCOUNT: "the account was the cause (--only account once that is mended)",
        OutcomeCode.CANCELED: "canceled by choice (--include-canceled)",
        OutcomeCode.UNKNOWN: "a result of a kind batchctl does not know (--only unknown)",
        OutcomeCode.UNREADABLE: "a result that cannot be read, and may be a success (--only unreadable)",
        OutcomeCode.IN_NO_BATCH: "in none of the attached batches: not asked for",
        OutcomeCode.EXPIRED: "expired: not asked for",
        OutcomeCode.ERRORED_RETRY: "passing trouble: not asked for",
    }.get(code, "not asked for")


def unknown_words(only: Collection[str], known_types: Collection[str]) -> list[str]:
    """Words of `--only` that name no class, no outcome and no error type ever seen or documented."""
    return sorted(set(only) - set(CLASS_WORDS) - set(CODE_WORDS) - set(known_types))
