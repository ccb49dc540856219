"""What every `Executor` keeps: the same tests for each implementation."""

import contextlib
import os
import pickle
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from builders import NOW, a_batch, a_job, a_round, cuts_of, lines, written
from program import KEY, sent_lines, session_of

from batchctl.clock import StopSignal
from batchctl.domain.errors import InputProblem, ServiceProblem, Stopped
from batchctl.domain.events import Event, Stopping
from batchctl.domain.model import Batch, Job, State
from batchctl.emulator.running import Running, running
from batchctl.engine.executor import Executor, Performed, Task, ThreadExecutor
from batchctl.engine.loop import Loop, LoopOptions
from batchctl.engine.next_steps import Arrow, Cancel, Download, Poll, Reconcile, Send, Step, WaitUntil
from batchctl.engine.session import Session
from batchctl.store.workspace import Workspace

CREATE = "POST /v1/messages/batches"
CANCEL = "POST /v1/messages/batches/{id}/cancel"
WRONG = "requests.0.params.max_tokens: must be less"
RESULTS = "GET /v1/messages/batches/{id}/results"

# ---------------------------------------------------------------- implementations


def with_one_session(session: Session, _: Callable[[], contextlib.AbstractContextManager[Session]]) -> Executor:
    return ThreadExecutor(session)


def with_sessions_of_their_own(
    session: Session, open_worker: Callable[[], contextlib.AbstractContextManager[Session]]
) -> Executor:
    return ThreadExecutor(session, open_worker)


# Each gives an executor for the session of a coordinator and a way to open the session of a worker.
EXECUTORS = {"one-session": with_one_session, "sessions-of-their-own": with_sessions_of_their_own}


# ---------------------------------------------------------------- a job to work on


@dataclass
class Scene:
    """A job in a workspace, an executor, what was emitted, and which sessions of workers were opened and closed."""

    emulator: Running
    session: Session
    executor: Executor
    job: Job
    events: list[Event]
    opened: list[Session] = field(default_factory=list)
    closed: list[Session] = field(default_factory=list)

    def tasks(self, step: type[Send | Download | Cancel]) -> list[Task]:
        return [Task(self.job.name, step(batch)) for batch in self.batches()]

    def batches(self) -> list[Batch]:
        return list(self.session.ledger.batches(self.job))

    def states(self) -> list[State]:
        return [batch.state for batch in self.batches()]

    def wait(self, seconds: float) -> None:
        clock = self.session.clock
        clock.wait_until(clock.now() + timedelta(seconds=seconds), StopSignal())

    def poll(self) -> None:
        """Have the ledger know what the API says of every batch."""
        seen = [(b, self.session.message_batches.retrieve(b.message_batch_id or "").batch) for b in self.batches()]
        self.session.ledger.record_polled(seen, self.session.now())


@pytest.fixture
def emulator() -> Iterator[Running]:
    with running({"batch_seconds": 0}) as emulator:
        yield emulator
        assert emulator.unfired() == []


@pytest.fixture(params=EXECUTORS)
def scene(
    request: pytest.FixtureRequest, emulator: Running, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    """A job of four batches of two requests, none of them sent, and two workers."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    opened: list[Session] = []
    closed: list[Session] = []

    @contextlib.contextmanager
    def open_worker() -> Iterator[Session]:
        with session_of(workspace.root, emulator.base_url) as worker:
            worker.server.meet()
            opened.append(worker)
            yield worker
            closed.append(worker)

    with session_of(workspace.root, emulator.base_url) as opened_session:
        events: list[Event] = []
        session = replace(opened_session, emit=events.append, parallel=2)
        job = _planned(session)
        session.place_guard.compare(session.emit)
        session.server.meet()
        with EXECUTORS[request.param](session, open_worker) as executor:
            yield Scene(emulator, session, executor, job, events, opened, closed)
    assert {worker.owner for worker in closed} == {worker.owner for worker in opened}


def _planned(session: Session) -> Job:
    data = lines(8)
    name = "reviews-7f3a"
    path = written(session.workspace.requests(name, 1), data)
    found = path.stat()
    first = a_round(
        count=8, request_file=session.workspace.stored_path(path), size=found.st_size, mtime_ns=found.st_mtime_ns
    )
    job = a_job(name, input_path=str(path), line_count=8, rounds=[first])
    return session.ledger.record_job(job, cuts_of(data, 2))


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
    with pytest.raises(ServiceProblem, match="the API refused batch"):
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
    assert set(ends) == {worker.owner for worker in scene.opened or [scene.session]}
    assert all(len(seen) > 1 for seen in ends.values())


def test_sessions_of_workers_are_kept_for_further_tasks_and_closed_with_the_executor(scene: Scene) -> None:
    with scene.executor as executor:
        executor.run(scene.tasks(Send))
        scene.poll()
        executor.run(scene.tasks(Download))
        assert len(scene.opened) <= scene.session.parallel
        assert scene.closed == []
    assert sorted(worker.owner for worker in scene.closed) == sorted(worker.owner for worker in scene.opened)
    # The session of the coordinator belongs to somebody else.
    assert scene.states() == [State.FETCHED] * 4


def test_the_control_loop_performs_its_steps_with_the_executor_and_leaves_it_open(scene: Scene) -> None:
    options = LoopOptions(arrows=frozenset({Arrow.SEND, Arrow.RECONCILE, Arrow.POLL, Arrow.DOWNLOAD}))
    Loop(scene.session, scene.job, options, scene.executor).run()
    assert scene.states() == [State.FETCHED] * 4
    assert scene.emulator.requests()[CREATE] == 4
    assert scene.closed == []
