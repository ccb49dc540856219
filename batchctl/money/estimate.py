"""The estimate of an input's cost before it is sent: tokens from lengths and a few counts, money from tokens.

Every figure is a range of low, expected and high. `high` is a bound that a limit can rest on, or the forecast says that it
is none. It assumes: prompts that the API counted are as long as it said, all others have a token for each byte; answers are
as long as `max_tokens` allows; caches are written and never read; prices are those of the dearest place and of the dearest
tier that a request can reach.

In a dollar's way it comes after `money.catalog`, which has the prices, and before `money.budget`, which compares the
forecast with a limit. `engine.estimate_requests` reads the samples and has the API count them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial, reduce
from operator import add
from typing import Generic, TypeVar

from batchctl.domain.caching import (
    COLD_HIT_RATE,
    HIT_RATES,
    LONG,
    MIN_CACHED_TOKENS,
    SHORT,
    least_tokens,
    pays_from,
)
from batchctl.domain.check_report import ProblemKind
from batchctl.domain.groups import RequestGroup, SampledLine, Stratum, stratum_floor
from batchctl.domain.model_catalog import is_form_of, model_version
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
from batchctl.domain.wording import of_total, plural
from batchctl.money.advice import Advice, AdvisedGroup, SampleFacts, advised

# For an estimate from bytes alone. English prose has about 4 bytes to a token, a line of it a little more with its braces and
# quotes. The tokenizer of models from 4.7 on makes about 30 % more tokens (pricing page of the API's documentation).
BYTES_PER_TOKEN, NEWER_BYTES_PER_TOKEN, NEWER_SINCE = 4.0, 3.0, (4, 7)
LOW_BYTES_PER_TOKEN = 8.0
# A token is at least one byte of its text, in whatever script; random ASCII has 1.3 bytes to a token.
HIGH_BYTES_PER_TOKEN = 1.0
# Base64 of an image or a document, whose tokens have little to do with its bytes.
ENCODED_BYTES_PER_TOKEN = 100.0
# The most tokens of the prompt that the API adds to a request with tools: some hundreds, by model and tool (tool use page).
MAX_TOOL_TOKENS = 1_000

# The API calls its own count an estimate. From few counts, the shortest prompt may be much shorter.
COUNT_MARGIN, SCARCITY_MARGIN = 0.02, 0.25
# How many points of a stratum it takes to believe their deviation from the line through all points.
ENOUGH_POINTS = 3

# Ends a line of `how` that says why the forecast is no bound.
NO_BOUND = "high is not a bound"

# The shares of `max_tokens` that answers are assumed to take where no earlier answers are known.
ASSUMED_LOW, ASSUMED_EXPECTED = 0.01, 0.25

# How many of all counts go to prefixes: one in CACHED_PREFIX_SHARE to those that a cache may hold, one in PREFIX_SHARE with
# those to which the API adds a prompt. Shorter prefixes than MIN_PREFIX_BYTES are not cached by any model.
CACHED_PREFIX_SHARE, PREFIX_SHARE = 4, 2
MIN_PREFIX_BYTES = 1_000

T = TypeVar("T", int, Decimal)


@dataclass(frozen=True, slots=True)
class Range(Generic[T]):
    """A figure as low, expected and high: tokens, or US dollars."""

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
    """A group of requests and what a sample of it showed.

    Attributes:
        points: The lines that the API counted.
        prefix_tokens: Tokens of the shared beginning, None where they were not counted.
        facts: What the sampled lines show, None where none were read.
        encoded: The share of its bytes that are base64.
    """

    group: RequestGroup
    points: tuple[Counted, ...] = ()
    prefix_tokens: int | None = None
    facts: SampleFacts | None = None
    encoded: float = 0.0

    @property
    def is_all_counted(self) -> bool:
        """Whether the API counted every request."""
        return len(self.points) >= self.group.requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Earlier answers of a model, by the name that results give it."""

    model: str
    requests: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEstimate:
    """The estimate of all requests to one model. Costs are None where it has no price."""

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
    """What the input of all requests costs in batches, in US dollars, if their shared beginning is cached for `ttl`.

    Attributes:
        is_there: Requests hold such a `cache_control` already.
        requests: Requests that share a beginning; together that has `prefix_tokens`.
        without: The cost without a cache.
        rows: The cost by hit rate.
        primed: The cost if a first batch caches what is shared, so that all others read it; None where that would be gone by
            then.
        break_even: The hit rate from which on the cache costs less than none.
    """

    ttl: str
    is_there: bool
    requests: int
    prefix_tokens: int
    without: Decimal
    rows: tuple[tuple[Decimal, Decimal], ...]
    primed: Decimal | None
    break_even: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The estimate of an input.

    Attributes:
        counted: Lines that the API counted.
        forecast: The cost in batches, None where a model has no price.
        real_time: The cost of the same requests in real time.
        unpriced: Models without a price.
        caches: What caching shared beginnings would cost.
        how: What the figures rest on, for a person.
        sources: Whose prices they are.
        refusals: What the API said of requests that it refused to count because of these themselves.
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
    refusals: tuple[ProblemKind, ...] = ()


def estimated(
    groups: Sequence[SampledGroup],
    prices_by_model: Mapping[str, ModelPrices | None],
    answers: Sequence[Answered],
    *,
    day: date,
    why: str,
    limits: Mapping[str, ModelPrices | None] | None = None,
    offers_canary: bool = False,
) -> Estimate:
    """Return the estimate of an input.

    Args:
        groups: Its requests by what they have in common, with what samples showed.
        prices_by_model: The prices, None for a model that has none.
        answers: Earlier answers of like requests.
        day: The day whose prices these are.
        why: What kept the API from counting all that was wanted, empty for nothing.
        limits: The prices that a limit rests on, where they are others; None for a model for which there are none.
        offers_canary: Whether the advice may be to try a few requests first.
    """
    limits = prices_by_model if limits is None else limits
    weighed_groups = [
        _weighed_group(one, _pooled(one, groups), _answers_of(one.group.model, answers)) for one in groups
    ]
    models = tuple(
        _of_model(
            model,
            [one for one in weighed_groups if one.group.model == model],
            prices_by_model.get(model),
            limits.get(model),
        )
        for model in dict.fromkeys(one.group.model for one in groups)
    )
    unpriced = tuple(one.model for one in models if one.model_prices is None)
    counted = sum(len(one.points) for one in groups)
    unsure = [one.model for one in models if one.model_prices is not None and limits.get(one.model) is None]
    how = (
        *_how(models, counted, why),
        *_how_limits(models, limits, unsure),
        *_how_answers(models, answers),
        *_what_to_know(weighed_groups, groups),
    )
    # Beyond `high` may go what the API does or adds itself, and images and documents that were not counted.
    is_bound = not unsure and not any(
        each.group.calls_servers or _hides(each) or _adds_uncounted(each) for each in groups
    )
    batch, real_time = _sum(one.batch for one in models), _sum(one.real_time for one in models)
    sources = tuple(dict.fromkeys(one.model_prices.source for one in models if one.model_prices))
    prices = f"{', '.join(sources)} of {day}"
    return Estimate(
        day=day,
        requests=sum(one.requests for one in models),
        counted=counted,
        models=models,
        forecast=Forecast(
            low=batch.low,
            expected=batch.expected,
            high=batch.high,
            how="; ".join(how),
            prices=prices,
            is_bound=is_bound,
        )
        if batch
        else None,
        real_time=real_time,
        unpriced=unpriced,
        caches=_caches(weighed_groups, prices_by_model),
        how=how,
        sources=sources,
        advice=advised(
            [
                _to_advise(one, sampled, prices_by_model, answers)
                for one, sampled in zip(weighed_groups, groups, strict=True)
            ],
            total=batch.expected if batch else None,
            offers_canary=offers_canary,
        ),
    )


def _to_advise(
    weighed: "_WeighedGroup",
    sampled: SampledGroup,
    prices_by_model: Mapping[str, ModelPrices | None],
    answers: Sequence[Answered],
) -> AdvisedGroup:
    group = weighed.group
    model_prices, answered = prices_by_model.get(group.model), _answers_of(group.model, answers)
    prices = _mean_prices(weighed, model_prices) if model_prices else None
    return AdvisedGroup(
        group=group,
        tokens=weighed.input.expected,
        prefix=(weighed.prefix.low, weighed.prefix.expected, weighed.prefix.high),
        prices=prices.scaled(GEO_FACTOR.get(group.inference_geo, Decimal(1))) if prices else None,
        facts=sampled.facts,
        answers=answered.requests if answered else 0,
        answer_tokens=answered.output_tokens if answered else 0,
    )


def _hides(sampled: SampledGroup) -> bool:
    """Whether requests that were not counted may have any number of tokens, whatever their bytes."""
    return sampled.group.beyond_text and not sampled.is_all_counted


def _adds_uncounted(sampled: SampledGroup) -> bool:
    """Whether the API adds a prompt of unknown length. It is the same for a whole group, so that one count is enough."""
    return sampled.group.adds_prompt and sampled.prefix_tokens is None and not sampled.is_all_counted


def _sum(parts: Iterable[Range[Decimal] | None]) -> Range[Decimal] | None:
    """The sum, None where there is nothing to sum or a part is not known."""
    ranges = list(parts)
    priced = [one for one in ranges if one is not None]
    return reduce(add, priced) if priced and len(priced) == len(ranges) else None


# ---------------------------------------------------------------- which lines to count


def chosen(groups: Sequence[RequestGroup], calls: int) -> list[tuple[SampledLine, ...]]:
    """Return for each group the lines to count, `calls` in all.

    More are chosen where more bytes are, and they are spread over each stratum.
    """
    places = [(number, stratum) for number, group in enumerate(groups) for stratum in group.strata]
    taken = [0] * len(places)
    for _ in range(calls):
        open_ = [n for n, (_, stratum) in enumerate(places) if taken[n] < len(stratum.sampled)]
        if not open_:
            break
        # The method of Sainte-Lague: in whole numbers as near to the shares of bytes as possible.
        taken[max(open_, key=lambda n: places[n][1].bytes / (2 * taken[n] + 1))] += 1
    lines: list[list[SampledLine]] = [[] for _ in groups]
    for count, (number, stratum) in zip(taken, places, strict=True):
        lines[number] += [stratum.sampled[n * len(stratum.sampled) // count] for n in range(count)]
    return [tuple(each) for each in lines]


def with_prefix_to_count(groups: Sequence[RequestGroup], calls: int) -> list[int]:
    """Return the numbers of the groups whose shared beginning is counted, which takes two calls each.

    First those to which the API adds a prompt, then those that repeat most.
    """

    def weight(n: int) -> int:
        return -groups[n].prefix_bytes * groups[n].requests

    shared = [n for n, group in enumerate(groups) if group.digest and group.requests > 1]
    hidden = sorted((n for n in shared if groups[n].adds_prompt), key=weight)[: calls // PREFIX_SHARE // 2]
    worth = (n for n in shared if n not in hidden and groups[n].prefix_bytes >= MIN_PREFIX_BYTES)
    return [*hidden, *sorted(worth, key=weight)[: max(0, calls // CACHED_PREFIX_SHARE // 2 - len(hidden))]]


# ---------------------------------------------------------------- tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class _WeighedStratum:
    """A stratum in tokens: of all its requests together, and of its longest request at most."""

    requests: int
    tokens: Range[int]
    longest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _WeighedGroup:
    """A group in tokens: by stratum, of its shared beginning in one request, and of all its answers."""

    group: RequestGroup
    lengths: tuple[_WeighedStratum, ...]
    prefix: Range[int]
    output: Range[int]

    @property
    def input(self) -> Range[int]:
        return reduce(add, (one.tokens for one in self.lengths))

    @property
    def is_long_enough(self) -> bool:
        """Whether the model caches the shared beginning. The API silently does not cache a shorter one."""
        return self.prefix.expected >= self.least

    @property
    def least(self) -> int:
        return least_tokens(self.group.model) or MIN_CACHED_TOKENS


def _weighed_group(sampled: SampledGroup, pooled: Sequence[Counted], answers: Answered | None) -> _WeighedGroup:
    group, by_bytes = sampled.group, _by_bytes(sampled)
    expected_rate = _by_count(sampled) if sampled.points else _by_others(pooled) if pooled else by_bytes
    # Bytes say nothing about the tokens of images: these are taken as the worst that was counted, which is no bound.
    high_rate = expected_rate if group.beyond_text else by_bytes
    lengths = tuple(_weighed_stratum(one, sampled, expected_rate, high_rate) for one in group.strata)
    whole: Range[int] = reduce(add, (one.tokens for one in lengths))
    return _WeighedGroup(
        group=group,
        lengths=lengths,
        prefix=_prefix(sampled, whole),
        output=_output(group, answers),
    )


def _weighed_stratum(
    stratum: Stratum,
    sampled: SampledGroup,
    expected_rate: Callable[[Stratum], Range[int]],
    high_rate: Callable[[Stratum], Range[int]],
) -> _WeighedStratum:
    """Requests that were counted as they were counted; of the others low and expected by one rate, high by another."""
    own = [point for point in sampled.points if stratum_floor(point.size) == stratum.least]
    counted = sum(point.tokens for point in own)
    total = Range(int(counted * (1 - COUNT_MARGIN)), counted, _with_margin(counted))
    longest = _with_margin(max((point.tokens for point in own), default=0))
    if len(own) < stratum.requests:
        rest = Stratum(
            least=stratum.least,
            requests=stratum.requests - len(own),
            bytes=stratum.bytes - sum(point.size for point in own),
        )
        tokens, high = expected_rate(rest), high_rate(rest).high
        total += Range(tokens.low, tokens.expected, max(tokens.expected, high))
        alone = Stratum(least=stratum.least, requests=1, bytes=min(2 * stratum.least - 1, sampled.group.longest))
        longest = max(longest, high_rate(alone).high)
    return _WeighedStratum(requests=stratum.requests, tokens=total, longest=longest)


def _with_margin(tokens: int) -> int:
    return -int(-tokens * (1 + COUNT_MARGIN) // 1)


def _by_count(sampled: SampledGroup) -> Callable[[Stratum], Range[int]]:
    """By a line through the counted lines. For low and high, every request is as far off it as the worst of these."""
    points = sampled.points
    base, slope = _line(points)
    ratios = [point.tokens / max(1.0, base + slope * point.size) for point in points]
    scarcity = 0.0 if sampled.is_all_counted else SCARCITY_MARGIN / len(points)
    least, most = min(1.0, *ratios) * (1 - COUNT_MARGIN - scarcity), max(1.0, *ratios) * (1 + COUNT_MARGIN)

    def rate(stratum: Stratum) -> Range[int]:
        own = [point for point in points if stratum_floor(point.size) == stratum.least] if stratum.requests > 1 else []
        off = sum(point.tokens - base - slope * point.size for point in own) / len(own) if own else 0.0
        believed = off if len(own) >= min(ENOUGH_POINTS, stratum.requests) else 0.0
        tokens = max(float(stratum.requests), stratum.requests * (base + believed) + slope * stratum.bytes)
        return Range(int(tokens * least), round(tokens), -int(-tokens * most // 1))

    return rate


def _line(points: Sequence[Counted]) -> tuple[float, float]:
    """The line through the points by least squares, as base and slope; through the origin where they show no line."""
    sizes, tokens = [float(point.size) for point in points], [float(point.tokens) for point in points]
    middle, height = sum(sizes) / len(sizes), sum(tokens) / len(tokens)
    spread = sum((size - middle) ** 2 for size in sizes)
    # Lengths that hardly differ do not show how tokens grow with them.
    if len(points) < ENOUGH_POINTS or spread <= len(sizes) * (0.02 * middle) ** 2:
        return 0.0, height / middle
    slope = sum((size - middle) * (one - height) for size, one in zip(sizes, tokens, strict=True)) / spread
    return (height - slope * middle, slope) if slope > 0 else (height, 0.0)


def _by_others(points: Sequence[Counted]) -> Callable[[Stratum], Range[int]]:
    """By other groups of the same model, for a group that was too small to be counted."""
    ratios = [point.tokens / point.size for point in points]
    expected = sum(point.tokens for point in points) / sum(point.size for point in points)
    least = min(ratios) * (1 - SCARCITY_MARGIN)
    return lambda stratum: Range(
        int(stratum.bytes * least), round(stratum.bytes * expected), -int(-stratum.bytes * max(ratios) // 1)
    )


def _by_bytes(sampled: SampledGroup) -> Callable[[Stratum], Range[int]]:
    group, encoded = sampled.group, sampled.encoded
    usual = BYTES_PER_TOKEN if is_older(group.model) else NEWER_BYTES_PER_TOKEN
    least = (1 - encoded) / LOW_BYTES_PER_TOKEN
    expected = (1 - encoded) / usual + encoded / ENCODED_BYTES_PER_TOKEN
    if sampled.prefix_tokens is not None:
        # The beginning is the same in every request, with all that the API adds to it.
        counted, shared = _with_margin(sampled.prefix_tokens), group.prefix_bytes
    else:
        counted, shared = MAX_TOOL_TOKENS if group.adds_prompt else 0, 0

    def rate(stratum: Stratum) -> Range[int]:
        own = max(0, stratum.bytes - shared * stratum.requests)
        high = -int(-own // HIGH_BYTES_PER_TOKEN) + counted * stratum.requests
        return Range(int(stratum.bytes * least), round(stratum.bytes * expected), high)

    return rate


def is_older(model: str) -> bool:
    """Return whether a model has the tokenizer of the models before 4.7."""
    return () < model_version(model) < NEWER_SINCE


def _pooled(sampled: SampledGroup, groups: Sequence[SampledGroup]) -> list[Counted]:
    return [point for one in groups if one.group.model == sampled.group.model for point in one.points]


def _prefix(sampled: SampledGroup, whole: Range[int]) -> Range[int]:
    """Tokens of what stands before the messages of one request."""
    group = sampled.group
    if sampled.prefix_tokens is not None:
        tokens = sampled.prefix_tokens
        return Range(tokens, tokens, _with_margin(tokens))
    share = group.prefix_bytes * group.requests / group.bytes
    each = Range(
        whole.low // group.requests,
        whole.expected // group.requests,
        -(-whole.high // group.requests),
    )
    # Where the line is shorter than its JSON written anew, the share is still at most all of it.
    most = min(1.0, share)
    high = max(group.prefix_bytes, -int(-each.high * most // 1))
    return Range(int(each.low * most), int(each.expected * most), high)


def _answers_of(model: str, answers: Sequence[Answered]) -> Answered | None:
    """Earlier answers of a model, under its own name or a dated form of it."""
    own = [one for one in answers if one.requests and (is_form_of(one.model, model) or is_form_of(model, one.model))]
    if not own:
        return None
    return Answered(
        model=model,
        requests=sum(one.requests for one in own),
        output_tokens=sum(one.output_tokens for one in own),
    )


def _output(group: RequestGroup, answers: Answered | None) -> Range[int]:
    most = group.max_tokens
    if answers is None:
        low, expected = (
            max(group.requests, int(most * ASSUMED_LOW)),
            max(group.requests, int(most * ASSUMED_EXPECTED)),
        )
        return Range(low, expected, most)
    mean = answers.output_tokens / answers.requests
    # Few answers say little about the next ones.
    expected = min(most, round(mean * group.requests))
    return Range(int(expected * (1 - min(0.5, 0.1 + answers.requests**-0.5))), expected, most)


# ---------------------------------------------------------------- money


def _of_model(
    model: str, groups: Sequence[_WeighedGroup], model_prices: ModelPrices | None, limit: ModelPrices | None
) -> ModelEstimate:
    limit = limit or model_prices
    return ModelEstimate(
        model=model,
        requests=sum(one.group.requests for one in groups),
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


def _costs(weighed: _WeighedGroup, model_prices: ModelPrices, limit: ModelPrices, lane: Lane) -> Range[Decimal]:
    """The cost of a group. `high` is by the prices `limit`."""
    cached = weighed.group.ttl and (_may_cache_all(weighed) or weighed.prefix.high >= weighed.least)
    # In private prices, any class of tokens may be dearer than the others.
    rates = (Decimal(0), Decimal(1)) if cached else ()
    low = [
        _input_cost(weighed, model_prices, lane, "low", None),
        *(_input_cost(weighed, model_prices, lane, "low", rate, is_all=_may_cache_all(weighed)) for rate in rates),
    ]
    expected = _input_cost(weighed, model_prices, lane, "expected", _expected_hit_rate(weighed))
    return Range(
        min(low) + _output_cost(weighed, model_prices, lane, weighed.output.low, weighed.input.low),
        expected + _output_cost(weighed, model_prices, lane, weighed.output.expected, weighed.input.expected),
        _most(weighed, limit, lane),
    )


def _most(weighed: _WeighedGroup, model_prices: ModelPrices, lane: Lane) -> Decimal:
    """The most that a group costs: each request at the dearest tier that the longest of its stratum can reach.

    What may be cached is all written, all read, or not in a cache, whichever is dearest: no hit rate is guaranteed.
    """
    group, total, left = weighed.group, Decimal(0), weighed.output.high
    geo = "" if group.inference_geo == GLOBAL_GEO else DEAREST_GEO
    # The longest answers may all be those to the prompts whose tier makes them dearest.
    for stratum in sorted(weighed.lengths, key=lambda length: -length.longest):
        tokens, answers = stratum.tokens.high, min(left, stratum.requests * group.most_max_tokens)
        cached = tokens if _may_cache_all(weighed) else min(tokens, stratum.requests * weighed.prefix.high)
        lives = (SHORT, LONG) if group.ttl == LONG else (SHORT,) if group.ttl else ()
        ways = [_used(tokens, cached, ttl, Decimal(read)) for ttl in lives for read in (0, 1)]
        ways.append(Usage(input_tokens=tokens))
        prices = [tier.prices(lane) for tier in model_prices.tiers if tier.over <= tier_of(stratum.longest)]
        total += max(cost(way, stratum, geo) for way in ways for stratum in prices)
        total += max(cost(Usage(output_tokens=answers), stratum, geo) for stratum in prices)
        left -= answers
    return total


def _may_cache_all(weighed: _WeighedGroup) -> bool:
    """Whether more than the shared beginning may be in a cache. Requests in no group of their own share none."""
    return bool(weighed.group.ttl) and (weighed.group.marks_messages or not weighed.group.digest)


def _is_cached(weighed: _WeighedGroup) -> bool:
    """Whether a cache is expected: not where the beginning is too short for the model."""
    return bool(weighed.group.ttl) and (weighed.prefix.expected >= weighed.least or weighed.group.marks_messages)


def _expected_hit_rate(weighed: _WeighedGroup) -> Decimal | None:
    """The share of what is cached that is expected to be read; None where nothing is cached."""
    if not _is_cached(weighed):
        return None
    return _primed_hit_rate(weighed) if weighed.group.is_primed else COLD_HIT_RATE


def _primed_hit_rate(weighed: _WeighedGroup) -> Decimal:
    """The share that is read where one request writes and all others read."""
    return 1 - 1 / Decimal(weighed.group.requests)


def _input_cost(
    weighed: _WeighedGroup,
    model_prices: ModelPrices,
    lane: Lane,
    which: str,
    rate: Decimal | None,
    ttl: str = "",
    *,
    is_all: bool = False,
) -> Decimal:
    """Cost of input by the tier of the mean request in each stratum.

    `rate`: the hit rate, None without a cache. `is_all`: whole prompts are cached.
    """
    total = Decimal(0)
    for stratum in weighed.lengths:
        size = getattr(stratum.tokens, which)
        shared = size if is_all else min(size, stratum.requests * getattr(weighed.prefix, which))
        used = _used(size, 0 if rate is None else shared, ttl or weighed.group.ttl, rate or Decimal(0))
        prices = model_prices.tier(tier_of(size // max(1, stratum.requests))).prices(lane)
        total += cost(used, prices, weighed.group.inference_geo)
    return total


def _output_cost(weighed: _WeighedGroup, model_prices: ModelPrices, lane: Lane, tokens: int, prompts: int) -> Decimal:
    prices = model_prices.tier(tier_of(prompts // weighed.group.requests)).prices(lane)
    return cost(Usage(output_tokens=tokens), prices, weighed.group.inference_geo)


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
    groups: Sequence[_WeighedGroup], prices_by_model: Mapping[str, ModelPrices | None]
) -> tuple[CacheEstimate, ...]:
    """One for each ttl; none where requests share nothing that can be cached, or a price is not known."""
    shared = [one for one in groups if one.group.is_shared and one.is_long_enough]
    priced = [
        (one, model_prices) for one in groups if (model_prices := prices_by_model.get(one.group.model)) is not None
    ]
    if not shared or len(priced) < len(groups):
        return ()
    return tuple(_cache(ttl, shared, priced) for ttl in (LONG, SHORT))


def _cache(
    ttl: str, shared: Sequence[_WeighedGroup], priced: Sequence[tuple[_WeighedGroup, ModelPrices]]
) -> CacheEstimate:
    def whole(rate_of: Callable[[_WeighedGroup], Decimal | None]) -> Decimal:
        return sum(
            (
                _input_cost(one, model_prices, Lane.BATCH, "expected", rate_of(one) if one in shared else None, ttl)
                for one, model_prices in priced
            ),
            Decimal(0),
        )

    return CacheEstimate(
        ttl=ttl,
        is_there=any(one.group.ttl == ttl for one in shared),
        requests=sum(one.group.requests for one in shared),
        prefix_tokens=sum(one.group.requests * one.prefix.expected for one in shared),
        without=whole(lambda _: None),
        rows=tuple((rate, whole(partial(_same, rate))) for rate in HIT_RATES),
        primed=whole(_primed_hit_rate) if ttl == LONG else None,
        break_even=pays_from(
            ttl,
            [
                (one.group.requests * one.prefix.expected, _mean_prices(one, model_prices))
                for one, model_prices in priced
                if one in shared
            ],
        ),
    )


def _same(rate: Decimal, _: _WeighedGroup) -> Decimal:
    return rate


def _mean_prices(weighed: _WeighedGroup, model_prices: ModelPrices) -> Prices:
    """Batch prices of the tier of the mean request."""
    return model_prices.tier(tier_of(weighed.input.expected // weighed.group.requests)).batch


# ---------------------------------------------------------------- what the figures rest on


def _how(models: Sequence[ModelEstimate], counted: int, why: str) -> Iterable[str]:
    requests = sum(one.requests for one in models)
    if counted:
        others = ", the rest by length; high assumes one token per byte for these"
        yield f"input: {of_total(counted, requests, 'request')} counted by the API{others if counted < requests else ''}"
    else:
        yield "input: from bytes only, at 1 to 8 bytes per token"
    if why:
        yield f"not counted: {why}"
    yield from dict.fromkeys(
        f"price: {one.model_prices.note}" for one in models if one.model_prices and one.model_prices.note
    )


def _how_answers(models: Sequence[ModelEstimate], answers: Sequence[Answered]) -> Iterable[str]:
    for estimate in models:
        answered = _answers_of(estimate.model, answers)
        name = f" of {estimate.model}" if len(models) > 1 else ""
        if answered:
            mean = answered.output_tokens / answered.requests
            yield f"output{name}: like {plural(answered.requests, 'earlier answer')}, {plural(round(mean), 'token')} each; high is max_tokens"
    if missing := [estimate.model for estimate in models if _answers_of(estimate.model, answers) is None]:
        name = f" of {', '.join(missing)}" if len(missing) < len(models) else ""
        low, expected = f"{ASSUMED_LOW:.0%}", f"{ASSUMED_EXPECTED:.0%}"
        yield f"output{name}: no earlier answers; {low} and {expected} of max_tokens are assumed; high is all of it"


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
        yield f"price: {own} of {', '.join(dearer)}; high takes the higher of these and the list; to rely on a file, use --prices FILE"
    if unsure:
        yield f"price: only {own} of {', '.join(unsure)}: {NO_BOUND}; to rely on a file, use --prices FILE"


def _what_to_know(weighed_groups: Sequence[_WeighedGroup], groups: Sequence[SampledGroup]) -> Iterable[str]:
    cached = [one for one in weighed_groups if _is_cached(one)]
    if any(one.group.is_primed for one in cached):
        yield "cache_control: all but the first request are assumed to read the primed cache; high assumes none"
    if not all(one.group.is_primed for one in cached):
        yield "cache_control: none of the shared prompts are assumed to be read from the cache; the hit rate in a batch is not known"
    if any(one.group.calls_servers for one in groups):
        yield f"tools: web searches, fetched pages and context management of the API are not included: {NO_BOUND}"
    if any(map(_hides, groups)):
        yield f"documents: images, documents and tool calls that were not counted may need more tokens: {NO_BOUND}"
    if any(map(_adds_uncounted, groups)):
        yield f"tools: tokens that the API adds for tools and output formats were not counted: {NO_BOUND}"
