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
from program import Cli, requests, sent_lines, session_of

from batchctl.api.protocol import Page
from batchctl.domain.errors import UnconfirmedProblem
from batchctl.domain.model import Batch, Job, State
from batchctl.emulator.running import Running
from batchctl.engine.loop import Loop, LoopOptions
from batchctl.engine.merge import Output
from batchctl.engine.reconciler import Reconciler
from batchctl.engine.session import Session
from batchctl.store.local import place
from batchctl.verbs.fetch import fetch_job
from batchctl.verbs.submit import ARROWS

# Forced interleavings, one after the other: tests/ledger holds the rules, test_stops.py has real processes.
pytestmark = pytest.mark.slow

CREATE = "POST /v1/messages/batches"
LOST = {"on": "create", "fault": "drop_after_accept"}
NEVER_MADE = {"on": "create", "fault": "status", "status": 529}
GRACE = timedelta(seconds=0.3)


@pytest.fixture(autouse=True)
def _soon(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.variables["BATCHCTL_UNCONFIRMED_GRACE"] = str(GRACE.total_seconds())
    monkeypatch.setattr("batchctl.engine.reconciler.WAIT_FOR_END", timedelta(seconds=0.1))
    monkeypatch.setattr("batchctl.engine.next_steps.OTHERS_PAUSE", timedelta(seconds=0.1))


def _in_doubt(cli: Cli, emulator: Running, faults: Sequence[dict[str, Any]]) -> tuple[Path, list[bytes]]:
    """A batch of two requests for each fault, all in doubt; whoever sent them is gone."""
    for number, fault in enumerate(faults, 1):
        emulator.add_fault({**fault, "nth": number})
    lines = requests(2 * len(faults))
    path = cli.write("in.jsonl", lines)
    cli.left_in_doubt(path, "--max-requests", "2")
    return path, lines


def _process(cli: Cli) -> contextlib.AbstractContextManager[Session]:
    return session_of(cli.folder / ".batchctl", cli.variables["ANTHROPIC_BASE_URL"], GRACE)


def _submits(session: Session) -> None:
    # What still runs may be anybody's: then it says so and leaves.
    with contextlib.suppress(UnconfirmedProblem):
        Loop(session, session.ledger.jobs()[0], LoopOptions(arrows=ARROWS)).run()


def _fetches(session: Session) -> None:
    folder = session.workspace.root.parent
    fetch_job(
        session, session.ledger.jobs()[0], Output(results=str(folder / "out.jsonl"), errors=folder / "errors.jsonl")
    )


def _at_once(cli: Cli, monkeypatch: pytest.MonkeyPatch, verbs: Sequence[Callable[[Session], None]]) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", cli.variables["ANTHROPIC_API_KEY"])
    problems: list[BaseException] = []

    def run(verb: Callable[[Session], None]) -> None:
        try:
            with _process(cli) as session:
                verb(session)
        except BaseException as problem:  # noqa: BLE001 - raised below, in the thread of the test
            problems.append(problem)

    threads = [threading.Thread(target=run, args=[verb]) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    if problems:
        raise problems[0]


def _finish(cli: Cli, emulator: Running, path: Path) -> None:
    for _ in range(6):
        emulator.advance(60)
        if cli.run("submit", path).status in {0, 6}:
            emulator.advance(60)
            if cli.run("fetch").status == 0:
                return
    raise AssertionError(cli.run("status").out)


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
    cli: Cli,
    emulator: Running,
    monkeypatch: pytest.MonkeyPatch,
    faults: list[dict[str, Any]],
    seconds: float,
    verbs: list[Callable[[Session], None]],
) -> None:
    emulator.set_scenario({"batch_seconds": seconds})
    path, lines = _in_doubt(cli, emulator, faults)
    meeting = threading.Barrier(2)
    real, met = Reconciler.reconcile, threading.local()

    def reconcile(self: Reconciler, job: Job, unconfirmed_batches: Sequence[Batch]) -> bool:
        # The first look of each is at one and the same snapshot.
        if not getattr(met, "is_over", False):
            met.is_over = True
            with contextlib.suppress(threading.BrokenBarrierError):
                meeting.wait(1)
        return real(self, job, unconfirmed_batches)

    with monkeypatch.context() as both:
        both.setattr(Reconciler, "reconcile", reconcile)
        _at_once(cli, monkeypatch, verbs)
    _finish(cli, emulator, path)
    _assert_each_sent_once(emulator, lines)


@FAULTS
def test_one_that_comes_late_with_an_old_snapshot_changes_nothing(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch, faults: list[dict[str, Any]]
) -> None:
    path, lines = _in_doubt(cli, emulator, faults)
    monkeypatch.setenv("ANTHROPIC_API_KEY", cli.variables["ANTHROPIC_API_KEY"])
    with _process(cli) as late, _process(cli) as other:
        (job,) = late.ledger.jobs()
        seen = [b for b in late.ledger.batches(job) if b.state is State.SUBMITTING]
        assert len(seen) == len(faults)
        _submits(other)
        before = other.ledger.batches(job)
        assert Reconciler(late).reconcile(job, seen)
        assert other.ledger.batches(job) == before
    _finish(cli, emulator, path)
    _assert_each_sent_once(emulator, lines)


def test_one_that_comes_late_with_an_old_snapshot_of_a_second_doubt_changes_nothing(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lines = _in_doubt(cli, emulator, [NEVER_MADE, LOST])
    monkeypatch.setenv("ANTHROPIC_API_KEY", cli.variables["ANTHROPIC_API_KEY"])
    # Sent again, its answer is lost again: the same batch in the same state, but another doubt.
    emulator.add_fault({**LOST, "nth": 1})
    with _process(cli) as late, _process(cli) as other:
        (job,) = late.ledger.jobs()
        seen = [b for b in late.ledger.batches(job) if b.state is State.SUBMITTING]
        _submits(other)
        assert Reconciler(late).reconcile(job, seen)
        _submits(late)
    _finish(cli, emulator, path)
    _assert_each_sent_once(emulator, lines)


@pytest.mark.slow
def test_two_real_processes_continue_one_job_and_create_each_batch_once(cli: Cli, emulator: Running) -> None:
    path, lines = _in_doubt(cli, emulator, [LOST, NEVER_MADE, LOST])
    shell = Shell(cli.folder, {**os.environ, **cli.variables})
    with shell.start("submit", path) as one, shell.start("submit", path) as two:
        said = [process.communicate(timeout=30)[1] for process in (one, two)]
    assert {one.returncode, two.returncode} <= {0, 6}, said
    assert cli.run("fetch").status == 0
    assert emulator.requests()[CREATE] == 4
    _assert_each_sent_once(emulator, lines)


def test_two_inputs_of_one_name_keep_their_own_left_out_lines(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in "ab":
        (cli.folder / folder).mkdir()
    first = cli.write("a/in.jsonl", [*requests(3, "a"), b"bad of a", *requests(2, "A")])
    second = cli.write("b/in.jsonl", [b"bad of b", *requests(3, "b"), b"bad of b"])

    def place_late(source: Path, target: Path) -> None:
        # The other comes by at the worst moment: checked, and not recorded yet.
        monkeypatch.setattr("batchctl.engine.planning.place", place)
        shell = Shell(cli.folder, {**os.environ, **cli.variables})
        other = shell.run("submit", second, "--skip-bad", "--dry-run")
        assert other.returncode == 0, other.stderr
        place(source, target)

    monkeypatch.setattr("batchctl.engine.planning.place", place_late)
    ran = cli.run("submit", first, "--skip-bad")
    assert ran.status == 0, ran.err
    assert cli.run("fetch").status == 3
    assert [e["line"] for e in cli.errors(ran.job)] == [4]
    assert not list((cli.folder / ".batchctl" / "tmp").iterdir())


def test_a_look_that_ends_after_a_person_decided_leaves_the_new_create_to_its_sender(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    _in_doubt(cli, emulator, [NEVER_MADE])
    monkeypatch.setenv("ANTHROPIC_API_KEY", cli.variables["ANTHROPIC_API_KEY"])
    with _process(cli) as looks, _process(cli) as sends:
        (job,) = looks.ledger.jobs()
        (unconfirmed_batch,) = looks.ledger.batches(job)
        real = looks.message_batches.page

        def slow_page(*given: Any, **more: Any) -> Page:
            # While the list is on its way, the claim is lost, a person has it sent again, and another process begins to.
            now = sends.now()
            assert not sends.ledger.record_presumed_not_created(
                unconfirmed_batch, sends.owner, now, note="a person's word"
            )
            looks.ledger.release(unconfirmed_batch, looks.owner)
            assert sends.ledger.record_presumed_not_created(unconfirmed_batch, sends.owner, now, note="a person's word")
            (planned,) = sends.ledger.batches(job)
            assert sends.ledger.claim_send(planned, sends.owner, now, created_after=None, api="here")
            return real(*given, **more)

        monkeypatch.setattr(looks.message_batches, "page", slow_page)
        Reconciler(looks).reconcile(job, [unconfirmed_batch])
        (sending,) = sends.ledger.batches(job)
        assert sending.claim is not None
        assert sending.claim.owner == sends.owner
