"""What the catalog says, against sums written by hand from the API's own page of prices, and against the list's calculator."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import genai_prices
import pytest
from genai_prices.types import ModelInfo, ModelPrice, PriceVariant, Tier, TieredPrices
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.prices import Lane, ModelPrices, Prices, PriceTier, Usage, UsageTotals, cost_of, tier_of
from batchctl.money import listed
from batchctl.money.catalog import PriceCatalog, newest_first
from batchctl.money.listed import NO_BATCH_PRICE, NOT_HALF, PriceList

DAY = dt.date(2026, 11, 21)
BEFORE_BATCH_PRICES = dt.date(2026, 10, 13)
CATALOG = PriceCatalog()


def of_the_page(*numbers: str) -> dict[str, Decimal]:
    """Real time: input, output, 5 m write, 1 h write, read."""
    return dict(zip(("input", "output", "write_5m", "write_1h", "read"), map(Decimal, numbers), strict=True))


# The model as results name it; the longest prompt of the step, and the next one's first; the page's numbers.
PAGE = [
    ("claude-opus-5-5", 1_000_000, of_the_page("4", "20", "5", "8", "0.20")),
    ("claude-sonnet-5-5", 1_000_000, of_the_page("2", "10", "2.50", "4", "0.10")),
    ("claude-haiku-5-5", 100_000, of_the_page("0.10", "0.50", "0.125", "0.20", "0.01")),
    ("claude-haiku-5-5", 100_001, of_the_page("0.50", "2.50", "0.625", "1", "0.05")),
    ("claude-haiku-5-5", 1_000_000, of_the_page("0.50", "2.50", "0.625", "1", "0.05")),
    ("claude-fable-5-2", 1_000_000, of_the_page("8", "40", "10", "16", "0.20")),
    ("claude-mythos-5-2", 1_000_000, of_the_page("8", "40", "10", "16", "0.20")),
    ("claude-fable-5-1", 1_000_000, of_the_page("10", "50", "12.50", "20", "0.25")),
    ("claude-fable-5", 1_000_000, of_the_page("10", "50", "12.50", "20", "1")),
    ("claude-opus-5", 1_000_000, of_the_page("5", "25", "6.25", "10", "0.50")),
    ("claude-sonnet-5", 1_000_000, of_the_page("2", "10", "2.50", "4", "0.20")),
    ("claude-opus-4-8", 1_000_000, of_the_page("5", "25", "6.25", "10", "0.50")),
    ("claude-opus-4-7", 1_000_000, of_the_page("5", "25", "6.25", "10", "0.50")),
    ("claude-opus-4-6", 1_000_000, of_the_page("5", "25", "6.25", "10", "0.50")),
    ("claude-sonnet-4-6", 1_000_000, of_the_page("3", "15", "3.75", "6", "0.30")),
    ("claude-opus-4-5-20251101", 200_000, of_the_page("5", "25", "6.25", "10", "0.50")),
    ("claude-sonnet-4-5-20250929", 200_000, of_the_page("3", "15", "3.75", "6", "0.30")),
    ("claude-haiku-4-5-20251001", 200_000, of_the_page("1", "5", "1.25", "2", "0.10")),
    ("claude-haiku-4-5", 200_000, of_the_page("1", "5", "1.25", "2", "0.10")),
]
RETIRED = [
    ("claude-opus-4-1-20250805", 200_000, of_the_page("15", "75", "18.75", "30", "1.50")),
    ("claude-opus-4-20250514", 200_000, of_the_page("15", "75", "18.75", "30", "1.50")),
    ("claude-opus-4-0", 200_000, of_the_page("15", "75", "18.75", "30", "1.50")),
    ("claude-sonnet-4-20250514", 200_000, of_the_page("3", "15", "3.75", "6", "0.30")),
    ("claude-3-5-haiku-20241022", 200_000, of_the_page("0.80", "4", "1", "1.60", "0.08")),
    ("claude-3-5-haiku-latest", 200_000, of_the_page("0.80", "4", "1", "1.60", "0.08")),
]
# Primes, so that no two classes can be mistaken for each other.
OUTPUT, SEARCHES, WRITTEN_5M, WRITTEN_1H, READ = 7_919, 13, 1_009, 2_003, 4_001


def the_prices(model: str, day: dt.date = DAY, price_catalog: PriceCatalog = CATALOG) -> ModelPrices:
    model_prices = price_catalog.model_prices(model, day)
    assert model_prices is not None, model
    return model_prices


def usage_totals(model: str, usage: Usage, inference_geo: str = "") -> UsageTotals:
    """Of one request."""
    over = tier_of(usage.prompt_tokens)
    return UsageTotals(model=model, prompt_over=over, inference_geo=inference_geo, requests=1, usage=usage)


def a_usage(prompt: int, **more: int) -> Usage:
    """A prompt of that length, with some of every class."""
    given = {"write_5m_tokens": WRITTEN_5M, "write_1h_tokens": WRITTEN_1H, "read_tokens": READ} | more
    rest = prompt - sum(given[name] for name in ("write_5m_tokens", "write_1h_tokens", "read_tokens"))
    return Usage(input_tokens=rest, output_tokens=OUTPUT, web_searches=SEARCHES, **given)


# ---------------------------------------------------------------- the sum


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("inference_geo", ["", "us"])
@pytest.mark.parametrize(("model", "prompt", "page"), [*PAGE, *RETIRED])
def test_a_cost_is_the_sum_that_a_hand_would_write(
    model: str, prompt: int, page: dict[str, Decimal], inference_geo: str, lane: Lane
) -> None:
    usage = a_usage(prompt)
    assert usage.prompt_tokens == prompt
    tokens = (
        (prompt - 1_009 - 2_003 - 4_001) * page["input"]
        + 1_009 * page["write_5m"]
        + 2_003 * page["write_1h"]
        + 4_001 * page["read"]
        + 7_919 * page["output"]
    ) / 1_000_000
    if lane is Lane.BATCH:
        tokens /= 2
    if inference_geo:
        tokens = tokens * 11 / 10
    assert cost_of(usage_totals(model, usage, inference_geo), the_prices(model), lane) == tokens + 13 * Decimal("0.01")


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize(
    ("name", "of_page"),
    [
        ("input_tokens", "input"),
        ("write_5m_tokens", "write_5m"),
        ("write_1h_tokens", "write_1h"),
        ("read_tokens", "read"),
        ("output_tokens", "output"),
    ],
)
@pytest.mark.parametrize(("model", "prompt", "page"), PAGE)
def test_each_class_of_token_has_its_own_price(
    model: str, prompt: int, page: dict[str, Decimal], name: str, of_page: str, lane: Lane
) -> None:
    one = UsageTotals(model=model, prompt_over=tier_of(prompt), requests=1, usage=Usage(**{name: 1_000_000}))
    expected = page[of_page] / 2 if lane is Lane.BATCH else page[of_page]
    assert cost_of(one, the_prices(model), lane) == expected


def test_the_long_prompt_step_reprices_the_whole_request_and_begins_above_100_000() -> None:
    model_prices = the_prices("claude-haiku-5-5")
    at, above = a_usage(100_000, read_tokens=90_000), a_usage(100_001, read_tokens=90_000)
    for usage, input_, write_5m, write_1h, read, output in (
        (at, "0.05", "0.0625", "0.10", "0.005", "0.25"),
        (above, "0.25", "0.3125", "0.50", "0.025", "1.25"),
    ):
        by_hand = (
            (usage.prompt_tokens - 90_000 - 1_009 - 2_003) * Decimal(input_)
            + 1_009 * Decimal(write_5m)
            + 2_003 * Decimal(write_1h)
            + 90_000 * Decimal(read)
            + 7_919 * Decimal(output)
        ) / 1_000_000
        assert cost_of(usage_totals(model_prices.model, usage), model_prices, Lane.BATCH) == by_hand + Decimal("0.13")


def test_a_checked_value() -> None:
    usage = Usage(input_tokens=150_000, output_tokens=100, web_searches=2)
    assert cost_of(usage_totals("claude-haiku-5-5", usage), the_prices("claude-haiku-5-5"), Lane.BATCH) == Decimal(
        "0.057625"
    )


def test_searches_cost_the_same_everywhere() -> None:
    one = UsageTotals(model="claude-opus-5-5", inference_geo="us", requests=3, usage=Usage(web_searches=7))
    assert {cost_of(one, the_prices("claude-opus-5-5"), lane) for lane in Lane} == {Decimal("0.07")}


def test_a_place_that_is_not_known_to_cost_more_does_not() -> None:
    usage = a_usage(50_000)
    for inference_geo in ("", "global", "not_available", "eu"):
        one = usage_totals("claude-opus-5-5", usage, inference_geo)
        assert cost_of(one, the_prices(one.model), Lane.BATCH) == cost_of(
            usage_totals("claude-opus-5-5", usage), the_prices(one.model), Lane.BATCH
        )


tokens = st.integers(0, 400_000)


@given(
    model=st.sampled_from(sorted(CATALOG.served)),
    lane=st.sampled_from(Lane),
    usage=st.builds(
        Usage,
        input_tokens=tokens,
        write_5m_tokens=tokens,
        write_1h_tokens=tokens,
        read_tokens=tokens,
        output_tokens=tokens,
        web_searches=st.integers(0, 50),
    ),
)
def test_the_lists_own_calculator_agrees(model: str, lane: Lane, usage: Usage) -> None:
    theirs = genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=usage.prompt_tokens,
            cache_write_tokens=usage.write_5m_tokens + usage.write_1h_tokens,
            cache_write_1h_tokens=usage.write_1h_tokens,
            cache_read_tokens=usage.read_tokens,
            output_tokens=usage.output_tokens,
            web_searches=usage.web_searches,
        ),
        model,
        provider_id="anthropic",
        genai_request_timestamp=dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC),
        price_context={"processing": "batch"} if lane is Lane.BATCH else None,
    )
    assert cost_of(usage_totals(model, usage), the_prices(model), lane) == theirs.total_price


# ---------------------------------------------------------------- half, and what is said of it


@pytest.mark.parametrize("model", CATALOG.models)
@pytest.mark.parametrize("day", [dt.date(2024, 1, 1), BEFORE_BATCH_PRICES, dt.date(2026, 10, 14), DAY])
def test_a_batch_is_half_of_real_time_whatever_the_model_and_the_day(model: str, day: dt.date) -> None:
    model_prices = CATALOG.model_prices(model, day)
    for tier in model_prices.tiers if model_prices is not None else ():
        assert tier.batch == tier.real_time.scaled(Decimal("0.5"))
        assert tier.batch.web_search == tier.real_time.web_search == 10


@pytest.mark.parametrize(("model", "_prompt", "_page"), [row for row in PAGE if not row[0].endswith("5-2")])
def test_before_batch_prices_are_listed_it_is_halved_and_said(model: str, _prompt: int, _page: Any) -> None:
    assert the_prices(model).note == ""
    before = the_prices(model, BEFORE_BATCH_PRICES)
    assert before.tiers == the_prices(model).tiers
    assert before.note == NO_BATCH_PRICE


@pytest.mark.parametrize(("model", "_prompt", "_page"), RETIRED)
def test_a_retired_model_is_halved_and_said(model: str, _prompt: int, _page: Any) -> None:
    assert the_prices(model).note == NO_BATCH_PRICE
    assert model not in CATALOG.served


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    "model",
    [
        "claude-haiku-4-5",
        "claude-haiku-4-5-20251001",
        "claude-haiku-4-5-latest",
        "claude-opus-4-5-20251101",
        "claude-opus-4",
        "claude-opus-4-0",
        "claude-opus-4-20250514",
        "claude-opus-4-1-20250805",
        "claude-sonnet-4-20250514",
        "claude-3-7-sonnet-20250219",
        "claude-3-haiku-20240307",
    ],
)
def test_a_model_is_known_by_its_id_its_date_and_its_aliases(model: str) -> None:
    assert the_prices(model).model == model


@pytest.mark.parametrize(
    "model",
    [
        "claude-haiku-4-5-turbo",
        "claude-sonnet-4-6x",
        "claude-opus-4-50",
        "claude-opus-4-5-5",
        "claude-haiku-4-5-2025100",
        "claude-haiku-4-5-202510011",
        "claude-haiku-4-5-20251001-v2",
        "claude-haiku-4-5-2025\u0661\u0660\u0660\u0661",
        "claude-haiku-4-5@20251001",
        "claude-haiku-4.5",
        "claude-4-5-haiku",
        "Claude-Haiku-4-5",
        "claude-haiku-4-5 ",
        "claude-haiku-4-5\n",
        "anthropic/claude-haiku-4-5",
        "claude-opus-5-5-fast",
        "claude-opus-5-6",
        "claude-mythos-5",
        "claude-mythos-5-1",
        "claude-mythos-preview",
        "claude",
        "gpt-5",
        "-latest",
        "",
    ],
)
def test_a_name_that_may_be_another_model_has_no_price(model: str) -> None:
    assert CATALOG.model_prices(model, DAY) is None


# ---------------------------------------------------------------- shapes


def a_list(prices: Any, batch: Any = None, **more: Any) -> PriceList:
    """Of one model, `claude-x-1`."""
    matches = SimpleNamespace(is_match=lambda name: name.startswith("claude-x-1"))
    variants = None if batch is None else [PriceVariant(when={"processing": "batch"}, prices=batch)]
    model = ModelInfo(id="claude-x-1", match=matches, prices=prices, price_variants=variants)  # type: ignore[arg-type]
    for name, value in more.items():
        setattr(model, name, value)
    return PriceList(models=[model], source="a list")


def some_prices(share: str = "1", /, **more: Any) -> ModelPrice:
    numbers = {"input_mtok": "4", "cache_write_mtok": "5", "cache_write_1h_mtok": "8", "cache_read_mtok": "0.2"}
    prices = {name: Decimal(said) * Decimal(share) for name, said in {**numbers, "output_mtok": "20"}.items()}
    searches = {"web_searches_kcount": Decimal(10)} if share == "1" else {}
    return ModelPrice(**{**prices, **searches, **more})


def tiered(base: str, *tiers: tuple[int, str]) -> TieredPrices:
    return TieredPrices(Decimal(base), [Tier(start, Decimal(price)) for start, price in tiers])


def test_what_is_listed_whole_needs_no_note() -> None:
    model_prices = a_list(some_prices(), some_prices("0.5")).model_prices("claude-x-1", DAY)
    assert model_prices is not None
    assert model_prices.note == ""
    assert model_prices.source == "a list"
    assert model_prices.tiers[0].real_time == Prices(
        input=Decimal(4), write_5m=Decimal(5), write_1h=Decimal(8), read=Decimal("0.2"), output=Decimal(20)
    )


@pytest.mark.parametrize(
    ("batch", "note"),
    [
        (None, NO_BATCH_PRICE),
        (some_prices("0.4"), NOT_HALF),
        (some_prices("0.5", output_mtok=Decimal(9)), NOT_HALF),
        (some_prices("0.5", output_mtok=Decimal(0)), NOT_HALF),
        (some_prices("0.5", output_mtok=Decimal("NaN")), NOT_HALF),
        (ModelPrice(input_mtok=Decimal(2), output_mtok=Decimal(10)), NOT_HALF),
        (some_prices("0.5", web_searches_kcount=Decimal(5)), ""),
        (some_prices("0.5", input_mtok=tiered("2", (100_000, "4"))), NOT_HALF),
    ],
)
def test_a_batch_price_that_is_not_half_is_not_believed(batch: ModelPrice | None, note: str) -> None:
    model_prices = a_list(some_prices(), batch).model_prices("claude-x-1", DAY)
    assert model_prices is not None
    assert model_prices.note == note
    assert all(tier.batch == tier.real_time.scaled(Decimal("0.5")) for tier in model_prices.tiers)
    assert model_prices.tiers[0].batch.web_search == 10


@pytest.mark.parametrize(
    "nothing", [None, Decimal(0), Decimal(-1), Decimal("NaN"), Decimal("Infinity"), Decimal("1E+9")]
)
@pytest.mark.parametrize(
    ("name", "said", "of", "amount"),
    [
        ("cache_write_mtok", "5 m cache writes (1.25 of input)", "write_5m", "5"),
        ("cache_write_1h_mtok", "1 h cache writes (2 of input)", "write_1h", "8"),
        ("web_searches_kcount", "web searches (10 per 1,000)", "web_search", "10"),
    ],
)
def test_what_a_rule_can_stand_in_for_is_inferred_and_said(
    name: str, said: str, of: str, amount: str, nothing: Decimal | None
) -> None:
    model_prices = a_list(some_prices(**{name: nothing})).model_prices("claude-x-1", DAY)
    assert model_prices is not None
    assert said in model_prices.note
    assert getattr(model_prices.tiers[0].real_time, of) == Decimal(amount)


@pytest.mark.parametrize(
    "nothing", [None, Decimal(0), Decimal(-1), Decimal("NaN"), Decimal("Infinity"), Decimal("1E+9")]
)
@pytest.mark.parametrize("name", ["input_mtok", "output_mtok", "cache_read_mtok"])
def test_what_no_rule_can_stand_in_for_is_unknown(name: str, nothing: Decimal | None) -> None:
    assert a_list(some_prices(**{name: nothing})).model_prices("claude-x-1", DAY) is None


def test_steps_are_those_that_usage_is_summed_by_or_none() -> None:
    tiers = a_list(some_prices(input_mtok=tiered("4", (200_000, "8")), output_mtok=tiered("20", (100_000, "30"))))
    model_prices = tiers.model_prices("claude-x-1", DAY)
    assert model_prices is not None
    assert [tier.over for tier in model_prices.tiers] == [0, 100_000, 200_000]
    assert [(tier.real_time.input, tier.real_time.output) for tier in model_prices.tiers] == [
        (Decimal(4), Decimal(20)),
        (Decimal(4), Decimal(30)),
        (Decimal(8), Decimal(30)),
    ]
    assert a_list(some_prices(input_mtok=tiered("4", (128_000, "8")))).model_prices("claude-x-1", DAY) is None


def raising(error: Exception) -> Callable[..., Any]:
    def call(*_: Any) -> Any:
        raise error

    return call


@pytest.mark.parametrize(
    "model",
    [
        a_list([]),
        a_list(None),
        a_list({"input_mtok": 4}),
        a_list(some_prices(input_mtok=4.0)),
        a_list(some_prices(input_mtok="4")),
        a_list(some_prices(input_mtok=SimpleNamespace(base=Decimal(4)))),
        a_list(some_prices(input_mtok=SimpleNamespace(base=Decimal(4), tiers=[SimpleNamespace(begin=1)]))),
        a_list(some_prices(), price_variants=[SimpleNamespace(when=3)]),
        a_list(some_prices(), match=None),
        a_list(some_prices(), get_prices=raising(TypeError("an argument is missing"))),
        a_list(some_prices(), get_prices=raising(ZeroDivisionError())),
        PriceList(models=[SimpleNamespace(id=3)], source="a list"),
        PriceList(models=[SimpleNamespace(name="claude-x-1")], source="a list"),
        PriceList(models=[None], source="a list"),
        PriceList(models=(), source="a list"),
    ],
)
def test_a_shape_of_another_version_has_no_price(model: PriceList) -> None:
    assert model.model_prices("claude-x-1", DAY) is None
    assert model.ids in {("claude-x-1",), ("3",), ()}
    assert model.served == ()


def test_a_package_without_our_provider_has_no_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "PROVIDER", "nobody")
    assert PriceCatalog().model_prices("claude-opus-5-5", DAY) is None
    assert PriceCatalog().models == ()


def test_all_prices_name_their_source_and_day() -> None:
    model_prices = the_prices("claude-opus-5-5")
    assert model_prices.source == f"genai-prices {genai_prices.__version__}"
    assert model_prices.day == DAY


def test_newest_first_and_of_one_version_the_dearest() -> None:
    def model_prices(model: str, input_: int) -> ModelPrices:
        price = Decimal(input_)
        prices = Prices(input=price, write_5m=price, write_1h=price, read=price, output=price)
        tiers = (PriceTier(over=0, real_time=prices, batch=prices),)
        return ModelPrices(model=model, day=DAY, source="a list", tiers=tiers)

    given = (
        model_prices("a-opus-5", 5),
        model_prices("a-haiku-5-5", 1),
        model_prices("house", 9),
        model_prices("a-3-opus", 15),
        model_prices("a-opus-5-5", 4),
    )
    assert [one.model for one in newest_first(given)] == ["a-opus-5-5", "a-haiku-5-5", "a-opus-5", "a-3-opus", "house"]
