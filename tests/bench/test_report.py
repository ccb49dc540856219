from dataclasses import replace

import pytest

from benchmarks.report import Bound, Row, Spread, between, ratios, row_table, spread

AT_MOST, AT_LEAST = Bound(2.0), Bound(12.0, at_least=True)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], Spread(3.0, 3.0, 3.0)),
        ([5.0, 1.0, 3.0], Spread(3.0, 1.0, 5.0)),
        ([4.0, 1.0, 2.0, 9.0], Spread(3.0, 1.0, 9.0)),
    ],
)
def test_a_spread_is_the_median_and_both_ends(values: list[float], expected: Spread) -> None:
    assert spread(values) == expected


def test_nothing_has_no_spread() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([2.0], [1.0], Spread(2.0, 2.0, 2.0)),
        # Each round against its own: a slow moment of the machine strikes both.
        ([2.0, 20.0, 3.0], [1.0, 10.0, 1.0], Spread(2.0, 2.0, 3.0)),
        ([0.0, 1.0, 4.0], [2.0, 2.0, 2.0], Spread(0.5, 0.0, 2.0)),
    ],
)
def test_ratios_are_taken_round_by_round(ours: list[float], theirs: list[float], expected: Spread) -> None:
    assert ratios(ours, theirs) == expected


def test_rounds_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        ratios([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("bound", "holding", "failing"), [(AT_MOST, [0.5, 2.0], [2.01]), (AT_LEAST, [12.0, 20.0], [11.9])]
)
def test_a_bound_holds_up_to_its_limit(bound: Bound, holding: list[float], failing: list[float]) -> None:
    assert all(bound.holds(value) for value in holding)
    assert not any(bound.holds(value) for value in failing)


def _row(value: float | None) -> Row:
    found = None if value is None else Spread(value, value, value)
    return Row(work="work", value=found, must=Bound(2.0), moonshot=Bound(1.0))


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (_row(0.9), "moonshot"),
        (_row(1.5), "must"),
        (replace(_row(2.5), is_held=False), "of 1,000,000 only"),
        (replace(_row(None), is_held=False), "of 1,000,000 only"),
        (replace(_row(2.5), reason="The disk."), "no, see below"),
        (replace(_row(1.5), reason="The disk."), "must"),
    ],
)
def test_a_row_that_holds_or_says_why_not(row: Row, verdict: str) -> None:
    assert row.verdict == verdict
    assert not row.fails


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (_row(2.5), "**no**"),
        (_row(None), "not measured"),
        # A reason is for what was measured.
        (replace(_row(None), reason="The disk."), "not measured"),
    ],
)
def test_a_row_that_fails(row: Row, verdict: str) -> None:
    assert row.verdict == verdict
    assert row.fails


def test_a_reason_is_shown_where_the_must_does_not_hold() -> None:
    missed = replace(_row(2.5), reason="The disk.")
    assert row_table([missed, _row(1.5)]).endswith("Why a must does not hold:\n\n- work: The disk.\n")
    assert "Why" not in row_table([_row(2.5), replace(_row(1.5), reason="The disk.")])


def test_only_what_stands_between_the_markers_is_written_anew() -> None:
    assert between("a <b>old<e> c", "<b>", "<e>", "new") == "a <b>new<e> c"
    with pytest.raises(ValueError, match="no <b>"):
        between("a <b>old", "<b>", "<e>", "new")
