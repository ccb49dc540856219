"""One answer per request: which of the results over all rounds counts."""

import re
from collections.abc import Iterator, Mapping

from batchctl.domain.model import Mark

_NOT_SUCCEEDED = re.compile(b"[^%c]" % Mark.SUCCEEDED, re.DOTALL).finditer


def replaces(newer: Mark, older: Mark) -> bool:
    """Whether the result of a later round takes the place of an earlier one: newest success wins, else newest outcome."""
    if newer is Mark.UNANSWERED:
        return False
    return newer.is_success or not older.is_success


def without_plain_success(marks: bytes | bytearray) -> Iterator[int]:
    """The positions, in order, of every other mark: few among very many."""
    return (found.start() for found in _NOT_SUCCEEDED(marks))


def counted(marks: Mapping[Mark, int]) -> dict[str, int]:
    """Requests by the newest word on each, under the names that `Merged` gives them."""

    def of(*wanted: Mark) -> int:
        return sum(marks.get(mark, 0) for mark in wanted)

    return {
        "succeeded": sum(n for mark, n in marks.items() if mark.is_success),
        "errored": of(Mark.ERRORED_RETRY, Mark.ERRORED_FIX, Mark.ERRORED_ACCOUNT),
        "canceled": of(Mark.CANCELED),
        "expired": of(Mark.EXPIRED),
        "unknown": of(Mark.UNKNOWN, Mark.UNREADABLE),
        "unanswered": of(Mark.UNANSWERED, Mark.IN_NO_BATCH),
        "in_no_batch": of(Mark.IN_NO_BATCH),
        "truncated": of(Mark.TRUNCATED),
        "refusals": of(Mark.REFUSAL),
        "paused_turns": of(Mark.PAUSED),
    }
