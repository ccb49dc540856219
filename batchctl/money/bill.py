"""What the answers of a job cost: what each batch used, by the prices of the day on which it was made."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from batchctl.domain.model import Batch, Job, RequestCounts, State
from batchctl.domain.prices import CacheUse, Forecast, Lane, ModelPrices, TotalCost, Usage, UsageTotals, cost_of

# What is at the API, or was: it may be paid for, and its results are not here.
UNDER_WAY = frozenset({State.SUBMITTING, State.IN_PROGRESS, State.CANCELING, State.ENDED})

# The prices of a part of the usage, on the day on which its batch was made; None where there are none.
Pricing = Callable[[UsageTotals, date], ModelPrices | None]
NOTHING = Usage()
# Of models without a price.
NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What requests used and cost, in batch and what they would have cost in real time.

    `unpriced`: those among them that have no price; their cost is in neither. `uncached`: in batch, had there been no cache.
    """

    requests: int = 0
    usage: Usage = NOTHING
    batch: Decimal = Decimal(0)
    real_time: Decimal = Decimal(0)
    uncached: Decimal = Decimal(0)
    unpriced: int = 0

    @property
    def is_known(self) -> bool:
        return not self.unpriced

    @property
    def cache(self) -> CacheUse | None:
        """None where nothing was to be cached."""
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
    """What one model cost. `model_prices_list`: its prices, of each day and list."""

    cost: Cost
    model_prices_list: tuple[ModelPrices, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchBill:
    """`number`: in its round, from 1. `unread`: successes that do not say what they used; None where nothing is known of any."""

    batch: Batch
    number: int
    day: date
    unread: int | None
    models: Mapping[str, Part]

    @property
    def billed(self) -> Decimal | None:
        """What it costs in all; None where it is not here, or some of its results do not say."""
        if self.batch.state is State.REFUSED:
            return Decimal(0)
        cost = whole(self.models)
        is_all = self.unread == 0 and self.batch.counts.total == self.batch.count
        return cost.batch if is_all and cost.is_known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundBill:
    """`batches`: as many as it has; `summed_up`: those of them whose usage is known."""

    number: int
    batches: int
    summed_up: int
    models: Mapping[str, Part]
    forecast: Forecast | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """`free`: results that cost nothing. `total` is None where nothing was downloaded."""

    job: Job
    total: TotalCost | None
    models: Mapping[str, Part]
    rounds: tuple[RoundBill, ...]
    batches: tuple[BatchBill, ...]
    free: RequestCounts

    @property
    def cost(self) -> Cost:
        return whole(self.models)


def price_day(job: Job, batch: Batch) -> date:
    """The day on which the API says that the batch was created, in UTC."""
    planned = next(r.created_at for r in job.rounds if r.number == batch.round)
    return (batch.created_at or batch.ended_at or planned).date()


def bill(
    job: Job,
    batches: Sequence[Batch],
    usage_totals: Mapping[int, Sequence[UsageTotals]],
    pricing: Pricing,
    forgotten: int = 0,
) -> Bill:
    """`batches` in the order of rounds and lines; `usage_totals` by their ids. Raises whatever `pricing` raises.

    `forgotten`: batches that the API did not know any more, and whose requests were sent again.
    """
    days = {batch.id: price_day(job, batch) for batch in batches}
    # Lines that no batch holds cost nothing, and are no line of a bill.
    batches = [batch for batch in batches if not batch.is_unattached]
    numbers: dict[int, int] = {}
    bills = []
    for batch in batches:
        numbers[batch.round] = numbers.get(batch.round, 0) + 1
        models = _models(usage_totals.get(batch.id, ()), days[batch.id], pricing)
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
    return Bill(
        job=job,
        total=_total(job, bills, models, forgotten),
        models=models,
        rounds=tuple(_round(job, number, bills) for number in numbers),
        batches=tuple(bills),
        free=_free(bills),
    )


def whole(models: Mapping[str, Part]) -> Cost:
    return sum((part.cost for part in models.values()), Cost())


def joined(several: Iterable[Mapping[str, Part]]) -> dict[str, Part]:
    """By model, the most expensive in real time first; those without a price first of all."""
    found: dict[str, Part] = {}
    for models in several:
        for model, part in models.items():
            known = found.get(model, Part(cost=Cost(), model_prices_list=()))
            model_prices_list = dict.fromkeys((*known.model_prices_list, *part.model_prices_list))
            found[model] = Part(cost=known.cost + part.cost, model_prices_list=tuple(model_prices_list))
    return dict(sorted(found.items(), key=lambda of: (of[1].cost.is_known, -of[1].cost.real_time, of[0])))


def _models(usage_totals: Sequence[UsageTotals], day: date, pricing: Pricing) -> dict[str, Part]:
    return joined({one.model: _part(one, pricing(one, day))} for one in usage_totals)


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


def _free(bills: Sequence[BatchBill]) -> RequestCounts:
    counts = sum((one.batch.counts for one in bills if one.batch.state is State.FETCHED), RequestCounts())
    return RequestCounts(errored=counts.errored, canceled=counts.canceled, expired=counts.expired)


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
        yield f"no price is known of {model} ({_several(requests, 'request')})"
    if more := unpriced[NAMED:]:
        yield f"nor of {_several(len(more), 'more model')} ({_several(sum(requests for _, requests in more), 'request')})"
    lost = sum(one.unread is None and one.batch.state is State.FETCHED for one in bills)
    if lost:
        yield f"what the answers of {_several(lost, 'batch', 'batches')} used is not known"


def _beyond(job: Job, bills: Sequence[BatchBill], forgotten: int) -> Iterable[str]:
    if unread := sum(one.unread or 0 for one in bills):
        yield f"{_several(unread, 'answer')} without a usage that can be read"
    fetched = [one.batch for one in bills if one.batch.state is State.FETCHED]
    if newer := sum(batch.count - batch.counts.total for batch in fetched):
        yield f"{_several(newer, 'result')} of a type newer than batchctl"
    if gone := sum(one.batch.is_removed for one in bills):
        yield f"{_several(gone, 'batch', 'batches')} whose results the API removed before they were fetched"
    under_way = [one for one in bills if one.batch.state in UNDER_WAY and not one.batch.is_removed]
    if left := sum(one.unread is None for one in under_way):
        yield f"{_several(left, 'batch', 'batches')} not fetched yet"
    if forgotten:
        yield f"{_several(forgotten, 'batch', 'batches')} that the API did not know any more, sent again as others"
    if twice := len(job.duplicate_batches) + len(job.paid_twice):
        yield f"{_several(twice, 'batch', 'batches')} at the API with requests sent a second time"


def _several(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
