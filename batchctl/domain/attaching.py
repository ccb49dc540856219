"""Attaching batches that were created elsewhere: how they are named, in which order they make a job, and whose they may be."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Sequence

from batchctl.domain.limits import API_CLOCK_SLACK
from batchctl.domain.model import Batch, Cut, MessageBatch

# How the API writes the ids of Message Batches, with the most characters that the ledger keeps.
ID_PATTERN = r"msgbatch_[A-Za-z0-9_]{1,119}"
# How many names `list_some` names.
NAMED = 3


def is_id(word: str) -> bool:
    """Return whether a word is the id of a Message Batch."""
    return re.fullmatch(ID_PATTERN, word) is not None


def ids_problem(words: Sequence[str]) -> str:
    """Return why these words cannot be the batches of one job, empty where they can."""
    wrong = [word for word in words if not is_id(word)]
    if wrong:
        return f"{wrong[0]!r} is not a batch id: an id is msgbatch_ and letters, digits or _, at most 128 characters"
    repeated = [word for word, times in Counter(words).items() if times > 1]
    return f"given twice: {list_some(repeated)}" if repeated else ""


def list_some(names: Collection[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(list(names)[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def sorted_by_creation(batches: Sequence[MessageBatch]) -> list[MessageBatch]:
    """Return batches in the order of their creation; those of one instant keep the order in which they were named."""
    return sorted(batches, key=lambda batch: (batch.created_at is not None, batch.created_at))


def cuts_without_requests(batches: Sequence[MessageBatch]) -> tuple[Cut, ...]:
    """Return where each batch lies in the job: cuts whose requests are not known."""
    cuts, first = [], 0
    for batch in batches:
        size = batch.size or 0
        cuts.append(Cut(first=first, count=size, start=0, end=0, sha256=""))
        first += size
    return tuple(cuts)


def stand_in_sha256(ids: Collection[str]) -> str:
    """Return what stands in place of an input's hash: the same for the same batches in any order.

    It ends with a word, so that no input has it.
    """
    return f"{hashlib.sha256(' '.join(sorted(ids)).encode()).hexdigest()[:56]}-by-ids"


def may_be(unconfirmed_batch: Batch, seen: MessageBatch) -> bool:
    """Return whether the API's batch `seen` can be the one that an unconfirmed create made.

    It must not be attached to another job then: its own job would miss it and pay for it again. `unconfirmed_batch` is in
    `submitting` and has no id. Both times are the API's own.
    """
    since, created = unconfirmed_batch.created_after, seen.created_at
    is_older = since is not None and created is not None and created < since - API_CLOCK_SLACK
    return seen.size in {None, unconfirmed_batch.count} and not is_older
