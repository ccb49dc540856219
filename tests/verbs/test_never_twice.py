"""No request is paid for twice: other jobs with our ids or sizes, copies of a workspace, other keys, clocks, lost steps."""

import contextlib
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cases import few
from gateway import gateway
from program import Cli, request, sent_lines, session_of

from batchctl.clock import Clock
from batchctl.domain.errors import UnconfirmedProblem
from batchctl.emulator.running import Running
from batchctl.engine.copy_check import check_copies
from batchctl.engine.send import send

CREATE = "POST /v1/messages/batches"
LIST = "GET /v1/messages/batches"
COUNT = "POST /v1/messages/count_tokens"
LOST = {"on": "create", "fault": "drop_after_accept"}
NEVER = datetime(9000, 1, 1, tzinfo=UTC)
NEVER_MADE = {"on": "create", "fault": "status", "status": 529}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHCTL_UNCONFIRMED_GRACE", "0.3")
    monkeypatch.setattr("batchctl.engine.send.FIRST_RECONCILE_PAUSE", timedelta(seconds=0.02))
    monkeypatch.setattr("batchctl.engine.reconciler.WAIT_FOR_END", timedelta(seconds=0.1))
    monkeypatch.setattr("batchctl.engine.next_steps.OTHERS_PAUSE", timedelta(seconds=0.1))


@pytest.fixture
def other(emulator: Running, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """Somebody else with the same key, in a folder that is not within ours."""
    return Cli(tmp_path_factory.mktemp("other"), emulator.base_url)


def _echoing(emulator: Running, seconds: float = 0, **more: Any) -> None:
    """Answers repeat the question whole, so that another's answer shows."""
    emulator.set_scenario({"batch_seconds": seconds, "answers": {"echo": True}, **more})


def _rows(count: int, text: str) -> list[bytes]:
    return [request(f"row-{n}", f"{text} {n}") for n in range(count)]


def _texts(cli: Cli, job: str) -> list[str]:
    return [r["result"]["message"]["content"][0]["text"] for r in cli.results(job)]


def _job(cli: Cli) -> str:
    (job,) = cli.run("status", "--json", "--offline").json["jobs"]
    return str(job["job"])


def _asked(lines: Iterable[bytes]) -> list[str]:
    return [json.loads(line)["params"]["messages"][0]["content"] for line in lines]


def _times_sent(emulator: Running, lines: Sequence[bytes]) -> set[int]:
    counts = Counter(line for batch in sent_lines(emulator) for line in batch)
    return {counts[line] for line in lines}


# ---------------------------------------------------------------- somebody else's batch with our size and our ids


def _other_sends_while_ours_fails(
    cli: Cli, other: Cli, emulator: Running, ours: list[bytes], theirs: list[bytes]
) -> str:
    """Our create fails and makes nothing; their batch, of the same size and ids, is made in the same moment."""
    emulator.add_fault(NEVER_MADE)
    cli.left_in_doubt(cli.write("in.jsonl", ours))
    other.submitted("in.jsonl", theirs)
    return _job(cli)


@pytest.mark.parametrize("seconds", few([0, 60], 0))
def test_answers_to_other_prompts_under_our_ids_are_not_taken_for_ours(
    cli: Cli, other: Cli, emulator: Running, seconds: float
) -> None:
    _echoing(emulator, seconds)
    ours, theirs = _rows(5, "Which colour has"), _rows(5, "Please write a long story about the number")
    job = _other_sends_while_ours_fails(cli, other, emulator, ours, theirs)
    cli.run("submit", job)
    emulator.advance(100)
    ran = cli.run("run", job, "--poll", "0.1s", "--timeout", "20s") if not seconds else _run_on(cli, emulator, job)
    assert ran.status == 0, ran.err
    assert _texts(cli, job) == _asked(ours)
    assert _times_sent(emulator, ours) == {1}
    assert len(emulator.batches()) == 2


def _run_on(cli: Cli, emulator: Running, job: str) -> Any:
    """Run again and again, an hour apart, until the job is done."""
    for _ in range(6):
        ran = cli.run("run", job, "--poll", "0.1s", "--timeout", "2s")
        if ran.status not in {7, 8}:
            return ran
        emulator.advance(3600)
    raise AssertionError("it is never done")


@pytest.mark.slow
def test_their_batch_is_named_as_foreign_and_shown_as_provisional_before(
    cli: Cli, other: Cli, emulator: Running
) -> None:
    _echoing(emulator, 60)
    ours, theirs = _rows(5, "Which colour has"), _rows(5, "Please write a long story about the number")
    job = _other_sends_while_ours_fails(cli, other, emulator, ours, theirs)
    matched = cli.run("submit", job)
    assert "its results tell whether it is ours" in matched.err
    shape = cli.run("status", job, "--json").json
    assert shape["batches"]["provisional"] == 1
    assert any("provisional" in warning for warning in shape["warnings"])
    assert "1 matched provisionally" in cli.run("status", job).out
    emulator.advance(100)
    found = cli.run("fetch", job)
    assert "is another job's" in found.err
    assert "tokens counted" in found.err
    assert cli.run("status", job, "--json", "--offline").json["batches"]["provisional"] == 0


@pytest.mark.slow
def test_another_model_under_our_ids_is_not_ours(cli: Cli, other: Cli, emulator: Running) -> None:
    _echoing(emulator)
    ours = _rows(5, "What is")
    theirs = [line.replace(b"claude-haiku-4-5", b"claude-sonnet-4-6") for line in ours]
    job = _other_sends_while_ours_fails(cli, other, emulator, ours, theirs)
    assert cli.run("run", job, "--poll", "0.1s").status == 0
    assert {r["result"]["message"]["model"][:12] for r in cli.results(job)} == {"claude-haiku"}


def test_what_an_adopted_batch_rests_on_is_said_by_status_run_and_verify(cli: Cli, emulator: Running) -> None:
    _echoing(emulator)
    emulator.add_fault(LOST)
    ran = cli.run("run", cli.write("in.jsonl", _rows(25, "What is")), "--poll", "0.1s")
    assert ran.status == 0, ran.err
    said = "1 of 1 batch found in the API's list and identified by size, ids, model and token counts of 20 answers"
    assert said in ran.err
    assert said in cli.run("status", "@last").out.replace("\n", " ").replace("             ", "")
    shape = cli.run("verify", "--json").json
    assert shape["rests_on"].startswith(said)
    assert emulator.requests()[COUNT] == 20
    assert emulator.requests()[CREATE] == 1


def test_a_batch_that_the_api_named_itself_is_held_against_nothing(cli: Cli, emulator: Running) -> None:
    assert cli.run("run", cli.write("in.jsonl", _rows(25, "What is")), "--poll", "0.1s").status == 0
    assert COUNT not in emulator.requests()
    assert cli.run("verify", "--json").json["rests_on"] is None


@pytest.fixture
def uncounted(emulator: Running) -> Iterator[str]:
    """A gateway that knows no count_tokens."""
    with gateway(emulator.base_url, missing=("/v1/messages/count_tokens",)) as url:
        yield url


@pytest.mark.slow
def test_where_nothing_can_be_counted_a_person_decides_and_nothing_is_sent_again(
    cli: Cli, emulator: Running, uncounted: str
) -> None:
    _echoing(emulator)
    cli.variables["ANTHROPIC_BASE_URL"] = uncounted
    emulator.add_fault(LOST)
    lines = _rows(5, "What is")
    ran = cli.run("run", cli.write("in.jsonl", lines), "--poll", "0.1s")
    assert ran.status == 7, ran.err
    job = _job(cli)
    assert f"batchctl resolve {job}" in ran.err
    assert cli.results(job) == []
    shown = cli.run("resolve", job)
    assert shown.status == 7
    assert "no answer can be compared" in shown.out + shown.err
    (batch,) = emulator.batches()
    assert cli.run("resolve", job, "--adopt", batch["id"]).status == 0
    assert cli.run("fetch", job).status == 0
    assert _texts(cli, job) == _asked(lines)
    assert emulator.requests()[CREATE] == 1
    assert "your decision" in cli.run("verify", "--json").json["rests_on"]


# ---------------------------------------------------------------- copies of a workspace


def _copy(cli: Cli, folder: Path) -> Cli:
    shutil.copytree(cli.folder, folder)
    return Cli(folder, cli.variables["ANTHROPIC_BASE_URL"])


def _half_sent(cli: Cli, emulator: Running, lines: Sequence[bytes]) -> str:
    """A job of which one batch is sent, and three wait for room in the API's queue."""
    emulator.add_fault({"on": "create", "fault": "queue_full", "nth": 2, "times": 1, "retry_after": 1})
    path = cli.write("in.jsonl", lines)
    ran = cli.run("submit", path, "--max-requests", "2", "--parallel", "1", "--no-wait")
    assert ran.status == 8, ran.err
    with contextlib.closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db, db:
        db.execute("update job set hold_until = null, window = null, window_at = null")
        db.execute("update batch set not_before = null")
    return _job(cli)


@pytest.mark.parametrize("first", few(["original", "copy"], 1))
def test_a_copy_that_is_continued_in_both_places_sends_each_request_once(
    cli: Cli, emulator: Running, tmp_path_factory: pytest.TempPathFactory, first: str
) -> None:
    _echoing(emulator)
    lines = _rows(8, "What is")
    job = _half_sent(cli, emulator, lines)
    copy = _copy(cli, tmp_path_factory.mktemp("copies") / "copy")
    said = ""
    for one in (cli, copy) if first == "original" else (copy, cli):
        ran = one.run("run", job, "--poll", "0.1s")
        assert ran.status == 0, ran.err
        assert _texts(one, job) == _asked(lines)
        said = ran.err
    assert "the API's list is read before anything is sent" in said
    assert _times_sent(emulator, lines) == {1}


def test_a_ledger_that_was_put_back_from_a_copy_sends_nothing_again(cli: Cli, emulator: Running) -> None:
    _echoing(emulator)
    lines = _rows(8, "What is")
    job = _half_sent(cli, emulator, lines)
    ledger = cli.folder / ".batchctl" / "ledger.db"
    kept = ledger.read_bytes()
    assert cli.run("submit", job).status == 0
    # In place: the same file, on the same device, under the same path.
    ledger.write_bytes(kept)
    ran = cli.run("run", job, "--poll", "0.1s")
    assert ran.status == 0, ran.err
    assert "restored from a copy" in ran.err
    assert _times_sent(emulator, lines) == {1}
    assert _texts(cli, job) == _asked(lines)


@pytest.mark.slow
def test_a_later_round_that_a_copy_has_sent_is_not_sent_again(
    cli: Cli, emulator: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _echoing(emulator, outcomes={"overloaded_error": 1.0, "recover_after": 1})
    lines = _rows(4, "What is")
    path = cli.write("in.jsonl", lines)
    assert cli.run("submit", path).status == 0
    job = _job(cli)
    assert cli.run("fetch", job).status == 3
    copy = _copy(cli, tmp_path_factory.mktemp("copies") / "copy")
    assert cli.run("run", job, "--poll", "0.1s").status == 0
    ran = copy.run("run", job, "--poll", "0.1s")
    assert ran.status == 0, ran.err
    assert _times_sent(emulator, lines) == {2}, "once in each round"
    assert _texts(copy, job) == _texts(cli, job)


def test_a_moved_workspace_goes_on_without_a_question_or_a_wait(
    cli: Cli, emulator: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = _rows(8, "What is")
    job = _half_sent(cli, emulator, lines)
    moved = tmp_path_factory.mktemp("moved") / "there"
    shutil.move(cli.folder, moved)
    cli.folder.mkdir()
    before = emulator.requests()[LIST]
    there = Cli(moved, cli.variables["ANTHROPIC_BASE_URL"])
    ran = there.run("submit", job)
    assert ran.status == 0, ran.err
    assert "unconfirmed" not in ran.err
    assert emulator.requests()[LIST] <= before + 2
    assert _times_sent(emulator, lines) == {1}


@pytest.mark.slow
def test_a_process_stops_sending_when_a_copy_is_continued_meanwhile(
    cli: Cli, emulator: Running, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    _echoing(emulator)
    lines = _rows(8, "What is")
    job = _half_sent(cli, emulator, lines)
    copy = _copy(cli, tmp_path_factory.mktemp("copies") / "copy")
    monkeypatch.setenv("ANTHROPIC_API_KEY", cli.variables["ANTHROPIC_API_KEY"])
    with session_of(cli.folder / ".batchctl", emulator.base_url) as session:
        assert check_copies(session, session.ledger.job(job))
        assert copy.run("submit", job).status == 0
        planned = next(b for b in session.ledger.batches(session.ledger.job(job)) if b.state == "planned")
        with pytest.raises(UnconfirmedProblem, match="a copy of this workspace has sent"):
            send(session, session.ledger.job(job), planned)
    assert cli.run("run", job, "--poll", "0.1s").status == 0
    assert _times_sent(emulator, lines) == {1}


# ---------------------------------------------------------------- another key behind a gateway without account headers


@contextlib.contextmanager
def _left_in_doubt_behind_a_gateway(cli: Cli, emulator: Running, lines: Sequence[bytes]) -> Iterator[Path]:
    """An input whose create got no answer, while a gateway is there that names no account."""
    with gateway(emulator.base_url, drops=("anthropic-",)) as url:
        cli.variables["ANTHROPIC_BASE_URL"] = url
        emulator.add_fault(LOST)
        path = cli.write("in.jsonl", lines)
        cli.left_in_doubt(path)
        yield path


@pytest.mark.slow
def test_behind_a_gateway_another_key_does_not_settle_what_this_one_left_open(cli: Cli, emulator: Running) -> None:
    _echoing(emulator, keys={"sk-ant-tests": "one", "sk-ant-other": "two"})
    with _left_in_doubt_behind_a_gateway(cli, emulator, _rows(5, "What is")) as path:
        mine = cli.variables["ANTHROPIC_API_KEY"]
        cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-other"
        ran = cli.run("submit", path)
        assert ran.status == 7, ran.err
        assert "with another key" in ran.err
        cli.variables["ANTHROPIC_API_KEY"] = mine
        assert cli.run("run", path, "--poll", "0.1s").status == 0
    assert emulator.requests()[CREATE] == 1
    stored = (cli.folder / ".batchctl" / "ledger.db").read_bytes()
    assert b"sk-ant" not in stored


@pytest.mark.parametrize("sees", few([True, False], 1), ids=["key of the same account", "key of another account"])
def test_behind_a_gateway_a_person_decides_where_the_key_is_gone(cli: Cli, emulator: Running, *, sees: bool) -> None:
    _echoing(emulator, keys={"sk-ant-tests": "one", "sk-ant-other": "one" if sees else "two"})
    lines = _rows(5, "What is")
    with _left_in_doubt_behind_a_gateway(cli, emulator, lines) as path:
        job = _job(cli)
        cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-other"
        assert "batchctl resolve" in cli.run("submit", path).err
        (made,) = emulator.batches()
        shown = cli.run("resolve", job)
        assert shown.status == 7, shown.err
        assert "with another key" in shown.err + shown.out
        assert (made["id"] in shown.err + shown.out) == sees
        if sees:
            assert cli.run("resolve", job, "--adopt", made["id"]).status == 0
        else:
            # Without a yes nothing is sent again: it may well be there.
            assert cli.run("resolve", job, "--resend").status != 0
            assert emulator.requests()[CREATE] == 1
            assert cli.run("resolve", job, "--resend", "--yes").status == 0
        assert cli.run("run", path, "--poll", "0.1s").status == 0
    assert emulator.requests()[CREATE] == (1 if sees else 2)
    assert _texts(cli, job) == _asked(lines)


# ---------------------------------------------------------------- clocks


@pytest.mark.parametrize("days", few([365, -365], 0))
@pytest.mark.parametrize("seconds", few([0, 60], 0))
@pytest.mark.parametrize("fault", few([LOST, NEVER_MADE], 0), ids=lambda f: f["fault"])
def test_a_clock_that_jumps_by_a_year_in_the_middle_of_a_command_makes_no_second_batch(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], seconds: float, days: int
) -> None:
    _echoing(emulator, seconds)
    emulator.add_fault(fault)
    if fault is LOST:
        emulator.add_fault({"on": "list", "fault": "hide_from_list", "nth": 2, "times": 2})
    right, reads = Clock.now, iter(range(1_000_000))

    def jumping(self: Clock) -> datetime:
        # Every some reads: within each step there is one at some time.
        return right(self) + timedelta(days=days) * (next(reads) // 7)

    lines = _rows(5, "What is")
    path = cli.write("in.jsonl", lines)
    with monkeypatch.context() as jumps:
        jumps.setattr(
            Clock, "now", jumping if days < 0 else lambda self: right(self) + timedelta(days=days) * (next(reads) % 2)
        )
        cli.run("submit", path, "--timeout", "5s")
    # What was not sent while the clock jumped is sent now, and ends with the next advance.
    statuses: list[int] = []
    while 0 not in statuses and len(statuses) < 4:
        emulator.advance(100)
        statuses.append(cli.run("run", path, "--poll", "0.1s", "--timeout", "10s").status)
    assert statuses[-1] == 0, statuses
    assert len(emulator.batches()) == 1
    assert _texts(cli, _job(cli)) == _asked(lines)


@pytest.mark.parametrize("skew", few([-8, 8, -4000, 4000], 0))
@pytest.mark.parametrize("seconds", few([0, 60], 0))
def test_no_skew_between_the_dates_of_answers_and_of_batches_hides_our_own(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch, skew: float, seconds: float
) -> None:
    """`Date` is of the edge, `created_at` of a database."""
    from batchctl.api import translate

    right = translate.server_time
    monkeypatch.setattr(translate, "server_time", lambda r: (right(r) or NEVER) + timedelta(seconds=skew))
    _echoing(emulator, seconds)
    emulator.add_fault(LOST)
    path = cli.write("in.jsonl", _rows(5, "What is"))
    assert cli.run("submit", path).status == 0
    emulator.advance(100)
    assert cli.run("fetch").status == 0
    assert emulator.requests()[CREATE] == 1


# ---------------------------------------------------------------- how often, and at what price


@pytest.mark.parametrize("verb", few(["submit", "run"], 1))
def test_after_two_creates_of_unknown_outcome_a_third_takes_a_person(cli: Cli, emulator: Running, verb: str) -> None:
    _echoing(emulator)
    emulator.add_fault({**NEVER_MADE, "times": 3})
    lines = _rows(5, "What is")
    path = cli.write("in.jsonl", lines)
    ran = cli.run(verb, path)
    assert ran.status == 7, ran.err
    assert emulator.requests()[CREATE] == 2
    assert cli.run(verb, path).status == 7
    job = _job(cli)
    assert emulator.requests()[CREATE] == 2
    # One word is one create: when that is lost, too, it takes another.
    cli.run("resolve", job, "--resend", "--yes")
    assert cli.run(verb, path).status == 7
    assert emulator.requests()[CREATE] == 3
    cli.run("resolve", job, "--resend", "--yes")
    assert cli.run("run", path, "--poll", "0.1s").status == 0
    assert len(emulator.batches()) == 1


def test_definite_refusals_do_not_count(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "create", "fault": "status", "status": 429, "retry_after": 0, "times": 4})
    assert cli.run("submit", cli.write("in.jsonl", _rows(3, "What is"))).status == 0
    assert emulator.requests()[CREATE] == 5


def test_a_batch_without_an_id_is_never_sent_again_by_itself(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "create", "fault": "html_answer"})
    emulator.add_fault({"on": "list", "fault": "hide_from_list", "nth": 2, "times": 0})
    path = cli.write("in.jsonl", _rows(3, "What is"))
    for _ in range(3):
        assert cli.run("submit", path).status == 7
    assert emulator.requests()[CREATE] == 1


@pytest.mark.parametrize("status", few([403, 413, 429], 0))
def test_a_refusal_of_a_proxy_after_the_batch_was_made_is_not_believed(
    cli: Cli, emulator: Running, status: int
) -> None:
    emulator.add_fault({"on": "create", "fault": "error_after_accept", "status": status, "html": True})
    lists = emulator.requests().get(LIST, 0)
    ran = cli.run("run", cli.write("in.jsonl", _rows(5, "What is")), "--poll", "0.1s")
    assert ran.status == 0, ran.err
    assert emulator.requests()[CREATE] == 1
    # The one before the first upload, and one for the create that needed a second look.
    assert emulator.requests()[LIST] - lists == 2


def test_a_create_that_comes_late_is_noticed_named_and_offered_for_canceling(cli: Cli, emulator: Running) -> None:
    _echoing(emulator)
    emulator.add_fault(LOST)
    emulator.add_fault({"on": "list", "fault": "hide_from_list", "nth": 2, "times": 5})
    lines = _rows(5, "What is")
    ran = cli.run("run", cli.write("in.jsonl", lines), "--poll", "0.1s")
    assert len(emulator.batches()) == 2
    assert "holds the same requests" in ran.err
    job = _job(cli)
    late = emulator.batches()[0]["id"]
    assert any(late in warning for warning in cli.run("status", job, "--json").json["warnings"])
    assert f"--cancel {late}" in cli.run("resolve", job).out


@pytest.mark.slow
def test_what_is_sent_once_more_is_held_against_the_limit_again(cli: Cli, emulator: Running) -> None:
    emulator.add_fault(NEVER_MADE)
    path = cli.write("in.jsonl", _rows(5, "What is"))
    most = cli.run("estimate", path, "--json").json["batch_usd"]["high"]
    ran = cli.run("submit", path, "--max-cost", str(float(most) * 1.5))
    assert ran.status == 6, ran.err
    assert "raise the limit" in ran.err
    assert emulator.requests()[CREATE] == 1
    assert cli.run("submit", path, "--max-cost", str(float(most) * 3)).status == 0
    assert len(emulator.batches()) == 1


@pytest.mark.parametrize(("first", "share", "status"), [("long", 1.7, 6), ("short", 1.2, 0)])
def test_what_a_lost_create_may_cost_is_what_its_own_requests_may(
    cli: Cli, emulator: Running, first: str, share: float, status: int
) -> None:
    """Of two batches, one may cost nearly all of what both may: not one half each."""
    emulator.add_fault(NEVER_MADE)
    longest = {"long": (60_000, 1), "short": (1, 60_000)}[first]
    lines = [request(f"row-{n}", f"What is {n}", max_tokens=longest[n >= 4]) for n in range(8)]
    path = cli.write("in.jsonl", lines)
    most = float(cli.run("estimate", path, "--json").json["batch_usd"]["high"])
    ran = cli.run("submit", path, "--max-requests", "4", "--parallel", "1", "--max-cost", str(share * most))
    assert ran.status == status, ran.err
    assert ("raise the limit" in ran.err) == (status == 6)


# ---------------------------------------------------------------- sizes


@pytest.mark.slow
def test_batches_of_a_job_have_sizes_of_their_own(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", _rows(4_500, "x"))
    assert cli.run("submit", path, "--max-requests", "1000", "--check", "envelope").status == 0
    sizes = [len(batch) for batch in sent_lines(emulator)]
    assert sum(sizes) == 4_500
    assert len(set(sizes)) == len(sizes)
    assert max(sizes) <= 1000
    again = cli.write("again.jsonl", [*_rows(4_500, "y")])
    assert cli.run("submit", again, "--max-requests", "1000", "--equal-sizes", "--check", "envelope").status == 0
    assert sorted(len(batch) for batch in sent_lines(emulator)[len(sizes) :]) == [500, *[1000] * 4]


# ---------------------------------------------------------------- two hosts


@pytest.mark.slow
def test_an_upload_whose_step_was_taken_over_is_broken_off(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was suspended for longer than its lease comes back in the middle of its upload."""
    from batchctl.engine import send as sending
    from batchctl.requests.request_file import body_pieces as real

    _echoing(emulator)
    lines = _rows(6, "What is")
    job = _half_sent(cli, emulator, lines)
    monkeypatch.setenv("ANTHROPIC_API_KEY", cli.variables["ANTHROPIC_API_KEY"])
    with session_of(cli.folder / ".batchctl", emulator.base_url) as session:
        session.server.meet()
        planned = next(b for b in session.ledger.batches(session.ledger.job(job)) if b.state == "planned")

        def suspended(*given: Any) -> Iterator[bytes]:
            yield from real(*given)
            # Everything but the last piece is gone: now another process of another host finds the lease run out.
            session.ledger.release(planned, session.owner)
            monkeypatch.setattr(sending, "body_pieces", real)
            ran = cli.run("run", job, "--poll", "0.1s", "--timeout", "20s")
            assert ran.status == 0, ran.err

        monkeypatch.setattr(sending, "body_pieces", suspended)
        sending.send(session, session.ledger.job(job), planned)
    assert _times_sent(emulator, lines) == {1}


def test_a_late_answer_to_a_step_that_was_taken_over_is_a_duplicate_that_is_named(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from batchctl.domain.errors import UnconfirmedProblem
    from batchctl.engine.send import send

    _echoing(emulator)
    job = _half_sent(cli, emulator, _rows(4, "What is"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", cli.variables["ANTHROPIC_API_KEY"])
    with session_of(cli.folder / ".batchctl", emulator.base_url) as session:
        session.server.meet()
        planned = next(b for b in session.ledger.batches(session.ledger.job(job)) if b.state == "planned")
        real = session.message_batches.create

        def late(*given: Any, **more: Any) -> Any:
            answer = real(*given, **more)
            (sent,) = [b for b in session.ledger.batches(session.ledger.job(job)) if b.id == planned.id]
            session.ledger.release(sent, session.owner)
            (free,) = [b for b in session.ledger.batches(session.ledger.job(job)) if b.id == planned.id]
            assert session.ledger.record_presumed_not_created(free, "another", session.now(), note="by another process")
            (again,) = [b for b in session.ledger.batches(session.ledger.job(job)) if b.id == planned.id]
            assert session.ledger.claim_send(again, "another", session.now(), created_after=None, api="")
            return answer

        monkeypatch.setattr(session.message_batches, "create", late)
        with pytest.raises(UnconfirmedProblem, match="is a duplicate: another process"):
            send(session, session.ledger.job(job), planned)
        assert session.ledger.job(job).duplicate_batches == (emulator.batches()[-1]["id"],)
        (sending,) = [b for b in session.ledger.batches(session.ledger.job(job)) if b.id == planned.id]
        assert sending.claim is not None
        assert sending.claim.owner == "another"
