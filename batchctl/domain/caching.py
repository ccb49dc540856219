"""`cache_control` on a system prompt: when it can be added, when the API ignores it, and when it cannot pay.

A breakpoint caches everything before it, in the order tools, system, messages (prompt caching page of the API's documentation).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from batchctl.domain.faults import Fault, Severity
from batchctl.domain.prices import Prices

MOST_BREAKPOINTS = 4
SHORT, LONG = "5m", "1h"
# 5 minutes are what the API takes where no `ttl` stands; neither needs a beta header.
CONTROL = {SHORT: b'{"type":"ephemeral"}', LONG: b'{"type":"ephemeral","ttl":"1h"}'}

# Of the tokens that are to be cached, how many may be read from it; none is promised, 30 to 98 % are reported (batch
# processing page of the API's documentation).
HIT_RATES = tuple(map(Decimal, ("0.3", "0.5", "0.7", "0.9", "0.98")))
EXPECTED_HIT_RATE = Decimal("0.7")

# A write costs 1.25 times (5m) or twice (1h) a plain read of the prompt, a read from the cache a tenth: below these shares
# of reads no cache is cheaper. Models whose reads cost less have the line a little lower.
BREAK_EVEN = {SHORT: 0.22, LONG: 0.53}

# Shorter prefixes are silently not cached, in tokens (prompt caching page, August 2026, and release notes). For models that
# are not here nothing is documented.
LEAST_TOKENS: Mapping[str, int] = {
    "claude-fable-5": 512,
    "claude-mythos-5": 512,
    "claude-opus-5": 512,
    "claude-haiku-5-5": 512,
    "claude-opus-4-8": 1_024,
    "claude-sonnet-5": 1_024,
    "claude-sonnet-4-6": 1_024,
    "claude-sonnet-4-5": 1_024,
    "claude-opus-4-7": 2_048,
    "claude-opus-4-6": 4_096,
    "claude-opus-4-5": 4_096,
    "claude-haiku-4-5": 4_096,
}
LEAST_CACHED_TOKENS = min(LEAST_TOKENS.values())
BYTES_PER_TOKEN = 4
# However dense a text is; only what does not reach a minimum at this rate surely does not.
LEAST_BYTES_PER_TOKEN = 1


class SkipReason(StrEnum):
    """Why a request is left as it was written."""

    NO_SYSTEM = "without a system prompt"
    HAS_ONE = "with cache_control on it already"
    FULL = "with 4 breakpoints, which is the most"
    ORDER = "with a breakpoint for 5m before one for 1h, which the API refuses"
    ODD = "with a key that stands twice, or is null"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortPrefixes:
    """System prompts of a model that are surely too short to be cached; `tokens`: the longest, an estimate from bytes."""

    requests: int
    tokens: int
    least: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Caching:
    """What adding `cache_control` to an input came to. `requests` that hold one now; `first_line` of them.

    `repeats`: those long enough whose prefix stood in a request before, so that it may be read from a cache.
    """

    ttl: str
    requests: int
    first_line: int
    repeats: int
    left: Mapping[SkipReason, int] = field(default_factory=dict)
    short: Mapping[str, ShortPrefixes] = field(default_factory=dict)

    @property
    def cacheable(self) -> int:
        return self.requests - sum(one.requests for one in self.short.values())


def skip_reason(params: Mapping[str, Any], ttl: str) -> SkipReason | None:
    """Why no `cache_control` can be added at the end of the system prompt; None where one can."""
    last = _last_block(params.get("system"))
    # An empty text cannot be cached.
    if not last or (last.get("type") == "text" and not str(last.get("text", "")).strip()):
        return SkipReason.NO_SYSTEM
    if "cache_control" in last:
        return SkipReason.HAS_ONE if last["cache_control"] else SkipReason.ODD
    before, after = list(ttls_before(params)), list(ttls_after(params))
    if len(before) + len(after) >= MOST_BREAKPOINTS:
        return SkipReason.FULL
    # "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block", says the API.
    is_late = ttl == LONG and SHORT in before
    is_early = ttl == SHORT and LONG in after
    return SkipReason.ORDER if is_late or is_early else None


def _last_block(system: object) -> dict[str, Any]:
    """A system prompt that is text is one block; empty where there is none."""
    if isinstance(system, str):
        return {"type": "text", "text": system}
    last = system[-1] if isinstance(system, list) and system else None
    return last if isinstance(last, dict) else {}


def ttls_before(params: Mapping[str, Any]) -> Iterator[str]:
    """Of the breakpoints up to the end of the system prompt."""
    yield from _ttls(params.get("tools"))
    yield from _ttls(params.get("system"))


def ttls_after(params: Mapping[str, Any]) -> Iterator[str]:
    """Of those behind it; one for the whole request counts as the last."""
    messages = params.get("messages")
    for message in messages if isinstance(messages, list) else ():
        yield from _ttls(message.get("content") if isinstance(message, dict) else None)
    yield from _ttls([{"cache_control": params.get("cache_control")}])


def _ttls(blocks: object) -> Iterator[str]:
    """Also of blocks in blocks, as a tool's result has them."""
    for block in blocks if isinstance(blocks, list) else ():
        if not isinstance(block, dict):
            continue
        yield from _ttls(block.get("content"))
        if mark := block.get("cache_control"):
            yield str(mark.get("ttl") or SHORT) if isinstance(mark, dict) else SHORT


def pays_from(ttl: str, cached: Iterable[tuple[int, Prices]]) -> Decimal:
    """The share of reads at which what reading saves is what writing costs more. `cached`: tokens, and the prices of each."""
    more = saved = Decimal(0)
    for tokens, prices in cached:
        write = prices.write_1h if ttl == LONG else prices.write_5m
        more += tokens * (write - prices.input)
        saved += tokens * (write - prices.read)
    return more / saved if saved > 0 else Decimal(1)


def least_tokens(model: str) -> int | None:
    """The shortest prefix that a model caches; None where it is not known. By its id or an alias."""
    return LEAST_TOKENS.get(re.sub(r"-\d{8}$", "", model))


def too_short(model: str, prefix_bytes: int) -> bool:
    """Whether a prefix is surely not cached."""
    least = least_tokens(model)
    return least is not None and prefix_bytes < least * LEAST_BYTES_PER_TOKEN


def sharing_faults(of: Caching) -> list[Fault]:
    """A warning where more is written to the cache than can pay, even if every prompt seen before is read from it."""
    if not of.cacheable or of.repeats / of.cacheable >= BREAK_EVEN[of.ttl]:
        return []
    share, line = round(100 * of.repeats / of.cacheable), round(100 * BREAK_EVEN[of.ttl])
    said = (
        f"of {of.cacheable:,} system prompts to cache at most {share}% were in a request before; below about {line}%"
        f" caching for {of.ttl} costs more than it saves"
    )
    return [Fault("system_not_shared", said, Severity.WARNING, "params.system")]
