"""What would make an input cheaper, from what an estimate knows of it: never a fault, only said, with the money it is about."""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import takewhile
from typing import Any

from batchctl.domain.caching import (
    EXPECTED_HIT_RATE,
    HIT_RATES,
    LEAST_CACHED_TOKENS,
    LEAST_TOKENS,
    LONG,
    MOST_BREAKPOINTS,
    SHORT,
    SkipReason,
    least_tokens,
    pays_from,
    skip_reason,
    ttls_after,
    ttls_before,
)
from batchctl.domain.groups import RequestGroup
from batchctl.domain.prices import MILLION, Prices, dollars

# What saves less than this share of the input's cost is not worth a line, and more lines than these nobody reads.
LEAST_SHARE = Decimal("0.01")
MOST_SAID = 4
# Of a text that is shorter nobody thinks that it might be cached.
LEAST_SAID_TOKENS = 256
# From so many lines on they speak for the others.
ENOUGH_LINES = 3
# How far `max_tokens` must be above what answers took, how great it must be, and what is suggested: so many times their mean.
FAR_ABOVE, LEAST_MAX_TOKENS, TIMES_THE_MEAN = 10, 1_000, 4
LEAST_SUGGESTED = 256


class Code(StrEnum):
    """What an advice is about."""

    PROMPT_NOT_CACHED = "prompt_not_cached"
    PROMPT_TOO_SHORT = "prompt_too_short"
    CACHE_TOO_BRIEF = "cache_too_brief"
    TEXT_REPEATED = "text_repeated"
    MAX_TOKENS_HIGH = "max_tokens_far_above_use"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """`saves`: in US dollars what following it saves at worst and at best; None where no bill changes or no price is known.

    Below 0 it costs so much more.
    """

    code: Code
    model: str
    requests: int
    text: str
    saves: tuple[Decimal, Decimal] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFacts:
    """What sampled lines of a group tell. `before`, `behind`: the ttl of each breakpoint up to the messages, and in them.

    `left`: why no breakpoint can be added at the end of the system prompt. `opening_bytes`: of the text that the first user
    message of all of them begins with; `is_blocks`: it is made of whole blocks.
    """

    lines: int
    before: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    left: SkipReason | None = None
    opening_bytes: int = 0
    is_blocks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisedGroup:
    """A group of requests as an estimate sees it. `tokens`: input, of all. `prefix`: low, expected, high; of each.

    `prices`: of a batch. `answers`: how many earlier ones took `answer_tokens` together.
    """

    request_group: RequestGroup
    tokens: int
    prefix: tuple[int, int, int]
    prices: Prices | None
    look: SampleFacts | None = None
    answers: int = 0
    answer_tokens: int = 0

    @property
    def least(self) -> int:
        """Tokens of the shortest prefix that its model caches, or any model where that is not documented."""
        return least_tokens(self.request_group.model) or LEAST_CACHED_TOKENS

    @property
    def is_marked(self) -> bool:
        """Whether a breakpoint stands behind what all of them begin with."""
        return bool(self.look.before if self.look else self.request_group.ttl and not self.request_group.marks_messages)


def advised(groups: Sequence[AdvisedGroup]) -> tuple[Advice, ...]:
    """A few lines at most, most money first; what changes no bill last."""
    shared = [one for one in groups if one.request_group.digest]
    found = [*_not_cached(shared), *_too_brief(shared), *_repeated(shared), *_too_short(shared), *_long(groups)]
    input_cost = sum((one.tokens * one.prices.input for one in groups if one.prices), Decimal(0)) / MILLION
    worth = [one for one in found if one.saves is None or one.saves[1] >= input_cost * LEAST_SHARE]
    return tuple(sorted(worth, key=lambda one: -(one.saves[1] if one.saves else 0))[:MOST_SAID])


# ---------------------------------------------------------------- a look at a few lines


def sample_facts(many: Sequence[Mapping[str, Any]]) -> SampleFacts | None:
    """At the params of sampled requests of a group; None where there are none."""
    if not many:
        return None
    first = many[0]
    size, is_blocks = _opening([_first_message(params) for params in many])
    return SampleFacts(
        lines=len(many),
        before=tuple(ttls_before(first)),
        behind=tuple(ttls_after(first)),
        left=skip_reason(first, LONG),
        opening_bytes=size,
        is_blocks=is_blocks,
    )


def _first_message(params: Mapping[str, Any]) -> object:
    """The content of the first one of the user."""
    messages = params.get("messages")
    said = [one for one in messages if isinstance(one, dict)] if isinstance(messages, list) else []
    return next((one.get("content") for one in said if one.get("role") == "user"), None)


def _opening(contents: Sequence[object]) -> tuple[int, bool]:
    """How many bytes all begin with, and whether these are whole blocks; 0 where they are marked already."""
    lists = [one for one in contents if isinstance(one, list)]
    if len(lists) == len(contents):
        whole = [blocks[0] for blocks in takewhile(_is_same, zip(*lists, strict=False))]
        if whole:
            is_marked = any(isinstance(block, dict) and block.get("cache_control") for block in whole)
            return 0 if is_marked else _bytes(whole), True
    texts = [_first_text(one) for one in contents]
    low, high = min(texts), max(texts)
    shared = bisect_left(range(1, len(low) + 1), x=True, key=lambda size: not high.startswith(low[:size]))
    return len(low[:shared].encode()), False


def _is_same(many: Sequence[object]) -> bool:
    return all(one == many[0] for one in many)


def _first_text(content: object) -> str:
    first = content[0] if isinstance(content, list) and content else content
    text = first.get("text") if isinstance(first, dict) else first
    return text if isinstance(text, str) else ""


def _bytes(value: object) -> int:
    """Of all texts in it."""
    if isinstance(value, str):
        return len(value.encode())
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(_bytes, parts))


# ---------------------------------------------------------------- what a cache would save


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cacheable:
    """Groups of one model, and how many tokens of each of their requests might be cached."""

    groups: Sequence[AdvisedGroup]
    tokens: Sequence[int]

    @property
    def model(self) -> str:
        return self.groups[0].request_group.model

    @property
    def requests(self) -> int:
        return sum(one.request_group.requests for one in self.groups)

    @property
    def best(self) -> Decimal:
        """Share of reads: of each group one request at least has to write."""
        return min(HIT_RATES[-1], 1 - Decimal(len(self.groups)) / self.requests)

    @property
    def pays_from(self) -> Decimal:
        """The share of reads from which a cache for 1 hour costs less than none."""
        parts = zip(self.groups, self.tokens, strict=True)
        return pays_from(
            LONG, [(one.request_group.requests * tokens, one.prices) for one, tokens in parts if one.prices]
        )

    @property
    def range(self) -> tuple[Decimal, Decimal] | None:
        """What a cache for 1 hour saves at the least and the greatest share of reads that are reported; None without prices."""
        if any(one.prices is None for one in self.groups):
            return None
        return self.saved(HIT_RATES[0]), self.saved(HIT_RATES[-1])

    def saved(self, rate: Decimal) -> Decimal:
        return self._saved(min(rate, self.best))

    def _saved(self, rate: Decimal) -> Decimal:
        return self.sum(lambda prices: prices.input - rate * prices.read - (1 - rate) * prices.write_1h)

    def sum(self, each: Callable[[Prices], Decimal]) -> Decimal:
        """In US dollars."""
        parts = zip(self.groups, self.tokens, strict=True)
        return (
            sum(
                (one.request_group.requests * tokens * each(one.prices) for one, tokens in parts if one.prices),
                Decimal(0),
            )
            / MILLION
        )


def _not_cached(groups: Iterable[AdvisedGroup]) -> Iterator[Advice]:
    """A prompt that requests share, long enough to be cached, and not marked."""
    open_ = [one for one in groups if one.request_group.is_shared and not one.is_marked and one.prefix[1] >= one.least]
    for alike in _alike(open_, lambda one: one.look and one.look.left):
        of = _Cacheable(groups=alike, tokens=[one.prefix[1] for one in alike])
        if of.range and of.range[1] <= 0:
            continue
        begin = f"{_requests(of.requests)} begin with the same {_amount(of)}, paid in full each time"
        said = [f"{begin}: {_how(alike[0])} {_outcome(of)}"]
        used = len(alike[0].look.behind) if alike[0].look else 0
        if used:
            said.append(f"{used} of {MOST_BREAKPOINTS} breakpoints are used already")
        if any(one.prefix[0] < one.least for one in alike):
            said.append(f"prompts of less than {alike[0].least:,} tokens are not cached, which these may be")
        said += _if_long_enough(of.model, min(of.tokens))
        yield Advice(
            code=Code.PROMPT_NOT_CACHED, model=of.model, requests=of.requests, text="; ".join(said), saves=of.range
        )


def _if_long_enough(model: str, tokens: int) -> list[str]:
    """Where no minimum is documented, and the greatest of any model is not reached."""
    is_open = least_tokens(model) is None and tokens < max(LEAST_TOKENS.values())
    return [f"how many tokens {model} caches at least is not documented"] if is_open else []


def _how(one: AdvisedGroup) -> str:
    left = one.look.left if one.look else None
    if left is None:
        return "--cache-system 1h"
    if left is SkipReason.NO_SYSTEM:
        return "cache_control for 1h on the last tool, by hand,"
    if left is SkipReason.FULL:
        return "one of the 4 breakpoints, all used in the messages, moved to the end of it"
    return "cache_control for 1h at the end of it, by hand,"


def _outcome(of: _Cacheable) -> str:
    """At which shares of reads it saves and loses what, of what is not promised anyway."""
    if of.range is None:
        return f"would save or lose money that is not known: {of.model} has no price"
    least, most = f"{min(HIT_RATES[0], of.best):.0%}", f"{of.best:.0%}"
    low, high = of.range
    lost = f"costs {dollars(-low)} more at {least} reads" if low < 0 else f"saves {dollars(low)} at {least} reads"
    line = f"pays from {of.pays_from:.0%}; {HIT_RATES[0]:.0%} to {HIT_RATES[-1]:.0%} are reported, none is promised"
    return f"{lost}, saves {dollars(high)} at {most}, and {line}"


def _amount(of: _Cacheable) -> str:
    low, high = min(of.tokens), max(of.tokens)
    is_counted = all(one.prefix[:2] == (tokens, tokens) for one, tokens in zip(of.groups, of.tokens, strict=True))
    most = f" to {high:,}" if high > low else ""
    return f"{'' if is_counted else 'about '}{low:,}{most} tokens"


def _too_brief(groups: Iterable[AdvisedGroup]) -> Iterator[Advice]:
    """Marked for 5 minutes: what it may lose, against what 1 hour would save."""
    brief = [one for one in groups if one.is_marked and SHORT in _ttls(one) and one.prefix[1] >= one.least]
    for alike in _alike(brief):
        of = _Cacheable(groups=alike, tokens=[one.prefix[1] for one in alike])
        lost = of.sum(lambda prices: prices.write_5m - prices.input)
        priced = of.range
        worst = f" than no cache: {dollars(lost)}" if priced else " than no cache"
        yield Advice(
            code=Code.CACHE_TOO_BRIEF,
            model=of.model,
            requests=of.requests,
            text=(
                f"{_requests(of.requests)} are cached for 5 minutes, and most batches take longer: what expires before it"
                f' is read costs more{worst} if none is read; "ttl": "1h" lives long enough'
                + (f" and pays from {of.pays_from:.0%} reads" if priced else "")
            ),
            saves=(priced[0] + lost, priced[1] + lost) if priced else None,
        )


def _ttls(one: AdvisedGroup) -> Sequence[str]:
    return one.look.before if one.look else (one.request_group.ttl,)


def _too_short(groups: Iterable[AdvisedGroup]) -> Iterator[Advice]:
    """What no cache will hold, marked or not."""
    short = [one for one in groups if one.request_group.prefix_bytes and one.prefix[1] < one.least]
    marked = [one for one in short if one.is_marked and not one.request_group.marks_messages]
    asked = [
        one for one in short if one.request_group.is_shared and not one.is_marked and one.prefix[1] >= LEAST_SAID_TOKENS
    ]
    for alike in (*_alike(marked, lambda _: "marked"), *_alike(asked)):
        of = _Cacheable(groups=alike, tokens=[one.prefix[1] for one in alike])
        what = "have cache_control on" if alike[0].is_marked else "begin with the same"
        who = of.model if least_tokens(of.model) else "no model"
        least = f"{alike[0].least:,} tokens or more" if least_tokens(of.model) else f"less than {alike[0].least:,}"
        sure = (
            "no cache holds that" if all(one.prefix[2] < one.least for one in alike) else "probably no cache holds that"
        )
        yield Advice(
            code=Code.PROMPT_TOO_SHORT,
            model=of.model,
            requests=of.requests,
            text=f"{_requests(of.requests)} {what} {_amount(of)}; {who} caches {least}: {sure}",
        )


# ---------------------------------------------------------------- text where no cache can hold it


def _repeated(groups: Iterable[AdvisedGroup]) -> Iterator[Advice]:
    """The first messages begin alike, as far as a few lines tell."""
    found = [one for one in groups if one.request_group.requests > 1 and _opening_tokens(one)]
    for alike in _alike(found, lambda one: one.look and one.look.is_blocks):
        of = _Cacheable(groups=alike, tokens=[_opening_tokens(one) for one in alike])
        if of.range and of.range[1] <= 0:
            continue
        looks = [one.look for one in alike if one.look]
        seen = f"in all {sum(one.lines for one in looks):,} sampled lines of {_requests(of.requests)}"
        paid = f", {dollars(of.sum(lambda prices: prices.input))} in all" if of.range else ""
        in_place = "cache_control for 1h on the last block of it"
        where = in_place if looks[0].is_blocks else "moved into system, with --cache-system 1h, it"
        text = f"the first message begins with the same text, {_amount(of)}, {seen}, paid in full each time{paid}"
        said = [f"{text}: {where} {_middle(of)}", *_if_long_enough(of.model, min(of.tokens))]
        yield Advice(
            code=Code.TEXT_REPEATED, model=of.model, requests=of.requests, text="; ".join(said), saves=of.range
        )


def _opening_tokens(one: AdvisedGroup) -> int:
    """As dense as the whole lines; 0 for too few to be cached, or to be believed."""
    look = one.look
    if look is None or look.lines < min(ENOUGH_LINES, one.request_group.requests):
        return 0
    tokens = round(look.opening_bytes * one.tokens / one.request_group.bytes)
    return tokens if tokens >= LEAST_SAID_TOKENS and one.prefix[1] + tokens >= one.least else 0


def _middle(of: _Cacheable) -> str:
    if of.range is None:
        return "could be read from a cache"
    rate = min(EXPECTED_HIT_RATE, of.best)
    middle = of.saved(rate)
    said = f"saves {dollars(middle)}" if middle >= 0 else f"costs {dollars(-middle)} more"
    return f"{said} at {rate:.0%} reads, and pays from {of.pays_from:.0%}"


# ---------------------------------------------------------------- max_tokens


def _long(groups: Sequence[AdvisedGroup]) -> Iterator[Advice]:
    """It is a ceiling that nobody pays for, and what every bound of a cost rests on."""
    far = [one for one in groups if _is_far_above(one)]
    for alike in _alike(far):
        requests = sum(one.request_group.requests for one in alike)
        answers, mean = alike[0].answers, alike[0].answer_tokens / alike[0].answers
        better = suggested(mean)
        asked = sum(one.request_group.max_tokens for one in alike)
        less = sum(
            (
                (one.request_group.max_tokens - better * one.request_group.requests) * one.prices.output
                for one in alike
                if one.prices
            ),
            Decimal(0),
        )
        off = f" and takes {dollars(less / MILLION)} off it" if less else ""
        yield Advice(
            code=Code.MAX_TOKENS_HIGH,
            model=alike[0].request_group.model,
            requests=requests,
            text=(
                f"max_tokens is {asked // requests:,}, and {answers:,} earlier answers took {mean:,.0f} on average: it"
                f" changes no bill by itself, but high and --max-cost rest on it, and an answer that runs away may cost as"
                f" much; {better:,} is {TIMES_THE_MEAN} times that mean or more{off}"
            ),
        )


def _is_far_above(one: AdvisedGroup) -> bool:
    mean_limit = one.request_group.max_tokens / one.request_group.requests
    return bool(one.answers) and mean_limit > max(LEAST_MAX_TOKENS, FAR_ABOVE * one.answer_tokens / one.answers)


def suggested(mean: float) -> int:
    """Well above the mean of earlier answers, of which nothing but the mean is known; two digits that say something."""
    tokens = max(LEAST_SUGGESTED, round(TIMES_THE_MEAN * mean))
    unit = int(10 ** max(0, len(str(tokens)) - 2))
    return -(-tokens // unit) * unit


# ---------------------------------------------------------------- said once


def _alike(
    groups: Iterable[AdvisedGroup], what: Callable[[AdvisedGroup], Hashable] = lambda _: None
) -> Iterator[list[AdvisedGroup]]:
    """Those of one model of which the same is to be said."""
    found: dict[Hashable, list[AdvisedGroup]] = {}
    for one in groups:
        found.setdefault((one.request_group.model, what(one)), []).append(one)
    return iter(found.values())


def _requests(count: int) -> str:
    return f"{count:,} request{'s'[: count > 1]}"
