"""Real processes, really stopped: the same command again ends in the same files, and nothing is paid twice."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from processes import Server, Shell
from program import Cli, requests

REQUESTS = 3_000


def _input(shell: Shell) -> list[bytes]:
    lines = requests(REQUESTS)
    (shell.folder / "in.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return lines


def _killed(shell: Shell, moment: float, *words: str) -> None:
    """kill -9, `moment` seconds after the start: Python and the SDK take the first second or so."""
    with shell.start(*words) as process:
        time.sleep(moment)  # noqa: TID251 - a real process in real time
        process.kill()


def _cli(shell: Shell) -> Cli:
    """Whoever types what nobody stops: it need not be a process of its own."""
    cli = Cli(shell.folder, shell.environment["ANTHROPIC_BASE_URL"])
    cli.variables |= {name: shell.environment[name] for name in ("ANTHROPIC_API_KEY", "BATCHCTL_UNCONFIRMED_GRACE")}
    return cli


def _until(shell: Shell, accepted: set[int], *words: str) -> None:
    """Runs a command again, as its last line says, until it ends well."""
    cli = _cli(shell)
    ran = cli.run(*words)
    for _ in range(5):
        if ran.status in accepted:
            return
        ran = cli.run(*words)
    assert ran.status in accepted, ran.err


def _finished(shell: Shell, lines: list[bytes]) -> Path:
    _until(shell, {0, 6}, "submit", "in.jsonl")
    _until(shell, {0}, "fetch")
    (results,) = shell.folder.glob("*.results.jsonl")
    ids = [json.loads(line)["custom_id"] for line in results.read_bytes().splitlines()]
    assert ids == [json.loads(line)["custom_id"] for line in lines]
    return results


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 15))
def test_a_submit_killed_at_a_random_moment_is_continued_and_pays_once(server: Server, shell: Shell, seed: int) -> None:
    lines = _input(shell)
    chance = random.Random(seed)
    for _ in range(2):
        _killed(shell, chance.uniform(0.4, 2.6), "submit", "in.jsonl", "--max-requests", "100", "--parallel", "3")
    _finished(shell, lines)
    sent = [b["body_sha256"] for b in server.state()["batches"]]
    assert len(sent) == len(set(sent)) == REQUESTS // 100 or len(sent) == len(set(sent)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 10))
def test_a_fetch_killed_at_a_random_moment_ends_in_the_same_files(server: Server, shell: Shell, seed: int) -> None:
    lines = _input(shell)
    assert _cli(shell).run("submit", "in.jsonl", "--max-requests", "100").status == 0
    chance = random.Random(seed)
    for _ in range(2):
        _killed(shell, chance.uniform(0.4, 2.6), "fetch")
    first = _finished(shell, lines).read_bytes()
    assert not list(shell.folder.glob("*.part"))
    assert _finished(shell, lines).read_bytes() == first


@pytest.mark.slow
def test_ctrl_c_lets_the_uploads_finish_and_cancels_nothing(server: Server, shell: Shell) -> None:
    lines = _input(shell)
    fault = {"on": "create", "fault": "stall_after_accept", "seconds": 1.5, "nth": 2}
    server.post("faults", fault)
    with shell.start("submit", "in.jsonl", "--max-requests", "500", "--parallel", "1") as process:
        while server.creates() < 2:
            time.sleep(0.05)  # noqa: TID251 - as above
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "nothing was canceled" in err
    assert "Traceback" not in err
    assert server.creates() == 2
    _finished(shell, lines)
    assert server.creates() == 6


@pytest.mark.slow
def test_ctrl_c_while_checking_sends_nothing(server: Server, shell: Shell) -> None:
    with shell.start("submit", "-", stdin=-1) as process:
        while not list(shell.folder.glob(".batchctl/tmp/*.input.part")):
            time.sleep(0.05)  # noqa: TID251 - as above
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert server.creates() == 0


@pytest.mark.slow
def test_two_processes_on_one_input_send_each_batch_once(server: Server, shell: Shell) -> None:
    lines = _input(shell)
    first = shell.start("submit", "in.jsonl", "--max-requests", "100")
    while not (shell.folder / ".batchctl" / "ledger.db").exists() or not server.creates():
        time.sleep(0.05)  # noqa: TID251 - as above
    second = shell.start("submit", "in.jsonl")
    for process in (first, second):
        with process:
            _, err = process.communicate(timeout=60)
        assert process.returncode in {0, 6}, err
    assert server.creates() == len(server.state()["batches"]) == REQUESTS // 100
    _finished(shell, lines)


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_drama(server: Server, shell: Shell) -> None:
    _input(shell)
    assert _cli(shell).run("submit", "in.jsonl").status == 0
    with shell.start("fetch", "-o", "-", "-q") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.wait(30)
    assert "Traceback" not in err
    assert process.returncode == 141
    with shell.start("status", "@last", stdout=os.open(os.devnull, os.O_WRONLY)) as process:
        process.wait(30)
    assert process.returncode == 0


@pytest.mark.slow
def test_one_input_submitted_twice_at_the_same_instant_is_one_job(server: Server, shell: Shell) -> None:
    lines = _input(shell)
    both = [shell.start("submit", "in.jsonl", "--max-requests", "500") for _ in range(2)]
    for process in both:
        with process:
            _, err = process.communicate(timeout=60)
        assert process.returncode in {0, 6}, err
    assert server.creates() == len(server.state()["batches"]) == REQUESTS // 500
    _finished(shell, lines)


@pytest.mark.slow
def test_two_retries_at_the_same_instant_are_one_round(server: Server, shell: Shell) -> None:
    lines = _input(shell)
    server.post("scenario", {"batch_seconds": 0, "outcomes": {"overloaded_error": 0.3}})
    assert _cli(shell).run("submit", "in.jsonl").status == 0
    assert _cli(shell).run("fetch").status == 3
    both = [shell.start("retry") for _ in range(2)]
    for process in both:
        with process:
            _, err = process.communicate(timeout=60)
        assert process.returncode in {0, 6}, err
    assert server.creates() == 2
    _finished(shell, lines)
