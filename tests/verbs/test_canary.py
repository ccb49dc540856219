"""`--canary`: one request of each shape is sent first; what the API refuses is withheld, and every request is sent once at most."""

import json
from collections import Counter

import pytest
from cases import few
from program import Cli, ids, request, requests, sent_lines

from batchctl.emulator.running import Running

CREATE = "POST /v1/messages/batches"
POLL = ("--poll", "50ms")


@pytest.fixture(autouse=True)
def _at_once(emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0})


def three_shapes(count: int) -> list[bytes]:
    """Every third request is refused: no rule knows which `inference_geo` a workspace allows."""
    prompts = [{"system": "Classify."}, {"system": "Extract."}, {"system": "Judge.", "inference_geo": "eu"}]
    return [request(f"r-{n:05d}", f"Text {n}", model="claude-haiku-5-5", **prompts[n % 3]) for n in range(count)]


def sent_ids(emulator: Running) -> list[list[str]]:
    return [[json.loads(line)["custom_id"] for line in batch] for batch in sent_lines(emulator)]


def assert_sent_once(emulator: Running, count: int) -> None:
    times = Counter(custom_id for batch in sent_ids(emulator) for custom_id in batch)
    # What was refused cost nothing, and is sent again once it is fixed.
    assert sum(times.values()) <= count + 1, times.most_common(3)
    assert len(times) == count


def job_of(cli: Cli) -> str:
    (job,) = json.loads(cli.run("status", "--json").out)["jobs"]
    return str(job["job"])


# ---------------------------------------------------------------- the whole way


def test_two_shapes_finish_and_the_refused_one_continues_once_it_is_fixed(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", three_shapes(30))
    ran = cli.run("run", path, "--canary", "--max-requests", "7", *POLL)
    assert ran.status == 3, ran.err
    batches = sent_ids(emulator)
    assert sorted(len(batch) for batch in batches[:1]) == [3]
    assert not any(int(custom_id[2:]) % 3 == 2 for batch in batches[1:] for custom_id in batch)
    assert "withheld: 9 requests like line" in ran.err
    assert "inference_geo: this value is not allowed in this workspace" in ran.err
    job = job_of(cli)
    errors = cli.errors(job)
    assert Counter(error["type"] for error in errors) == {"withheld": 9, "invalid_request_error": 1}
    assert {error["class"] for error in errors} == {"fix"}
    assert all("has the same shape and was refused: inference_geo" in e["message"] for e in errors if e["round"] == 0)
    assert cli.run("verify", job).status == 3

    ran = cli.run("retry", job, "--set", "inference_geo=global")
    assert ran.status == 0, ran.err
    assert cli.run("run", job, *POLL).status == 0
    assert ids(cli.results(job)) == [f"r-{n:05d}" for n in range(30)]
    assert cli.run("verify", job).status == 0
    assert_sent_once(emulator, 30)


def test_a_withheld_shape_is_fixed_in_a_file(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", three_shapes(12))
    assert cli.run("submit", path, "--canary", *POLL).status == 3
    job = job_of(cli)
    assert cli.run("fetch", job).status == 3
    ran = cli.run("retry", job, "--include-invalid", "--edit")
    assert ran.status == 0, ran.err
    (edited,) = cli.folder.glob("*.round-*.requests.jsonl")
    assert len(edited.read_bytes().splitlines()) == 4
    edited.write_bytes(edited.read_bytes().replace(b'"eu"', b'"global"'))
    assert cli.run("retry", "--from", edited).status == 0
    assert cli.run("run", job, *POLL).status == 0
    assert ids(cli.results(job)) == [f"r-{n:05d}" for n in range(12)]
    assert_sent_once(emulator, 12)


def test_a_retry_without_a_fix_leaves_what_is_withheld(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", three_shapes(12))
    assert cli.run("run", path, "--canary", *POLL).status == 3
    before = len(emulator.batches())
    ran = cli.run("retry")
    assert "a request of the same shape is invalid" in ran.err
    assert len(emulator.batches()) == before
    # Whoever insists has their way.
    assert cli.run("retry", "--only", "withheld").status == 0
    assert len(sent_ids(emulator)[-1]) == 3


def test_where_every_shape_is_refused_nothing_else_is_sent(cli: Cli, emulator: Running) -> None:
    lines = [request(f"r-{n}", model="claude-haiku-5-5", inference_geo="eu") for n in range(9)]
    path = cli.write("in.jsonl", lines)
    for _ in range(2):
        assert cli.run("run", path, "--canary", *POLL).status == 3
        assert emulator.requests()[CREATE] == 1
    again = cli.run("submit", path)
    assert again.status == 6
    assert "8 requests are withheld" in again.err
    assert cli.run("retry", "--set", "inference_geo=global").status == 0
    assert cli.run("run", path, *POLL).status == 0
    assert ids(cli.results(job_of(cli))) == [f"r-{n}" for n in range(9)]


def test_a_job_of_single_requests_is_all_in_the_first_batch(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", [request(f"r-{n}", system=f"Be {n}.") for n in range(5)])
    assert cli.run("run", path, "--canary", *POLL).status == 0
    assert [len(batch) for batch in sent_ids(emulator)] == [5]
    assert ids(cli.results(job_of(cli))) == [f"r-{n}" for n in range(5)]


@pytest.mark.parametrize("shapes", few([70, 200], 0))
def test_of_many_shapes_a_sample_is_tried_and_that_is_said(cli: Cli, emulator: Running, shapes: int) -> None:
    path = cli.write("in.jsonl", [request(f"r-{n}", system=f"Be {n % shapes}.") for n in range(2 * shapes)])
    ran = cli.run("run", path, "--canary", *POLL)
    assert ran.status == 0, ran.err
    assert "50 requests of more than 64 shapes are tried first" in ran.err
    assert len(sent_ids(emulator)[0]) == 50
    assert_sent_once(emulator, 2 * shapes)


# ---------------------------------------------------------------- what happens to a first batch


def test_a_request_that_expired_is_no_verdict_and_another_one_is_tried(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"expired": 1.0}})
    path = cli.write("in.jsonl", requests(9))
    ran = cli.run("run", path, "--canary", "--max-rounds", "1", *POLL)
    assert ran.status == 3, ran.err
    assert [len(batch) for batch in sent_ids(emulator)] == [1, 1, 1, 6]
    assert_sent_once(emulator, 9)


def test_a_first_batch_whose_answer_was_lost_is_found_and_not_sent_again(cli: Cli, emulator: Running) -> None:
    cli.variables["BATCHCTL_UNCONFIRMED_GRACE"] = "0.3"
    emulator.add_fault({"on": "create", "fault": "drop_after_accept"})
    path = cli.write("in.jsonl", three_shapes(9))
    assert cli.run("run", path, "--canary", *POLL).status == 3
    assert [len(batch) for batch in sent_ids(emulator)] == [3, 4]


def test_a_job_that_is_canceled_before_the_rest_sends_it_only_when_a_person_says_so(
    cli: Cli, emulator: Running
) -> None:
    emulator.set_scenario({"batch_seconds": 600, "cancel_seconds": 0, "finished_at_cancel": 0})
    path = cli.write("in.jsonl", requests(9))
    assert cli.run("submit", path, "--canary", "--no-wait").status == 8
    job = job_of(cli)
    canceled = cli.run("cancel", job, "--yes", *POLL)
    assert canceled.status in {0, 3}, canceled.err
    assert cli.run("fetch", job).status == 3
    cli.agrees = False
    assert cli.run("run", path, *POLL).status == 6
    assert emulator.requests()[CREATE] == 1
    emulator.set_scenario({"batch_seconds": 0})
    ran = cli.run("run", path, "--yes", *POLL)
    assert emulator.requests()[CREATE] == 3, ran.err
    # The canceled request is a person's to send again.
    assert ran.status == 3
    assert cli.run("retry", job, "--include-canceled").status == 0
    assert cli.run("run", job, *POLL).status == 0
    assert ids(cli.results(job)) == ids([json.loads(line) for line in requests(9)])


def test_a_failing_account_pauses_the_job_and_then_another_request_is_tried(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"out_of_credit": 1.0}})
    path = cli.write("in.jsonl", requests(9))
    ran = cli.run("run", path, "--canary", *POLL)
    assert ran.status == 4, ran.err
    assert emulator.requests()[CREATE] == 1
    assert cli.run("status").out.count("paused") == 1
    emulator.set_scenario({"batch_seconds": 0})
    ran = cli.run("submit", path, *POLL)
    assert ran.status == 0, ran.err
    assert [len(batch) for batch in sent_ids(emulator)] == [1, 1, 7]


def test_a_model_that_changes_its_mind_after_the_first_batch_fails_the_rest_as_any_job(
    cli: Cli, emulator: Running
) -> None:
    path = cli.write("in.jsonl", requests(9))
    emulator.set_scenario({"batch_seconds": 600})
    assert cli.run("submit", path, "--canary", "--no-wait").status == 8
    emulator.advance(600)
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"invalid_request_error": 1.0}})
    ran = cli.run("run", path, *POLL)
    assert ran.status == 3, ran.err
    assert_sent_once(emulator, 9)


# ---------------------------------------------------------------- while it waits


def test_without_waiting_the_first_batch_is_sent_and_the_same_command_goes_on(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    path = cli.write("in.jsonl", three_shapes(12))
    ran = cli.run("submit", path, "--canary", "--no-wait")
    assert ran.status == 8, ran.err
    job = job_of(cli)
    shown = cli.run("status", job)
    assert "9 requests wait for the first batch" in shown.out
    assert f"next: batchctl submit {job}" in shown.out
    assert cli.run("status", job, "--json").json["stage"] == "sending"
    refused = cli.run("retry", job)
    assert refused.status == 6
    assert f"try: batchctl submit {job}" in refused.err
    fetched = cli.run("fetch", job)
    assert fetched.status == 8
    assert {e["type"] for e in cli.errors(job)} == {"withheld", "unanswered"}
    rehearsed = cli.run("submit", job, "--dry-run")
    assert rehearsed.status == 6
    assert "9 requests of in-" in rehearsed.err
    assert "cannot be planned before its first batch is judged" in rehearsed.err
    assert cli.run("submit", job, "--no-wait").status == 8
    assert emulator.requests()[CREATE] == 1
    emulator.advance(600)
    assert cli.run("submit", job, *POLL).status == 3
    assert [len(batch) for batch in sent_ids(emulator)] == [3, 6]


def test_a_limit_holds_for_the_first_batch_and_the_rest_together(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", three_shapes(12))
    refused = cli.run("submit", path, "--canary", "--max-cost", "0.0000001")
    assert refused.status == 6
    assert emulator.requests().get(CREATE, 0) == 0
    high = cli.run("estimate", path, "--offline", "--json").json["batch_usd"]["high"]
    ran = cli.run("submit", path, "--canary", "--max-cost", high, *POLL)
    assert ran.status == 3, ran.err


def test_it_cannot_be_added_to_a_job(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    path = cli.write("in.jsonl", requests(3))
    cli.submitted("in.jsonl", requests(3))
    ran = cli.run("run", path, "--canary", "--timeout", "1s")
    assert ran.status == 6, ran.err
    assert "was planned without --canary" in ran.err


def test_lines_left_out_keep_their_numbers(cli: Cli) -> None:
    lines = [b"no request", *three_shapes(6)]
    ran = cli.run("run", cli.write("in.jsonl", lines), "--canary", "--skip-bad", *POLL)
    assert ran.status == 3, ran.err
    by_type = {e["type"]: e for e in cli.errors(job_of(cli))}
    assert by_type["withheld"]["custom_id"] in {"r-00002", "r-00005"}
    assert by_type["withheld"]["line"] == int(by_type["withheld"]["custom_id"][2:]) + 2


def test_an_input_that_changes_before_the_rest_is_planned_is_refused_and_nothing_is_lost(
    cli: Cli, emulator: Running
) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    path = cli.write("in.jsonl", requests(9))
    assert cli.run("submit", path, "--canary", "--no-wait").status == 8
    job = job_of(cli)
    (kept,) = (cli.folder / ".batchctl" / "jobs" / job).glob("round-1.requests.jsonl")
    before = kept.read_bytes()
    kept.chmod(0o600)
    kept.write_bytes(before.replace(b"What is", b"Who was"))
    emulator.advance(600)
    ran = cli.run("submit", job, *POLL)
    assert ran.status == 5, ran.err
    assert emulator.requests()[CREATE] == 1
    kept.write_bytes(before)
    emulator.set_scenario({"batch_seconds": 0})
    assert cli.run("run", job, *POLL).status == 0
    assert_sent_once(emulator, 9)


def test_answers_are_written_although_the_input_of_what_is_withheld_changed(cli: Cli) -> None:
    path = cli.write("in.jsonl", three_shapes(12))
    assert cli.run("submit", path, "--canary", *POLL).status == 3
    job = job_of(cli)
    (kept,) = (cli.folder / ".batchctl" / "jobs" / job).glob("round-1.requests.jsonl")
    kept.chmod(0o600)
    kept.write_bytes(kept.read_bytes().replace(b"Text", b"Tent"))
    ran = cli.run("fetch", job)
    assert ran.status == 3, ran.err
    # The refusal of the third shape is a result, too.
    assert len(cli.results(job)) == 9
    withheld = [error for error in cli.errors(job) if error["type"] == "withheld"]
    assert {(e["message"], e["class"]) for e in withheld} == {
        ("not sent, because the API refused a request of its shape", "fix")
    }
