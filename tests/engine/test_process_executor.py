"""What only an executor with worker processes can meet: a worker that dies, and whatever has to travel between processes."""

import multiprocessing
import os
import pickle
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from engine import bad_workers
from engine.scene import OpenSession, Scene, opened_scene, with_processes

from batchctl.clock import StopSignal
from batchctl.domain import errors
from batchctl.domain.errors import LedgerProblem, Stopped
from batchctl.domain.events import DownloadBegun, Stopping, WorkerLost
from batchctl.domain.model import State
from batchctl.emulator.running import Running
from batchctl.engine.cores import available_cores
from batchctl.engine.executor import Performed, ThreadExecutor
from batchctl.engine.loop import Loop, LoopOptions
from batchctl.engine.next_steps import Arrow, Download, Send
from batchctl.engine.process_executor import ProcessExecutor, executor_for
from batchctl.engine.session import OpenWorker, Session
from batchctl.engine.worker import failed
from batchctl.store.workspace import Workspace

RESULTS = "GET /v1/messages/batches/{id}/results"
FETCH = LoopOptions(arrows=frozenset({Arrow.DOWNLOAD}))

# ---------------------------------------------------------------- problems travel


@pytest.mark.parametrize(
    "kind", [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.BatchctlError)]
)
def test_every_problem_arrives_as_it_was(kind: type[errors.BatchctlError]) -> None:
    problem = kind("what happened", hint="what to do")
    sent = pickle.loads(pickle.dumps(failed(problem)))
    assert sent.trace == ""
    assert type(sent.problem) is kind
    assert (sent.problem.message, sent.problem.hint, str(sent.problem)) == ("what happened", "what to do", str(problem))


def test_a_stop_and_a_failure_of_the_api_arrive_as_they_were() -> None:
    stopped = pickle.loads(pickle.dumps(failed(Stopped("batchctl run first"))))
    assert stopped.problem.command == "batchctl run first"
    failure = errors.ApiFailure("no", status=529, error_type="overloaded_error", retry_after=3.0, request_id="req_1")
    assert vars(pickle.loads(pickle.dumps(failure))) == vars(failure)


def test_a_bug_arrives_with_its_traceback_and_without_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-a-gateway")
    with pytest.raises(bad_workers.OddError) as raised:
        bad_workers.has_a_bug(StopSignal())
    raised.value.add_note("a-key-of-a-gateway")
    sent = pickle.loads(pickle.dumps(failed(raised.value)))
    assert (type(sent.problem), str(sent.problem)) == (RuntimeError, "OddError: 1 and 2")
    assert "Traceback" in sent.trace
    assert "a-key-of-a-gateway" not in sent.trace
    assert isinstance(failed(OSError(28, "No space left on device", "file")).problem, OSError)


# ---------------------------------------------------------------- who is chosen


def test_a_session_that_opens_no_workers_has_threads(emulator: Running, workspace: Workspace) -> None:
    with opened_scene(lambda session, *_: ThreadExecutor(session), emulator, workspace) as scene:
        assert scene.session.open_worker is None
        assert type(executor_for(scene.session, scene.job)) is ThreadExecutor


@pytest.mark.parametrize(
    ("least", "cores", "parallel", "shares"),
    [
        (9, 8, 4, None),
        (8, 1, 4, None),
        (8, 8, 1, None),
        # Workers, downloads at once of each, and of this process.
        (8, 2, 4, (1, 2, 2)),
        (8, 3, 8, (2, 3, 3)),
        (8, 8, 4, (3, 1, 1)),
        (8, 64, 32, (31, 1, 1)),
    ],
)
def test_the_downloads_at_once_are_shared_evenly(
    emulator: Running,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    least: int,
    cores: int,
    parallel: int,
    shares: tuple[int, int, int] | None,
) -> None:
    monkeypatch.setattr("batchctl.domain.engines.MIN_REQUESTS", least)
    monkeypatch.setattr("batchctl.engine.process_executor.available_cores", lambda: cores)
    with opened_scene(lambda session, *_: ThreadExecutor(session), emulator, workspace) as scene:
        session = replace(scene.session, parallel=parallel, open_worker=bad_workers.dies)
        executor = executor_for(session, scene.job)
        if shares is None:
            assert type(executor) is ThreadExecutor
        else:
            assert isinstance(executor, ProcessExecutor)
            assert (executor._most, executor._lanes, executor._own_free) == shares


@pytest.mark.parametrize(("limit", "cores"), [("100000 100000", 1), ("max 100000", 3), (None, 3)])
def test_the_cores_of_affinity_and_control_group_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, cores: int
) -> None:
    path = tmp_path / "cpu.max"
    if limit is not None:
        path.write_text(f"{limit}\n")
    monkeypatch.setattr("batchctl.engine.cores._CPU_MAX", path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5}, raising=False)
    assert available_cores() == cores


def test_no_process_is_started_before_there_is_a_download(emulator: Running, workspace: Workspace) -> None:
    with opened_scene(with_processes, emulator, workspace) as scene:
        before = multiprocessing.active_children()
        scene.executor.run(scene.tasks(Send))
        assert multiprocessing.active_children() == before
        assert scene.states() == [State.IN_PROGRESS] * 4


# ---------------------------------------------------------------- workers


@contextmanager
def _ended_scene(
    emulator: Running, workspace: Workspace, opener: Callable[..., object] | None = None
) -> Iterator[Scene]:
    """All four batches have ended, and workers are to download them."""
    with opened_scene(
        lambda session, _here, there: ProcessExecutor(session, opener or there, 2),  # type: ignore[arg-type]
        emulator,
        workspace,
    ) as scene:
        scene.executor.run(scene.tasks(Send))
        scene.poll()
        scene.events.clear()
        yield scene
    assert multiprocessing.active_children() == []


def _pid(owner: str) -> int:
    return int(owner.rsplit("-", 2)[1])


def _is_over(scene: Scene) -> None:
    assert scene.states() == [State.FETCHED] * 4
    assert scene.session.ledger.holders() == {}


def _holders(scene: Scene, count: int, run: "Future[Any]") -> set[str]:
    """The workers that hold a claim, once so many have asked for results."""
    while scene.emulator.requests().get(RESULTS, 0) < count:
        assert not run.done(), run.result()
        scene.wait(0.02)
    return set(scene.session.ledger.holders())


@pytest.mark.slow
def test_the_claims_of_workers_are_renewed(
    emulator: Running, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchctl.engine.executor.RENEW_SECONDS", 0.0)
    emulator.add_fault({"on": "results", "fault": "stall", "seconds": 1.5, "times": 2})
    with _ended_scene(emulator, workspace) as scene, ThreadPoolExecutor(1) as pool:
        ends: dict[str, set[datetime]] = defaultdict(set)
        run = pool.submit(scene.executor.run, scene.tasks(Download)[:2])
        while not run.done():
            for owner, end in scene.session.ledger.holders().items():
                ends[owner].add(end)
            scene.wait(0.05)
        assert set(ends) == scene.workers()
        assert all(len(seen) > 1 for seen in ends.values())
        assert os.getpid() not in set(map(_pid, ends))


@pytest.mark.slow
def test_two_workers_share_the_downloads_at_once(emulator: Running, workspace: Workspace) -> None:
    emulator.add_fault({"on": "results", "fault": "stall", "seconds": 1.5, "times": 4})

    def make(session: Session, _here: OpenSession, there: OpenWorker) -> ProcessExecutor:
        return ProcessExecutor(replace(session, parallel=4), there, 2)

    with opened_scene(make, emulator, workspace) as scene, ThreadPoolExecutor(1) as pool:
        scene.executor.run(scene.tasks(Send))
        scene.poll()
        run = pool.submit(scene.executor.run, scene.tasks(Download))
        busiest = 0
        while not run.done():
            busiest = max(busiest, sum(batch.claim is not None for batch in scene.batches()))
            assert len(scene.workers()) <= 2
            scene.wait(0.02)
        assert len(run.result()) == 4
        assert busiest == 4
        _is_over(scene)


@pytest.mark.slow
def test_threads_of_this_process_do_not_wait_for_workers(emulator: Running, workspace: Workspace) -> None:
    def make(session: Session, _here: OpenSession, there: OpenWorker) -> ProcessExecutor:
        return ProcessExecutor(session, there, 1, own=1)

    # One of two at once is given to the worker as soon as it is ready; the other thread is performing another one by then.
    emulator.add_fault({"on": "results", "fault": "stall", "seconds": 8, "nth": 2, "times": 2})
    with opened_scene(make, emulator, workspace) as scene, ThreadPoolExecutor(1) as pool:
        scene.executor.run(scene.tasks(Send))
        scene.poll()
        run = pool.submit(scene.executor.run, scene.tasks(Download))
        holders = _holders(scene, 3, run)
        assert scene.states().count(State.FETCHED) == 1
        assert {_pid(owner) for owner in holders} == {os.getpid(), *map(_pid, scene.workers())}
        assert len(run.result()) == 4
        _is_over(scene)


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(emulator: Running, workspace: Workspace) -> None:
    emulator.add_fault({"on": "results", "fault": "stall", "seconds": 60, "times": 2})
    with _ended_scene(emulator, workspace) as scene, ThreadPoolExecutor(1) as pool:
        run = pool.submit(Loop(scene.session, scene.job, FETCH, scene.executor).run)
        killed = _holders(scene, 2, run)
        for owner in killed:
            os.kill(_pid(owner), signal.SIGKILL)
        run.result()
        _is_over(scene)
        assert not killed & scene.workers()
        lost = [event for event in scene.events if isinstance(event, WorkerLost)]
        assert lost == [WorkerLost(-signal.SIGKILL, is_last=False)] * 2
        # Two of them a second time.
        assert emulator.requests()[RESULTS] == 6


@pytest.mark.slow
def test_after_three_lost_workers_threads_go_on(emulator: Running, workspace: Workspace) -> None:
    with _ended_scene(emulator, workspace, bad_workers.dies) as scene:
        Loop(scene.session, scene.job, FETCH, scene.executor).run()
        _is_over(scene)
        lost = [event for event in scene.events if isinstance(event, WorkerLost)]
        assert [(event.exit_code, event.is_last) for event in lost[:3]] == [(3, False), (3, False), (3, True)]
        assert sum(isinstance(event, DownloadBegun) for event in scene.events) == 4


@pytest.mark.slow
def test_where_no_process_can_be_started_threads_go_on(
    emulator: Running, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with _ended_scene(emulator, workspace) as scene:
        monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", full)
        assert len(scene.executor.run(scene.tasks(Download))) == 4
        _is_over(scene)


@pytest.mark.slow
def test_a_worker_that_cannot_open_its_session_is_a_problem_as_it_would_be_here(
    emulator: Running, workspace: Workspace
) -> None:
    with _ended_scene(emulator, workspace, bad_workers.cannot_open) as scene:
        for _ in range(2):
            with pytest.raises(LedgerProblem, match="somebody else's") as raised:
                scene.executor.run(scene.tasks(Download)[:1])
            assert raised.value.hint == "ask them"


@pytest.mark.slow
def test_a_bug_in_a_worker_is_raised_with_its_traceback(emulator: Running, workspace: Workspace) -> None:
    with _ended_scene(emulator, workspace, bad_workers.has_a_bug) as scene:
        with pytest.raises(RuntimeError, match="OddError: 1 and 2") as raised:
            scene.executor.run(scene.tasks(Download)[:1])
        assert "bad_workers.py" in raised.value.__notes__[0]


@pytest.mark.slow
def test_a_stop_ends_downloads_in_workers(emulator: Running, workspace: Workspace) -> None:
    emulator.add_fault({"on": "results", "fault": "stall", "seconds": 60, "times": 2})
    with _ended_scene(emulator, workspace) as scene, ThreadPoolExecutor(1) as pool:
        run = pool.submit(scene.executor.run, scene.tasks(Download))
        _holders(scene, 2, run)
        scene.session.stop.set()
        with pytest.raises(Stopped):
            run.result(20)
        assert [event for event in scene.events if isinstance(event, Stopping)] == [Stopping(2)]
        assert scene.states() == [State.ENDED] * 4
        assert scene.session.ledger.holders() == {}
        assert emulator.requests()[RESULTS] == 2


@pytest.mark.slow
def test_a_stop_does_not_wait_for_workers_that_still_start(emulator: Running, workspace: Workspace) -> None:
    with _ended_scene(emulator, workspace) as scene, ThreadPoolExecutor(1) as pool:
        run = pool.submit(scene.executor.run, scene.tasks(Download))
        while not multiprocessing.active_children():
            scene.wait(0.01)
        scene.session.stop.set()
        with pytest.raises(Stopped):
            run.result(20)
        assert [event for event in scene.events if isinstance(event, WorkerLost)] == []


@pytest.mark.slow
def test_whoever_shows_events_may_fail_and_no_worker_is_left(emulator: Running, workspace: Workspace) -> None:
    with _ended_scene(emulator, workspace) as scene:

        def gone(_: object) -> None:
            raise BrokenPipeError(32, "Broken pipe")

        object.__setattr__(scene.session, "emit", gone)
        with pytest.raises(BrokenPipeError):
            scene.executor.run(scene.tasks(Download))
        object.__setattr__(scene.session, "emit", scene.events.append)


@pytest.mark.slow
def test_what_a_worker_performed_is_told_of_the_task_that_was_given(emulator: Running, workspace: Workspace) -> None:
    with _ended_scene(emulator, workspace) as scene:
        tasks = scene.tasks(Download)
        performed = sorted(scene.executor.run(tasks), key=lambda one: one.task.step.batch.id)
        assert performed == [Performed(task) for task in tasks]
        assert all(one.task is task for one, task in zip(performed, tasks, strict=True))
