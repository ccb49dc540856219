"""A person's limit: whether what a job did cost, and what it may still cost, stays within it.

Before it comes `money.estimate`, whose forecast of each round it rests on; after it `money.bill`. `engine.spending_limit`
asks these questions before anything is sent.
"""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from batchctl.domain.prices import Forecast


class BudgetVerdict(StrEnum):
    """Whether amounts are within a limit, over it, or cannot be compared with it."""

    WITHIN = "within"
    OVER = "over"
    UNKNOWN = "unknown"


def budget_verdict(limit: Decimal, *amounts: Decimal | None) -> BudgetVerdict:
    """Return how a limit compares with the sum of the amounts.

    None stands for an amount that is not known and may be anything; the verdict is OVER all the same where the rest is.
    """
    if sum(amount for amount in amounts if amount is not None) > limit:
        return BudgetVerdict.OVER
    return BudgetVerdict.UNKNOWN if None in amounts else BudgetVerdict.WITHIN


def most_of_round(billed: Iterable[Decimal | None], forecast: Forecast | None) -> tuple[Decimal | None, ...]:
    """Return the most that a round costs, as amounts to be added; None among them where more may come on top.

    It is what its batches cost, where that is known of all of them, else the high end of its estimate. `billed`: what each batch
    costs, None where its results are not here or do not say.
    """
    costs = list(billed)
    known = sum((cost for cost in costs if cost is not None), Decimal(0))
    if None not in costs:
        return (known,)
    return most_of_forecast(forecast, known)


def most_of_forecast(forecast: Forecast | None, known: Decimal = Decimal(0)) -> tuple[Decimal | None, ...]:
    """Return the same for a round by its estimate alone; it is `known` to cost so much at least."""
    if forecast is None:
        return known, None
    return (max(forecast.high, known), *(() if forecast.is_bound else (None,)))


def most_of_part(own: Forecast | None, whole: Forecast | None) -> tuple[Decimal | None, ...]:
    """Return the most that some requests of a round cost, as amounts to be added.

    `own`: the estimate of these requests alone; `whole`: that of the round. Their number is no measure, since requests differ in
    length.
    """
    known = [forecast for forecast in (own, whole) if forecast is not None]
    bounds = [forecast.high for forecast in known if forecast.is_bound]
    return (min(bounds),) if bounds else most_of_forecast(next(iter(known), None))
