"""What it costs to look: a thousand batches are one page of the API's list."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Cli

from benchmarks.inputs import Shape, Shelf
from benchmarks.sink import Sink

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BATCHES, PER_BATCH = 1_000, 2


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink([])
    serving = threading.Thread(target=sink.serve)
    serving.start()
    yield sink
    sink.close()
    serving.join(10)


def test_a_look_at_a_thousand_batches_costs_two_requests_at_most(tmp_path: Path, sink: Sink) -> None:
    source = Shelf(tmp_path / "made").requests(Shape(kind="ids"), BATCHES * PER_BATCH)
    cli = Cli(tmp_path, sink.base_url)
    sent = cli.run("submit", source, "--max-requests", str(PER_BATCH), "--name", "job")
    assert sent.status == 0, sent.err
    assert sink.memory.requests["create"] == BATCHES
    sink.memory.requests.clear()
    assert cli.run("status", "job").status == 0
    assert 1 <= sum(sink.memory.requests.values()) <= 2, sink.memory.requests
    assert f"{BATCHES:,}" in cli.run("status", "job", "--offline").out
