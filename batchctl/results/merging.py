"""One answer per request: the rule which of the results over all rounds counts."""

import re
from collections.abc import Iterator, Mapping

from batchctl.domain.model import OutcomeCode

_NOT_SUCCEEDED = re.compile(b"[^%c]" % OutcomeCode.SUCCEEDED, re.DOTALL).finditer


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
        "unanswered": sum_of(OutcomeCode.UNANSWERED, OutcomeCode.IN_NO_BATCH),
        "in_no_batch": sum_of(OutcomeCode.IN_NO_BATCH),
        "truncated": sum_of(OutcomeCode.TRUNCATED),
        "refusals": sum_of(OutcomeCode.REFUSAL),
        "paused_turns": sum_of(OutcomeCode.PAUSED),
    }
