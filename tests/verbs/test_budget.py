"""What a job may cost, held or asked before anything is sent."""

import os
import random
import re
import sqlite3
import string
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import request_line
from cases import few
from faults.changes import Change, Operation
from faults.changing import When, changing
from processes import at_a_terminal
from program import Cli, requests

from batchctl.emulator.running import Running, running
from batchctl.ledger.ledger import SqlLedger

CREATE = "POST /v1/messages/batches"
COUNT = "POST /v1/messages/count_tokens"
# claude-haiku-4-5 in a batch: 0.50 and 2.50 US dollars per million tokens.
INPUT, OUTPUT = Decimal("0.50") / 1_000_000, Decimal("2.50") / 1_000_000


@pytest.fixture
def shopper(emulator: Running, tmp_path: Path) -> Cli:
    """Somebody who wants to be asked."""
    return Cli(tmp_path, emulator.base_url, agrees=False)


def _creates(emulator: Running) -> int:
    return emulator.requests().get(CREATE, 0)


# ---------------------------------------------------------------- without a limit


def test_off_a_terminal_nothing_is_sent_before_somebody_has_agreed_to_the_price(
    shopper: Cli, emulator: Running
) -> None:
    path = shopper.write("in.jsonl", requests(5))
    for verb in ("submit", "run"):
        ran = shopper.run(verb, path)
        assert ran.status == 6, ran.err
        assert "--yes" in ran.err
        assert "--max-cost" in ran.err
    assert _creates(emulator) == 0
    assert not (shopper.folder / ".batchctl").exists(), "and nothing was planned"
    assert shopper.run("submit", path, "--yes").status == 0
    assert emulator.requests().get(COUNT, 0) == 0, "nobody reads what would be measured"


def _planned(shopper: Cli, count: int) -> Path:
    """The input of a job of which nothing is sent so far."""
    path = shopper.write("in.jsonl", requests(count))
    key = shopper.variables.pop("ANTHROPIC_API_KEY")
    assert shopper.run("submit", path, "--yes").status == 4
    shopper.variables["ANTHROPIC_API_KEY"] = key
    return path


def test_a_job_that_was_agreed_to_is_continued_without_asking_again(shopper: Cli, emulator: Running) -> None:
    path = _planned(shopper, 8)
    assert _creates(emulator) == 0
    assert shopper.run("submit", path).status == 0
    assert _creates(emulator) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "status", "creates"), [("", 6, 0), ("n", 6, 0), ("y", 0, 1)])
def test_at_a_terminal_the_price_is_shown_and_no_is_the_answer_of_whoever_only_presses_enter(
    shopper: Cli, emulator: Running, typed: str, status: int, creates: int
) -> None:
    shopper.write("in.jsonl", requests(5))
    surroundings = {**os.environ, **shopper.variables, "TERM": "dumb", "COLUMNS": "100"}
    ended, shown = at_a_terminal(shopper.folder, surroundings, "submit", "in.jsonl", typed=typed)
    assert (ended, _creates(emulator)) == (status, creates), shown
    assert "claude-haiku-4-5" in shown
    assert re.search(r"send 5 requests for \$0\.0+[1-9]\d* to \$0\.0+[1-9]\d*\? \[y/N\]", shown), shown
    assert emulator.requests().get(COUNT, 0) > 0, "what is shown was measured"


# ---------------------------------------------------------------- with one


def test_a_limit_stops_a_submit_before_anything_is_sent_or_planned(shopper: Cli, emulator: Running) -> None:
    path = shopper.write("in.jsonl", requests(20))
    answers = 20 * 64 * OUTPUT
    ran = shopper.run("submit", path, "--max-cost", str(answers))
    assert ran.status == 6, "the prompts come on top"
    assert "--max-cost" in ran.err
    assert _creates(emulator) == 0
    assert not (shopper.folder / ".batchctl").exists()
    assert shopper.run("submit", path, "--max-cost", str(2 * answers)).status == 0
    assert _creates(emulator) == 1


def test_yes_does_not_lift_a_limit(shopper: Cli, emulator: Running) -> None:
    ran = shopper.run("submit", shopper.write("in.jsonl", requests(20)), "--max-cost", "0.0001", "--yes")
    assert ran.status == 6
    assert _creates(emulator) == 0


def test_what_has_no_known_price_is_not_within_any_limit_until_somebody_says_yes(
    shopper: Cli, emulator: Running
) -> None:
    path = shopper.write("in.jsonl", [request_line("a", model="claude-mythos-5")])
    ran = shopper.run("submit", path, "--max-cost", "1000")
    assert ran.status == 6
    assert "claude-mythos-5" in ran.err
    assert _creates(emulator) == 0
    assert shopper.run("submit", path, "--max-cost", "1000", "--yes").status == 0


SEARCH: dict[str, Any] = {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}
ELSEWHERE = {"type": "document", "source": {"type": "url", "url": "https://example.com/long.pdf"}}


FIFTY_SEARCHES = Operation(
    "fifty searches",
    lambda usage: isinstance(usage, dict),
    lambda usage: {**usage, "server_tool_use": {"web_search_requests": 50}},
)


@pytest.mark.slow
def test_what_came_home_dearer_than_it_was_told_stops_what_is_not_sent_yet(tmp_path: Path) -> None:
    """A person said yes to what searches may cost, which nobody knew, and not to more than the limit."""
    with changing() as layer, running({"batch_seconds": 0.5, "limits": {"queue": 5}}) as emulator:
        layer.begin(Change("results", ("result", "message", "usage"), FIFTY_SEARCHES), When.ALWAYS)
        shopper = Cli(tmp_path, emulator.base_url, agrees=False)
        shopper.write("in.jsonl", [request_line(f"r-{n}", **SEARCH) for n in range(20)])
        ran = shopper.run("run", "in.jsonl", "--max-cost", "1", "--yes", "--max-requests", "5")
        said = " ".join(ran.err.split())
        assert ran.status == 6, said
        assert "more than the limit of $1 (--max-cost); nothing more was sent" in said
        assert "the results cost more than the estimate; raise the limit: batchctl submit in-" in said
        assert len(emulator.batches()) < 4
        # A higher limit, and it goes on to its end.
        assert shopper.run("run", "@last", "--max-cost", "11", "--yes").status == 0
        assert len(emulator.batches()) == 4


@pytest.mark.parametrize("params", few([SEARCH, {"messages": [{"role": "user", "content": [ELSEWHERE]}]}], 1))
def test_what_nobody_can_see_the_size_of_is_within_no_limit_until_somebody_says_yes(
    shopper: Cli, emulator: Running, params: dict[str, Any]
) -> None:
    path = shopper.write("in.jsonl", [request_line(f"r-{n}", **params) for n in range(50)])
    ran = shopper.run("submit", path, "--max-cost", "1000")
    assert ran.status == 6
    assert "not a bound" in ran.err
    assert _creates(emulator) == 0
    assert shopper.run("submit", path, "--max-cost", "1000", "--yes").status == 0


@pytest.mark.slow
def test_a_limit_takes_each_byte_that_was_not_counted_for_a_token(shopper: Cli, emulator: Running) -> None:
    """Random ASCII has hardly more than one byte to a token; what is counted here is too little to tell."""
    letters = string.ascii_letters + string.digits + "+/"
    many = [request_line(f"r-{n}", "".join(random.Random(n).choices(letters, k=4_000))) for n in range(500)]
    path = shopper.write("in.jsonl", many)
    as_counted = 500 * (1_000 * INPUT + 64 * OUTPUT)
    ran = shopper.run("submit", path, "--max-cost", str(2 * as_counted), "--yes")
    assert ran.status == 6, "a token for two bytes would be within it"
    assert "the cost may reach" in ran.err
    assert _creates(emulator) == 0
    # A tenth more where the API workspace runs everything in the US.
    most = sum(map(len, many)) * INPUT + 500 * 64 * OUTPUT
    assert shopper.run("submit", path, "--max-cost", str(most * Decimal("1.1"))).status == 0


@pytest.mark.slow
def test_of_few_requests_each_is_counted_for_a_limit_and_then_pictures_have_a_bound(
    shopper: Cli, emulator: Running
) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "a" * 20_000}}
    asked = [{"role": "user", "content": [picture]}]
    path = shopper.write("in.jsonl", [request_line(f"r-{n}", messages=asked) for n in range(90)])
    # 1,507 tokens each, as the emulator counts; 2 % and a tenth more, as high has them.
    most = 90 * (Decimal(1507) * INPUT * Decimal("1.02") + 64 * OUTPUT) * Decimal("1.1")
    assert shopper.run("submit", path, "--max-cost", str(most * Decimal("0.99"))).status == 6
    assert emulator.requests()[COUNT] >= 90
    assert shopper.run("submit", path, "--max-cost", str(most * Decimal("1.001"))).status == 0
    assert _creates(emulator) == 1


TOOLS: dict[str, Any] = {"tools": [{"name": "look", "description": "Poll it up.", "input_schema": {"type": "object"}}]}


@pytest.mark.slow
def test_what_the_api_adds_to_tools_is_counted_for_a_limit_or_its_bound_is_not_known(
    shopper: Cli, emulator: Running
) -> None:
    path = shopper.write("in.jsonl", [request_line(f"r-{n}", **TOOLS) for n in range(500)])
    rehearsed = shopper.run("submit", path, "--max-cost", "1000", "--dry-run")
    assert (rehearsed.status, "lets the API count some prompts first" in " ".join(rehearsed.err.split())) == (6, True)
    emulator.add_fault({"on": "count_tokens", "fault": "status", "status": 404, "times": 3})
    ran = shopper.run("submit", path, "--max-cost", "1000")
    assert ran.status == 6
    assert "tools and output formats were not counted: high is not a bound" in ran.err
    assert _creates(emulator) == 0
    assert shopper.run("submit", path, "--max-cost", "1000").status == 0
    assert _creates(emulator) == 1


def test_a_picture_is_one_however_its_keys_are_written(shopper: Cli, emulator: Running) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aaaa"}}
    line = request_line("r-N", messages=[{"role": "user", "content": [picture]}])
    for name in (b"type", b"image", b"source", b"base64"):
        line = line.replace(b'"%b"' % name, b'"%b"' % b"".join(b"\\u%04x" % c for c in name))
    path = shopper.write("in.jsonl", [line.replace(b"r-N", b"r-%d" % n) for n in range(500)])
    ran = shopper.run("submit", path, "--max-cost", "1000")
    assert ran.status == 6, ran.err
    assert "documents: " in ran.err
    assert "not a bound" in ran.err
    assert _creates(emulator) == 0


@pytest.mark.parametrize("typed", ["much", "-1", "nan", "inf", ""])
def test_a_limit_is_an_amount_of_dollars(shopper: Cli, emulator: Running, typed: str) -> None:
    ran = shopper.run("submit", shopper.write("in.jsonl", requests(1)), "--max-cost", typed)
    assert ran.status == 2, ran.err
    assert _creates(emulator) == 0


def test_a_limit_holds_for_what_is_left_of_a_job(shopper: Cli, emulator: Running) -> None:
    path = _planned(shopper, 20)
    for verb in ("submit", "run"):
        ran = shopper.run(verb, path, "--max-cost", "0.001")
        assert ran.status == 6, ran.err
    assert _creates(emulator) == 0
    assert shopper.run("submit", path, "--max-cost", "1").status == 0
    assert shopper.run("run", path, "--max-cost", "0", "--poll", "50ms").status == 0, "nothing more is sent"
    assert _creates(emulator) == 1


def test_a_limit_holds_for_a_batch_in_doubt_which_may_have_to_be_sent_again(shopper: Cli, emulator: Running) -> None:
    path = shopper.write("in.jsonl", requests(20))
    emulator.add_fault({"on": "create", "fault": "drop_after_accept"})
    shopper.left_in_doubt(path, "--yes")
    listed = emulator.requests().get("GET /v1/messages/batches", 0)
    ran = shopper.run("submit", path, "--max-cost", "0.001")
    assert ran.status == 6, ran.err
    assert emulator.requests().get("GET /v1/messages/batches", 0) == listed, "it is not even looked for"
    assert shopper.run("submit", path, "--max-cost", "1").status == 0


# ---------------------------------------------------------------- a limit that was named before


def test_a_limit_is_remembered_until_another_is_named(shopper: Cli, emulator: Running) -> None:
    path = _planned(shopper, 20)
    assert shopper.run("submit", path, "--max-cost", "0.001").status == 6
    job = shopper.run("status", "--json").json["jobs"][0]["job"]
    assert shopper.run("status", job, "--json").json["max_cost_usd"] is None, "what is refused changes nothing"
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5, "recover_after": 1}})
    assert shopper.run("submit", path, "--max-cost", "0.006").status == 0
    assert shopper.run("status", job, "--json").json["max_cost_usd"] == "0.006"
    assert "limit" in shopper.run("status", job).out
    assert shopper.run("fetch", job).status == 3
    # Half of what was paid for already is left: too little for the other half.
    paid = Decimal(shopper.run("cost", job, "--json").json["total"]["batch_usd"])
    assert shopper.run("run", job, "--max-cost", str(paid), "--poll", "50ms").status == 6
    for verb in ("retry", "run"):
        ran = shopper.run(verb, job)
        assert ran.status == 6, "without the option"
        assert f"the limit of ${paid} (--max-cost)" in ran.err
    assert _creates(emulator) == 1
    assert shopper.run("retry", job, "--max-cost", "1").status == 0
    assert shopper.run("status", job, "--json").json["max_cost_usd"] == "1"


PRICES = '[models."claude-haiku-4-5"]\ninput = {0}\noutput = {0}\n'


@pytest.mark.slow
def test_a_limit_that_was_named_before_holds_for_what_is_left(shopper: Cli, emulator: Running) -> None:
    """Half of a job is sent and on the disk; then the prices rise."""
    path = shopper.write("in.jsonl", requests(20))
    emulator.add_fault({"on": "create", "fault": "queue_full", "nth": 2, "retry_after": 1})
    options = ("--max-requests", "10", "--parallel", "1", "--no-wait")
    assert shopper.run("submit", path, *options, "--max-cost", "0.02").status == 8
    job = shopper.run("status", "--json").json["jobs"][0]["job"]
    assert shopper.run("fetch", job).status == 8
    (shopper.folder / ".batchctl" / "prices.toml").write_text(PRICES.format(90_000))
    creates = _creates(emulator)
    for words in (("submit", path), ("submit", job), ("retry", job), ("run", job)):
        ran = shopper.run(*words)
        assert ran.status == 6, (words, ran.err)
    assert _creates(emulator) == creates
    (shopper.folder / ".batchctl" / "prices.toml").unlink()
    assert shopper.run("submit", job).status == 0
    assert _creates(emulator) == creates + 1


@pytest.mark.slow
def test_what_is_refused_for_another_reason_changes_no_limit(shopper: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "create", "fault": "queue_full", "nth": 2, "retry_after": 1})
    path = shopper.write("in.jsonl", requests(20))
    assert shopper.run("submit", path, "--max-requests", "10", "--parallel", "1", "--no-wait", "--yes").status == 8
    job = shopper.run("status", "--json").json["jobs"][0]["job"]
    assert shopper.run("cancel", job, "--yes", "--poll", "0.1").status == 0
    assert shopper.run("submit", job, "--max-cost", "77").status == 6, "nobody is there to say yes"
    other = shopper.write("other.jsonl", requests(3))
    assert shopper.run("submit", job, "--max-cost", "77", "--yes", "--input", other).status in {2, 5}
    found = shopper.run("status", job, "--json").json
    assert found["max_cost_usd"] is None
    assert any("canceled" in warning for warning in found["warnings"])


@pytest.mark.slow
def test_what_older_versions_did_not_sum_up_is_summed_up_for_a_limit(shopper: Cli, emulator: Running) -> None:
    job = _with_a_round_to_send(shopper, emulator)
    with closing(sqlite3.connect(shopper.folder / ".batchctl" / "ledger.db")) as db, db:
        db.execute("DELETE FROM usage")
        db.execute("UPDATE batch SET usage_unread = NULL")
        db.execute("UPDATE round SET forecast = NULL")
    assert shopper.run("retry", job, "--max-cost", "1").status == 0


@pytest.mark.slow
def test_a_limit_is_not_held_against_what_is_still_to_be_edited(shopper: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"invalid_request_error": 0.5}})
    job = shopper.submitted("in.jsonl", requests(40), "--max-cost", "0.02")
    assert shopper.run("fetch", job).status == 3
    (shopper.folder / ".batchctl" / "prices.toml").write_text(PRICES.format(90_000))
    ran = shopper.run("retry", job, "--include-invalid", "--edit")
    assert ran.status == 0, ran.err
    assert "--from" in ran.err
    assert shopper.run("retry", job, "--from", f"{job}.round-2.requests.jsonl").status == 6


@pytest.mark.slow
def test_the_question_says_where_no_bound_is_known(shopper: Cli) -> None:
    shopper.write("in.jsonl", [request_line("a", **SEARCH)])
    surroundings = {**os.environ, **shopper.variables, "TERM": "dumb", "COLUMNS": "100"}
    ended, shown = at_a_terminal(shopper.folder, surroundings, "submit", "in.jsonl", typed="n")
    assert ended == 6
    assert ", without an upper bound?" in shown


def test_a_new_job_is_planned_with_its_limit(shopper: Cli) -> None:
    job = shopper.submitted("in.jsonl", requests(5), "--max-cost", "2.50")
    assert shopper.run("status", job, "--json").json["max_cost_usd"] == "2.5"


def test_a_yes_to_what_has_no_bound_is_not_given_for_ever(shopper: Cli, emulator: Running) -> None:
    path = shopper.write("in.jsonl", [request_line(f"r-{n}", **SEARCH) for n in range(4)])
    options = ("--max-requests", "2", "--max-cost", "1000")
    key = shopper.variables.pop("ANTHROPIC_API_KEY")
    assert shopper.run("submit", path, *options, "--yes").status == 4
    shopper.variables["ANTHROPIC_API_KEY"] = key
    ran = shopper.run("submit", path, *options)
    assert ran.status == 6, ran.err
    assert "has no bound" in ran.err
    assert _creates(emulator) == 0
    assert shopper.run("submit", path, *options, "--yes").status == 0


@pytest.mark.slow
def test_what_was_sent_a_second_time_is_within_no_limit_until_somebody_says_yes(
    shopper: Cli, emulator: Running
) -> None:
    job = _with_a_round_to_send(shopper, emulator)
    with closing(SqlLedger(shopper.folder / ".batchctl" / "ledger.db")) as ledger:
        ledger.record_duplicate_batch(ledger.job(job).id, "msgbatch_twin", datetime(2026, 11, 21, tzinfo=UTC))
    ran = shopper.run("retry", job, "--max-cost", "1000")
    assert ran.status == 6, ran.err
    assert "msgbatch_twin" in ran.err
    assert _creates(emulator) == 1
    assert shopper.run("retry", job, "--max-cost", "1000", "--yes").status == 0


def _with_a_round_to_send(shopper: Cli, emulator: Running) -> str:
    """A job whose first round is on the disk: half of it succeeded and was paid for, half of it can be sent again."""
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5, "recover_after": 1}})
    job = shopper.submitted("in.jsonl", requests(40), "--yes")
    assert shopper.run("fetch", job).status == 3
    return job


def test_off_a_terminal_a_retry_is_sent_once_somebody_has_agreed_to_its_price(shopper: Cli, emulator: Running) -> None:
    job = _with_a_round_to_send(shopper, emulator)
    edited = shopper.folder / "edited.jsonl"
    assert shopper.run("retry", job, "--dry-run", "-n").status == 0
    (shopper.folder / f"{job}.round-2.requests.jsonl").rename(edited)
    for words in ((), ("--only", "retry"), ("--from", edited)):
        ran = shopper.run("retry", job, *words)
        assert ran.status == 6, ran.err
        assert re.search(r"send \d+ requests again for \$[\d.]+ to \$[\d.]+", ran.err)
        assert "--max-cost" in ran.err
    assert _creates(emulator) == 1
    assert len(shopper.run("status", job, "--json").json["rounds"]) == 1
    assert [p.name for p in (shopper.folder / ".batchctl" / "jobs" / job).glob("*round-2*")] == []
    assert shopper.run("retry", job, "--yes").status == 0
    assert _creates(emulator) == 2


def test_a_dry_run_of_a_retry_names_its_price(shopper: Cli, emulator: Running) -> None:
    job = _with_a_round_to_send(shopper, emulator)
    ran = shopper.run("retry", job, "--dry-run")
    assert ran.status == 0, ran.err
    assert re.search(r"in batches +\$[\d.]+", ran.err), ran.err
    found = shopper.run("retry", job, "--dry-run", "--json").json
    price = found["estimate"]["batch_usd"]
    assert 0 < Decimal(price["low"]) <= Decimal(price["high"])
    assert found["estimate"]["requests"] == found["requests"]


def test_a_limit_that_was_named_before_holds_for_a_retry_without_a_question(shopper: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5, "recover_after": 1}})
    job = shopper.submitted("in.jsonl", requests(40), "--max-cost", "1")
    assert shopper.run("fetch", job).status == 3
    assert shopper.run("retry", job).status == 0


def test_a_limit_stops_a_retry_before_anything_is_sent_or_planned(shopper: Cli, emulator: Running) -> None:
    job = _with_a_round_to_send(shopper, emulator)
    ran = shopper.run("retry", job, "--max-cost", "0.001")
    assert ran.status == 6, ran.err
    assert _creates(emulator) == 1
    assert len(shopper.run("status", job, "--json").json["rounds"]) == 1
    assert shopper.run("retry", job, "--max-cost", "1").status == 0
    assert _creates(emulator) == 2


@pytest.mark.slow
def test_a_limit_holds_for_what_is_left_of_a_retry(shopper: Cli, emulator: Running) -> None:
    job = _with_a_round_to_send(shopper, emulator)
    key = shopper.variables.pop("ANTHROPIC_API_KEY")
    assert shopper.run("retry", job, "--yes").status == 4
    shopper.variables["ANTHROPIC_API_KEY"] = key
    for verb in ("retry", "run", "submit"):
        ran = shopper.run(verb, job, "--max-cost", "0.001")
        assert ran.status == 6, ran.err
    assert _creates(emulator) == 1
    assert shopper.run("retry", job, "--max-cost", "1").status == 0
    assert _creates(emulator) == 2


@pytest.mark.slow
def test_a_rehearsal_is_held_to_the_limit_too_and_says_what_it_rests_on(shopper: Cli, emulator: Running) -> None:
    path = shopper.write("in.jsonl", requests(20))
    ran = shopper.run("submit", path, "--dry-run", "--max-cost", "0.0001")
    assert (ran.status, "from bytes only" in ran.err) == (6, True)
    job = _with_a_round_to_send(shopper, emulator)
    ran = shopper.run("retry", job, "--dry-run", "--max-cost", "0.001")
    assert ran.status == 6, ran.err
    assert (shopper.folder / f"{job}.round-2.requests.jsonl").exists(), "it is what was asked for"
    assert shopper.run("retry", job, "--dry-run", "--max-cost", "1").status == 0
    assert shopper.run("status", job, "--json").json["max_cost_usd"] is None, "nothing was agreed to"


def test_what_earlier_rounds_cost_counts_against_a_limit(shopper: Cli, emulator: Running) -> None:
    job = _with_a_round_to_send(shopper, emulator)
    paid = Decimal(shopper.run("cost", job, "--json").json["total"]["batch_usd"])
    assert paid > 0
    failed = len(shopper.errors(job))
    most = failed * (64 * OUTPUT + 200 * Decimal("0.50") / 1_000_000)
    ran = shopper.run("retry", job, "--max-cost", str(failed * 64 * OUTPUT + paid / 2))
    assert ran.status == 6, "it would be enough without what was paid before"
    assert shopper.run("retry", job, "--max-cost", str(most + paid)).status == 0


def test_a_run_stops_at_the_limit_between_rounds_says_so_and_brings_home_what_it_has(
    shopper: Cli, emulator: Running
) -> None:
    job = _with_a_round_to_send(shopper, emulator)
    (shopper.folder / f"{job}.results.jsonl").unlink()
    ran = shopper.run("run", job, "--max-cost", "0.001")
    assert ran.status == 6, ran.err
    assert "--max-cost" in ran.err
    assert _creates(emulator) == 1
    assert len(shopper.results(job)) == 40
    assert shopper.run("run", job, "--max-cost", "1", "--poll", "50ms").status == 0
    assert _creates(emulator) == 2
    assert len(shopper.results(job)) == 40
