"""A disk that is full, read-only or broken, at every call that can fail: a message, nothing corrupt, and on it goes."""

import errno
import json
import os
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults.conftest import TRIED
from faults.disk import PlayedDisk, PlayedLedger, played, played_ledger
from faults.scenario import Scenario, scenario
from faults.table import Row
from processes import Shell
from program import Ran, requests

PROJECT = Path(__file__).parents[2]
VERBS = ("submit", "fetch", "retry", "run", "cancel")
ROW = Row(group="", happens="", verbs=(), troubles=(), does="", status=1, you="", scene={"batch_seconds": 0})
RUNNING = Row(group="", happens="", verbs=(), troubles=(), does="", status=1, you="", scene={"batch_seconds": 60})
NEVER = 1 << 30
# What the last call of a command is over: later ones belong to its end, when all is done.
TIDYING = frozenset({"unlink"})


@contextmanager
def fresh(folder: Path, number: int) -> Iterator[Scenario]:
    here = folder / str(number)
    here.mkdir(parents=True)
    with scenario(here) as made:
        yield made


def _row(verb: str) -> Row:
    return RUNNING if verb == "cancel" else ROW


def _finished(made: Scenario, verb: str, command: list[str], ran: Ran, row: Row | None = None) -> None:
    """Whatever happened: a message, a whole ledger, and the same command goes on to the same end."""
    assert "Traceback" not in ran.err, ran.err
    assert made.ledger_check() == "ok"
    again = made.cli.run(*command)
    # A command that had done all of it says so the second time.
    assert again.status in {0, 6}, again.err
    finished = made.finish(verb, row or _row(verb))
    assert finished.status == (3 if verb == "cancel" else 0), finished.err
    assert made.received() == Counter(dict.fromkeys(made.lines, 2 if verb == "retry" else 1))
    assert len(made.cli.results(made.job())) == len(made.lines)


def _calls(folder: Path, verb: str, number: int) -> int:
    """How many calls of an undisturbed command can fail that way."""
    with fresh(folder, 0) as made:
        command = made.prepare(verb, _row(verb))
        with played(PlayedDisk(made.cli.folder, number, at=NEVER)) as disk:
            assert made.cli.run(*command).status == 0
        return disk.count


@pytest.mark.slow
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("verb", VERBS)
def test_every_call_that_meets_a_broken_disk_ends_with_a_message_and_is_made_up_for(
    tmp_path: Path, verb: str, number: int, record_property: Callable[[str, object], None]
) -> None:
    """A full disk stays full, from every other call on; a broken one is met once, by the calls between: each is met."""
    is_once = number == errno.EIO
    calls = _calls(tmp_path, verb, number)
    for at in range(1 + is_once, calls + 1, 2):
        with fresh(tmp_path, at) as made:
            command = made.prepare(verb, _row(verb))
            disk = PlayedDisk(made.cli.folder, number, at=at, times=int(is_once))
            with played(disk):
                ran = made.cli.run(*command)
            record_property(TRIED, "calls of the disk")
            assert disk.struck, at
            # What can be done in another way is done: then nothing is to be said.
            assert ran.status in {0, 1}, ran.err
            if ran.status == 1:
                assert os.strerror(number) in ran.err, ran.err
            _finished(made, verb, command, ran)


def _commits(folder: Path, verb: str) -> int:
    with fresh(folder, 0) as made:
        command = made.prepare(verb, _row(verb))
        with played_ledger(PlayedLedger("", at=NEVER)) as ledger:
            assert made.cli.run(*command).status == 0
        return ledger.count


@pytest.mark.slow
@pytest.mark.parametrize("said", ["database or disk is full", "disk I/O error"])
@pytest.mark.parametrize("verb", VERBS)
def test_every_commit_of_the_ledger_that_fails_ends_with_a_message_and_is_made_up_for(
    tmp_path: Path, verb: str, said: str, record_property: Callable[[str, object], None]
) -> None:
    """A full disk stays full; a broken one is met once."""
    is_once = said == "disk I/O error"
    for at in range(1, _commits(tmp_path, verb) + 1):
        with fresh(tmp_path, at) as made:
            command = made.prepare(verb, _row(verb))
            ledger = PlayedLedger(said, at=at, times=int(is_once))
            with played_ledger(ledger):
                ran = made.cli.run(*command)
            record_property(TRIED, "commits of the ledger")
            assert ledger.struck
            assert ran.status == 1, ran.err
            assert said in ran.err, ran.err
            _finished(made, verb, command, ran)


# ---------------------------------------------------------------- real ones


def _on_a_small_disk(folder: Path, what: str, verb: str, steps: list[int]) -> list[dict[str, Any]]:
    """In a mount namespace of its own: it is gone with the process, whatever happens."""
    if sys.platform != "linux" or os.getuid() != 0:
        pytest.skip("mounts a file system: needs Linux and root")
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    try:
        subprocess.run(probe, capture_output=True, timeout=30, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    script = Path(__file__).with_name("small_disk.py")
    words = ["unshare", "--mount", sys.executable, str(script), str(folder), what, verb, *map(str, steps)]
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'tests'}"}
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def _assert_all_is_made_up_for(one: dict[str, Any]) -> None:
    told = json.dumps(one, indent=1)
    assert "Traceback" not in one["err"] + one["again_err"] + one["finished_err"] + one["reading_err"], told
    assert one["check"] == "ok", told
    assert one["again"] in {0, 6}, told
    assert one["finished"] == 0, told
    assert one["each_once"], told
    assert one["answered"], told


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["submit", "fetch", "retry", "run"])
def test_a_disk_that_becomes_full_at_any_point_ends_with_a_message_and_is_made_up_for(
    tmp_path: Path, verb: str, record_property: Callable[[str, object], None]
) -> None:
    tried = _on_a_small_disk(tmp_path, "full", verb, [0, 4, 8, 16, 32, 64, 128, 256, 512])
    for one in tried:
        record_property(TRIED, "full disks")
        assert one["status"] in {0, 1}, one
        if one["status"] == 1:
            assert "No space left" in one["err"] or "disk is full" in one["err"] or "I/O error" in one["err"], one
        _assert_all_is_made_up_for(one)
    assert tried[0]["status"] == 1, "no room at all"
    assert tried[-1]["status"] == 0, "room enough"


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["submit", "fetch", "retry", "run"])
def test_a_file_system_that_is_read_only_ends_with_a_message_and_can_still_be_looked_at(
    tmp_path: Path, verb: str, record_property: Callable[[str, object], None]
) -> None:
    (one,) = _on_a_small_disk(tmp_path, "readonly", verb, [0])
    record_property(TRIED, "read-only disks")
    assert one["status"] == 1, one
    assert "ead-only" in one["err"] or "readonly" in one["err"], one
    if verb in {"fetch", "retry"}:
        assert one["reading"] == 0, one
    _assert_all_is_made_up_for(one)


@pytest.fixture
def limited(here: Scenario, tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs the program as a process that the machine sets a limit."""

    def run(limit: int, most: int, *words: str) -> "subprocess.CompletedProcess[str]":
        shell = Shell(here.cli.folder, {**os.environ, **here.cli.variables, "BATCHCTL_UNCONFIRMED_GRACE": "0.3"})
        hard = resource.getrlimit(limit)[1]
        with shell.start(*words, preexec_fn=lambda: resource.setrlimit(limit, (most, hard))) as process:
            out, err = process.communicate(timeout=100)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [0, 4, 16, 64, 100])
@pytest.mark.parametrize("verb", ["submit", "fetch"])
def test_a_limit_on_the_size_of_files_ends_with_a_message_and_is_made_up_for(
    here: Scenario,
    limited: Callable[..., Any],
    verb: str,
    kilobytes: int,
    record_property: Callable[[str, object], None],
) -> None:
    here.lines = requests(600)
    row = Row(group="", happens="", verbs=(), troubles=(), does="", status=1, you="", per_batch=300, scene=ROW.scene)
    command = here.prepare(verb, row)
    ran = limited(resource.RLIMIT_FSIZE, kilobytes * 1024, *command)
    record_property(TRIED, "limits of the machine")
    assert ran.returncode in {0, 1}, ran.stderr
    assert ran.returncode == 1 or kilobytes >= 64, "the ledger alone is larger"
    _finished(here, verb, command, Ran(ran.returncode, ran.stdout, ran.stderr), row)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [4, 16, 64, 100])
def test_a_limit_on_the_size_of_files_is_met_by_worker_processes_as_by_threads(
    here: Scenario, limited: Callable[..., Any], kilobytes: int, record_property: Callable[[str, object], None]
) -> None:
    """Workers inherit the limit. With a stall, the process itself and its worker both have a download to write."""
    here.lines = requests(600)
    row = Row(group="", happens="", verbs=(), troubles=(), does="", status=1, you="", per_batch=150, scene=ROW.scene)
    command = [*here.prepare("fetch", row), "--engine", "processes", "--parallel", "2"]
    here.emulator.add_fault({"on": "results", "fault": "stall", "bytes": 100, "seconds": 4})
    ran = limited(resource.RLIMIT_FSIZE, kilobytes * 1024, *command)
    record_property(TRIED, "limits of the machine")
    assert ran.returncode in {0, 1}, ran.stderr
    assert ran.returncode == 1 or kilobytes >= 64, "the ledger alone is larger"
    _finished(here, "fetch", command, Ran(ran.returncode, ran.stdout, ran.stderr), row)


@pytest.mark.slow
@pytest.mark.parametrize("files", [8, 12, 16, 20, 24, 32])
def test_a_limit_on_open_files_is_met_by_worker_processes_as_by_threads(
    here: Scenario, limited: Callable[..., Any], files: int, record_property: Callable[[str, object], None]
) -> None:
    command = [*here.prepare("fetch", ROW), "--engine", "processes", "--parallel", "2"]
    here.emulator.add_fault({"on": "results", "fault": "stall", "bytes": 100, "seconds": 4})
    ran = limited(resource.RLIMIT_NOFILE, files, *command)
    record_property(TRIED, "limits of the machine")
    assert ran.returncode in {0, 1}, ran.stderr
    _finished(here, "fetch", command, Ran(ran.returncode, ran.stdout, ran.stderr))


@pytest.mark.slow
@pytest.mark.parametrize("files", [8, 10, 12, 14, 16, 20])
@pytest.mark.parametrize("verb", ["submit", "fetch"])
def test_a_limit_on_open_files_ends_with_a_message_and_is_made_up_for(
    here: Scenario, limited: Callable[..., Any], verb: str, files: int, record_property: Callable[[str, object], None]
) -> None:
    command = here.prepare(verb, ROW)
    ran = limited(resource.RLIMIT_NOFILE, files, *command)
    record_property(TRIED, "limits of the machine")
    # A create that lost its connection for want of a file is looked for, in this command or the next.
    assert ran.returncode in {0, 1}, ran.stderr
    _finished(here, verb, command, Ran(ran.returncode, ran.stdout, ran.stderr))
