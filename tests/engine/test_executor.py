"""What every `Executor` keeps: the same tests for each implementation."""

import os
import pickle
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from builders import NOW, a_batch, lines
from cases import few
from engine.scene import EXECUTORS, Scene, opened_scene
from program import sent_lines

from batchctl.domain.errors import InputProblem, ServiceProblem, Stopped
from batchctl.domain.events import Stopping
from batchctl.domain.model import State
from batchctl.emulator.running import Running
from batchctl.engine.executor import Performed, Task
from batchctl.engine.loop import Loop, LoopOptions
from batchctl.engine.next_steps import Arrow, Cancel, Download, Poll, Reconcile, Send, Step, WaitUntil
from batchctl.store.workspace import Workspace

CREATE = "POST /v1/messages/batches"
CANCEL = "POST /v1/messages/batches/{id}/cancel"
WRONG = "requests.0.params.max_tokens: must be less"
RESULTS = "GET /v1/messages/batches/{id}/results"

# ---------------------------------------------------------------- implementations


@pytest.fixture(params=few(EXECUTORS, 0, 1))
def scene(request: pytest.FixtureRequest, emulator: Running, workspace: Workspace) -> Iterator[Scene]:
    with opened_scene(EXECUTORS[request.param], emulator, workspace) as scene:
        yield scene


def _damage(scene: Scene, index: int) -> None:
    """Change a request of a batch on the disk, so that nothing but its bytes shows it."""
    path = scene.session.workspace.resolve(scene.job.rounds[0].request_file)
    found, data = path.stat(), bytearray(path.read_bytes())
    data[scene.batches()[index].cut.end - 3] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


# ---------------------------------------------------------------- tasks


@pytest.mark.parametrize(
    "step",
    [
        Send(a_batch()),
        Download(a_batch(State.ENDED)),
        Cancel(a_batch(State.IN_PROGRESS)),
        Reconcile((a_batch(State.SUBMITTING),)),
        Poll((a_batch(State.IN_PROGRESS),)),
        WaitUntil(NOW, "a pause"),
    ],
    ids=lambda step: type(step).__name__,
)
def test_steps_and_tasks_are_plain_data(step: Step) -> None:
    assert pickle.loads(pickle.dumps(step)) == step
    if isinstance(step, Send | Download | Cancel):
        task = Task("reviews-7f3a", step)
        assert pickle.loads(pickle.dumps(task)) == task


def test_each_task_is_performed_and_returned_and_twice_is_as_good_as_once(scene: Scene) -> None:
    for step, state in ((Send, State.ENDED), (Download, State.FETCHED)):
        tasks = scene.tasks(step)
        # As after a trip to another machine.
        performed = scene.executor.run(pickle.loads(pickle.dumps(tasks)))
        assert sorted(performed, key=lambda one: one.task.step.batch.id) == [Performed(task) for task in tasks]
        scene.poll()
        assert scene.states() == [state] * 4
        # Lost on its way back, and performed a second time.
        scene.executor.run(tasks)
    calls = scene.emulator.requests()
    assert (calls[CREATE], calls[RESULTS]) == (4, 4)
    # Whichever worker sent it, the intent names the account.
    assert {batch.api for batch in scene.batches()} == {scene.session.server.account.stored()}
    assert Counter(line for batch in sent_lines(scene.emulator) for line in batch) == Counter(lines(8).splitlines())


def test_a_running_batch_is_canceled(scene: Scene) -> None:
    scene.emulator.set_scenario({"batch_seconds": 600})
    scene.executor.run(scene.tasks(Send))
    tasks = scene.tasks(Cancel)[:1]
    assert scene.executor.run(tasks) == [Performed(tasks[0])]
    assert scene.emulator.requests()[CANCEL] == 1
    assert scene.states().count(State.IN_PROGRESS) == 3


# ---------------------------------------------------------------- what goes wrong


def test_results_that_cannot_be_verified_keep_no_others_from_coming(scene: Scene) -> None:
    scene.executor.run(scene.tasks(Send))
    scene.poll()
    _damage(scene, 1)
    tasks = scene.tasks(Download)
    performed = scene.executor.run(tasks)
    assert len(performed) == 4
    ((task, problem),) = [(one.task, one.unverified) for one in performed if one.unverified is not None]
    assert task == tasks[1]
    assert isinstance(problem, InputProblem)
    assert scene.states() == [State.FETCHED, State.ENDED, State.FETCHED, State.FETCHED]


def test_the_first_problem_lets_tasks_in_flight_finish_starts_no_other_and_is_raised(scene: Scene) -> None:
    scene.emulator.add_fault({"on": "create", "fault": "stall_after_accept", "seconds": 0.3})
    scene.emulator.add_fault({"on": "create", "fault": "status", "status": 400, "nth": 2, "message": WRONG})
    with pytest.raises(ServiceProblem, match="the API rejected batch"):
        scene.executor.run(scene.tasks(Send))
    assert scene.emulator.requests()[CREATE] == 2
    assert sorted(scene.states()) == sorted([State.IN_PROGRESS, State.REFUSED, State.PLANNED, State.PLANNED])
    # A problem ends one call and no further one.
    scene.executor.run([task for task in scene.tasks(Send) if task.step.batch.state is State.PLANNED])
    assert scene.emulator.requests()[CREATE] == 4


def test_a_stop_lets_tasks_in_flight_finish_is_emitted_and_raises_stopped(scene: Scene) -> None:
    scene.emulator.add_fault({"on": "create", "fault": "stall_after_accept", "seconds": 0.4, "times": 2})
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(scene.executor.run, scene.tasks(Send))
        while scene.emulator.requests().get(CREATE) != 2:
            scene.wait(0.01)
        scene.session.stop.set()
        with pytest.raises(Stopped):
            run.result()
    assert [event for event in scene.events if isinstance(event, Stopping)] == [Stopping(2)]
    assert scene.emulator.requests()[CREATE] == 2
    assert sorted(scene.states()) == sorted([State.IN_PROGRESS, State.IN_PROGRESS, State.PLANNED, State.PLANNED])
    with pytest.raises(Stopped):
        scene.executor.run(scene.tasks(Send))
    assert scene.emulator.requests()[CREATE] == 2


# ---------------------------------------------------------------- claims and sessions


def test_claims_are_renewed_while_tasks_are_performed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchctl.engine.executor.RENEW_SECONDS", 0.0)
    scene.emulator.add_fault({"on": "create", "fault": "stall_after_accept", "seconds": 0.5, "times": 2})
    ends: dict[str, set[datetime]] = defaultdict(set)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(scene.executor.run, scene.tasks(Send)[:2])
        while not run.done():
            for owner, end in scene.session.ledger.holders().items():
                ends[owner].add(end)
            scene.wait(0.05)
        assert len(run.result()) == 2
        assert set(ends) == (scene.workers() or {scene.session.owner})
    assert all(len(seen) > 1 for seen in ends.values())


def test_sessions_of_workers_are_kept_for_further_tasks_and_closed_with_the_executor(scene: Scene) -> None:
    with scene.executor as executor:
        executor.run(scene.tasks(Send))
        scene.poll()
        opened = scene.workers()
        for tasks in (scene.tasks(Download)[:3], scene.tasks(Download)[3:]):
            executor.run(tasks)
            assert opened <= scene.workers(), "none is closed before the executor"
            opened = scene.workers()
        assert len(scene.workers()) <= scene.session.parallel
    assert scene.workers() == set()
    # The session of the coordinator belongs to somebody else.
    assert scene.states() == [State.FETCHED] * 4


def test_the_control_loop_performs_its_steps_with_the_executor_and_leaves_it_open(scene: Scene) -> None:
    options = LoopOptions(arrows=frozenset({Arrow.SEND, Arrow.RECONCILE, Arrow.POLL, Arrow.DOWNLOAD}))
    Loop(scene.session, scene.job, options, scene.executor).run()
    assert scene.states() == [State.FETCHED] * 4
    assert scene.emulator.requests()[CREATE] == 4
    before = scene.workers()
    scene.executor.run([])
    assert scene.workers() == before
