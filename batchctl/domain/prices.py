"""Money: what requests use, what that costs, and exact arithmetic between the two.

Amounts are US dollars as exact decimals; prices are US dollars per million tokens and, of web searches, per thousand.
A batch costs half of the real-time price for everything that is counted in tokens, cache included; web searches are billed
in full; `inference_geo: us` costs a tenth more per token (pricing page of the API's documentation).
"""

from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from enum import StrEnum

MILLION = Decimal(1_000_000)
THOUSAND = Decimal(1_000)
GEO_FACTOR = {"us": Decimal("1.1")}
# Where a request runs that does not say so is a setting of the API workspace, which may be the dearest; this says so.
DEAREST_GEO, GLOBAL_GEO = "us", "global"
BATCH_SHARE = Decimal("0.5")
WEB_SEARCH = Decimal(10)
# A greater one is a slip, or a number that arithmetic cannot hold.
MAX_PRICE = Decimal(1_000_000)
# Of the input price, where nothing else is said (the same page). Reads have no such rule: newer models differ.
WRITE_5M = Decimal("1.25")
WRITE_1H = Decimal(2)

# Where the price of a whole request may change with the length of its prompt. Usage is summed apart between these, so that
# a price can be found later; a price list with another step cannot be used on such sums.
TIER_STARTS = (0, 100_000, 200_000)


class Lane(StrEnum):
    """How requests are sent."""

    BATCH = "batch"
    REAL_TIME = "real_time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one request or many used, in tokens, as the API's `usage` counts them: each token stands in one class alone.

    `input_tokens` are those that were neither written to a cache (for 5 minutes or 1 hour) nor read from one.
    """

    input_tokens: int = 0
    write_5m_tokens: int = 0
    write_1h_tokens: int = 0
    read_tokens: int = 0
    output_tokens: int = 0
    web_searches: int = 0

    @property
    def cached_tokens(self) -> int:
        """Those that were to be cached, written or read."""
        return self.write_5m_tokens + self.write_1h_tokens + self.read_tokens

    @property
    def prompt_tokens(self) -> int:
        return self.input_tokens + self.cached_tokens

    @property
    def uncached(self) -> "Usage":
        """The same had there been no cache at all."""
        return Usage(input_tokens=self.prompt_tokens, output_tokens=self.output_tokens, web_searches=self.web_searches)

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(Usage)})


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Usage of succeeded requests that have one price: the model that answered, the step of their prompts, where they ran.

    `prompt_over`: the greatest of PROMPT_STEPS that each prompt exceeds. `inference_geo` is empty but where it costs more.
    `model_prices`: the prices of its day, as they were known when it came home; None where none were.
    """

    model: str
    prompt_over: int = 0
    inference_geo: str = ""
    requests: int
    usage: Usage
    model_prices: "ModelPrices | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Per million tokens; `web_search` per thousand searches."""

    input: Decimal
    write_5m: Decimal
    write_1h: Decimal
    read: Decimal
    output: Decimal
    web_search: Decimal = WEB_SEARCH

    def at(self, share: Decimal) -> "Prices":
        """That share of every price per token; searches in full."""
        return Prices(
            input=self.input * share,
            write_5m=self.write_5m * share,
            write_1h=self.write_1h * share,
            read=self.read * share,
            output=self.output * share,
            web_search=self.web_search,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTier:
    """The prices of requests whose prompt has more than `over` tokens."""

    over: int
    batch: Prices
    real_time: Prices

    def of(self, lane: Lane) -> Prices:
        return self.batch if lane is Lane.BATCH else self.real_time


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrices:
    """The prices of a model on a day. `tiers` rise from 0 and are among PROMPT_STEPS.

    `source`: whose prices these are, with its version. `note`: what a reader should know of them, empty for nothing.
    """

    model: str
    day: date
    source: str
    tiers: tuple[PriceTier, ...]
    note: str = ""

    def tier(self, prompt_over: int) -> PriceTier:
        return max((tier for tier in self.tiers if tier.over <= prompt_over), key=lambda tier: tier.over)


def dearest(one: ModelPrices, other: ModelPrices) -> ModelPrices:
    """The greater of both at each step and for each class, of two lists of prices of one model."""
    if one.tiers == other.tiers:
        return one
    overs = sorted({tier.over for model_prices in (one, other) for tier in model_prices.tiers})
    tiers = [(one.tier(over), other.tier(over)) for over in overs]
    return ModelPrices(
        model=one.model,
        day=one.day,
        source=f"{one.source} and {other.source}",
        tiers=tuple(
            PriceTier(over=over, batch=_greater(a.batch, b.batch), real_time=_greater(a.real_time, b.real_time))
            for over, (a, b) in zip(overs, tiers, strict=True)
        ),
    )


def _greater(one: Prices, other: Prices) -> Prices:
    return Prices(**{name.name: max(getattr(one, name.name), getattr(other, name.name)) for name in fields(Prices)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What sending a round was estimated to cost, before it was sent. `how`: what that rests on, for a person.

    `prices`: whose, with their version and day. `is_bound`: `high` is the most that it comes to.
    """

    low: Decimal
    expected: Decimal
    high: Decimal
    how: str
    prices: str = ""
    is_bound: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """`tokens` that were to be cached, those of them that were read from the cache, and what that saved in batches.

    `saved`: against no cache at all, below 0 where it cost more; None where a price is not known.
    """

    tokens: int
    read_tokens: int
    saved: Decimal | None

    @property
    def hit_rate(self) -> Decimal:
        return Decimal(self.read_tokens) / self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalCost:
    """What the successes of a job cost in batch, and what the same would have cost in real time, of all that has a price.

    `unknown`: why this is not all of it, and what the rest cost nobody can say. `beyond`: what may come on top. `sources`
    and `days`: whose prices, and of which days. `cache`: None where nothing was to be cached.
    """

    batch: Decimal
    real_time: Decimal
    unknown: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    days: tuple[date, ...] = ()
    cache: CacheUse | None = None

    @property
    def has_known(self) -> bool:
        """Whether anything in it has a price: else the amounts are no amounts at all."""
        return bool(self.sources) or not self.unknown


def tier_of(prompt_tokens: int) -> int:
    """The greatest of PROMPT_STEPS that a prompt exceeds: exactly 100,000 tokens are still on the step below."""
    return max(over for over in TIER_STARTS if over < prompt_tokens or not over)


def cost(usage: Usage, prices: Prices, inference_geo: str = "") -> Decimal:
    """Exact, in US dollars."""
    tokens = (
        usage.input_tokens * prices.input
        + usage.write_5m_tokens * prices.write_5m
        + usage.write_1h_tokens * prices.write_1h
        + usage.read_tokens * prices.read
        + usage.output_tokens * prices.output
    )
    searches = usage.web_searches * prices.web_search / THOUSAND
    return tokens / MILLION * GEO_FACTOR.get(inference_geo, Decimal(1)) + searches


def cost_of(usage_totals: UsageTotals, model_prices: ModelPrices, lane: Lane) -> Decimal:
    """Of all requests that one `UsageTotals` sums up: they have one price."""
    return cost(usage_totals.usage, model_prices.tier(usage_totals.prompt_over).of(lane), usage_totals.inference_geo)


def dollars(value: Decimal) -> str:
    """Cents; below a dollar two digits that say something, so that nothing but nothing is shown as nothing."""
    if value >= 1 or not value:
        return f"${value:,.2f}"
    places = max(2, 1 - value.adjusted())
    return f"${value:,.{places}f}"
