"""One answer per request: which of the results over all rounds counts."""

import re
from collections.abc import Iterator, Mapping

from batchctl.domain.model import OutcomeCode

_NOT_SUCCEEDED = re.compile(b"[^%c]" % OutcomeCode.SUCCEEDED, re.DOTALL).finditer


def replaces(newer: OutcomeCode, older: OutcomeCode) -> bool:
    """Whether the result of a later round takes the place of an earlier one: newest success wins, else newest outcome."""
    if newer is OutcomeCode.UNANSWERED:
        return False
    return newer.is_success or not older.is_success


def without_plain_success(codes: bytes | bytearray) -> Iterator[int]:
    """The positions, in order, of every other mark: few among very many."""
    return (found.start() for found in _NOT_SUCCEEDED(codes))


def counted(codes: Mapping[OutcomeCode, int]) -> dict[str, int]:
    """Requests by the newest word on each, under the names that `Merged` gives them."""

    def of(*wanted: OutcomeCode) -> int:
        return sum(codes.get(code, 0) for code in wanted)

    return {
        "succeeded": sum(n for code, n in codes.items() if code.is_success),
        "errored": of(OutcomeCode.ERRORED_RETRY, OutcomeCode.ERRORED_FIX, OutcomeCode.ERRORED_ACCOUNT),
        "canceled": of(OutcomeCode.CANCELED),
        "expired": of(OutcomeCode.EXPIRED),
        "unknown": of(OutcomeCode.UNKNOWN, OutcomeCode.UNREADABLE),
        "unanswered": of(OutcomeCode.UNANSWERED, OutcomeCode.IN_NO_BATCH),
        "in_no_batch": of(OutcomeCode.IN_NO_BATCH),
        "truncated": of(OutcomeCode.TRUNCATED),
        "refusals": of(OutcomeCode.REFUSAL),
        "paused_turns": of(OutcomeCode.PAUSED),
    }
