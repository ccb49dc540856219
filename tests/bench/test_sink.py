"""The sink is far end enough for a whole job: every answer arrives, and what it counts is what was asked."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Cli, ids

from benchmarks.inputs import Shape, Shelf
from benchmarks.sink import Sink

pytestmark = pytest.mark.slow

COUNT = 400


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "made")


@pytest.fixture
def sink(shelf: Shelf) -> Iterator[Sink]:
    """It has the results of an input of COUNT small requests."""
    sink = Sink([shelf.results(Shape(), COUNT, shelf.requests(Shape(), COUNT))])
    serving = threading.Thread(target=sink.serve)
    serving.start()
    yield sink
    sink.close()
    serving.join(10)
    assert not serving.is_alive()


@pytest.fixture
def cli(tmp_path: Path, sink: Sink) -> Cli:
    folder = tmp_path / "here"
    folder.mkdir()
    return Cli(folder, sink.base_url)


def test_a_whole_job_ends_with_every_answer(cli: Cli, shelf: Shelf) -> None:
    ran = cli.run("run", shelf.requests(Shape(), COUNT), "--name", "job")
    assert ran.status == 3, ran.err
    assert ids(cli.results("job")) == [Shape().custom_id(number) for number in range(COUNT)]
    # What failed for a passing reason succeeded when it was sent again.
    assert {error["type"] for error in cli.errors("job")} == {"invalid_request_error"}
    verified = cli.run("verify")
    assert verified.status == 0, verified.out


@pytest.mark.parametrize(
    "shape",
    [Shape(unordered=True), Shape(id_last=True), Shape(kind="document", id_last=True)],
    ids=lambda shape: shape.name,
)
def test_requests_it_has_no_results_for_all_succeed(cli: Cli, shelf: Shelf, sink: Sink, shape: Shape) -> None:
    ran = cli.run("run", shelf.requests(shape, COUNT), "--max-requests", "150", "--name", "job")
    assert ran.status == 0, ran.err
    assert ids(cli.results("job")) == [shape.custom_id(number) for number in range(COUNT)]
    assert sink.memory.requests["create"] == sink.memory.requests["results"] == 3
    assert cli.run("verify").status == 0
