"""Results that the API removed after 29 days, before they were downloaded."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from cases import few
from program import Cli, requests, sent_lines

from batchctl.emulator.running import Running

DAY = 24 * 3600.0
CREATE = "POST /v1/messages/batches"


def _removed_on(emulator: Running, number: int = 0) -> str:
    created_at = datetime.fromisoformat(str(emulator.batches()[number]["created_at"]))
    return f"{created_at.astimezone(UTC) + timedelta(days=29):%Y-%m-%d}"


@pytest.mark.parametrize("verb", few(["fetch", "run"], 0))
def test_removed_results_are_told_at_once_with_their_day(cli: Cli, emulator: Running, verb: str) -> None:
    job = cli.submitted("in.jsonl", requests(6), "--max-requests", "3", "--equal-sizes")
    emulator.advance(30 * DAY)
    ran = cli.run(verb, job)
    assert ran.status == 3, ran.err
    assert f"were removed by the API on {_removed_on(emulator)}" in ran.err
    for said in ("again in", "not known to the API", "nothing is lost", "results.jsonl cannot"):
        assert said not in ran.err
    assert f"next: batchctl retry {job}" in ran.err
    assert {e["message"] for e in cli.errors(job)} == {"the API removed its result before it was downloaded"}
    assert emulator.requests()[CREATE] == 2
    # The same again asks for nothing more, and says the same.
    asked = emulator.requests()["GET /v1/messages/batches/{id}/results"]
    assert cli.run("fetch", job).status == 3
    assert emulator.requests()["GET /v1/messages/batches/{id}/results"] == asked
    status = cli.run("status", job)
    assert "failed" in status.out
    assert "2 removed by the API" in status.out
    proof = cli.run("verify", job)
    assert proof.status == 3
    assert f"next: batchctl retry {job}" in proof.out


@pytest.mark.slow
def test_other_batches_are_not_touched(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0})
    job = cli.submitted("in.jsonl", requests(6), "--max-requests", "3", "--equal-sizes", "--parallel", "1")
    emulator.add_fault({"on": "results", "fault": "reset", "batch": 2, "times": 1})
    emulator.add_fault({"on": "results", "fault": "on_hold", "batch": 2, "nth": 2})
    assert cli.run("fetch", job, "--parallel", "1").status == 4
    emulator.advance(30 * DAY)
    ran = cli.run("fetch", job)
    assert ran.status == 3, ran.err
    assert "the API removed the results of 1 of 2 batches (3 requests)" in ran.err
    assert len(cli.results(job)) == 3
    assert "1 batch whose results the API removed before they were fetched" in cli.run("cost", job).out
    # A person's word sends the others again, and nothing that is on the disk.
    assert cli.run("run", job).status == 3
    assert len(emulator.batches()) == 2
    again = cli.run("retry", job)
    assert again.status == 0, again.err
    assert [b["request_count"] for b in emulator.batches()] == [3, 3, 3]
    assert cli.run("fetch", job).status == 0
    assert len(cli.results(job)) == 6


def test_a_run_pays_for_none_of_it_again_after_a_retry_of_something_else(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    lines = requests(40)
    job = cli.submitted("in.jsonl", lines, "--max-requests", "20", "--equal-sizes", "--parallel", "1")
    emulator.add_fault({"on": "results", "fault": "on_hold", "batch": 2})
    assert cli.run("fetch", job, "--parallel", "1").status == 4
    emulator.advance(30 * DAY)
    assert cli.run("fetch", job).status == 3
    removed = {json.loads(line)["custom_id"] for line in lines[20:]}
    # Of the first batch alone, and some of it fails once more.
    assert cli.run("retry", job, "--only", "overloaded_error").status == 0
    assert cli.run("run", job).status == 3
    sent = [json.loads(line)["custom_id"] for batch in sent_lines(emulator)[2:] for line in batch]
    assert sent
    assert removed.isdisjoint(sent)


def test_the_date_alone_removes_nothing(cli: Cli, emulator: Running) -> None:
    """Whoever says that results are gone has to have asked for them."""
    job = cli.submitted("in.jsonl", requests(3))
    emulator.add_fault({"on": "results", "fault": "not_found"})
    ran = cli.run("fetch", job)
    assert ran.status == 0, ran.err
    assert "removed" not in ran.err
    assert len(cli.results(job)) == 3


def test_a_job_with_removed_results_is_shown_and_deleted_as_it_is(cli: Cli, emulator: Running) -> None:
    job = cli.submitted("in.jsonl", requests(3))
    emulator.advance(30 * DAY)
    assert cli.run("fetch", job).status == 3
    shown = json.loads(cli.run("status", job, "--json").out)
    assert any("removed the results" in warning for warning in shown["warnings"])
    assert cli.run("resolve", job).status in {0, 6}
    assert cli.run("delete", job, "--yes").status == 0
