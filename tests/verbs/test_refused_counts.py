"""A free count of tokens finds what a batch would find an hour later: a shape of requests that the API refuses."""

import json
from typing import Any

import pytest
from program import Cli, ids, request

from batchctl.emulator.running import Running

CREATE = "POST /v1/messages/batches"
COUNTING = "POST /v1/messages/count_tokens"
POLL = ("--poll", "50ms")
MODEL = "claude-haiku-5-5"
MESSAGE = "system: lookup is reserved"
REFUSE = {"path": "system", "contains": "lookup", "message": MESSAGE}


@pytest.fixture(autouse=True)
def _refusing(emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "refuse": [REFUSE]})


def lines(count: int, *, of_shape: int, system: str = "Use lookup.") -> list[bytes]:
    """The first `of_shape` lines have the system prompt that is refused."""
    systems = [system] * of_shape + ["Be brief."] * (count - of_shape)
    return [request(f"r-{n}", f"What is {n}?", model=MODEL, system=systems[n]) for n in range(count)]


def told(cli: Cli, *words: Any) -> Any:
    ran = cli.run("estimate", *words, "--json")
    assert ran.status == 0, ran.err
    return ran.json


def test_two_requests_of_a_shape_that_are_refused_alike_are_a_fault_of_all(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", lines(60, of_shape=50))
    ran = cli.run("estimate", path)
    assert (ran.status, ran.out) == (5, "")
    assert f"counted    {path}: the API refuses 50 requests\n  50 lines, first 1 (r-0): {MESSAGE}\n" in ran.err
    assert f"50 lines are like line 1, which the API refuses: {MESSAGE}; nothing was sent" in ran.err
    ran = cli.run("estimate", path, "--json")
    assert (ran.status, ran.out) == (5, "")
    assert MESSAGE in json.loads(ran.err)["message"]
    # The API may be wrong.
    assert "not counted: the API refused to count" in " ".join(told(cli, path, "--check", "envelope")["how"])
    assert cli.run("estimate", path, "--offline").status == 0
    assert CREATE not in emulator.requests()


@pytest.mark.parametrize("verb", ["submit", "run"])
def test_nothing_is_sent_of_an_input_with_a_shape_that_is_refused(cli: Cli, emulator: Running, verb: str) -> None:
    path = cli.write("in.jsonl", lines(10, of_shape=3))
    # A limit below what bytes say has the API count.
    ran = cli.run(verb, path, "--max-cost", "0.0001")
    assert ran.status == 5, ran.err
    assert "3 lines are like line 1, which the API refuses" in ran.err
    assert CREATE not in emulator.requests()
    assert cli.run("status").status == 2  # There is no job.


def test_the_others_are_sent_with_a_canary(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", lines(10, of_shape=3))
    high = told(cli, path, "--check", "envelope", "--sample", "40")["batch_usd"]["high"]
    words = ("run", path, "--canary", "--max-cost", high, *POLL)
    ran = cli.run(*words)
    # It is a warning then, which a limit alone does not agree to.
    assert ran.status == 6, ran.err
    assert "send 10 requests (the API refuses 3 of them)" in ran.err
    ran = cli.run(*words, "--yes")
    assert ran.status == 3, ran.err
    assert "withheld: 2 requests like line" in ran.err
    job = json.loads(cli.run("status", "--json").out)["jobs"][0]["job"]
    assert ids(cli.results(job))[-7:] == [f"r-{n}" for n in range(3, 10)]


def test_one_request_alone_is_a_warning_on_its_line(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", lines(20, of_shape=1))
    ran = cli.run("estimate", path)
    assert ran.status == 0, ran.err
    assert f"  line 1 (r-0): {MESSAGE}\n" in ran.err
    found = told(cli, path)
    assert found["refused"] == [
        {"line": 1, "custom_id": "r-0", "requests": 1, "code": "count_refused", "message": MESSAGE}
    ]
    assert cli.run("estimate", path, "--strict").status == 5
    ran = cli.run("submit", path, "--max-cost", found["batch_usd"]["high"])
    assert ran.status == 6
    assert "send 20 requests (the API refuses 1 of them)" in ran.err
    assert CREATE not in emulator.requests()


def test_a_shape_of_which_others_are_counted_has_no_fault(cli: Cli, emulator: Running) -> None:
    """What is refused stands in the messages, which differ within a shape."""
    about = {"path": "messages.0.content", "contains": "What is 3", "message": "messages.0: no"}
    emulator.set_scenario({"batch_seconds": 0, "refuse": [about]})
    path = cli.write("in.jsonl", lines(40, of_shape=0))
    found = told(cli, path, "--sample", "100")
    (refused,) = found["refused"]
    assert (refused["line"], refused["requests"], refused["code"]) == (4, 11, "count_refused")
    assert found["requests_counted"] == 29


def test_a_second_request_of_a_shape_is_tried_where_the_first_is_refused(cli: Cli, emulator: Running) -> None:
    """The sample has one call for it, and two for what it shares: these are free then."""
    path = cli.write("in.jsonl", lines(100, of_shape=2, system="Use lookup. " * 100))
    ran = cli.run("estimate", path, "--sample", "8")
    assert ran.status == 5, ran.err
    assert "2 lines are like line 1" in ran.err
    assert emulator.requests()[COUNTING] == 7


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 404, "type": "not_found_error"},
        {"status": 405, "type": "invalid_request_error"},
        {"status": 400, "type": "invalid_request_error", "message": "count_tokens is not supported here"},
        {"status": 429, "type": "rate_limit_error"},
        {"status": 500, "type": "api_error"},
        {"status": 400, "type": "billing_error", "message": MESSAGE},
    ],
    ids=str,
)
def test_an_answer_about_the_endpoint_is_no_fault(cli: Cli, emulator: Running, fault: dict[str, Any]) -> None:
    emulator.set_scenario({"batch_seconds": 0})
    emulator.add_fault({"on": "count_tokens", "fault": "status", "times": 0, "retry_after": 600, **fault})
    found = told(cli, cli.write("in.jsonl", lines(10, of_shape=10)))
    assert found["refused"] == []
    assert any(text.startswith("not counted: ") for text in found["how"])
    assert emulator.requests()[COUNTING] <= 12
