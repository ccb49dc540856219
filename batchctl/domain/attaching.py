"""Batches made elsewhere: which words name one, in which order they make a job, and whose they may be instead."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Sequence

from batchctl.domain.limits import API_CLOCK_SLACK
from batchctl.domain.model import Batch, Cut, MessageBatch

# How the API writes its ids, and no longer than the ledger keeps them.
ID_PATTERN = r"msgbatch_[A-Za-z0-9_]{1,119}"
NAMED = 3


def is_id(word: str) -> bool:
    return re.fullmatch(ID_PATTERN, word) is not None


def ids_problem(words: Sequence[str]) -> str:
    """Why these cannot be the batches of one job; empty when they can."""
    wrong = [word for word in words if not is_id(word)]
    if wrong:
        return f"{wrong[0]!r} is not the id of a Message Batch: msgbatch_ and letters, digits or _, at most 128 in all"
    repeated = [word for word, times in Counter(words).items() if times > 1]
    return f"named twice: {list_some(repeated)}" if repeated else ""


def list_some(names: Collection[str]) -> str:
    """A few of them, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(list(names)[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def sorted_by_creation(found: Sequence[MessageBatch]) -> list[MessageBatch]:
    """As they were created; those of one instant as they were named."""
    return sorted(found, key=lambda batch: (batch.created_at is not None, batch.created_at))


def cuts_without_requests(found: Sequence[MessageBatch]) -> tuple[Cut, ...]:
    """Where each lies in the job: cuts without requests."""
    cuts, first = [], 0
    for batch in found:
        size = batch.size or 0
        cuts.append(Cut(first=first, count=size, start=0, end=0, sha256=""))
        first += size
    return tuple(cuts)


def stand_in_sha256(ids: Collection[str]) -> str:
    """Where an input's hash would stand: the same for the same batches in any order, and never that of an input."""
    return f"{hashlib.sha256(' '.join(sorted(ids)).encode()).hexdigest()[:56]}-by-ids"


def may_be(unconfirmed_batch: Batch, seen: MessageBatch) -> bool:
    """Whether this can be the batch whose creation nobody saw: attached, it would be missed there, and paid for again.

    `unconfirmed_batch` is in `submitting` and has no name. Both times are the API's own.
    """
    since, created = unconfirmed_batch.created_after, seen.created_at
    is_older = since is not None and created is not None and created < since - API_CLOCK_SLACK
    return seen.size in {None, unconfirmed_batch.count} and not is_older
