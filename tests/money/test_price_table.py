import datetime as dt
from decimal import Decimal

import pytest

from batchctl.domain.prices import ModelPrices, Prices, PriceTier
from batchctl.money.price_table import is_form_of, newest_first, version


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("claude-opus-4-5-latest", "claude-opus-4-5"),
        ("claude-opus-4-0", "claude-opus-4-0"),
        ("claude-opus-4", "claude-opus-4-0"),
        ("claude-opus-4-20250514", "claude-opus-4-0"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-latest"),
        ("claude-3-5-haiku-20241022", "claude-3-5-haiku-latest"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5-20251001"),
    ],
)
def test_a_listed_model_is_itself_its_dated_form_and_its_latest(model: str, listed: str) -> None:
    assert is_form_of(model, listed)


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("claude-opus-5-5", "claude-opus-5"),
        ("claude-opus-4-50", "claude-opus-4-5"),
        ("claude-opus-4-5-0", "claude-opus-4-5"),
        ("claude-opus-4-1", "claude-opus-4-0"),
        ("claude-opus-4-5-2025110", "claude-opus-4-5"),
        ("claude-opus-4-5-20251101-latest", "claude-opus-4-5"),
        ("claude-opus-4-5-20251101\n", "claude-opus-4-5"),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
        ("claude-haiku-4-5-turbo", "claude-haiku-4-5"),
        ("", "claude-opus-5-5"),
    ],
)
def test_any_other_name_may_be_another_model(model: str, listed: str) -> None:
    assert not is_form_of(model, listed)


@pytest.mark.parametrize(
    ("model", "numbers"),
    [
        ("claude-opus-5", (5,)),
        ("claude-opus-4-5-20251101", (4, 5)),
        ("claude-3-5-haiku-latest", (3, 5)),
        ("house-model", ()),
    ],
)
def test_a_version_is_what_the_id_says_without_its_date(model: str, numbers: tuple[int, ...]) -> None:
    assert version(model) == numbers


def test_newest_first_and_of_one_version_the_dearest() -> None:
    def model_prices(model: str, input_: int) -> ModelPrices:
        price = Decimal(input_)
        prices = Prices(input=price, write_5m=price, write_1h=price, read=price, output=price)
        tiers = (PriceTier(over=0, real_time=prices, batch=prices),)
        return ModelPrices(model=model, day=dt.date(2026, 11, 21), source="a list", tiers=tiers)

    given = (
        model_prices("a-opus-5", 5),
        model_prices("a-haiku-5-5", 1),
        model_prices("house", 9),
        model_prices("a-3-opus", 15),
        model_prices("a-opus-5-5", 4),
    )
    assert [one.model for one in newest_first(given)] == ["a-opus-5-5", "a-haiku-5-5", "a-opus-5", "a-3-opus", "house"]
