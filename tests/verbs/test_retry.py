import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from cases import few
from program import OF_WRONG, Cli, ids, request, requests, sent_lines, session_of, wrong_request

from batchctl.domain.errors import Refused
from batchctl.emulator.running import Running
from batchctl.engine.retry_choice import Choice
from batchctl.engine.session import Session
from batchctl.verbs.confirmation import confirm_price
from batchctl.verbs.next_round import rebuild, record

CREATE = "POST /v1/messages/batches"


def _mixed(cli: Cli, emulator: Running, lines: list[bytes], **outcomes: Any) -> str:
    """A job whose first round is fetched."""
    emulator.set_scenario({"batch_seconds": 0, "outcomes": outcomes})
    job = cli.submitted("in.jsonl", lines, "--max-requests", "40")
    assert cli.run("fetch").status == 3
    return job


INVALID = [wrong_request(f"bad-{n}") for n in range(3)]


def _lines() -> list[bytes]:
    good = requests(100)
    return [*good[:10], INVALID[0], *good[10:60], INVALID[1], *good[60:], INVALID[2]]


def test_only_what_can_succeed_goes_again_from_the_original_bytes(cli: Cli, emulator: Running) -> None:
    lines = _lines()
    job = _mixed(cli, emulator, lines, overloaded_error=0.2, expired=0.1)
    failed = [e["custom_id"] for e in cli.errors(job) if e["class"] == "retry"]
    ran = cli.run("retry")
    assert ran.status == 0, ran.err
    assert "invalid_request_error" in ran.err
    by_id = {json.loads(line)["custom_id"]: line for line in lines}
    assert sent_lines(emulator)[-1] == [by_id[i] for i in failed]
    assert cli.run("fetch").status == 3
    assert ids(cli.results(job)) == [json.loads(line)["custom_id"] for line in lines]
    assert [(e["line"], e["type"]) for e in cli.errors(job)] == [
        (11, "invalid_request_error"),
        (62, "invalid_request_error"),
        (103, "invalid_request_error"),
    ]


@pytest.mark.slow
def test_a_second_retry_finds_nothing_that_can_succeed(cli: Cli, emulator: Running) -> None:
    _mixed(cli, emulator, _lines(), overloaded_error=0.2)
    assert cli.run("retry").status == 0
    assert cli.run("fetch").status == 3
    creates = emulator.requests()[CREATE]
    ran = cli.run("retry")
    assert ran.status == 3
    assert "nothing to send again" in ran.err
    assert "the request is invalid" in ran.err
    assert emulator.requests()[CREATE] == creates


@pytest.mark.parametrize(
    ("options", "chosen"),
    few(
        [
            (["--only", "overloaded_error"], {"overloaded_error"}),
            (["--only", "expired"], {"expired"}),
            (["--only", "fix"], {"invalid_request_error"}),
            (["--include-invalid"], {"overloaded_error", "expired", "invalid_request_error"}),
            (["--only", "api_error"], set()),
        ],
        0,
    ),
)
def test_a_person_may_choose_by_type_or_class(
    cli: Cli, emulator: Running, options: list[str], chosen: set[str]
) -> None:
    job = _mixed(cli, emulator, _lines(), overloaded_error=0.2, expired=0.1)
    errors = cli.errors(job)
    shape = cli.run("retry", *options, "--dry-run", "--json").json
    assert {s["type"] for s in shape["sent"]} == chosen
    assert shape["requests"] == sum(e["type"] in chosen for e in errors)


def test_an_unknown_word_for_only_is_usage(cli: Cli, emulator: Running) -> None:
    _mixed(cli, emulator, _lines())
    ran = cli.run("retry", "--only", "overloded_error")
    assert ran.status == 2
    assert "overloded_error" in ran.err


@pytest.mark.slow
def test_a_dry_run_writes_the_file_and_sends_nothing(cli: Cli, emulator: Running) -> None:
    job = _mixed(cli, emulator, _lines(), overloaded_error=0.2)
    creates = emulator.requests()[CREATE]
    ran = cli.run("retry", "--dry-run")
    path = cli.folder / f"{job}.round-2.requests.jsonl"
    assert ran.out.strip() == path.name
    assert len(path.read_bytes().splitlines()) == sum(e["class"] == "retry" for e in cli.errors(job))
    assert emulator.requests()[CREATE] == creates
    assert "round 2" not in cli.run("status", job, "--offline").out


@pytest.mark.slow
def test_a_dry_run_replaces_its_own_file_and_no_edits(cli: Cli, emulator: Running) -> None:
    job = _mixed(cli, emulator, _lines(), overloaded_error=0.2)
    path = cli.folder / f"{job}.round-2.requests.jsonl"
    assert cli.run("retry", "--dry-run").status == 0
    assert cli.run("retry", "--dry-run").status == 0
    path.write_bytes(edits := path.read_bytes().replace(b"What", b"Say what"))
    ran = cli.run("retry", "--dry-run")
    assert ran.status == 6
    assert "--output-dir" in ran.err
    assert "--force" not in ran.err
    assert path.read_bytes() == edits
    assert cli.run("retry", "--dry-run", "--output-dir", ".batchctl").status == 6


def test_edited_requests_are_sent_and_their_answers_take_their_places(cli: Cli, emulator: Running) -> None:
    lines = _lines()
    job = _mixed(cli, emulator, lines)
    assert cli.run("retry", "--include-invalid", "--edit").status == 0
    path = cli.folder / f"{job}.round-2.requests.jsonl"
    edited = path.read_bytes().replace(OF_WRONG, b"")
    path.write_bytes(b"\n".join(reversed(edited.splitlines())) + b"\n")
    assert cli.run("retry", "--include-invalid", "--edit").status == 6
    ran = cli.run("retry", "--from", path)
    assert ran.status == 0, ran.err
    assert sent_lines(emulator)[-1] == edited.splitlines()
    assert cli.run("fetch").status == 0
    assert ids(cli.results(job)) == [json.loads(line)["custom_id"] for line in lines]
    assert cli.errors(job) == []


def test_an_edited_file_with_other_ids_or_faults_is_refused(cli: Cli, emulator: Running) -> None:
    job = _mixed(cli, emulator, _lines())
    foreign = cli.run("retry", job, "--from", cli.write("foreign.jsonl", [request("r-00001")]))
    assert foreign.status == 5
    assert "'r-00001'" in foreign.err
    broken = cli.run("retry", job, "--from", cli.write("broken.jsonl", [request("bad-1", stream=True)]))
    assert broken.status == 5
    assert "line 1 (bad-1)" in broken.err


def test_what_was_edited_passes_the_check_of_any_input(cli: Cli, emulator: Running) -> None:
    job = _mixed(cli, emulator, _lines())
    creates = emulator.requests()[CREATE]
    unknown = cli.write("unknown.jsonl", [request("bad-1", model="claude-no")])
    ran = cli.run("retry", job, "--from", unknown)
    assert ran.status == 5, ran.err
    assert "claude-no" in ran.err
    assert "--skip-bad" not in ran.err, "retry has no such option"
    assert emulator.requests()[CREATE] == creates


@pytest.mark.parametrize(
    "option",
    few([("--only", "retry"), ("--include-invalid",), ("--include-canceled",), ("--edit",)], 0),
    ids="".join,
)
def test_a_file_chooses_by_itself(cli: Cli, emulator: Running, option: tuple[str, ...]) -> None:
    job = _mixed(cli, emulator, _lines())
    creates = emulator.requests()[CREATE]
    ran = cli.run("retry", job, "--from", cli.write("edited.jsonl", [request("bad-1")]), *option)
    assert (ran.status, emulator.requests()[CREATE]) == (2, creates), ran.err


@pytest.mark.slow
def test_a_dry_run_of_an_edited_file_keeps_it_and_names_it(cli: Cli, emulator: Running) -> None:
    job = _mixed(cli, emulator, _lines())
    creates = emulator.requests()[CREATE]
    edited = cli.write("edited.jsonl", [request("bad-1")])
    ran = cli.run("retry", job, "--from", edited, "--dry-run")
    assert ran.status == 0, ran.err
    assert ran.out.split() == [str(edited)]
    assert edited.exists()
    assert emulator.requests()[CREATE] == creates
    assert [p.name for p in (cli.folder / ".batchctl" / "jobs" / job).glob("*round-2*")] == []


@pytest.mark.slow
def test_a_file_of_an_older_job_is_taken_for_that_job(cli: Cli, emulator: Running) -> None:
    lines = _lines()
    job = _mixed(cli, emulator, lines)
    assert cli.run("retry", job, "--include-invalid", "--edit").status == 0
    emulator.set_scenario({"batch_seconds": 0})
    latest = cli.submitted("other.jsonl", requests(3, "other"))
    ran = cli.run("retry", "--from", f"{job}.round-2.requests.jsonl", "--dry-run")
    assert ran.status == 0, ran.err
    assert latest not in ran.err + ran.out
    missing = cli.write("never-was.round-2.requests.jsonl", [request("bad-1")])
    ran = cli.run("retry", "--from", missing)
    assert (ran.status, "never-was" in ran.err) == (2, True)


def test_out_of_credit_pauses_instead_of_burning_rounds(cli: Cli, emulator: Running) -> None:
    job = _mixed(cli, emulator, requests(50), out_of_credit=0.3, overloaded_error=0.2, recover_after=0)
    creates = emulator.requests()[CREATE]
    ran = cli.run("retry")
    assert ran.status == 4
    assert "credit balance is too low" in ran.err
    assert "--only account" in ran.err
    assert emulator.requests()[CREATE] == creates
    assert cli.errors(job)[0]["class"] in {"account", "retry"}
    assert cli.run("retry", "--only", "account", "--only", "retry").status == 0
    assert emulator.requests()[CREATE] == creates + 1


def test_retry_waits_for_the_results_of_the_round_before(cli: Cli, emulator: Running) -> None:
    cli.submitted("in.jsonl", requests(5))
    ran = cli.run("retry")
    assert ran.status == 6
    assert "batchctl fetch" in ran.err


def test_a_retry_that_was_stopped_is_continued_not_chosen_anew(cli: Cli, emulator: Running) -> None:
    job = _mixed(cli, emulator, requests(60), overloaded_error=0.5)
    emulator.add_fault(
        {"on": "create", "fault": "status", "status": 401, "type": "authentication_error", "message": "no"}
    )
    assert cli.run("retry").status == 4
    again = cli.run("retry")
    assert again.status == 0, again.err
    assert "round 3" not in cli.run("status", job).out
    assert cli.run("fetch").status == 0


@pytest.mark.slow
def test_who_comes_second_with_a_round_leaves_nothing_behind(cli: Cli, emulator: Running) -> None:
    job = _mixed(cli, emulator, requests(60), overloaded_error=0.5)
    with session_of(cli.folder / ".batchctl", emulator.base_url) as session:
        found = session.ledger.job(job)
        rebuilt = rebuild(session, found, Choice())
        assert cli.run("retry").status == 0
        with pytest.raises(Refused, match="planned by another process"):
            record(session, found, rebuilt)
        assert len(list((cli.folder / ".batchctl" / "jobs" / job).glob("round-2.*"))) == 2
    assert cli.run("fetch").status in {0, 3}


@pytest.mark.slow
def test_requests_of_a_refused_batch_can_be_sent_by_a_retry(cli: Cli, emulator: Running) -> None:
    emulator.add_fault(
        {
            "on": "create",
            "fault": "status",
            "status": 400,
            "type": "invalid_request_error",
            "message": "requests.0.custom_id: odd",
        }
    )
    path = cli.write("in.jsonl", requests(20))
    assert cli.run("submit", path, "--max-requests", "10", "--parallel", "1").status == 1
    assert cli.run("submit", path).status == 3
    again = cli.run("submit", path)
    assert again.status == 6
    assert "all of it was already sent" in again.err
    assert cli.run("fetch").status == 3
    assert cli.run("retry").status == 0
    assert cli.run("fetch").status == 0


def test_three_rounds_give_one_answer_each_in_order(cli: Cli, emulator: Running) -> None:
    lines = requests(120)
    job = _mixed(cli, emulator, lines, overloaded_error=0.6, recover_after=2)
    assert cli.run("retry").status == 0
    assert cli.run("fetch").status == 3
    assert cli.run("retry").status == 0
    assert cli.run("fetch").status == 0
    assert ids(cli.results(job)) == [f"r-{n:05d}" for n in range(120)]
    assert len(cli.run("status", job, "--json").json["rounds"]) == 3


# ---------------------------------------------------------------- the same end again


@pytest.mark.parametrize(("kind", "word"), few([("max_tokens", "truncated"), ("pause_turn", "pause_turn")], 0))
def test_the_same_bytes_after_an_answer_that_was_cut_need_a_yes(
    cli: Cli, emulator: Running, kind: str, word: str
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {kind: 1.0}})
    job = cli.submitted("in.jsonl", requests(3))
    cli.run("fetch")
    cli.agrees = False
    words = ("retry", job, "--only", word)
    for options in ((), ("--max-cost", "100")):
        ran = cli.run(*words, *options)
        assert ran.status == 6, ran.err
        assert "3 of them unchanged after a truncated or paused answer" in ran.err
        assert len(emulator.batches()) == 1
    assert cli.run(*words, "--edit").status == 0, "what is edited are other bytes"
    assert cli.run(*words, "--max-cost", "100", "--yes").status == 0
    assert len(emulator.batches()) == 2


def _cut_and_failed_again(cli: Cli, emulator: Running, outcome: str) -> str:
    """A job whose answers were all cut; sent again with more room, that failed."""
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"max_tokens": 1.0}})
    job = cli.submitted("in.jsonl", requests(3))
    cli.run("fetch")
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {outcome: 1.0}})
    assert cli.run("retry", job, "--only", "truncated", "--set", "max_tokens=4096").status == 0
    ran = cli.run("fetch", job)
    assert ran.status == 0, ran.err
    assert [one["result"]["message"]["stop_reason"] for one in cli.results(job)] == ["max_tokens"] * 3
    emulator.set_scenario({"batch_seconds": 0})
    return job


@pytest.mark.parametrize(
    ("outcome", "words"),
    few(
        [
            ("overloaded_error", ["retry"]),
            ("overloaded_error", ["retry", "--only", "overloaded_error"]),
            ("overloaded_error", ["retry", "--only", "truncated"]),
            ("overloaded_error", ["run"]),
            ("expired", ["retry"]),
            ("canceled", ["retry", "--include-canceled"]),
        ],
        0,
    ),
)
def test_a_better_answer_that_failed_is_tried_again_as_it_was_sent_last(
    cli: Cli, emulator: Running, outcome: str, words: list[str]
) -> None:
    job = _cut_and_failed_again(cli, emulator, outcome)
    cli.agrees = False
    verb, *options = words
    # The bytes are not those that were cut: a limit is yes enough.
    ran = cli.run(verb, job, *options, "--max-cost", "10")
    assert ran.status == 0, ran.err
    assert [one["max_tokens"] for one in _params_of(emulator, 2)] == [4096] * 3
    assert cli.run("fetch", job).status == 0
    assert [one["result"]["message"]["stop_reason"] for one in cli.results(job)] == ["end_turn"] * 3
    assert cli.run("retry", job).status == 0
    assert len(emulator.batches()) == 3, "nothing is left to send"


@pytest.mark.slow
def test_a_better_answer_that_cannot_be_had_is_told_and_not_tried_again(cli: Cli, emulator: Running) -> None:
    job = _cut_and_failed_again(cli, emulator, "invalid_request_error")
    ran = cli.run("retry", job)
    assert ran.status == 3, ran.err
    assert "the request is invalid" in ran.err
    assert len(emulator.batches()) == 2


@pytest.mark.slow
def test_a_paused_turn_is_not_done_and_what_it_needs_is_said(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"pause_turn": 1.0}})
    job = cli.submitted("in.jsonl", requests(3))
    ran = cli.run("fetch")
    assert ran.status == 3
    assert "3 answers stopped with pause_turn before the end" in ran.err
    assert ran.err.splitlines()[-1] == f"next: batchctl retry {job} --only pause_turn --edit"
    shape = cli.run("status", job, "--json").json
    assert (shape["stage"], shape["answers"]["paused_turns"]) == ("done, some without success", 3)
    # Continued as the API wants it: the answer so far, and the request goes on.
    cli.run("retry", job, "--only", "pause_turn", "--edit")
    edited = cli.folder / f"{job}.round-2.requests.jsonl"
    lines = [json.loads(line) for line in edited.read_bytes().splitlines()]
    for line in lines:
        line["params"]["messages"].append({"role": "assistant", "content": "so far"})
    edited.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    emulator.set_scenario({"batch_seconds": 0})
    assert cli.run("run", job, "--max-rounds", "1").status == 3, "no round is planned by itself"
    assert cli.run("retry", "--from", edited.name).status == 0
    assert cli.run("fetch").status == 0
    assert cli.run("status", job, "--json").json["stage"] == "done"


# ---------------------------------------------------------------- other params


def _params_of(emulator: Running, batch: int) -> list[dict[str, Any]]:
    return [json.loads(line)["params"] for line in sent_lines(emulator)[batch]]


def test_what_was_cut_goes_again_with_more_room(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"max_tokens": 1.0}})
    job = cli.submitted("in.jsonl", requests(3), "--yes")
    cli.run("fetch")
    emulator.set_scenario({"batch_seconds": 0})
    cli.agrees = False
    words = ("retry", job, "--only", "truncated", "--set", "max_tokens=4096", "--set", "metadata.user_id=again")
    rehearsed = cli.run(*words, "--dry-run", "--json")
    assert rehearsed.status == 0, rehearsed.err
    before = cli.run("retry", job, "--only", "truncated", "--dry-run", "--json").json["estimate"]["batch_usd"]["high"]
    assert float(rehearsed.json["estimate"]["batch_usd"]["high"]) > float(before), "what it costs is of what is sent"
    refused = cli.run(*words)
    assert (refused.status, len(emulator.batches())) == (6, 1)
    assert "send 3 requests again with max_tokens=4096, metadata.user_id=(5 characters) for $" in refused.err
    # Other bytes than those that were cut: the price is all that needs a word.
    ran = cli.run(*words, "--max-cost", "10")
    assert ran.status == 0, ran.err
    assert f"checked    {job}.round-2.requests.jsonl: 3 requests" in ran.err
    assert " B, with max_tokens=4096, metadata.user_id=(5 characters)" in ran.err
    before, after = (_params_of(emulator, n) for n in (0, 1))
    assert after == [{**one, "max_tokens": 4096, "metadata": {"user_id": "again"}} for one in before]
    shape = cli.run("status", job, "--json").json
    assert [r["changes"] for r in shape["rounds"]] == [[], ["max_tokens=4096", "metadata.user_id=(5 characters)"]]
    assert cli.run("fetch").status == 0
    assert cli.run("verify", job).status == 0
    assert [one["result"]["message"]["stop_reason"] for one in cli.results(job)] == ["end_turn"] * 3


@pytest.mark.slow
def test_what_was_set_holds_for_a_later_round_and_can_be_taken_back(cli: Cli, emulator: Running) -> None:
    lines = [request(f"r-{n}", stop_sequences=["."]) for n in range(3)]
    job = _mixed(cli, emulator, lines, overloaded_error=1.0, recover_after=0)
    assert cli.run("retry", job, "--set", "max_tokens=99", "--set", "stop_sequences=").status == 0
    assert cli.run("fetch").status == 3
    assert cli.run("retry", job).status == 0
    assert [(one["max_tokens"], "stop_sequences" in one) for one in _params_of(emulator, 2)] == [(99, False)] * 3


@pytest.mark.parametrize(
    ("text", "status", "said"),
    few(
        [
            ("max_tokens", 2, "is not of the form PATH=VALUE"),
            ("model.x=1", 5, "custom_id 'r-00000': its params have no place for model.x"),
            ("max_tokens=0", 5, "max_tokens"),
            ("model=claude-nobody-knows-1", 5, "claude-nobody-knows-1"),
            ("stream=true", 5, "stream"),
            ("messages=", 5, "messages"),
        ],
        0,
    ),
)
def test_what_is_set_passes_the_same_check(cli: Cli, emulator: Running, text: str, status: int, said: str) -> None:
    job = _mixed(cli, emulator, requests(3), overloaded_error=1.0)
    for more in ([], ["--dry-run"]):
        ran = cli.run("retry", job, "--set", text, *more)
        assert ran.status == status, ran.err
        assert said in ran.err
        assert "Traceback" not in ran.err
    assert len(emulator.batches()) == 1
    assert not list((cli.folder / ".batchctl" / "jobs" / job).glob("round-2*")), "nothing is left of it"
    assert cli.run("retry", job, "--from", "x.jsonl", "--set", "max_tokens=1").status == 2
    assert cli.run("retry", job).status == 0


def test_what_is_set_to_what_it_was_needs_a_yes_as_the_same_bytes_do(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"max_tokens": 1.0}})
    job = cli.submitted("in.jsonl", requests(3))
    cli.run("fetch")
    cli.agrees = False
    ran = cli.run("retry", job, "--only", "truncated", "--set", "max_tokens=64")
    assert ran.status == 6, ran.err
    assert "3 of them unchanged" in ran.err
    assert len(emulator.batches()) == 1


@pytest.mark.slow
def test_a_limit_is_no_yes_to_the_warnings_of_what_is_set(cli: Cli, emulator: Running) -> None:
    job = _mixed(cli, emulator, requests(3), overloaded_error=1.0)
    cli.agrees = False
    words = ("retry", job, "--set", "nonsense=1")
    ran = cli.run(*words, "--max-cost", "100")
    assert ran.status == 6, ran.err
    assert len(emulator.batches()) == 1
    assert cli.run(*words, "--max-cost", "100", "--yes").status == 0


def test_no_text_that_is_set_is_shown_or_remembered(cli: Cli, emulator: Running) -> None:
    job = _mixed(cli, emulator, requests(3), overloaded_error=1.0)
    ran = cli.run("retry", job, "--set", "metadata.user_id=corporate-s3cret")
    assert ran.status == 0, ran.err
    assert "s3cret" not in ran.err + ran.out + cli.run("status", job, "--json").out
    assert b"s3cret" not in (cli.folder / ".batchctl" / "ledger.db").read_bytes()


@pytest.mark.parametrize("what", few(["limit", "headers"], 0))
def test_a_price_that_was_agreed_to_holds_for_what_it_was_agreed_of(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Another process lowers the limit, or names a beta, while a person reads the price."""
    job = _mixed(cli, emulator, requests(3), overloaded_error=1.0)

    def meanwhile(session: Session, *rest: Any, **more: Any) -> Any:
        agreed = confirm_price(session, *rest, **more)
        now = session.ledger.job(job)
        if what == "limit":
            session.ledger.record_limit(now, Decimal("0.00001"))
        else:
            assert session.ledger.record_headers(now, replace(now.settings.headers, betas=("b-1",)))
        return agreed

    with monkeypatch.context() as other:
        other.setattr("batchctl.verbs.next_round.confirm_price", meanwhile)
        ran = cli.run("retry", job, "--max-cost", "1000")
    assert ran.status == 6, ran.err
    assert "was changed by another process" in ran.err
    assert len(emulator.batches()) == 1
    shape = cli.run("status", job, "--json").json
    assert (len(shape["rounds"]), shape["max_cost_usd"] != "1000") == (1, True)
    emulator.set_scenario({"batch_seconds": 0, "betas": ["b-1"]})
    assert cli.run("retry", job, "--max-cost", "1000").status == 0


def test_a_limit_that_is_named_where_nothing_goes_again_is_remembered(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0})
    job = cli.submitted("in.jsonl", requests(3))
    cli.run("fetch")
    assert cli.run("retry", job, "--max-cost", "7").status == 0
    assert cli.run("status", job, "--json").json["max_cost_usd"] == "7"
