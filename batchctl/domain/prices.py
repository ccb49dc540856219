"""Usage, prices and what one costs by the other: exact arithmetic in US dollars.

Prices are US dollars per million tokens and, for web searches, per thousand. A batch costs half of the real-time price for
everything that is counted in tokens, cache included; web searches are billed in full; `inference_geo: us` costs a tenth
more per token (pricing page of the API's documentation).

A dollar's way: `money.catalog` finds the prices of a model on a day, `money.estimate` says what an input will cost,
`money.budget` compares that with a person's limit, and `money.bill` says what the answers did cost. This module has the
values that all of them share.
"""

from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from enum import StrEnum

MILLION = Decimal(1_000_000)
THOUSAND = Decimal(1_000)
# The price of a token by `inference_geo`, where it is not that of everywhere else.
GEO_FACTOR = {"us": Decimal("1.1")}
# A request without `inference_geo` runs where the API workspace's setting says, which may be the dearest place. One with
# `global` does not.
DEAREST_GEO, GLOBAL_GEO = "us", "global"
# A batch price is this share of the real-time price.
BATCH_SHARE = Decimal("0.5")
# For a thousand searches.
WEB_SEARCH = Decimal(10)
# A greater price is a slip.
MAX_PRICE = Decimal(1_000_000)
# The price of a cache write by that of input, where a list has none (the same page). Reads have no such rule.
WRITE_5M = Decimal("1.25")
WRITE_1H = Decimal(2)

# The lengths of a prompt, in tokens, above which a request may have other prices. Usage is summed separately between them, so
# that it can be priced later; a price list with another length cannot be used on these sums.
TIER_STARTS = (0, 100_000, 200_000)


class Lane(StrEnum):
    """How requests are sent: in a batch, or one by one in real time."""

    BATCH = "batch"
    REAL_TIME = "real_time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one request or many used, in tokens as the API's `usage` counts them. Each token is in one class alone.

    Attributes:
        input_tokens: Prompt tokens that were neither written to a cache nor read from one.
        write_5m_tokens: Prompt tokens written to a cache for 5 minutes; `write_1h_tokens` for 1 hour.
        read_tokens: Prompt tokens read from a cache.
        web_searches: Searches, not tokens.
    """

    input_tokens: int = 0
    write_5m_tokens: int = 0
    write_1h_tokens: int = 0
    read_tokens: int = 0
    output_tokens: int = 0
    web_searches: int = 0

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens that were written to a cache or read from one."""
        return self.write_5m_tokens + self.write_1h_tokens + self.read_tokens

    @property
    def prompt_tokens(self) -> int:
        """All tokens of the prompts."""
        return self.input_tokens + self.cached_tokens

    @property
    def uncached(self) -> "Usage":
        """The same usage had there been no cache."""
        return Usage(input_tokens=self.prompt_tokens, output_tokens=self.output_tokens, web_searches=self.web_searches)

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(Usage)})


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """The usage of succeeded requests that have one price.

    Attributes:
        model: The model that answered.
        prompt_over: The tier of their prompts, see `tier_of`.
        inference_geo: Where they ran, empty unless that costs more.
        requests: How many they are.
        model_prices: The prices of their day, as known when their results were fetched; None where none were known.
    """

    model: str
    prompt_over: int = 0
    inference_geo: str = ""
    requests: int
    usage: Usage
    model_prices: "ModelPrices | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices in US dollars: of a million tokens by class, and of a thousand web searches."""

    input: Decimal
    write_5m: Decimal
    write_1h: Decimal
    read: Decimal
    output: Decimal
    web_search: Decimal = WEB_SEARCH

    def scaled(self, share: Decimal) -> "Prices":
        """Return these prices with that share of every price per token; web searches keep theirs."""
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

    def prices(self, lane: Lane) -> Prices:
        """Return the prices of a lane."""
        return self.batch if lane is Lane.BATCH else self.real_time


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrices:
    """The prices of a model on a day.

    Attributes:
        source: Whose prices these are, with their version.
        tiers: Rising from `over` 0; each `over` is one of TIER_STARTS.
        note: What a reader should know about them, empty for nothing.
    """

    model: str
    day: date
    source: str
    tiers: tuple[PriceTier, ...]
    note: str = ""

    def tier(self, prompt_over: int) -> PriceTier:
        """Return the tier of requests whose prompts exceed `prompt_over`, one of TIER_STARTS."""
        return max((tier for tier in self.tiers if tier.over <= prompt_over), key=lambda tier: tier.over)


def dearest(first: ModelPrices, second: ModelPrices) -> ModelPrices:
    """Return the greater price of two lists in each tier and class. Both are of one model."""
    if first.tiers == second.tiers:
        return first
    overs = sorted({tier.over for model_prices in (first, second) for tier in model_prices.tiers})
    pairs = [(over, first.tier(over), second.tier(over)) for over in overs]
    return ModelPrices(
        model=first.model,
        day=first.day,
        source=f"{first.source} and {second.source}",
        tiers=tuple(
            PriceTier(over=over, batch=_greater(a.batch, b.batch), real_time=_greater(a.real_time, b.real_time))
            for over, a, b in pairs
        ),
    )


def _greater(first: Prices, second: Prices) -> Prices:
    return Prices(**{each.name: max(getattr(first, each.name), getattr(second, each.name)) for each in fields(Prices)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The estimated cost of a round before it was sent, in US dollars.

    Attributes:
        high: The most that it costs, where `is_bound` is true.
        how: What the estimate rests on, for a person.
        prices: Whose prices it rests on, with their version and day.
    """

    low: Decimal
    expected: Decimal
    high: Decimal
    how: str
    prices: str = ""
    is_bound: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUse:
    """What caching did in batches.

    Attributes:
        tokens: Prompt tokens that were written to a cache or read from one; `read_tokens` were read.
        saved: US dollars against no cache at all, negative where the cache cost more; None where a price is not known.
    """

    tokens: int
    read_tokens: int
    saved: Decimal | None

    @property
    def hit_rate(self) -> Decimal:
        """The share of them that was read."""
        return Decimal(self.read_tokens) / self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalCost:
    """What the successes of a job cost, of all that has a price.

    Attributes:
        batch: What they cost in batches, in US dollars.
        real_time: What the same requests would have cost in real time.
        unknown: Why this is not the cost of all of them; nobody can say what the rest cost.
        beyond: What may come on top.
        sources: Whose prices these are; `days`: of which days.
        cache: None where nothing was cached.
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
        """Whether anything in it has a price. Otherwise the amounts mean nothing."""
        return bool(self.sources) or not self.unknown


def tier_of(prompt_tokens: int) -> int:
    """Return the greatest of TIER_STARTS that a prompt exceeds. Exactly 100,000 tokens are still in the tier below."""
    return max(over for over in TIER_STARTS if over < prompt_tokens or not over)


def cost(usage: Usage, prices: Prices, inference_geo: str = "") -> Decimal:
    """Return what a usage costs, exactly, in US dollars."""
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
    """Return what all requests of a `UsageTotals` cost in a lane, in US dollars."""
    return cost(
        usage_totals.usage, model_prices.tier(usage_totals.prompt_over).prices(lane), usage_totals.inference_geo
    )


def dollars(value: Decimal) -> str:
    """Return an amount as a person reads it: cents, and below a dollar at least two digits that are not 0."""
    if value >= 1 or not value:
        return f"${value:,.2f}"
    places = max(2, 1 - value.adjusted())
    return f"${value:,.{places}f}"
