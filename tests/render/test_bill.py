"""Costs as they are drawn, and as a program reads them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from builders import NOW, a_batch, a_cut, a_job, a_round
from render.drawing import drawn

from batchctl.domain.model import RequestCounts, State
from batchctl.domain.prices import (
    CacheUse,
    Forecast,
    ModelPrices,
    Prices,
    PriceTier,
    TotalCost,
    Usage,
    UsageTotals,
    dollars,
)
from batchctl.money import bill as spending
from batchctl.money.bill import Bill
from batchctl.render import bill, total

EVIL = "[red]\u202e[/] [/nothing]"
HALVED = "no batch price is listed for it: half of its real-time price"


def model_prices(model: str, day: date) -> ModelPrices | None:
    if model == EVIL:
        return None
    batch, real_time = (Prices(**dict.fromkeys(Prices.__slots__, Decimal(n))) for n in (1, 2))
    note = HALVED if model == "claude-retired" else ""
    tiers = (PriceTier(over=0, batch=batch, real_time=real_time),)
    return ModelPrices(model=model, day=day, source="a list 1.0", tiers=tiers, note=note)


def a_bill(models: Sequence[str] = ("claude-haiku-4-5-20251001",), unread: int = 0, **used: int) -> Bill:
    forecast = Forecast(low=Decimal("12.3"), expected=Decimal(45), high=Decimal(1234), how="by heart")
    counts = RequestCounts(succeeded=7, errored=2, expired=1)
    batches = [
        a_batch(State.FETCHED, id=n, cut=a_cut(10, 10 * n), round=n, usage_unread=unread, counts=counts) for n in (1, 2)
    ]
    usage = Usage(**{"input_tokens": 123_456_789, "output_tokens": 98_765_432, **used})
    usage_totals = [UsageTotals(model=model, requests=7, usage=usage) for model in models]
    return spending.bill(
        a_job(rounds=[a_round(1, forecast=forecast), a_round(2)]),
        batches,
        {1: usage_totals, 2: usage_totals},
        lambda one, day: model_prices(one.model, day),
    )


def test_a_bill_fits_eighty_columns_and_no_number_is_cut() -> None:
    shown = drawn(bill.draw(a_bill(read_tokens=10**12, write_1h_tokens=10**11), "batchctl retry x", wide=True))
    assert max(map(len, shown.splitlines())) <= 80
    for said in (
        "2,000,000,000,000",
        "246,913,578",
        "$2,200,444.44",
        "$4,400,888.89",
        "$45.00 ($12.30 to",
        "$1,234.00)",
    ):
        assert said in shown
    assert "90.9 % hit" in shown
    assert "free    4 errored, 2 expired" in shown
    assert "prices  a list 1.0, prices of 2026-11-21" in shown
    assert shown.rstrip().endswith("next: batchctl retry x")


def test_no_class_of_tokens_stands_without_its_number() -> None:
    assert "246,913,578" in drawn(bill.draw(a_bill(), "", wide=False), 50)


def test_classes_that_nothing_was_used_of_are_not_shown() -> None:
    shown = drawn(bill.draw(a_bill(), "", wide=False))
    assert "cache" not in shown
    assert "web searches" not in shown
    assert "msgbatch_1" not in shown
    assert "next:" not in shown


def test_what_is_unknown_is_no_number_and_foreign_text_moves_no_terminal() -> None:
    shown = drawn(bill.draw(a_bill((EVIL, "claude-retired"), unread=3), "", wide=True))
    assert "unknown; what has a price is at least $" in shown
    assert "\u202e" not in shown
    assert r"! no price is known for [red]\u202e[/] [/nothing] (14 requests)" in shown
    assert "! not in it: 6 answers with unreadable usage" in shown
    assert f"claude-retired: {HALVED}" in " ".join(shown.split())
    assert "$0.00" not in shown


TOTAL = TotalCost(
    batch=Decimal("1.234"), real_time=Decimal("2.468"), sources=("genai-prices 0.2.3",), days=(NOW.date(),)
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "$1.23 in batch ($2.47 in real time), genai-prices 0.2.3, prices of 2026-11-21"),
        (
            {"beyond": ("3 answers with unreadable usage",), "days": (date(2026, 11, 20), NOW.date())},
            (
                "at least $1.23 in batch ($2.47 in real time), genai-prices 0.2.3, prices of 2026-11-20 to 2026-11-21;"
                " not in it: 3 answers with unreadable usage"
            ),
        ),
        (
            {"unknown": ("no price is known for x (1 request)",)},
            (
                "unknown, no price is known for x (1 request); all else $1.23 in batch ($2.47 in real time),"
                " genai-prices 0.2.3, prices of 2026-11-21"
            ),
        ),
        (
            {"batch": Decimal(0), "real_time": Decimal(0), "sources": (), "days": ()},
            "$0.00 in batch ($0.00 in real time)",
        ),
    ],
)
def test_a_total_is_one_line(change: dict[str, Any], said: str) -> None:
    given = {name: getattr(TOTAL, name) for name in TotalCost.__slots__} | change
    assert drawn(total.draw(TotalCost(**given)), 300).rstrip() == f"cost     {said}"


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        (Decimal("0.0065"), "$0.0065 saved against no cache"),
        (Decimal("-1234.5"), "$1,234.50 lost against no cache"),
        (Decimal(0), "$0.00 saved against no cache"),
        (None, "what that saved is unknown"),
    ],
)
def test_what_a_cache_did_is_a_line_of_its_own(saved: Decimal | None, said: str) -> None:
    with_cache = replace(TOTAL, cache=CacheUse(tokens=3000, read_tokens=1000, saved=saved))
    line = drawn(total.draw(with_cache), 300).splitlines()[1].rstrip()
    read = "1,000 of 3,000 tokens that were to be cached were read from the cache"
    assert line == f"cache    33.3 % hit: {read}; {said}"
    shape = total.to_json(with_cache)
    assert shape["cache_hit_rate"] == 0.333333
    assert shape["cache_saved_usd"] == {"0.0065": "0.0065", "-1234.5": "-1234.5", "0": "0", "None": None}[str(saved)]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0", "$0.00"),
        ("1234567.891", "$1,234,567.89"),
        ("0.5", "$0.50"),
        ("0.054321", "$0.054"),
        ("0.00000005", "$0.000000050"),
        ("0.000001234", "$0.0000012"),
        ("0.999", "$1.00"),
    ],
)
def test_dollars_have_the_digits_that_say_something(value: str, shown: str) -> None:
    assert dollars(Decimal(value)) == shown


def test_programs_get_every_digit_and_null_for_what_is_unknown() -> None:
    found = json.loads(json.dumps(bill.to_json(a_bill(output_tokens=1), "", with_batches=True)))
    assert found["total"]["batch_usd"] == "246.91358"
    assert found["rounds"][0]["forecast"] == {
        "low_usd": "12.3",
        "expected_usd": "45",
        "high_usd": "1234",
        "high_is_bound": True,
        "how": "by heart",
        "prices": "",
    }
    assert [one["price_day"] for one in found["message_batches"]] == ["2026-11-21"] * 2
    unknown = bill.to_json(a_bill((EVIL,)), "", with_batches=False)
    assert (unknown["total"]["batch_usd"], unknown["total"]["known_batch_usd"]) == (None, None)
    assert "message_batches" not in unknown


def test_of_many_models_some_are_shown_and_the_rest_is_counted() -> None:
    shown = " ".join(drawn(bill.draw(a_bill([f"model-{n}" for n in range(100)]), "", wide=False)).split())
    assert "80 more 1,120" in shown
    assert shown.count("model-") == 20
