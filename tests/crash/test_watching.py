"""The sweeps are worth what they watch: that each kind of effect is seen, and that a killed child is a process of its own."""

import builtins
import os
from pathlib import Path

import httpx2
import pytest
from fork_server import KILLED, ForkServer
from program import Cli, requests
from stops import Pulled, Stops

from batchctl.emulator.running import running
from batchctl.store.local import replacing


def _seen(stops: Stops) -> list[str]:
    return [point for point in stops.passed if point.startswith("before ")]


def test_every_effect_on_the_disk_is_seen(tmp_path: Path) -> None:
    stops = Stops(tmp_path)
    (tmp_path / "old").touch()
    with stops.watching():
        with replacing(tmp_path / "file") as file:
            file.write(b"x")
        os.link(tmp_path / "file", tmp_path / "linked")
        (tmp_path / "file").unlink()
        (tmp_path / "folder").mkdir()
        (tmp_path / "text").write_text("x")
        (tmp_path / "old").chmod(0o600)
    assert _seen(stops) == [
        "before making file.part",
        "before fsync file.part",
        "before replace file.part to file",
        "before fsync .",
        "before link file to linked",
        "before unlink file",
        "before mkdir folder",
        "before making text",
        "before chmod old",
    ]
    assert len(stops.passed) == 2 * len(_seen(stops))


def test_what_changes_nothing_or_lies_elsewhere_is_no_effect(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "here-not"
    here.mkdir()
    stops = Stops(here)
    with stops.watching():
        here.mkdir(exist_ok=True)
        (here / "nothing").unlink(missing_ok=True)
        elsewhere.write_text("x")
        assert not list(here.iterdir())
    assert stops.passed == []


def test_ledger_and_api_are_seen_and_what_is_only_asked_is_not(tmp_path: Path) -> None:
    with running({"batch_seconds": 0}) as emulator:
        cli = Cli(tmp_path, emulator.base_url)
        path = cli.write("in.jsonl", requests(3))
        stops = Stops(tmp_path)
        with stops.watching():
            assert cli.run("submit", path).status == 0
        assert "before a commit" in stops.passed
        sends = [point for point in stops.passed if "/v1/messages/batches" in point]
        assert sends[0] == "before POST /v1/messages/batches"
        assert sends[-1] == "after POST /v1/messages/batches"
        assert any(point.startswith("within ") for point in sends)
        stops = Stops(tmp_path)
        with stops.watching():
            assert cli.run("status", "@last", "--offline").status == 0
        assert stops.passed == []


@pytest.mark.parametrize(("at", "is_there"), [(1, False), (2, True)])
def test_a_stop_is_just_before_or_just_after(tmp_path: Path, at: int, *, is_there: bool) -> None:
    stops = Stops(tmp_path, at)
    with pytest.raises(Pulled), stops.watching():
        (tmp_path / "made").mkdir()
    assert (tmp_path / "made").exists() is is_there
    assert stops.fired == stops.passed[-1]


def test_nothing_is_watched_any_more_afterwards(tmp_path: Path) -> None:
    before = os.fsync, os.replace, os.open, builtins.open, httpx2.Client.send
    with Stops(tmp_path).watching():
        assert os.fsync is not before[0]
    assert before == (os.fsync, os.replace, os.open, builtins.open, httpx2.Client.send)


@pytest.mark.slow
def test_a_child_starts_with_nothing_open_and_dies_where_it_is_told(fork_server: ForkServer, tmp_path: Path) -> None:
    inherited = fork_server.inherited()
    assert inherited["threads"] == 1
    assert inherited["things"] == 0
    assert not [name for name in inherited["files"] if "socket:" in name or name.endswith(".db")]
    with running({"batch_seconds": 0}) as emulator:
        cli = Cli(tmp_path, emulator.base_url)
        cli.write("in.jsonl", requests(3))
        ended = fork_server.start(tmp_path, cli.variables, ["submit", "in.jsonl"], at=3).wait()
        assert (ended.status, ended.stopped) == (KILLED, "before mkdir .batchctl/jobs")
        ended = fork_server.start(tmp_path, cli.variables, ["submit", "in.jsonl"]).wait()
        assert ended.status == 0, ended.err
        assert ended.passed > 40
        assert len(emulator.batches()) == 1
