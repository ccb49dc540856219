from dataclasses import replace

import pytest

from benchmarks.report import (
    Bound,
    Row,
    Run,
    Spread,
    between,
    figure,
    less,
    ratios,
    row_table,
    run_table,
    spread,
    total,
)
from benchmarks.rows import Findings, aims, growth, others

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


def test_a_part_is_taken_out_and_nothing_is_less_than_nothing() -> None:
    assert less([3.0, 1.0], 2.0) == [1.0, 0.0]
    assert total([1.0, 2.0], [3.0, 4.0]) == [4.0, 6.0]


@pytest.mark.parametrize(
    ("bound", "holding", "failing"), [(AT_MOST, [0.5, 2.0], [2.01]), (AT_LEAST, [12.0, 20.0], [11.9])]
)
def test_a_bound_holds_up_to_its_limit(bound: Bound, holding: list[float], failing: list[float]) -> None:
    assert all(bound.holds(value) for value in holding)
    assert not any(bound.holds(value) for value in failing)


def _row(value: float | None) -> Row:
    found = None if value is None else Spread(value, value, value)
    return Row(work="work", whole=found, must=Bound(2.0), moonshot=Bound(1.0))


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (_row(0.9), "moonshot"),
        (_row(1.5), "must"),
        (replace(_row(2.5), is_held=False), "of 1,000,000 only"),
        (replace(_row(None), is_held=False), "of 1,000,000 only"),
        (Row(work="work", whole=Spread(1, 1, 1)), ""),
    ],
)
def test_a_row_that_holds(row: Row, verdict: str) -> None:
    assert row.verdict == verdict
    assert not row.fails


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (_row(2.5), "**no**"),
        (_row(None), "not measured"),
        # Judged by what is net of start-up, of which there is nothing here.
        (replace(_row(0.9), is_net=True), "not measured"),
    ],
)
def test_a_row_that_fails(row: Row, verdict: str) -> None:
    assert row.verdict == verdict
    assert row.fails


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (1.0, "1"), (1.234, "1.23"), (17.55, "17.6"), (123.4, "123"), (12_345.0, "12,345")]
)
def test_a_figure_has_the_digits_that_are_worth_reading(value: float, shown: str) -> None:
    assert figure(value) == shown


def test_the_tables_say_what_was_found() -> None:
    assert "| work | - | **1.50x (1.50 to 1.50)** | ≤ 2x | ≤ 1x | must |" in row_table([_row(1.5)])
    assert "| cp | 2 | 2.000 (1.000 to 3.000) | 0.500 | 9 |" in run_table({"cp": [_run(1.0), _run(3.0)]})


def test_only_what_stands_between_the_markers_is_written_anew() -> None:
    assert between("a <b>old<e> c", "<b>", "<e>", "new") == "a <b>new<e> c"
    with pytest.raises(ValueError, match="no <b>"):
        between("a <b>old", "<b>", "<e>", "new")


# ---------------------------------------------------------------- rows


def _run(wall: float, peak_mb: float = 9) -> Run:
    return Run(wall=wall, cpu=0.5, peak_bytes=int(peak_mb * 1_000_000))


def _by_work(rows: list[Row], start: str) -> Row:
    return next(row for row in rows if row.work.startswith(start))


def test_send_is_judged_by_what_the_sink_saw() -> None:
    runs = {"send": [_run(3.0), _run(2.5)], "curl -T": [_run(0.5), _run(0.5)]}
    row = _by_work(aims(Findings(runs, {"send": [0.5, 1.0]}, {}, {}, 1_000_000, 10_000_000)), "send")
    assert row.net == Spread(1.5, 1.0, 2.0)
    assert row.whole == Spread(5.5, 5.0, 6.0)
    assert row.verdict == "must"


def test_a_fetch_has_its_merge_taken_out() -> None:
    runs = {"fetch": [_run(6.0)], "merge": [_run(2.0)], "curl -o": [_run(1.0)]}
    row = _by_work(aims(Findings(runs, {"fetch": [3.0]}, {}, {}, 1_000_000, 10_000_000)), "fetch")
    assert row.net == Spread(3.0, 3.0, 3.0)
    assert row.whole == Spread(4.0, 4.0, 4.0)
    assert row.fails


def test_summing_up_is_judged_by_whole_fetches() -> None:
    runs = {"fetch, summed up": [_run(5.5)], "fetch, not summed up": [_run(5.0)]}
    row = _by_work(aims(Findings(runs, {}, {}, {}, 1_000_000, 10_000_000)), "fetch, with what its answers used")
    assert row.judged == row.whole == Spread(1.1, 1.1, 1.1)
    assert row.verdict == "must"


def test_a_merge_is_judged_with_its_start_up() -> None:
    runs = {"merge": [_run(2.0)], "merge, one request": [_run(0.4), _run(0.5), _run(0.9)], "cp results": [_run(0.5)]}
    row = _by_work(aims(Findings(runs, {}, {}, {}, 1_000_000, 10_000_000)), "merge")
    assert row.net == Spread(3.0, 3.0, 3.0)
    assert row.judged == row.whole == Spread(4.0, 4.0, 4.0)
    assert row.verdict == "must"


def test_the_whole_job_has_its_retry_file_in_it() -> None:
    runs = {"naive script": [_run(50.0)], "whole job": [_run(4.0)], "whole job: retry file": [_run(1.0)]}
    row = _by_work(aims(Findings(runs, {}, {}, {}, 1_000_000, 10_000_000)), "whole job, times faster")
    assert row.whole == Spread(10.0, 10.0, 10.0)
    assert row.fails


def test_what_was_not_run_fails_where_there_is_a_must_and_is_left_out_elsewhere() -> None:
    nothing = Findings({}, {}, {}, {}, 1_000_000, 10_000_000)
    assert all(row.fails for row in aims(nothing))
    assert others(nothing) == []
    assert growth(nothing) == []


def test_a_peer_that_could_not_be_installed_says_so() -> None:
    found = Findings({}, {}, {}, {"instructor": "no way to get it"}, 1_000_000, 10_000_000)
    assert [row.why for row in others(found)] == ["no way to get it"] * 2
