"""What a limit says to what a job did cost and may still come to."""

from dataclasses import replace
from decimal import Decimal

import pytest

from batchctl.domain.prices import Forecast
from batchctl.money.budget import BudgetVerdict, budget_verdict, most_of_part, most_of_round

FORECAST = Forecast(low=Decimal(1), expected=Decimal(2), high=Decimal(4), how="assumed")
NO_BOUND = replace(FORECAST, is_bound=False)


@pytest.mark.parametrize(
    ("limit", "amounts", "expected"),
    [
        ("5", [], BudgetVerdict.WITHIN),
        ("5", ["5"], BudgetVerdict.WITHIN),
        ("5", ["5.000000001"], BudgetVerdict.OVER),
        ("5", ["2", "3"], BudgetVerdict.WITHIN),
        ("5", ["2", "3.01"], BudgetVerdict.OVER),
        ("0", ["0"], BudgetVerdict.WITHIN),
        ("0", ["0.0000001"], BudgetVerdict.OVER),
        ("5", [None], BudgetVerdict.UNKNOWN),
        ("5", ["2", None], BudgetVerdict.UNKNOWN),
        ("5", [None, "6"], BudgetVerdict.OVER),
    ],
)
def test_a_limit_is_held_against_all_of_it_together(
    limit: str, amounts: list[str | None], expected: BudgetVerdict
) -> None:
    assert budget_verdict(Decimal(limit), *_amounts(amounts)) is expected


def _amounts(written: list[str | None]) -> list[Decimal | None]:
    return [None if amount is None else Decimal(amount) for amount in written]


@pytest.mark.parametrize(
    ("billed", "forecast", "expected"),
    [
        ([], FORECAST, ["0"]),
        (["0.25", "0.5"], FORECAST, ["0.75"]),
        (["0.25", "0.5"], None, ["0.75"]),
        (["0.25", None], FORECAST, ["4"]),
        (["0.25", None], None, ["0.25", None]),
        (["30", None], FORECAST, ["30"]),
        (["0.25", None], NO_BOUND, ["4", None]),
        (["30", None], NO_BOUND, ["30", None]),
        (["0.25", "0.5"], NO_BOUND, ["0.75"]),
    ],
)
def test_a_round_comes_to_what_it_cost_or_at_most_to_its_estimate(
    billed: list[str | None], forecast: Forecast | None, expected: list[str | None]
) -> None:
    assert list(most_of_round(_amounts(billed), forecast)) == _amounts(expected)


@pytest.mark.parametrize(
    ("own", "whole", "expected"),
    [
        ("3", "4", ["3"]),
        ("5", "4", ["4"]),
        ("3 no bound", "4", ["4"]),
        ("3", "4 no bound", ["3"]),
        ("3 no bound", "4 no bound", ["3", None]),
        (None, "4", ["4"]),
        (None, "4 no bound", ["4", None]),
        ("3", None, ["3"]),
        (None, None, ["0", None]),
    ],
)
def test_a_part_of_a_round_comes_to_its_own_estimate_at_most_and_never_to_more_than_all_of_it(
    own: str | None, whole: str | None, expected: list[str | None]
) -> None:
    assert list(most_of_part(_forecast(own), _forecast(whole))) == _amounts(expected)


def _forecast(written: str | None) -> Forecast | None:
    if written is None:
        return None
    high, _, rest = written.partition(" ")
    return replace(FORECAST, high=Decimal(high), is_bound=not rest)
