"""The rules of deciding about unconfirmed batches (pure): what a person may decide, and what could then be paid twice.

`engine.resend_rules` has the rules for what is decided without a person; `verbs.resolve` asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from batchctl.domain.model import Batch, MessageBatch, Unconfirmed
from batchctl.domain.wording import plural


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A batch of the API that may be ours.

    Attributes:
        seen: The batch as the API's list shows it.
        share: The share, from 0 to 1, of a sample of its ids that are ours; None while they cannot be read.
    """

    seen: MessageBatch
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnconfirmedBatch:
    """A batch that waits for a decision.

    It is unconfirmed, or lost (`is_lost`), or its results may be another job's (`batch.held`). In the last case its candidate
    is the batch of the API that it was matched to.

    Attributes:
        batch: The batch in the ledger.
        number: Its place in its round, from 1 to `total`.
        total: How many batches its round has.
        is_lost: Whether the API had the batch and no longer knows it.
        is_early: Whether the API's list may not show the batch yet.
        is_list_whole: Whether all of the list could be read.
        is_other_key: Whether it was sent with another key, whose batches the present key may not see.
        candidates: The batches of the API that may be this one.
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
    """Return why a batch of the API cannot be this batch; empty where it can."""
    size, count = candidate.seen.size, unconfirmed_batch.batch.count
    if size not in {None, count}:
        return f"holds {plural(size, 'request')}, but batch {unconfirmed_batch.number} has {count:,}"
    if candidate.share is not None and candidate.share < 1:
        return f"holds other custom_ids than batch {unconfirmed_batch.number}"
    return ""


def resending_problem(unconfirmed_batch: UnconfirmedBatch) -> str:
    """Return why a batch must not be sent again: a candidate holds its requests. Empty where none is known to."""
    if unconfirmed_batch.batch.held:
        return ""
    ours = next((c.seen.id for c in unconfirmed_batch.candidates if c.share == 1), None)
    return f"{ours} is batch {unconfirmed_batch.number}: it holds the same custom_ids" if ours else ""


def resending_risks(unconfirmed_batches: Sequence[UnconfirmedBatch]) -> list[str]:
    """Return how sending these batches again could pay twice, at most one sentence for each."""
    return [risk for unconfirmed_batch in unconfirmed_batches if (risk := _resending_risk(unconfirmed_batch))]


def _resending_risk(unconfirmed_batch: UnconfirmedBatch) -> str:
    batch, name = unconfirmed_batch.batch, f"batch {unconfirmed_batch.number}"
    unread = ", ".join(c.seen.id for c in unconfirmed_batch.candidates if c.share is None)
    # The first that applies, the more certain risks first.
    risks = (
        (unconfirmed_batch.is_lost, f"{name} was {batch.message_batch_id}, which this key can no longer see"),
        (batch.held, f"{name} may already exist: {batch.held}"),
        (unconfirmed_batch.is_other_key, f"{name} was sent with another key, and this key may not see its batches"),
        (batch.unconfirmed is Unconfirmed.ACCEPTED, f"the API accepted {name} without naming a batch"),
        (batch.unknown_creates, f"an earlier create request of {name} got no answer and may still show up"),
        (unread, f"{name} may be {unread}"),
        (
            not unconfirmed_batch.is_list_whole,
            f"the API's list could not be read completely, and {name} may be in the missing part",
        ),
        (unconfirmed_batch.is_early, f"the API's list may not show {name} yet"),
    )
    return next((risk for applies, risk in risks if applies), "")


def possible_batches(unconfirmed_batches: Sequence[UnconfirmedBatch], candidate: Candidate) -> list[UnconfirmedBatch]:
    """Return those of the unconfirmed batches that a batch of the API can be."""
    return [b for b in unconfirmed_batches if not b.is_lost and not adopting_problem(b, candidate)]
