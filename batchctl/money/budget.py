"""What a job may cost: what it did cost and may still come to, held against a person's limit."""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from batchctl.domain.prices import Forecast


class BudgetVerdict(StrEnum):
    WITHIN = "within"
    OVER = "over"
    UNKNOWN = "unknown"


def budget_verdict(limit: Decimal, *amounts: Decimal | None) -> BudgetVerdict:
    """Of a limit for all the amounts together. What is not known may be anything, unless the rest is over it already."""
    if sum(amount for amount in amounts if amount is not None) > limit:
        return BudgetVerdict.OVER
    return BudgetVerdict.UNKNOWN if None in amounts else BudgetVerdict.WITHIN


def most_of_round(billed: Iterable[Decimal | None], forecast: Forecast | None) -> tuple[Decimal | None, ...]:
    """The most that a round comes to: what its batches cost where that is known of all, else the high end of its estimate.

    `billed`: of each batch, None where its results are not here or do not say. With None where more may come on top.
    """
    costs = list(billed)
    known = sum((cost for cost in costs if cost is not None), Decimal(0))
    if None not in costs:
        return (known,)
    return most_of_forecast(forecast, known)


def most_of_forecast(forecast: Forecast | None, known: Decimal = Decimal(0)) -> tuple[Decimal | None, ...]:
    """The same of what was estimated, and is `known` to come to so much at least."""
    if forecast is None:
        return known, None
    return (max(forecast.high, known), *(() if forecast.is_bound else (None,)))


def most_of_part(own: Forecast | None, whole: Forecast | None) -> tuple[Decimal | None, ...]:
    """The most that some requests of a round come to. `own`: the estimate of them alone; `whole`: that of the round.

    Requests differ in length: their share of the round by their number is no bound.
    """
    known = [one for one in (own, whole) if one is not None]
    bounds = [one.high for one in known if one.is_bound]
    return (min(bounds),) if bounds else most_of_forecast(next(iter(known), None))
