"""Private prices: read exactly as they were written, and a slip is named."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from batchctl.domain.errors import UsageProblem
from batchctl.domain.prices import ModelPrices, Prices
from batchctl.money.catalog import PriceCatalog

DAY = dt.date(2026, 11, 21)
OF_MODEL = "the keys are: input, output, write_5m, write_1h, read, web_search, batch, steps"
OF_TIER = "the keys are: over, input, output, write_5m, write_1h, read"
SHORT = '[models."claude-opus-5-5"]\ninput = 3.60\noutput = 18\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prices.toml"


def read(path: Path, text: str, model: str = "claude-opus-5-5") -> ModelPrices | None:
    path.write_text(text, "utf-8")
    return PriceCatalog(path).model_prices(model, DAY)


def numbers(prices: Prices) -> dict[str, str]:
    return {name: str(getattr(prices, name)) for name in Prices.__slots__}


def test_what_is_left_out_is_a_usual_multiple_of_input(path: Path) -> None:
    model_prices = read(path, SHORT)
    assert model_prices is not None
    assert (model_prices.model, model_prices.day, model_prices.source, model_prices.note) == (
        "claude-opus-5-5",
        DAY,
        "prices.toml",
        "",
    )
    (tier,) = model_prices.tiers
    assert tier.real_time == Prices(
        input=Decimal("3.6"),
        write_5m=Decimal("4.5"),
        write_1h=Decimal("7.2"),
        read=Decimal("0.36"),
        output=Decimal(18),
        web_search=Decimal(10),
    )
    assert tier.batch == tier.real_time.scaled(Decimal("0.5"))


def test_every_number_is_taken_as_it_is_written(path: Path) -> None:
    model_prices = read(
        path,
        """
        [models."house-model.v2"]
        input = 0.1
        output = 1_000.30
        write_5m = 1e-3
        write_1h = 0.000000000001
        read = 0
        web_search = 7.25
        batch = 0.35
        [[models."house-model.v2".steps]]
        over = 200000
        input = 0.7
        output = 3
        [[models."house-model.v2".steps]]
        over = 100_000
        input = 0.3
        output = 2
        read = 0.01
        """,
        "house-model.v2",
    )
    assert model_prices is not None
    assert [tier.over for tier in model_prices.tiers] == [0, 100_000, 200_000]
    assert numbers(model_prices.tiers[0].real_time) == {
        "input": "0.1",
        "output": "1000.30",
        "write_5m": "0.001",
        "write_1h": "1E-12",
        "read": "0",
        "web_search": "7.25",
    }
    assert numbers(model_prices.tiers[1].real_time) == {
        "input": "0.3",
        "output": "2",
        "write_5m": "0.375",
        "write_1h": "0.6",
        "read": "0.01",
        "web_search": "7.25",
    }
    assert model_prices.tiers[2].batch.input == Decimal("0.245")
    assert model_prices.tiers[2].batch.web_search == Decimal("7.25")


def test_a_private_price_goes_before_the_list_and_leaves_other_models_alone(path: Path) -> None:
    path.write_text(SHORT)
    price_catalog = PriceCatalog(path)
    assert price_catalog.models[0] == price_catalog.served[0] == "claude-opus-5-5"
    assert len(set(price_catalog.models)) == len(price_catalog.models)
    sonnet = price_catalog.model_prices("claude-sonnet-5-5", DAY)
    assert sonnet is not None
    assert sonnet.source.startswith("genai-prices")


def test_it_is_for_the_dated_forms_of_a_model_as_well_and_for_no_other(path: Path) -> None:
    text = (
        '[models."claude-haiku-4-5"]\ninput = 2\noutput = 6\n[models."claude-haiku-4-5-20260101"]\ninput=3\noutput=7\n'
    )
    for model, source, input_ in (
        ("claude-haiku-4-5", "prices.toml", "2"),
        ("claude-haiku-4-5-20251001", "prices.toml", "2"),
        ("claude-haiku-4-5-20260101", "prices.toml", "3"),
        ("claude-haiku-5-5", "genai-prices 0.2.3", "0.1"),
    ):
        model_prices = read(path, text, model)
        assert model_prices is not None
        assert model_prices.source == source
        assert model_prices.tiers[0].real_time.input == Decimal(input_)
    assert read(path, text, "claude-haiku-4-5-turbo") is None


def test_a_model_that_no_list_has_gets_a_price(path: Path) -> None:
    assert read(path, "", "claude-mythos-5") is None
    model_prices = read(path, SHORT.replace("claude-opus-5-5", "claude-mythos-5"), "claude-mythos-5")
    assert model_prices is not None


@pytest.mark.parametrize(
    ("name", "is_slip"),
    [
        ("claude-opus-5.5", True),
        ("claude-opus5-5", True),
        ("house-model", False),
        ("claude-opus-5-6", False),
        ("claude-opus-5-5-20261001", False),
    ],
)
def test_a_name_that_is_nearly_a_listed_one_is_said_with_the_price_of_that_one(
    path: Path, name: str, *, is_slip: bool
) -> None:
    model_prices = read(path, SHORT.replace("claude-opus-5-5", name), "claude-opus-5-5")
    assert model_prices is not None
    assert model_prices.source.startswith("genai-prices")
    assert (name in model_prices.note) is is_slip


@pytest.mark.parametrize("text", ["", "[models]\n", "# nothing yet\n", "\ufeff"])
def test_an_empty_file_changes_nothing(path: Path, text: str) -> None:
    model_prices = read(path, text)
    assert model_prices is not None
    assert model_prices.source.startswith("genai-prices")


ON_OPUS = '[models."claude-opus-5-5"]: '
ON_TIER = '[[models."claude-opus-5-5".steps]] 1: '
A_TIER = '[[models."claude-opus-5-5".steps]]\nover = 100000\ninput = 1\noutput = 1\n'


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (SHORT + "inptu = 1", ON_OPUS + "unknown key: 'inptu'", OF_MODEL),
        (SHORT + "write5m = 1\ncache = 2", ON_OPUS + "unknown key: 'write5m', 'cache'", OF_MODEL),
        ("[model.x]\ninput = 1", "the file: unknown key: 'model'", "the keys are: models"),
        ("input = 1", "the file: unknown key: 'input'", "the keys are: models"),
        ("models = 3", 'the file: models must be a table, like [models."claude-opus-5-5"]', "the keys are: models"),
        ("[models]\nx = 3", '[models."x"]: must be a table', OF_MODEL),
        ("[[models.x]]\ninput = 1", '[models."x"]: must be a table', OF_MODEL),
        ("[models.claude-haiku-4.5]\ninput = 1", "[models.\"claude-haiku-4\"]: unknown key: '5'", OF_MODEL),
        ("[models.x]\ninput = 1", '[models."x"]: output is missing', OF_MODEL),
        ("[models.x]\noutput = 1", '[models."x"]: input is missing', OF_MODEL),
        (SHORT.replace("3.60", "-3.60"), ON_OPUS + "input = -3.60 must be from 0 to 1,000,000", OF_MODEL),
        (SHORT.replace("3.60", "nan"), ON_OPUS + "input = NaN is not a number", OF_MODEL),
        (SHORT.replace("3.60", "-inf"), ON_OPUS + "input = -Infinity is not a number", OF_MODEL),
        (SHORT.replace("3.60", '"3.60"'), ON_OPUS + "input = '3.60' is not a number", OF_MODEL),
        (SHORT.replace("3.60", "true"), ON_OPUS + "input = True is not a number", OF_MODEL),
        (SHORT.replace("3.60", "[3]"), ON_OPUS + "input = [3] is not a number", OF_MODEL),
        (SHORT.replace("3.60", "1e6000"), ON_OPUS + "input = 1E+6000 must be from 0 to 1,000,000", OF_MODEL),
        (SHORT.replace("3.60", "1000001"), ON_OPUS + "input = 1000001 must be from 0 to 1,000,000", OF_MODEL),
        (SHORT + "read = 1e-13", ON_OPUS + "read has more than 12 decimal places", OF_MODEL),
        (SHORT + "read = 1e-999999", ON_OPUS + "read has more than 12 decimal places", OF_MODEL),
        (SHORT + "batch = 50", ON_OPUS + "batch = 50 must be from 0 to 1", OF_MODEL),
        (SHORT + "batch = 0", ON_OPUS + "batch = 0 would be free; it must be the share of the real-time price", OF_MODEL),
        (SHORT + "steps = 3", ON_OPUS + "steps must be a list of tables, like [[models.", OF_MODEL),
        (SHORT + "steps = [3]", ON_TIER + "must be a table", OF_TIER),
        (SHORT + A_TIER + "batch = 1", ON_TIER + "unknown key: 'batch'", OF_TIER),
        (SHORT + A_TIER.replace("over = 100000", ""), ON_TIER + "over is missing", OF_TIER),
        (SHORT + A_TIER.replace("100000", "128000"), ON_TIER + "over = 128000 must be one of 100000, 200000", OF_TIER),
        (SHORT + A_TIER.replace("100000", "100000.5"), ON_TIER + "over = 100000.5 must be one of 100000, 200000", OF_TIER),
        (SHORT + A_TIER.replace("100000", "0"), ON_TIER + "over = 0 must be one of 100000, 200000", OF_TIER),
        (SHORT + A_TIER * 2, '[[models."claude-opus-5-5".steps]] 2: over = 100000 occurs twice', OF_TIER),
        (SHORT + A_TIER.replace("output = 1", ""), ON_TIER + "output is missing", OF_TIER),
        (SHORT + "read 1", "not TOML: Expected '=' after a key in a key/value pair (at line 4, column 6)", "begin with"),
        (SHORT + SHORT, "not TOML: Cannot declare ('models', 'claude-opus-5-5') twice (at line 4", "begin with"),
        ("input = 1e99999999999999999999", "not TOML: ", "begin with"),
        ("input = " + "9" * 5000, "not TOML: ", "begin with"),
        ("a = " + "[" * 5000, "not TOML: ", "begin with"),
        ("#" * 1_000_001, "too large for a price file", ""),
    ],
)  # fmt: skip
def test_a_slip_is_refused_by_its_name(path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageProblem) as problem:
        read(path, text)
    assert problem.value.message.startswith(f"{path}: {message}")
    assert problem.value.hint.startswith(hint)


def test_a_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for name, said in (
        ("nothing.toml", "No such file or directory"),
        ("", "Is a directory"),
        ("binary.toml", "not TOML"),
    ):
        with pytest.raises(UsageProblem, match=said):
            PriceCatalog(tmp_path / name).model_prices("claude-opus-5-5", DAY)


def test_nothing_is_read_before_a_price_is_asked_for(path: Path) -> None:
    price_catalog = PriceCatalog(path)
    path.write_text(SHORT)
    assert price_catalog.model_prices("claude-opus-5-5", DAY) is not None
