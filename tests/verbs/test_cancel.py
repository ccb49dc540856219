"""`cancel`: asked first, then nothing more is sent, and what was answered comes home."""

import json
from typing import Any

import pytest
from cases import few
from program import Cli, ids, requests

from batchctl.api.client import SdkMessageBatches
from batchctl.api.protocol import Seen
from batchctl.emulator.running import Running
from batchctl.engine.pacing import BACKOFF_SECONDS

CREATE = "POST /v1/messages/batches"
CANCEL = "POST /v1/messages/batches/{id}/cancel"


@pytest.fixture(autouse=True)
def _short_grace(cli: Cli) -> None:
    cli.variables["BATCHCTL_UNCONFIRMED_GRACE"] = "0.3"


def _running(emulator: Running, **more: Any) -> None:
    emulator.set_scenario({"batch_seconds": 600, "cancel_seconds": 0.1, **more})


def test_nobody_there_to_say_yes_cancels_nothing(cli: Cli, emulator: Running) -> None:
    _running(emulator)
    cli.submitted("in.jsonl", requests(4))
    ran = cli.run("cancel")
    assert ran.status == 6
    assert "--yes" in ran.err
    assert [b["processing_status"] for b in emulator.batches()] == ["in_progress"]


def test_what_was_finished_is_fetched_and_the_rest_is_canceled(cli: Cli, emulator: Running) -> None:
    _running(emulator, finished_at_cancel=0.5)
    job = cli.submitted("in.jsonl", requests(20), "--max-requests", "5")
    ran = cli.run("cancel", "--yes", "--poll", "100ms")
    assert ran.status == 0, ran.err
    assert ran.err.count("canceling") == 4
    outcomes = [r["result"]["type"] for r in cli.results(job)]
    assert ids(cli.results(job)) == [f"r-{n:05d}" for n in range(20)]
    assert {"succeeded", "canceled"} == set(outcomes)
    assert {e["outcome"] for e in cli.errors(job)} == {"canceled"}
    assert cli.run("cancel", "--yes").status == 6
    # What a person canceled goes again at their word only.
    assert cli.run("retry").status == 3
    assert emulator.requests()[CREATE] == 4


def test_what_was_not_sent_stays_unsent_until_a_person_wants_it(cli: Cli, emulator: Running) -> None:
    _running(emulator)
    emulator.add_fault({"on": "create", "fault": "queue_full", "nth": 3, "times": 1, "retry_after": 1})
    path = cli.write("in.jsonl", requests(8))
    ran = cli.run("submit", path, "--max-requests", "2", "--parallel", "1", "--no-wait")
    assert ran.status == 8
    ran = cli.run("cancel", "--yes", "--poll", "100ms")
    assert ran.status == 0, ran.err
    assert "2 batches were not sent" in ran.err
    assert len(emulator.batches()) == 2
    job = cli.run("status", "--json").json["jobs"][0]["job"]
    assert {e["outcome"] for e in cli.errors(job)} == {"canceled", "unanswered"}
    for words in (("submit", path), ("run", job)):
        again = cli.run(*words)
        assert again.status == 6
        assert "was canceled" in again.err
    emulator.set_scenario({"batch_seconds": 0})
    resumed = cli.run("submit", path, "--yes")
    assert resumed.status == 0, resumed.err
    assert len(emulator.batches()) == 4


@pytest.mark.slow
def test_a_batch_in_doubt_is_looked_for_and_canceled_at_a_persons_word(cli: Cli, emulator: Running) -> None:
    """By its size and time alone it may be somebody else's, and a cancel cannot be taken back."""
    _running(emulator)
    emulator.add_fault({"on": "create", "fault": "drop_after_accept"})
    cli.left_in_doubt(cli.write("in.jsonl", requests(4)))
    ran = cli.run("cancel", "--yes", "--poll", "100ms", "--timeout", "3s")
    assert ran.status == 8, ran.err
    (found,) = emulator.batches()
    assert found["processing_status"] == "in_progress"
    assert f"--cancel {found['id']}" in ran.err
    assert cli.run("resolve", "--cancel", str(found["id"])).status == 0
    ran = cli.run("cancel", "--yes", "--poll", "100ms")
    assert ran.status == 0, ran.err
    assert [b["processing_status"] for b in emulator.batches()] == ["ended"]
    assert emulator.requests()[CREATE] == 1


@pytest.mark.slow
def test_a_strangers_batch_that_looks_like_ours_is_not_canceled(
    cli: Cli, emulator: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _running(emulator)
    emulator.add_fault({"on": "create", "fault": "status", "status": 529})
    cli.left_in_doubt(cli.write("in.jsonl", requests(4)))
    Cli(tmp_path_factory.mktemp("stranger"), emulator.base_url).submitted("theirs.jsonl", requests(4, "theirs"))
    cli.run("cancel", "--yes", "--poll", "100ms", "--timeout", "2s")
    assert [b["processing_status"] for b in emulator.batches()] == ["in_progress"]


@pytest.mark.slow
def test_one_batch_that_refuses_to_be_canceled_keeps_none_of_the_others_from_it(cli: Cli, emulator: Running) -> None:
    _running(emulator)
    job = cli.submitted("in.jsonl", requests(24), "--max-requests", "2", "--parallel", "1")
    refusal = {"fault": "status", "status": 400, "type": "invalid_request_error", "message": "not this one"}
    emulator.add_fault({"on": "cancel", "batch": 1, "times": 0, **refusal})
    ran = cli.run("cancel", "--yes", "--poll", "100ms", "--timeout", "4s")
    assert ran.status == 8, ran.err
    assert "not this one" in ran.err
    assert sorted(b["processing_status"] for b in emulator.batches()) == ["ended"] * 11 + ["in_progress"]
    emulator.advance(600)
    assert cli.run("cancel", job, "--yes", "--poll", "100ms").status == 0


@pytest.mark.parametrize(
    "fault",
    few(
        [
            {"fault": "status", "status": 529},
            {"fault": "drop_after_accept"},
            {"fault": "drop_before_accept"},
            {"fault": "html_status"},
            {"fault": "not_found"},
            {"fault": "garbage_answer"},
        ],
        1,
    ),
    ids=lambda f: f["fault"],
)
def test_a_cancel_that_got_no_answer_is_asked_again(cli: Cli, emulator: Running, fault: dict[str, Any]) -> None:
    _running(emulator)
    cli.submitted("in.jsonl", requests(4))
    emulator.add_fault({"on": "cancel", **fault})
    ran = cli.run("cancel", "--yes", "--poll", "100ms")
    assert ran.status == 0, ran.err
    assert [b["processing_status"] for b in emulator.batches()] == ["ended"]


def test_a_batch_that_ended_by_itself_meanwhile_is_simply_fetched(cli: Cli, emulator: Running) -> None:
    _running(emulator, cancel_ended=400)
    job = cli.submitted("in.jsonl", requests(4))
    emulator.advance(600)
    ran = cli.run("cancel", "--yes", "--poll", "100ms")
    assert ran.status == 0, ran.err
    assert {r["result"]["type"] for r in cli.results(job)} == {"succeeded"}


@pytest.mark.slow
def test_no_wait_asks_and_leaves_and_the_same_command_ends_it(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600, "cancel_seconds": 0.5})
    cli.submitted("in.jsonl", requests(4))
    assert cli.run("cancel", "--yes", "--no-wait").status == 8
    ran = cli.run("cancel", "--poll", "100ms", "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["answers"]["canceled"] == 4


@pytest.mark.slow
def test_a_cancel_that_was_stopped_before_its_download_is_ended_by_the_same_command(
    cli: Cli, emulator: Running
) -> None:
    _running(emulator, finished_at_cancel=0.5)
    job = cli.submitted("in.jsonl", requests(4))
    emulator.add_fault({"on": "results", "fault": "on_hold"})
    assert cli.run("cancel", "--yes", "--poll", "100ms").status == 4
    ran = cli.run("cancel", "--poll", "100ms")
    assert ran.status == 0, ran.err
    assert len(cli.results(job)) == 4


@pytest.mark.slow
def test_what_was_canceled_goes_again_with_a_retry_that_names_it(cli: Cli, emulator: Running) -> None:
    _running(emulator)
    job = cli.submitted("in.jsonl", requests(4))
    assert cli.run("cancel", "--yes", "--poll", "100ms").status == 0
    emulator.set_scenario({"batch_seconds": 0})
    ran = cli.run("retry", "--include-canceled")
    assert ran.status == 0, ran.err
    assert cli.run("fetch").status == 0
    assert {r["result"]["type"] for r in cli.results(job)} == {"succeeded"}


@pytest.mark.slow
def test_a_retry_of_what_was_not_sent_before_the_cancel_says_how_it_is_sent(cli: Cli, emulator: Running) -> None:
    _running(emulator)
    emulator.add_fault({"on": "create", "fault": "queue_full", "nth": 2, "times": 1, "retry_after": 1})
    path = cli.write("in.jsonl", requests(4))
    assert cli.run("submit", path, "--max-requests", "2", "--parallel", "1", "--no-wait").status == 8
    assert cli.run("cancel", "--yes", "--poll", "100ms").status == 0
    ran = cli.run("retry")
    assert ran.status == 6
    assert "--yes" in ran.err
    assert len(emulator.batches()) == 1


@pytest.mark.slow
def test_a_cancel_that_does_not_show_yet_is_asked_again_after_a_while(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    _running(emulator)
    cli.submitted("in.jsonl", requests(4))
    asked = []

    def taken(self: SdkMessageBatches, message_batch_id: str) -> Seen:
        asked.append(message_batch_id)
        return self.retrieve(message_batch_id)

    monkeypatch.setattr(SdkMessageBatches, "cancel", taken)
    monkeypatch.setattr("batchctl.engine.pacing.BACKOFF_SECONDS", BACKOFF_SECONDS)
    ran = cli.run("cancel", "--yes", "--poll", "100ms", "--timeout", "2s")
    assert ran.status == 8
    assert len(asked) < 5


@pytest.mark.slow
def test_a_cancel_that_is_stopped_does_not_say_that_nothing_was_canceled(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600, "cancel_seconds": 600})
    cli.submitted("in.jsonl", requests(4))
    ran = cli.run("cancel", "--yes", "--timeout", "1s")
    assert ran.status == 8
    assert emulator.requests()[CANCEL] == 1
    assert "nothing was canceled" not in ran.err
    assert "stay canceled" in ran.err
