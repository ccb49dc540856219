import datetime as dt
import io
from decimal import Decimal

import pytest
from rich.console import Console

from batchctl.domain.prices import ModelPrices, Prices, PriceTier
from batchctl.money.catalog import PriceTable
from batchctl.render import json_output, prices
from batchctl.requests.rules import Rule

DAY = dt.date(2026, 11, 21)
EVIL = "\x1b[31mred\u202e"


def some_prices(model: str = "claude-x", price: str = "4", **more: str) -> ModelPrices:
    amount = Decimal(price)
    of = Prices(input=amount, write_5m=amount, write_1h=amount, read=amount, output=amount)
    tiers = (PriceTier(over=0, real_time=of, batch=of.scaled(Decimal("0.5"))),)
    return ModelPrices(**{"model": model, "day": DAY, "source": "a list", "tiers": tiers, **more})  # type: ignore[arg-type]


def drawn(table: PriceTable, *, is_one: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=80, markup=False, highlight=False)
    console.print(prices.draw(table) if is_one else prices.draw_all(table))
    return out.getvalue()


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ("4", "4.00"),
        ("12.5", "12.50"),
        ("0.0625", "0.0625"),
        ("0.10", "0.10"),
        ("1E+3", "1000.00"),
        ("0.000001", "0.000001"),
    ],
)
def test_an_amount_has_cents_and_more_places_only_where_they_are_needed(price: str, said: str) -> None:
    assert said in drawn(PriceTable(day=DAY, model_prices_list=(some_prices(price=price),)))


def test_a_source_that_is_not_everybodys_names_its_models() -> None:
    model_prices_list = (
        some_prices("one"),
        some_prices("two"),
        some_prices("three", source="prices.toml", note="by hand"),
    )
    out = drawn(PriceTable(day=DAY, model_prices_list=model_prices_list))
    assert "prices: a list\nprices: prices.toml (three)\n! by hand (three)\n" in out


def test_no_model_at_all_is_still_a_table() -> None:
    out = drawn(PriceTable(day=DAY, model_prices_list=(), unpriced=("one",)))
    assert "! no price that can be used: one" in out


def test_a_rule_is_told_from_the_place_that_it_is_about() -> None:
    rules = [
        Rule(code="x", path="top_p", cure="remove it", evidence="docs", sources=(), seen=DAY, **more)
        for more in ({"message": "not with temperature"}, {"message": "{value}: no", "values": ("a", "b")})
    ]
    out = io.StringIO()
    Console(file=out, width=80).print(prices.draw(PriceTable(day=DAY, model_prices_list=(some_prices(),)), rules))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines[-2:] == ["  top_p: not with temperature: remove it", '  top_p "a", "b": remove it']


def test_text_from_outside_cannot_move_the_terminal() -> None:
    table = PriceTable(day=DAY, model_prices_list=(some_prices(EVIL, source=EVIL, note=EVIL),), unpriced=(EVIL,))
    assert not set("\x1b\u202e") & set(drawn(table) + drawn(table, is_one=True))
    out = io.StringIO()
    json_output.write(out, prices.to_json(table, "next"))
    assert not set("\x1b\u202e") & set(out.getvalue())
