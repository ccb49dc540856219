"""In doubt, settled: which batches of the API's list are the ones we may have created.

A Message Batch carries no name of ours; before it has ended only its size and its time speak. So: a candidate that has
ended is asked for one of its ids, which tells for certain; as many running candidates as doubts of one size are adopted,
provisionally (the ids in the results confirm or correct it); none, after a grace window of several looks, means that
nothing was created; anything else waits until the candidates have ended.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from batchctl.domain.model import Batch, MessageBatch, ProcessingStatus

# The list may lag behind a create, and a retrieve may answer 404 for a while (seen by users of the SDK).
GRACE = timedelta(seconds=60)
MIN_LOOKS = 3
CLOCK_MARGIN = timedelta(seconds=5)
LATE_MARGIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with each doubt. `identify`: candidates that ended, whose first id tells whose they are."""

    adopt: tuple[tuple[Batch, MessageBatch], ...] = ()
    replan: tuple[Batch, ...] = ()
    wait: tuple[Batch, ...] = ()
    identify: tuple[MessageBatch, ...] = ()
    candidates: tuple[MessageBatch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the API's list says, newest first.

    `known`: ids that are certainly another batch's. `guessed`: ids that are another's as far as size and time tell: they
    are not adopted again, but while one of them fits, a doubt is not taken for never created.
    `contested`: sizes of which other jobs have doubts, too: there, only ids tell whose a batch is.
    """

    batches: Sequence[MessageBatch]
    known: Collection[str]
    guessed: Collection[str] = ()
    contested: Collection[int] = ()


def settle(doubts: Sequence[Batch], listing: Listing, *, now: datetime, grace: timedelta = GRACE) -> Verdict:
    """Judges the doubts size by size. Each doubt must have its `intent_at`; that and `now` are the server's time."""
    verdicts = [
        _settle_size([d for d in doubts if d.count == size], listing, now=now, grace=grace)
        for size in sorted({d.count for d in doubts})
    ]
    return Verdict(
        adopt=tuple(pair for v in verdicts for pair in v.adopt),
        replan=tuple(b for v in verdicts for b in v.replan),
        wait=tuple(b for v in verdicts for b in v.wait),
        identify=tuple(b for v in verdicts for b in v.identify),
        candidates=tuple(b for v in verdicts for b in v.candidates),
    )


def _settle_size(doubts: list[Batch], listing: Listing, *, now: datetime, grace: timedelta) -> Verdict:
    doubts = sorted(doubts, key=_intent)
    candidates = candidates_of(doubts, listing)
    ended = tuple(c for c in candidates if c.processing_status is ProcessingStatus.ENDED)
    if ended:
        return Verdict(wait=tuple(doubts), identify=ended, candidates=tuple(candidates))
    is_free = doubts[0].count not in listing.contested and not any(c.id in listing.guessed for c in candidates)
    if is_free and len(candidates) == len(doubts):
        return Verdict(adopt=tuple(zip(doubts, candidates, strict=True)), candidates=tuple(candidates))
    is_over = all(now - missed_at(d) >= grace and d.looks >= MIN_LOOKS for d in doubts)
    if not candidates and is_over:
        return Verdict(replan=tuple(doubts))
    return Verdict(wait=tuple(doubts), candidates=tuple(candidates))


def candidates_of(doubts: Sequence[Batch], listing: Listing) -> list[MessageBatch]:
    """Of the size that all of them have, created after the first intent and before the last answer was missed, oldest first."""
    since = min(_intent(d) for d in doubts) - CLOCK_MARGIN
    lost = [d.lost_at for d in doubts if d.lost_at is not None]
    # Who died over a create never saw it fail: the server may have gone on with it for a while.
    until = max(lost) + LATE_MARGIN if len(lost) == len(doubts) else None
    found = [
        b
        for b in listing.batches
        if b.counts.total == doubts[0].count
        and b.id not in listing.known
        and b.created_at >= since
        and (until is None or b.created_at <= until)
    ]
    return sorted(found, key=lambda b: b.created_at)


def may_be_surplus(given_up: Batch, seen: MessageBatch, known: Collection[str]) -> bool:
    """Whether a batch of the API may be what was taken for never created, and sent again since."""
    assert given_up.given_up_at is not None
    is_in_time = seen.created_at <= given_up.given_up_at + LATE_MARGIN
    return is_in_time and seen.id not in known and seen.counts.total == given_up.count


def missed_at(doubt: Batch) -> datetime:
    """Since when the list should show it: an upload may take minutes, and the batch is created at its end.

    Of a create that nobody saw fail only the intent is known: there the looks, each after a pause, make up the grace.
    """
    return doubt.lost_at or _intent(doubt)


def _intent(batch: Batch) -> datetime:
    assert batch.intent_at is not None, "a batch in doubt has an intent"
    return batch.intent_at
