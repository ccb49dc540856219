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
from program import Person, ids, requests, sent_lines, wrong_request

from batchctl.domain.model import Job
from batchctl.emulator.running import Running
from batchctl.engine.session import Equipment
from batchctl.verbs.fetch import Fetched, brought_home

CREATE = "POST /v1/messages/batches"


@pytest.fixture(autouse=True)
def _short_grace(person: Person) -> None:
    person.variables["BATCHCTL_DOUBT_GRACE"] = "0.3"


def test_one_command_ends_with_every_answer(person: Person, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.2, "outcomes": {"overloaded_error": 0.4, "recover_after": 1}})
    path = person.write("in.jsonl", requests(20))
    ran = person.run("run", path, "--max-requests", "7", "--poll", "100ms")
    assert ran.status == 0, ran.err
    (job,) = [p.name.removesuffix(".results.jsonl") for p in person.folder.glob("*.results.jsonl")]
    assert ids(person.results(job)) == [f"r-{n:05d}" for n in range(20)]
    assert person.errors(job) == []
    assert re.search(r"round 2: \d+ requests in 2 batches", ran.err)
    assert len(emulator.batches()) == 5
    # Nothing is said to have been looked at before there was something to look at.
    assert 0 < ran.err.index("sent  ") < ran.err.index("looked  ")


def test_what_the_request_itself_spoils_is_not_sent_twice(person: Person, emulator: Running) -> None:
    lines = [*requests(3), wrong_request("bad")]
    ran = person.run("run", person.write("in.jsonl", lines), "--poll", "50ms")
    assert ran.status == 3, ran.err
    assert emulator.requests()[CREATE] == 1
    assert "retry" in ran.err.splitlines()[-1]


@pytest.mark.parametrize(("rounds", "creates"), few([("1", 1), ("2", 2), ("4", 4)], 1))
def test_rounds_are_bounded_over_the_life_of_the_job(
    person: Person, emulator: Running, rounds: str, creates: int
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"api_error": 1.0, "recover_after": 0}})
    path = person.write("in.jsonl", requests(4))
    for _ in range(2):
        ran = person.run("run", path, "--poll", "50ms", "--max-rounds", rounds)
        assert ran.status == 3, ran.err
        assert emulator.requests()[CREATE] == creates
        assert "next: batchctl retry" in ran.err


@pytest.mark.slow
def test_it_goes_on_from_wherever_another_verb_left_the_job(person: Person, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    job = person.submitted("in.jsonl", requests(20), "--max-requests", "5")
    assert person.run("fetch").status == 3
    ran = person.run("run", job, "--poll", "50ms")
    assert ran.status == 0, ran.err
    assert len(person.results(job)) == 20
    before = emulator.requests()[CREATE]
    for word in (job, job[:4], "@last", "in.jsonl"):
        assert person.run("run", word).status == 0
    assert emulator.requests()[CREATE] == before


def test_an_input_that_was_sent_before_is_gone_on_with_and_again_pays_again(person: Person, emulator: Running) -> None:
    path = person.write("in.jsonl", requests(3))
    assert person.run("run", path, "--poll", "50ms").status == 0
    copy = person.write("copy.jsonl", requests(3))
    assert person.run("run", copy, "--poll", "50ms").status == 0
    assert emulator.requests()[CREATE] == 1
    assert person.run("run", path, "--again", "--poll", "50ms").status == 0
    assert emulator.requests()[CREATE] == 2


def test_a_path_that_is_neither_a_file_nor_a_job_is_said(person: Person, emulator: Running) -> None:
    assert person.run("run", "nowhere.jsonl").status == 5
    person.submitted("in.jsonl", requests(2))
    for word in ("nowhere.jsonl", "nowhere/in.jsonl"):
        ran = person.run("run", word)
        assert ran.status == 2
        assert f"error: {word}: no such file, and no job is called so" in ran.err


def test_a_run_that_brought_nothing_names_no_results(person: Person, emulator: Running) -> None:
    fault = {"fault": "status", "status": 400, "message": "requests.0.custom_id: no"}
    emulator.add_fault({"on": "create", **fault})
    path = person.write("in.jsonl", requests(2))
    ran = person.run("run", path, "--poll", "50ms")
    assert ran.status == 1, ran.err
    assert "results: " not in ran.err
    assert "errors:  " in ran.err
    again = person.run("run", path, "--poll", "50ms", "--json", "--max-rounds", "1")
    assert again.status == 3, again.err
    assert json.loads(again.out.splitlines()[-1])["results_file"] is None


SAYS_NO = {"on": "create", "fault": "status", "nth": 2}


@pytest.mark.parametrize(
    ("fault", "options", "status", "said"),
    few(
        [
            ({**SAYS_NO, "status": 400, "message": "Something about all of it."}, (), 4, "names no request"),
            ({**SAYS_NO, "status": 402, "message": "no credit"}, (), 4, "the account stops this job"),
            # Presumed to have made nothing, and within the limit no more.
            ({**SAYS_NO, "status": 529}, ("--max-cost", "0.0011"), 6, "raise the limit"),
        ],
        0,
        2,
    ),
)
def test_what_has_ended_is_brought_home_before_a_person_is_waited_for(
    person: Person, emulator: Running, fault: dict[str, Any], options: tuple[str, ...], status: int, said: str
) -> None:
    emulator.set_scenario({"batch_seconds": 0})
    emulator.add_fault(fault)
    path = person.write("in.jsonl", requests(5))
    ran = person.run("run", path, "--max-requests", "3", "--equal-sizes", "--parallel", "1", "--poll", "50ms", *options)
    assert ran.status == status, ran.err
    assert said in ran.err
    (job,) = [one["job"] for one in person.run("status", "--json", "--offline").json["jobs"]]
    assert ids(person.results(job)) == ["r-00000", "r-00001", "r-00002"]
    assert [one["type"] for one in person.errors(job)] == ["unanswered"] * 2
    assert person.run("run", job, "--poll", "50ms", "--max-cost", "10").status == 0
    assert ids(person.results(job)) == [f"r-{n:05d}" for n in range(5)]


def test_what_is_running_is_not_waited_for_where_a_person_is(person: Person, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    emulator.add_fault({**SAYS_NO, "status": 402, "message": "no credit"})
    path = person.write("in.jsonl", requests(4))
    ran = person.run("run", path, "--max-requests", "2", "--parallel", "1", "--poll", "50ms")
    assert ran.status == 4, ran.err
    assert not list(person.folder.glob("*.results.jsonl"))


def test_the_time_a_person_allows_ends_it_and_the_same_command_goes_on(person: Person, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    path = person.write("in.jsonl", requests(4))
    started = time.monotonic()
    ran = person.run("run", path, "--poll", "50ms", "--timeout", "3s")
    assert ran.status == 8
    assert time.monotonic() - started < 15
    assert "not finished within the --timeout" in ran.err
    assert "next: batchctl run in-" in ran.err
    emulator.advance(600)
    assert person.run("run", path, "--poll", "50ms").status == 0
    assert emulator.requests()[CREATE] == 1


def test_json_is_a_line_per_look_and_the_answers_last(person: Person, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.3})
    ran = person.run("run", person.write("in.jsonl", requests(3)), "--poll", "100ms", "--json")
    shapes = [json.loads(line) for line in ran.out.splitlines()]
    assert {s["type"] for s in shapes[:-1]} == {"status"}
    assert shapes[-1]["type"] == "fetch"
    assert shapes[-1]["answers"]["succeeded"] == 3
    assert Path(person.folder / shapes[-1]["results_file"]).exists()


def test_account_failures_end_it_with_what_was_answered_in_the_files(person: Person, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"out_of_credit": 0.5}})
    path = person.write("in.jsonl", requests(20))
    ran = person.run("run", path, "--poll", "50ms")
    assert ran.status == 4, ran.err
    assert "because of the account" in ran.err
    (results,) = person.folder.glob("*.results.jsonl")
    assert len(results.read_bytes().splitlines()) == 20
    assert emulator.requests()[CREATE] == 1


def test_a_refused_batch_ends_the_sending_and_the_rest_is_brought_home(person: Person, emulator: Running) -> None:
    fault = {"fault": "status", "status": 400, "type": "invalid_request_error", "message": "requests.0.custom_id: no"}
    emulator.add_fault({"on": "create", "nth": 2, **fault})
    path = person.write("in.jsonl", requests(6))
    ran = person.run("run", path, "--max-requests", "2", "--parallel", "1", "--poll", "50ms")
    assert ran.status == 1
    assert "requests.0.custom_id: no" in ran.err
    (results,) = person.folder.glob("*.results.jsonl")
    assert len(results.read_bytes().splitlines()) == 2


def test_a_queue_that_is_full_is_sent_into_as_batches_end(person: Person, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.4, "limits": {"queue": 20}})
    path = person.write("in.jsonl", requests(60))
    ran = person.run("run", path, "--max-requests", "10", "--poll", "200ms", "--parallel", "2")
    assert ran.status == 0, ran.err
    assert "429" in ran.err
    batches = sent_lines(emulator)
    assert sorted(line for batch in batches for line in batch) == sorted(requests(60))
    # Two are taken at once; a third was uploaded to be refused once, or twice where uploads ran side by side.
    assert emulator.requests()[CREATE] <= len(batches) + 3


@pytest.mark.slow
def test_two_runs_of_one_input_at_once_are_one_job(person: Person, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.3, "outcomes": {"overloaded_error": 0.3}})
    path = person.write("in.jsonl", requests(12))
    assert person.run("submit", path, "--max-requests", "3", "--no-wait").status == 0
    shell = Shell(person.folder, {**os.environ, **person.variables})
    ran = []
    threads = [threading.Thread(target=lambda: ran.append(shell.run("run", path, "--poll", "100ms"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.returncode for one in ran} == {0}, [one.stderr for one in ran]
    assert len(emulator.batches()) == 5


def test_on_stdout_every_answer_comes_once_and_nothing_else(person: Person, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.1, "outcomes": {"overloaded_error": 0.4}})
    path = person.write("in.jsonl", requests(10))
    ran = person.run("run", path, "--poll", "50ms", "-o", "-", "--json")
    assert ran.status == 0, ran.err
    assert emulator.requests()[CREATE] == 2
    assert ids(json.loads(line) for line in ran.out.splitlines()) == [f"r-{n:05d}" for n in range(10)]
    assert json.loads(ran.err.splitlines()[-1])["type"] == "fetch"


def test_a_job_that_another_process_cancels_gets_no_further_round(
    person: Person, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set_scenario({"batch_seconds": 0.2, "outcomes": {"overloaded_error": 0.5}})
    path = person.write("in.jsonl", requests(12))

    def home_late(tools: Equipment, job: Job, *more: Any) -> Fetched:
        tools.ledger.record_canceled(job, tools.now())
        return brought_home(tools, job, *more)

    monkeypatch.setattr("batchctl.verbs.run.brought_home", home_late)
    ran = person.run("run", path, "--poll", "50ms")
    assert ran.status == 3, ran.err
    assert "round 2" not in ran.err
    assert person.run("cancel", "--yes").status == 6


@pytest.mark.slow
def test_a_round_that_another_process_has_sent_is_waited_for(
    person: Person, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.set_scenario({"batch_seconds": 0.2, "outcomes": {"overloaded_error": 0.5}})
    path = person.write("in.jsonl", requests(12))

    def home_late(*given: Any) -> Fetched:
        monkeypatch.setattr("batchctl.verbs.run.brought_home", brought_home)
        fetched = brought_home(*given)
        emulator.set_scenario({"batch_seconds": 1})
        other = Shell(person.folder, {**os.environ, **person.variables}).run("retry")
        assert other.returncode == 0, other.stderr
        return fetched

    monkeypatch.setattr("batchctl.verbs.run.brought_home", home_late)
    ran = person.run("run", path, "--poll", "50ms")
    assert ran.status == 0, ran.err
    assert emulator.requests()[CREATE] == 2
