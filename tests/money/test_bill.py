"""What batches used becomes what they cost: by model, round and batch, and nothing that is not known is 0."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from builders import HOUR, NOW, a_batch, a_cut, a_job, a_round

from batchctl.domain.model import Batch, RequestCounts, State
from batchctl.domain.prices import Forecast, ModelPrices, Prices, PriceTier, Usage, UsageTotals
from batchctl.money.bill import Bill, bill, price_day, whole

DAY = NOW.date()
HAIKU, OPUS, NOBODY = "claude-haiku", "claude-opus", "claude-nobody"


def prices(given: str, factor: int = 1) -> Prices:
    base = Decimal(given) * factor
    return Prices(input=base, write_5m=base * 2, write_1h=base * 3, read=base / 10, output=base * 5)


def model_prices(model: str, day: date) -> ModelPrices | None:
    tiers = {
        HAIKU: [PriceTier(over=0, batch=prices("0.5"), real_time=prices("0.5", 2))],
        OPUS: [
            PriceTier(over=0, batch=prices("3"), real_time=prices("3", 2)),
            PriceTier(over=100_000, batch=prices("6"), real_time=prices("6", 2)),
        ],
    }.get(model)
    return None if tiers is None else ModelPrices(model=model, day=day, source="a list 1.0", tiers=tuple(tiers))


def usage_totals(model: str = HAIKU, requests: int = 1, over: int = 0, geo: str = "", **used: int) -> UsageTotals:
    usage = Usage(**{"input_tokens": 1_000_000, **used})
    return UsageTotals(model=model, prompt_over=over, inference_geo=geo, requests=requests, usage=usage)


def fetched(number: int = 1, unread: int | None = 0, **more: Any) -> Batch:
    return a_batch(State.FETCHED, id=number, cut=a_cut(10, 10 * (number - 1)), usage_unread=unread, **more)


def billed(*batches: Batch, used: dict[int, list[UsageTotals]] | None = None, **of_job: Any) -> Bill:
    rounds = [a_round(n) for n in range(1, max(b.round for b in batches) + 1)]
    return bill(
        a_job(rounds=of_job.pop("rounds", rounds), **of_job),
        batches,
        used or {},
        lambda one, day: model_prices(one.model, day),
    )


@pytest.mark.parametrize(
    ("one", "batch", "real_time"),
    [
        (usage_totals(), "0.5", "1"),
        (usage_totals(OPUS), "3", "6"),
        (usage_totals(OPUS, over=100_000), "6", "12"),
        (usage_totals(HAIKU, over=100_000), "0.5", "1"),
        (usage_totals(geo="us"), "0.55", "1.1"),
        (usage_totals(web_searches=3), "0.53", "1.03"),
        (usage_totals(input_tokens=0, write_5m_tokens=1), "0.000001", "0.000002"),
        (usage_totals(input_tokens=0, write_1h_tokens=1), "0.0000015", "0.000003"),
        (usage_totals(input_tokens=0, read_tokens=1), "0.00000005", "0.0000001"),
        (usage_totals(input_tokens=0, output_tokens=1), "0.0000025", "0.000005"),
        (usage_totals(input_tokens=0), "0", "0"),
    ],
)
def test_what_was_used_costs_what_it_says(one: UsageTotals, batch: str, real_time: str) -> None:
    found = billed(fetched(), used={1: [one]})
    assert found.total is not None
    assert (found.total.batch, found.total.real_time) == (Decimal(batch), Decimal(real_time))
    assert (found.total.unknown, found.total.beyond) == ((), ())
    assert (found.total.sources, found.total.days) == (("a list 1.0",), (DAY,))


def test_sums_are_by_model_round_and_batch() -> None:
    batches = (fetched(1), fetched(2), fetched(3, round=2))
    forecast = Forecast(low=Decimal(1), expected=Decimal(2), high=Decimal(3), how="by heart")
    used = {
        1: [usage_totals(), usage_totals(OPUS, 2)],
        2: [usage_totals(requests=5)],
        3: [usage_totals(OPUS, over=100_000)],
    }
    found = billed(*batches, used=used, rounds=[a_round(1, forecast=forecast), a_round(2)])
    assert {model: (part.cost.requests, part.cost.batch) for model, part in found.models.items()} == {
        OPUS: (3, Decimal(9)),
        HAIKU: (6, Decimal(1)),
    }
    assert [(r.number, r.batches, whole(r.models).batch, r.forecast) for r in found.rounds] == [
        (1, 2, Decimal(4), forecast),
        (2, 1, Decimal(6), None),
    ]
    assert [(b.batch.id, b.number, whole(b.models).batch) for b in found.batches] == [
        (1, 1, Decimal("3.5")),
        (2, 2, Decimal("0.5")),
        (3, 1, Decimal(6)),
    ]
    assert found.cost.batch == 10
    assert found.cost.usage.input_tokens == 4_000_000


@pytest.mark.parametrize(
    ("batch", "one", "amount"),
    [
        (fetched(counts=RequestCounts(succeeded=10)), usage_totals(), "0.5"),
        (a_batch(State.REFUSED, id=1, cut=a_cut(10)), None, "0"),
        (fetched(counts=RequestCounts(succeeded=10), unread=1), usage_totals(), None),
        (fetched(counts=RequestCounts(succeeded=10), unread=None), None, None),
        (fetched(counts=RequestCounts(succeeded=10)), usage_totals(NOBODY), None),
        # Three results of a type that is newer than batchctl: whether they are paid, nobody knows.
        (fetched(counts=RequestCounts(succeeded=6, errored=1)), usage_totals(), None),
        (a_batch(State.IN_PROGRESS, id=1, cut=a_cut(10)), None, None),
    ],
)
def test_what_a_batch_costs_in_all_is_known_where_all_of_its_results_say_it(
    batch: Batch, one: UsageTotals | None, amount: str | None
) -> None:
    (found,) = billed(batch, used={1: [one]} if one else {}).batches
    assert found.billed == (None if amount is None else Decimal(amount))


def test_a_model_without_a_price_makes_the_whole_unknown_and_the_rest_is_beside_it() -> None:
    found = billed(fetched(), used={1: [usage_totals(), usage_totals(NOBODY, 7)]})
    assert found.total is not None
    assert found.total.unknown == ("no price is known for claude-nobody (7 requests)",)
    assert found.total.batch == Decimal("0.5")
    assert (found.cost.is_known, found.models[HAIKU].cost.is_known, found.models[NOBODY].cost.is_known) == (
        False,
        True,
        False,
    )
    assert next(iter(found.models)) == NOBODY
    assert found.models[NOBODY].cost.usage.input_tokens == 1_000_000


@pytest.mark.parametrize(
    ("batches", "unknown", "beyond"),
    [
        ((fetched(),), (), ()),
        ((fetched(unread=3), fetched(2, unread=1)), (), ("4 answers with unreadable usage",)),
        ((fetched(unread=1),), (), ("1 answer with unreadable usage",)),
        ((fetched(), fetched(2, None)), ("the usage of 1 batch is not known",), ()),
        (
            (fetched(counts=RequestCounts(succeeded=6, errored=1)),),
            (),
            ("3 results of a type that is newer than this batchctl",),
        ),
        ((fetched(), a_batch(State.IN_PROGRESS, id=2)), (), ("1 batch not fetched yet",)),
        ((fetched(), a_batch(State.ENDED, id=2), a_batch(State.SUBMITTING, id=3)), (), ("2 batches not fetched yet",)),
        ((fetched(), a_batch(State.PLANNED, id=2), a_batch(State.REFUSED, id=3)), (), ()),
        # Downloaded once, and gone from the disk: what it cost is known all the same.
        ((a_batch(State.ENDED, id=1, usage_unread=0),), (), ()),
    ],
)
def test_what_is_not_in_a_total_is_said(
    batches: tuple[Batch, ...], unknown: tuple[str, ...], beyond: tuple[str, ...]
) -> None:
    total = billed(*batches, used={1: [usage_totals()]}).total
    assert total is not None
    assert (total.unknown, total.beyond) == (unknown, beyond)


def test_a_batch_that_holds_requests_a_second_time_is_not_in_it() -> None:
    total = billed(fetched(), used={1: [usage_totals()]}, duplicate_batches=("msgbatch_late",)).total
    assert total is not None
    assert total.beyond == ("1 batch at the API with requests that were sent twice",)


def test_before_anything_is_downloaded_there_is_no_total() -> None:
    assert billed(a_batch(State.PLANNED), a_batch(State.IN_PROGRESS, id=2)).total is None


def test_what_came_without_success_is_free() -> None:
    counts = RequestCounts(succeeded=4, errored=3, expired=2, canceled=1)
    found = billed(fetched(counts=counts), fetched(2, counts=counts), a_batch(State.IN_PROGRESS, id=3))
    assert found.free == RequestCounts(errored=6, expired=4, canceled=2)


@pytest.mark.parametrize(
    ("change", "day"),
    [
        ({"created_at": datetime(2026, 10, 13, 23, 59, tzinfo=UTC)}, date(2026, 10, 13)),
        ({"created_at": None, "ended_at": NOW + 24 * HOUR}, date(2026, 11, 22)),
        ({"created_at": None, "ended_at": None}, DAY),
    ],
)
def test_prices_are_of_the_day_on_which_a_batch_was_created(change: dict[str, Any], day: date) -> None:
    assert price_day(a_job(), replace(fetched(), **change)) == day


def test_batches_of_different_days_have_the_prices_of_each() -> None:
    early = datetime(2026, 1, 1, tzinfo=UTC)
    found = billed(fetched(), fetched(2, created_at=early), used={1: [usage_totals()], 2: [usage_totals()]})
    assert found.total is not None
    assert found.total.days == (early.date(), DAY)
    assert [one.day for one in found.models[HAIKU].model_prices_list] == [DAY, early.date()]


@pytest.mark.parametrize(
    ("used", "rate"),
    [
        ({}, None),
        ({"write_5m_tokens": 10}, Decimal(0)),
        ({"write_5m_tokens": 1, "write_1h_tokens": 1, "read_tokens": 6}, Decimal("0.75")),
        ({"read_tokens": 3}, Decimal(1)),
    ],
)
def test_a_hit_rate_is_of_the_tokens_that_were_to_be_cached(used: dict[str, int], rate: Decimal | None) -> None:
    cache = billed(fetched(), used={1: [replace(usage_totals(), usage=Usage(**used))]}).cost.cache
    assert (cache.hit_rate if cache else None) == rate


@pytest.mark.parametrize(
    ("used", "saved"),
    [
        # A million tokens cost half a dollar; to write them costs twice (5m) and three times as much (1h), to read a tenth.
        ([usage_totals(write_5m_tokens=1_000_000)], "-0.5"),
        ([usage_totals(write_1h_tokens=1_000_000)], "-1"),
        ([usage_totals(read_tokens=1_000_000)], "0.45"),
        ([usage_totals(write_1h_tokens=1_000_000, read_tokens=3_000_000)], "0.35"),
        ([usage_totals(read_tokens=1_000_000, geo="us", output_tokens=7, web_searches=2)], "0.495"),
        ([usage_totals(OPUS, over=100_000, read_tokens=1_000_000)], "5.4"),
        ([usage_totals(read_tokens=1_000_000), usage_totals(OPUS, write_5m_tokens=1_000_000)], "-2.55"),
    ],
)
def test_what_a_cache_saved_is_told_against_none_at_all(used: list[UsageTotals], saved: str) -> None:
    found = billed(fetched(), used={1: used})
    assert found.cost.cache is not None
    assert found.cost.cache.saved == Decimal(saved)
    assert found.total is not None
    assert found.total.cache == found.cost.cache


def test_without_a_price_nobody_knows_what_a_cache_saved() -> None:
    cache = billed(fetched(), used={1: [usage_totals(), usage_totals(NOBODY, read_tokens=5)]}).cost.cache
    assert cache is not None
    assert (cache.tokens, cache.read_tokens, cache.saved) == (5, 5, None)


def test_of_many_models_without_a_price_some_are_named() -> None:
    found = billed(fetched(), used={1: [usage_totals(f"claude-{n}", 2) for n in range(9)]})
    assert found.total is not None
    assert len(found.total.unknown) == 6
    assert found.total.unknown[-1] == "nor for 4 more models (8 requests)"
