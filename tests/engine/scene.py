"""A job of four batches to perform tasks on, with an executor, in a workspace and at an emulator of its own."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from builders import a_job, a_round, cuts_of, lines, written
from program import session_of

from batchctl.clock import StopSignal
from batchctl.domain.events import Event
from batchctl.domain.model import Batch, Job, State
from batchctl.emulator.running import Running
from batchctl.engine.executor import Executor, Task, ThreadExecutor
from batchctl.engine.next_steps import Cancel, Download, Send
from batchctl.engine.process_executor import ProcessExecutor
from batchctl.engine.session import OpenWorker, Session
from batchctl.store.workspace import Workspace
from batchctl.verbs.open_session import open_worker
from batchctl.verbs.session_options import SessionOptions

OpenSession = Callable[[], contextlib.AbstractContextManager[Session]]


@dataclass
class Scene:
    """A job in a workspace, an executor, and what was emitted."""

    emulator: Running
    session: Session
    executor: Executor
    job: Job
    events: list[Event]

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

    def workers(self) -> set[str]:
        """The owners that have a session open, but for the coordinator: whatever process they are in, they hold a lock."""
        return {lock.stem for lock in self.session.workspace.owners.glob("*.lock")} - {self.session.owner}


# Gives an executor for the session of a coordinator, and a way to open the session of a worker: here, and in another process.
MakeExecutor = Callable[[Session, OpenSession, OpenWorker], Executor]


def with_one_session(session: Session, _here: OpenSession, _there: OpenWorker) -> Executor:
    return ThreadExecutor(session)


def with_sessions_of_their_own(session: Session, here: OpenSession, _there: OpenWorker) -> Executor:
    return ThreadExecutor(session, here)


def with_processes(session: Session, _here: OpenSession, there: OpenWorker) -> Executor:
    return ProcessExecutor(session, there, 2)


def with_a_process_beside_threads(session: Session, _here: OpenSession, there: OpenWorker) -> Executor:
    return ProcessExecutor(session, there, 1, own=1)


EXECUTORS: dict[str, MakeExecutor] = {
    "one-session": with_one_session,
    "sessions-of-their-own": with_sessions_of_their_own,
    "processes": with_processes,
    "a-process-beside-threads": with_a_process_beside_threads,
}


@contextlib.contextmanager
def opened_scene(make: MakeExecutor, emulator: Running, workspace: Workspace) -> Iterator[Scene]:
    """A job of four batches of two requests, none of them sent, and two tasks at once."""

    @contextlib.contextmanager
    def here() -> Iterator[Session]:
        with session_of(workspace.root, emulator.base_url) as worker:
            worker.server.meet()
            yield worker

    there = partial(open_worker, SessionOptions(workspace=workspace.root, base_url=emulator.base_url))
    with session_of(workspace.root, emulator.base_url) as opened_session:
        events: list[Event] = []
        session = replace(opened_session, emit=events.append, parallel=2)
        job = _planned(session)
        session.place_guard.compare(session.emit)
        session.server.meet()
        with make(session, here, there) as executor:
            scene = Scene(emulator, session, executor, job, events)
            yield scene
        assert scene.workers() == set()


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
