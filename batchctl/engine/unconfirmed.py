"""What a person can decide about batches that nobody else can tell of, and when that could pay twice."""

from collections.abc import Sequence
from dataclasses import dataclass

from batchctl.domain.model import Batch, MessageBatch, Unconfirmed


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A batch of the API that may be ours. `share`: which part of some of its ids is; None while they cannot be read."""

    seen: MessageBatch
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDoubt:
    """A batch that waits for a decision: unconfirmed, or (`is_lost`) known once and not known to the API any more.

    One that is `held` has results which may be another job's: its candidate is the batch it goes by.

    `number` of `total`: its place in its round. `is_early`: the API's list may still be behind. `is_list_whole`: all of the
    list could be read. `is_other_key`: it was sent with another key, whose batches this one may not see.
    """

    batch: Batch
    number: int
    total: int
    is_lost: bool
    is_early: bool
    is_list_whole: bool = True
    is_other_key: bool = False
    candidates: tuple[Candidate, ...] = ()


def adopting_problem(doubt: OpenDoubt, candidate: Candidate) -> str:
    """Why a batch of the API cannot be this one; empty where it can."""
    size = candidate.seen.size
    if size not in {None, doubt.batch.count}:
        return f"holds {size:,} requests, and batch {doubt.number} has {doubt.batch.count:,}"
    if candidate.share is not None and candidate.share < 1:
        return f"holds other requests than batch {doubt.number}: its custom_ids say so"
    return ""


def resending_problem(doubt: OpenDoubt) -> str:
    """Why it must not be sent again, because it is there; empty where nobody knows that."""
    if doubt.batch.held:
        return ""
    ours = next((c.seen.id for c in doubt.candidates if c.share == 1), None)
    return f"{ours} is batch {doubt.number}: its custom_ids say so" if ours else ""


def resending_risks(doubts: Sequence[OpenDoubt]) -> list[str]:
    """How sending again could pay twice, for a person to weigh."""
    risks = []
    for doubt in doubts:
        names = ", ".join(c.seen.id for c in doubt.candidates if c.share is None)
        if doubt.is_lost:
            risks.append(
                f"batch {doubt.number} was {doubt.batch.message_batch_id}, which this key does not see any more"
            )
        elif doubt.batch.held:
            risks.append(f"batch {doubt.number} may be there already: {doubt.batch.held}")
        elif doubt.is_other_key:
            risks.append(f"batch {doubt.number} was sent with another key, whose batches this one may not see")
        elif doubt.batch.unconfirmed is Unconfirmed.ACCEPTED:
            risks.append(f"the API took batch {doubt.number}, and did not say as which one")
        elif doubt.batch.unknown_creates:
            risks.append(f"a create of batch {doubt.number} was lost before, too, and may show up yet")
        elif names:
            risks.append(f"batch {doubt.number} may be {names}")
        elif not doubt.is_list_whole:
            risks.append(f"the API's list could not be read whole: batch {doubt.number} may stand in what is missing")
        elif doubt.is_early:
            risks.append(f"the API's list may not show batch {doubt.number} yet")
    return risks


def meant(doubts: Sequence[OpenDoubt], candidate: Candidate) -> list[OpenDoubt]:
    """The doubts that a batch of the API can be."""
    return [d for d in doubts if not d.is_lost and not adopting_problem(d, candidate)]
