"""Processes that work on one job side by side, killed at random moments and started again: what is left is finished in peace."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from fork_server import KILLED, Child, Ended, ForkServer
from program import Cli, Ran, requests, sent_lines, wrong_request
from stops import GRACE_VARIABLE

from batchctl.emulator.running import Running, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Both tests together take a minute, and the time to finish what they left.
SECONDS = 30.0
SECONDS_OF_A_JOB = 3.0
LONGEST_LIFE = 0.6
SUBMIT = ("submit", "in.jsonl", "--max-requests", "2")
VERBS = (*[SUBMIT] * 4, *[("fetch",)] * 3, *[("retry",)] * 2, ("status", "@last"))
# All that a command may say while others are at work: too early, too late, somebody else has it.
ANSWERS = frozenset({0, 1, 2, 3, 6, 7, 8})
SCENARIO = {"batch_seconds": 0.05, "outcomes": {"overloaded_error": 0.3}}


@dataclass(frozen=True)
class Left:
    """What there is in the end. Bodies are told by their hashes, lines by their bytes."""

    bodies: Counter[str]
    lines: Counter[bytes]
    results: bytes
    errors: bytes


class Crowd:
    """Some processes at once; each dies at a moment of its own, or comes to its end."""

    def __init__(self, fork_server: ForkServer, cli: Cli, seed: int) -> None:
        self._cradle, self._cli = fork_server, cli
        self._chance = random.Random(seed)
        self.kills = 0
        self.answers: Counter[int] = Counter()

    def work(self, size: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        alive: list[tuple[Child, float]] = []
        while alive or time.monotonic() < until:
            alive = [(child, dies_at) for child, dies_at in alive if not self._has_ended(child, dies_at)]
            while len(alive) < size and time.monotonic() < until:
                alive.append(self._started())
            time.sleep(0.005)  # noqa: TID251 - real processes in real time

    def _started(self) -> tuple[Child, float]:
        words = self._chance.choice(VERBS)
        # One in four is let live, so that the job comes on.
        life = 1000.0 if self._chance.random() < 0.25 else self._chance.uniform(0, LONGEST_LIFE)
        child = self._cradle.start(self._cli.folder, self._cli.variables, words)
        return child, time.monotonic() + life

    def _has_ended(self, child: Child, dies_at: float) -> bool:
        ended = child.poll()
        if ended is None and time.monotonic() >= dies_at:
            child.kill()
            ended = child.wait()
        if ended is None:
            return False
        self._note(ended)
        return True

    def _note(self, ended: Ended) -> None:
        assert "Traceback" not in ended.err, ended.err
        self.kills += ended.status == KILLED
        self.answers[ended.status] += 1
        assert ended.status in {*ANSWERS, KILLED}, ended


def _finished(cli: Cli, emulator: Running) -> Left:
    """In peace: what is not sent, what is not fetched, what can be sent again, until nothing is left of any."""
    said: list[Ran] = []
    for _ in range(20):
        said = [cli.run(*words) for words in (SUBMIT, ("fetch",), ("retry",))]
        assert all("Traceback" not in ran.err for ran in said)
        if [ran.status for ran in said] == [6, 3, 3]:
            (results,), (errors,) = (list(cli.folder.glob(f"*.{what}.jsonl")) for what in ("results", "errors"))
            return Left(
                bodies=Counter(batch["body_sha256"] for batch in emulator.batches()),
                lines=Counter(line for batch in sent_lines(emulator) for line in batch),
                results=results.read_bytes(),
                errors=errors.read_bytes(),
            )
        time.sleep(0.1)  # noqa: TID251 - as above
    raise AssertionError([(ran.status, ran.err) for ran in said])


def _job(folder: Path, emulator: Running) -> Cli:
    folder.mkdir()
    cli = Cli(folder, emulator.base_url)
    # Five on two cores, beside other tests and their disk, may keep a create waiting that its sender did not live to see.
    cli.variables[GRACE_VARIABLE] = "3"
    cli.write("in.jsonl", [*requests(60), wrong_request("wrong")])
    return cli


@pytest.mark.parametrize("size", [2, 5])
def test_processes_that_are_killed_at_random_send_and_bring_home_every_request_once(
    size: int, fork_server: ForkServer, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with running(SCENARIO) as emulator:
        expected = _finished(_job(tmp_path / "undisturbed", emulator), emulator)
    assert max(expected.lines.values()) == 2, "a second round, and no third"
    until = time.monotonic() + SECONDS
    kills = 0
    answers: Counter[int] = Counter()
    for seed in itertools.count(1000 * size):
        if time.monotonic() > until:
            break
        with running(SCENARIO) as emulator:
            cli = _job(tmp_path / str(seed), emulator)
            crowd = Crowd(fork_server, cli, seed)
            try:
                crowd.work(size, SECONDS_OF_A_JOB)
                left = _finished(cli, emulator)
                assert left.lines == expected.lines
                assert left == expected
            except BaseException:
                print(f"seed {seed}, {size} processes, {crowd.kills} killed, answers {dict(crowd.answers)}")
                raise
        kills += crowd.kills
        answers += crowd.answers
    assert kills > size
    assert answers[0], "none came to its end"
    record_property("stops", {"scene": f"{size} processes", "kind": "random", "tried": kills})
    print(f"{size} processes: answers {dict(answers)}")
