import pytest

from benchmarks import rows
from benchmarks.report import Run
from benchmarks.rows import AIMS, Aim, Findings
from benchmarks.stages import CHECKER, FETCHER


def _runs(*walls: float, held_bytes: int = 0, processes: int = 1) -> list[Run]:
    return [Run(wall, wall, held_bytes, held_bytes, processes) for wall in walls]


def _found(runs: dict[str, list[Run]], count: int = 1_000_000) -> Findings:
    return Findings(runs, {}, count)


def test_net_is_without_what_the_same_command_takes_for_one_request() -> None:
    found = _found({"send": _runs(3.0, 1.0), "send, one request": _runs(1.0, 1.5, 2.0)})
    assert rows.net("send")(found) == [1.5, rows.NOTHING]


def test_a_fetch_is_without_its_merge() -> None:
    runs = {
        "fetch": _runs(8.0),
        "fetch, one request": _runs(1.0),
        "merge": _runs(2.5),
        "merge, one request": _runs(0.5),
    }
    assert rows.fetch()(_found(runs)) == [5.0]


def test_memory_is_that_above_the_imports_of_each_process_shared_out() -> None:
    commands = ("check", "send", "fetch", "merge", "retry file", "whole job")
    runs = {f"{name}, one request": _runs(1.0, held_bytes=100_000_000) for name in commands}
    runs |= {name: _runs(1.0, held_bytes=90_000_000) for name in commands}
    runs["fetch"] = _runs(1.0, held_bytes=250_000_000, processes=2)
    runs |= {CHECKER: _runs(1.0, held_bytes=10_000_000), FETCHER: _runs(1.0, held_bytes=70_000_000)}
    (row,) = (row for row in rows.aims(_found(runs)) if "memory" in row.work)
    assert row.value is not None
    assert row.value.median == 40


@pytest.mark.parametrize(
    ("count", "reason", "fails"), [(1_000_000, "", True), (1_000_000, "measured", False), (20_000, "", False)]
)
def test_times_faster_is_the_other_way_round_and_held_to_large_inputs(count: int, reason: str, *, fails: bool) -> None:
    ours, theirs = rows.wall("processes"), rows.wall("threads")
    aim = Aim(work="check", ours=ours, theirs=theirs, must=1.6, moonshot=1.8, at_least=True, reason=reason)
    row = aim.row(_found({"threads": _runs(3.0), "processes": _runs(2.0)}, count))
    assert row.value is not None
    assert row.value.median == 1.5
    assert row.fails == fails


def test_what_was_not_run_has_no_value_and_no_seconds() -> None:
    assert {row.verdict for row in rows.aims(_found({}))} == {"not measured"}
    assert {cell for line in rows.seconds(_found({})) for cell in line[1::2]} == {"-"}
    assert rows.growth(_found({})) == []


def test_a_moonshot_is_beyond_its_must() -> None:
    for aim in AIMS:
        assert (aim.moonshot > aim.must) == aim.at_least, aim.work
