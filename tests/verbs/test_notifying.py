"""`--on-done` and `--notify`, with real commands and a real receiver."""

import errno
import json
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from notify.receiver import Received, is_signed_with, receiving
from program import KEY, Cli, Ran, requests

from batchctl.clock import Clock
from batchctl.emulator.running import Running

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
POLL = ("--poll", "50ms")
CREDIT = {"on": "create", "nth": 2, "fault": "status", "status": 401, "message": "no"}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of one's own; and no second between two attempts."""
    soon = (timedelta(seconds=0.01), timedelta(seconds=0.01), timedelta(minutes=1))
    monkeypatch.setattr("batchctl.notify.rules.PAUSES", soon)
    monkeypatch.setattr("batchctl.notify.rules.LONGEST_WAIT", timedelta(seconds=1))
    cli.variables["XDG_STATE_HOME"] = str(tmp_path / "state")
    return tmp_path / "state"


@contextmanager
def later(**by: float) -> Iterator[None]:
    """The program's clock is ahead."""
    now = Clock.now
    with pytest.MonkeyPatch.context() as ahead:
        ahead.setattr(Clock, "now", lambda clock: now(clock) + timedelta(**by))
        yield


def hook(cli: Cli, name: str = "told") -> str:
    """A command that keeps each object in a line."""
    return f"cat >> {cli.folder / name}; echo >> {cli.folder / name}"


def told(cli: Cli, name: str = "told") -> list[dict[str, Any]]:
    path = cli.folder / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def objects(received: list[Received]) -> list[dict[str, Any]]:
    return [json.loads(message.body) for message in received]


def deliveries(cli: Cli) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db:
        return db.execute("SELECT delivery, attempts FROM notification ORDER BY id").fetchall()


def partly_sent(cli: Cli, emulator: Running, *options: str) -> Ran:
    emulator.add_fault(CREDIT)
    path = cli.write("in.jsonl", requests(6))
    return cli.run("submit", path, "--max-requests", "3", "--parallel", "1", *options)


# ---------------------------------------------------------------- what is told


def test_a_command_gets_job_stage_counts_and_cost(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"invalid_request_error": 0.5}})
    path = cli.write("in.jsonl", requests(8))
    variables = cli.folder / "variables"
    ran = cli.run("run", path, *POLL, "--on-done", f"{hook(cli)}; env > {variables}")
    assert ran.status == 3, ran.err
    (content,) = told(cli)
    (job,) = [p.name.removesuffix(".results.jsonl") for p in cli.folder.glob("*.results.jsonl")]
    shape = cli.run("status", job, "--offline", "--json").json
    assert content["type"] == "notification"
    assert content["schema_version"] == 1
    assert (content["event"], content["job"], content["stage"]) == ("ended", job, shape["stage"])
    counts = {name: shape["answers"][name] for name in content["counts"]}
    assert content["counts"] == counts
    assert 0 < counts["errored"] < 8
    assert content["requests"] == 8
    assert content["cost_usd"] == shape["cost"]["batch_usd"]
    assert content["workspace"] == str(cli.folder / ".batchctl")
    assert content["next"] == shape["next_command"].split()
    assert content["reason"] is None
    found = dict(line.partition("=")[::2] for line in variables.read_text().splitlines())
    assert found["BATCHCTL_EVENT"] == "ended"
    assert found["BATCHCTL_JOB"] == job
    assert found["BATCHCTL_STAGE"] == shape["stage"]
    for name, number in counts.items():
        assert found[f"BATCHCTL_{name.upper()}"] == str(number)
    assert found["BATCHCTL_COST_USD"] == content["cost_usd"]
    assert found["BATCHCTL_WORKSPACE"] == content["workspace"]
    assert f"notified   the --on-done command: {job} has ended" in ran.err
    # What the person came for is shown first.
    assert ran.err.index("next:") < ran.err.index("notified")


def test_no_key_is_in_the_environment_of_a_command(cli: Cli) -> None:
    cli.variables |= {
        "ANTHROPIC_AUTH_TOKEN": "",
        "ANTHROPIC_PROFILE": "",
        "BATCHCTL_NOTIFY_SECRET": SECRET,
        "COPY_OF_KEY": KEY,
        "HARMLESS": "yes",
    }
    seen = cli.folder / "seen"
    path = cli.write("in.jsonl", requests(1))
    assert cli.run("run", path, *POLL, "--on-done", f"env > {seen}").status == 0
    variables = seen.read_text()
    assert "HARMLESS=yes" in variables
    assert KEY not in variables
    assert SECRET not in variables
    assert "ANTHROPIC_" not in variables
    assert "BATCHCTL_NOTIFY_SECRET" not in variables


def test_a_url_gets_the_same_object_signed_and_once(cli: Cli) -> None:
    cli.variables["BATCHCTL_NOTIFY_SECRET"] = SECRET
    path = cli.write("in.jsonl", requests(2))
    with receiving() as receiver:
        ran = cli.run("run", path, *POLL, "--notify", receiver.url, "--on-done", hook(cli))
        assert ran.status == 0, ran.err
        for words in (("run", path), ("fetch",), ("status", "@last", "--watch")):
            assert cli.run(*words).status == 0
        (message,) = receiver.received
    assert is_signed_with(SECRET, message)
    assert message.headers["webhook-id"].startswith("msg_")
    assert json.loads(message.body) == told(cli)[0]
    assert len(told(cli)) == 1
    # Neither in the ledger nor in what is shown.
    assert "T0KEN" not in ran.err
    assert f"notified   {receiver.url.partition('/hooks')[0]}:" in ran.err


def test_without_a_secret_a_message_is_not_signed(cli: Cli) -> None:
    with receiving() as receiver:
        cli.run("run", cli.write("in.jsonl", requests(1)), *POLL, "--notify", receiver.url)
    assert "webhook-signature" not in receiver.received[0].headers


def test_what_is_signed_once_is_never_told_without_a_signature(cli: Cli) -> None:
    cli.variables["BATCHCTL_NOTIFY_SECRET"] = SECRET
    with receiving() as receiver:
        assert cli.run("submit", cli.write("in.jsonl", requests(1)), "--notify", receiver.url).status == 0
        del cli.variables["BATCHCTL_NOTIFY_SECRET"]
        ran = cli.run("fetch")
        assert (ran.status, receiver.received) == (0, [])
        assert "BATCHCTL_NOTIFY_SECRET is not set here" in ran.err
        cli.variables["BATCHCTL_NOTIFY_SECRET"] = SECRET
        with later(minutes=5):
            assert cli.run("status", "@last").status == 0
        (message,) = receiver.received
    assert is_signed_with(SECRET, message)


# ---------------------------------------------------------------- when


def test_submit_remembers_and_whoever_sees_the_end_tells(cli: Cli, emulator: Running) -> None:
    job = cli.submitted("in.jsonl", requests(3), "--on-done", hook(cli))
    assert told(cli) == []
    assert cli.run("status", job, "--watch", *POLL).status == 0
    (content,) = told(cli)
    assert (content["event"], content["stage"]) == ("ended", "ended, to fetch")
    assert content["counts"] == {"succeeded": 3, "errored": 0, "canceled": 0, "expired": 0, "unanswered": 0}
    assert content["cost_usd"] is None
    assert content["next"] == ["batchctl", "fetch", job]
    # The same end is notified once.
    assert cli.run("fetch", job).status == 0
    assert len(told(cli)) == 1


def test_a_job_that_is_still_running_is_not_told(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    job = cli.submitted("in.jsonl", requests(3), "--on-done", hook(cli))
    assert cli.run("fetch", job).status == 8
    assert cli.run("status", job).status == 0
    assert cli.run("status", job, "--watch", *POLL, "--timeout", "200ms").status == 8
    assert cli.run("run", job, *POLL, "--timeout", "300ms").status == 8
    assert told(cli) == []


def test_a_round_that_is_sent_again_ends_anew(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    job = cli.submitted("in.jsonl", requests(8), "--on-done", hook(cli))
    assert cli.run("fetch", job).status == 3
    emulator.set_scenario({"batch_seconds": 0})
    assert cli.run("retry", job).status == 0
    assert len(told(cli)) == 1
    assert cli.run("status", job, "--watch", *POLL).status == 0
    first, second = told(cli)
    assert first["counts"]["errored"] > 0
    # Of two rounds that are not merged nobody knows what failed for good.
    assert second["counts"] == {
        "succeeded": 8, "errored": None, "canceled": None, "expired": None, "unanswered": None,
    }  # fmt: skip


def test_run_tells_its_end_and_not_that_of_each_round(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5, "recover_after": 1}})
    assert cli.run("run", cli.write("in.jsonl", requests(8)), *POLL, "--on-done", hook(cli)).status == 0
    assert [content["stage"] for content in told(cli)] == ["done"]


def test_an_account_problem_needs_a_person_once_until_the_job_moves_on(cli: Cli, emulator: Running) -> None:
    ran = partly_sent(cli, emulator, "--on-done", hook(cli))
    assert ran.status == 4
    (content,) = told(cli)
    assert (content["event"], content["stage"]) == ("needs_person", "paused")
    assert content["reason"]
    assert "submit" in content["next"]
    emulator.add_fault({**CREDIT, "nth": 1})
    assert cli.run("submit", "in.jsonl").status == 4
    assert len(told(cli)) == 1
    assert cli.run("run", "in.jsonl", *POLL).status == 0
    assert [content["event"] for content in told(cli)] == ["needs_person", "ended"]


def test_an_unconfirmed_batch_needs_a_person(cli: Cli, emulator: Running) -> None:
    cli.variables["BATCHCTL_UNCONFIRMED_GRACE"] = "0.1"
    other = Cli(cli.folder.parent / f"{cli.folder.name}-other", emulator.base_url)
    other.folder.mkdir()
    emulator.set_scenario({"batch_seconds": 600})
    emulator.add_fault({"on": "create", "fault": "drop_after_accept"})
    path = cli.write("in.jsonl", requests(4))
    cli.left_in_doubt(path, "--on-done", hook(cli))
    # It may be found: nobody is needed yet.
    assert told(cli) == []
    other.submitted("in.jsonl", requests(4, "other"))
    with pytest.MonkeyPatch.context() as waits:
        waits.setattr("batchctl.engine.reconciler.WAIT_FOR_END", timedelta(seconds=0.1))
        assert cli.run("submit", path).status == 7
        assert cli.run("submit", path).status == 7
    (content,) = told(cli)
    assert (content["event"], content["stage"]) == ("needs_person", "in doubt")


def test_a_limit_needs_a_person_once_something_was_sent(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", requests(4))
    assert cli.run("submit", path, "--max-cost", "0", "--on-done", hook(cli)).status == 6
    assert told(cli) == []
    partly_sent(cli, emulator, "--max-cost", "100")
    assert cli.run("submit", path, "--max-cost", "0", "--on-done", hook(cli)).status == 6
    (content,) = told(cli)
    assert content["event"] == "needs_person"
    assert "limit" in content["reason"]


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("words", [("run", "in.jsonl", *POLL), ("fetch",), ("status", "@last", "--watch", *POLL)])
def test_a_target_that_fails_changes_no_status_and_is_one_line(cli: Cli, words: tuple[str, ...]) -> None:
    cli.write("in.jsonl", requests(2))
    if words[0] != "run":
        cli.submitted("in.jsonl", requests(2), "--on-done", "echo out; echo err >&2; exit 9")
    else:
        words = (*words, "--on-done", "echo out; echo err >&2; exit 9")
    ran = cli.run(*words)
    assert ran.status == 0
    lines = [line for line in ran.err.splitlines() if "warning    notification" in line]
    assert len(lines) == 1
    assert "ended with exit status 9; its output: out | err" in lines[0]
    assert "Traceback" not in ran.err
    assert deliveries(cli) == [("failed", 1)]


def test_what_a_command_writes_is_shown_without_secrets_and_control_characters(cli: Cli) -> None:
    cli.variables["BATCHCTL_NOTIFY_SECRET"] = SECRET
    command = rf"printf '\033[2J{KEY} {SECRET}\n'; exit 1"
    ran = cli.run("run", cli.write("in.jsonl", requests(1)), *POLL, "--on-done", command)
    assert ran.status == 0
    assert r"\x1b[2J... ..." in ran.err
    assert KEY not in ran.err
    assert SECRET not in ran.err
    assert "\x1b" not in ran.err


def test_the_output_of_a_command_that_ends_well_is_not_shown(cli: Cli) -> None:
    ran = cli.run("run", cli.write("in.jsonl", requests(1)), *POLL, "--on-done", "echo shown-nowhere")
    assert ran.status == 0
    assert "shown-nowhere" not in ran.err.replace("echo shown-nowhere", "")


def test_a_url_that_answers_500_is_tried_again_at_once_and_then_by_later_commands(cli: Cli) -> None:
    cli.variables["BATCHCTL_NOTIFY_SECRET"] = SECRET
    with receiving(500, 503, 500, 500, 204) as receiver:
        ran = cli.run("run", cli.write("in.jsonl", requests(1)), *POLL, "--notify", receiver.url)
        assert ran.status == 0
        assert len(receiver.received) == 3
        assert "HTTP 500; a later command retries it" in ran.err
        assert cli.run("status", "@last").status == 0
        assert len(receiver.received) == 3, "it is not due yet"
        with later(minutes=2):
            assert "HTTP 500" in cli.run("status", "@last").err
        with later(hours=1):
            # Any command that opens the ledger to work, also for another job.
            assert "notified" in cli.run("run", cli.write("other.jsonl", requests(1, "x")), *POLL).err
            assert cli.run("fetch").status == 0
    assert deliveries(cli) == [("delivered", 5)]
    assert len({message.headers["webhook-id"] for message in receiver.received}) == 1
    assert len({message.body for message in receiver.received}) == 1
    assert all(is_signed_with(SECRET, message) for message in receiver.received)


def test_a_url_that_answers_500_for_a_day_is_given_up(cli: Cli) -> None:
    with receiving(500) as receiver:
        assert cli.run("run", cli.write("in.jsonl", requests(1)), *POLL, "--notify", receiver.url).status == 0
        with later(days=2):
            ran = cli.run("status", "@last")
        assert ran.status == 0
        assert "HTTP 500" in ran.err
        assert "later" not in ran.err
    assert deliveries(cli) == [("failed", 4)]


@pytest.mark.parametrize(("status", "said"), [(404, "HTTP 404"), (302, "redirects are not followed")])
def test_a_url_that_refuses_is_not_tried_again(cli: Cli, status: int, said: str) -> None:
    with receiving() as other, receiving(status, location=other.url) as receiver:
        ran = cli.run("run", cli.write("in.jsonl", requests(1)), *POLL, "--notify", receiver.url)
        with later(hours=1):
            cli.run("status", "@last")
    assert ran.status == 0
    assert said in ran.err
    assert (len(receiver.received), other.received) == (1, [])
    assert deliveries(cli) == [("failed", 1)]


def test_one_target_that_fails_does_not_keep_the_others_from_being_told(cli: Cli) -> None:
    with receiving(500) as bad, receiving() as good:
        urls = ("--notify", bad.url, "--notify", good.url)
        assert cli.run("run", cli.write("in.jsonl", requests(1)), *POLL, *urls, "--on-done", "exit 1").status == 0
        assert len(good.received) == 1
    assert sorted(deliveries(cli)) == [("delivered", 1), ("failed", 1), ("pending", 3)]


def test_where_nothing_can_be_kept_this_command_tells_all_the_same(cli: Cli, state: Path) -> None:
    state.write_text("a file, and no folder")
    path = cli.write("in.jsonl", requests(1))
    ran = cli.run("run", path, *POLL, "--on-done", hook(cli))
    assert ran.status == 0
    assert "only this command can notify it" in ran.err
    assert len(told(cli)) == 1


def test_a_failure_is_in_no_object_of_json(cli: Cli) -> None:
    words = ("run", cli.write("in.jsonl", requests(1)), *POLL, "--json", "--on-done", "echo noise; exit 1")
    ran = cli.run(*words)
    assert (ran.status, ran.err) == (0, "")
    assert {json.loads(line)["type"] for line in ran.out.splitlines()} == {"status", "fetch"}
    assert deliveries(cli) == [("failed", 1)]


def test_a_full_disk_changes_no_status(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("batchctl.notify.command.tempfile.TemporaryFile", full)
    path = cli.write("in.jsonl", requests(1))
    with receiving() as receiver:
        ran = cli.run("run", path, *POLL, "--on-done", hook(cli), "--notify", receiver.url)
    assert ran.status == 0
    assert "failed: No space left on device" in ran.err
    # The other target gets it all the same, and a later command tries this one again.
    assert len(receiver.received) == 1
    assert deliveries(cli) == [("pending", 1), ("delivered", 1)]


def test_a_bug_in_a_notification_changes_no_status(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("batchctl.verbs.notifying.message_of", broken)
    ran = cli.run("run", cli.write("in.jsonl", requests(1)), *POLL, "--on-done", hook(cli))
    assert ran.status == 0
    assert "a bug: ZeroDivisionError" in ran.err
    assert told(cli) == []


def test_receivers_of_other_jobs_do_not_hold_a_command_up(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(500) as down:
        for name in "ab":
            path = cli.write(f"{name}.jsonl", requests(1, name))
            assert cli.run("run", path, *POLL, "--notify", down.url).status == 0
        before = len(down.received)
        monkeypatch.setattr("batchctl.verbs.notifying.OTHER_JOBS_SECONDS", 0.0)
        with later(minutes=2):
            ran = cli.run("run", cli.write("c.jsonl", requests(1, "c")), *POLL, "--on-done", hook(cli))
        assert ran.status == 0
        assert len(told(cli)) == 1
        assert len(down.received) == before


# ---------------------------------------------------------------- what is remembered, and by whom


def test_options_on_a_job_that_is_there_take_the_place_of_what_is_remembered(cli: Cli) -> None:
    with receiving() as first, receiving() as second:
        job = cli.submitted("in.jsonl", requests(2), "--on-done", hook(cli, "one"), "--notify", first.url)
        again = ("--on-done", hook(cli, "two"), "--notify", second.url, "--notify", second.url)
        assert cli.run("status", job, "--watch", *POLL, *again).status == 0
        assert first.received == []
        assert len(second.received) == 1
    assert (told(cli, "one"), len(told(cli, "two"))) == ([], 1)


def test_an_empty_text_removes_them_with_their_files(cli: Cli, state: Path) -> None:
    with receiving() as receiver:
        job = cli.submitted("in.jsonl", requests(2), "--on-done", hook(cli), "--notify", receiver.url)
        assert len(list((state / "batchctl" / "notify").iterdir())) == 2
        assert cli.run("run", job, *POLL, "--on-done", "", "--notify", "").status == 0
        assert receiver.received == []
    assert told(cli) == []
    assert list((state / "batchctl" / "notify").iterdir()) == []


def test_neither_a_url_nor_a_command_is_in_the_workspace(cli: Cli, state: Path) -> None:
    with receiving() as receiver:
        cli.submitted("in.jsonl", requests(1), "--notify", receiver.url, "--on-done", "curl -H T0KEN-of-command")
    stored = b"".join(path.read_bytes() for path in (cli.folder / ".batchctl").rglob("*") if path.is_file())
    assert receiver.url.partition("/hooks")[0].encode() in stored
    assert b"T0KEN" not in stored
    for file in (state / "batchctl" / "notify").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_command_in_a_workspace_of_somebody_else_is_not_run(cli: Cli, emulator: Running) -> None:
    """The whole workspace comes from elsewhere; only the state folder is one's own."""
    job = cli.submitted("in.jsonl", requests(1), "--on-done", hook(cli))
    victim = Cli(cli.folder.parent / f"{cli.folder.name}-victim", emulator.base_url)
    shutil.copytree(cli.folder, victim.folder)
    victim.variables["XDG_STATE_HOME"] = str(victim.folder / "own-state")
    ran = victim.run("fetch", job)
    assert ran.status == 0
    assert "named by another user or on another machine" in ran.err
    assert told(cli) == []
    # Whoever named it still can.
    assert cli.run("fetch", job).status == 0
    assert len(told(cli)) == 1


# ---------------------------------------------------------------- what is refused before anything is sent


@pytest.mark.parametrize("verb", ["run", "submit"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--notify", "http://example.com/T0KEN"), "plain http"),
        (("--notify", "T0KEN"), "not a URL"),
        (("--on-done", "x" * 9000), "--on-done"),
    ],
)
def test_a_target_that_cannot_be_told_is_refused_before_anything_is_sent(
    cli: Cli, emulator: Running, verb: str, options: tuple[str, str], said: str
) -> None:
    ran = cli.run(verb, cli.write("in.jsonl", requests(1)), *options)
    assert ran.status == 2
    assert said in " ".join(ran.err.split())
    assert "T0KEN" not in ran.err
    assert emulator.batches() == []
    assert not (cli.folder / ".batchctl").exists()


def test_a_bad_secret_is_refused_before_anything_is_sent(cli: Cli, emulator: Running) -> None:
    cli.variables["BATCHCTL_NOTIFY_SECRET"] = "whsec_short"
    ran = cli.run("run", cli.write("in.jsonl", requests(1)), "--notify", "https://example.com/x")
    assert (ran.status, emulator.batches()) == (2, [])
    assert "BATCHCTL_NOTIFY_SECRET" in ran.err


@pytest.mark.parametrize("words", [("status",), ("status", "@last"), ("status", "--watch", "--offline")])
def test_status_takes_them_with_watch_alone(cli: Cli, words: tuple[str, ...]) -> None:
    cli.submitted("in.jsonl", requests(1))
    ran = cli.run(*words, "--on-done", "true")
    assert ran.status == 2
    assert "--watch" in ran.err


def test_a_service_without_its_extra_is_refused_before_anything_is_sent(cli: Cli, emulator: Running) -> None:
    import importlib.util

    if importlib.util.find_spec("apprise") is not None:
        pytest.skip("apprise is installed")
    ran = cli.run("run", cli.write("in.jsonl", requests(1)), "--notify", "slack://T0KEN/a/b/c")
    assert (ran.status, emulator.batches()) == (2, [])
    assert "pip install 'batchctl[notify]'" in " ".join(ran.err.replace("│", " ").split())
    assert "T0KEN" not in ran.err


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_a_service_of_apprise_is_told(cli: Cli, emulator: Running) -> None:
    pytest.importorskip("apprise", reason="the extra [notify] is not installed")
    with receiving() as receiver:
        url = receiver.url.replace("http://", "json://")
        ran = cli.run("run", cli.write("in.jsonl", requests(2)), *POLL, "--notify", url)
        assert ran.status == 0, ran.err
        assert "notified   json://..." in ran.err
        (message,) = receiver.received
        content = json.loads(message.body)
        assert "has ended" in content["title"]
        assert "2 requests: 2 succeeded" in content["message"]
    ran = cli.run("submit", cli.write("other.jsonl", requests(2, "x")), "--notify", "nobody://T0KEN")
    assert ran.status == 2
    assert "T0KEN" not in ran.err
