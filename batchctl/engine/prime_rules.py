"""The rules of a primed cache (pure): which prompts are worth it, whether what was written still lives, and whether it is read.

In a batch a cache is shared badly: the requests that begin alike run at the same time, and each writes what it finds nowhere. What a
batch wrote is read by later batches, for an hour from the start of the request that wrote it (prompt caching page of the API's
documentation; ten live batches in Bike4Mind/bike4mind#2741: 0 % read cold, 100 % after a small batch; anthropics/skills#1475).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from batchctl.domain.caching import BYTES_PER_TOKEN, LONG, MIN_CACHED_TOKENS, least_tokens
from batchctl.domain.groups import RequestGroup
from batchctl.domain.prices import UsageTotals
from batchctl.engine.first_batch_rules import MAX_FIRST_BATCHES

# Of n requests one writes at twice the price and the others read for a tenth: from 3 on that costs less than no cache.
MIN_SHARING = 3
LIFETIME = timedelta(hours=1)
# With less of the hour left, requests that wait in the API's queue may come too late.
LEAST_LEFT = timedelta(minutes=10)
# The requests that show how much is read, before all others are sent.
MEASURED = 1_000


class PrimeStep(StrEnum):
    """What follows once the first batch has ended."""

    AGAIN = "again"  # write the cache once more
    MEASURE = "measure"  # send a few requests, which show how much is read
    GO = "go"  # send the others
    HOLD_LATE = "hold: late"  # what was written does not live long enough, each time
    HOLD_UNREAD = "hold: unread"  # too little was read


def is_worth_priming(group: RequestGroup) -> bool:
    """Return whether requests share a prompt that is long enough for their model to cache, and are enough to pay for it.

    A group that keeps its cache for 5 minutes by itself is left as it is.
    """
    least = least_tokens(group.model) or MIN_CACHED_TOKENS
    is_long = group.prefix_bytes >= least * BYTES_PER_TOKEN
    return bool(group.digest) and is_long and group.requests >= MIN_SHARING and group.ttl in {"", LONG}


def as_primed(group: RequestGroup) -> RequestGroup:
    """Return a group as it is sent: with a breakpoint for 1 hour that is read, where it is worth it."""
    if not is_worth_priming(group):
        return group
    return replace(group, ttl=LONG, breakpoints=max(1, group.breakpoints), is_primed=True)


def time_left(written_from: datetime | None, now: datetime | None) -> timedelta | None:
    """Return how long a cache lives at least; None where that is not known.

    Args:
        written_from: When the batch that wrote or read it last was created: none of its requests started earlier.
        now: The time by the same clock, which is the API's.
    """
    return None if written_from is None or now is None else written_from + LIFETIME - now


def hit_rate(usage_totals: Sequence[UsageTotals]) -> Decimal | None:
    """Return the percentage of the cached tokens that were read and not written; None where there are none."""
    cached = sum(one.usage.cached_tokens for one in usage_totals)
    return Decimal(100 * sum(one.usage.read_tokens for one in usage_totals)) / cached if cached else None


def prime_step(
    *, min_hit: int, first_batches: int, is_measured: bool, hit: Decimal | None, left: timedelta | None, rest: int
) -> PrimeStep:
    """Return what follows once nothing is under way.

    Args:
        min_hit: The percentage that is to be read; at 0 the others are sent whatever is read.
        first_batches: How many batches have written the cache.
        is_measured: Whether requests were sent that show how much is read; `hit` is how much that was.
        hit: None where the API cached nothing.
        left: How long the cache lives, None where that is not known.
        rest: Requests that are still to be sent and share the prompts.
    """
    if not min_hit or not rest:
        return PrimeStep.GO
    if is_measured and (hit or 0) < min_hit:
        return PrimeStep.HOLD_UNREAD
    if left is not None and left < LEAST_LEFT:
        return PrimeStep.AGAIN if first_batches < MAX_FIRST_BATCHES else PrimeStep.HOLD_LATE
    return PrimeStep.GO if is_measured or rest <= MEASURED else PrimeStep.MEASURE
