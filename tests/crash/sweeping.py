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
from nursery import KILLED, Nursery
from program import Person, Ran
from stops import Pulled, Stops

from batchctl.emulator.running import Running, running

# Ends a command with these words: run the same command again.
NOT_YET = frozenset({7, 8})
TRIES = 3

# A folder with everything that comes before the command, and the API that goes with it.
Stage = Callable[[Path], contextlib.AbstractContextManager[tuple[Person, Running]]]


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

    def assert_nothing_is_left(self, person: Person) -> None:
        assert not list(person.folder.glob("*.part"))
        workspace = person.folder / ".batchctl"
        assert (workspace / ".gitignore").read_text(), "prompts are not kept out of git"
        with contextlib.closing(sqlite3.connect(workspace / "ledger.db")) as ledger:
            assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert ledger.execute("SELECT count(*) FROM batch WHERE owner IS NOT NULL").fetchone() == (0,)


class Pulls(_Way):
    """The raising sweep: in this process. What cleans up after an exception does run."""

    name = "raised"

    def stopped(self, scene: Scene, person: Person, at: int) -> str:
        stops = Stops(person.folder, at)
        with contextlib.suppress(Pulled), stops.watching():
            person.run(*scene.words, stdin=scene.stdin)
        return stops.fired

    def again(self, scene: Scene, person: Person) -> Ran:
        return person.run(*scene.words, stdin=scene.stdin)


class Kills(_Way):
    """The killing sweep: processes of their own."""

    name = "killed"

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery

    def stopped(self, scene: Scene, person: Person, at: int) -> str:
        child = self._nursery.start(person.folder, person.variables, scene.words, at=at, stdin=scene.stdin)
        ended = child.wait()
        assert "Traceback" not in ended.err, ended.err
        assert bool(ended.stopped) is (ended.status == KILLED), ended
        return ended.stopped

    def again(self, scene: Scene, person: Person) -> Ran:
        child = self._nursery.start(person.folder, person.variables, scene.words, stdin=scene.stdin)
        ended = child.wait()
        return Ran(ended.status, ended.out, ended.err)

    def assert_nothing_is_left(self, person: Person) -> None:
        super().assert_nothing_is_left(person)
        # Of a process that lives on, as the other sweep's does, the lock is rightly there.
        assert not list((person.folder / ".batchctl" / "owners").glob("*.lock")), "a dead owner's lock"


def sweep(scene: Scene, way: Pulls | Kills, folder: Path, *, first: int = 1, step: int = 1) -> list[str]:
    """Every stop point from `first` on, `step` apart, until the command comes to its end; gives where it was stopped."""
    tried: list[str] = []
    with _copies(scene, folder) if scene.only_reads else contextlib.nullcontext(partial(_stage, scene)) as stage:
        expected = _undisturbed(scene, stage, folder / "undisturbed")
        for at in count(first, step):
            here = folder / str(at)
            with stage(here) as (person, emulator):
                where = way.stopped(scene, person, at)
                if not where:
                    return tried
                tried.append(where)
                _continued(scene, way, person)
                ending = _ending(scene, person, emulator)
                assert ending == expected, f"{scene.name} {way.name} at stop point {at}, {where}"
                way.assert_nothing_is_left(person)
                assert emulator.unfired() == []
            shutil.rmtree(here)
    raise AssertionError


@contextlib.contextmanager
def _stage(scene: Scene, folder: Path) -> Iterator[tuple[Person, Running]]:
    folder.mkdir(parents=True)
    with running(scene.scenario) as emulator:
        person = Person(folder.resolve(), emulator.base_url)
        scene.lay_out(person)
        for words in scene.before:
            ran = person.run(*words)
            assert ran.status in {0, 3}, ran.err
        yield person, emulator


@contextlib.contextmanager
def _copies(scene: Scene, folder: Path) -> Iterator[Stage]:
    """What comes before is made once, and its folder copied for each stop: quicker, where the API is only read."""
    with _stage(scene, folder / "original") as (original, emulator):

        @contextlib.contextmanager
        def copied(here: Path) -> Iterator[tuple[Person, Running]]:
            shutil.copytree(original.folder, here)
            yield Person(here.resolve(), emulator.base_url), emulator

        yield copied


def played(scene: Scene, folder: Path) -> list[str]:
    """The stop points of a command that nobody stops."""
    with _stage(scene, folder) as (person, _):
        stops = Stops(person.folder)
        with stops.watching():
            assert person.run(*scene.words, stdin=scene.stdin).status in scene.again
        return stops.passed


def _undisturbed(scene: Scene, stage: Stage, folder: Path) -> Ending:
    """What it must always come to."""
    with stage(folder) as (person, emulator):
        stops = Stops(person.folder)
        with stops.watching():
            ran = person.run(*scene.words, stdin=scene.stdin)
        assert ran.status in scene.again, ran.err
        assert len(stops.passed) >= scene.least, "too few stop points: the effects are not watched"
        return _ending(scene, person, emulator)


def _continued(scene: Scene, way: Pulls | Kills, person: Person) -> None:
    """The same command once more; oftener only where its answer says so."""
    ran = way.again(scene, person)
    for _ in range(TRIES):
        if ran.status not in NOT_YET:
            break
        ran = way.again(scene, person)
    assert "Traceback" not in ran.err, ran.err
    assert ran.status in scene.again, ran.err


def _ending(scene: Scene, person: Person, emulator: Running) -> Ending:
    ran = [person.run(*words) for words in scene.after]
    assert all("Traceback" not in one.err for one in ran)
    (job,) = person.run("status", "--json", "--offline").json["jobs"]
    results, errors = (person.folder / f"{job['job']}.{what}.jsonl" for what in ("results", "errors"))
    return Ending(
        statuses=tuple(one.status for one in ran),
        batches=sorted((batch["body_sha256"], batch["deleted"]) for batch in emulator.batches()),
        results=results.read_bytes(),
        errors=errors.read_bytes(),
        answers=job["answers"],
    )
