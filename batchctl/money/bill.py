"""The bill of a job: what the answers of each batch cost, by the prices of the day on which the batch was created.

The last stop of a dollar's way, after `money.catalog`, `money.estimate` and `money.budget`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from batchctl.domain.model import Batch, Job, RequestCounts, State
from batchctl.domain.prices import CacheUse, Forecast, Lane, ModelPrices, TotalCost, Usage, UsageTotals, cost_of
from batchctl.domain.wording import plural

# States of batches that may be paid for and whose results are not on disk.
UNDER_WAY = frozenset({State.SUBMITTING, State.IN_PROGRESS, State.CANCELING, State.ENDED})

# Returns the prices of a part of the usage on the day on which its batch was created, None where there are none.
Pricing = Callable[[UsageTotals, date], ModelPrices | None]
NOTHING = Usage()
# How many models without a price are named.
NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What requests used, and what that costs in US dollars: in batches, and in real time.

    Attributes:
        uncached: What it would have cost in batches without a cache.
        unpriced: Requests among them without a price; no amount includes them.
    """

    requests: int = 0
    usage: Usage = NOTHING
    batch: Decimal = Decimal(0)
    real_time: Decimal = Decimal(0)
    uncached: Decimal = Decimal(0)
    unpriced: int = 0

    @property
    def is_known(self) -> bool:
        """Whether all of them have a price."""
        return not self.unpriced

    @property
    def cache(self) -> CacheUse | None:
        """What caching did, None where nothing was cached."""
        used = self.usage
        if not used.cached_tokens:
            return None
        saved = self.uncached - self.batch if self.is_known else None
        return CacheUse(tokens=used.cached_tokens, read_tokens=used.read_tokens, saved=saved)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            requests=self.requests + other.requests,
            usage=self.usage + other.usage,
            batch=self.batch + other.batch,
            real_time=self.real_time + other.real_time,
            uncached=self.uncached + other.uncached,
            unpriced=self.unpriced + other.unpriced,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one model cost. `model_prices_list`: its prices, one entry for each day and list."""

    cost: Cost
    model_prices_list: tuple[ModelPrices, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchBill:
    """What one batch cost.

    Attributes:
        number: Its number in the round, from 1.
        day: The day whose prices count.
        unread: Successes whose usage could not be read, None where its usage is not known at all.
        models: The cost by model.
    """

    batch: Batch
    number: int
    day: date
    unread: int | None
    models: Mapping[str, Part]

    @property
    def billed(self) -> Decimal | None:
        """The whole cost, None where its results are not on disk, or some do not say what they used or have no price."""
        if self.batch.state is State.REFUSED:
            return Decimal(0)
        cost = whole(self.models)
        is_all = self.unread == 0 and self.batch.counts.total == self.batch.count
        return cost.batch if is_all and cost.is_known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundBill:
    """What one round cost. `summed_up`: how many of its `batches` have a known usage."""

    number: int
    batches: int
    summed_up: int
    models: Mapping[str, Part]
    forecast: Forecast | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a job cost.

    Attributes:
        total: The sum, None where nothing was downloaded.
        models: The cost by model.
        free: Results that cost nothing: errored, canceled and expired.
    """

    job: Job
    total: TotalCost | None
    models: Mapping[str, Part]
    rounds: tuple[RoundBill, ...]
    batches: tuple[BatchBill, ...]
    free: RequestCounts

    @property
    def cost(self) -> Cost:
        """The cost over all models."""
        return whole(self.models)


def price_day(job: Job, batch: Batch) -> date:
    """Return the day whose prices count for a batch: in UTC, that of its creation at the API."""
    planned = next(r.created_at for r in job.rounds if r.number == batch.round)
    return (batch.created_at or batch.ended_at or planned).date()


def bill(
    job: Job,
    batches: Sequence[Batch],
    usage_totals: Mapping[int, Sequence[UsageTotals]],
    pricing: Pricing,
    forgotten: int = 0,
) -> Bill:
    """Return the bill of a job.

    Args:
        job: The job.
        batches: Its batches in the order of rounds and lines.
        usage_totals: What was used, by the id of the batch.
        pricing: Returns the prices of a part of the usage. What it raises is raised here.
        forgotten: Batches that the API no longer knew, and whose requests were sent again.
    """
    days = {batch.id: price_day(job, batch) for batch in batches}
    # Lines that no batch holds cost nothing and have no place in a bill.
    batches = [batch for batch in batches if not batch.is_unattached]
    numbers: dict[int, int] = {}
    bills = []
    for batch in batches:
        numbers[batch.round] = numbers.get(batch.round, 0) + 1
        parts = usage_totals.get(batch.id, ())
        models = joined({part.model: _part(part, pricing(part, days[batch.id]))} for part in parts)
        bills.append(
            BatchBill(
                batch=batch,
                number=numbers[batch.round],
                day=days[batch.id],
                unread=batch.usage_unread,
                models=models,
            )
        )
    models = joined(one.models for one in bills)
    counts = sum((one.batch.counts for one in bills if one.batch.state is State.FETCHED), RequestCounts())
    return Bill(
        job=job,
        total=_total(job, bills, models, forgotten),
        models=models,
        rounds=tuple(_round(job, number, bills) for number in numbers),
        batches=tuple(bills),
        free=RequestCounts(errored=counts.errored, canceled=counts.canceled, expired=counts.expired),
    )


def whole(models: Mapping[str, Part]) -> Cost:
    """Return the cost over all models."""
    return sum((part.cost for part in models.values()), Cost())


def joined(several: Iterable[Mapping[str, Part]]) -> dict[str, Part]:
    """Return the costs by model over several batches: models without a price first, then the most expensive in real time."""
    by_model: dict[str, Part] = {}
    for models in several:
        for model, part in models.items():
            known = by_model.get(model, Part(cost=Cost(), model_prices_list=()))
            model_prices_list = dict.fromkeys((*known.model_prices_list, *part.model_prices_list))
            by_model[model] = Part(cost=known.cost + part.cost, model_prices_list=tuple(model_prices_list))
    return dict(sorted(by_model.items(), key=lambda item: (item[1].cost.is_known, -item[1].cost.real_time, item[0])))


def _part(usage_totals: UsageTotals, model_prices: ModelPrices | None) -> Part:
    cost = Cost(requests=usage_totals.requests, usage=usage_totals.usage)
    if model_prices is None:
        return Part(cost=cost + Cost(unpriced=usage_totals.requests), model_prices_list=())
    batch, real_time = (cost_of(usage_totals, model_prices, lane) for lane in (Lane.BATCH, Lane.REAL_TIME))
    uncached = cost_of(replace(usage_totals, usage=usage_totals.usage.uncached), model_prices, Lane.BATCH)
    return Part(
        cost=cost + Cost(batch=batch, real_time=real_time, uncached=uncached), model_prices_list=(model_prices,)
    )


def _round(job: Job, number: int, bills: Sequence[BatchBill]) -> RoundBill:
    mine = [one for one in bills if one.batch.round == number]
    return RoundBill(
        number=number,
        batches=len(mine),
        summed_up=sum(one.unread is not None for one in mine),
        models=joined(one.models for one in mine),
        forecast=next(r.forecast for r in job.rounds if r.number == number),
    )


def _total(job: Job, bills: Sequence[BatchBill], models: Mapping[str, Part], forgotten: int) -> TotalCost | None:
    if not any(one.unread is not None or one.batch.state is State.FETCHED for one in bills):
        return None
    cost = whole(models)
    model_prices_list = [model_prices for part in models.values() for model_prices in part.model_prices_list]
    return TotalCost(
        batch=cost.batch,
        real_time=cost.real_time,
        unknown=tuple(_unknown(bills, models)),
        beyond=tuple(_beyond(job, bills, forgotten)),
        sources=tuple(sorted({model_prices.source for model_prices in model_prices_list})),
        days=tuple(sorted({model_prices.day for model_prices in model_prices_list})),
        cache=cost.cache,
    )


def _unknown(bills: Sequence[BatchBill], models: Mapping[str, Part]) -> Iterable[str]:
    unpriced = [(model, part.cost.unpriced) for model, part in models.items() if part.cost.unpriced]
    for model, requests in unpriced[:NAMED]:
        yield f"no price is known for {model} ({plural(requests, 'request')})"
    if more := unpriced[NAMED:]:
        yield f"nor for {plural(len(more), 'more model')} ({plural(sum(requests for _, requests in more), 'request')})"
    lost = sum(one.unread is None and one.batch.state is State.FETCHED for one in bills)
    if lost:
        yield f"the usage of {plural(lost, 'batch')} is not known"


def _beyond(job: Job, bills: Sequence[BatchBill], forgotten: int) -> Iterable[str]:
    if unread := sum(one.unread or 0 for one in bills):
        yield f"{plural(unread, 'answer')} with unreadable usage"
    fetched = [one.batch for one in bills if one.batch.state is State.FETCHED]
    if newer := sum(batch.count - batch.counts.total for batch in fetched):
        yield f"{plural(newer, 'result')} of a type that is newer than this batchctl"
    if gone := sum(one.batch.is_removed for one in bills):
        yield f"{plural(gone, 'batch')} whose results the API removed before they were fetched"
    under_way = [one for one in bills if one.batch.state in UNDER_WAY and not one.batch.is_removed]
    if left := sum(one.unread is None for one in under_way):
        yield f"{plural(left, 'batch')} not fetched yet"
    if forgotten:
        yield f"{plural(forgotten, 'batch')} that the API no longer knew, sent again as new batches"
    if twice := len(job.duplicate_batches) + len(job.paid_twice):
        yield f"{plural(twice, 'batch')} at the API with requests that were sent twice"
