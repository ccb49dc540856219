"""What an input will cost, before it is sent: tokens out of lengths and a few counts, money out of tokens.

Each figure is low, expected and high. `high` is a bound that a budget can rest on, or the forecast says that it is none:
prompts that the API counted as long as it said, all others with a token for each byte; answers as long as `max_tokens`
allows; caches that are only ever written; the dearest place and the dearest step of prices that can be reached.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import reduce
from operator import add
from typing import Generic, TypeVar

from batchctl.domain.caching import (
    EXPECTED_HIT_RATE,
    HIT_RATES,
    LEAST_CACHED_TOKENS,
    LONG,
    SHORT,
    least_tokens,
    pays_from,
)
from batchctl.domain.groups import RequestGroup, SampledLine, Stratum, stratum_floor
from batchctl.domain.prices import (
    DEAREST_GEO,
    GEO_FACTOR,
    GLOBAL_GEO,
    Forecast,
    Lane,
    ModelPrices,
    Prices,
    Usage,
    cost,
    tier_of,
)
from batchctl.money.advice import Advice, AdvisedGroup, SampleFacts, advised
from batchctl.money.price_table import is_form_of, version

# From bytes alone. English prose has about 4 bytes to a token, a line of it a little more with its braces and quotes; from
# model 4.7 on a tokenizer makes about 30 % more tokens of the same text (pricing page of the API's documentation).
BYTES_PER_TOKEN, NEWER_BYTES_PER_TOKEN, NEWER_SINCE = 4.0, 3.0, (4, 7)
LOW_BYTES_PER_TOKEN = 8.0
# A token is at least one byte of its text, in whatever script; random ASCII has 1.3 bytes to a token.
HIGH_BYTES_PER_TOKEN = 1.0
# Base64 of a picture or a document: what that weighs has little to do with its bytes.
ENCODED_BYTES_PER_TOKEN = 100.0
# With tools, the API writes a prompt of its own before a request: some hundreds of tokens, by model and tool (tool use page).
MOST_TOOL_TOKENS = 1_000

# The API calls its own count an estimate; few counts say little of how little a prompt may have.
COUNT_MARGIN, SCARCITY_MARGIN = 0.02, 0.25
# Deviations of a stratum from the line through all points are believed from so many points on.
ENOUGH_POINTS = 3

# What a line of `how` says where the forecast is no bound, after the reason.
NO_BOUND = "high is no bound"

# Without earlier answers: shares of `max_tokens`, assumed.
ASSUMED_LOW, ASSUMED_EXPECTED = 0.01, 0.25

# Of all calls, one in so many for the prefixes of groups that a cache may hold, and in all, with those that hide tokens; and
# the shortest that may be cached at all, in bytes.
CACHED_PREFIX_SHARE, PREFIX_SHARE = 4, 2
LEAST_PREFIX_BYTES = 1_000

T = TypeVar("T", int, Decimal)


@dataclass(frozen=True, slots=True)
class Range(Generic[T]):
    low: T
    expected: T
    high: T

    def __add__(self, other: "Range[T]") -> "Range[T]":
        return Range(self.low + other.low, self.expected + other.expected, self.high + other.high)


@dataclass(frozen=True, slots=True)
class Counted:
    """A line of `size` bytes, and the input tokens that the API counted of it."""

    size: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledGroup:
    """A group of requests and what a sample of it told. `prefix_tokens`: None where nobody counted them. `look`: None of none.

    `encoded`: the share of its bytes that are base64.
    """

    request_group: RequestGroup
    points: tuple[Counted, ...] = ()
    prefix_tokens: int | None = None
    look: SampleFacts | None = None
    encoded: float = 0.0

    @property
    def is_all_counted(self) -> bool:
        return len(self.points) >= self.request_group.requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Earlier answers of a model, as its results name it."""

    model: str
    requests: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEstimate:
    """Of all requests to one model; costs are None where it has no price."""

    model: str
    requests: int
    groups: int
    input: Range[int]
    output: Range[int]
    batch: Range[Decimal] | None
    real_time: Range[Decimal] | None
    model_prices: ModelPrices | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEstimate:
    """What the input of all requests costs in a batch if what they share is cached for `ttl`: by share of reads.

    `without` is the same with no cache at all; above `break_even`, a share of reads, the cache saves money.
    """

    ttl: str
    is_there: bool
    requests: int
    prefix_tokens: int
    without: Decimal
    rows: tuple[tuple[Decimal, Decimal], ...]
    break_even: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """`forecast` is of the batches, `real_time` of the same requests sent one by one; None where a model has no price.

    `counted`: lines that the API counted. `how`: what the figures rest on. `sources`: whose prices they are.
    """

    day: date
    requests: int
    counted: int
    models: tuple[ModelEstimate, ...]
    forecast: Forecast | None
    real_time: Range[Decimal] | None
    unpriced: tuple[str, ...]
    caches: tuple[CacheEstimate, ...]
    how: tuple[str, ...]
    sources: tuple[str, ...]
    advice: tuple[Advice, ...] = ()


def estimated(
    groups: Sequence[SampledGroup],
    model_prices_list: Mapping[str, ModelPrices | None],
    answers: Sequence[Answered],
    *,
    day: date,
    why: str,
    limits: Mapping[str, ModelPrices | None] | None = None,
) -> Estimate:
    """`why`: what kept the API from counting, or from counting all that was wanted; empty for nothing.

    `limits`: the prices that a limit rests on, where they are others; None for a model: there are none to rest on.
    """
    limits = model_prices_list if limits is None else limits
    weighed = [_weighed(one, _pooled(one, groups), _answers_of(one.request_group.model, answers)) for one in groups]
    models = tuple(
        _of_model(
            model,
            [one for one in weighed if one.request_group.model == model],
            model_prices_list.get(model),
            limits.get(model),
        )
        for model in dict.fromkeys(one.request_group.model for one in groups)
    )
    unpriced = tuple(one.model for one in models if one.model_prices is None)
    counted = sum(len(one.points) for one in groups)
    unsure = [one.model for one in models if one.model_prices is not None and limits.get(one.model) is None]
    how = (
        *_how(models, counted, why),
        *_how_limits(models, limits, unsure),
        *_how_answers(models, answers),
        *_what_to_know(weighed, groups),
    )
    is_bound = not unsure and not any(map(_is_open_ended, groups))
    batch, real_time = _sum(one.batch for one in models), _sum(one.real_time for one in models)
    sources = tuple(dict.fromkeys(one.model_prices.source for one in models if one.model_prices))
    prices = f"{', '.join(sources)} of {day}"
    return Estimate(
        day=day,
        requests=sum(one.requests for one in models),
        counted=counted,
        models=models,
        forecast=_forecast(batch, how, prices, is_bound=is_bound) if batch else None,
        real_time=real_time,
        unpriced=unpriced,
        caches=_caches(weighed, model_prices_list),
        how=how,
        sources=sources,
        advice=advised(
            [_to_advise(one, known, model_prices_list, answers) for one, known in zip(weighed, groups, strict=True)]
        ),
    )


def _to_advise(
    of: "_Weighed",
    known: SampledGroup,
    model_prices_list: Mapping[str, ModelPrices | None],
    answers: Sequence[Answered],
) -> AdvisedGroup:
    request_group = of.request_group
    model_prices, found = model_prices_list.get(request_group.model), _answers_of(request_group.model, answers)
    prices = _mean_prices(of, model_prices) if model_prices else None
    return AdvisedGroup(
        request_group=request_group,
        tokens=of.input.expected,
        prefix=(of.prefix.low, of.prefix.expected, of.prefix.high),
        prices=prices.at(GEO_FACTOR.get(request_group.inference_geo, Decimal(1))) if prices else None,
        look=known.look,
        answers=found.requests if found else 0,
        answer_tokens=found.output_tokens if found else 0,
    )


def _forecast(of: Range[Decimal], how: Sequence[str], prices: str, *, is_bound: bool) -> Forecast:
    said = "; ".join(how)
    return Forecast(low=of.low, expected=of.expected, high=of.high, how=said, prices=prices, is_bound=is_bound)


def _is_open_ended(known: SampledGroup) -> bool:
    """Whether what the API does or adds by itself, or what nobody counted of pictures and documents, may go beyond `high`."""
    return known.request_group.calls_servers or _hides(known) or _adds_uncounted(known)


def _hides(known: SampledGroup) -> bool:
    """Whether requests that nobody counted may weigh anything: their bytes do not tell."""
    return known.request_group.beyond_text and not known.is_all_counted


def _adds_uncounted(known: SampledGroup) -> bool:
    """Whether the API adds a prompt of its own whose length nobody knows. It is the same for a whole group: once is enough."""
    return known.request_group.adds_prompt and known.prefix_tokens is None and not known.is_all_counted


def _sum(parts: Iterable[Range[Decimal] | None]) -> Range[Decimal] | None:
    """None where one is not known."""
    found = list(parts)
    known = [one for one in found if one is not None]
    return reduce(add, known) if known and len(known) == len(found) else None


# ---------------------------------------------------------------- which lines to count


def chosen(request_groups: Sequence[RequestGroup], calls: int) -> list[tuple[SampledLine, ...]]:
    """For each group the lines to count, so many in all: more of where more bytes are, spread over each length."""
    places = [
        (group, stratum) for group, request_group in enumerate(request_groups) for stratum in request_group.strata
    ]
    taken = [0] * len(places)
    for _ in range(calls):
        open_ = [n for n, (_, stratum) in enumerate(places) if taken[n] < len(stratum.sampled)]
        if not open_:
            break
        # The divisors of Sainte-Lague: as near to the shares of bytes as whole numbers come.
        taken[max(open_, key=lambda n: places[n][1].bytes / (2 * taken[n] + 1))] += 1
    found: list[list[SampledLine]] = [[] for _ in request_groups]
    for count, (group, stratum) in zip(taken, places, strict=True):
        found[group] += [stratum.sampled[n * len(stratum.sampled) // count] for n in range(count)]
    return [tuple(one) for one in found]


def with_prefix_to_count(request_groups: Sequence[RequestGroup], calls: int) -> list[int]:
    """The groups whose shared beginning is worth two calls: those to which the API adds a prompt, then those that repeat most."""

    def weight(n: int) -> int:
        return -request_groups[n].prefix_bytes * request_groups[n].requests

    shared = [
        n for n, request_group in enumerate(request_groups) if request_group.digest and request_group.requests > 1
    ]
    hidden = sorted((n for n in shared if request_groups[n].adds_prompt), key=weight)[: calls // PREFIX_SHARE // 2]
    worth = (n for n in shared if n not in hidden and request_groups[n].prefix_bytes >= LEAST_PREFIX_BYTES)
    return [*hidden, *sorted(worth, key=weight)[: max(0, calls // CACHED_PREFIX_SHARE // 2 - len(hidden))]]


# ---------------------------------------------------------------- tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class _Length:
    """Requests of one group and like length: their tokens together, and the most that one of them may have."""

    requests: int
    tokens: Range[int]
    longest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weighed:
    """A group in tokens."""

    request_group: RequestGroup
    lengths: tuple[_Length, ...]
    prefix: Range[int]
    output: Range[int]

    @property
    def input(self) -> Range[int]:
        return reduce(add, (one.tokens for one in self.lengths))

    @property
    def is_long_enough(self) -> bool:
        """Whether what is shared is cached by the model: what is shorter, the API leaves out without a word."""
        return self.prefix.expected >= self.least

    @property
    def least(self) -> int:
        return least_tokens(self.request_group.model) or LEAST_CACHED_TOKENS


def _weighed(known: SampledGroup, pooled: Sequence[Counted], answers: Answered | None) -> _Weighed:
    request_group, by_bytes = known.request_group, _by_bytes(known)
    met = _by_count(known) if known.points else _by_others(pooled) if pooled else by_bytes
    # Bytes tell nothing of what pictures weigh: as the worst that was counted, and no bound.
    most = met if request_group.beyond_text else by_bytes
    lengths = tuple(_length(one, known, met, most) for one in request_group.strata)
    whole: Range[int] = reduce(add, (one.tokens for one in lengths))
    return _Weighed(
        request_group=request_group,
        lengths=lengths,
        prefix=_prefix(known, whole),
        output=_output(request_group, answers),
    )


def _length(
    of: Stratum, known: SampledGroup, met: Callable[[Stratum], Range[int]], most: Callable[[Stratum], Range[int]]
) -> _Length:
    """What was counted as it was counted; of the rest low and expected as `met` says, and high as `most` does."""
    own = [point for point in known.points if stratum_floor(point.size) == of.least]
    counted = sum(point.tokens for point in own)
    found = Range(int(counted * (1 - COUNT_MARGIN)), counted, _with_margin(counted))
    longest = _with_margin(max((point.tokens for point in own), default=0))
    if len(own) < of.requests:
        rest = Stratum(
            least=of.least, requests=of.requests - len(own), bytes=of.bytes - sum(point.size for point in own)
        )
        tokens, high = met(rest), most(rest).high
        found += Range(tokens.low, tokens.expected, max(tokens.expected, high))
        alone = Stratum(least=of.least, requests=1, bytes=min(2 * of.least - 1, known.request_group.longest))
        longest = max(longest, most(alone).high)
    return _Length(requests=of.requests, tokens=found, longest=longest)


def _with_margin(tokens: int) -> int:
    return -int(-tokens * (1 + COUNT_MARGIN) // 1)


def _by_count(known: SampledGroup) -> Callable[[Stratum], Range[int]]:
    """A line through what was counted; for low and high, every request as far off it as the worst of them."""
    points = known.points
    base, slope = _line(points)
    ratios = [point.tokens / max(1.0, base + slope * point.size) for point in points]
    scarcity = 0.0 if known.is_all_counted else SCARCITY_MARGIN / len(points)
    least, most = min(1.0, *ratios) * (1 - COUNT_MARGIN - scarcity), max(1.0, *ratios) * (1 + COUNT_MARGIN)

    def rate(of: Stratum) -> Range[int]:
        own = [point for point in points if stratum_floor(point.size) == of.least] if of.requests > 1 else []
        off = sum(point.tokens - base - slope * point.size for point in own) / len(own) if own else 0.0
        believed = off if len(own) >= min(ENOUGH_POINTS, of.requests) else 0.0
        tokens = max(float(of.requests), of.requests * (base + believed) + slope * of.bytes)
        return Range(int(tokens * least), round(tokens), -int(-tokens * most // 1))

    return rate


def _line(points: Sequence[Counted]) -> tuple[float, float]:
    """By least squares; through the origin where the points tell of no line."""
    sizes, tokens = [float(point.size) for point in points], [float(point.tokens) for point in points]
    middle, height = sum(sizes) / len(sizes), sum(tokens) / len(tokens)
    spread = sum((size - middle) ** 2 for size in sizes)
    # Lengths that hardly differ say nothing of what a longer one would weigh.
    if len(points) < ENOUGH_POINTS or spread <= len(sizes) * (0.02 * middle) ** 2:
        return 0.0, height / middle
    slope = sum((size - middle) * (one - height) for size, one in zip(sizes, tokens, strict=True)) / spread
    return (height - slope * middle, slope) if slope > 0 else (height, 0.0)


def _by_others(points: Sequence[Counted]) -> Callable[[Stratum], Range[int]]:
    """A group that was too small to be counted, by what other groups of its model weigh."""
    ratios = [point.tokens / point.size for point in points]
    expected = sum(point.tokens for point in points) / sum(point.size for point in points)
    least = min(ratios) * (1 - SCARCITY_MARGIN)
    return lambda of: Range(int(of.bytes * least), round(of.bytes * expected), -int(-of.bytes * max(ratios) // 1))


def _by_bytes(known: SampledGroup) -> Callable[[Stratum], Range[int]]:
    request_group, encoded = known.request_group, known.encoded
    usual = BYTES_PER_TOKEN if is_older(request_group.model) else NEWER_BYTES_PER_TOKEN
    least = (1 - encoded) / LOW_BYTES_PER_TOKEN
    expected = (1 - encoded) / usual + encoded / ENCODED_BYTES_PER_TOKEN
    if known.prefix_tokens is not None:
        # What stands before the messages is the same in each, with all that the API adds to it.
        counted, shared = _with_margin(known.prefix_tokens), request_group.prefix_bytes
    else:
        counted, shared = MOST_TOOL_TOKENS if request_group.adds_prompt else 0, 0

    def rate(of: Stratum) -> Range[int]:
        own = max(0, of.bytes - shared * of.requests)
        high = -int(-own // HIGH_BYTES_PER_TOKEN) + counted * of.requests
        return Range(int(of.bytes * least), round(of.bytes * expected), high)

    return rate


def is_older(model: str) -> bool:
    """Whether it counts by the tokenizer of the models before 4.7."""
    return () < version(model) < NEWER_SINCE


def _pooled(known: SampledGroup, groups: Sequence[SampledGroup]) -> list[Counted]:
    return [point for one in groups if one.request_group.model == known.request_group.model for point in one.points]


def _prefix(known: SampledGroup, whole: Range[int]) -> Range[int]:
    """Of one request: what stands before its messages."""
    request_group = known.request_group
    if known.prefix_tokens is not None:
        tokens = known.prefix_tokens
        return Range(tokens, tokens, _with_margin(tokens))
    share = request_group.prefix_bytes * request_group.requests / request_group.bytes
    each = Range(
        whole.low // request_group.requests,
        whole.expected // request_group.requests,
        -(-whole.high // request_group.requests),
    )
    # Escapes in the line, where its own JSON has none, make no share of more than all of it.
    most = min(1.0, share)
    high = max(request_group.prefix_bytes, -int(-each.high * most // 1))
    return Range(int(each.low * most), int(each.expected * most), high)


def _answers_of(model: str, answers: Sequence[Answered]) -> Answered | None:
    """Under its own name or the dated one that it stands for."""
    own = [one for one in answers if one.requests and (is_form_of(one.model, model) or is_form_of(model, one.model))]
    if not own:
        return None
    return Answered(
        model=model,
        requests=sum(one.requests for one in own),
        output_tokens=sum(one.output_tokens for one in own),
    )


def _output(request_group: RequestGroup, answers: Answered | None) -> Range[int]:
    most = request_group.max_tokens
    if answers is None:
        low, expected = (
            max(request_group.requests, int(most * ASSUMED_LOW)),
            max(request_group.requests, int(most * ASSUMED_EXPECTED)),
        )
        return Range(low, expected, most)
    mean = answers.output_tokens / answers.requests
    # Few answers tell little of the next ones.
    expected = min(most, round(mean * request_group.requests))
    return Range(int(expected * (1 - min(0.5, 0.1 + answers.requests**-0.5))), expected, most)


# ---------------------------------------------------------------- money


def _of_model(
    model: str, groups: Sequence[_Weighed], model_prices: ModelPrices | None, limit: ModelPrices | None
) -> ModelEstimate:
    limit = limit or model_prices
    return ModelEstimate(
        model=model,
        requests=sum(one.request_group.requests for one in groups),
        groups=len(groups),
        input=reduce(add, (one.input for one in groups)),
        output=reduce(add, (one.output for one in groups)),
        batch=reduce(add, (_costs(one, model_prices, limit, Lane.BATCH) for one in groups))
        if model_prices and limit
        else None,
        real_time=reduce(add, (_costs(one, model_prices, limit, Lane.REAL_TIME) for one in groups))
        if model_prices and limit
        else None,
        model_prices=model_prices,
    )


def _costs(of: _Weighed, model_prices: ModelPrices, limit: ModelPrices, lane: Lane) -> Range[Decimal]:
    """`limit`: the prices of high."""
    cached = of.request_group.ttl and (_may_cache_all(of) or of.prefix.high >= of.least)
    # A list of private prices may have any of them dearer than the others.
    rates = (Decimal(0), Decimal(1)) if cached else ()
    low = [
        _input_cost(of, model_prices, lane, "low", None),
        *(_input_cost(of, model_prices, lane, "low", rate, is_all=_may_cache_all(of)) for rate in rates),
    ]
    expected = _input_cost(of, model_prices, lane, "expected", EXPECTED_HIT_RATE if _is_cached(of) else None)
    return Range(
        min(low) + _output_cost(of, model_prices, lane, of.output.low, of.input.low),
        expected + _output_cost(of, model_prices, lane, of.output.expected, of.input.expected),
        _most(of, limit, lane),
    )


def _most(of: _Weighed, model_prices: ModelPrices, lane: Lane) -> Decimal:
    """Whatever each request comes to, none is dearer than at the dearest step that the longest of its length can reach.

    What may be cached is all written, all read, or none of it is in a cache, whichever is the dearest: nobody promises a share.
    """
    request_group, total, left = of.request_group, Decimal(0), of.output.high
    geo = "" if request_group.inference_geo == GLOBAL_GEO else DEAREST_GEO
    # The longest answers may all be those to the prompts that make them dearest.
    for one in sorted(of.lengths, key=lambda length: -length.longest):
        tokens, answers = one.tokens.high, min(left, one.requests * request_group.most_max_tokens)
        cached = tokens if _may_cache_all(of) else min(tokens, one.requests * of.prefix.high)
        lives = (SHORT, LONG) if request_group.ttl == LONG else (SHORT,) if request_group.ttl else ()
        ways = [_used(tokens, cached, ttl, Decimal(read)) for ttl in lives for read in (0, 1)]
        ways.append(Usage(input_tokens=tokens))
        prices = [tier.of(lane) for tier in model_prices.tiers if tier.over <= tier_of(one.longest)]
        total += max(cost(way, one, geo) for way in ways for one in prices)
        total += max(cost(Usage(output_tokens=answers), one, geo) for one in prices)
        left -= answers
    return total


def _may_cache_all(of: _Weighed) -> bool:
    """Whether more than the shared beginning may be in a cache: of what is left over of a model, each has its own."""
    return bool(of.request_group.ttl) and (of.request_group.marks_messages or not of.request_group.digest)


def _is_cached(of: _Weighed) -> bool:
    """As far as is expected: what is too short for the model is not."""
    return bool(of.request_group.ttl) and (of.prefix.expected >= of.least or of.request_group.marks_messages)


def _input_cost(
    of: _Weighed,
    model_prices: ModelPrices,
    lane: Lane,
    which: str,
    rate: Decimal | None,
    ttl: str = "",
    *,
    is_all: bool = False,
) -> Decimal:
    """At the step of the mean request of each length. `rate`: of reads, None without a cache. `is_all`: of whole prompts."""
    total = Decimal(0)
    for one in of.lengths:
        size = getattr(one.tokens, which)
        shared = size if is_all else min(size, one.requests * getattr(of.prefix, which))
        used = _used(size, 0 if rate is None else shared, ttl or of.request_group.ttl, rate or Decimal(0))
        prices = model_prices.tier(tier_of(size // max(1, one.requests))).of(lane)
        total += cost(used, prices, of.request_group.inference_geo)
    return total


def _output_cost(of: _Weighed, model_prices: ModelPrices, lane: Lane, tokens: int, prompts: int) -> Decimal:
    prices = model_prices.tier(tier_of(prompts // of.request_group.requests)).of(lane)
    return cost(Usage(output_tokens=tokens), prices, of.request_group.inference_geo)


def _used(tokens: int, cached: int, ttl: str, hit_rate: Decimal) -> Usage:
    read = int(cached * hit_rate)
    written = cached - read
    return Usage(
        input_tokens=tokens - cached,
        read_tokens=read,
        write_1h_tokens=written if ttl == LONG else 0,
        write_5m_tokens=0 if ttl == LONG else written,
    )


# ---------------------------------------------------------------- what a cache would save


def _caches(
    groups: Sequence[_Weighed], model_prices_list: Mapping[str, ModelPrices | None]
) -> tuple[CacheEstimate, ...]:
    """For both lives of a cache; none where requests share nothing that could be cached, or a price is not known."""
    shared = [one for one in groups if one.request_group.is_shared and one.is_long_enough]
    priced = [
        (one, model_prices)
        for one in groups
        if (model_prices := model_prices_list.get(one.request_group.model)) is not None
    ]
    if not shared or len(priced) < len(groups):
        return ()
    return tuple(_cache(ttl, shared, priced) for ttl in (LONG, SHORT))


def _cache(ttl: str, shared: Sequence[_Weighed], priced: Sequence[tuple[_Weighed, ModelPrices]]) -> CacheEstimate:
    def whole(rate: Decimal | None) -> Decimal:
        return sum(
            (
                _input_cost(one, model_prices, Lane.BATCH, "expected", rate if one in shared else None, ttl)
                for one, model_prices in priced
            ),
            Decimal(0),
        )

    return CacheEstimate(
        ttl=ttl,
        is_there=any(one.request_group.ttl == ttl for one in shared),
        requests=sum(one.request_group.requests for one in shared),
        prefix_tokens=sum(one.request_group.requests * one.prefix.expected for one in shared),
        without=whole(None),
        rows=tuple((rate, whole(rate)) for rate in HIT_RATES),
        break_even=pays_from(
            ttl,
            [
                (one.request_group.requests * one.prefix.expected, _mean_prices(one, model_prices))
                for one, model_prices in priced
                if one in shared
            ],
        ),
    )


def _mean_prices(of: _Weighed, model_prices: ModelPrices) -> Prices:
    """In a batch, at the step of the mean request."""
    return model_prices.tier(tier_of(of.input.expected // of.request_group.requests)).batch


# ---------------------------------------------------------------- how it was got


def _how(models: Sequence[ModelEstimate], counted: int, why: str) -> Iterable[str]:
    requests = sum(one.requests for one in models)
    if counted:
        others = ", the others by their length; for high, a token for each byte"
        yield f"input: {counted:,} of {requests:,} requests counted by the API{others if counted < requests else ''}"
    else:
        yield "input: from bytes alone: 1 to 8 of them to a token"
    if why:
        yield f"not counted: {why}"
    yield from dict.fromkeys(
        f"price: {one.model_prices.note}" for one in models if one.model_prices and one.model_prices.note
    )


def _how_answers(models: Sequence[ModelEstimate], answers: Sequence[Answered]) -> Iterable[str]:
    for one in models:
        found = _answers_of(one.model, answers)
        name = f" of {one.model}" if len(models) > 1 else ""
        if found:
            mean = found.output_tokens / found.requests
            yield f"output{name}: as {found.requests:,} earlier answers, {mean:,.0f} tokens each; high is max_tokens"
    if missing := [one.model for one in models if _answers_of(one.model, answers) is None]:
        name = f" of {', '.join(missing)}" if len(missing) < len(models) else ""
        low, expected = f"{ASSUMED_LOW:.0%}", f"{ASSUMED_EXPECTED:.0%}"
        yield f"output{name}: no earlier answers; {low} and {expected} of max_tokens are assumed, high is all of it"


def _how_limits(
    models: Sequence[ModelEstimate], limits: Mapping[str, ModelPrices | None], unsure: Sequence[str]
) -> Iterable[str]:
    dearer = [
        one.model
        for one in models
        if (limit := limits.get(one.model)) and one.model_prices and limit.tiers != one.model_prices.tiers
    ]
    own = "the workspace has its own prices"
    if dearer:
        yield f"price: {own} of {', '.join(dearer)}; for high, the dearer of those and the list; --prices FILE relies on a file"
    if unsure:
        yield f"price: only {own} of {', '.join(unsure)}: {NO_BOUND}; --prices FILE relies on a file"


def _what_to_know(weighed: Sequence[_Weighed], groups: Sequence[SampledGroup]) -> Iterable[str]:
    if any(map(_is_cached, weighed)):
        yield f"cache_control: {EXPECTED_HIT_RATE:.0%} of what is shared read from the cache, an assumption; for high, none"
    if any(one.request_group.calls_servers for one in groups):
        yield f"tools: what the API does by itself, searches, what it reads, compacting, is in no figure: {NO_BOUND}"
    if any(map(_hides, groups)):
        yield f"documents: pictures, documents and tool calls that were not counted may weigh more: {NO_BOUND}"
    if any(map(_adds_uncounted, groups)):
        yield f"tools: what the API adds to tools and to formats of answers was not counted: {NO_BOUND}"
