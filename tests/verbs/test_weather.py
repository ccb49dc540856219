"""What the network and the account do to sending: never a second batch, never a traceback."""

import re
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from cases import few
from program import Cli, ids, requests, sent_lines

from batchctl.api.client import SdkMessageBatches
from batchctl.clock import Clock
from batchctl.domain.api_failures import AfterRead, after_read
from batchctl.domain.errors import ApiFailure
from batchctl.emulator.running import Running
from batchctl.engine.api_view import Server

CREATE = "POST /v1/messages/batches"


@pytest.fixture(autouse=True)
def _soon(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.variables["BATCHCTL_UNCONFIRMED_GRACE"] = "0.3"
    monkeypatch.setattr("batchctl.engine.send.FIRST_RECONCILE_PAUSE", timedelta(seconds=0.05))


@pytest.mark.parametrize(
    "fault",
    few(
        [
            {"fault": "drop_after_accept"},
            {"fault": "error_after_accept", "status": 500},
            {"fault": "error_after_accept", "status": 529},
            {"fault": "garbage_answer"},
            {"fault": "html_answer"},
        ],
        0,
        3,
    ),
)
def test_a_lost_answer_is_looked_for_and_never_sent_again(cli: Cli, emulator: Running, fault: dict[str, Any]) -> None:
    emulator.add_fault({"on": "create", **fault})
    ran = cli.run("submit", cli.write("in.jsonl", requests(5)))
    assert ran.status == 0, ran.err
    assert "unconfirmed" in ran.err
    assert emulator.requests()[CREATE] == len(emulator.batches()) == 1
    assert cli.run("fetch").status == 0
    assert len(cli.results(ran.job)) == 5


def test_an_answer_that_is_cut_after_its_id_names_the_batch_all_the_same(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "create", "fault": "truncated_answer"})
    ran = cli.run("submit", cli.write("in.jsonl", requests(5)))
    assert ran.status == 0, ran.err
    assert "unconfirmed" not in ran.err
    assert "cannot be read, and is asked for again" in ran.err
    assert emulator.requests()[CREATE] == len(emulator.batches()) == 1
    assert cli.run("fetch").status == 0


@pytest.mark.parametrize(
    "fault",
    few(
        [
            {"fault": "status", "status": 500},
            {"fault": "status", "status": 529},
            {"fault": "html_status", "status": 520},
        ],
        1,
    ),
)
def test_a_failure_that_created_nothing_is_sent_again_after_the_grace_window(
    cli: Cli, emulator: Running, fault: dict[str, Any]
) -> None:
    emulator.add_fault({"on": "create", **fault})
    ran = cli.run("submit", cli.write("in.jsonl", requests(5)))
    assert ran.status == 0, ran.err
    assert len(emulator.batches()) == 1
    assert emulator.requests()[CREATE] == 2
    assert "the API does not have it; it is sent again" in ran.err


def test_a_batch_that_the_list_shows_late_is_still_found(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "create", "fault": "drop_after_accept"})
    emulator.add_fault({"on": "list", "fault": "hide_from_list", "nth": 2, "times": 2})
    ran = cli.run("submit", cli.write("in.jsonl", requests(5)))
    assert ran.status == 0, ran.err
    assert emulator.requests()[CREATE] == 1


@pytest.mark.slow
def test_several_lost_answers_of_one_size_are_adopted_and_confirmed_by_their_ids(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "create", "fault": "drop_after_accept", "times": 3})
    lines = requests(30)
    job = cli.submitted("in.jsonl", lines, "--max-requests", "10", "--parallel", "3")
    assert emulator.requests()[CREATE] == 3
    fetched = cli.run("fetch")
    while fetched.status in {7, 8}:
        assert cli.run("submit", "in.jsonl").status == 0
        fetched = cli.run("fetch")
    assert fetched.status == 0, fetched.err
    assert ids(cli.results(job)) == [f"r-{n:05d}" for n in range(30)]
    assert emulator.requests()[CREATE] == 3


@pytest.mark.slow
def test_a_rate_limit_is_waited_out_as_long_as_the_api_asks(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "create", "fault": "status", "status": 429, "retry_after": 1})
    ran = cli.run("submit", cli.write("in.jsonl", requests(5)))
    assert ran.status == 0, ran.err
    assert len(emulator.batches()) == 1
    assert "429" in ran.err


@pytest.mark.slow
def test_a_full_queue_ends_the_run_with_no_wait_and_continues_later(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "create", "fault": "queue_full", "nth": 2, "retry_after": 1})
    path = cli.write("in.jsonl", requests(20))
    ran = cli.run("submit", path, "--max-requests", "10", "--parallel", "1", "--no-wait")
    assert ran.status == 8
    assert len(emulator.batches()) == 1
    again = cli.run("submit", path)
    assert again.status == 0, again.err
    assert sorted(len(lines) for lines in sent_lines(emulator)) == [10, 10]


@pytest.mark.parametrize(
    "fault",
    few(
        [
            {"fault": "status", "status": 401, "type": "authentication_error", "message": "API key is invalid."},
            {"fault": "status", "status": 402, "type": "billing_error", "message": "payment"},
            {"fault": "status", "status": 403, "type": "permission_error", "message": "no"},
            {"fault": "spend_limit_429"},
            {"fault": "spend_limit_400"},
            {"fault": "on_hold"},
            {"fault": "status", "status": 400, "message": "This organization has been disabled."},
            {"fault": "status", "status": 400, "error_code": "workspace_human_review_disabled", "message": "no"},
            {"fault": "status", "status": 400, "message": "Requests are of a kind that nobody has heard of."},
            {"fault": "status", "status": 422, "message": "no"},
        ],
        0,
        2,
    ),
)
def test_the_account_pauses_the_job_and_the_same_command_continues(
    cli: Cli, emulator: Running, fault: dict[str, Any]
) -> None:
    emulator.add_fault({"on": "create", **fault})
    path = cli.write("in.jsonl", requests(5))
    ran = cli.run("submit", path)
    assert ran.status == 4, ran.err
    assert "Traceback" not in ran.err
    assert "paused" in cli.run("status", "@last", "--offline").out
    assert cli.run("submit", path).status == 0
    assert len(emulator.batches()) == 1


def test_a_key_that_is_refused_before_anything_is_sent_pauses_the_job(cli: Cli, emulator: Running) -> None:
    """The API's list is read before the first create: what it says of the account is said of the job."""
    emulator.add_fault({"on": "list", "fault": "status", "status": 401, "message": "invalid x-api-key"})
    path = cli.write("in.jsonl", requests(5))
    assert cli.run("submit", path).status == 4
    status = cli.run("status", "@last", "--offline").out
    assert "paused" in status
    assert "invalid x-api-key" in status
    assert emulator.batches() == []
    assert cli.run("submit", path).status == 0
    assert len(emulator.batches()) == 1


@pytest.mark.slow
def test_no_batch_is_refused_for_what_is_said_of_the_account(cli: Cli, emulator: Running) -> None:
    text = "You're out of extra usage. Add more and keep going."
    emulator.add_fault({"on": "create", "fault": "status", "status": 400, "message": text, "times": 0})
    lines = requests(8)
    path = cli.write("in.jsonl", lines)
    ran = cli.run("submit", path, "--max-requests", "2", "--parallel", "4")
    assert ran.status == 4
    assert text in ran.err
    assert "--edit" not in ran.err
    assert "fix the cause, then: batchctl submit" in ran.err
    assert "refused by the API" not in cli.run("status", "@last", "--offline").out
    emulator.set_scenario({"batch_seconds": 0})
    assert cli.run("submit", path).status == 0
    assert sorted(line for batch in sent_lines(emulator) for line in batch) == sorted(lines)


def test_a_beta_that_the_api_does_not_take_is_told_as_one(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", requests(4))
    ran = cli.run("submit", path, "--max-requests", "2", "--beta", "gone-2025-01-01")
    assert ran.status == 4, ran.err
    assert "the API rejects a header" in ran.err
    assert "--beta gone-2025-01-01" in ran.err
    assert "--edit" not in ran.err
    assert "refused by the API" not in cli.run("status", "@last", "--offline").out
    assert emulator.batches() == []


@pytest.mark.parametrize(
    "fault", few([{"fault": "html_413"}, {"fault": "status", "status": 413, "type": "request_too_large"}], 0)
)
def test_a_body_too_large_is_cut_in_two(cli: Cli, emulator: Running, fault: dict[str, Any]) -> None:
    emulator.add_fault({"on": "create", **fault})
    lines = requests(9)
    job = cli.submitted("in.jsonl", lines)
    assert sorted(len(batch) for batch in sent_lines(emulator)) == [4, 5]
    assert cli.run("fetch").status == 0
    assert ids(cli.results(job)) == [f"r-{n:05d}" for n in range(9)]


def test_an_upload_that_was_cut_is_sent_again(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "create", "fault": "invalid_json_400"})
    cli.submitted("in.jsonl", requests(5))
    assert len(emulator.batches()) == 1


def test_a_definite_refusal_says_what_the_api_said(cli: Cli, emulator: Running) -> None:
    message = "requests.3.custom_id: String should match"
    fault = {"on": "create", "fault": "status", "status": 400, "type": "invalid_request_error", "message": message}
    emulator.add_fault(fault)
    path = cli.write("in.jsonl", [b"", *requests(5)])
    ran = cli.run("submit", path)
    assert ran.status == 1
    assert message in ran.err
    assert "line 5" in ran.err
    assert "rejected" in cli.run("status", "@last", "--offline").out


def test_without_a_key_the_five_places_are_named(cli: Cli) -> None:
    del cli.variables["ANTHROPIC_API_KEY"]
    ran = cli.run("submit", cli.write("in.jsonl", requests(2)))
    assert ran.status == 4
    for name in (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_PROFILE",
        "ANTHROPIC_IDENTITY_TOKEN",
        "ant auth",
    ):
        assert name in ran.err


def test_a_wrong_key_is_the_account_and_never_shown(cli: Cli) -> None:
    cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-wrong"
    ran = cli.run("submit", cli.write("in.jsonl", requests(2)))
    assert ran.status == 4
    assert "sk-ant" not in ran.err


@pytest.mark.slow
def test_no_network_is_waited_out_as_long_as_a_person_allows(cli: Cli, emulator: Running) -> None:
    there = cli.variables["ANTHROPIC_BASE_URL"]
    cli.variables["ANTHROPIC_BASE_URL"] = "http://127.0.0.1:9"
    path = cli.write("in.jsonl", requests(2))
    ran = cli.run("submit", path, "--timeout", "3s")
    assert ran.status == 8
    assert re.search(r"no answer  cannot connect.*again in", ran.err)
    assert "not finished within --timeout" in ran.err
    assert "Traceback" not in ran.err
    cli.variables["ANTHROPIC_BASE_URL"] = there
    assert cli.run("submit", path).status == 0
    assert len(emulator.batches()) == 1


@pytest.mark.parametrize(
    "words", ["submit in.jsonl", "run in.jsonl", "status @last", "attach msgbatch_1 msgbatch_2 msgbatch_3"]
)
def test_a_url_that_knows_no_list_is_named_and_not_waited_for(cli: Cli, emulator: Running, words: str) -> None:
    there = cli.variables["ANTHROPIC_BASE_URL"]
    cli.write("in.jsonl", requests(3))
    if words.startswith("status"):
        cli.submitted("in.jsonl", requests(3), "--max-requests", "1")
    made = len(emulator.batches())
    cli.variables["ANTHROPIC_BASE_URL"] = f"{there}/elsewhere"
    ran = cli.run(*words.split())
    assert ran.status == 1, ran.err
    assert f"error: {there}/elsewhere has no list of Message Batches: HTTP 404" in ran.err
    assert "--base-url" in ran.err
    assert "again in" not in ran.err
    assert len(emulator.batches()) == made


def test_a_list_that_was_there_may_be_away_for_a_moment(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", cli.variables["ANTHROPIC_API_KEY"])
    with closing(SdkMessageBatches(emulator.base_url)) as message_batches:
        server = Server(message_batches, Clock())
        server.meet()
        emulator.add_fault({"on": "list", "fault": "status", "status": 404, "type": "not_found_error"})
        with pytest.raises(ApiFailure) as raised:
            server.page()
        assert after_read(raised.value) is AfterRead.GONE
        assert server.page().batches == ()


def test_an_input_that_changes_before_it_is_sent_stops_the_job(cli: Cli, emulator: Running) -> None:
    cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-wrong"
    lines = requests(5)
    path = cli.write("in.jsonl", lines)
    assert cli.run("submit", path).status == 4
    del cli.variables["ANTHROPIC_API_KEY"]
    cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-tests"
    job = cli.run("status", "--json").json["jobs"][0]["job"]
    kept = cli.folder / ".batchctl" / "jobs" / job / "round-1.requests.jsonl"
    kept.unlink()
    cli.write("kept", lines).rename(kept)
    kept.write_bytes(kept.read_bytes().replace(b"What is 3", b"What is 4"))
    ran = cli.run("submit", job)
    assert ran.status == 5
    assert "changed" in ran.err
    assert emulator.batches() == []
    good = cli.write("moved.jsonl", lines)
    assert cli.run("submit", job, "--input", good).status == 0
    assert sent_lines(emulator) == [lines]
