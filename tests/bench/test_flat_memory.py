"""More requests take no more memory: the peaks of whole processes, measured from outside."""

import json
from pathlib import Path

import pytest

from benchmarks.inputs import Shape, Shelf
from benchmarks.measuring import BATCHCTL, measured, sinking, surroundings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# Of fewer, the last batches come home before all the workers have had a whole one: the peak is still on its way up.
FEW, MANY, VERY_MANY = 300_000, 1_000_000, 10_000_000
# From one run to the next a peak differs by a tenth; 18 bytes that were kept of each request would show.
LARGER_AT_MOST = 1.15
# More than the program takes for an input of one line.
ABOVE_IMPORTS_AT_MOST = 64 << 20


def peaks_of_a_job(folder: Path, shelf: Shelf, count: int) -> dict[str, int]:
    """Peak bytes of each command of a job of `count` requests, from the plan to the merged files."""
    source = shelf.requests(Shape(), count)
    place = folder / str(count)
    place.mkdir()
    peaks = {}
    with sinking(shelf.results(Shape(), count, source)) as far:
        env = surroundings(folder, far.url)
        verbs: dict[str, list[str | Path]] = {
            "submit": ["submit", source, "--equal-sizes", "--yes"],
            "fetch": ["fetch"],
            "merge": ["fetch"],
            "retry": ["retry", "--dry-run"],
        }
        for name, words in verbs.items():
            taken, _ = measured([*BATCHCTL, *words, "-q"], place, env, expected=(0, 3))
            peaks[name] = taken.peak_bytes
    with next(place.glob("*.results.jsonl")).open("rb") as results:
        assert sum(1 for _ in results) == count
    return peaks


def test_more_requests_take_no_more_memory(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "made")
    few, many = (peaks_of_a_job(tmp_path, shelf, count) for count in (FEW, MANY))
    assert {name: many[name] / few[name] for name in many if many[name] > few[name] * LARGER_AT_MOST} == {}, (few, many)


@pytest.mark.parametrize("unordered", [False, True])
def test_ten_million_ids_are_told_apart_in_little_memory(tmp_path: Path, *, unordered: bool) -> None:
    shelf = Shelf(tmp_path / "made")
    shape = Shape(kind="ids", unordered=unordered)
    peaks = []
    for count in (1, VERY_MANY):
        command: list[str | Path] = [*BATCHCTL, "submit", shelf.requests(shape, count), "--dry-run", "-q"]
        taken, _ = measured(command, tmp_path, surroundings(tmp_path))
        peaks.append(taken.peak_bytes)
    assert peaks[1] - peaks[0] < ABOVE_IMPORTS_AT_MOST, peaks


LONG_LINE_BYTES = 60_000_000
# As much as the line itself, once more for its JSON, and once for its text.
TIMES_A_LINE_AT_MOST = 3


def test_a_long_line_takes_three_times_its_size_at_most(tmp_path: Path) -> None:
    peaks = []
    for name, size in (("short", 20), ("long", LONG_LINE_BYTES)):
        params = {"model": "claude-haiku-4-5", "max_tokens": 16, "messages": [{"role": "user", "content": "y" * size}]}
        source = tmp_path / f"{name}.jsonl"
        source.write_text(json.dumps({"custom_id": "a", "params": params}) + "\n")
        command: list[str | Path] = [*BATCHCTL, "submit", source, "--dry-run", "-q"]
        taken, _ = measured(command, tmp_path, surroundings(tmp_path))
        peaks.append(taken.peak_bytes)
    assert peaks[1] - peaks[0] < TIMES_A_LINE_AT_MOST * LONG_LINE_BYTES, peaks
