"""What an input will cost, before it is sent: tokens out of lengths and a few counts, money out of tokens.

Each figure is low, expected and high. `high` is meant as a bound that a budget can rest on: prompts as long as the worst
that was measured, and some as long as their bytes can be, for a sample does not meet everything; answers as long as
`max_tokens` allows; caches that are only ever written.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import reduce
from operator import add
from typing import Generic, TypeVar

from batchctl.domain.advice import Advice, Group, Look, advised
from batchctl.domain.caching import (
    EXPECTED_HIT_RATE,
    HIT_RATES,
    LEAST_CACHED_TOKENS,
    LONG,
    SHORT,
    least_tokens,
    pays_from,
)
from batchctl.domain.money import OF_GEO, Forecast, Lane, Prices, Sheet, Usage, cost, step_of
from batchctl.domain.price_table import is_form_of, version
from batchctl.domain.tallies import Sampled, Stratum, Tally, least_of

# From bytes alone. English prose has about 4 bytes to a token, a line of it a little more with its braces and quotes; from
# model 4.7 on a tokenizer makes about 30 % more tokens of the same text (pricing page of the API's documentation).
BYTES_PER_TOKEN, NEWER_BYTES_PER_TOKEN, NEWER_SINCE = 4.0, 3.0, (4, 7)
LOW_BYTES_PER_TOKEN = 8.0
# No ASCII text has more than a token for two bytes, \u escapes of other scripts included; a character of other scripts may
# be one for each of its bytes.
HIGH_BYTES_PER_TOKEN, HIGH_BYTES_PER_FOREIGN_TOKEN = 2.0, 1.0
# Base64 of a picture or a document: what that weighs has little to do with its bytes.
ENCODED_BYTES_PER_TOKEN = 100.0
# With tools, the API writes a prompt of its own before a request: some hundreds of tokens, by model and tool (tool use page).
MOST_TOOL_TOKENS = 1_000

# The API calls its own count an estimate; few counts say little of how little a prompt may have.
COUNT_MARGIN, SCARCITY_MARGIN = 0.02, 0.25
# What none of n was like, drawn by chance, is less than 3 in n of all, 19 times out of 20 (the rule of three).
NOT_MET = 3
# Deviations of a stratum from the line through all points are believed from so many points on.
ENOUGH_POINTS = 3

# Without earlier answers: shares of `max_tokens`, assumed.
ASSUMED_LOW, ASSUMED_EXPECTED = 0.01, 0.25

# Calls for the prefix of a group, of all calls; and the shortest that may be cached at all, in bytes.
PREFIX_SHARE = 4
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
class Known:
    """A group of requests and what a sample of it told. `prefix_tokens`: None where nobody counted them. `look`: None of none.

    `encoded`: the share of its bytes that are base64.
    """

    tally: Tally
    points: tuple[Counted, ...] = ()
    prefix_tokens: int | None = None
    look: Look | None = None
    encoded: float = 0.0

    @property
    def is_all_counted(self) -> bool:
        return len(self.points) >= self.tally.requests


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
    sheet: Sheet | None


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
    groups: Sequence[Known], sheets: Mapping[str, Sheet | None], answers: Sequence[Answered], *, day: date, why: str
) -> Estimate:
    """`why`: what kept the API from counting, or from counting all that was wanted; empty for nothing."""
    weighed = [_weighed(one, _pooled(one, groups), _answers_of(one.tally.model, answers)) for one in groups]
    models = tuple(
        _of_model(model, [one for one in weighed if one.tally.model == model], sheets.get(model))
        for model in dict.fromkeys(one.tally.model for one in groups)
    )
    unpriced = tuple(one.model for one in models if one.sheet is None)
    counted = sum(len(one.points) for one in groups)
    how = (*_how(models, counted, why), *_how_answers(models, answers), *_what_to_know(weighed, groups, counted))
    batch, real_time = _sum(one.batch for one in models), _sum(one.real_time for one in models)
    sources = tuple(dict.fromkeys(one.sheet.source for one in models if one.sheet))
    prices = f"{', '.join(sources)} of {day}"
    return Estimate(
        day=day,
        requests=sum(one.requests for one in models),
        counted=counted,
        models=models,
        forecast=_forecast(batch, how, prices, is_bound=not any(map(_is_open_ended, groups))) if batch else None,
        real_time=real_time,
        unpriced=unpriced,
        caches=_caches(weighed, sheets),
        how=how,
        sources=sources,
        advice=advised([_to_advise(one, known, sheets, answers) for one, known in zip(weighed, groups, strict=True)]),
    )


def _to_advise(of: "_Weighed", known: Known, sheets: Mapping[str, Sheet | None], answers: Sequence[Answered]) -> Group:
    tally = of.tally
    sheet, found = sheets.get(tally.model), _answers_of(tally.model, answers)
    prices = _mean_prices(of, sheet) if sheet else None
    return Group(
        tally=tally,
        tokens=of.input.expected,
        prefix=(of.prefix.low, of.prefix.expected, of.prefix.high),
        prices=prices.at(OF_GEO.get(tally.inference_geo, Decimal(1))) if prices else None,
        look=known.look,
        answers=found.requests if found else 0,
        answer_tokens=found.output_tokens if found else 0,
    )


def _forecast(of: Range[Decimal], how: Sequence[str], prices: str, *, is_bound: bool) -> Forecast:
    said = "; ".join(how)
    return Forecast(low=of.low, expected=of.expected, high=of.high, how=said, prices=prices, is_bound=is_bound)


def _is_open_ended(known: Known) -> bool:
    """Whether what the API does by itself, or what nobody counted of pictures and documents, may go beyond `high`."""
    return known.tally.calls_servers or _hides(known)


def _hides(known: Known) -> bool:
    """Whether requests that nobody counted may weigh anything: their bytes do not tell."""
    return known.tally.has_documents and not known.is_all_counted


def _sum(parts: Iterable[Range[Decimal] | None]) -> Range[Decimal] | None:
    """None where one is not known."""
    found = list(parts)
    known = [one for one in found if one is not None]
    return reduce(add, known) if known and len(known) == len(found) else None


# ---------------------------------------------------------------- which lines to count


def chosen(tallies: Sequence[Tally], calls: int) -> list[tuple[Sampled, ...]]:
    """For each group the lines to count, so many in all: more of where more bytes are, spread over each length."""
    places = [(group, stratum) for group, tally in enumerate(tallies) for stratum in tally.strata]
    taken = [0] * len(places)
    for _ in range(calls):
        open_ = [n for n, (_, stratum) in enumerate(places) if taken[n] < len(stratum.sampled)]
        if not open_:
            break
        # The divisors of Sainte-Lague: as near to the shares of bytes as whole numbers come.
        taken[max(open_, key=lambda n: places[n][1].bytes / (2 * taken[n] + 1))] += 1
    found: list[list[Sampled]] = [[] for _ in tallies]
    for count, (group, stratum) in zip(taken, places, strict=True):
        found[group] += [stratum.sampled[n * len(stratum.sampled) // count] for n in range(count)]
    return [tuple(one) for one in found]


def with_prefix_to_count(tallies: Sequence[Tally], calls: int) -> list[int]:
    """The groups whose shared beginning is worth two calls: those that repeat the most of it."""
    worth = [n for n, tally in enumerate(tallies) if tally.is_shared and tally.prefix_bytes >= LEAST_PREFIX_BYTES]
    worth.sort(key=lambda n: -tallies[n].prefix_bytes * tallies[n].requests)
    return worth[: calls // PREFIX_SHARE // 2]


# ---------------------------------------------------------------- tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weighed:
    """A group in tokens: `strata` its requests of each length with their number, `longest` the most that one may have.

    `not_met`: the share of them that may be like none that was counted; `strange` the tokens that those have in `high`, and
    `strangest` the most that one of them may have.
    """

    tally: Tally
    strata: tuple[tuple[int, Range[int]], ...]
    longest: int
    not_met: float
    strange: int
    strangest: int
    prefix: Range[int]
    output: Range[int]

    @property
    def input(self) -> Range[int]:
        return reduce(add, (tokens for _, tokens in self.strata))

    @property
    def is_long_enough(self) -> bool:
        """Whether what is shared is cached by the model: what is shorter, the API leaves out without a word."""
        return self.prefix.expected >= self.least

    @property
    def least(self) -> int:
        return least_tokens(self.tally.model) or LEAST_CACHED_TOKENS


def _weighed(known: Known, pooled: Sequence[Counted], answers: Answered | None) -> _Weighed:
    tally, not_met, by_bytes = known.tally, _not_met(known, pooled), _by_bytes(known)
    met = _by_count(known) if known.points else _by_others(pooled) if pooled else by_bytes
    found = [(one.requests, met(one), round(not_met * by_bytes(one).high)) for one in tally.strata]
    strata = tuple(
        (requests, replace(of, high=max(of.high, round((1 - not_met) * of.high) + most)))
        for requests, of, most in found
    )
    alone = Stratum(least=least_of(tally.longest), requests=1, bytes=tally.longest)
    whole: Range[int] = reduce(add, (tokens for _, tokens in strata))
    return _Weighed(
        tally=tally,
        strata=strata,
        longest=met(alone).high,
        not_met=not_met,
        strange=min(whole.high, sum(most for _, _, most in found)),
        strangest=by_bytes(alone).high if not_met else 0,
        prefix=_prefix(known, whole),
        output=_output(tally, answers),
    )


def _not_met(known: Known, pooled: Sequence[Counted]) -> float:
    """Nothing is said of pictures and documents: their bytes are no bound."""
    if not pooled or known.is_all_counted or known.tally.has_documents:
        return 0.0
    return min(1.0, NOT_MET / len(pooled)) if known.points else 1.0


def _by_count(known: Known) -> Callable[[Stratum], Range[int]]:
    """A line through what was counted; for low and high, every request as far off it as the worst of them."""
    points = known.points
    base, slope = _line(points)
    ratios = [point.tokens / max(1.0, base + slope * point.size) for point in points]
    scarcity = 0.0 if known.is_all_counted else SCARCITY_MARGIN / len(points)
    least, most = min(1.0, *ratios) * (1 - COUNT_MARGIN - scarcity), max(1.0, *ratios) * (1 + COUNT_MARGIN)

    def rate(of: Stratum) -> Range[int]:
        own = [point for point in points if least_of(point.size) == of.least] if of.requests > 1 else []
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


def _by_bytes(known: Known) -> Callable[[Stratum], Range[int]]:
    foreign, encoded = known.tally.foreign / known.tally.bytes, known.encoded
    plain = 1 - foreign - encoded
    usual = BYTES_PER_TOKEN if is_older(known.tally.model) else NEWER_BYTES_PER_TOKEN
    least = (plain + foreign) / LOW_BYTES_PER_TOKEN
    expected = (plain + foreign) / usual + encoded / ENCODED_BYTES_PER_TOKEN
    most = (plain + encoded) / HIGH_BYTES_PER_TOKEN + foreign / HIGH_BYTES_PER_FOREIGN_TOKEN
    tools = MOST_TOOL_TOKENS if known.tally.has_tools else 0

    def rate(of: Stratum) -> Range[int]:
        high = -int(-of.bytes * most // 1) + tools * of.requests
        return Range(int(of.bytes * least), round(of.bytes * expected), high)

    return rate


def is_older(model: str) -> bool:
    """Whether it counts by the tokenizer of the models before 4.7."""
    return () < version(model) < NEWER_SINCE


def _pooled(known: Known, groups: Sequence[Known]) -> list[Counted]:
    return [point for one in groups if one.tally.model == known.tally.model for point in one.points]


def _prefix(known: Known, whole: Range[int]) -> Range[int]:
    """Of one request: what stands before its messages."""
    tally = known.tally
    if known.prefix_tokens is not None:
        tokens = known.prefix_tokens
        return Range(tokens, tokens, -int(-tokens * (1 + COUNT_MARGIN) // 1))
    share = tally.prefix_bytes * tally.requests / tally.bytes
    each = Range(whole.low // tally.requests, whole.expected // tally.requests, -(-whole.high // tally.requests))
    # Escapes in the line, where its own JSON has none, make no share of more than all of it.
    most = min(1.0, share)
    return Range(int(each.low * most), int(each.expected * most), -int(-each.high * most // 1))


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


def _output(tally: Tally, answers: Answered | None) -> Range[int]:
    most = tally.max_tokens
    if answers is None:
        low, expected = max(tally.requests, int(most * ASSUMED_LOW)), max(tally.requests, int(most * ASSUMED_EXPECTED))
        return Range(low, expected, most)
    mean = answers.output_tokens / answers.requests
    # Few answers tell little of the next ones.
    expected = min(most, round(mean * tally.requests))
    return Range(int(expected * (1 - min(0.5, 0.1 + answers.requests**-0.5))), expected, most)


# ---------------------------------------------------------------- money


def _of_model(model: str, groups: Sequence[_Weighed], sheet: Sheet | None) -> ModelEstimate:
    return ModelEstimate(
        model=model,
        requests=sum(one.tally.requests for one in groups),
        groups=len(groups),
        input=reduce(add, (one.input for one in groups)),
        output=reduce(add, (one.output for one in groups)),
        batch=reduce(add, (_costs(one, sheet, Lane.BATCH) for one in groups)) if sheet else None,
        real_time=reduce(add, (_costs(one, sheet, Lane.REAL_TIME) for one in groups)) if sheet else None,
        sheet=sheet,
    )


def _costs(of: _Weighed, sheet: Sheet, lane: Lane) -> Range[Decimal]:
    low = [_input_cost(of, sheet, lane, "low", rate) for rate in _hit_rates(of, HIT_RATES[-1], of.prefix.high)]
    expected = _input_cost(of, sheet, lane, "expected", _hit_rates(of, EXPECTED_HIT_RATE, of.prefix.expected)[-1])
    return Range(
        min(low) + _output_cost(of, sheet, lane, of.output.low, of.input.low),
        expected + _output_cost(of, sheet, lane, of.output.expected, of.input.expected),
        _most(of, sheet, lane),
    )


def _most(of: _Weighed, sheet: Sheet, lane: Lane) -> Decimal:
    """Whatever each request comes to, none is dearer than at the dearest step that the longest of its kind can reach."""
    strange_output = -int(-of.output.high * of.not_met // 1)
    kinds = (
        (of.input.high - of.strange, of.output.high - strange_output, of.longest),
        (of.strange, strange_output, of.strangest),
    )
    written = _written_at_most(of)
    return sum(
        (
            max(
                cost(
                    _used(tokens, min(tokens, written), of.tally.ttl, Decimal(0)), step.of(lane), of.tally.inference_geo
                )
                + cost(Usage(output_tokens=output), step.of(lane), of.tally.inference_geo)
                for step in sheet.steps
                if step.over <= step_of(longest)
            )
            for tokens, output, longest in kinds
        ),
        Decimal(0),
    )


def _hit_rates(of: _Weighed, rate: Decimal, prefix: int) -> tuple[Decimal | None, ...]:
    """None: nothing is cached; with marks, too, where a prefix of so many tokens is too short for the model."""
    is_cached = of.tally.ttl and (prefix >= of.least or of.tally.marks_messages)
    return (None, rate) if is_cached else (None,)


def _input_cost(of: _Weighed, sheet: Sheet, lane: Lane, which: str, rate: Decimal | None, ttl: str = "") -> Decimal:
    """At the step of the mean request of each length."""
    total = Decimal(0)
    for requests, tokens in of.strata:
        size = getattr(tokens, which)
        cached = 0 if rate is None else min(size, requests * getattr(of.prefix, which))
        used = _used(size, cached, ttl or of.tally.ttl, rate or Decimal(0))
        prices = sheet.step(step_of(size // max(1, requests))).of(lane)
        total += cost(used, prices, of.tally.inference_geo)
    return total


def _output_cost(of: _Weighed, sheet: Sheet, lane: Lane, tokens: int, prompts: int) -> Decimal:
    prices = sheet.step(step_of(prompts // of.tally.requests)).of(lane)
    return cost(Usage(output_tokens=tokens), prices, of.tally.inference_geo)


def _written_at_most(of: _Weighed) -> int:
    """Tokens that may be written to a cache, and never read from it: the share of reads is promised by nobody."""
    if not of.tally.ttl:
        return 0
    # Of what is left over of a model, each request has a beginning of its own.
    is_all = of.tally.marks_messages or not of.tally.digest
    return of.input.high if is_all else min(of.input.high, of.prefix.high * of.tally.requests)


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


def _caches(groups: Sequence[_Weighed], sheets: Mapping[str, Sheet | None]) -> tuple[CacheEstimate, ...]:
    """For both lives of a cache; none where requests share nothing that could be cached, or a price is not known."""
    shared = [one for one in groups if one.tally.is_shared and one.is_long_enough]
    priced = [(one, sheet) for one in groups if (sheet := sheets.get(one.tally.model)) is not None]
    if not shared or len(priced) < len(groups):
        return ()
    return tuple(_cache(ttl, shared, priced) for ttl in (LONG, SHORT))


def _cache(ttl: str, shared: Sequence[_Weighed], priced: Sequence[tuple[_Weighed, Sheet]]) -> CacheEstimate:
    def whole(rate: Decimal | None) -> Decimal:
        return sum(
            (
                _input_cost(one, sheet, Lane.BATCH, "expected", rate if one in shared else None, ttl)
                for one, sheet in priced
            ),
            Decimal(0),
        )

    return CacheEstimate(
        ttl=ttl,
        is_there=any(one.tally.ttl == ttl for one in shared),
        requests=sum(one.tally.requests for one in shared),
        prefix_tokens=sum(one.tally.requests * one.prefix.expected for one in shared),
        without=whole(None),
        rows=tuple((rate, whole(rate)) for rate in HIT_RATES),
        break_even=pays_from(
            ttl,
            [
                (one.tally.requests * one.prefix.expected, _mean_prices(one, sheet))
                for one, sheet in priced
                if one in shared
            ],
        ),
    )


def _mean_prices(of: _Weighed, sheet: Sheet) -> Prices:
    """In a batch, at the step of the mean request."""
    return sheet.step(step_of(of.input.expected // of.tally.requests)).batch


# ---------------------------------------------------------------- how it was got


def _how(models: Sequence[ModelEstimate], counted: int, why: str) -> Iterable[str]:
    requests = sum(one.requests for one in models)
    if counted:
        others = ", the others by their length; for high, a few by all that their bytes can be"
        yield f"input: {counted:,} of {requests:,} requests counted by the API{others if counted < requests else ''}"
    else:
        yield "input: from bytes alone: 2 to 8 of them to a token"
    if why:
        yield f"not counted: {why}"
    yield from dict.fromkeys(f"price: {one.sheet.note}" for one in models if one.sheet and one.sheet.note)


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


def _what_to_know(weighed: Sequence[_Weighed], groups: Sequence[Known], counted: int) -> Iterable[str]:
    if any(len(_hit_rates(one, EXPECTED_HIT_RATE, one.prefix.expected)) > 1 for one in weighed):
        yield f"cache_control: {EXPECTED_HIT_RATE:.0%} of what is shared read from the cache, an assumption; for high, none"
    if any(one.tally.calls_servers for one in groups):
        yield "tools: what the API does by itself, searches, what they read, compacting, is in no figure"
    if any(_hides(one) for one in groups):
        yield "documents: what is named by a URL or a file id weighs more or less than those that were counted"
    if any(one.encoded for one in groups) and not counted:
        yield "documents: what pictures and documents weigh is known by counting alone"
