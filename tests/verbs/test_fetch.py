import json
from pathlib import Path

import pytest
from cases import few
from program import Cli, ids, request, requests

from batchctl.emulator.running import Running

RESULTS = "GET /v1/messages/batches/{id}/results"


def test_results_are_the_apis_own_bytes_in_input_order(cli: Cli, emulator: Running) -> None:
    lines = requests(30)
    job = cli.submitted("in.jsonl", lines, "--max-requests", "10")
    assert cli.run("fetch").status == 0
    written = (cli.folder / f"{job}.results.jsonl").read_bytes().splitlines()
    raw = [p for p in (cli.folder / ".batchctl" / "jobs" / job / "raw").iterdir() if p.suffix == ".jsonl"]
    received = {json.loads(line)["custom_id"]: line for p in raw for line in p.read_bytes().splitlines()}
    assert written == [received[json.loads(line)["custom_id"]] for line in lines]
    assert cli.errors(job) == []


@pytest.mark.slow
def test_fetching_while_batches_run_gives_what_there_is_and_says_so(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0})
    path = cli.write("in.jsonl", requests(20))
    emulator.add_fault({"on": "create", "fault": "queue_full", "nth": 2, "retry_after": 1})
    job = cli.run("submit", path, "--max-requests", "10", "--parallel", "1", "--no-wait", "--json").json["job"]
    ran = cli.run("fetch")
    assert ran.status == 8
    assert "10 succeeded, 10 unanswered" in ran.err
    assert ids(cli.results(job)) == [f"r-{n:05d}" for n in range(10)]
    assert {e["type"] for e in cli.errors(job)} == {"unanswered"}
    assert [e["line"] for e in cli.errors(job)] == list(range(11, 21))
    assert cli.run("submit", path).status == 0
    before = emulator.requests()[RESULTS]
    assert cli.run("fetch").status == 0
    assert emulator.requests()[RESULTS] == before + 1
    assert len(cli.results(job)) == 20


def test_the_output_goes_where_it_is_asked_for(cli: Cli) -> None:
    job = cli.submitted("in.jsonl", requests(3))
    (cli.folder / "out").mkdir()
    assert cli.run("fetch", "--output-dir", "out").status == 0
    assert (cli.folder / "out" / f"{job}.results.jsonl").exists()
    assert cli.run("fetch", "-o", "mine.jsonl").status == 0
    assert (cli.folder / "mine.errors.jsonl").exists()
    ran = cli.run("fetch", "-o", "-")
    assert ids(map(json.loads, ran.out.splitlines())) == ["r-00000", "r-00001", "r-00002"]
    assert cli.run("fetch", "--output-dir", "nowhere").status == 2
    assert cli.run("fetch", "-o", "in.jsonl").status == 6


@pytest.mark.parametrize("verb", few(["fetch", "run", "cancel"], 0, 1))
@pytest.mark.parametrize("file", few(["results", "errors"], 0))
def test_a_file_that_the_job_did_not_write_stays_unless_a_person_insists(
    cli: Cli, emulator: Running, verb: str, file: str
) -> None:
    """Before anything is sent or downloaded: nothing is paid for a file that is then not written."""
    emulator.set_scenario({"batch_seconds": 600 if verb == "cancel" else 0, "cancel_seconds": 0.1})
    words = {"fetch": ["fetch"], "run": ["run", "in.jsonl"], "cancel": ["cancel", "--yes", "--poll", "100ms"]}[verb]
    if verb == "run":
        cli.write("in.jsonl", requests(3))
    else:
        cli.submitted("in.jsonl", requests(3))
    thesis = cli.folder / ("mine.jsonl" if file == "results" else "mine.errors.jsonl")
    thesis.write_text("a thesis")
    before = len(emulator.batches()), emulator.requests().get(RESULTS)
    ran = cli.run(*words, "-o", "mine.jsonl")
    assert ran.status == 6, ran.err
    assert f"{thesis.name} exists and was not written by this job" in ran.err
    assert "--force" in ran.err
    assert thesis.read_text() == "a thesis"
    assert (len(emulator.batches()), emulator.requests().get(RESULTS)) == before
    # From here on it is the job's own.
    assert cli.run(*words, "-o", "mine.jsonl", "--force").status == 0
    assert cli.run("fetch", "-o", "mine.jsonl").status in {0, 3}
    assert "thesis" not in thesis.read_text()


def test_results_are_not_written_into_the_workspace(cli: Cli) -> None:
    cli.submitted("in.jsonl", requests(3))
    ledger = cli.folder / ".batchctl" / "ledger.db"
    (cli.folder / "link.jsonl").symlink_to(ledger)
    (cli.folder / "sub").mkdir()
    for output in (".batchctl/ledger.db", "sub/../.batchctl/prices.toml", "link.jsonl"):
        ran = cli.run("fetch", "-o", output, "--force")
        assert ran.status == 6, ran.err
        assert "is in the workspace" in ran.err
    assert cli.run("fetch", "--output-dir", ".batchctl/jobs").status == 6
    assert ledger.read_bytes().startswith(b"SQLite")
    assert cli.run("fetch").status == 0


def test_files_that_only_their_owner_could_read_stay_so(cli: Cli) -> None:
    job = cli.submitted("in.jsonl", requests(3))
    assert cli.run("fetch").status == 0
    files = [cli.folder / f"{job}.{kind}.jsonl" for kind in ("results", "errors")]
    for file in files:
        file.chmod(0o600)
    assert cli.run("fetch").status == 0
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]


@pytest.mark.slow
def test_a_deleted_input_hurts_nobody(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    job = cli.submitted("in.jsonl", requests(20))
    (cli.folder / "in.jsonl").unlink()
    assert cli.run("fetch").status == 3
    assert cli.run("retry").status == 0
    assert cli.run("fetch").status == 0
    assert len(cli.results(job)) == 20


@pytest.mark.parametrize(
    "fault",
    few(
        [
            "reset",
            "short_content_length",
            "early_end_at_line",
            "early_end_mid_line",
            "changed_twin",
            "missing_line",
            "foreign_id",
        ],
        1,
    ),
)
def test_a_download_that_is_not_whole_is_never_taken_for_one(cli: Cli, emulator: Running, fault: str) -> None:
    job = cli.submitted("in.jsonl", requests(50))
    emulator.add_fault({"on": "results", "fault": fault})
    ran = cli.run("fetch")
    assert ran.status == 0, ran.err
    assert "not whole" in ran.err
    assert emulator.requests()[RESULTS] == 2
    assert len(cli.results(job)) == 50
    assert not list((cli.folder / ".batchctl").rglob("*.part"))


@pytest.mark.parametrize("fault", few(["not_utf8", "nul_byte", "no_head"], 0))
def test_one_line_that_cannot_be_read_costs_no_other(cli: Cli, emulator: Running, fault: str) -> None:
    job = cli.submitted("in.jsonl", requests(50))
    emulator.add_fault({"on": "results", "fault": fault, "times": 2})
    ran = cli.run("fetch")
    assert ran.status == 3, ran.err
    assert "49 succeeded, 1 of unknown type" in ran.err
    assert "unreadable" in ran.err
    assert emulator.requests()[RESULTS] == 2
    (raw,) = (cli.folder / ".batchctl" / "jobs" / job / "raw").glob("*.jsonl")
    # Whoever reads the answers as JSON in UTF-8 gets all the others.
    answers = cli.results(job)
    assert len(answers) == 49
    (error,) = cli.errors(job)
    assert (error["outcome"], error["class"], error["type"]) == ("unknown", "fix", "unreadable")
    assert {error["custom_id"], *ids(answers)} == {json.loads(line)["custom_id"] for line in requests(50)}
    assert str(raw) in error["message"]
    assert cli.run("verify", "--json").json["flaws"] == 0
    # It may be a success, which was paid for.
    assert cli.run("retry").status == 3
    assert cli.run("retry", "--only", "unreadable", "--yes").status == 0
    assert cli.run("fetch").status == 0
    assert len(cli.results(job)) == 50
    assert cli.run("verify").status == 0


def test_one_line_that_can_be_read_the_next_time_is_an_answer(cli: Cli, emulator: Running) -> None:
    job = cli.submitted("in.jsonl", requests(50))
    emulator.add_fault({"on": "results", "fault": "not_utf8"})
    ran = cli.run("fetch")
    assert ran.status == 0, ran.err
    assert "not whole" in ran.err
    assert len(cli.results(job)) == 50


@pytest.mark.parametrize("fault", ["duplicate_line", "deep_line"])
def test_a_line_that_is_odd_and_whole_is_taken_at_once(cli: Cli, emulator: Running, fault: str) -> None:
    job = cli.submitted("in.jsonl", requests(50))
    emulator.add_fault({"on": "results", "fault": fault, "times": 0})
    ran = cli.run("fetch", "-v")
    assert ran.status == 0, ran.err
    assert ("1 came twice, the same: left out" in ran.err) == (fault == "duplicate_line")
    assert emulator.requests()[RESULTS] == 1
    assert len((cli.folder / f"{job}.results.jsonl").read_bytes().splitlines()) == 50
    assert cli.run("verify").status == 0


@pytest.mark.slow
def test_results_are_on_the_disk_even_where_the_input_changed(cli: Cli, emulator: Running) -> None:
    """The API removes them after 29 days, and the input may be found by then."""
    job = cli.submitted("in.jsonl", requests(20), "--max-requests", "10", "--equal-sizes")
    folder = cli.folder / ".batchctl" / "jobs" / job
    planned = folder / "round-1.requests.jsonl"
    before = planned.read_bytes()
    # As a hard link of a large input shows it, after that was written anew in place.
    planned.write_bytes(before.replace(b"r-00003", b"r-xxxxx"))
    ran = cli.run("fetch")
    assert ran.status == 5, ran.err
    assert "changed since it was planned" in ran.err
    assert "--input" in ran.err
    (kept,) = (folder / "raw").glob("*.unverified")
    assert str(kept) in ran.err
    assert kept.read_bytes().count(b"\n") == 10
    # The other batch came home.
    assert ids(cli.results(job)) == [f"r-{n:05d}" for n in range(10, 20)]
    assert [(e["line"], e["custom_id"]) for e in cli.errors(job)] == [(n, None) for n in range(1, 11)]
    asked = emulator.requests()[RESULTS]
    assert cli.run("fetch").status == 5
    planned.write_bytes(before)
    ran = cli.run("fetch")
    assert ran.status == 0, ran.err
    assert emulator.requests()[RESULTS] == asked
    assert len(cli.results(job)) == 20
    assert not kept.exists()
    assert cli.run("verify").status == 0


def test_a_run_whose_input_changed_brings_home_what_was_sent(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    job = cli.submitted("in.jsonl", requests(20), "--max-requests", "10", "--equal-sizes")
    planned = cli.folder / ".batchctl" / "jobs" / job / "round-1.requests.jsonl"
    planned.write_bytes(planned.read_bytes().replace(b"r-00003", b"r-xxxxx"))
    emulator.advance(700)
    ran = cli.run("run", job)
    assert ran.status == 5, ran.err
    assert len(cli.results(job)) == 10


def test_a_result_of_a_type_invented_tomorrow_is_kept_and_counted(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "results", "fault": "unknown_result_type", "times": 0})
    job = cli.submitted("in.jsonl", requests(5))
    ran = cli.run("fetch")
    assert ran.status == 3, ran.err
    assert "1 of unknown type" in ran.err
    assert len(cli.results(job)) == 5
    assert cli.errors(job)[0]["outcome"] == "unknown"
    assert cli.run("retry").status == 3


def test_results_that_stay_broken_are_one_message_and_the_rest_is_kept(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchctl.engine.download.GIVE_UP_AFTER", 2)
    job = cli.submitted("in.jsonl", requests(20), "--max-requests", "10", "--parallel", "1")
    emulator.add_fault({"on": "results", "fault": "missing_line", "times": 0, "batch": 1})
    ran = cli.run("fetch", "--parallel", "1")
    assert ran.status == 1
    assert ids(cli.results(job)) == [f"r-{n:05d}" for n in range(10, 20)]
    assert "1 of 10 requests have no result" in ran.err
    assert "Traceback" not in ran.err


def test_what_the_api_archived_or_forgot_is_said(cli: Cli, emulator: Running) -> None:
    cli.submitted("in.jsonl", requests(3))
    cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-another-workspace"
    ran = cli.run("fetch")
    assert ran.status == 8
    assert "not known to the API" in ran.err


def test_a_look_without_an_answer_is_made_again(cli: Cli, emulator: Running) -> None:
    job = cli.submitted("in.jsonl", requests(3))
    emulator.add_fault({"on": "retrieve", "fault": "status", "status": 529, "type": "overloaded_error"})
    ran = cli.run("fetch")
    assert ran.status == 0, ran.err
    assert "no answer  HTTP 529" in ran.err
    assert len(cli.results(job)) == 3


@pytest.mark.slow
def test_what_has_ended_comes_home_while_looks_get_no_answer(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "create", "fault": "queue_full", "nth": 2, "retry_after": 1})
    path = cli.write("in.jsonl", requests(4))
    assert cli.run("submit", path, "--max-requests", "2", "--parallel", "1", "--no-wait").status == 8
    assert cli.run("status", "@last").status == 0
    emulator.set_scenario({"batch_seconds": 600})
    assert cli.run("submit", path).status == 0
    emulator.add_fault({"on": "retrieve", "fault": "status", "status": 529, "type": "overloaded_error", "times": 0})
    ran = cli.run("fetch", "@last")
    assert ran.status == 8, ran.err
    assert "2 succeeded, 2 unanswered" in ran.err


def test_all_of_it_again_is_the_same_bytes(cli: Cli, emulator: Running) -> None:
    job = cli.submitted("in.jsonl", requests(9), "--max-requests", "4")
    assert cli.run("fetch").status == 0
    first = (cli.folder / f"{job}.results.jsonl").read_bytes()
    before = emulator.requests()[RESULTS]
    assert cli.run("fetch").status == 0
    assert (cli.folder / f"{job}.results.jsonl").read_bytes() == first
    assert emulator.requests()[RESULTS] == before


def test_unusual_lines_arrive_byte_for_byte(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "results", "fault": "line_separator"})
    job = cli.submitted("in.jsonl", [request(f"u-{n}", "a\u2028b") for n in range(4)])
    assert cli.run("fetch").status == 0
    assert "\u2028".encode() in (cli.folder / f"{job}.results.jsonl").read_bytes()
    assert Path(cli.folder / f"{job}.results.jsonl").read_bytes().count(b"\n") == 4


@pytest.mark.parametrize("verb", ["fetch", "run"])
def test_a_folder_for_results_that_is_gone_is_named_and_nothing_is_lost(cli: Cli, verb: str) -> None:
    job = cli.submitted("in.jsonl", requests(3))
    folder = cli.folder / "out of here"
    ran = cli.run(verb, job, "-o", "out of here/r.jsonl")
    assert ran.status == 1
    assert f"error: {folder}: no such folder" in ran.err
    assert f"mkdir -p '{folder}'" in ran.err
    folder.mkdir()
    assert cli.run(verb, job, "-o", "out of here/r.jsonl").status == 0
    assert len((folder / "r.jsonl").read_bytes().splitlines()) == 3
