"""One stop after the other: the command is stopped, run again, the job is finished, and its end is held against another's."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from crash.scenes import Scene
from fork_server import KILLED, ForkServer
from program import Cli, Ran
from stops import Pulled, Stops

from batchctl.emulator.running import Running, running

# Ends a command with these words: run the same command again.
NOT_YET = frozenset({7, 8})
TRIES = 3

# A folder with everything that comes before the command, and the API that goes with it.
Stage = Callable[[Path], contextlib.AbstractContextManager[tuple[Cli, Running]]]


@dataclass(frozen=True)
class Ending:
    """What a person and the API are left with."""

    statuses: tuple[int, ...]
    batches: list[tuple[str, bool]]
    results: bytes
    errors: bytes
    answers: Any


class _Way:
    """How a command is stopped, and run again."""

    def assert_nothing_is_left(self, cli: Cli) -> None:
        assert not list(cli.folder.glob("*.part"))
        workspace = cli.folder / ".batchctl"
        assert (workspace / ".gitignore").read_text(), "prompts are not kept out of git"
        with contextlib.closing(sqlite3.connect(workspace / "ledger.db")) as ledger:
            assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert ledger.execute("SELECT count(*) FROM batch WHERE owner IS NOT NULL").fetchone() == (0,)


class Pulls(_Way):
    """The raising sweep: in this process. What cleans up after an exception does run."""

    name = "raised"

    def stopped(self, scene: Scene, cli: Cli, at: int) -> str:
        stops = Stops(cli.folder, at)
        with contextlib.suppress(Pulled), stops.watching():
            cli.run(*scene.words, stdin=scene.stdin)
        return stops.fired

    def again(self, scene: Scene, cli: Cli) -> Ran:
        return cli.run(*scene.words, stdin=scene.stdin)


class Kills(_Way):
    """The killing sweep: processes of their own."""

    name = "killed"

    def __init__(self, fork_server: ForkServer) -> None:
        self._fork_server = fork_server

    def stopped(self, scene: Scene, cli: Cli, at: int) -> str:
        child = self._fork_server.start(cli.folder, cli.variables, scene.words, at=at, stdin=scene.stdin)
        ended = child.wait()
        assert "Traceback" not in ended.err, ended.err
        assert bool(ended.stopped) is (ended.status == KILLED), ended
        return ended.stopped

    def again(self, scene: Scene, cli: Cli) -> Ran:
        child = self._fork_server.start(cli.folder, cli.variables, scene.words, stdin=scene.stdin)
        ended = child.wait()
        return Ran(ended.status, ended.out, ended.err)

    def assert_nothing_is_left(self, cli: Cli) -> None:
        super().assert_nothing_is_left(cli)
        # Of a process that lives on, as the other sweep's does, the lock is rightly there.
        assert not list((cli.folder / ".batchctl" / "owners").glob("*.lock")), "a dead owner's lock"


def sweep(scene: Scene, way: Pulls | Kills, folder: Path, *, first: int = 1, step: int = 1) -> list[str]:
    """Every stop point from `first` on, `step` apart, until the command comes to its end; gives where it was stopped."""
    tried: list[str] = []
    with _copies(scene, folder) if scene.only_reads else contextlib.nullcontext(partial(_stage, scene)) as stage:
        expected = _undisturbed(scene, stage, folder / "undisturbed")
        for at in count(first, step):
            here = folder / str(at)
            with stage(here) as (cli, emulator):
                where = way.stopped(scene, cli, at)
                if not where:
                    return tried
                tried.append(where)
                _continued(scene, way, cli)
                ending = _ending(scene, cli, emulator)
                assert ending == expected, f"{scene.name} {way.name} at stop point {at}, {where}"
                way.assert_nothing_is_left(cli)
                assert emulator.unfired() == []
            shutil.rmtree(here)
    raise AssertionError


@contextlib.contextmanager
def _stage(scene: Scene, folder: Path) -> Iterator[tuple[Cli, Running]]:
    folder.mkdir(parents=True)
    with running(scene.scenario) as emulator:
        cli = Cli(folder.resolve(), emulator.base_url)
        scene.lay_out(cli)
        for words in scene.before:
            ran = cli.run(*words)
            assert ran.status in {0, 3}, ran.err
        yield cli, emulator


@contextlib.contextmanager
def _copies(scene: Scene, folder: Path) -> Iterator[Stage]:
    """What comes before is made once, and its folder copied for each stop: quicker, where the API is only read."""
    with _stage(scene, folder / "original") as (original, emulator):

        @contextlib.contextmanager
        def copied(here: Path) -> Iterator[tuple[Cli, Running]]:
            shutil.copytree(original.folder, here)
            yield Cli(here.resolve(), emulator.base_url), emulator

        yield copied


def played(scene: Scene, folder: Path) -> list[str]:
    """The stop points of a command that nobody stops."""
    with _stage(scene, folder) as (cli, _):
        stops = Stops(cli.folder)
        with stops.watching():
            assert cli.run(*scene.words, stdin=scene.stdin).status in scene.again
        return stops.passed


def _undisturbed(scene: Scene, stage: Stage, folder: Path) -> Ending:
    """What it must always come to."""
    with stage(folder) as (cli, emulator):
        stops = Stops(cli.folder)
        with stops.watching():
            ran = cli.run(*scene.words, stdin=scene.stdin)
        assert ran.status in scene.again, ran.err
        assert len(stops.passed) >= scene.least, "too few stop points: the effects are not watched"
        return _ending(scene, cli, emulator)


def _continued(scene: Scene, way: Pulls | Kills, cli: Cli) -> None:
    """The same command once more; oftener only where its answer says so."""
    ran = way.again(scene, cli)
    for _ in range(TRIES):
        if ran.status not in NOT_YET:
            break
        ran = way.again(scene, cli)
    assert "Traceback" not in ran.err, ran.err
    assert ran.status in scene.again, ran.err


def _ending(scene: Scene, cli: Cli, emulator: Running) -> Ending:
    ran = [cli.run(*words) for words in scene.after]
    assert all("Traceback" not in one.err for one in ran)
    (job,) = cli.run("status", "--json", "--offline").json["jobs"]
    results, errors = (cli.folder / f"{job['job']}.{what}.jsonl" for what in ("results", "errors"))
    return Ending(
        statuses=tuple(one.status for one in ran),
        batches=sorted((batch["body_sha256"], batch["deleted"]) for batch in emulator.batches()),
        results=results.read_bytes(),
        errors=errors.read_bytes(),
        answers=job["answers"],
    )
