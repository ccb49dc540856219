"""`resolve`: what is in doubt is shown with what speaks for each side, and nothing is guessed where it could pay twice."""

import contextlib
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from program import Cli, ids, request, requests, sent_lines

from batchctl.emulator.running import Running, running

CREATE = "POST /v1/messages/batches"
LOST = {"on": "create", "fault": "drop_after_accept"}
NEVER_MADE = {"on": "create", "fault": "status", "status": 529}
LONG_AGO = "2001-01-01T00:00:00.000000Z"


@pytest.fixture(autouse=True)
def _soon(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.variables["BATCHCTL_UNCONFIRMED_GRACE"] = "0.3"
    monkeypatch.setattr("batchctl.engine.reconciler.WAIT_FOR_END", timedelta(seconds=0.1))


@pytest.fixture
def stranger(emulator: Running, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Somebody else with the same key."""
    return Cli(tmp_path_factory.mktemp("stranger"), emulator.base_url)


def _ledger(cli: Cli, change: str, *values: Any) -> None:
    with contextlib.closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db, db:
        db.execute(change, values)


def _stuck(cli: Cli, stranger: Cli, emulator: Running) -> tuple[Path, str, str]:
    """Ours, lost, and a stranger's of the same size, created in the same moment; both still run. Theirs and ours."""
    emulator.set_scenario({"batch_seconds": 600})
    emulator.add_fault(LOST)
    path = cli.write("in.jsonl", requests(4))
    cli.left_in_doubt(path)
    stranger.submitted("theirs.jsonl", requests(4, prefix="theirs"))
    ran = cli.run("submit", path)
    assert ran.status == 7, ran.err
    assert "batchctl resolve" in ran.err
    ours, theirs = sorted(emulator.batches(), key=lambda b: str(b["created_at"]))
    return path, str(theirs["id"]), str(ours["id"])


def test_nothing_in_doubt_is_said(cli: Cli, emulator: Running) -> None:
    cli.submitted("in.jsonl", requests(2))
    ran = cli.run("resolve")
    assert ran.status == 0
    assert "nothing is unconfirmed" in ran.err


def test_a_doubt_is_shown_with_its_candidates_and_the_ways_out(cli: Cli, stranger: Cli, emulator: Running) -> None:
    _, theirs, ours = _stuck(cli, stranger, emulator)
    ran = cli.run("resolve")
    assert ran.status == 7
    for word in (theirs, ours, "unconfirmed", "batch 1 of 1", "not known before it has ended", "--adopt", "--resend"):
        assert word in ran.out
    shape = cli.run("resolve", "--json").json
    assert {c["id"] for c in shape["doubts"][0]["candidates"]} == {theirs, ours}


def test_a_person_adopts_the_right_one_and_pays_once(cli: Cli, stranger: Cli, emulator: Running) -> None:
    _, _, ours = _stuck(cli, stranger, emulator)
    ran = cli.run("resolve", "--adopt", ours)
    assert ran.status == 0, ran.err
    assert f"{ours} has its size" in ran.err
    emulator.advance(600)
    assert cli.run("fetch").status == 0
    assert emulator.requests()[CREATE] == 2


@pytest.mark.slow
def test_a_wrong_word_of_a_person_is_corrected_by_the_ids(cli: Cli, stranger: Cli, emulator: Running) -> None:
    path, theirs, _ = _stuck(cli, stranger, emulator)
    assert cli.run("resolve", "--adopt", theirs).status == 0
    emulator.advance(600)
    ran = cli.run("run", path, "--poll", "50ms")
    assert ran.status == 0, ran.err
    (results,) = cli.folder.glob("*.results.jsonl")
    assert ids(cli.results(results.name.removesuffix(".results.jsonl"))) == [f"r-{n:05d}" for n in range(4)]
    assert emulator.requests()[CREATE] == 2


@pytest.mark.slow
def test_once_they_have_ended_the_ids_settle_it_without_a_word(cli: Cli, stranger: Cli, emulator: Running) -> None:
    _stuck(cli, stranger, emulator)
    emulator.advance(600)
    ran = cli.run("resolve")
    assert ran.status == 0, ran.err
    assert cli.run("fetch").status == 0


def test_sending_again_asks_first_where_it_could_pay_twice(cli: Cli, stranger: Cli, emulator: Running) -> None:
    path, _, ours = _stuck(cli, stranger, emulator)
    ran = cli.run("resolve", "--resend")
    assert ran.status == 6
    assert "risk paying twice" in ran.err
    assert emulator.requests()[CREATE] == 2
    assert cli.run("resolve", "--resend", "--yes").status == 0
    emulator.set_scenario({"batch_seconds": 0})
    assert cli.run("submit", path).status == 0
    assert emulator.requests()[CREATE] == 3
    # What is there twice is recognised by its ids once it has ended, and offered for canceling.
    emulator.advance(600)
    assert ours in cli.run("fetch").err
    shown = cli.run("resolve")
    assert shown.status == 7
    assert f"--cancel {ours}" in shown.out
    assert cli.run("resolve", "--cancel", ours).status == 0
    assert ours not in cli.run("status", "@last").out
    assert "sent twice" in cli.run("cost").out, "it had ended: that cannot be taken back"


@pytest.mark.slow
def test_a_batch_that_may_be_there_twice_can_be_canceled_while_it_runs(
    cli: Cli, stranger: Cli, emulator: Running
) -> None:
    path, theirs, ours = _stuck(cli, stranger, emulator)
    assert cli.run("resolve", "--resend", "--yes").status == 0
    assert cli.run("submit", path).status == 0
    shown = cli.run("resolve")
    assert "may hold requests twice" in shown.out
    assert cli.run("resolve", "--cancel", "msgbatch_unheard_of").status == 6
    assert cli.run("resolve", "--cancel", ours).status == 0
    states = {b["id"]: b["processing_status"] for b in emulator.batches()}
    assert states[ours] in {"canceling", "ended"}
    assert states[theirs] == "in_progress"


@pytest.mark.slow
def test_a_batch_of_our_own_that_was_found_after_a_create_was_given_up_is_not_there_twice(
    cli: Cli, emulator: Running
) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    emulator.add_fault(NEVER_MADE)
    emulator.add_fault({**LOST, "nth": 2})
    assert cli.run("submit", cli.write("in.jsonl", requests(4))).status == 0
    shown = cli.run("resolve")
    assert shown.status == 0, shown.out
    assert "twice" not in shown.out
    (ours,) = emulator.batches()
    assert cli.run("resolve", "--cancel", ours["id"]).status == 6
    emulator.advance(600)
    ran = cli.run("fetch")
    assert ran.status == 0, ran.err
    assert "paid for unless" not in ran.err


@pytest.mark.slow
def test_a_batch_that_may_be_of_a_create_of_another_round_is_for_a_person(cli: Cli, emulator: Running) -> None:
    """The same ids, and other params: no answer tells with which of them it was made."""
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"max_tokens": 1.0}})
    emulator.add_fault(NEVER_MADE)
    job = cli.submitted("in.jsonl", requests(4))
    assert cli.run("fetch").status == 0
    emulator.add_fault(LOST)
    ran = cli.run("retry", job, "--only", "truncated", "--set", "max_tokens=99", "--timeout", "20s")
    assert emulator.requests()[CREATE] == 3
    ran = cli.run("fetch", job, "--timeout", "20s")
    assert ran.status == 7, ran.err
    assert (
        "a batch of round 1 has the same number of requests and was presumed not created"
        in ran.err + cli.run("resolve", job).out
    )
    newest = emulator.batches()[-1]
    assert cli.run("resolve", job, "--adopt", newest["id"]).status == 0
    assert cli.run("fetch", job).status == 0
    assert emulator.requests()[CREATE] == 3
    assert cli.run("verify", job).status == 0


def test_what_its_ids_name_as_ours_is_never_sent_again(cli: Cli, emulator: Running) -> None:
    emulator.add_fault(LOST)
    emulator.add_fault({"on": "results", "fault": "status", "status": 500, "times": 1})
    path = cli.write("in.jsonl", requests(4))
    cli.left_in_doubt(path)
    ran = cli.run("resolve", "--resend", "--yes")
    while ran.status == 1:
        ran = cli.run("resolve", "--resend", "--yes")
    assert ran.status == 6, ran.err
    assert cli.run("submit", path).status in {0, 6}
    assert cli.run("fetch").status == 0
    assert emulator.requests()[CREATE] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--adopt", "msgbatch_nobody"], "has no batch"),
        (["--adopt", "\udcff"], "not a batch id"),
        (["--adopt", "OTHER-SIZE"], "is not one of the unconfirmed batches"),
        (["--adopt", "OTHER-SIZE", "--batch", "1"], "holds 5 requests, but batch 1 has 4"),
        (["--adopt", "OURS", "--batch", "7"], "the unconfirmed batches are 1"),
        (["--adopt", "OURS", "--resend"], "exclude each other"),
        (["--cancel", "OURS"], "it is not canceled"),
    ],
)
def test_a_word_that_cannot_be_right_changes_nothing(
    cli: Cli, stranger: Cli, emulator: Running, words: list[str], said: str
) -> None:
    _, _, ours = _stuck(cli, stranger, emulator)
    stranger.submitted("five.jsonl", requests(5))
    other = next(b["id"] for b in emulator.batches() if b["request_count"] == 5)
    given = [{"OURS": ours, "OTHER-SIZE": str(other)}.get(word, word) for word in words]
    ran = cli.run("resolve", *given)
    assert ran.status in {2, 6}, ran.err
    assert said in ran.err
    assert cli.run("resolve").status == 7
    assert all(b["processing_status"] == "in_progress" for b in emulator.batches())


@pytest.mark.slow
def test_results_that_cannot_be_read_for_a_word_are_said(cli: Cli, stranger: Cli, emulator: Running) -> None:
    _, _, ours = _stuck(cli, stranger, emulator)
    emulator.set_scenario({"batch_seconds": 0})
    stranger.submitted("more.jsonl", requests(4, prefix="more"))
    theirs = next(b["id"] for b in emulator.batches() if b["processing_status"] == "ended")
    # The look before the word reads them well, and finds that they are not ours.
    emulator.add_fault({"on": "results", "fault": "status", "status": 500, "nth": 3})
    ran = cli.run("resolve", "--adopt", theirs)
    assert ran.status == 1, ran.err
    assert "cannot be reached" in ran.err
    assert cli.run("resolve", "--adopt", ours).status == 0


@pytest.mark.slow
def test_of_two_doubts_one_is_named_by_its_number(cli: Cli, stranger: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    emulator.add_fault({**LOST, "times": 2})
    path = cli.write("in.jsonl", requests(4))
    cli.left_in_doubt(path, "--max-requests", "2", "--parallel", "2")
    stranger.submitted("theirs.jsonl", requests(2, prefix="theirs"))
    assert cli.run("submit", path).status == 7
    by_first_id = {sent[0]: b["id"] for sent, b in zip(sent_lines(emulator), emulator.batches(), strict=True)}
    first, second = (str(by_first_id[request(f"r-{n:05d}", f"What is {n} + 1?")]) for n in (0, 2))
    which = cli.run("resolve", "--adopt", first)
    assert which.status == 2
    assert "--batch N" in which.err
    assert cli.run("resolve", "--adopt", first, "--batch", "1").status == 7
    assert cli.run("resolve", "--adopt", second).status == 0
    emulator.advance(600)
    assert cli.run("fetch").status == 0
    assert emulator.requests()[CREATE] == 3


# ---------------------------------------------------------------- no longer known to the API


def _lost(cli: Cli, emulator: Running) -> tuple[Path, str]:
    """Deleted at the API by somebody else, and found missing for a while."""
    emulator.set_scenario({"batch_seconds": 0.1})
    path = cli.write("in.jsonl", requests(3))
    assert cli.run("submit", path).status == 0
    (batch,) = emulator.batches()
    emulator.set_scenario({"batch_seconds": 0.1})
    emulator.add_fault({"on": "retrieve", "fault": "not_found", "times": 0})
    emulator.add_fault({"on": "list", "fault": "hide_from_list", "times": 0})
    assert cli.run("status", "@last").status == 0
    _ledger(cli, "update batch set missing_since = ?", LONG_AGO)
    return path, str(batch["id"])


@pytest.fixture
def unwatched(tmp_path: Path) -> Any:
    """An emulator whose faults need not all fire."""
    with running({"batch_seconds": 0.1}) as emulator:
        yield emulator


def test_a_batch_the_api_no_longer_knows_is_a_persons_decision(unwatched: Running, tmp_path: Path) -> None:
    cli = Cli(tmp_path, unwatched.base_url)
    cli.variables["BATCHCTL_UNCONFIRMED_GRACE"] = "0.3"
    path, name = _lost(cli, unwatched)
    ran = cli.run("run", path, "--poll", "50ms")
    assert ran.status == 7, ran.err
    assert "next: batchctl resolve" in ran.err
    assert cli.run("status", "--exit-status").status == 7
    shown = cli.run("resolve")
    assert shown.status == 7
    assert f"the API answers 404 for {name}" in shown.out
    refused = cli.run("resolve", "--resend")
    assert refused.status == 6
    assert "can no longer see" in refused.err
    assert unwatched.requests()[CREATE] == 1
    assert cli.run("resolve", "--resend", "--yes").status == 0
    unwatched.set_scenario({"batch_seconds": 0})
    assert cli.run("run", path, "--poll", "50ms").status in {0, 3}
    assert unwatched.requests()[CREATE] == 2
    said = cli.run("cost").out
    assert "at least $" in said
    assert "not in it: 1 batch that the API no longer knew, sent again as new batches" in " ".join(said.split())


def test_a_batch_the_api_no_longer_knows_counts_against_the_limit_where_it_is_sent_again(
    unwatched: Running, tmp_path: Path
) -> None:
    cli = Cli(tmp_path, unwatched.base_url)
    path, _ = _lost(cli, unwatched)
    (planned,) = cli.run("cost", "@last", "--json").json["rounds"]
    most = float(planned["forecast"]["high_usd"])
    assert cli.run("resolve", "--resend", "--yes").status == 0
    ran = cli.run("submit", path, "--max-cost", str(1.5 * most))
    assert ran.status == 6, ran.err
    assert unwatched.requests()[CREATE] == 1
    assert cli.run("submit", path, "--max-cost", str(2.5 * most)).status == 0
    assert unwatched.requests()[CREATE] == 2


def test_with_another_key_nothing_is_sent_again(cli: Cli, emulator: Running) -> None:
    cli.submitted("in.jsonl", requests(3))
    cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-another-workspace"
    assert cli.run("status", "@last").status == 0
    _ledger(cli, "update batch set missing_since = ?", LONG_AGO)
    ran = cli.run("resolve", "--resend", "--yes")
    assert ran.status == 7, ran.err
    assert "this key and URL use" in ran.err
    assert emulator.requests()[CREATE] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seconds", "on", "verb"),
    [(0.1, "retrieve", ["status", "@last"]), (0, "results", ["fetch", "--timeout", "700ms"])],
)
def test_what_the_api_knows_again_needs_no_decision(
    cli: Cli, emulator: Running, seconds: float, on: str, verb: list[str]
) -> None:
    emulator.set_scenario({"batch_seconds": seconds})
    path = cli.write("in.jsonl", requests(3))
    assert cli.run("submit", path).status == 0
    emulator.add_fault({"on": on, "fault": "not_found"})
    cli.run(*verb)
    _ledger(cli, "update batch set missing_since = ?", LONG_AGO)
    ran = cli.run("resolve", "--resend", "--yes")
    assert ran.status == 6, ran.err
    assert "nothing is unconfirmed" in ran.err
    assert cli.run("run", path, "--poll", "50ms").status == 0
    assert emulator.requests()[CREATE] == 1


def test_a_single_404_before_a_long_time_without_an_answer_loses_nothing(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0.1})
    path = cli.write("in.jsonl", requests(3))
    assert cli.run("submit", path).status == 0
    emulator.add_fault({"on": "retrieve", "fault": "not_found"})
    assert cli.run("status", "@last").status == 0
    # A laptop was closed over night; opened again, it has no network yet.
    _ledger(cli, "update batch set missing_since = ?1, polled_at = ?1", LONG_AGO)
    emulator.add_fault({"on": "retrieve", "fault": "status", "status": 529})
    ran = cli.run("run", path, "--poll", "50ms")
    assert ran.status == 0, ran.err
