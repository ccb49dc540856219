import json
from dataclasses import replace

import pytest
from program import Cli, requests

from batchctl.api.client import SdkMessageBatches
from batchctl.api.protocol import Page
from batchctl.emulator.running import Running


def test_without_a_job_all_jobs_stand_in_a_table(cli: Cli) -> None:
    first = cli.submitted("one.jsonl", requests(3))
    second = cli.submitted("two.jsonl", requests(4))
    ran = cli.run("status")
    assert ran.status == 0
    assert [line.split()[0] for line in ran.out.splitlines()] == ["job", first, second]


def test_a_job_is_found_by_name_prefix_last_and_batch_id(cli: Cli, emulator: Running) -> None:
    first = cli.submitted("one.jsonl", requests(3))
    second = cli.submitted("two.jsonl", requests(4))
    for word, job in ((first, first), ("on", first), ("@last", second), (emulator.batches()[0]["id"], first)):
        assert cli.run("status", word, "--json").json["job"] == job


def test_an_unknown_or_ambiguous_name_is_usage(cli: Cli) -> None:
    cli.submitted("one.jsonl", requests(3))
    cli.submitted("one-more.jsonl", requests(4))
    assert cli.run("status", "three").status == 2
    ran = cli.run("status", "one")
    assert ran.status == 2
    assert "one-more" in ran.err


def test_without_a_workspace_it_says_how_to_get_one(cli: Cli) -> None:
    ran = cli.run("status")
    assert ran.status == 2
    assert "batchctl submit" in ran.err


@pytest.mark.slow
def test_one_list_page_answers_for_many_batches(cli: Cli, emulator: Running) -> None:
    cli.submitted("in.jsonl", requests(30), "--max-requests", "2")
    before = emulator.requests()
    assert cli.run("status", "@last").status == 0
    after = emulator.requests()
    assert after["GET /v1/messages/batches"] == before.get("GET /v1/messages/batches", 0) + 1
    assert "GET /v1/messages/batches/{id}" not in after


def test_offline_asks_nobody(cli: Cli, emulator: Running) -> None:
    cli.submitted("in.jsonl", requests(3))
    before = emulator.requests()
    ran = cli.run("status", "@last", "--offline")
    assert "in progress" in ran.out
    assert emulator.requests() == before


def test_counts_of_a_running_batch_are_said_to_come_at_its_end(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    cli.submitted("in.jsonl", requests(3))
    out = cli.run("status", "@last").out
    assert "only once all of it has ended" in out
    assert "expires in 23 h 59 m" in out


def test_watch_ends_when_the_last_batch_has(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.3, "spread_seconds": 0.5})
    cli.submitted("in.jsonl", requests(6), "--max-requests", "2")
    ran = cli.run("status", "--watch", "--poll", "200ms")
    assert ran.status == 0
    assert "3 of 3 batches ended" in ran.err
    assert "next: batchctl fetch" in ran.out


def test_watch_with_json_is_a_line_per_look(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.3})
    cli.submitted("in.jsonl", requests(2))
    ran = cli.run("status", "--watch", "--poll", "200ms", "--json")
    shapes = [json.loads(line) for line in ran.out.splitlines()]
    assert {s["type"] for s in shapes} == {"status", "job"}
    assert shapes[-1]["batches"]["ended"] == 1


def test_a_failed_look_is_weather_not_a_state(cli: Cli, emulator: Running) -> None:
    cli.submitted("in.jsonl", requests(6), "--max-requests", "2")
    emulator.add_fault({"on": "list", "fault": "status", "status": 529, "type": "overloaded_error", "message": "busy"})
    ran = cli.run("status", "--watch", "--poll", "200ms")
    assert ran.status == 0, ran.err
    assert "3 of 3 ended" in ran.out


@pytest.mark.parametrize(("step", "status"), [("sent", 8), ("fetched", 3), ("retried", 0)])
def test_exit_status_tells_the_state_of_the_job(cli: Cli, emulator: Running, step: str, status: int) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    cli.submitted("in.jsonl", requests(20))
    if step != "sent":
        cli.run("fetch")
    if step == "retried":
        cli.run("retry")
        cli.run("fetch")
    assert cli.run("status", "--exit-status").status == status
    assert cli.run("status").status == 0


def test_the_two_clocks_warn_as_they_near(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600, "clock": {"skew_seconds": -22 * 3600}})
    cli.submitted("in.jsonl", requests(2))
    assert "within 4 h" in cli.run("status", "@last").out


def test_every_batch_has_a_row_when_asked(cli: Cli, emulator: Running) -> None:
    cli.submitted("in.jsonl", requests(6), "--max-requests", "2")
    for options in (["--batches"], ["-o", "wide"]):
        out = cli.run("status", "@last", *options).out
        assert all(b["id"] in out for b in emulator.batches())
    assert len(cli.run("status", "@last", "--batches", "--json").json["message_batches"]) == 3


@pytest.mark.slow
def test_a_list_without_an_end_is_read_no_longer_than_a_person_allows(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    cli.submitted("in.jsonl", requests(6), "--max-requests", "2")
    real, asked = SdkMessageBatches.page, []

    def page(self: SdkMessageBatches, after: str = "", limit: int = 1000) -> Page:
        asked.append(after)
        assert len(asked) < 1000
        return replace(real(self, limit=limit), batches=(), after="msgbatch_again")

    monkeypatch.setattr(SdkMessageBatches, "page", page)
    ran = cli.run("status", "@last", "--watch", "--timeout", "300ms")
    assert ran.status == 8
