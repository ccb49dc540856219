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

from batchctl.domain.estimating import (
    Answered,
    Counted,
    Estimate,
    Known,
    Range,
    chosen,
    estimated,
    is_older,
    with_prefix_to_count,
)
from batchctl.domain.money import Forecast, Prices, Sheet, Step
from batchctl.domain.tallies import Sampled, Stratum, Tally, least_of

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


def step(over: int = 0, times: int = 1, read: str = "0.1") -> Step:
    return Step(over=over, batch=prices(str(times / 2), read), real_time=prices(str(times), read))


def sheet(*steps: Step, model: str = "m") -> Sheet:
    return Sheet(model=model, day=DAY, source="a list", steps=steps or (step(),))


def tally(requests: int = 10, each: int = 1000, **more: Any) -> Tally:
    size = requests * each
    sampled = tuple(Sampled(n + 1, n * each, each) for n in range(min(requests, 32)))
    given_: dict[str, Any] = {
        "digest": "d",
        "model": "m",
        "first_line": 1,
        "requests": requests,
        "bytes": size,
        "longest": each,
        "max_tokens": 100 * requests,
        "most_max_tokens": 100,
        "strata": (Stratum(least=least_of(each), requests=requests, bytes=size, sampled=sampled),),
    }
    return Tally(**{**given_, **more})


def estimate(*groups: Known, answers: Sequence[Answered] = (), why: str = "", **sheets: Sheet | None) -> Estimate:
    return estimated(groups, sheets or {"m": sheet()}, answers, day=DAY, why=why)


def amounts(of: Range[Decimal] | Forecast | None) -> tuple[Any, ...]:
    assert of is not None
    return of.low, of.expected, of.high


# ---------------------------------------------------------------- tokens of prompts


def test_where_every_request_was_counted_the_sum_is_known_but_for_what_the_api_calls_an_estimate() -> None:
    found = estimate(Known(tally=tally(10), points=(Counted(1000, 250),) * 10))
    assert found.models[0].input == Range(2450, 2500, 2550)
    assert found.how[0] == "input: 10 of 10 requests counted by the API"


POINTS = (Counted(1000, 240), Counted(1000, 250), Counted(1000, 250), Counted(1000, 260), Counted(1000, 250))


def test_of_a_sample_the_worst_deviation_and_room_for_what_it_did_not_meet_are_added() -> None:
    (one,) = estimate(Known(tally=tally(100), points=POINTS)).models
    # The mean is 250; the margin 2 % and, for low, a fifth of 25 %; the worst were 4 % off it. Three in five may be like
    # none of them: these have a token for two of their bytes.
    assert one.input == Range(22_319, 25_000, 40_608), "25,000 times 0.96 and 0.93; 2 in 5 of 26,520, 3 in 5 of 50,000"


@pytest.mark.parametrize(
    ("times", "foreign", "high"),
    [
        # 30 in a thousand were counted ten times as often: 3 in 30 may be like none of them.
        (6, 0, 0.9 * 265_200 + 0.1 * 500_000),
        (6, 1_000_000, 0.9 * 265_200 + 0.1 * 1_000_000),
        (60, 0, 0.99 * 265_200 + 0.01 * 500_000),
    ],
)
def test_the_more_is_counted_the_less_may_be_like_nothing_that_was(times: int, foreign: int, high: float) -> None:
    (one,) = estimate(Known(tally=tally(1000, foreign=foreign), points=POINTS * times)).models
    assert one.input.high == round(high)


def test_what_was_not_met_may_be_on_a_dearer_step_than_all_that_was() -> None:
    """A thousand prompts of 75,000 tokens, as far as 40 of them tell; 300,000 bytes may be 150,000 tokens."""
    steps = sheet(step(), step(100_000, times=5))
    group = tally(1000, each=300_000, max_tokens=0)
    found = estimate(Known(tally=group, points=(Counted(300_000, 75_000),) * 40), m=steps)
    met, strange = 0.925 * 75_000_000 * 1.02, 0.075 * 150_000_000
    assert round(float(amounts(found.real_time)[2])) == round(met + 5 * strange)


def test_tools_bring_a_prompt_of_the_apis_own_that_no_byte_shows() -> None:
    plain, tools = (estimate(Known(tally=tally(10, has_tools=which))).models[0].input.high for which in (False, True))
    assert tools == plain + 10 * 1000


@pytest.mark.parametrize(
    ("more", "counted", "is_bound"),
    [
        ({}, 3, True),
        ({"has_documents": True}, 3, False),
        ({"has_documents": True}, 10, True),
        ({"calls_servers": True}, 10, False),
    ],
)
def test_high_is_a_bound_where_nothing_weighs_what_no_byte_tells(
    more: dict[str, Any], counted: int, *, is_bound: bool
) -> None:
    found = estimate(Known(tally=tally(10, **more), points=(Counted(1000, 250),) * counted))
    assert found.forecast is not None
    assert found.forecast.is_bound is is_bound


def test_pictures_that_were_not_counted_weigh_what_those_did_that_were() -> None:
    group = tally(1000, each=1_000_000, has_documents=True)
    (one,) = estimate(Known(tally=group, points=(Counted(1_000_000, 1600),) * 40, encoded=0.99)).models
    assert one.input.high == 1_632_000, "and not half a million each"


def test_lengths_that_differ_are_weighed_by_a_line_through_what_was_counted() -> None:
    strata = (Stratum(least=512, requests=90, bytes=90 * 600), Stratum(least=4096, requests=10, bytes=10 * 5000))
    points = (Counted(600, 200), Counted(1000, 300), Counted(4000, 1050), Counted(5000, 1300))
    group = tally(100, bytes=104_000, longest=5000, strata=strata)
    (one,) = estimate(Known(tally=group, points=points)).models
    assert one.input.expected == 90 * 200 + 10 * 1300


def test_a_length_that_was_counted_often_is_believed_more_than_the_line() -> None:
    """Long ones here hold a picture each, which weighs what it weighs."""
    strata = (Stratum(least=512, requests=90, bytes=90 * 600), Stratum(least=65536, requests=10, bytes=10 * 90_000))
    points = (*(Counted(600, 200),) * 9, *(Counted(90_000, 1_700),) * 3, Counted(70_000, 1_700))
    group = tally(100, bytes=954_000, longest=90_000, strata=strata)
    (one,) = estimate(Known(tally=group, points=points)).models
    assert abs(one.input.expected - (90 * 200 + 10 * 1_700)) < 1000


def test_a_group_too_small_to_be_counted_is_weighed_like_others_of_its_model() -> None:
    small = tally(2, digest="e")
    found = estimate(Known(tally=tally(10), points=(Counted(1000, 250),) * 10), Known(tally=small))
    # For high, by its bytes: nothing of it was counted.
    assert found.models[0].input == Range(2450 + 375, 2500 + 500, 2550 + 1000)


@pytest.mark.parametrize(
    ("model", "more", "tokens"),
    [
        ("claude-opus-4-6", {}, Range(1250, 2500, 5000)),
        ("claude-opus-4-7", {}, Range(1250, 3333, 5000)),
        ("claude-mythos-preview", {}, Range(1250, 3333, 5000)),
        # Half of the bytes are of characters that may be a token for each of them.
        ("claude-opus-4-6", {"foreign": 5000}, Range(1250, 2500, 7500)),
        ("claude-opus-4-6", {"encoded": 0.5}, Range(625, 1300, 5000)),
    ],
)
def test_from_bytes_alone(model: str, more: dict[str, Any], tokens: Range[int]) -> None:
    known = Known(tally=tally(10, model=model, foreign=more.get("foreign", 0)), encoded=more.get("encoded", 0.0))
    found = estimate(known, why="no API key was found")
    assert found.models[0].input == tokens
    assert found.how[:2] == ("input: from bytes alone: 2 to 8 of them to a token", "not counted: no API key was found")


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
        for least in sorted({least_of(size) for size in sizes})
        if (own := [size for size in sizes if least_of(size) == least])
    )
    group = tally(len(sizes), bytes=sum(sizes), longest=max(sizes), strata=strata)
    (one,) = estimate(Known(tally=group, points=points)).models
    assert 0 <= one.input.low <= one.input.expected <= one.input.high
    for costs in (one.batch, one.real_time):
        low, expected, high = amounts(costs)
        assert 0 <= low <= expected <= high


# ---------------------------------------------------------------- tokens of answers


def test_without_earlier_answers_the_middle_is_an_assumption_and_says_so() -> None:
    found = estimate(Known(tally=tally(10)))
    assert found.models[0].output == Range(10, 250, 1000)
    assert any("assumed" in said for said in found.how)
    assert estimate(Known(tally=tally(10, max_tokens=10))).models[0].output == Range(10, 10, 10)


def test_earlier_answers_say_what_to_expect_and_never_how_long_one_may_get() -> None:
    answers = [Answered(model="claude-haiku-4-5-20251001", requests=n, output_tokens=30 * n) for n in (60, 40)]
    found = estimate(Known(tally=tally(10, model="claude-haiku-4-5")), answers=answers)
    # A tenth, and one in the root of a hundred answers.
    assert found.models[0].output == Range(240, 300, 1000)
    assert "output: as 100 earlier answers, 30 tokens each; high is max_tokens" in found.how
    others = [replace(one, model="claude-haiku-5-5") for one in answers]
    assert estimate(Known(tally=tally(10, model="claude-haiku-4-5")), answers=others).models[0].output.expected == 250


# ---------------------------------------------------------------- money


def all_counted(group: Tally, tokens: int, **more: Any) -> Known:
    """Each request has so many tokens, and each was counted."""
    return Known(tally=group, points=(Counted(group.longest, tokens),) * group.requests, **more)


def test_cost_is_tokens_times_prices_in_both_lanes() -> None:
    found = estimate(all_counted(tally(10), 100))
    # 980, 1,000 and 1,020 of input; 10, 250 and 1,000 of output, five times as dear.
    assert amounts(found.real_time) == (980 + 50, 1000 + 1250, 1020 + 5000)
    assert amounts(found.forecast) == (515, 1125, 3010)
    assert (found.sources, found.day) == (("a list",), DAY)


def test_where_it_runs_costs_a_tenth_more() -> None:
    plain, us = (estimate(all_counted(tally(10, inference_geo=geo), 100)) for geo in ("", "us"))
    assert amounts(us.real_time) == tuple(one * Decimal("1.1") for one in amounts(plain.real_time))


def test_the_mean_decides_the_step_and_the_longest_that_of_high() -> None:
    steps = sheet(step(), step(100_000, times=5))
    exact = estimate(all_counted(tally(2, each=400_000), 100_000), m=steps)
    assert amounts(exact.real_time) == (196_000 + 10, 200_000 + 250, 5 * (204_000 + 1000)), (
        "2 % more are above the step"
    )
    over = estimate(all_counted(tally(2, each=400_000), 110_000), m=steps)
    assert amounts(over.real_time)[1] == 5 * (220_000 + 250)


def test_a_model_without_a_price_makes_the_cost_unknown_and_not_nothing() -> None:
    found = estimate(all_counted(tally(10), 100), all_counted(tally(1, model="n", digest="e"), 100), m=sheet(), n=None)
    assert (found.forecast, found.real_time, found.unpriced) == (None, None, ("n",))
    assert [one.batch is None for one in found.models] == [False, True]
    assert found.models[1].input.expected == 100


# ---------------------------------------------------------------- caches

# Ten answers of one token each: 25 dollars in a batch.
SHARED: dict[str, Any] = {"prefix_bytes": 600, "max_tokens": 10}


def test_what_is_shared_is_priced_at_each_share_of_reads_and_the_line_is_drawn_exactly() -> None:
    found = estimate(all_counted(tally(10, **SHARED), 1000, prefix_tokens=600))
    long, short = found.caches
    assert (long.ttl, long.prefix_tokens, long.without) == ("1h", 6000, Decimal(5000))
    # In batches, a token is half a dollar: 4,000 that are not shared, and of 6,000 shared 7 tenths read.
    assert dict(long.rows)[Decimal("0.7")] == Decimal(2000) + 1800 * 1 + 4200 * Decimal("0.05")
    assert dict(short.rows)[Decimal("0.7")] == Decimal(2000) + 1800 * Decimal("0.625") + 4200 * Decimal("0.05")
    assert Fraction(long.break_even).limit_denominator(100) == Fraction(10, 19)
    assert Fraction(short.break_even).limit_denominator(100) == Fraction(5, 23)
    assert not long.is_there


@pytest.mark.parametrize(
    ("read", "long", "short"), [("0.05", "1/1.95", "0.25/1.2"), ("0.025", "1/1.975", "0.25/1.225")]
)
def test_where_reads_cost_less_the_line_is_lower(read: str, long: str, short: str) -> None:
    found = estimate(all_counted(tally(10, **SHARED), 1000, prefix_tokens=600), m=sheet(step(read=read)))
    for one, said in zip(found.caches, (long, short), strict=True):
        over, under = map(Decimal, said.split("/"))
        assert round(one.break_even, 10) == round(over / under, 10)


@pytest.mark.parametrize(
    ("more", "prefix"), [({"prefix_bytes": 0}, 600), ({"requests": 1}, 600), ({"digest": ""}, 600), ({}, 511)]
)
def test_what_is_not_shared_or_too_short_has_no_cache_to_speak_of(more: dict[str, Any], prefix: int) -> None:
    group = tally(**{**SHARED, **more})
    assert estimate(all_counted(group, 1000, prefix_tokens=prefix)).caches == ()


def test_a_cache_that_is_asked_for_counts_from_its_best_to_its_worst() -> None:
    found = estimate(all_counted(tally(10, **SHARED, ttl="1h", breakpoints=1), 1000, prefix_tokens=600))
    low, expected, high = amounts(found.forecast)
    # 98 in a hundred read of 9,800 tokens that are 6,000 shared; 70 read; and all 6,120 written, of 10,200.
    assert low == (3800 + 120 * 2 + 5880 * Decimal("0.1")) / 2 + 25
    assert expected == (4000 + 1800 * 2 + 4200 * Decimal("0.1")) / 2 + 25
    assert high == (4080 + 6120 * 2) / Decimal(2) + 25
    assert found.caches[0].is_there
    assert any(said.startswith("cache_control: 70%") for said in found.how)


def test_a_mark_in_the_messages_may_write_all_of_a_prompt() -> None:
    marked = tally(10, **SHARED, ttl="5m", breakpoints=1, marks_messages=True)
    _, _, high = amounts(estimate(all_counted(marked, 1000, prefix_tokens=600)).forecast)
    assert high == 10_200 * Decimal("0.625") + 25


def test_a_mark_on_too_little_is_said_to_do_nothing() -> None:
    found = estimate(all_counted(tally(10, **SHARED, ttl="1h", breakpoints=1), 1000, prefix_tokens=400))
    assert amounts(found.forecast)[1] == 5000 + 25
    assert not any(said.startswith("cache_control") for said in found.how)
    said = "10 requests have cache_control on 400 tokens; no model caches less than 512: no cache holds that"
    assert [one.text for one in found.advice] == [said]


def test_the_minimum_is_that_of_the_model() -> None:
    group = tally(10, **SHARED, ttl="1h", breakpoints=1, model="claude-opus-4-7")
    sheets = {"claude-opus-4-7": sheet()}
    below, above = (
        estimated([all_counted(group, 3000, prefix_tokens=n)], sheets, [], day=DAY, why="") for n in (2047, 2048)
    )
    assert (below.caches, amounts(below.forecast)[1]) == ((), 15_000 + 25)
    assert above.caches
    assert amounts(above.forecast)[1] != 15_000 + 25


def test_what_the_api_runs_itself_is_said_to_be_missing() -> None:
    assert any(said.startswith("tools: ") for said in estimate(Known(tally=tally(calls_servers=True))).how)


# ---------------------------------------------------------------- which lines to count


def test_lines_are_chosen_where_the_bytes_are_and_no_more_than_are_there() -> None:
    big, small = tally(100, each=3000), tally(3, each=1000, digest="e")
    lines = chosen([big, small], 20)
    assert [len(one) for one in lines] == [20, 0]
    assert len({one.line for one in lines[0]}) == 20
    assert [len(one) for one in chosen([big, small], 1000)] == [32, 3]
    assert chosen([], 40) == []


def test_two_calls_for_a_beginning_are_made_where_they_are_worth_it() -> None:
    tallies = [
        tally(10, prefix_bytes=2000),
        tally(10, prefix_bytes=999),
        tally(99, prefix_bytes=2000),
        tally(10, prefix_bytes=0),
        tally(10, prefix_bytes=9000, digest=""),
    ]
    assert with_prefix_to_count(tallies, 40) == [2, 0]
    assert with_prefix_to_count(tallies, 8) == [2]
    assert with_prefix_to_count(tallies, 7) == []
