"""What a job may cost: what it did cost and may still come to, held against a person's limit."""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from batchctl.domain.money import Forecast


class Standing(StrEnum):
    WITHIN = "within"
    OVER = "over"
    UNKNOWN = "unknown"


def standing(limit: Decimal, *amounts: Decimal | None) -> Standing:
    """Of a limit for all the amounts together. What is not known may be anything, unless the rest is over it already."""
    if sum(amount for amount in amounts if amount is not None) > limit:
        return Standing.OVER
    return Standing.UNKNOWN if None in amounts else Standing.WITHIN


def most_of_round(billed: Iterable[Decimal | None], forecast: Forecast | None) -> Decimal | None:
    """The most that a round comes to: what its batches cost where that is known of all, else the high end of its estimate.

    `billed`: of each batch, None where its results are not here or do not say. None where the estimate was no bound.
    """
    costs = list(billed)
    known = sum((cost for cost in costs if cost is not None), Decimal(0))
    if None not in costs:
        return known
    return max(forecast.high, known) if forecast and forecast.is_bound else None
