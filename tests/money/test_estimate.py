"""What an input will cost: every figure here was computed by hand."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.groups import RequestGroup, SampledLine, Stratum, stratum_floor
from batchctl.domain.prices import Forecast, ModelPrices, Prices, PriceTier
from batchctl.money.estimate import (
    Answered,
    Counted,
    Estimate,
    Range,
    SampledGroup,
    chosen,
    estimated,
    is_older,
    with_prefix_to_count,
)

DAY = date(2026, 11, 21)
# A token of input costs a dollar in real time, so that sums can be read.
MILLION = Decimal(1_000_000)


def prices(input_: str, read: str = "0.1", output: str = "5") -> Prices:
    one = Decimal(input_) * MILLION
    return Prices(
        input=one,
        write_5m=one * Decimal("1.25"),
        write_1h=one * 2,
        read=one * Decimal(read),
        output=one * Decimal(output),
    )


def tier(over: int = 0, times: int = 1, read: str = "0.1") -> PriceTier:
    return PriceTier(over=over, batch=prices(str(times / 2), read), real_time=prices(str(times), read))


def model_prices(*tiers: PriceTier, model: str = "m") -> ModelPrices:
    return ModelPrices(model=model, day=DAY, source="a list", tiers=tiers or (tier(),))


def request_group(requests: int = 10, each: int = 1000, **more: Any) -> RequestGroup:
    size = requests * each
    sampled = tuple(SampledLine(n + 1, n * each, each) for n in range(min(requests, 32)))
    given_: dict[str, Any] = {
        "digest": "d",
        "model": "m",
        "inference_geo": "global",
        "first_line": 1,
        "requests": requests,
        "bytes": size,
        "longest": each,
        "max_tokens": 100 * requests,
        "most_max_tokens": 100,
        "strata": (Stratum(least=stratum_floor(each), requests=requests, bytes=size, sampled=sampled),),
    }
    return RequestGroup(**{**given_, **more})


def estimate(
    *groups: SampledGroup, answers: Sequence[Answered] = (), why: str = "", **model_prices_list: ModelPrices | None
) -> Estimate:
    return estimated(groups, model_prices_list or {"m": model_prices()}, answers, day=DAY, why=why)


def amounts(of: Range[Decimal] | Forecast | None) -> tuple[Any, ...]:
    assert of is not None
    return of.low, of.expected, of.high


# ---------------------------------------------------------------- tokens of prompts


def test_where_every_request_was_counted_the_sum_is_known_but_for_what_the_api_calls_an_estimate() -> None:
    found = estimate(SampledGroup(group=request_group(10), points=(Counted(1000, 250),) * 10))
    assert found.models[0].input == Range(2450, 2500, 2550)
    assert found.how[0] == "input: 10 of 10 requests counted by the API"


POINTS = (Counted(1000, 240), Counted(1000, 250), Counted(1000, 250), Counted(1000, 260), Counted(1000, 250))


def test_what_was_not_counted_has_a_token_for_each_byte_at_most() -> None:
    (one,) = estimate(SampledGroup(group=request_group(100), points=POINTS)).models
    # Five were counted, 1,250 in all. The mean is 250; of the 95 others for low the worst, 4 % off, 2 % and a fifth of 25 %.
    assert one.input == Range(1225 + 21_204, 25_000, 1275 + 95_000)


@pytest.mark.parametrize("times", [1, 2, 20])
def test_a_few_that_were_counted_say_nothing_of_how_long_the_others_may_be(times: int) -> None:
    (one,) = estimate(SampledGroup(group=request_group(1000), points=POINTS * times)).models
    assert one.input.high == 1275 * times + 1000 * (1000 - 5 * times)


def test_what_was_not_counted_may_be_on_a_dearer_step_than_all_that_was() -> None:
    """Forty prompts of 75,000 tokens were counted; of the others each may have 300,000, at five times the price."""
    tiers = model_prices(tier(), tier(100_000, times=5))
    group = request_group(1000, each=300_000, max_tokens=0, most_max_tokens=0)
    found = estimate(SampledGroup(group=group, points=(Counted(300_000, 75_000),) * 40), m=tiers)
    assert amounts(found.real_time)[2] == 5 * (40 * 76_500 + 960 * 300_000)
    few = request_group(40, each=300_000, max_tokens=0, most_max_tokens=0)
    assert amounts(estimate(all_counted(few, 75_000), m=tiers).real_time)[2] == 40 * 76_500


def test_only_lengths_that_can_reach_a_dearer_step_are_priced_by_it() -> None:
    """90 of a thousand bytes, and one of 150,000, whose answers may be the longest."""
    tiers = model_prices(tier(), tier(100_000, times=5))
    strata = (Stratum(least=512, requests=90, bytes=90_000), Stratum(least=131_072, requests=1, bytes=150_000))
    group = request_group(91, bytes=240_000, longest=150_000, strata=strata, max_tokens=910, most_max_tokens=100)
    found = estimate(SampledGroup(group=group), m=tiers)
    # A token of an answer costs as much as five of a prompt.
    assert amounts(found.real_time)[2] == 90_000 + 5 * 150_000 + 5 * (910 - 100) + 25 * 100


def test_what_stands_before_the_messages_is_counted_once_with_all_that_the_api_adds() -> None:
    group = request_group(10, prefix_bytes=600, adds_prompt=True)
    counted = estimate(SampledGroup(group=group, prefix_tokens=500))
    assert counted.models[0].input.high == 10 * (510 + 400), "2 % more than was counted, and the bytes of the rest"
    uncounted = estimate(SampledGroup(group=group))
    assert uncounted.models[0].input.high == 10 * (1000 + 1000), "1,000 tokens are allowed for"


@pytest.mark.parametrize(
    ("more", "counted", "prefix", "is_bound", "said"),
    [
        ({}, 0, None, True, ""),
        ({}, 3, None, True, ""),
        ({"beyond_text": True}, 0, None, False, "documents"),
        ({"beyond_text": True}, 3, None, False, "documents"),
        ({"beyond_text": True}, 10, None, True, ""),
        ({"adds_prompt": True}, 0, None, False, "tools"),
        ({"adds_prompt": True}, 3, None, False, "tools"),
        ({"adds_prompt": True}, 3, 700, True, ""),
        ({"adds_prompt": True}, 10, None, True, ""),
        ({"adds_prompt": True, "beyond_text": True}, 3, 700, False, "documents"),
        ({"calls_servers": True}, 10, 700, False, "tools"),
    ],
)
def test_high_is_a_bound_or_says_that_it_is_none(
    more: dict[str, Any], counted: int, prefix: int | None, said: str, *, is_bound: bool
) -> None:
    known = SampledGroup(group=request_group(10, **more), points=(Counted(1000, 250),) * counted, prefix_tokens=prefix)
    found = estimate(known)
    assert found.forecast is not None
    assert found.forecast.is_bound is is_bound
    assert [one.partition(":")[0] for one in found.how if "high is not a bound" in one] == ([said] if said else [])


@given(st.data())
def test_whatever_is_counted_no_request_is_beyond_high(data: st.DataObject) -> None:
    """Each has a token for each of its bytes at most, and those that were counted are as long as the API said."""
    sizes = data.draw(st.lists(st.integers(100, 5000), min_size=1, max_size=20))
    tokens = [data.draw(st.integers(1, size)) for size in sizes]
    counted = data.draw(st.integers(0, len(sizes)))
    strata = tuple(
        Stratum(least=least, requests=len(own), bytes=sum(own))
        for least in sorted({stratum_floor(size) for size in sizes})
        if (own := [size for size in sizes if stratum_floor(size) == least])
    )
    group = request_group(len(sizes), bytes=sum(sizes), longest=max(sizes), strata=strata)
    points = tuple(map(Counted, sizes[:counted], tokens[:counted]))
    found = estimate(SampledGroup(group=group, points=points), m=model_prices(tier(), tier(100_000, times=5)))
    assert found.models[0].input.high >= sum(tokens)
    assert amounts(found.real_time)[2] >= sum(tokens) + 5 * group.max_tokens


def test_pictures_that_were_not_counted_weigh_what_those_did_that_were() -> None:
    group = request_group(1000, each=1_000_000, beyond_text=True)
    (one,) = estimate(SampledGroup(group=group, points=(Counted(1_000_000, 1600),) * 40, encoded=0.99)).models
    assert one.input.high == 1_632_000, "and not a million each"


def test_lengths_that_differ_are_weighed_by_a_line_through_what_was_counted() -> None:
    strata = (Stratum(least=512, requests=90, bytes=90 * 600), Stratum(least=4096, requests=10, bytes=10 * 5000))
    points = (Counted(600, 200), Counted(1000, 300), Counted(4000, 1050), Counted(5000, 1300))
    group = request_group(100, bytes=104_000, longest=5000, strata=strata)
    (one,) = estimate(SampledGroup(group=group, points=points)).models
    assert one.input.expected == 90 * 200 + 10 * 1300


def test_a_length_that_was_counted_often_is_believed_more_than_the_line() -> None:
    """Long ones here hold a picture each, which weighs what it weighs."""
    strata = (Stratum(least=512, requests=90, bytes=90 * 600), Stratum(least=65536, requests=10, bytes=10 * 90_000))
    points = (*(Counted(600, 200),) * 9, *(Counted(90_000, 1_700),) * 3, Counted(70_000, 1_700))
    group = request_group(100, bytes=954_000, longest=90_000, strata=strata)
    (one,) = estimate(SampledGroup(group=group, points=points)).models
    assert abs(one.input.expected - (90 * 200 + 10 * 1_700)) < 1000


def test_a_group_too_small_to_be_counted_is_weighed_like_others_of_its_model() -> None:
    small = request_group(2, digest="e")
    found = estimate(
        SampledGroup(group=request_group(10), points=(Counted(1000, 250),) * 10),
        SampledGroup(group=small),
    )
    # For high, by its bytes: nothing of it was counted.
    assert found.models[0].input == Range(2450 + 375, 2500 + 500, 2550 + 2000)


@pytest.mark.parametrize(
    ("model", "encoded", "tokens"),
    [
        ("claude-opus-4-6", 0.0, Range(1250, 2500, 10_000)),
        ("claude-opus-4-7", 0.0, Range(1250, 3333, 10_000)),
        ("claude-mythos-preview", 0.0, Range(1250, 3333, 10_000)),
        ("claude-opus-4-6", 0.5, Range(625, 1300, 10_000)),
    ],
)
def test_from_bytes_alone(model: str, encoded: float, tokens: Range[int]) -> None:
    known = SampledGroup(group=request_group(10, model=model), encoded=encoded)
    found = estimate(known, why="no API key was found")
    assert found.models[0].input == tokens
    assert found.how[:2] == ("input: from bytes only, at 1 to 8 bytes per token", "not counted: no API key was found")


@pytest.mark.parametrize("model", ["claude-3-5-haiku-20241022", "claude-opus-4-5-20251101", "claude-sonnet-4-6"])
def test_models_before_4_7_have_another_tokenizer(model: str) -> None:
    assert is_older(model)
    assert not is_older("claude-haiku-5-5")


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 40_000)), min_size=1, max_size=30))
def test_whatever_was_counted_low_is_at_most_expected_and_that_at_most_high(pairs: list[tuple[int, int]]) -> None:
    points = tuple(Counted(size, tokens) for size, tokens in pairs)
    sizes = [size for size, _ in pairs]
    strata = tuple(
        Stratum(least=least, requests=len(own), bytes=sum(own))
        for least in sorted({stratum_floor(size) for size in sizes})
        if (own := [size for size in sizes if stratum_floor(size) == least])
    )
    group = request_group(len(sizes), bytes=sum(sizes), longest=max(sizes), strata=strata)
    (one,) = estimate(SampledGroup(group=group, points=points)).models
    assert 0 <= one.input.low <= one.input.expected <= one.input.high
    for costs in (one.batch, one.real_time):
        low, expected, high = amounts(costs)
        assert 0 <= low <= expected <= high


# ---------------------------------------------------------------- tokens of answers


def test_without_earlier_answers_the_middle_is_an_assumption_and_says_so() -> None:
    found = estimate(SampledGroup(group=request_group(10)))
    assert found.models[0].output == Range(10, 250, 1000)
    assert any("assumed" in said for said in found.how)
    assert estimate(SampledGroup(group=request_group(10, max_tokens=10))).models[0].output == Range(10, 10, 10)


def test_earlier_answers_say_what_to_expect_and_never_how_long_one_may_get() -> None:
    answers = [Answered(model="claude-haiku-4-5-20251001", requests=n, output_tokens=30 * n) for n in (60, 40)]
    found = estimate(SampledGroup(group=request_group(10, model="claude-haiku-4-5")), answers=answers)
    # A tenth, and one in the root of a hundred answers.
    assert found.models[0].output == Range(240, 300, 1000)
    assert "output: like 100 earlier answers, 30 tokens each; high is max_tokens" in found.how
    others = [replace(one, model="claude-haiku-5-5") for one in answers]
    assert (
        estimate(SampledGroup(group=request_group(10, model="claude-haiku-4-5")), answers=others)
        .models[0]
        .output.expected
        == 250
    )


# ---------------------------------------------------------------- money


def all_counted(group: RequestGroup, tokens: int, **more: Any) -> SampledGroup:
    """Each request has so many tokens, and each was counted."""
    return SampledGroup(group=group, points=(Counted(group.longest, tokens),) * group.requests, **more)


def test_cost_is_tokens_times_prices_in_both_lanes() -> None:
    found = estimate(all_counted(request_group(10), 100))
    # 980, 1,000 and 1,020 of input; 10, 250 and 1,000 of output, five times as dear.
    assert amounts(found.real_time) == (980 + 50, 1000 + 1250, 1020 + 5000)
    assert amounts(found.forecast) == (515, 1125, 3010)
    assert (found.sources, found.day) == (("a list",), DAY)


@pytest.mark.parametrize(
    ("geo", "low", "high"), [("global", "1", "1"), ("us", "1.1", "1.1"), ("", "1", "1.1"), ("of tomorrow", "1", "1.1")]
)
def test_where_it_runs_may_cost_a_tenth_more_and_does_where_nothing_is_said(geo: str, low: str, high: str) -> None:
    found = amounts(estimate(all_counted(request_group(10, inference_geo=geo), 100)).real_time)
    assert found == (1030 * Decimal(low), 2250 * Decimal(low), 6020 * Decimal(high))


def test_the_mean_decides_the_step_and_the_longest_that_of_high() -> None:
    tiers = model_prices(tier(), tier(100_000, times=5))
    exact = estimate(all_counted(request_group(2, each=400_000), 100_000), m=tiers)
    assert amounts(exact.real_time) == (196_000 + 10, 200_000 + 250, 5 * (204_000 + 1000)), (
        "2 % more are above the step"
    )
    over = estimate(all_counted(request_group(2, each=400_000), 110_000), m=tiers)
    assert amounts(over.real_time)[1] == 5 * (220_000 + 250)


def test_a_model_without_a_price_makes_the_cost_unknown_and_not_nothing() -> None:
    found = estimate(
        all_counted(request_group(10), 100),
        all_counted(request_group(1, model="n", digest="e"), 100),
        m=model_prices(),
        n=None,
    )
    assert (found.forecast, found.real_time, found.unpriced) == (None, None, ("n",))
    assert [one.batch is None for one in found.models] == [False, True]
    assert found.models[1].input.expected == 100


# ---------------------------------------------------------------- caches

# Ten answers of one token each: 25 dollars in a batch.
SHARED: dict[str, Any] = {"prefix_bytes": 600, "max_tokens": 10}


def test_what_is_shared_is_priced_at_each_share_of_reads_and_the_line_is_drawn_exactly() -> None:
    found = estimate(all_counted(request_group(10, **SHARED), 1000, prefix_tokens=600))
    long, short = found.caches
    assert (long.ttl, long.prefix_tokens, long.without) == ("1h", 6000, Decimal(5000))
    # In batches, a token is half a dollar: 4,000 that are not shared, and of 6,000 shared 7 tenths read.
    assert dict(long.rows)[Decimal("0.7")] == Decimal(2000) + 1800 * 1 + 4200 * Decimal("0.05")
    assert dict(long.rows)[Decimal(0)] == Decimal(2000) + 6000 * 1
    # One of ten writes, the others read.
    assert (long.primed, short.primed) == (Decimal(2000) + 600 * 1 + 5400 * Decimal("0.05"), None)
    assert dict(short.rows)[Decimal("0.7")] == Decimal(2000) + 1800 * Decimal("0.625") + 4200 * Decimal("0.05")
    assert Fraction(long.break_even).limit_denominator(100) == Fraction(10, 19)
    assert Fraction(short.break_even).limit_denominator(100) == Fraction(5, 23)
    assert not long.is_there


@pytest.mark.parametrize(
    ("read", "long", "short"), [("0.05", "1/1.95", "0.25/1.2"), ("0.025", "1/1.975", "0.25/1.225")]
)
def test_where_reads_cost_less_the_line_is_lower(read: str, long: str, short: str) -> None:
    found = estimate(all_counted(request_group(10, **SHARED), 1000, prefix_tokens=600), m=model_prices(tier(read=read)))
    for one, said in zip(found.caches, (long, short), strict=True):
        over, under = map(Decimal, said.split("/"))
        assert round(one.break_even, 10) == round(over / under, 10)


@pytest.mark.parametrize(
    ("more", "prefix"), [({"prefix_bytes": 0}, 600), ({"requests": 1}, 600), ({"digest": ""}, 600), ({}, 511)]
)
def test_what_is_not_shared_or_too_short_has_no_cache_to_speak_of(more: dict[str, Any], prefix: int) -> None:
    group = request_group(**{**SHARED, **more})
    assert estimate(all_counted(group, 1000, prefix_tokens=prefix)).caches == ()


def test_a_cache_that_is_asked_for_counts_from_its_best_to_its_worst() -> None:
    found = estimate(all_counted(request_group(10, **SHARED, ttl="1h", breakpoints=1), 1000, prefix_tokens=600))
    low, expected, high = amounts(found.forecast)
    # All read of 9,800 tokens that are 6,000 shared; none read; and all 6,120 written, of 10,200.
    assert low == (3800 + 6000 * Decimal("0.1")) / 2 + 25
    assert expected == (4000 + 6000 * 2) / Decimal(2) + 25
    assert high == (4080 + 6120 * 2) / Decimal(2) + 25
    assert found.caches[0].is_there
    assert any(said.startswith("cache_control: none of the shared prompts") for said in found.how)


def test_a_cache_that_is_primed_is_read_by_all_but_one() -> None:
    primed = request_group(10, **SHARED, ttl="1h", breakpoints=1, is_primed=True)
    found = estimate(all_counted(primed, 1000, prefix_tokens=600))
    _, expected, high = amounts(found.forecast)
    assert expected == (4000 + 600 * 2 + 5400 * Decimal("0.1")) / 2 + 25
    # A bound holds where nobody reads it, too.
    assert high == (4080 + 6120 * 2) / Decimal(2) + 25
    assert any(said.startswith("cache_control: all but the first request") for said in found.how)


def test_a_mark_in_the_messages_may_write_all_of_a_prompt() -> None:
    marked = request_group(10, **SHARED, ttl="5m", breakpoints=1, marks_messages=True)
    _, _, high = amounts(estimate(all_counted(marked, 1000, prefix_tokens=600)).forecast)
    assert high == 10_200 * Decimal("0.625") + 25


@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_low_is_not_above_what_it_comes_to_whatever_is_read_of_several_marks(ttl: str) -> None:
    """One for 1 hour on what is shared and one for 5 minutes in the messages: all of a prompt may be read."""
    marked = request_group(10, **SHARED, ttl=ttl, breakpoints=2, marks_messages=True)
    low, expected, _ = amounts(estimate(all_counted(marked, 1000, prefix_tokens=600)).forecast)
    read_all = 9_800 * Decimal("0.05") + 25
    written_once = (1000 * Decimal("0.625") + 9000 * Decimal("0.05")) + 25
    assert low == read_all <= written_once
    assert low <= expected


@pytest.mark.parametrize("ttl", ["5m", "1h"])
@pytest.mark.parametrize("dearest", ["input", "write_5m", "write_1h", "read"])
@pytest.mark.parametrize("marks_messages", [True, False])
def test_whichever_class_is_the_dearest_what_may_be_cached_comes_to_no_more_than_high(
    dearest: str, ttl: str, *, marks_messages: bool
) -> None:
    """A list of private prices may have any of them dearer than the others."""
    classes = ("input", "write_5m", "write_1h", "read")
    one = Prices(**{name: MILLION * (9 if name == dearest else 1) for name in classes}, output=MILLION)
    marked = request_group(10, **SHARED, ttl=ttl, breakpoints=1, marks_messages=marks_messages)
    found = estimate(
        all_counted(marked, 1000, prefix_tokens=600), m=model_prices(PriceTier(over=0, batch=one, real_time=one))
    )
    low, expected, high = amounts(found.forecast)
    own = 0 if marks_messages else 4080
    is_possible = dearest != "write_1h" or ttl == "1h"
    assert high == (10_200 - own) * (9 if is_possible else 1) + own * (9 if dearest == "input" else 1) + 10
    assert low <= expected <= high
    assert low < high


def test_a_mark_on_too_little_is_said_to_do_nothing() -> None:
    found = estimate(all_counted(request_group(10, **SHARED, ttl="1h", breakpoints=1), 1000, prefix_tokens=400))
    assert amounts(found.forecast)[1] == 5000 + 25
    assert not any(said.startswith("cache_control") for said in found.how)
    said = "10 requests have cache_control on 400 tokens; no model caches less than 512: too short to be cached"
    assert [one.text for one in found.advice] == [said]


def test_the_minimum_is_that_of_the_model() -> None:
    group = request_group(10, **SHARED, ttl="1h", breakpoints=1, model="claude-opus-4-7")
    model_prices_list = {"claude-opus-4-7": model_prices()}
    below, above = (
        estimated([all_counted(group, 3000, prefix_tokens=n)], model_prices_list, [], day=DAY, why="")
        for n in (2047, 2048)
    )
    assert (below.caches, amounts(below.forecast)[1]) == ((), 15_000 + 25)
    assert above.caches
    assert amounts(above.forecast)[1] != 15_000 + 25


def test_what_the_api_runs_itself_is_said_to_be_missing() -> None:
    assert any(
        said.startswith("tools: ") for said in estimate(SampledGroup(group=request_group(calls_servers=True))).how
    )


# ---------------------------------------------------------------- which lines to count


def test_lines_are_chosen_where_the_bytes_are_and_no_more_than_are_there() -> None:
    big, small = request_group(100, each=3000), request_group(3, each=1000, digest="e")
    lines = chosen([big, small], 20)
    assert [len(one) for one in lines] == [20, 0]
    assert len({one.line for one in lines[0]}) == 20
    assert [len(one) for one in chosen([big, small], 1000)] == [32, 3]
    assert chosen([], 40) == []


def test_two_calls_for_a_beginning_are_made_where_they_are_worth_it() -> None:
    request_groups = [
        request_group(10, prefix_bytes=2000),
        request_group(10, prefix_bytes=999),
        request_group(99, prefix_bytes=2000),
        request_group(10, prefix_bytes=0),
        request_group(10, prefix_bytes=9000, digest=""),
    ]
    assert with_prefix_to_count(request_groups, 40) == [2, 0]
    assert with_prefix_to_count(request_groups, 8) == [2]
    assert with_prefix_to_count(request_groups, 7) == []


def test_a_prompt_that_the_api_adds_is_counted_first_and_for_more_groups() -> None:
    tools = [request_group(10, prefix_bytes=n, adds_prompt=True) for n in (0, 50, 20)]
    request_groups = [
        request_group(10, prefix_bytes=9000),
        *tools,
        request_group(1, adds_prompt=True),
        request_group(9, adds_prompt=True, digest=""),
    ]
    assert with_prefix_to_count(request_groups, 40) == [2, 3, 1, 0]
    assert with_prefix_to_count(request_groups, 12) == [2, 3, 1]
    assert with_prefix_to_count(request_groups, 8) == [2, 3]
