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
class UnconfirmedBatch:
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


def adopting_problem(unconfirmed_batch: UnconfirmedBatch, candidate: Candidate) -> str:
    """Why a batch of the API cannot be this one; empty where it can."""
    size = candidate.seen.size
    if size not in {None, unconfirmed_batch.batch.count}:
        return f"holds {size:,} requests, and batch {unconfirmed_batch.number} has {unconfirmed_batch.batch.count:,}"
    if candidate.share is not None and candidate.share < 1:
        return f"holds other requests than batch {unconfirmed_batch.number}: its custom_ids say so"
    return ""


def resending_problem(unconfirmed_batch: UnconfirmedBatch) -> str:
    """Why it must not be sent again, because it is there; empty where nobody knows that."""
    if unconfirmed_batch.batch.held:
        return ""
    ours = next((c.seen.id for c in unconfirmed_batch.candidates if c.share == 1), None)
    return f"{ours} is batch {unconfirmed_batch.number}: its custom_ids say so" if ours else ""


def resending_risks(unconfirmed_batches: Sequence[UnconfirmedBatch]) -> list[str]:
    """How sending again could pay twice, for a person to weigh."""
    risks = []
    for unconfirmed_batch in unconfirmed_batches:
        names = ", ".join(c.seen.id for c in unconfirmed_batch.candidates if c.share is None)
        if unconfirmed_batch.is_lost:
            risks.append(
                f"batch {unconfirmed_batch.number} was {unconfirmed_batch.batch.message_batch_id}, which this key does not see any more"
            )
        elif unconfirmed_batch.batch.held:
            risks.append(f"batch {unconfirmed_batch.number} may be there already: {unconfirmed_batch.batch.held}")
        elif unconfirmed_batch.is_other_key:
            risks.append(
                f"batch {unconfirmed_batch.number} was sent with another key, whose batches this one may not see"
            )
        elif unconfirmed_batch.batch.unconfirmed is Unconfirmed.ACCEPTED:
            risks.append(f"the API took batch {unconfirmed_batch.number}, and did not say as which one")
        elif unconfirmed_batch.batch.unknown_creates:
            risks.append(f"a create of batch {unconfirmed_batch.number} was lost before, too, and may show up yet")
        elif names:
            risks.append(f"batch {unconfirmed_batch.number} may be {names}")
        elif not unconfirmed_batch.is_list_whole:
            risks.append(
                f"the API's list could not be read whole: batch {unconfirmed_batch.number} may stand in what is missing"
            )
        elif unconfirmed_batch.is_early:
            risks.append(f"the API's list may not show batch {unconfirmed_batch.number} yet")
    return risks


def possible_batches(unconfirmed_batches: Sequence[UnconfirmedBatch], candidate: Candidate) -> list[UnconfirmedBatch]:
    """The doubts that a batch of the API can be."""
    return [d for d in unconfirmed_batches if not d.is_lost and not adopting_problem(d, candidate)]
