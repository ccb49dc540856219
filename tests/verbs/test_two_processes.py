"""Two processes at one workspace settle the same doubts at once: one create for each batch, whoever is first."""

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from processes import Shell
from program import Person, equipped, requests, sent_lines

from batchctl.api.client import Page
from batchctl.domain.errors import DoubtProblem
from batchctl.domain.model import Batch, Job, State
from batchctl.emulator.running import Running
from batchctl.engine.loop import Loop, Verb
from batchctl.engine.merge import Output
from batchctl.engine.reconciler import Settler
from batchctl.engine.session import Equipment
from batchctl.store.local import place
from batchctl.verbs.fetch import fetch
from batchctl.verbs.submit import ARROWS

# Forced interleavings, one after the other: tests/ledger holds the rules, test_stops.py has real processes.
pytestmark = pytest.mark.slow

CREATE = "POST /v1/messages/batches"
LOST = {"on": "create", "fault": "drop_after_accept"}
NEVER_MADE = {"on": "create", "fault": "status", "status": 529}
GRACE = timedelta(seconds=0.3)


@pytest.fixture(autouse=True)
def _soon(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.variables["BATCHCTL_DOUBT_GRACE"] = str(GRACE.total_seconds())
    monkeypatch.setattr("batchctl.engine.reconciler.WAIT_FOR_END", timedelta(seconds=0.1))
    monkeypatch.setattr("batchctl.engine.next_steps.OTHERS_PAUSE", timedelta(seconds=0.1))


def _in_doubt(person: Person, emulator: Running, faults: Sequence[dict[str, Any]]) -> tuple[Path, list[bytes]]:
    """A batch of two requests for each fault, all in doubt; whoever sent them is gone."""
    for number, fault in enumerate(faults, 1):
        emulator.add_fault({**fault, "nth": number})
    lines = requests(2 * len(faults))
    path = person.write("in.jsonl", lines)
    person.left_in_doubt(path, "--max-requests", "2")
    return path, lines


def _process(person: Person) -> contextlib.AbstractContextManager[Equipment]:
    return equipped(person.folder / ".batchctl", person.variables["ANTHROPIC_BASE_URL"], GRACE)


def _submits(tools: Equipment) -> None:
    # What still runs may be anybody's: then it says so and leaves.
    with contextlib.suppress(DoubtProblem):
        Loop(tools, tools.ledger.jobs()[0], Verb(arrows=ARROWS)).run()


def _fetches(tools: Equipment) -> None:
    folder = tools.workspace.root.parent
    fetch(tools, tools.ledger.jobs()[0], Output(results=str(folder / "out.jsonl"), errors=folder / "errors.jsonl"))


def _at_once(person: Person, monkeypatch: pytest.MonkeyPatch, verbs: Sequence[Callable[[Equipment], None]]) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", person.variables["ANTHROPIC_API_KEY"])
    problems: list[BaseException] = []

    def run(verb: Callable[[Equipment], None]) -> None:
        try:
            with _process(person) as tools:
                verb(tools)
        except BaseException as problem:  # noqa: BLE001 - raised below, in the thread of the test
            problems.append(problem)

    threads = [threading.Thread(target=run, args=[verb]) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    if problems:
        raise problems[0]


def _finish(person: Person, emulator: Running, path: Path) -> None:
    for _ in range(6):
        emulator.advance(60)
        if person.run("submit", path).status in {0, 6}:
            emulator.advance(60)
            if person.run("fetch").status == 0:
                return
    raise AssertionError(person.run("status").out)


def _assert_each_sent_once(emulator: Running, lines: Sequence[bytes]) -> None:
    counts = Counter(line for batch in sent_lines(emulator) for line in batch)
    assert counts == Counter(lines)


FAULTS = pytest.mark.parametrize(
    "faults",
    [[LOST], [NEVER_MADE], [LOST, LOST, LOST], [LOST, NEVER_MADE, LOST], [NEVER_MADE, NEVER_MADE]],
    ids=lambda faults: "-".join("lost" if fault is LOST else "never-made" for fault in faults),
)
WHEN = pytest.mark.parametrize("seconds", [pytest.param(0, id="ended"), pytest.param(60, id="running")])


@FAULTS
@WHEN
@pytest.mark.parametrize("verbs", [[_submits, _submits], [_submits, _fetches]], ids=["two-submits", "and-a-fetch"])
def test_two_that_look_at_the_same_instant_create_each_batch_once(
    person: Person,
    emulator: Running,
    monkeypatch: pytest.MonkeyPatch,
    faults: list[dict[str, Any]],
    seconds: float,
    verbs: list[Callable[[Equipment], None]],
) -> None:
    emulator.set_scenario({"batch_seconds": seconds})
    path, lines = _in_doubt(person, emulator, faults)
    meeting = threading.Barrier(2)
    real, met = Settler.settle, threading.local()

    def settle(self: Settler, job: Job, doubts: Sequence[Batch]) -> bool:
        # The first look of each is at one and the same snapshot.
        if not getattr(met, "is_over", False):
            met.is_over = True
            with contextlib.suppress(threading.BrokenBarrierError):
                meeting.wait(1)
        return real(self, job, doubts)

    with monkeypatch.context() as both:
        both.setattr(Settler, "settle", settle)
        _at_once(person, monkeypatch, verbs)
    _finish(person, emulator, path)
    _assert_each_sent_once(emulator, lines)


@FAULTS
def test_one_that_comes_late_with_an_old_snapshot_changes_nothing(
    person: Person, emulator: Running, monkeypatch: pytest.MonkeyPatch, faults: list[dict[str, Any]]
) -> None:
    path, lines = _in_doubt(person, emulator, faults)
    monkeypatch.setenv("ANTHROPIC_API_KEY", person.variables["ANTHROPIC_API_KEY"])
    with _process(person) as late, _process(person) as other:
        (job,) = late.ledger.jobs()
        seen = [b for b in late.ledger.batches(job) if b.state is State.SUBMITTING]
        assert len(seen) == len(faults)
        _submits(other)
        before = other.ledger.batches(job)
        assert Settler(late).settle(job, seen)
        assert other.ledger.batches(job) == before
    _finish(person, emulator, path)
    _assert_each_sent_once(emulator, lines)


def test_one_that_comes_late_with_an_old_snapshot_of_a_second_doubt_changes_nothing(
    person: Person, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lines = _in_doubt(person, emulator, [NEVER_MADE, LOST])
    monkeypatch.setenv("ANTHROPIC_API_KEY", person.variables["ANTHROPIC_API_KEY"])
    # Sent again, its answer is lost again: the same batch in the same state, but another doubt.
    emulator.add_fault({**LOST, "nth": 1})
    with _process(person) as late, _process(person) as other:
        (job,) = late.ledger.jobs()
        seen = [b for b in late.ledger.batches(job) if b.state is State.SUBMITTING]
        _submits(other)
        assert Settler(late).settle(job, seen)
        _submits(late)
    _finish(person, emulator, path)
    _assert_each_sent_once(emulator, lines)


@pytest.mark.slow
def test_two_real_processes_continue_one_job_and_create_each_batch_once(person: Person, emulator: Running) -> None:
    path, lines = _in_doubt(person, emulator, [LOST, NEVER_MADE, LOST])
    shell = Shell(person.folder, {**os.environ, **person.variables})
    with shell.start("submit", path) as one, shell.start("submit", path) as two:
        said = [process.communicate(timeout=30)[1] for process in (one, two)]
    assert {one.returncode, two.returncode} <= {0, 6}, said
    assert person.run("fetch").status == 0
    assert emulator.requests()[CREATE] == 4
    _assert_each_sent_once(emulator, lines)


def test_two_inputs_of_one_name_keep_their_own_left_out_lines(
    person: Person, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in "ab":
        (person.folder / folder).mkdir()
    first = person.write("a/in.jsonl", [*requests(3, "a"), b"bad of a", *requests(2, "A")])
    second = person.write("b/in.jsonl", [b"bad of b", *requests(3, "b"), b"bad of b"])

    def place_late(source: Path, target: Path) -> None:
        # The other comes by at the worst moment: checked, and not recorded yet.
        monkeypatch.setattr("batchctl.engine.planning.place", place)
        shell = Shell(person.folder, {**os.environ, **person.variables})
        other = shell.run("submit", second, "--skip-bad", "--dry-run")
        assert other.returncode == 0, other.stderr
        place(source, target)

    monkeypatch.setattr("batchctl.engine.planning.place", place_late)
    ran = person.run("submit", first, "--skip-bad")
    assert ran.status == 0, ran.err
    assert person.run("fetch").status == 3
    assert [e["line"] for e in person.errors(ran.job)] == [4]
    assert not list((person.folder / ".batchctl" / "tmp").iterdir())


def test_a_look_that_ends_after_a_person_decided_leaves_the_new_create_to_its_sender(
    person: Person, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    _in_doubt(person, emulator, [NEVER_MADE])
    monkeypatch.setenv("ANTHROPIC_API_KEY", person.variables["ANTHROPIC_API_KEY"])
    with _process(person) as looks, _process(person) as sends:
        (job,) = looks.ledger.jobs()
        (doubt,) = looks.ledger.batches(job)
        real = looks.transport.page

        def slow_page(*given: Any, **more: Any) -> Page:
            # While the list is on its way, the claim is lost, a person has it sent again, and another process begins to.
            now = sends.now()
            assert not sends.ledger.record_presumed(doubt, sends.owner, now, note="a person's word")
            looks.ledger.release(doubt, looks.owner)
            assert sends.ledger.record_presumed(doubt, sends.owner, now, note="a person's word")
            (planned,) = sends.ledger.batches(job)
            assert sends.ledger.claim_send(planned, sends.owner, now, created_after=None, api="here")
            return real(*given, **more)

        monkeypatch.setattr(looks.transport, "page", slow_page)
        Settler(looks).settle(job, [doubt])
        (sending,) = sends.ledger.batches(job)
        assert sending.claim is not None
        assert sending.claim.owner == sends.owner
