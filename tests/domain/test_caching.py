"""Where `cache_control` can be added to a system prompt, and when it cannot pay."""

from typing import Any

import pytest

from batchctl.domain.caching import (
    BREAK_EVEN,
    CONTROL,
    Caching,
    ShortPrefixes,
    SkipReason,
    least_tokens,
    sharing_faults,
    skip_reason,
    too_short,
)
from batchctl.domain.faults import Severity
from batchctl.domain.limits import CACHE_TTLS

HOUR, MINUTES = {"type": "ephemeral", "ttl": "1h"}, {"type": "ephemeral"}


def block(mark: Any = None, text: str = "x", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **({"cache_control": mark} if mark else {}), **more}


def said(*blocks: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(blocks)}]


# params, and why they are left for 5m and for 1h (None: they are changed)
CASES: list[tuple[dict[str, Any], SkipReason | None, SkipReason | None]] = [
    ({"system": "x"}, None, None),
    ({"system": [block()]}, None, None),
    ({"system": [block(), block()]}, None, None),
    ({"system": [{"type": "new", "of": "a kind to come"}]}, None, None),
    ({}, SkipReason.NO_SYSTEM, SkipReason.NO_SYSTEM),
    ({"system": None}, SkipReason.NO_SYSTEM, SkipReason.NO_SYSTEM),
    ({"system": ""}, SkipReason.NO_SYSTEM, SkipReason.NO_SYSTEM),
    ({"system": " \n"}, SkipReason.NO_SYSTEM, SkipReason.NO_SYSTEM),
    ({"system": []}, SkipReason.NO_SYSTEM, SkipReason.NO_SYSTEM),
    ({"system": ["x"]}, SkipReason.NO_SYSTEM, SkipReason.NO_SYSTEM),
    ({"system": [{}]}, SkipReason.NO_SYSTEM, SkipReason.NO_SYSTEM),
    ({"system": [block(), block(text="")]}, SkipReason.NO_SYSTEM, SkipReason.NO_SYSTEM),
    ({"system": block()}, SkipReason.NO_SYSTEM, SkipReason.NO_SYSTEM),
    ({"system": 5}, SkipReason.NO_SYSTEM, SkipReason.NO_SYSTEM),
    ({"system": [block(HOUR)]}, SkipReason.HAS_ONE, SkipReason.HAS_ONE),
    ({"system": [block(), block(MINUTES)]}, SkipReason.HAS_ONE, SkipReason.HAS_ONE),
    ({"system": [block(cache_control=None)]}, SkipReason.ODD, SkipReason.ODD),
    # The API takes them in the order tools, system, messages, and no 1h after a 5m.
    ({"system": [block(MINUTES), block()]}, None, SkipReason.ORDER),
    ({"system": [block(HOUR), block()]}, None, None),
    ({"system": "x", "tools": [block(MINUTES)]}, None, SkipReason.ORDER),
    ({"system": "x", "tools": [block(HOUR)]}, None, None),
    ({"system": "x", "messages": said(block(HOUR))}, SkipReason.ORDER, None),
    ({"system": "x", "messages": said(block(MINUTES))}, None, None),
    ({"system": "x", "messages": said({"type": "tool_result", "content": [block(HOUR)]})}, SkipReason.ORDER, None),
    ({"system": "x", "cache_control": HOUR}, SkipReason.ORDER, None),
    ({"system": "x", "cache_control": {"type": "ephemeral", "ttl": "5m"}}, None, None),
    ({"system": "x", "messages": said(*[block(MINUTES)] * 3)}, None, None),
    ({"system": "x", "messages": said(*[block(MINUTES)] * 4)}, SkipReason.FULL, SkipReason.FULL),
    (
        {"system": "x", "messages": said(*[block(MINUTES)] * 3), "cache_control": MINUTES},
        SkipReason.FULL,
        SkipReason.FULL,
    ),
    ({"system": "x", "tools": [block(HOUR)] * 4}, SkipReason.FULL, SkipReason.FULL),
    # Whatever is of another shape is no breakpoint, and no crash.
    ({"system": "x", "messages": "hello", "tools": {"a": 1}, "cache_control": "yes"}, None, None),
    ({"system": "x", "messages": [5, {"content": "hello"}, {"content": [7]}, {}], "tools": [None]}, None, None),
    ({"system": "x", "tools": [{"input_schema": {"cache_control": HOUR}}]}, None, None),
]


@pytest.mark.parametrize(("params", "short", "long"), CASES)
def test_a_request_is_left_where_a_breakpoint_cannot_be_added(
    params: dict[str, Any], short: SkipReason | None, long: SkipReason | None
) -> None:
    assert (skip_reason(params, "5m"), skip_reason(params, "1h")) == (short, long)


@pytest.mark.parametrize(
    ("model", "least"),
    [
        ("claude-haiku-4-5", 4096),
        ("claude-haiku-4-5-20251001", 4096),
        ("claude-opus-4-7", 2048),
        ("claude-sonnet-5", 1024),
        ("claude-opus-5", 512),
        # A number more is another model, of which nothing is documented.
        ("claude-opus-5-5", None),
        ("claude-sonnet-5-5", None),
        ("claude-fable-5-1", None),
        ("house-model", None),
        ("", None),
    ],
)
def test_how_short_a_prefix_may_be_is_known_of_some_models(model: str, least: int | None) -> None:
    assert least_tokens(model) == least


@pytest.mark.parametrize(
    ("model", "size", "short"),
    [
        ("claude-haiku-4-5", 4095, True),
        ("claude-haiku-4-5", 4096, False),
        ("claude-opus-5", 511, True),
        ("claude-opus-5-5", 1, False),
    ],
)
def test_only_what_surely_does_not_reach_is_called_short(model: str, size: int, *, short: bool) -> None:
    assert too_short(model, size) is short


def caching(ttl: str, requests: int, repeats: int, short: int = 0) -> Caching:
    few = {"claude-haiku-4-5": ShortPrefixes(requests=short, tokens=1, least=4096)} if short else {}
    return Caching(ttl=ttl, requests=requests, first_line=1, repeats=repeats, short=few)


@pytest.mark.parametrize(
    ("of", "warned"),
    [
        (caching("1h", 1, 0), True),
        (caching("1h", 100, 99), False),
        (caching("1h", 100, 53), False),
        (caching("1h", 100, 52), True),
        (caching("5m", 100, 22), False),
        (caching("5m", 100, 21), True),
        (caching("1h", 0, 0), False),
        # What the API does not cache costs nothing.
        (caching("1h", 100, 0, short=100), False),
        (caching("1h", 100, 10, short=90), False),
        (caching("1h", 100, 10, short=80), True),
    ],
)
def test_prompts_that_are_mostly_new_are_a_warning(of: Caching, *, warned: bool) -> None:
    found = sharing_faults(of)
    assert [(fault.code, fault.severity) for fault in found] == [("system_not_shared", Severity.WARNING)] * warned


def test_the_line_is_where_writes_and_reads_cost_as_much_as_neither() -> None:
    for ttl, write in (("5m", 1.25), ("1h", 2.0)):
        share = BREAK_EVEN[ttl]
        assert write * (1 - share) + 0.1 * share == pytest.approx(1, abs=0.01)


def test_the_options_values_are_those_that_can_be_written() -> None:
    assert set(CACHE_TTLS) == set(CONTROL) == set(BREAK_EVEN)
