"""Downloads in worker processes, stopped in every way: what a person is told and left with is what threads leave."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import Server, Shell
from program import Cli, request

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

COUNT, PER_BATCH = 600, 100
KEY = "sk-ant-e2e"
RESULTS = "GET /v1/messages/batches/{id}/results"
EVERY_ENGINE = pytest.mark.parametrize("engine", ["threads", "processes"])
FETCH = ("fetch", "--engine", "processes")


@pytest.fixture
def submitted(server: Server, shell: Shell) -> list[str]:
    """The ids of a job of six batches that have ended."""
    lines = [request(f"r-{n:05d}", f"What is {n} + 1?") for n in range(COUNT)]
    (shell.folder / "in.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    cli = Cli(shell.folder, server.url)
    cli.variables["ANTHROPIC_API_KEY"] = shell.environment["ANTHROPIC_API_KEY"]
    ran = cli.run("submit", "in.jsonl", "--max-requests", str(PER_BATCH), "--equal-sizes")
    assert ran.status == 0, ran.err
    return [json.loads(line)["custom_id"] for line in lines]


def _stalled(server: Server, seconds: float = 60, times: int = 2) -> None:
    server.post("faults", {"on": "results", "fault": "stall", "seconds": seconds, "times": times})


def _until(is_so: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)  # noqa: TID251 - real processes in real time


def _asked(server: Server) -> int:
    return int(server.state()["requests"].get(RESULTS, 0))


def _workers(process: "subprocess.Popen[str]") -> list[int]:
    """The children that are workers, and not what Python itself starts beside them."""
    children = Path(f"/proc/{process.pid}/task").glob("*/children")
    pids = [pid for listed in children for pid in listed.read_text().split()]
    return [int(pid) for pid in pids if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


def _are_gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def _owners(shell: Shell) -> list[Path]:
    return list((shell.folder / ".batchctl" / "owners").glob("*.lock"))


def _finished(server: Server, shell: Shell, ids: list[str], engine: str = "processes") -> None:
    """The same command again; every answer is there once, and nobody holds a claim."""
    ran = shell.run("fetch", "--engine", engine)
    assert ran.returncode == 0, ran.stderr
    (results,) = shell.folder.glob("*.results.jsonl")
    assert [json.loads(line)["custom_id"] for line in results.read_bytes().splitlines()] == ids
    assert _owners(shell) == []


def _signaled(process: "subprocess.Popen[str]", number: int) -> None:
    """As a terminal does it: the whole group."""
    os.killpg(process.pid, number)


@EVERY_ENGINE
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_downloads_and_the_same_command_goes_on(
    server: Server, shell: Shell, submitted: list[str], engine: str, number: int
) -> None:
    _stalled(server)
    with shell.start("fetch", "--engine", engine, "--parallel", "2", start_new_session=True) as process:
        _until(lambda: _asked(server) == 2, process)
        _signaled(process, number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "nothing was canceled" in err
    assert "Traceback" not in err
    assert "lost" not in err
    assert _asked(server) == 2
    _finished(server, shell, submitted, engine)


def test_ctrl_c_while_workers_start_is_told_as_any_other(server: Server, shell: Shell, submitted: list[str]) -> None:
    for _ in range(3):
        with shell.start(*FETCH, start_new_session=True) as process:
            _until(lambda: _workers(process), process)
            _signaled(process, signal.SIGINT)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert "Traceback" not in err
        assert "KeyboardInterrupt" not in err
        assert "lost" not in err
    _finished(server, shell, submitted)


def test_a_second_ctrl_c_leaves_at_once_and_no_worker_stays(server: Server, shell: Shell, submitted: list[str]) -> None:
    _stalled(server)
    with shell.start(*FETCH, start_new_session=True) as process:
        _until(lambda: _asked(server) >= 2, process)
        workers = _workers(process)
        assert workers
        for _ in range(2):
            _signaled(process, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    _wait_until_gone(workers)
    _finished(server, shell, submitted)


def _wait_until_gone(workers: list[int]) -> None:
    until = time.monotonic() + 15
    while not _are_gone(workers):
        assert time.monotonic() < until
        time.sleep(0.05)  # noqa: TID251 - as above


@EVERY_ENGINE
def test_the_time_limit_ends_downloads_and_the_same_command_goes_on(
    server: Server, shell: Shell, submitted: list[str], engine: str
) -> None:
    _stalled(server, times=6)
    ran = shell.run("fetch", "--engine", engine, "--timeout", "8s")
    assert ran.returncode == 8, ran.stderr
    assert "--timeout" in ran.stderr
    assert "Traceback" not in ran.stderr
    server.post("scenario", {"batch_seconds": 0})
    _finished(server, shell, submitted, engine)


def test_a_coordinator_that_is_killed_leaves_no_worker(server: Server, shell: Shell, submitted: list[str]) -> None:
    _stalled(server)
    with shell.start(*FETCH, start_new_session=True) as process:
        _until(lambda: _asked(server) >= 2, process)
        workers = _workers(process)
        assert workers
        process.kill()
        process.wait()
        _wait_until_gone(workers)
        _, err = process.communicate(timeout=30)
    assert err.count("Traceback") == 0, err
    _finished(server, shell, submitted)


def test_a_worker_that_is_killed_is_told_and_made_up_for(server: Server, shell: Shell, submitted: list[str]) -> None:
    _stalled(server, seconds=8)
    with shell.start(*FETCH, "--parallel", "2", start_new_session=True) as process:
        # One in the process itself, and one in the worker.
        _until(lambda: _asked(server) == 2, process)
        (worker,) = _workers(process)
        os.kill(worker, signal.SIGKILL)
        _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert err.count("a worker process was killed: its downloads begin again") == 1
    assert "Traceback" not in err
    assert _asked(server) == COUNT // PER_BATCH + 1
    _finished(server, shell, submitted)


@EVERY_ENGINE
def test_requests_that_change_meanwhile_are_noticed_in_any_process(
    server: Server, shell: Shell, submitted: list[str], engine: str
) -> None:
    _stalled(server, seconds=3)
    (path,) = (shell.folder / ".batchctl" / "jobs").glob("*/round-1.requests.jsonl")
    whole, found = path.read_bytes(), path.stat()
    with shell.start("fetch", "--engine", engine, "--parallel", "2") as process:
        _until(lambda: _asked(server) == 2, process)
        # Before the process that reads it next opens it: of the same size, and with another request in the last batch.
        path.write_bytes(whole[:-20] + b"x" + whole[-19:])
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        _, err = process.communicate(timeout=100)
    assert process.returncode == 5, err
    assert "Traceback" not in err
    path.write_bytes(whole)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    _finished(server, shell, submitted, engine)


def test_a_whole_job_runs_in_processes_and_the_key_is_in_no_argument(server: Server, shell: Shell) -> None:
    (shell.folder / "in.jsonl").write_bytes(b"".join(request(f"r-{n}") + b"\n" for n in range(COUNT)))
    server.post("scenario", {"batch_seconds": 1})
    _stalled(server, seconds=2)
    words = ("run", "in.jsonl", "--engine", "processes", "--max-requests", "100", "--poll", "100ms")
    with shell.start(*words) as process:
        _until(lambda: _asked(server) >= 2, process)
        for worker in _workers(process):
            assert KEY not in Path(f"/proc/{worker}/cmdline").read_text()
            assert KEY in Path(f"/proc/{worker}/environ").read_text()
        _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert server.creates() == 6
    assert _asked(server) == 6
    assert _owners(shell) == []


def test_the_installed_script_runs_once(server: Server, shell: Shell, submitted: list[str]) -> None:
    script = Path(sys.executable).with_name("batchctl")
    if not script.exists():
        pytest.skip("not installed")
    ran = subprocess.run(
        [script, *FETCH, "-v"],
        cwd=shell.folder,
        env=shell.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("fetched ") == _asked(server) == COUNT // PER_BATCH
    assert ran.stderr.count("results  ") == 1


def test_below_100_000_requests_no_process_is_started(server: Server, shell: Shell, submitted: list[str]) -> None:
    _stalled(server, seconds=2)
    with shell.start("fetch") as process:
        _until(lambda: _asked(server) >= 2, process)
        assert not _workers(process)
        process.communicate(timeout=100)
    assert process.returncode == 0
