"""Which requests a retry sends again, and why not the others."""

from collections.abc import Collection
from dataclasses import dataclass

from batchctl.domain.model import FailureClass, Mark
from batchctl.domain.outcomes import CLASS_OF_MARK

# Words for `--only` beside the API's error types: our classes, and the successes a person may want to send again.
CLASS_WORDS = {c.value: c for c in FailureClass}
MARK_WORDS = {
    "expired": Mark.EXPIRED,
    "canceled": Mark.CANCELED,
    "unknown": Mark.UNKNOWN,
    "truncated": Mark.TRUNCATED,
    "refusal": Mark.REFUSAL,
    "pause_turn": Mark.PAUSED,
    "in_no_batch": Mark.IN_NO_BATCH,
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


def is_chosen(mark: Mark, error_type: str, choice: Choice) -> bool:
    failure_class = CLASS_OF_MARK.get(mark)
    if choice.only:
        word = next((w for w, m in MARK_WORDS.items() if m is mark), "")
        # What was canceled, or may be a success for all we know, goes again by its own name only, never by its class.
        by_name_only = {Mark.CANCELED, Mark.UNKNOWN, Mark.UNREADABLE}
        by_class = failure_class.value if failure_class and mark not in by_name_only else ""
        return bool(choice.only & ({error_type, word, by_class} - {""}))
    if mark is Mark.IN_NO_BATCH:
        return choice.in_no_batch
    if mark is Mark.CANCELED:
        return choice.include_canceled
    if mark is Mark.ERRORED_FIX:
        return choice.include_invalid
    return failure_class is FailureClass.RETRY


def why_left(mark: Mark) -> str:
    """Why a request without success stays where it is, and what would send it."""
    return {
        Mark.ERRORED_FIX: "the request is wrong: the same bytes fail again (--edit, or --include-invalid)",
        Mark.ERRORED_ACCOUNT: "the account was the cause (--only account once that is mended)",
        Mark.CANCELED: "canceled by choice (--include-canceled)",
        Mark.UNKNOWN: "a result of a kind batchctl does not know (--only unknown)",
        Mark.UNREADABLE: "a result that cannot be read, and may be a success (--only unreadable)",
        Mark.IN_NO_BATCH: "in none of the attached batches: not asked for",
        Mark.EXPIRED: "expired: not asked for",
        Mark.ERRORED_RETRY: "passing trouble: not asked for",
    }.get(mark, "not asked for")


def unknown_words(only: Collection[str], known_types: Collection[str]) -> list[str]:
    """Words of `--only` that name no class, no outcome and no error type ever seen or documented."""
    return sorted(set(only) - set(CLASS_WORDS) - set(MARK_WORDS) - set(known_types))
