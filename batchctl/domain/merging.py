"""One answer per request: which of the results over all rounds counts."""

from batchctl.domain.model import Mark


def replaces(newer: Mark, older: Mark) -> bool:
    """Whether the result of a later round takes the place of an earlier one: newest success wins, else newest outcome."""
    if newer is Mark.UNANSWERED:
        return False
    return newer.is_success or not older.is_success
