"""Advice on paying less for an input, with the money that it is about.

`money.estimate` asks for it with what it knows of each group of requests. Advice never keeps anything from being sent.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import takewhile
from typing import Any

from batchctl.domain.caching import (
    COLD_HIT_RATE,
    LONG,
    MAX_BREAKPOINTS,
    MIN_CACHED_TOKENS,
    MIN_TOKENS,
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
from batchctl.domain.wording import plural

# Advice that saves less than this share of the input's cost is left out, and so is what comes after MAX_SAID lines.
MIN_SHARE = Decimal("0.01")
MAX_SAID = 4
# A first batch is waited for: a cache is primed for a saving above this share of the job, and a canary sent for so many requests.
MIN_PRIMED_SHARE = Decimal("0.1")
MIN_TRIED_REQUESTS = 1_000
# For shorter texts no advice on caching is given.
MIN_SAID_TOKENS = 256
# A sample of fewer lines says nothing about the other requests.
ENOUGH_LINES = 3
# Advice on `max_tokens` is given where it is so many times what answers took and so great; suggested is so many times their
# mean, and not less than MIN_SUGGESTED.
FAR_ABOVE, MIN_MAX_TOKENS, TIMES_THE_MEAN = 10, 1_000, 4
MIN_SUGGESTED = 256


class Code(StrEnum):
    """What a piece of advice is about, as `--json` names it."""

    PROMPT_NOT_CACHED = "prompt_not_cached"
    PROMPT_TOO_SHORT = "prompt_too_short"
    CACHE_TOO_BRIEF = "cache_too_brief"
    CACHE_COLD = "cache_cold"
    TEXT_REPEATED = "text_repeated"
    MAX_TOKENS_HIGH = "max_tokens_far_above_use"
    NOT_TRIED = "not_tried_first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One piece of advice on the requests of a model.

    Attributes:
        requests: How many requests it is about.
        text: The advice, for a person.
        saves: What following it saves at worst and at best, in US dollars, negative where it costs more. None where no bill
            changes, or no price is known.
    """

    code: Code
    model: str
    requests: int
    text: str
    saves: tuple[Decimal, Decimal] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleFacts:
    """What the sampled lines of a group show.

    Attributes:
        lines: How many lines were sampled.
        before: The ttl of each breakpoint up to the messages; `behind`: of those in the messages.
        left: Why no breakpoint can be added at the end of the system prompt, None where it can.
        opening_bytes: Bytes of the text with which the first user message of every sampled line begins.
        is_blocks: That text consists of whole blocks.
    """

    lines: int
    before: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    left: SkipReason | None = None
    opening_bytes: int = 0
    is_blocks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisedGroup:
    """A group of requests with what an estimate knows of it.

    Attributes:
        tokens: Input tokens of all its requests, as expected.
        prefix: Tokens of the shared beginning of each request: low, expected and high.
        prices: The batch prices of its model, None where it has none.
        facts: What its sampled lines show, None where none were read.
        answers: How many earlier answers of the model are known; together they took `answer_tokens`.
    """

    group: RequestGroup
    tokens: int
    prefix: tuple[int, int, int]
    prices: Prices | None
    facts: SampleFacts | None = None
    answers: int = 0
    answer_tokens: int = 0

    @property
    def least(self) -> int:
        """The shortest prefix in tokens that its model caches, or that any model does where that is not documented."""
        return least_tokens(self.group.model) or MIN_CACHED_TOKENS

    @property
    def is_marked(self) -> bool:
        """Whether a breakpoint stands behind what all its requests begin with."""
        return bool(self.facts.before if self.facts else self.group.ttl and not self.group.marks_messages)


def advised(
    groups: Sequence[AdvisedGroup], total: Decimal | None = None, *, offers_canary: bool = False
) -> tuple[Advice, ...]:
    """Return a few pieces of advice: those that save most come first, those that change no bill last.

    `total`: the expected cost of the job, None where that is not known. `offers_canary`: whether a canary may be advised.
    """
    shared = [one for one in groups if one.group.digest]
    advice = [
        *_not_cached(shared, total),
        *_cold(shared, total),
        *_too_brief(shared),
        *_repeated(shared),
        *_too_short(shared),
        *_long(groups),
        *(_not_tried(groups) if offers_canary else ()),
    ]
    input_cost = sum((one.tokens * one.prices.input for one in groups if one.prices), Decimal(0)) / MILLION
    worth = [one for one in advice if one.saves is None or one.saves[1] >= input_cost * MIN_SHARE]
    return tuple(sorted(worth, key=lambda one: -(one.saves[1] if one.saves else 0))[:MAX_SAID])


# ---------------------------------------------------------------- what a sample shows


def sample_facts(many: Sequence[Mapping[str, Any]]) -> SampleFacts | None:
    """Return what the params of sampled requests of one group show, None where there are none."""
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
    """The content of the first message of the user."""
    messages = params.get("messages")
    readable = [one for one in messages if isinstance(one, dict)] if isinstance(messages, list) else []
    return next((one.get("content") for one in readable if one.get("role") == "user"), None)


def _opening(contents: Sequence[object]) -> tuple[int, bool]:
    """How many bytes all contents begin with, and whether these are whole blocks; 0 where they are marked already."""
    lists = [one for one in contents if isinstance(one, list)]
    if len(lists) == len(contents):
        whole = [
            blocks[0]
            for blocks in takewhile(
                lambda several: all(block == several[0] for block in several), zip(*lists, strict=False)
            )
        ]
        if whole:
            is_marked = any(isinstance(block, dict) and block.get("cache_control") for block in whole)
            return 0 if is_marked else _bytes(whole), True
    texts = [_first_text(one) for one in contents]
    low, high = min(texts), max(texts)
    shared = bisect_left(range(1, len(low) + 1), x=True, key=lambda size: not high.startswith(low[:size]))
    return len(low[:shared].encode()), False


def _first_text(content: object) -> str:
    first = content[0] if isinstance(content, list) and content else content
    text = first.get("text") if isinstance(first, dict) else first
    return text if isinstance(text, str) else ""


def _bytes(value: object) -> int:
    """Bytes of all texts in a JSON value."""
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
        return self.groups[0].group.model

    @property
    def requests(self) -> int:
        return sum(one.group.requests for one in self.groups)

    @property
    def best(self) -> Decimal:
        """The greatest hit rate that is possible: one request of each group has to write."""
        return 1 - Decimal(len(self.groups)) / self.requests

    @property
    def pays_from(self) -> Decimal:
        """The hit rate from which on a cache for 1 hour costs less than none."""
        parts = zip(self.groups, self.tokens, strict=True)
        return pays_from(LONG, [(one.group.requests * tokens, one.prices) for one, tokens in parts if one.prices])

    @property
    def range(self) -> tuple[Decimal, Decimal] | None:
        """What a cache for 1 hour saves if none of it is read, and if all but one request of each group read it; None without prices."""
        if any(one.prices is None for one in self.groups):
            return None
        return self.saved(COLD_HIT_RATE), self.saved(self.best)

    def saved(self, rate: Decimal) -> Decimal:
        """What a cache for 1 hour saves at a hit rate."""
        return self.sum(lambda prices: prices.input - rate * prices.read - (1 - rate) * prices.write_1h)

    def sum(self, each: Callable[[Prices], Decimal]) -> Decimal:
        """The sum of a price per million tokens over all tokens, in US dollars."""
        parts = zip(self.groups, self.tokens, strict=True)
        return (
            sum(
                (one.group.requests * tokens * each(one.prices) for one, tokens in parts if one.prices),
                Decimal(0),
            )
            / MILLION
        )


def _not_cached(groups: Iterable[AdvisedGroup], total: Decimal | None) -> Iterator[Advice]:
    """Prompts that requests share, that are long enough to be cached, and that are not marked."""
    unmarked = [one for one in groups if one.group.is_shared and not one.is_marked and not one.group.is_primed]
    open_ = [one for one in unmarked if one.prefix[1] >= one.least]
    for alike in _alike(open_, lambda one: one.facts and one.facts.left):
        cacheable = _Cacheable(groups=alike, tokens=[one.prefix[1] for one in alike])
        if not _is_worth_waiting(cacheable, total):
            continue
        begin = (
            f"{plural(cacheable.requests, 'request')} begin with the same {_amount(cacheable)}, paid in full each time"
        )
        parts = [f"{begin}: {_how(alike[0])} {_outcome(cacheable)}"]
        used = len(alike[0].facts.behind) if alike[0].facts else 0
        if used:
            parts.append(f"{used} of {MAX_BREAKPOINTS} breakpoints are used already")
        if any(one.prefix[0] < one.least for one in alike):
            parts.append(f"these may be too short: the minimum is {alike[0].least:,} tokens")
        parts += _if_long_enough(cacheable.model, min(cacheable.tokens))
        yield Advice(
            code=Code.PROMPT_NOT_CACHED,
            model=cacheable.model,
            requests=cacheable.requests,
            text="; ".join(parts),
            saves=cacheable.range,
        )


def _cold(groups: Iterable[AdvisedGroup], total: Decimal | None) -> Iterator[Advice]:
    """Prompts marked for 1 hour that no earlier batch has cached: each request may write what it shares."""
    marked = [one for one in groups if one.group.is_shared and one.is_marked and not one.group.is_primed]
    cold = [one for one in marked if SHORT not in _ttls(one) and one.prefix[1] >= one.least]
    for alike in _alike(cold):
        cacheable = _Cacheable(groups=alike, tokens=[one.prefix[1] for one in alike])
        if not _is_worth_waiting(cacheable, total):
            continue
        yield Advice(
            code=Code.CACHE_COLD,
            model=cacheable.model,
            requests=cacheable.requests,
            text=f"{plural(cacheable.requests, 'request')} cache the same {_amount(cacheable)} for 1 hour: --prime {_outcome(cacheable)}",
            saves=cacheable.range,
        )


def _is_worth_waiting(cacheable: _Cacheable, total: Decimal | None) -> bool:
    """Whether a cache that a first batch has written saves enough; also where no price is known."""
    if cacheable.range is None:
        return True
    least = (total or Decimal(0)) * MIN_PRIMED_SHARE
    return cacheable.range[1] > 0 and cacheable.range[1] >= least


def _if_long_enough(model: str, tokens: int) -> list[str]:
    """A note where no minimum is documented, and `tokens` do not reach the greatest one of any model."""
    is_open = least_tokens(model) is None and tokens < max(MIN_TOKENS.values())
    return [f"the minimum of {model} for caching is not documented"] if is_open else []


def _how(candidate: AdvisedGroup) -> str:
    left = candidate.facts.left if candidate.facts else None
    if left is None:
        return "--prime"
    if left is SkipReason.NO_SYSTEM:
        return "cache_control for 1h on the last tool, by hand, with --prime,"
    if left is SkipReason.FULL:
        return "one of the 4 breakpoints, all used in the messages, moved to the end of it, with --prime,"
    return "cache_control for 1h at the end of it, by hand, with --prime,"


def _outcome(cacheable: _Cacheable) -> str:
    """What a cache saves where a first batch has written it, and what it may cost where none has."""
    if cacheable.range is None:
        return f"has an unknown effect on the cost: {cacheable.model} has no price"
    cold, primed = cacheable.range
    return (
        f"saves {dollars(primed)} if all others read what a first batch caches, and pays off from {cacheable.pays_from:.0%}"
        f" reads on; without --prime, a batch may read nothing, which costs {dollars(-cold)} more than no cache"
    )


def _amount(cacheable: _Cacheable) -> str:
    low, high = min(cacheable.tokens), max(cacheable.tokens)
    is_counted = all(
        one.prefix[:2] == (tokens, tokens) for one, tokens in zip(cacheable.groups, cacheable.tokens, strict=True)
    )
    most = f" to {high:,}" if high > low else ""
    return f"{'' if is_counted else 'about '}{low:,}{most} tokens"


def _too_brief(groups: Iterable[AdvisedGroup]) -> Iterator[Advice]:
    """Prompts marked for 5 minutes: what that may cost, and what 1 hour would save."""
    brief = [one for one in groups if one.is_marked and SHORT in _ttls(one) and one.prefix[1] >= one.least]
    for alike in _alike(brief):
        cacheable = _Cacheable(groups=alike, tokens=[one.prefix[1] for one in alike])
        lost = cacheable.sum(lambda prices: prices.write_5m - prices.input)
        priced = cacheable.range
        worst = f" than no cache: {dollars(lost)}" if priced else " than no cache"
        yield Advice(
            code=Code.CACHE_TOO_BRIEF,
            model=cacheable.model,
            requests=cacheable.requests,
            text=(
                f"{plural(cacheable.requests, 'request')} are cached for 5 minutes, but most batches take longer: entries that expire"
                f' before a read cost more{worst} if none is read; use "ttl": "1h" with --prime'
                + (
                    f"; that pays off from {cacheable.pays_from:.0%} reads on, and costs {dollars(-priced[0])} more than no cache"
                    " if none is read"
                    if priced
                    else ""
                )
            ),
            saves=(priced[0] + lost, priced[1] + lost) if priced else None,
        )


def _ttls(candidate: AdvisedGroup) -> Sequence[str]:
    return candidate.facts.before if candidate.facts else (candidate.group.ttl,)


def _too_short(groups: Iterable[AdvisedGroup]) -> Iterator[Advice]:
    """Prompts that are too short for any cache, marked or not."""
    short = [one for one in groups if one.group.prefix_bytes and one.prefix[1] < one.least]
    marked = [one for one in short if one.is_marked and not one.group.marks_messages]
    asked = [one for one in short if one.group.is_shared and not one.is_marked and one.prefix[1] >= MIN_SAID_TOKENS]
    for alike in (*_alike(marked, lambda _: "marked"), *_alike(asked)):
        cacheable = _Cacheable(groups=alike, tokens=[one.prefix[1] for one in alike])
        what = "have cache_control on" if alike[0].is_marked else "begin with the same"
        who = cacheable.model if least_tokens(cacheable.model) else "no model"
        least = (
            f"{alike[0].least:,} tokens or more" if least_tokens(cacheable.model) else f"less than {alike[0].least:,}"
        )
        sure = (
            "too short to be cached"
            if all(one.prefix[2] < one.least for one in alike)
            else "probably too short to be cached"
        )
        yield Advice(
            code=Code.PROMPT_TOO_SHORT,
            model=cacheable.model,
            requests=cacheable.requests,
            text=f"{plural(cacheable.requests, 'request')} {what} {_amount(cacheable)}; {who} caches {least}: {sure}",
        )


# ---------------------------------------------------------------- repeated text outside of the system prompt


def _repeated(groups: Iterable[AdvisedGroup]) -> Iterator[Advice]:
    """First messages that begin with the same text, as far as the sampled lines show."""
    repeating = [one for one in groups if one.group.requests > 1 and _opening_tokens(one)]
    for alike in _alike(repeating, lambda one: one.facts and one.facts.is_blocks):
        cacheable = _Cacheable(groups=alike, tokens=[_opening_tokens(one) for one in alike])
        if cacheable.range and cacheable.range[1] <= 0:
            continue
        samples = [one.facts for one in alike if one.facts]
        seen = f"in all {plural(sum(one.lines for one in samples), 'sampled line')} of {plural(cacheable.requests, 'request')}"
        paid = f", {dollars(cacheable.sum(lambda prices: prices.input))} in all" if cacheable.range else ""
        in_place = "cache_control for 1h on the last block of it"
        where = in_place if samples[0].is_blocks else "moved into system, with --prime, it"
        text = (
            f"the first message begins with the same text, {_amount(cacheable)}, {seen}, paid in full each time{paid}"
        )
        parts = [f"{text}: {where} {_if_cached(cacheable)}", *_if_long_enough(cacheable.model, min(cacheable.tokens))]
        yield Advice(
            code=Code.TEXT_REPEATED,
            model=cacheable.model,
            requests=cacheable.requests,
            text="; ".join(parts),
            saves=cacheable.range,
        )


def _opening_tokens(candidate: AdvisedGroup) -> int:
    """Tokens of that text, as dense as the whole lines; 0 where they are too few to be cached, or the sample too small."""
    facts = candidate.facts
    if facts is None or facts.lines < min(ENOUGH_LINES, candidate.group.requests):
        return 0
    tokens = round(facts.opening_bytes * candidate.tokens / candidate.group.bytes)
    return tokens if tokens >= MIN_SAID_TOKENS and candidate.prefix[1] + tokens >= candidate.least else 0


def _if_cached(cacheable: _Cacheable) -> str:
    if cacheable.range is None:
        return "could be read from a cache"
    cold, primed = cacheable.range
    return (
        f"saves {dollars(primed)} if all others read it, costs {dollars(-cold)} more if none does, and pays off from"
        f" {cacheable.pays_from:.0%} reads on"
    )


# ---------------------------------------------------------------- a first batch


def _not_tried(groups: Sequence[AdvisedGroup]) -> Iterator[Advice]:
    """So many requests that it pays to try some of them first."""
    requests = sum(one.group.requests for one in groups)
    if requests < MIN_TRIED_REQUESTS:
        return
    yield Advice(
        code=Code.NOT_TRIED,
        model="",
        requests=requests,
        text=f"the API checks params only when a request runs: --canary sends one of each shape before all {requests:,}",
    )


# ---------------------------------------------------------------- max_tokens


def _long(groups: Sequence[AdvisedGroup]) -> Iterator[Advice]:
    """`max_tokens` far above what answers took. Nobody pays for it, but every bound of a cost rests on it."""
    far = [one for one in groups if _is_far_above(one)]
    for alike in _alike(far):
        requests = sum(one.group.requests for one in alike)
        answers, mean = alike[0].answers, alike[0].answer_tokens / alike[0].answers
        better = suggested(mean)
        asked = sum(one.group.max_tokens for one in alike)
        less = sum(
            ((one.group.max_tokens - better * one.group.requests) * one.prices.output for one in alike if one.prices),
            Decimal(0),
        )
        off = f" and lowers the bound by {dollars(less / MILLION)}" if less else ""
        yield Advice(
            code=Code.MAX_TOKENS_HIGH,
            model=alike[0].group.model,
            requests=requests,
            text=(
                f"max_tokens is {asked // requests:,}, but {plural(answers, 'earlier answer')} took {mean:,.0f} tokens on average."
                f" It bounds the estimate (high, --max-cost) and the cost of an answer that does not end."
                f" {better:,} is at least {TIMES_THE_MEAN} times the mean{off}"
            ),
        )


def _is_far_above(candidate: AdvisedGroup) -> bool:
    mean_limit = candidate.group.max_tokens / candidate.group.requests
    return bool(candidate.answers) and mean_limit > max(
        MIN_MAX_TOKENS, FAR_ABOVE * candidate.answer_tokens / candidate.answers
    )


def suggested(mean: float) -> int:
    """Return a `max_tokens` well above the mean of earlier answers, of which nothing else is known; two significant digits."""
    tokens = max(MIN_SUGGESTED, round(TIMES_THE_MEAN * mean))
    unit = int(10 ** max(0, len(str(tokens)) - 2))
    return -(-tokens // unit) * unit


# ---------------------------------------------------------------- groups of like advice


def _alike(
    groups: Iterable[AdvisedGroup], what: Callable[[AdvisedGroup], Hashable] = lambda _: None
) -> Iterator[list[AdvisedGroup]]:
    """The groups for which the advice is the same: of one model, and alike in `what`."""
    by_kind: dict[Hashable, list[AdvisedGroup]] = {}
    for candidate in groups:
        by_kind.setdefault((candidate.group.model, what(candidate)), []).append(candidate)
    return iter(by_kind.values())
