"""Batches made elsewhere, by the real SDK, become a job like any other."""

import gzip
import importlib
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import pytest
from program import KEY, OF_WRONG, Cli, ids, request, requests, sent_lines, wrong_request

from batchctl.clock import Clock
from batchctl.domain.errors import Stopped
from batchctl.domain.model import Job
from batchctl.emulator.running import Running
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.liveness import Owner

CREATE = "POST /v1/messages/batches"
RETRIEVE = "GET /v1/messages/batches/{id}"
LIST = "GET /v1/messages/batches"
RESULTS = "GET /v1/messages/batches/{id}/results"


def made(emulator: Running, *batches: Iterable[bytes]) -> list[str]:
    """As a script makes them: every line read, and handed to the SDK. Their ids."""
    with anthropic.Anthropic(api_key=KEY, base_url=emulator.base_url) as client:
        return [client.messages.batches.create(requests=[json.loads(line) for line in one]).id for one in batches]


def slices(lines: list[bytes], size: int) -> list[list[bytes]]:
    return [lines[at : at + size] for at in range(0, len(lines), size)]


def attached(cli: Cli, *words: str | Path) -> str:
    ran = cli.run("attach", *words)
    assert ran.status == 0, ran.err
    return ran.job


def ids_of(lines: Iterable[bytes]) -> list[str]:
    return [json.loads(line)["custom_id"] for line in lines]


def nothing_recorded(cli: Cli) -> bool:
    """No job, no file of one, and nothing left of the attempt."""
    root = cli.folder / ".batchctl"
    if not root.exists():
        return True
    left = [path for name in ("jobs", "tmp") for path in (root / name).rglob("*")]
    ledger = SqlLedger(root / "ledger.db")
    try:
        return not ledger.jobs() and not left
    finally:
        ledger.close()


def test_no_network_is_waited_out_as_long_as_a_person_allows(cli: Cli, emulator: Running) -> None:
    batches = made(emulator, requests(2))
    there = cli.variables["ANTHROPIC_BASE_URL"]
    cli.variables["ANTHROPIC_BASE_URL"] = "http://127.0.0.1:9"
    ran = cli.run("attach", *batches, "--timeout", "300ms")
    assert ran.status == 8, ran.err
    assert "not finished within --timeout" in ran.err
    assert nothing_recorded(cli)
    cli.variables["ANTHROPIC_BASE_URL"] = there
    assert attached(cli, *batches)


# ---------------------------------------------------------------- without the input


def test_batches_of_a_script_become_a_job_that_can_be_fetched(cli: Cli, emulator: Running) -> None:
    lines = requests(25)
    named = made(emulator, *slices(lines, 10))
    ran = cli.run("attach", *reversed(named))
    assert ran.status == 0, ran.err
    assert ran.job.startswith("attached-")
    assert ran.out.count("\n") == 1
    assert f"attached   {ran.job}: 25 requests in 3 batches, 3 ended" in ran.err
    assert f"next: batchctl fetch {ran.job}" in ran.err
    assert cli.run("fetch").status == 0
    results = cli.results(ran.job)
    assert sorted(ids(results)) == ids_of(lines)
    assert [set(ids(one)) for one in (results[:10], results[10:20], results[20:])] == [
        set(ids_of(one)) for one in slices(lines, 10)
    ]
    assert cli.errors(ran.job) == []
    assert emulator.requests()[CREATE] == 3


def test_its_results_are_the_apis_own_bytes_in_the_order_of_arrival(cli: Cli, emulator: Running) -> None:
    job = attached(cli, *made(emulator, requests(20)))
    assert cli.run("fetch").status == 0
    raw = cli.folder / ".batchctl" / "jobs" / job / "raw" / "round-1.000000000.jsonl"
    assert (cli.folder / f"{job}.results.jsonl").read_bytes() == raw.read_bytes()


@pytest.mark.slow
def test_a_truncated_download_is_never_taken_for_whole(cli: Cli, emulator: Running) -> None:
    job = attached(cli, *made(emulator, requests(20)))
    for fault in ("early_end_at_line", "early_end_mid_line", "changed_twin", "missing_line"):
        emulator.add_fault({"on": "results", "fault": fault})
    ran = cli.run("fetch")
    assert ran.status == 0, ran.err
    assert ran.err.count("not whole") == 4
    assert len(set(ids(cli.results(job)))) == 20


def test_what_is_unanswered_has_no_known_id(cli: Cli, emulator: Running) -> None:
    first = made(emulator, requests(3))
    emulator.set_scenario({"batch_seconds": 600})
    job = attached(cli, *first, *made(emulator, requests(2, "s")))
    ran = cli.run("fetch")
    assert ran.status == 8, ran.err
    assert len(cli.results(job)) == 3
    errors = cli.errors(job)
    assert [(e["line"], e["custom_id"], e["type"]) for e in errors] == [
        (4, None, "unanswered"),
        (5, None, "unanswered"),
    ]
    assert "without its input" in errors[0]["message"]


def test_a_job_without_its_input_says_so_wherever_it_is_shown(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 1.0}})
    job = attached(cli, *made(emulator, requests(4)), "--label", "team=evals")
    told = cli.run("status", job, "--batches")
    assert "made elsewhere, attached without its input: 4 requests" in told.out
    assert "15 B" not in told.out
    assert "elapsed 0 s" in told.out
    shape = cli.run("status", job, "--json", "--batches").json
    assert (shape["input"], shape["input_sha256"], shape["labels"]) == (None, None, {"team": "evals"})
    assert (shape["message_batches"][0]["bytes"], shape["message_batches"][0]["sha256"]) == (None, None)
    assert cli.run("fetch").status == 3
    assert f"next: batchctl attach {job} --input FILE" in cli.run("status", job).out


def test_verbs_that_need_requests_name_the_one_that_gives_them(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 1.0}})
    job = attached(cli, *made(emulator, requests(4)))
    assert cli.run("fetch").status == 3
    for words in (["retry"], ["retry", "--dry-run"], ["retry", "--edit"]):
        ran = cli.run(*words)
        assert ran.status == 6
        assert f"batchctl attach {job} --input FILE" in ran.err
    moved = cli.run("fetch", "--input", cli.write("in.jsonl", requests(4)))
    assert moved.status == 2
    assert f"batchctl attach {job} --input" in moved.err
    sent = cli.run("submit", job)
    assert sent.status == 6
    assert "there is nothing to send" in sent.err
    assert emulator.requests()[CREATE] == 1


def test_its_input_submitted_here_is_another_job(cli: Cli, emulator: Running) -> None:
    attached(cli, *made(emulator, requests(4)))
    cli.submitted("in.jsonl", requests(4))
    assert emulator.requests()[CREATE] == 2


@pytest.mark.slow
def test_a_batch_that_has_not_ended_is_followed_to_its_end(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    ran = cli.run("attach", *made(emulator, requests(2)))
    assert "1 in progress" in ran.err
    assert f"next: batchctl status {ran.job} --watch" in ran.err
    emulator.set_scenario({"batch_seconds": 0.3})
    job = attached(cli, *made(emulator, requests(4), requests(4, "s")))
    assert cli.run("status", job, "--watch", "--poll", "200ms").status == 0
    assert cli.run("fetch", job).status == 0
    assert len(cli.results(job)) == 8


# ---------------------------------------------------------------- which batches


def test_ids_come_from_stdin_one_on_each_line(cli: Cli, emulator: Running) -> None:
    named = made(emulator, requests(2), requests(3, "s"), requests(4, "t"))
    ran = cli.run("attach", "-", stdin="\n".join([named[0], "", f"  {named[2]}\r", named[1], ""]).encode())
    assert ran.status == 0, ran.err
    shape = cli.run("status", ran.job, "--json", "--batches").json
    assert [b["id"] for b in shape["message_batches"]] == named
    assert [b["first"] for b in shape["message_batches"]] == [0, 2, 5]


def test_many_batches_are_asked_for_with_one_list_page(cli: Cli, emulator: Running) -> None:
    named = made(emulator, *([line] for line in requests(30)))
    attached(cli, *named[:20])
    assert (emulator.requests()[LIST], emulator.requests().get(RETRIEVE, 0)) == (1, 0)
    attached(cli, *named[20:22])
    # Few are asked for by name; one small page tells whose key it is that sees them.
    assert (emulator.requests()[LIST], emulator.requests()[RETRIEVE]) == (2, 2)


def test_a_batch_that_the_list_does_not_show_is_asked_for_by_name(cli: Cli, emulator: Running) -> None:
    named = made(emulator, *([line] for line in requests(4)))
    emulator.add_fault({"on": "list", "fault": "hide_from_list"})
    attached(cli, *named)
    assert emulator.requests()[RETRIEVE] == 1


@pytest.mark.slow
def test_an_answer_that_does_not_come_is_asked_for_again(cli: Cli, emulator: Running) -> None:
    named = made(emulator, requests(2))
    emulator.add_fault({"on": "retrieve", "fault": "status", "status": 529, "type": "overloaded_error"})
    ran = cli.run("attach", *named)
    assert ran.status == 0, ran.err
    assert "no answer" in ran.err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["msgbatch_"], 2, "'msgbatch_' is not a batch id"),
        (["batch_123"], 2, "'batch_123' is not a batch id"),
        (["msgbatch_../up"], 2, "is not a batch id"),
        ([f"msgbatch_{'x' * 120}"], 2, "at most 128"),
        (["msgbatch_1", "msgbatch_2", "msgbatch_1"], 2, "given twice: msgbatch_1"),
        (["msgbatch_nobody"], 2, "the API does not know msgbatch_nobody"),
        ([f"msgbatch_{n}" for n in range(9)], 2, "msgbatch_0, msgbatch_1, msgbatch_2 and 6 more"),
        (["-"], 2, "stdin holds no id"),
        (["-", "--input", "-"], 2, "either the ids or the input"),
        (["msgbatch_1", "--name", "../up"], 2, "--name"),
        (["msgbatch_1", "--beta", "a b"], 2, "--beta"),
        (["msgbatch_1", "--label", "novalue"], 2, "--label"),
        (["msgbatch_1", "--api-version", "2020-01-01"], 2, "2026-10-21"),
    ],
)
def test_words_that_name_no_batch_are_refused(cli: Cli, words: list[str], status: int, said: str) -> None:
    ran = cli.run("attach", *words)
    assert (ran.status, said in ran.err) == (status, True), ran.err
    assert "Traceback" not in ran.err
    assert not (cli.folder / ".batchctl").exists() or nothing_recorded(cli)


def test_another_api_workspace_is_named_as_a_cause(cli: Cli, emulator: Running) -> None:
    named = made(emulator, requests(2))
    cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-another-workspace"
    ran = cli.run("attach", *named)
    assert ran.status == 2
    assert "another API workspace" in ran.err
    assert nothing_recorded(cli)


def test_an_archived_batch_is_refused_for_its_results_are_gone(cli: Cli, emulator: Running) -> None:
    old = made(emulator, requests(2))
    emulator.advance(30 * 24 * 3600)
    ran = cli.run("attach", *old, *made(emulator, requests(2)))
    assert ran.status == 6
    assert f"archived {old[0]}" in ran.err
    assert nothing_recorded(cli)


def test_a_batch_of_a_job_stays_with_it(cli: Cli, emulator: Running) -> None:
    job = cli.submitted("in.jsonl", requests(4), "--max-requests", "2")
    mine = [b["id"] for b in emulator.batches()]
    other = made(emulator, requests(2, "s"))
    ran = cli.run("attach", *other, mine[1])
    assert ran.status == 6
    assert f"{mine[1]} in {job}" in ran.err
    known = attached(cli, *other)
    for words in (other, [known], [*other, "--input", "in.jsonl", "--name", "else"], [*other, mine[0]]):
        ran = cli.run("attach", *words)
        assert ran.status in {2, 6}
        assert known in ran.err
    assert cli.run("attach", job).status == 6
    assert len(cli.run("status", "--json").json["jobs"]) == 2


@pytest.mark.slow
def test_a_batch_that_a_job_is_in_doubt_about_is_not_taken_from_it(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken, its own job would never find it, and pay for it again."""
    monkeypatch.setenv("BATCHCTL_UNCONFIRMED_GRACE", "1")
    emulator.set_scenario({"batch_seconds": 600})
    emulator.add_fault({"on": "create", "fault": "drop_after_accept"})
    emulator.add_fault({"on": "list", "fault": "status", "status": 401, "type": "authentication_error", "nth": 2})
    path = cli.write("in.jsonl", requests(3))
    assert cli.run("submit", path).status != 0
    lost = emulator.batches()[0]["id"]
    ran = cli.run("attach", lost)
    assert ran.status == 6
    assert "unconfirmed batch" in ran.err
    assert cli.run("submit", path).status == 0
    assert emulator.requests()[CREATE] == 1
    assert "in-" in cli.run("attach", lost).err


# ---------------------------------------------------------------- with the input


def test_slices_give_exactly_the_order_of_the_input(cli: Cli, emulator: Running) -> None:
    lines = requests(25)
    named = made(emulator, *reversed(slices(lines, 10)))
    path = cli.write("reviews.jsonl", lines)
    ran = cli.run("attach", *named, "--input", path)
    assert ran.status == 0, ran.err
    assert ran.job.startswith("reviews-")
    assert "25 lines of" in ran.err
    assert "went into 3 batches" in ran.err
    assert cli.run("fetch").status == 0
    assert ids(cli.results(ran.job)) == ids_of(lines)
    assert cli.errors(ran.job) == []
    assert emulator.requests()[RESULTS] == 3
    shape = cli.run("status", ran.job, "--json").json
    assert (shape["input"], shape["requests"], shape["left_out"]) == (str(path), 25, 0)


@pytest.mark.slow
def test_what_failed_goes_again_with_the_original_bytes(cli: Cli, emulator: Running) -> None:
    lines = [line.replace(b'": ', b'":  ') for line in requests(30)]
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.3}})
    named = made(emulator, lines[20:], lines[:20])
    job = attached(cli, *named, "--input", cli.write("in.jsonl", lines), "--api-version", "2023-06-01")
    assert cli.run("fetch").status == 3
    errors = cli.errors(job)
    assert errors
    assert [ids_of(lines)[e["line"] - 1] for e in errors] == [e["custom_id"] for e in errors]
    assert [e["line"] for e in errors] == sorted(e["line"] for e in errors)
    (cli.folder / "in.jsonl").unlink()
    assert cli.run("retry").status == 0
    assert sent_lines(emulator)[-1] == [lines[e["line"] - 1] for e in errors]
    assert emulator.batches()[-1]["api_version"] == "2023-06-01"
    assert cli.run("fetch").status == 0
    assert ids(cli.results(job)) == ids_of(lines)


@pytest.mark.slow
def test_an_edited_retry_finds_its_places_whatever_the_order_of_creation(cli: Cli, emulator: Running) -> None:
    lines = requests(12)
    lines[2] = wrong_request("bad-1")
    lines[10] = wrong_request("bad-2")
    named = made(emulator, lines[8:], lines[:4], lines[4:8])
    job = attached(cli, *named, "--input", cli.write("in.jsonl", lines))
    assert cli.run("fetch").status == 3
    assert cli.run("retry", "--include-invalid", "--edit").status == 0
    path = cli.folder / f"{job}.round-2.requests.jsonl"
    path.write_bytes(path.read_bytes().replace(OF_WRONG, b""))
    assert cli.run("retry", "--from", path).status == 0
    assert cli.run("fetch").status == 0
    assert ids(cli.results(job)) == ids_of(lines)


@pytest.mark.slow
def test_lines_dealt_out_in_turns_each_find_their_answer(cli: Cli, emulator: Running) -> None:
    lines = requests(30)
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.3}})
    job = attached(cli, *made(emulator, lines[::3], lines[1::3], lines[2::3]), "--input", cli.write("in", lines))
    assert cli.run("fetch").status == 3
    assert ids(cli.results(job)) == ids_of([*lines[::3], *lines[1::3], *lines[2::3]])
    errors = cli.errors(job)
    assert all(e["custom_id"] == ids_of(lines)[e["line"] - 1] for e in errors)
    assert cli.run("retry").status == 0
    assert sorted(sent_lines(emulator)[-1]) == sorted(lines[e["line"] - 1] for e in errors)
    assert cli.run("fetch").status == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["plain", "gzip", "stdin", "byte order mark", "blank lines", "crlf", "no final newline"]
)
def test_every_way_in_gives_the_same_requests(cli: Cli, emulator: Running, kind: str) -> None:
    lines = requests(6)
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"expired": 1.0}})
    named = made(emulator, lines[:3], lines[3:])
    text = b"".join(line + b"\n" for line in lines)
    path, stdin = cli.folder / "in.jsonl", b""
    match kind:
        case "gzip":
            path = cli.folder / "in.jsonl.gz"
            path.write_bytes(gzip.compress(text))
        case "stdin":
            path, stdin = Path("-"), text
        case "byte order mark":
            path.write_bytes(b"\xef\xbb\xbf" + text)
        case "blank lines":
            path.write_bytes(b"\n" + text.replace(b"\n", b"\n \n"))
        case "crlf":
            path.write_bytes(text.replace(b"\n", b"\r\n"))
        case "no final newline":
            path.write_bytes(text[:-1])
        case _:
            path.write_bytes(text)
    ran = cli.run("attach", *named, "--input", path, stdin=stdin)
    assert ran.status == 0, ran.err
    assert cli.run("fetch").status == 3
    if kind == "blank lines":
        assert [e["line"] for e in cli.errors(ran.job)] == [2, 4, 6, 8, 10, 12]
    assert cli.run("retry").status == 0
    assert [line.strip() for line in sent_lines(emulator)[-1]] == lines


def test_what_the_check_would_refuse_was_sent_already(cli: Cli, emulator: Running) -> None:
    lines = [request("a", temperature=0.5), request("b", newer_parameter=1)]
    job = attached(cli, *made(emulator, lines), "--input", cli.write("in.jsonl", lines))
    assert cli.run("fetch").status == 3
    assert len(cli.results(job)) == 2


def test_the_input_is_known_again_and_not_paid_for_twice(cli: Cli, emulator: Running) -> None:
    lines = requests(4)
    path = cli.write("in.jsonl", lines)
    job = attached(cli, *made(emulator, lines), "--input", path)
    ran = cli.run("submit", path)
    assert ran.status == 6
    assert job in ran.err
    assert cli.run("fetch", "--output", path).status == 6


def test_batches_that_have_not_ended_cannot_be_paired_yet(cli: Cli, emulator: Running) -> None:
    ended = made(emulator, requests(2))
    emulator.set_scenario({"batch_seconds": 600})
    running = made(emulator, requests(2, "s"))
    path = cli.write("in.jsonl", [*requests(2), *requests(2, "s")])
    ran = cli.run("attach", *ended, *running, "--input", path)
    assert ran.status == 6
    assert running[0] in ran.err
    assert "without --input" in ran.err
    assert nothing_recorded(cli)
    job = attached(cli, *ended, *running)
    again = cli.run("attach", job, "--input", path)
    assert again.status == 6
    assert "--watch" in again.err


# ---------------------------------------------------------------- lines that are in none of the batches


def _with_rest(cli: Cli, emulator: Running, lines: list[bytes], *sent: list[bytes]) -> str:
    """A job of a script that sent no more than these, and crashed."""
    ran = cli.run("attach", *made(emulator, *sent), "--input", cli.write("in.jsonl", lines))
    assert ran.status == 3, ran.err
    return ran.job


def test_what_a_crashed_script_did_not_send_is_the_next_round(cli: Cli, emulator: Running) -> None:
    lines = requests(12)
    named = made(emulator, lines[4:8])
    ran = cli.run("attach", *named, "--input", cli.write("in.jsonl", lines))
    job = ran.job
    assert ran.status == 3, ran.err
    assert "4 lines of" in ran.err
    assert "8 lines are in none of these and left to the next round" in ran.err
    assert "pays twice for those that a batch holds which was not named" in ran.err
    assert f"next: batchctl retry {job}" in ran.err
    # It is told wherever the job is shown, and nothing sends it by itself.
    shape = cli.run("status", job, "--json", "--batches").json
    assert (shape["requests"], shape["left_out"], shape["in_no_batch"]) == (12, 0, 8)
    assert (shape["batches"]["total"], shape["batches"]["ended"], len(shape["message_batches"])) == (1, 1, 1)
    assert shape["rounds"][0]["states"] == {"fetched": 1}
    assert shape["next_command"] == f"batchctl retry {job}"
    assert cli.run("fetch").status == 3
    assert ids(cli.results(job)) == ids_of(lines[4:8])
    errors = cli.errors(job)
    assert [(e["line"], e["custom_id"]) for e in errors] == [(n + 1, f"r-{n:05d}") for n in (0, 1, 2, 3, 8, 9, 10, 11)]
    assert {(e["outcome"], e["type"], e["class"], e["round"]) for e in errors} == {
        ("unanswered", "in_no_batch", "retry", 0)
    }
    told = cli.run("status", job).out
    assert "8 never sent" in told
    assert f"8 requests are in none of the attached batches; to send the rest: batchctl retry {job}" in told
    proof = cli.run("verify", job, "--json").json
    assert (proof["holds"], proof["complete"], proof["answers"]["in_no_batch"]) == (True, False, 8)
    assert proof["next_command"] == f"batchctl retry {job}"
    assert cli.run("cost", job).status == 0
    assert emulator.requests()[CREATE] == 1
    # They go once, as they stand in the input, and every line has its one answer in its place.
    retried = cli.run("retry", job)
    assert retried.status == 0, retried.err
    assert sent_lines(emulator)[1:] == [[*lines[:4], *lines[8:]]]
    assert cli.run("status", job, "--json").json["in_no_batch"] == 0
    assert cli.run("fetch").status == 0
    assert ids(cli.results(job)) == ids_of(lines)
    assert cli.errors(job) == []
    shape = cli.run("status", job, "--json").json
    assert (shape["stage"], shape["in_no_batch"], shape["next_command"]) == ("done", 0, None)
    assert (shape["batches"]["total"], shape["batches"]["fetched"]) == (2, 2)
    assert cli.run("verify", job).status == 0
    assert cli.run("retry", job).status == 0
    assert cli.run("delete", job, "--yes").status == 0
    assert emulator.requests()[CREATE] == 2


@pytest.mark.slow
def test_run_does_not_send_what_nobody_agreed_to(cli: Cli, emulator: Running) -> None:
    lines = requests(6)
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 1.0}})
    job = _with_rest(cli, emulator, lines, lines[:2])
    emulator.set_scenario({"batch_seconds": 0})
    for limit in (["--yes"], ["--max-cost", "1000"]):
        ran = cli.run("run", job, "--poll", "50ms", *limit)
        assert ran.status == 3, ran.err
        assert "4 never sent" in ran.err
        assert f"next: batchctl retry {job}" in ran.err
    # What had failed went again; the rest did not.
    assert sent_lines(emulator)[1:] == [lines[:2]]
    for words in (["submit", job], ["submit", "in.jsonl"]):
        ran = cli.run(*words)
        assert (ran.status, f"batchctl retry {job}" in ran.err) == (6, True), ran.err
    assert cli.run("status", job, "--watch", "--poll", "50ms", "--exit-status").status == 3
    assert cli.run("cancel", job, "--yes").status == 6
    assert len(emulator.batches()) == 2
    assert cli.run("retry", job).status == 0
    assert sent_lines(emulator)[2:] == [lines[2:]]
    assert cli.run("run", job, "--poll", "50ms").status == 0
    assert ids(cli.results(job)) == ids_of(lines)
    assert cli.run("verify", job).status == 0


@pytest.mark.slow
def test_a_retry_of_something_else_leaves_them_and_says_why(cli: Cli, emulator: Running) -> None:
    lines = requests(6)
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 1.0}})
    job = _with_rest(cli, emulator, lines, lines[:2])
    emulator.set_scenario({"batch_seconds": 0})
    ran = cli.run("retry", job, "--only", "overloaded_error")
    assert ran.status == 0, ran.err
    assert "in none of the attached batches: not selected by --only" in ran.err
    assert cli.run("fetch").status == 3
    assert cli.run("retry", job, "--only", "in_no_batch", "--max-cost", "1000").status == 0
    assert sent_lines(emulator)[1:] == [lines[:2], lines[2:]]
    assert cli.run("fetch").status == 0
    assert ids(cli.results(job)) == ids_of(lines)


@pytest.mark.slow
def test_they_go_out_at_a_price_that_was_agreed_to(cli: Cli, emulator: Running) -> None:
    lines = requests(6)
    job = _with_rest(cli, emulator, lines, lines[:2])
    cli.agrees = False
    refused = cli.run("retry", job)
    assert refused.status == 6
    assert "send 4 requests for the first time" in refused.err
    dear = cli.run("retry", job, "--max-cost", "0.0000001")
    assert dear.status == 6
    assert "more than the limit" in dear.err
    assert emulator.requests()[CREATE] == 1
    assert cli.run("status", job, "--json").json["in_no_batch"] == 4
    left = [path.name for path in (cli.folder / ".batchctl" / "jobs" / job).glob("round-2*")]
    assert left == []
    assert cli.run("retry", job, "--max-cost", "1").status == 0
    assert sent_lines(emulator)[1:] == [lines[2:]]


@pytest.mark.slow
def test_a_fault_of_a_line_that_was_never_sent_is_told_by_its_line(cli: Cli, emulator: Running) -> None:
    lines = [request("a", newer_parameter=1), *requests(3), request("no limit", max_tokens=0), *requests(2, "s")]
    (cli.folder / "in.jsonl").write_bytes(b"\n\n".join(lines))
    job = cli.run("attach", *made(emulator, lines[:2]), "--input", "in.jsonl").job
    for words in (["retry", job], ["retry", job, "--dry-run"]):
        ran = cli.run(*words)
        assert ran.status == 5, ran.err
        assert "line 9 (no limit)" in ran.err
        assert "line 1 " not in ran.err
        assert "blank" not in ran.err
        assert "1 of 5 lines cannot be sent; nothing was sent" in ran.err
        assert f"batchctl retry {job} --edit" in ran.err
    assert list((cli.folder / ".batchctl" / "tmp").iterdir()) == []
    assert emulator.requests()[CREATE] == 1
    # Taken out of the file, it stays what it is: never sent, and counted.
    assert cli.run("retry", job, "--edit").status == 0
    path = cli.folder / f"{job}.round-2.requests.jsonl"
    path.write_bytes(b"".join(one for one in path.read_bytes().splitlines(keepends=True) if b"no limit" not in one))
    ran = cli.run("retry", "--from", path)
    assert ran.status == 0, ran.err
    assert sent_lines(emulator)[1:] == [[*lines[2:4], *lines[5:]]]
    assert cli.run("status", job, "--json").json["in_no_batch"] == 1
    assert cli.run("fetch").status == 3
    assert ids(cli.results(job)) == ids_of([*lines[:4], *lines[5:]])
    assert [(e["line"], e["type"]) for e in cli.errors(job)] == [(1, "invalid_request_error"), (9, "in_no_batch")]
    assert "1 request is in none of the attached batches" in cli.run("status", job).out


@pytest.mark.slow
def test_a_rest_of_several_batches_keeps_the_order_of_the_input(cli: Cli, emulator: Running) -> None:
    lines = requests(20)
    job = attached(cli, *made(emulator, lines[9:12], lines[2:4]))
    with closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db, db:
        db.execute("update job set max_requests = 4")
    ran = cli.run("attach", job, "--input", cli.write("in.jsonl", lines))
    assert ran.status == 3, ran.err
    assert f"next: batchctl retry {job}" in ran.err
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.4}})
    assert cli.run("retry").status == 0
    left = [*lines[:2], *lines[4:9], *lines[12:]]
    assert sorted(sent_lines(emulator)[2:]) == slices(left, 4)
    emulator.set_scenario({"batch_seconds": 0})
    assert cli.run("run", job, "--poll", "50ms").status == 0
    assert ids(cli.results(job)) == ids_of(lines)
    proved = cli.run("verify", job)
    assert proved.status == 0, proved.out
    assert "round 1: 20 requests in 2 batches" in proved.out


@pytest.mark.slow
def test_the_input_of_stdin_is_sent_on_from_the_copy(cli: Cli, emulator: Running) -> None:
    lines = requests(5)
    text = b"".join(line + b"\n" for line in [*lines, request("bad", max_tokens=0)])
    job = cli.run("attach", *made(emulator, lines[:2]), "--input", "-", stdin=text).job
    ran = cli.run("retry", job)
    assert (ran.status, "line 6 (bad)" in ran.err) == (5, True), ran.err
    assert cli.run("retry", job, "--set", "max_tokens=5").status == 0
    assert len(sent_lines(emulator)[1]) == 4


@pytest.mark.slow
def test_a_stop_before_the_round_is_recorded_sends_nothing(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = requests(6)
    job = _with_rest(cli, emulator, lines, lines[:2])
    for at in (
        "batchctl.verbs.unsent_lines.check_anew",
        "batchctl.verbs.unsent_lines.list_since",
        "batchctl.ledger.ledger.SqlLedger.record_round",
    ):
        with monkeypatch.context() as stop:
            stop.setattr(at, _stopping)
            assert cli.run("retry", job).status == 130, at
        assert cli.run("status", job, "--json").json["in_no_batch"] == 4
    assert emulator.requests()[CREATE] == 1
    assert cli.run("retry", job).status == 0
    assert sent_lines(emulator)[1:] == [lines[2:]]


# ---------------------------------------------------------------- a batch that nobody named


def test_a_batch_that_answers_some_of_the_rest_is_found_before_it_is_paid_for_twice(
    cli: Cli, emulator: Running
) -> None:
    lines = requests(6)
    job = _with_rest(cli, emulator, lines, lines[:2])
    made(emulator, requests(3, "other"))
    (forgotten,) = made(emulator, lines[2:4])
    ran = cli.run("retry", job, "--yes")
    assert ran.status == 6, ran.err
    assert f"{forgotten} holds r-00002" in ran.err
    assert f"batchctl attach {forgotten}" in ran.err
    assert len(emulator.batches()) == 3
    assert not list((cli.folder / ".batchctl" / "jobs" / job).glob("round-2*"))
    # Both ways out that it names.
    both = [str(batch["id"]) for batch in emulator.batches()[::2]]
    ran = cli.run("attach", "--workspace", "elsewhere", *both, "--input", "in.jsonl")
    assert ran.status == 3, ran.err
    assert "2 lines are in none of these" in ran.err
    assert cli.run("attach", forgotten).status == 0
    assert cli.run("retry", job).status == 0


@pytest.mark.slow
def test_what_another_job_sends_is_not_sent_as_the_rest_of_this_one(cli: Cli, emulator: Running) -> None:
    """As somebody did it who knew no better: a file of what was left, submitted."""
    lines = requests(6)
    job = _with_rest(cli, emulator, lines, lines[:2])
    other = cli.submitted("rest.jsonl", lines[3:])
    ran = cli.run("retry", job)
    assert (ran.status, f"{other} holds r-00003" in ran.err) == (6, True), ran.err
    assert cli.run("retry", job, "--edit").status == 0
    path = cli.write(f"{job}.round-2.requests.jsonl", lines[2:3])
    assert cli.run("retry", "--from", path).status == 0
    assert sent_lines(emulator)[2:] == [lines[2:3]]
    # Two jobs of one input, each with another part of what a script sent.
    (second,) = made(emulator, lines[3:4])
    assert cli.run("attach", second, "--input", "in.jsonl").status == 3
    ran = cli.run("retry", "--yes", "@last")
    assert (ran.status, f"{job} holds r-00000" in ran.err) == (6, True), ran.err


def test_a_batch_that_may_hold_some_of_the_rest_takes_a_yes(cli: Cli, emulator: Running) -> None:
    lines = requests(6)
    job = _with_rest(cli, emulator, lines, lines[:2])
    emulator.set_scenario({"batch_seconds": 600})
    running, large = made(emulator, lines[2:4], requests(7, "x"))
    ran = cli.run("retry", job, "--max-cost", "1")
    assert ran.status == 6, ran.err
    assert f"paying twice for those in {running}, which no job here has" in ran.err
    assert large not in ran.err
    assert "--yes" in ran.err
    assert len(emulator.batches()) == 3
    ran = cli.run("retry", job, "--yes")
    assert ran.status == 0, ran.err
    assert running in ran.err


# ---------------------------------------------------------------- an input that does not fit


def _refused(cli: Cli, named: list[str], lines: Iterable[bytes]) -> str:
    ran = cli.run("attach", *named, "--input", cli.write("in.jsonl", lines))
    assert ran.status in {5, 6}, ran.err
    assert "Traceback" not in ran.err
    assert nothing_recorded(cli)
    return ran.err


def test_an_id_that_is_no_line_of_the_input_is_named_with_its_batch(cli: Cli, emulator: Running) -> None:
    named = made(emulator, requests(3), requests(3, "s"))
    said = _refused(cli, named, requests(3))
    assert "3 results match no line of it: s-00000 of " + named[1] in said
    attached(cli, *named)


def test_an_id_that_two_batches_hold_is_named_with_both(cli: Cli, emulator: Running) -> None:
    named = made(emulator, requests(3), requests(2))
    said = _refused(cli, named, requests(3))
    assert f"2 custom_ids are in more than one of these batches: r-00000 in {named[0]} and {named[1]}" in said
    attached(cli, named[0], "--input", "in.jsonl")


def test_an_id_on_two_lines_is_named_with_both(cli: Cli, emulator: Running) -> None:
    lines = requests(3)
    named = made(emulator, lines)
    said = _refused(cli, named, [*lines, lines[1]])
    assert "r-00001 on 2 and 4" in said


def test_a_repeated_id_that_was_never_sent_hurts_nobody(cli: Cli, emulator: Running) -> None:
    lines = requests(3)
    job = attached(
        cli,
        *made(emulator, lines),
        "--input",
        cli.write("in.jsonl", [*lines, request("twice"), request("twice")]),
    )
    assert cli.run("fetch").status == 3
    errors = cli.errors(job)
    assert [(e["line"], e["type"], e["class"]) for e in errors] == [
        (4, "custom_id_repeated", "fix"),
        (5, "custom_id_repeated", "fix"),
    ]
    assert "line 5 has the same custom_id" in errors[0]["message"]
    shape = cli.run("status", job, "--json").json
    assert (shape["requests"], shape["left_out"], shape["in_no_batch"]) == (3, 2, 0)
    assert cli.run("retry", job).status == 3
    assert emulator.requests()[CREATE] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"custom_id": "a", "params": {}}\n{broken\n', "line 2"),
        (b'{"custom_id": "a"}\n', "custom_id"),
        (b'{"custom_id": 5, "params": {}}\n', "line 1"),
        (b'{"custom_id": "a", "params": []}\n', "line 1"),
        (b'{"custom_id": "a", "params": {}, "meta": 1}\n', "jq -c"),
        (b'[{"custom_id": "a", "params": {}}]\n', "one JSON array"),
        (b"", "holds no request"),
        (b"\n\n", "holds no request"),
        (b"PK\x03\x04", "zip"),
    ],
)
def test_a_file_of_no_requests_is_refused(cli: Cli, emulator: Running, text: bytes, said: str) -> None:
    named = made(emulator, requests(2))
    (cli.folder / "in.jsonl").write_bytes(text)
    ran = cli.run("attach", *named, "--input", "in.jsonl")
    assert ran.status == 5, ran.err
    assert said in ran.err
    assert "in.jsonl" in ran.err
    assert nothing_recorded(cli)


@pytest.mark.parametrize("path", ["nowhere.jsonl", ".", "nowhere.gz"])
def test_a_file_that_is_not_there_is_said(cli: Cli, emulator: Running, path: str) -> None:
    ran = cli.run("attach", *made(emulator, requests(2)), "--input", path)
    assert ran.status == 5, ran.err
    assert nothing_recorded(cli)


# ---------------------------------------------------------------- the input later


@pytest.mark.slow
def test_a_job_is_given_its_input_later_and_keeps_what_was_fetched(cli: Cli, emulator: Running) -> None:
    lines = requests(25)
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.3}})
    named = made(emulator, *slices(lines, 10))
    job = attached(cli, *named, "--name", "mine")
    assert cli.run("fetch").status == 3
    before = (cli.folder / "mine.results.jsonl").read_bytes()
    path = cli.write("in.jsonl", [*lines, request("twice"), request("twice")])
    ran = cli.run("attach", *reversed(named), "--input", path)
    assert ran.status == 0, ran.err
    assert ran.job == job == "mine"
    assert f"next: batchctl fetch {job}" in ran.err
    assert emulator.requests()[RESULTS] == 3
    assert cli.run("fetch").status == 3
    assert emulator.requests()[RESULTS] == 3
    after = (cli.folder / "mine.results.jsonl").read_bytes()
    assert sorted(after.splitlines()) == sorted(before.splitlines())
    assert ids(cli.results(job)) == ids_of(lines)
    assert cli.run("retry").status == 0
    assert cli.run("fetch").status == 3
    assert [e["type"] for e in cli.errors(job)] == ["custom_id_repeated"] * 2
    assert cli.run("attach", *named, "--input", path).status == 6


def test_its_name_stands_for_its_ids(cli: Cli, emulator: Running) -> None:
    lines = requests(5)
    job = attached(cli, *made(emulator, lines))
    assert attached(cli, job, "--input", cli.write("in.jsonl", lines), "--label", "a=b", "--beta", "b-1") == job
    assert cli.run("status", job, "--json").json["labels"] == {"a": "b"}
    assert cli.run("fetch").status == 0
    assert ids(cli.results(job)) == ids_of(lines)


def test_a_wrong_input_leaves_a_job_that_was_there_before_as_it_was(cli: Cli, emulator: Running) -> None:
    lines = requests(5)
    job = attached(cli, *made(emulator, lines))
    assert cli.run("fetch").status == 0
    before = (cli.folder / f"{job}.results.jsonl").read_bytes()
    assert cli.run("attach", job, "--input", cli.write("in.jsonl", lines[:4])).status == 5
    assert cli.run("fetch").status == 0
    assert (cli.folder / f"{job}.results.jsonl").read_bytes() == before
    assert cli.run("attach", job, "--input", cli.write("in.jsonl", lines)).status == 0


def test_results_that_the_disk_changed_are_not_given_places(cli: Cli, emulator: Running) -> None:
    lines = requests(5)
    job = attached(cli, *made(emulator, lines))
    assert cli.run("fetch").status == 0
    raw = cli.folder / ".batchctl" / "jobs" / job / "raw" / "round-1.000000000.jsonl"
    raw.write_bytes(raw.read_bytes().replace(b"r-0", b"x-0"))
    ran = cli.run("attach", job, "--input", cli.write("in.jsonl", lines))
    assert ran.status == 1
    assert "delete it" in ran.err
    raw.unlink()
    assert cli.run("attach", job, "--input", "in.jsonl").status == 0
    assert cli.run("fetch").status == 0
    assert ids(cli.results(job)) == ids_of(lines)


# ---------------------------------------------------------------- stops


def _stopping(*_: Any, **__: Any) -> None:
    raise Stopped


@pytest.mark.parametrize("with_input", [False, True])
def test_a_stop_before_the_record_leaves_nothing(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch, *, with_input: bool
) -> None:
    lines = requests(5)
    words = [*made(emulator, lines), *(["--input", str(cli.write("in.jsonl", lines))] if with_input else [])]
    with monkeypatch.context() as stop:
        stop.setattr("batchctl.ledger.jobs._insert_round", _stopping)
        assert cli.run("attach", *words).status == 130
    ledger = SqlLedger(cli.folder / ".batchctl" / "ledger.db")
    assert ledger.jobs() == []
    ledger.close()
    assert not list((cli.folder / ".batchctl" / "tmp").iterdir())
    assert cli.run("attach", *words).status == 0
    assert cli.run("fetch").status == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "at",
    [
        "batchctl.engine.download.receive",
        "batchctl.verbs.attach_input.write_attached_requests",
        "batchctl.verbs.attach_input.reindex",
        "batchctl.verbs.attach_input.place",
        "batchctl.ledger.ledger.SqlLedger.record_requests",
    ],
)
@pytest.mark.parametrize("after", [0, 1])
def test_a_stop_on_the_way_to_its_input_is_continued_by_the_same_command(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch, at: str, after: int
) -> None:
    lines = requests(20)
    twice = [request("twice"), request("twice")]
    path = cli.write("in.jsonl", [*lines, *twice])
    words = [*made(emulator, lines[10:15], lines[:5]), "--input", str(path)]
    whole = _imported(at)
    calls = 0

    def stopping(*given: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > after:
            raise Stopped
        return whole(*given, **more)

    with monkeypatch.context() as stop:
        stop.setattr(at, stopping)
        ran = cli.run("attach", *words)
    assert ran.status == (130 if calls > after else 3)
    if ran.status == 130:
        # What is there by then is whole, in some order.
        found = cli.run("fetch", "--output", "meanwhile.jsonl")
        assert found.status == 0, found.err
        told = (cli.folder / "meanwhile.jsonl").read_bytes().splitlines()
        assert sorted(ids(map(json.loads, told))) == sorted(ids_of([*lines[10:15], *lines[:5]]))
        again = cli.run("attach", *words)
        assert again.status == 3, again.err
    job = cli.run("status", "@last", "--json").json["job"]
    assert cli.run("fetch").status == 3
    assert ids(cli.results(job)) == ids_of([*lines[:5], *lines[10:15]])
    assert [e["line"] for e in cli.errors(job)] == [*range(6, 11), *range(16, 23)]
    assert cli.run("retry").status == 0
    assert sent_lines(emulator)[2:] == [[*lines[5:10], *lines[15:]]]
    assert cli.run("fetch").status == 3
    assert ids(cli.results(job)) == ids_of(lines)
    assert not list((cli.folder / ".batchctl" / "tmp").iterdir())


@pytest.mark.slow
def test_a_job_that_another_process_works_on_is_left_alone(cli: Cli, emulator: Running) -> None:
    lines = requests(5)
    job = attached(cli, *made(emulator, lines))
    assert cli.run("fetch").status == 0
    root = cli.folder / ".batchctl"
    ledger = SqlLedger(root / "ledger.db")
    with Owner(root / "owners") as other:
        batch = ledger.batches(ledger.job(job))[0]
        assert ledger.claim(batch, other.name, Clock().now())
        ran = cli.run("attach", job, "--input", cli.write("in.jsonl", lines))
        assert (ran.status, "another process" in ran.err) == (6, True), ran.err
    ledger.close()
    assert cli.run("attach", job, "--input", "in.jsonl").status == 0


def test_a_batch_that_another_process_was_first_with_is_refused(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = made(emulator, requests(5))
    whole = SqlLedger.record_attached

    def late(ledger: SqlLedger, new: Job, *rest: Any, **more: Any) -> bool:
        assert whole(ledger, replace(new, name="first"), *rest, **more)
        return whole(ledger, new, *rest, **more)

    monkeypatch.setattr(SqlLedger, "record_attached", late)
    ran = cli.run("attach", *named)
    assert (ran.status, f"{named[0]} in first" in ran.err) == (6, True), ran.err


def _imported(dotted: str) -> Any:
    *rest, last = dotted.split(".")
    for length in range(len(rest), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(rest[:length]))
        except ModuleNotFoundError:
            continue
        for word in (*rest[length:], last):
            found = getattr(found, word)
        return found
    raise AssertionError(dotted)


# ---------------------------------------------------------------- the other verbs on such a job


@pytest.mark.slow
def test_slices_sent_in_another_order_and_retried_are_proved_and_deleted(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    lines = requests(12)
    one, two, three = slices(lines, 4)
    path = cli.write("in.jsonl", lines)
    job = attached(cli, *made(emulator, three, one, two), "--input", path)
    assert cli.run("run", job, "--poll", "50ms").status == 0
    assert ids(cli.results(job)) == ids_of(lines)
    proved = cli.run("verify", job)
    assert proved.status == 0, proved.out
    assert cli.run("delete", job, "--yes").status == 0
    assert cli.run("verify", job).status == 0


def test_without_the_input_a_job_is_proved_run_and_canceled_as_far_as_it_goes(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600, "cancel_seconds": 0.1})
    job = attached(cli, *made(emulator, requests(4)))
    assert cli.run("cancel", job, "--yes", "--poll", "50ms").status == 0
    assert {r["result"]["type"] for r in cli.results(job)} == {"canceled"}
    assert cli.run("run", job, "--poll", "50ms").status in {3, 6}
    assert cli.run("verify", job).status == 0
