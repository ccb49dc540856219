"""Which prompts are worth a cache that is written first, whether that still lives, and whether it is read."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from builders import MINUTE, NOW

from batchctl.domain.groups import RequestGroup
from batchctl.domain.prices import Usage, UsageTotals
from batchctl.engine.first_batch_rules import MAX_FIRST_BATCHES
from batchctl.engine.prime_rules import (
    LEAST_LEFT,
    MEASURED,
    PrimeStep,
    as_primed,
    hit_rate,
    is_worth_priming,
    prime_step,
    time_left,
)

MANY = MEASURED + 1


def a_group(**more: Any) -> RequestGroup:
    given: dict[str, Any] = {"digest": "d", "model": "claude-haiku-5-5", "first_line": 1, "requests": 3, "bytes": 9_000}
    sizes = {"longest": 3_000, "max_tokens": 30, "most_max_tokens": 10, "prefix_bytes": 4 * 512}
    return RequestGroup(**{**given, **sizes, **more})


@pytest.mark.parametrize(
    ("group", "worth"),
    [
        ({}, True),
        ({"ttl": "1h", "breakpoints": 1}, True),
        # It would have to be written again every 5 minutes.
        ({"ttl": "5m", "breakpoints": 1}, False),
        # Two pay for a write and a read: more than for both without a cache.
        ({"requests": 2}, False),
        ({"prefix_bytes": 4 * 512 - 1}, False),
        ({"model": "claude-haiku-4-5"}, False),
        ({"model": "claude-haiku-4-5", "prefix_bytes": 4 * 4096}, True),
        # Of a model of which nothing is documented, the shortest minimum of all is assumed.
        ({"model": "claude-new-9"}, True),
        # Requests that were put together share no prompt.
        ({"digest": ""}, False),
    ],
)
def test_a_prompt_is_cached_first_where_it_is_long_and_shared(group: dict[str, Any], worth: object) -> None:
    assert is_worth_priming(a_group(**group)) is worth


def test_an_estimate_knows_the_breakpoint_that_is_added() -> None:
    assert as_primed(a_group()).ttl == "1h"
    assert as_primed(a_group()).is_primed
    assert as_primed(a_group(ttl="1h", breakpoints=3)) == a_group(ttl="1h", breakpoints=3, is_primed=True)
    few = a_group(requests=2)
    assert as_primed(few) is few


def test_a_cache_lives_an_hour_from_when_its_batch_was_created() -> None:
    assert time_left(NOW, NOW + 50 * MINUTE) == 10 * MINUTE
    assert time_left(NOW, NOW + 70 * MINUTE) == -10 * MINUTE
    assert time_left(None, NOW) is time_left(NOW, None) is None


@pytest.mark.parametrize(
    ("usage", "percent"),
    [
        ({"read_tokens": 3, "write_1h_tokens": 1, "input_tokens": 99}, Decimal(75)),
        ({"write_1h_tokens": 1}, Decimal(0)),
        ({"read_tokens": 1, "write_5m_tokens": 1}, Decimal(50)),
        ({"input_tokens": 99}, None),
    ],
)
def test_the_hit_rate_is_what_was_read_of_what_was_cached(usage: dict[str, int], percent: Decimal | None) -> None:
    assert hit_rate([UsageTotals(model="m", requests=1, usage=Usage(**usage))]) == percent


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ({}, PrimeStep.MEASURE),
        ({"rest": 0}, PrimeStep.GO),
        ({"rest": MEASURED}, PrimeStep.GO),
        ({"min_hit": 0}, PrimeStep.GO),
        ({"min_hit": 0, "left": timedelta()}, PrimeStep.GO),
        ({"is_measured": True, "hit": Decimal(50)}, PrimeStep.GO),
        ({"is_measured": True, "hit": Decimal("49.9")}, PrimeStep.HOLD_UNREAD),
        ({"is_measured": True, "hit": None}, PrimeStep.HOLD_UNREAD),
        ({"is_measured": True, "hit": Decimal(0), "rest": 0}, PrimeStep.GO),
        ({"left": LEAST_LEFT}, PrimeStep.MEASURE),
        ({"left": LEAST_LEFT - MINUTE}, PrimeStep.AGAIN),
        ({"left": -MINUTE, "first_batches": MAX_FIRST_BATCHES}, PrimeStep.HOLD_LATE),
        # What is not known is no reason to write it again: the measure tells.
        ({"left": None}, PrimeStep.MEASURE),
        ({"is_measured": True, "hit": Decimal(90), "left": MINUTE}, PrimeStep.AGAIN),
        ({"is_measured": True, "hit": Decimal(0), "left": MINUTE}, PrimeStep.HOLD_UNREAD),
    ],
)
def test_what_follows_a_first_batch(state: dict[str, Any], step: PrimeStep) -> None:
    usual: dict[str, Any] = {"min_hit": 50, "first_batches": 1, "is_measured": False, "hit": None, "left": None}
    assert prime_step(**{**usual, "rest": MANY, **state}) is step
