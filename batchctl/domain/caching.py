"""`cache_control` on a system prompt: when it can be added, when the API ignores it, and when it costs more than it saves.

A breakpoint caches everything before it, in the order tools, system, messages (prompt caching page of the API's
documentation, which is the source of the rules here).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from batchctl.domain.faults import Fault, Severity
from batchctl.domain.prices import Prices

MAX_BREAKPOINTS = 4
SHORT, LONG = "5m", "1h"
# Without a `ttl` the API assumes 5 minutes. Neither needs a beta header.
CONTROL = {SHORT: b'{"type":"ephemeral"}', LONG: b'{"type":"ephemeral","ttl":"1h"}'}

# Hit rates: the share of the tokens to be cached that is read from the cache. The documentation reports 30 to 98 % (batch
# processing page), users report 0 in a batch whose prompts no earlier batch cached (Bike4Mind/bike4mind#2741).
HIT_RATES = tuple(map(Decimal, ("0", "0.3", "0.5", "0.7", "0.9", "0.98")))
# In such a batch the rate is not known: nothing is expected to be read.
COLD_HIT_RATE = HIT_RATES[0]

# A write costs 1.25 times (5m) or twice (1h) the price of input, a read from the cache a tenth of it. Below these hit rates
# a cache costs more than none. For models whose reads cost less they are a little lower.
BREAK_EVEN = {SHORT: 0.22, LONG: 0.53}

# The API does not cache shorter prefixes and does not say so; in tokens (prompt caching page, August 2026, and release
# notes). For other models nothing is documented.
MIN_TOKENS: Mapping[str, int] = {
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
MIN_CACHED_TOKENS = min(MIN_TOKENS.values())
BYTES_PER_TOKEN = 4
# The densest text has one byte to a token: a prefix that is too short even so is certainly too short.
MIN_BYTES_PER_TOKEN = 1


class SkipReason(StrEnum):
    """Why no `cache_control` is added to a request. The values continue the sentence "N requests left ..."."""

    NO_SYSTEM = "without a system prompt"
    HAS_ONE = "with cache_control on it already"
    FULL = "with 4 breakpoints, which is the most"
    ORDER = "with a breakpoint for 5m before one for 1h, which the API refuses"
    ODD = "with a key that stands twice, or is null"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortPrefixes:
    """System prompts that are certainly too short for their model to cache.

    Attributes:
        requests: How many requests have one.
        tokens: The longest of them, estimated from its bytes.
        least: The shortest prefix that the model caches, in tokens.
    """

    requests: int
    tokens: int
    least: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Caching:
    """What adding `cache_control` to an input did.

    Attributes:
        requests: Requests that hold one now; `first_line` is the first of them.
        repeats: Those long enough whose prefix stood in an earlier request, so that it may be read from a cache.
        left: Requests that were left as they were, by the reason.
        short: Prefixes that are too short, by model.
    """

    ttl: str
    requests: int
    first_line: int
    repeats: int
    left: Mapping[SkipReason, int] = field(default_factory=dict)
    short: Mapping[str, ShortPrefixes] = field(default_factory=dict)

    @property
    def cacheable(self) -> int:
        """Requests with `cache_control` whose prefix is not certainly too short."""
        return self.requests - sum(one.requests for one in self.short.values())


def skip_reason(params: Mapping[str, Any], ttl: str) -> SkipReason | None:
    """Return why no `cache_control` can be added at the end of the system prompt, None where it can."""
    last = _last_block(params.get("system"))
    # An empty text cannot be cached.
    if not last or (last.get("type") == "text" and not str(last.get("text", "")).strip()):
        return SkipReason.NO_SYSTEM
    if "cache_control" in last:
        return SkipReason.HAS_ONE if last["cache_control"] else SkipReason.ODD
    before, after = list(ttls_before(params)), list(ttls_after(params))
    if len(before) + len(after) >= MAX_BREAKPOINTS:
        return SkipReason.FULL
    # The API: "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block".
    is_late = ttl == LONG and SHORT in before
    is_early = ttl == SHORT and LONG in after
    return SkipReason.ORDER if is_late or is_early else None


def _last_block(system: object) -> dict[str, Any]:
    """The last block of a system prompt, empty where there is none. A prompt that is text is one block."""
    if isinstance(system, str):
        return {"type": "text", "text": system}
    last = system[-1] if isinstance(system, list) and system else None
    return last if isinstance(last, dict) else {}


def ttls_before(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ttl of each breakpoint up to the end of the system prompt."""
    yield from _ttls(params.get("tools"))
    yield from _ttls(params.get("system"))


def ttls_after(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ttl of each breakpoint behind the system prompt. One for the whole request counts as the last."""
    messages = params.get("messages")
    for message in messages if isinstance(messages, list) else ():
        yield from _ttls(message.get("content") if isinstance(message, dict) else None)
    yield from _ttls([{"cache_control": params.get("cache_control")}])


def _ttls(blocks: object) -> Iterator[str]:
    """The ttl of each breakpoint, also of blocks within blocks, as in the result of a tool."""
    for block in blocks if isinstance(blocks, list) else ():
        if not isinstance(block, dict):
            continue
        yield from _ttls(block.get("content"))
        if mark := block.get("cache_control"):
            yield str(mark.get("ttl") or SHORT) if isinstance(mark, dict) else SHORT


def pays_from(ttl: str, cached: Iterable[tuple[int, Prices]]) -> Decimal:
    """Return the hit rate from which on a cache costs less than none, 1 where it never does.

    `cached`: for each group of requests the tokens to be cached and the prices.
    """
    more = saved = Decimal(0)
    for tokens, prices in cached:
        write = prices.write_1h if ttl == LONG else prices.write_5m
        more += tokens * (write - prices.input)
        saved += tokens * (write - prices.read)
    return more / saved if saved > 0 else Decimal(1)


def least_tokens(model: str) -> int | None:
    """Return the shortest prefix in tokens that a model (by its id or an alias) caches, None where that is not documented."""
    return MIN_TOKENS.get(re.sub(r"-\d{8}$", "", model))


def too_short(model: str, prefix_bytes: int) -> bool:
    """Return whether a prefix is certainly too short for the model to cache."""
    least = least_tokens(model)
    return least is not None and prefix_bytes < least * MIN_BYTES_PER_TOKEN


def sharing_faults(caching: Caching) -> list[Fault]:
    """Return a warning where a cache costs more than it saves even if every repeated prompt is read from it."""
    if not caching.cacheable or caching.repeats / caching.cacheable >= BREAK_EVEN[caching.ttl]:
        return []
    share, line = round(100 * caching.repeats / caching.cacheable), round(100 * BREAK_EVEN[caching.ttl])
    text = (
        f"at most {share}% of {caching.cacheable:,} system prompts repeat an earlier one; below about {line}%,"
        f" caching for {caching.ttl} costs more than it saves"
    )
    return [Fault("system_not_shared", text, Severity.WARNING, "params.system")]
