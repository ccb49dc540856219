"""Reconciling unconfirmed batches: which batches of the API's list are the ones that our creates may have made.

A Message Batch carries no name of ours; before it has ended only its size speaks, and that it is no older than what the API
had shown before the create. So: a candidate that has ended is asked for some of its ids; as many running candidates as there
are unconfirmed batches of one size are matched provisionally (the results confirm or correct it); no candidate in a list that
could be read whole, several times over a grace, means that nothing was created; anything else waits until the candidates have
ended. What is presumed to have made nothing once is not presumed so again by itself: the second time a person decides.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from batchctl.domain.limits import API_CLOCK_SLACK
from batchctl.domain.model import Batch, MessageBatch, PresumedNotCreated, ProcessingStatus, Unconfirmed

# The list may lag behind a create, and a retrieve may answer 404 for a while (seen by users of the SDK).
GRACE = timedelta(seconds=60)
MIN_LIST_READS = 3
# A large body takes the API longer, and a create may be committed after its connection broke: so much more for so many bytes.
GRACE_BYTES = 60_000_000
# Creates of one cut whose outcome is not known, after which the next needs a person. Refusals that a proxy may have made up
# end a job less often than its rate limit would: but they end, too.
MOST_UNKNOWN = 2
MOST_UNPROVEN = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with each unconfirmed batch.

    `adopt`: provisional matches; `absent`: nothing was created; `decide`: nothing seems to be created, and only a person may
    say so; `wait`: not known yet. `identify`: candidates that ended, whose ids tell whose they are.
    """

    adopt: tuple[tuple[Batch, MessageBatch], ...] = ()
    absent: tuple[Batch, ...] = ()
    decide: tuple[Batch, ...] = ()
    wait: tuple[Batch, ...] = ()
    identify: tuple[MessageBatch, ...] = ()
    candidates: tuple[MessageBatch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the API's list says, newest first. `is_whole`: all of it could be read, back to before the oldest create.

    `known`: ids that are certainly another batch's. `matched`: ids that are another's provisionally: they are not adopted
    again, but while one of them fits, no batch is taken for never created.
    `contested`: sizes that unconfirmed batches of other jobs have, too: there, only ids tell whose a batch is.
    """

    batches: Sequence[MessageBatch]
    known: Collection[str]
    matched: Collection[str] = ()
    contested: Collection[int] = ()
    is_whole: bool = True


def reconcile(unconfirmed: Sequence[Batch], listing: Listing) -> Verdict:
    """Judge the unconfirmed batches size by size."""
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
    # Who died over a create and who saw it fail: in the order in which they were begun.
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
    """Those that may be one of `unconfirmed`, which are of one size, oldest first. What cannot be read excludes nothing."""
    since = created_bound(unconfirmed, listing.batches)
    found = [
        b
        for b in listing.batches
        if b.id not in listing.known and b.size in {None, unconfirmed[0].count} and not _is_older(b, since)
    ]
    return sorted(found, key=lambda b: (b.created_at is not None, b.created_at))


def created_bound(unconfirmed: Sequence[Batch | PresumedNotCreated], listed: Sequence[MessageBatch]) -> datetime | None:
    """The `created_at` before which no batch is theirs, by the API's own clock; None where nothing bounds them.

    The newest batch that the API had shown before the first create: it bounds them only while the API says the same of it.
    """
    bounds = [b.created_after for b in unconfirmed]
    if not bounds or None in bounds:
        return None
    since = min(bound for bound in bounds if bound is not None)
    return since - API_CLOCK_SLACK if any(b.created_at == since for b in listed) else None


def _is_older(seen: MessageBatch, since: datetime | None) -> bool:
    return since is not None and seen.created_at is not None and seen.created_at < since


def is_past(page: Sequence[MessageBatch], since: datetime | None) -> bool:
    """Whether the pages after this one hold only what is older: it ends before `since`, and is in the order of the list."""
    times = [b.created_at for b in page]
    known = [at for at in times if at is not None]
    if since is None or not known or len(known) < len(times) or known[-1] >= since - API_CLOCK_SLACK:
        return False
    return known == sorted(known, reverse=True)


def is_search_complete(unconfirmed: Batch) -> bool:
    """Whether it was looked for often enough that one more list without it proves its absence.

    The first refusal that did not come from the API takes that one list alone.
    """
    is_first_refusal = unconfirmed.unconfirmed is Unconfirmed.REFUSED and not unconfirmed.unproven_refusals
    return is_first_refusal or unconfirmed.list_reads >= MIN_LIST_READS


def needs_person(unconfirmed: Batch) -> bool:
    """Whether nothing but a person's word may send it once more."""
    match unconfirmed.unconfirmed:
        case Unconfirmed.ACCEPTED:
            return True
        case Unconfirmed.REFUSED:
            return unconfirmed.unproven_refusals + 1 >= MOST_UNPROVEN
        case Unconfirmed.COPIED:
            return False
        case Unconfirmed.UNKNOWN | Unconfirmed.NOTHING:
            return unconfirmed.unknown_creates + 1 >= MOST_UNKNOWN


def why_person_decides(unconfirmed: Batch) -> str:
    match unconfirmed.unconfirmed:
        case Unconfirmed.ACCEPTED:
            return "unconfirmed: the API took it and did not say as which batch, and its list shows none of its size"
        case Unconfirmed.REFUSED:
            return f"unconfirmed: {MOST_UNPROVEN} refusals did not come from the API itself"
        case _:
            return f"unconfirmed: {MOST_UNKNOWN} creates of these requests ended in an unknown way"


def grace_of(unconfirmed: Batch, grace: timedelta) -> timedelta:
    """How long it is looked for. It grows with the body."""
    return grace * (1 + unconfirmed.cut.body_bytes / GRACE_BYTES)


def may_be_duplicate(
    presumed: PresumedNotCreated, seen: MessageBatch, known: Collection[str], since: datetime | None
) -> bool:
    """Whether a batch of the API may be what was presumed to have made nothing, and was sent again since."""
    return seen.id not in known and seen.size in {None, presumed.cut.count} and not _is_older(seen, since)


def _each_once(batches: Iterable[MessageBatch]) -> tuple[MessageBatch, ...]:
    return tuple({b.id: b for b in batches}.values())
