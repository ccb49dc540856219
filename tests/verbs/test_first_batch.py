"""20,000 requests in three shapes, one of which the API refuses although no rule knows it."""

import json
from collections import Counter
from typing import Any

import pytest
from program import Cli, ids, request, sent_lines

from batchctl.emulator.running import Running

COUNT = 20_000
SHAPES = ({"system": "Classify."}, {"system": "Extract."}, {"system": "Judge."})
REFUSAL: dict[str, Any] = {"path": "system", "equals": "Judge.", "message": "system: this prompt is not allowed here"}


def three_shapes() -> list[bytes]:
    return [request(f"r-{n:05}", f"Text {n}", **SHAPES[n % 3]) for n in range(COUNT)]


def test_what_count_tokens_can_see_is_found_before_anything_is_sent(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "refuse": [REFUSAL]})
    ran = cli.run("estimate", cli.write("in.jsonl", three_shapes()))
    assert ran.status == 5, ran.err
    assert "6,666 lines are like line" in ran.err
    assert "this prompt is not allowed here" in ran.err
    assert not emulator.batches()


@pytest.mark.slow
def test_what_only_a_batch_can_see_is_found_by_a_first_one_and_the_fixed_shape_continues(
    cli: Cli, emulator: Running
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "refuse": [{**REFUSAL, "on": ["batch"]}]})
    path = cli.write("in.jsonl", three_shapes())
    ran = cli.run("run", path, "--canary", "--poll", "50ms")
    assert ran.status == 3, ran.err
    assert "2 of 3 shapes accepted" in ran.err
    (job,) = json.loads(cli.run("status", "--json").out)["jobs"]
    assert Counter(error["type"] for error in cli.errors(job["job"])) == {"withheld": 6_665, "invalid_request_error": 1}
    assert cli.run("retry", job["job"], "--set", "system=Decide.").status == 0
    assert cli.run("run", job["job"], "--poll", "50ms").status == 0
    assert ids(cli.results(job["job"])) == [f"r-{n:05}" for n in range(COUNT)]
    sent = [json.loads(line)["custom_id"] for batch in sent_lines(emulator) for line in batch]
    # Of the refused one, which cost nothing, twice.
    assert Counter(Counter(sent).values()) == {1: COUNT - 1, 2: 1}
    assert cli.run("verify", job["job"]).status == 0
