"""`run`: one command from the input to the answers, from wherever a job stands."""

import json
import os
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from cases import few
from processes import Shell
from program import Cli, ids, requests, sent_lines, wrong_request

from batchctl.domain.model import Job
from batchctl.emulator.running import Running
from batchctl.engine.session import Session
from batchctl.verbs.fetch import Fetched, finish_fetch

CREATE = "POST /v1/messages/batches"


@pytest.fixture(autouse=True)
def _short_grace(cli: Cli) -> None:
    cli.variables["BATCHCTL_UNCONFIRMED_GRACE"] = "0.3"


def test_one_command_ends_with_every_answer(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.2, "outcomes": {"overloaded_error": 0.4, "recover_after": 1}})
    path = cli.write("in.jsonl", requests(20))
    ran = cli.run("run", path, "--max-requests", "7", "--poll", "100ms")
    assert ran.status == 0, ran.err
    (job,) = [p.name.removesuffix(".results.jsonl") for p in cli.folder.glob("*.results.jsonl")]
    assert ids(cli.results(job)) == [f"r-{n:05d}" for n in range(20)]
    assert cli.errors(job) == []
    assert re.search(r"round 2: \d+ requests in 2 batches", ran.err)
    assert len(emulator.batches()) == 5
    # Nothing is said to have been looked at before there was something to look at.
    assert 0 < ran.err.index("sent  ") < ran.err.index("polled  ")


def test_what_the_request_itself_spoils_is_not_sent_twice(cli: Cli, emulator: Running) -> None:
    lines = [*requests(3), wrong_request("bad")]
    ran = cli.run("run", cli.write("in.jsonl", lines), "--poll", "50ms")
    assert ran.status == 3, ran.err
    assert emulator.requests()[CREATE] == 1
    assert "retry" in ran.err.splitlines()[-1]


@pytest.mark.parametrize(("rounds", "creates"), few([("1", 1), ("2", 2), ("4", 4)], 1))
def test_rounds_are_bounded_over_the_life_of_the_job(cli: Cli, emulator: Running, rounds: str, creates: int) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"api_error": 1.0, "recover_after": 0}})
    path = cli.write("in.jsonl", requests(4))
    for _ in range(2):
        ran = cli.run("run", path, "--poll", "50ms", "--max-rounds", rounds)
        assert ran.status == 3, ran.err
        assert emulator.requests()[CREATE] == creates
        assert "next: batchctl retry" in ran.err


@pytest.mark.slow
def test_it_goes_on_from_wherever_another_verb_left_the_job(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    job = cli.submitted("in.jsonl", requests(20), "--max-requests", "5")
    assert cli.run("fetch").status == 3
    ran = cli.run("run", job, "--poll", "50ms")
    assert ran.status == 0, ran.err
    assert len(cli.results(job)) == 20
    before = emulator.requests()[CREATE]
    for word in (job, job[:4], "@last", "in.jsonl"):
        assert cli.run("run", word).status == 0
    assert emulator.requests()[CREATE] == before


def test_an_input_that_was_sent_before_is_gone_on_with_and_again_pays_again(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", requests(3))
    assert cli.run("run", path, "--poll", "50ms").status == 0
    copy = cli.write("copy.jsonl", requests(3))
    assert cli.run("run", copy, "--poll", "50ms").status == 0
    assert emulator.requests()[CREATE] == 1
    assert cli.run("run", path, "--again", "--poll", "50ms").status == 0
    assert emulator.requests()[CREATE] == 2


def test_a_path_that_is_neither_a_file_nor_a_job_is_said(cli: Cli, emulator: Running) -> None:
    assert cli.run("run", "nowhere.jsonl").status == 5
    cli.submitted("in.jsonl", requests(2))
    for word in ("nowhere.jsonl", "nowhere/in.jsonl"):
        ran = cli.run("run", word)
        assert ran.status == 2
        assert f"error: {word}: no such file and no such job" in ran.err


def test_a_run_that_brought_nothing_names_no_results(cli: Cli, emulator: Running) -> None:
    fault = {"fault": "status", "status": 400, "message": "requests.0.custom_id: no"}
    emulator.add_fault({"on": "create", **fault})
    path = cli.write("in.jsonl", requests(2))
    ran = cli.run("run", path, "--poll", "50ms")
    assert ran.status == 1, ran.err
    assert "results  " not in ran.err
    assert "errors   " in ran.err
    again = cli.run("run", path, "--poll", "50ms", "--json", "--max-rounds", "1")
    assert again.status == 3, again.err
    assert json.loads(again.out.splitlines()[-1])["results_file"] is None


SAYS_NO = {"on": "create", "fault": "status", "nth": 2}


@pytest.mark.parametrize(
    ("fault", "options", "status", "said"),
    few(
        [
            ({**SAYS_NO, "status": 400, "message": "Something about all of it."}, (), 4, "names no request"),
            ({**SAYS_NO, "status": 402, "message": "no credit"}, (), 4, "account problem"),
            # Presumed to have made nothing, and within the limit no more.
            ({**SAYS_NO, "status": 529}, ("--max-cost", "0.0011"), 6, "raise the limit"),
        ],
        0,
    ),
)
def test_what_has_ended_is_brought_home_before_a_person_is_waited_for(
    cli: Cli, emulator: Running, fault: dict[str, Any], options: tuple[str, ...], status: int, said: str
) -> None:
    emulator.set_scenario({"batch_seconds": 0})
    emulator.add_fault(fault)
    path = cli.write("in.jsonl", requests(5))
    ran = cli.run("run", path, "--max-requests", "3", "--equal-sizes", "--parallel", "1", "--poll", "50ms", *options)
    assert ran.status == status, ran.err
    assert said in ran.err
    (job,) = [one["job"] for one in cli.run("status", "--json", "--offline").json["jobs"]]
    assert ids(cli.results(job)) == ["r-00000", "r-00001", "r-00002"]
    assert [one["type"] for one in cli.errors(job)] == ["unanswered"] * 2
    assert cli.run("run", job, "--poll", "50ms", "--max-cost", "10").status == 0
    assert ids(cli.results(job)) == [f"r-{n:05d}" for n in range(5)]


def test_what_is_running_is_not_waited_for_where_a_person_is(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    emulator.add_fault({**SAYS_NO, "status": 402, "message": "no credit"})
    path = cli.write("in.jsonl", requests(4))
    ran = cli.run("run", path, "--max-requests", "2", "--parallel", "1", "--poll", "50ms")
    assert ran.status == 4, ran.err
    assert not list(cli.folder.glob("*.results.jsonl"))


@pytest.mark.slow
def test_the_time_a_person_allows_ends_it_and_the_same_command_goes_on(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    path = cli.write("in.jsonl", requests(4))
    started = time.monotonic()
    ran = cli.run("run", path, "--poll", "50ms", "--timeout", "3s")
    assert ran.status == 8
    assert time.monotonic() - started < 15
    assert "not finished within --timeout" in ran.err
    assert "try: batchctl run in-" in ran.err
    emulator.advance(600)
    assert cli.run("run", path, "--poll", "50ms").status == 0
    assert emulator.requests()[CREATE] == 1


def test_json_is_a_line_per_look_and_the_answers_last(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.3})
    ran = cli.run("run", cli.write("in.jsonl", requests(3)), "--poll", "100ms", "--json")
    shapes = [json.loads(line) for line in ran.out.splitlines()]
    assert {s["type"] for s in shapes[:-1]} == {"status"}
    assert shapes[-1]["type"] == "fetch"
    assert shapes[-1]["answers"]["succeeded"] == 3
    assert Path(cli.folder / shapes[-1]["results_file"]).exists()


def test_account_failures_end_it_with_what_was_answered_in_the_files(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"out_of_credit": 0.5}})
    path = cli.write("in.jsonl", requests(20))
    ran = cli.run("run", path, "--poll", "50ms")
    assert ran.status == 4, ran.err
    assert "because of the account" in ran.err
    (results,) = cli.folder.glob("*.results.jsonl")
    assert len(results.read_bytes().splitlines()) == 20
    assert emulator.requests()[CREATE] == 1


def test_a_refused_batch_ends_the_sending_and_the_rest_is_brought_home(cli: Cli, emulator: Running) -> None:
    fault = {"fault": "status", "status": 400, "type": "invalid_request_error", "message": "requests.0.custom_id: no"}
    emulator.add_fault({"on": "create", "nth": 2, **fault})
    path = cli.write("in.jsonl", requests(6))
    ran = cli.run("run", path, "--max-requests", "2", "--parallel", "1", "--poll", "50ms")
    assert ran.status == 1
    assert "requests.0.custom_id: no" in ran.err
    (results,) = cli.folder.glob("*.results.jsonl")
    assert len(results.read_bytes().splitlines()) == 2


@pytest.mark.slow
def test_a_queue_that_is_full_is_sent_into_as_batches_end(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.4, "limits": {"queue": 20}})
    path = cli.write("in.jsonl", requests(60))
    ran = cli.run("run", path, "--max-requests", "10", "--poll", "200ms", "--parallel", "2")
    assert ran.status == 0, ran.err
    assert "429" in ran.err
    batches = sent_lines(emulator)
    assert sorted(line for batch in batches for line in batch) == sorted(requests(60))
    # Two are taken at once; a third was uploaded to be refused once, or twice where uploads ran side by side.
    assert emulator.requests()[CREATE] <= len(batches) + 3


@pytest.mark.slow
def test_two_runs_of_one_input_at_once_are_one_job(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.3, "outcomes": {"overloaded_error": 0.3}})
    path = cli.write("in.jsonl", requests(12))
    assert cli.run("submit", path, "--max-requests", "3", "--no-wait").status == 0
    shell = Shell(cli.folder, {**os.environ, **cli.variables})
    ran = []
    threads = [threading.Thread(target=lambda: ran.append(shell.run("run", path, "--poll", "100ms"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.returncode for one in ran} == {0}, [one.stderr for one in ran]
    assert len(emulator.batches()) == 5


def test_on_stdout_every_answer_comes_once_and_nothing_else(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.1, "outcomes": {"overloaded_error": 0.4}})
    path = cli.write("in.jsonl", requests(10))
    ran = cli.run("run", path, "--poll", "50ms", "-o", "-", "--json")
    assert ran.status == 0, ran.err
    assert emulator.requests()[CREATE] == 2
    assert ids(json.loads(line) for line in ran.out.splitlines()) == [f"r-{n:05d}" for n in range(10)]
    assert json.loads(ran.err.splitlines()[-1])["type"] == "fetch"


def test_a_job_that_another_process_cancels_gets_no_further_round(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set_scenario({"batch_seconds": 0.2, "outcomes": {"overloaded_error": 0.5}})
    path = cli.write("in.jsonl", requests(12))

    def fetched_late(session: Session, job: Job, *more: Any) -> Fetched:
        session.ledger.record_canceled(job, session.now())
        return finish_fetch(session, job, *more)

    monkeypatch.setattr("batchctl.verbs.run.finish_fetch", fetched_late)
    ran = cli.run("run", path, "--poll", "50ms")
    assert ran.status == 3, ran.err
    assert "round 2" not in ran.err
    assert cli.run("cancel", "--yes").status == 6


@pytest.mark.slow
def test_a_round_that_another_process_has_sent_is_waited_for(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set_scenario({"batch_seconds": 0.2, "outcomes": {"overloaded_error": 0.5}})
    path = cli.write("in.jsonl", requests(12))

    def fetched_late(*given: Any) -> Fetched:
        monkeypatch.setattr("batchctl.verbs.run.finish_fetch", finish_fetch)
        fetched = finish_fetch(*given)
        emulator.set_scenario({"batch_seconds": 1})
        other = Shell(cli.folder, {**os.environ, **cli.variables}).run("retry")
        assert other.returncode == 0, other.stderr
        return fetched

    monkeypatch.setattr("batchctl.verbs.run.finish_fetch", fetched_late)
    ran = cli.run("run", path, "--poll", "50ms")
    assert ran.status == 0, ran.err
    assert emulator.requests()[CREATE] == 2
