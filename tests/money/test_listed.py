"""A list that was fetched: whatever it holds, it is refused, or it can be read again and priced from."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.errors import ServiceProblem
from batchctl.money.catalog import PriceCatalog
from batchctl.money.listed import KNOWN, checked, newest

NOW = dt.datetime(2026, 11, 21, 8, tzinfo=dt.UTC)
PRICES = {"input_mtok": 4.1, "cache_read_mtok": 0.2, "output_mtok": 20}
MATCHES = st.sampled_from(["starts_with", "ends_with", "contains", "regex", "equals", "or", "and", "of_tomorrow"])
NUMBERS = st.one_of(st.none(), st.integers(-(10**20), 10**20), st.floats(allow_nan=True), st.text(max_size=8))
ANYTHING = st.recursive(
    st.one_of(NUMBERS, st.booleans()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            MATCHES | st.sampled_from(["prices", "constraint", "when", "base", "tiers", "input_mtok"]), inner
        )
    ),
    max_leaves=8,
)
A_MODEL = st.fixed_dictionaries(
    {"id": st.sampled_from(["claude-x-1", "", "claude-x-latest"]) | ANYTHING},
    optional={
        "match": st.dictionaries(MATCHES, st.sampled_from(["claude-x", "(", "[", ".*"]) | ANYTHING, max_size=1)
        | ANYTHING,
        "prices": st.dictionaries(st.sampled_from(sorted(PRICES)), NUMBERS | ANYTHING) | ANYTHING,
        "price_variants": ANYTHING,
    },
)


def a_list(*more: Any) -> bytes:
    known = [{"id": name, "match": {"equals": name}, "prices": PRICES} for name in KNOWN]
    return json.dumps([{"id": "anthropic", "name": "A", "api_pattern": "x", "models": [*known, *more]}]).encode()


@given(model=A_MODEL)
def test_whatever_a_list_holds_it_is_refused_or_can_be_used(
    tmp_path_factory: pytest.TempPathFactory, model: Any
) -> None:
    try:
        kept = checked(a_list(model), NOW)
    except ServiceProblem:
        return
    path = tmp_path_factory.mktemp("list") / "prices.json"
    path.write_bytes(kept)
    price_catalog = PriceCatalog(None, [path])
    assert price_catalog.source == "genai-prices list of 2026-11-21"
    for name in price_catalog.models:
        model_prices = price_catalog.model_prices(name, NOW.date())
        assert model_prices is None or model_prices.tiers[0].real_time.input > 0


@given(kept=st.binary(max_size=40) | ANYTHING.map(lambda shape: json.dumps(shape).encode()))
def test_whatever_lies_where_a_list_is_kept_hinders_nobody(
    tmp_path_factory: pytest.TempPathFactory, kept: bytes
) -> None:
    path = tmp_path_factory.mktemp("list") / "prices.json"
    path.write_bytes(kept)
    found = newest([path, path.parent / "nothing", path / "nothing"])
    assert found.source.startswith("genai-prices 0")
    assert found.warning.startswith(f"{path} cannot be read")


def test_of_two_lists_the_last_one_counts(tmp_path: Path) -> None:
    for day in (3, 1, 2):
        (tmp_path / f"{day}.json").write_bytes(checked(a_list(), NOW.replace(day=day)))
    assert newest(tmp_path.glob("*.json")).source == "genai-prices list of 2026-11-03"
    (tmp_path / "3.json").write_text("{")
    found = newest(tmp_path.glob("*.json"))
    assert found.source == "genai-prices list of 2026-11-02"
    assert "3.json cannot be read" in found.warning
