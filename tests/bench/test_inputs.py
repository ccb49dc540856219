import json
from itertools import pairwise
from pathlib import Path

import pytest
from program import Cli

from benchmarks.inputs import Shape, Shelf, request_lines, result_lines

pytestmark = pytest.mark.slow

SHAPES = (
    Shape(),
    Shape(kind="document"),
    Shape(kind="ids"),
    Shape(unordered=True),
    Shape(id_last=True),
    Shape(kind="document", unordered=True, id_last=True),
)
NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_the_lines_are_the_same_each_time_and_pass_the_check(shape: Shape, tmp_path: Path) -> None:
    paths = [Shelf(tmp_path / name).requests(shape, 200) for name in ("one", "other")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    ran = Cli(tmp_path, NOBODY).run("submit", paths[0], "--dry-run")
    assert ran.status == 0, ran.err
    assert "200 requests" in ran.out + ran.err
    assert "warning" not in ran.err


@pytest.mark.parametrize(("kind", "least", "most"), [("small", 500, 560), ("document", 5_500, 6_500), ("ids", 80, 140)])
def test_lines_are_as_long_as_they_are_said_to_be(kind: str, least: int, most: int) -> None:
    lines = [line.encode() for line in request_lines(Shape(kind=kind), 500)]
    assert least < sum(map(len, lines)) / len(lines) < most


def test_the_first_lines_are_the_same_whatever_the_count() -> None:
    few, many = (list(request_lines(Shape(), count)) for count in (10, 100))
    assert many[:10] == few


def test_ids_without_order_are_each_there_once() -> None:
    ids = [Shape(unordered=True).custom_id(number) for number in range(10_000)]
    assert len(set(ids)) == len(ids)
    assert sum(one < other for one, other in pairwise(ids)) < 9_000


def test_a_batch_comes_back_shuffled_with_its_share_of_failures() -> None:
    lines, counts = result_lines(Shape(), 3, 10_000)
    again, _ = result_lines(Shape(), 3, 10_000)
    assert lines == again
    ids = [json.loads(line)["custom_id"] for line in lines]
    assert ids != sorted(ids)
    assert sorted(ids) == [Shape().custom_id(number) for number in range(30_000, 40_000)]
    assert counts.total() == 10_000
    assert 200 < counts["errored"] < 400
    assert 20 < counts["expired"] < 80


def test_what_was_made_is_not_made_again(shelf_at: Shelf) -> None:
    source = shelf_at.requests(Shape(), 50)
    made = source.stat().st_ino
    assert shelf_at.requests(Shape(), 50).stat().st_ino == made


@pytest.fixture
def shelf_at(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "made")
