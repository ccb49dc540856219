"""A command that tells targets is stopped before and after each of its effects: every target is told, and knows a repetition.

The steps are those of `verbs.notifying`: the files of the targets and their rows, the intents, the claim of each attempt, the
attempt, and what came of it. Whoever runs the command again finds each of them done or not done.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from crash.scenes import Scene
from crash.sweeping import Kills, Pulls
from fork_server import ForkServer
from notify.receiver import Receiver, receiving
from program import Cli, requests

from batchctl.clock import Clock
from batchctl.emulator.running import Running, running

LEAST = 20
WATCH = ("status", "@last", "--watch", "--poll", "50ms")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Running]:
    with running({"batch_seconds": 0}) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def ended(emulator: Running, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a job that has ended at the API. Its state folder is in it, so that its files are stop points, too."""
    folder = tmp_path_factory.mktemp("ended")
    at_home(Cli(folder, emulator.base_url)).submitted("in.jsonl", requests(2))
    return folder


def at_home(cli: Cli) -> Cli:
    cli.variables["XDG_STATE_HOME"] = str(cli.folder / "state")
    return cli


@contextmanager
def once_nobody_holds_it() -> Iterator[None]:
    """A claim of a process that was stopped holds the attempt for two minutes."""
    now = Clock.now
    with pytest.MonkeyPatch.context() as ahead:
        ahead.setattr(Clock, "now", lambda clock: now(clock) + timedelta(minutes=3))
        yield


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def told_after(way: Pulls | Kills, cli: Cli, at: int, receiver: Receiver) -> str:
    """Stop the command at a stop point, and run it again; return where it was stopped, empty where it came to its end."""
    receiver.received.clear()
    told = cli.folder / "told"
    words = (*WATCH, "--notify", receiver.url, "--on-done", f"cat >> {told}; echo >> {told}")
    scene = Scene(name="notify", words=words, least=LEAST, after=())
    stopped = way.stopped(scene, cli, at)
    with once_nobody_holds_it():
        again = cli.run(*scene.words)
    assert again.status == 0, again.err
    assert not stopped or "warning" not in again.err
    with closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db:
        rows = db.execute("SELECT delivery, message_id, body FROM notification").fetchall()
    assert [row[0] for row in rows] == ["delivered", "delivered"]
    sent, heard = lines(told), receiver.received
    assert 1 <= len(sent) <= 2
    assert 1 <= len(heard) <= 2
    # One of the two was told a second time at most: that which was under way.
    assert len(sent) + len(heard) <= 3
    assert {message.headers["webhook-id"] for message in heard} <= {row[1] for row in rows}
    assert len({message.headers["webhook-id"] for message in heard}) == 1
    assert {*sent, *(message.body.decode() for message in heard)} == {rows[0][2]}
    assert json.loads(rows[0][2])["event"] == "ended"
    return stopped


def sweep(way: Pulls | Kills, ended: Path, to: Path, url: str, *, first: int, step: int) -> list[str]:
    stops: list[str] = []
    with receiving() as receiver:
        for at in count(first, step):
            folder = to / str(at)
            shutil.copytree(ended, folder)
            stopped = told_after(way, at_home(Cli(folder, url)), at, receiver)
            if not stopped:
                return stops
            stops.append(stopped)
            shutil.rmtree(folder)
    raise AssertionError


Recorder = Callable[[str, object], None]


def test_a_command_that_is_stopped_here_and_there_tells_all_the_same(
    emulator: Running, ended: Path, tmp_path: Path, record_property: Recorder
) -> None:
    stops = sweep(Pulls(), ended, tmp_path, emulator.base_url, first=1, step=5)
    assert len(stops) >= LEAST // 5
    record_property("stops", {"scene": "notify", "kind": "raised", "tried": len(stops)})


@pytest.mark.slow
def test_a_command_that_is_killed_at_any_step_tells_all_the_same(
    emulator: Running, ended: Path, fork_server: ForkServer, tmp_path: Path, record_property: Recorder
) -> None:
    stops = sweep(Kills(fork_server), ended, tmp_path, emulator.base_url, first=1, step=1)
    assert len(stops) >= LEAST
    assert {"before a commit", "after a commit"} <= set(stops)
    record_property("stops", {"scene": "notify", "kind": "killed", "tried": len(stops)})


@pytest.mark.slow
def test_of_two_processes_that_see_the_end_one_tells(
    emulator: Running, ended: Path, fork_server: ForkServer, tmp_path: Path
) -> None:
    folder = tmp_path / "two"
    shutil.copytree(ended, folder)
    cli = at_home(Cli(folder, emulator.base_url))
    with receiving() as receiver:
        receiver.go_on.clear()
        first = fork_server.start(cli.folder, cli.variables, (*WATCH, "--notify", receiver.url))
        while not receiver.received:
            assert first.poll() is None, "it ended before it told anybody"
        # The first one is telling it.
        assert cli.run(*WATCH).status == 0
        receiver.go_on.set()
        assert first.wait().status == 0
        assert cli.run(*WATCH).status == 0
        assert len(receiver.received) == 1
