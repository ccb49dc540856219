"""The rules (pure) that decide whether an unconfirmed batch may be sent again. `engine.reconciler` applies them.

They judge what the API's list says. The API stores no name of ours. A batch that has not ended can be recognised by two things
only: its size, and that it is no older than the newest batch that the API had shown before the create. The candidates of an
unconfirmed batch are the batches in the list that agree with both:

- some ids of a candidate that has ended are read: they say whose it is;
- running candidates are matched provisionally where there are as many as unconfirmed batches of their size; their results
  confirm or refute the match;
- if several complete reads of the list during a grace period show no candidate, nothing was created: the batch may be sent
  again, unless a person must decide that (`needs_person`);
- in every other case the unconfirmed batches wait until the candidates have ended.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from batchctl.domain.limits import API_CLOCK_SLACK
from batchctl.domain.model import Batch, MessageBatch, PresumedNotCreated, ProcessingStatus, Unconfirmed
from batchctl.domain.wording import plural

# The list may lag behind a create, and a retrieve may answer 404 for a while (reported by users of the SDK).
GRACE = timedelta(seconds=60)
MIN_LIST_READS = 3
# A large body takes the API longer, and a create may be committed after its connection broke. So the grace grows in
# proportion to the body: one of this size doubles it.
GRACE_BYTES = 60_000_000
# For each cut: so many creates of unknown outcome, or refusals that did not come from the API itself, before a person must
# decide about the next create. More of the latter are allowed: a proxy's rate limit answers with several of them.
MAX_UNKNOWN = 2
MAX_UNPROVEN = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with each unconfirmed batch.

    Attributes:
        adopt: Provisional matches of an unconfirmed batch and a candidate.
        absent: Batches that were not created.
        decide: Batches that are not in the list, and of which only a person may say that they were not created.
        wait: Batches of which nothing is known yet.
        identify: Candidates that have ended, so that their ids say whose they are.
        candidates: All candidates of the batches in `adopt` and `wait`.
    """

    adopt: tuple[tuple[Batch, MessageBatch], ...] = ()
    absent: tuple[Batch, ...] = ()
    decide: tuple[Batch, ...] = ()
    wait: tuple[Batch, ...] = ()
    identify: tuple[MessageBatch, ...] = ()
    candidates: tuple[MessageBatch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The API's list, and what the ledger knows of the batches in it.

    Attributes:
        batches: The entries, newest first.
        known: Ids of batches that certainly are not one of the unconfirmed batches.
        matched: Ids of batches that are matched provisionally. They are not adopted again; but while one of them is a
            candidate, no batch is declared absent.
        contested: Sizes that unconfirmed batches of other jobs have, too. There, only the ids say whose a batch is.
        is_whole: Whether all of the list could be read, back to before the oldest create.
    """

    batches: Sequence[MessageBatch]
    known: Collection[str]
    matched: Collection[str] = ()
    contested: Collection[int] = ()
    is_whole: bool = True


def judge_list(unconfirmed: Sequence[Batch], listing: Listing) -> Verdict:
    """Return what to do with the unconfirmed batches of a job, which are judged by their size, each size for itself."""
    verdicts = [
        _of_size([b for b in unconfirmed if b.count == size], listing)
        for size in sorted({b.count for b in unconfirmed})
    ]
    return Verdict(
        adopt=tuple(pair for v in verdicts for pair in v.adopt),
        absent=tuple(b for v in verdicts for b in v.absent),
        decide=tuple(b for v in verdicts for b in v.decide),
        wait=tuple(b for v in verdicts for b in v.wait),
        identify=_each_once(b for v in verdicts for b in v.identify),
        candidates=_each_once(b for v in verdicts for b in v.candidates),
    )


def _of_size(unconfirmed: list[Batch], listing: Listing) -> Verdict:
    # In the order in which their creates were begun, which is the order of the candidates.
    unconfirmed = sorted(unconfirmed, key=lambda b: (b.intent_at is not None, b.intent_at))
    candidates = candidates_of(unconfirmed, listing)
    ended = tuple(c for c in candidates if c.processing_status is ProcessingStatus.ENDED)
    if ended:
        return Verdict(wait=tuple(unconfirmed), identify=ended, candidates=tuple(candidates))
    is_free = unconfirmed[0].count not in listing.contested and not any(
        c.id in listing.matched or c.size is None for c in candidates
    )
    if is_free and len(candidates) == len(unconfirmed):
        return Verdict(adopt=tuple(zip(unconfirmed, candidates, strict=True)), candidates=tuple(candidates))
    is_absent = listing.is_whole and not candidates and all(is_search_complete(b) for b in unconfirmed)
    if not is_absent:
        return Verdict(wait=tuple(unconfirmed), candidates=tuple(candidates))
    decide = tuple(b for b in unconfirmed if needs_person(b))
    return Verdict(absent=tuple(b for b in unconfirmed if b not in decide), decide=decide)


def candidates_of(unconfirmed: Sequence[Batch], listing: Listing) -> list[MessageBatch]:
    """Return the batches of the list that may be one of `unconfirmed`, oldest first.

    All of `unconfirmed` have one size. A batch of which the size or the time cannot be read is not excluded by it.
    """
    since = created_bound(unconfirmed, listing.batches)
    candidates = [
        b
        for b in listing.batches
        if b.id not in listing.known and b.size in {None, unconfirmed[0].count} and not _is_older(b, since)
    ]
    return sorted(candidates, key=lambda b: (b.created_at is not None, b.created_at))


def created_bound(unconfirmed: Sequence[Batch | PresumedNotCreated], listed: Sequence[MessageBatch]) -> datetime | None:
    """Return the `created_at`, by the API's own clock, before which no batch is one of `unconfirmed`; None for no bound.

    It is that of the newest batch that the API had shown before the first of their creates. Where the API no longer lists a
    batch with that time, there is no bound.
    """
    since = oldest_created_after(unconfirmed)
    if since is None:
        return None
    return since - API_CLOCK_SLACK if any(b.created_at == since for b in listed) else None


def oldest_created_after(unconfirmed: Sequence[Batch | PresumedNotCreated]) -> datetime | None:
    """Return the `created_at` back to which the list must be read to show all of these batches; None for the whole list."""
    bounds = [b.created_after for b in unconfirmed if b.created_after is not None]
    return min(bounds, default=None) if len(bounds) == len(unconfirmed) else None


def _is_older(batch: MessageBatch, since: datetime | None) -> bool:
    return since is not None and batch.created_at is not None and batch.created_at < since


def is_past(page: Sequence[MessageBatch], since: datetime | None) -> bool:
    """Return whether the pages after this one hold only batches older than `since`.

    True where this page ends before `since`, every time in it can be read, and it is in the order of the list.
    """
    times = [b.created_at for b in page]
    readable = [at for at in times if at is not None]
    if since is None or not readable or len(readable) < len(times) or readable[-1] >= since - API_CLOCK_SLACK:
        return False
    return readable == sorted(readable, reverse=True)


def is_search_complete(unconfirmed: Batch) -> bool:
    """Return whether the list was read often enough that one more list without the batch proves its absence.

    For the first refusal that did not come from the API itself, that one list is enough.
    """
    is_first_refusal = unconfirmed.unconfirmed is Unconfirmed.REFUSED and not unconfirmed.unproven_refusals
    return is_first_refusal or unconfirmed.list_reads >= MIN_LIST_READS


def needs_person(unconfirmed: Batch) -> bool:
    """Return whether only a person may decide to send an absent batch again.

    So it is after a 2xx answer without an id, after the second create with unknown outcome, and after the fifth refusal that
    did not come from the API itself.
    """
    match unconfirmed.unconfirmed:
        case Unconfirmed.ACCEPTED:
            return True
        case Unconfirmed.REFUSED:
            return unconfirmed.unproven_refusals + 1 >= MAX_UNPROVEN
        case Unconfirmed.COPIED:
            return False
        case Unconfirmed.UNKNOWN | Unconfirmed.NOTHING:
            return unconfirmed.unknown_creates + 1 >= MAX_UNKNOWN


def why_person_decides(unconfirmed: Batch) -> str:
    """Return, for people, why a batch for which `needs_person` holds is not sent again."""
    match unconfirmed.unconfirmed:
        case Unconfirmed.ACCEPTED:
            return "unconfirmed: the API accepted it without naming a batch, and its list shows no batch of this size"
        case Unconfirmed.REFUSED:
            return f"unconfirmed: {plural(MAX_UNPROVEN, 'rejection')} did not come from the API itself"
        case _:
            return f"unconfirmed: {plural(MAX_UNKNOWN, 'create request')} of this batch had no clear answer"


def grace_of(unconfirmed: Batch, grace: timedelta) -> timedelta:
    """Return how long the list is searched for a batch: `grace`, and more for a large body."""
    return grace * (1 + unconfirmed.cut.body_bytes / GRACE_BYTES)


def may_be_duplicate(
    presumed: PresumedNotCreated, seen: MessageBatch, known: Collection[str], since: datetime | None
) -> bool:
    """Return whether a batch of the API may come from a create that was presumed to have created nothing.

    `known`: ids that certainly do not. `since`: the `created_bound` of the creates.
    """
    return seen.id not in known and seen.size in {None, presumed.cut.count} and not _is_older(seen, since)


def _each_once(batches: Iterable[MessageBatch]) -> tuple[MessageBatch, ...]:
    return tuple({b.id: b for b in batches}.values())
