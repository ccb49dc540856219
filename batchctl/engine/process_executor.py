"""Perform downloads in worker processes: their verification keeps a core busy, and threads share one.

Each download has a thread of this process. It gives the download to a worker, hands on what the worker emits, and waits for the
end; or it performs the download itself: a worker takes seconds to import what it needs, and this process has a core, too.
Uploads and cancels wait for the network, and are performed by threads alone.

Workers are started when there are more downloads at once than this process performs, and kept until the executor is closed.
What a worker needs is pickled; the key is not, and travels in the environment alone. Nothing rests on a worker: its claims are its own, and are released at the
next turn of the loop if it dies.
"""

import contextlib
import gc
import multiprocessing
import threading
from dataclasses import dataclass, field
from math import ceil
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, NoReturn, Self

from batchctl.domain.engines import Engine, engine_for
from batchctl.domain.events import WorkerLost
from batchctl.domain.model import Job
from batchctl.engine.cores import available_cores
from batchctl.engine.executor import Executor, Performed, Task, ThreadExecutor
from batchctl.engine.next_steps import Download
from batchctl.engine.session import OpenWorker, Session
from batchctl.engine.worker import COORDINATORS_SIGNALS, Failed, Imported, Opened, work
from batchctl.processes import spawn

# After so many workers were lost, downloads are performed by threads: a worker that is short of memory is, each time.
MAX_LOST = 3
# How long an idle worker may take to end by itself. It has recorded all that it did, so that no harm is done by killing it.
CLOSE_SECONDS = 10.0
# How often a download that waits for its turn looks for a stop, and for a worker that has become ready.
LOOK_SECONDS = 0.1


def executor_for(session: Session, job: Job, *, at_once: bool = False) -> Executor:
    """Return the executor for a command that downloads the results of a job.

    `at_once`: start workers without waiting for a task, so that they import what they need while the API is polled.
    """
    requests = sum(batch.count for batch in session.ledger.batches(job) if not batch.is_settled)
    # One download at a time keeps one core busy.
    processes = min(available_cores(), session.parallel)
    if session.open_worker is None or engine_for(requests, session.engine, processes) is Engine.THREADS:
        return ThreadExecutor(session)
    # Also where that is of no use: it was asked for.
    workers = max(1, processes - 1)
    own = ceil(session.parallel / (workers + 1))
    return ProcessExecutor(session, session.open_worker, workers, own=own, at_once=at_once)


@dataclass(eq=False, slots=True)
class _Worker:
    """A worker process, seen from its coordinator.

    Attributes:
        lanes: A pipe for each task that it performs at once; `idle` are those without a task.
        owner: Its name in claims; empty until it has opened its session, before which it is given no task.
        is_importing: Whether it holds nothing yet that it would have to give back.
        is_stopped: Whether it was told to stop.
    """

    process: BaseProcess
    control: Connection
    lanes: list[Connection]
    idle: list[Connection] = field(default_factory=list)
    owner: str = ""
    is_importing: bool = True
    is_stopped: bool = False

    @property
    def busy(self) -> int:
        return len(self.lanes) - len(self.idle)


@dataclass(frozen=True, slots=True)
class _Lane:
    """A pipe to a worker that performs a task at a time, taken by a thread."""

    worker: _Worker
    pipe: Connection


@dataclass(frozen=True, slots=True)
class _Own:
    """The thread performs its download itself. `is_counted`: as one of those that `own` says."""

    is_counted: bool


class ProcessExecutor(ThreadExecutor):
    """Perform downloads in worker processes and in threads of this one, and all other tasks in threads."""

    def __init__(
        self, session: Session, open_worker: OpenWorker, workers: int, *, own: int = 0, at_once: bool = False
    ) -> None:
        """Coordinate with `session`, whose `parallel` says how many tasks are performed at once.

        Args:
            session: Its ledger renews claims, and its stop signal stops the workers.
            open_worker: Opens the session of a worker, in the worker. A function that can be pickled.
            workers: The most worker processes.
            own: How many downloads at once are performed by threads of this process, as long as there are workers. The workers
                share the others evenly, several each: a core whose download waits for the network is not idle.
            at_once: Start all workers when the context is entered, and not when they are needed first.
        """
        super().__init__(session)
        self._open_in_process = open_worker
        self._most = workers
        self._lanes = max(1, ceil((session.parallel - own) / workers))
        # Guards what follows: threads take and return lanes, and wait for one.
        self._changed = threading.Condition()
        self._own_free = own
        self._at_once = at_once
        self._workers: list[_Worker] = []
        # No longer used, and still to be closed.
        self._retired: list[_Worker] = []
        self._lost = 0

    def __enter__(self) -> Self:
        """Return the executor itself."""
        try:
            # No thread of ours runs yet.
            while self._at_once and len(self._workers) < self._most:
                self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers and wait for them."""
        super().__exit__(kind, error, trace)
        workers = [*self._workers, *self._retired]
        self._workers, self._retired = [], []
        for worker in workers:
            if worker.is_importing and not worker.control.poll():
                worker.process.kill()
            for pipe in (worker.control, *worker.lanes):
                pipe.close()
        for worker in workers:
            worker.process.join(CLOSE_SECONDS)
            # A signal that a worker does not ignore; for one that has ended it does nothing.
            worker.process.kill()
            worker.process.join()

    def _performed(self, task: Task) -> Performed | None:
        if not isinstance(task.step, Download):
            return super()._performed(task)
        lane = self._take_lane()
        if lane is None:
            return None
        if isinstance(lane, _Own):
            try:
                return super()._performed(task)
            finally:
                with self._changed:
                    self._own_free += lane.is_counted
                    self._changed.notify()
        answer = self._ask(lane, task)
        if answer is None:
            with self._changed:
                self._note_lost(lane.worker)
            return None
        with self._changed:
            lane.worker.idle.append(lane.pipe)
            self._changed.notify()
        if isinstance(answer, Failed):
            _raise(answer)
        return Performed(task, answer.unverified)

    def _ask(self, lane: _Lane, task: Task) -> Performed | Failed | None:
        """Have a worker perform a task, and return what became of it; None where the worker is dead."""
        with contextlib.suppress(OSError):
            lane.pipe.send(task)
        while (message := _received(lane.pipe)) is not None:
            if isinstance(message, Performed | Failed):
                return message
            self._session.emit(message)
        return None

    def _take_lane(self) -> _Lane | _Own | None:
        """Wait for whoever can perform a download, and return the least busy; None after a stop or a problem.

        Raises what kept a worker from opening its session.
        """
        with self._changed:
            while self._problem is None and not self._session.stop.is_set():
                self._hear_workers()
                lane = self._free_lane()
                if lane is None and len(self._workers) < self._most and self._lost < MAX_LOST:
                    self._start()
                if lane is None and not self._workers:
                    return _Own(is_counted=False)
                if lane is not None:
                    return lane
                self._changed.wait(LOOK_SECONDS)
        return None

    def _free_lane(self) -> _Lane | _Own | None:
        free = [worker for worker in self._workers if worker.owner and worker.idle]
        if free:
            worker = min(free, key=lambda each: each.busy)
            return _Lane(worker, worker.idle.pop())
        if self._own_free:
            self._own_free -= 1
            return _Own(is_counted=True)
        return None

    def _hear_workers(self) -> None:
        """Note which workers have become ready since, and which have died. Raises what kept one from opening its session."""
        for worker in tuple(self._workers):
            while worker in self._workers and worker.control.poll():
                match _received(worker.control):
                    case Imported():
                        worker.is_importing = False
                    case Opened(owner):
                        worker.owner = owner
                        self._owners.add(owner)
                    case Failed() as failed:
                        self._retire(worker)
                        _raise(failed)
                    case _:
                        self._note_lost(worker)

    def _start(self) -> None:
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            try:
                pipes = []
                for _ in range(1 + self._lanes):
                    here, there = multiprocessing.Pipe()
                    pipes.append((ours.enter_context(here), theirs.enter_context(there)))
                (control, its_control), *lanes = pipes
                its_lanes = [there for _, there in lanes]
                args = (self._open_in_process, its_control, its_lanes, gc.get_threshold()[0])
                process = spawn(work, args, blocked=COORDINATORS_SIGNALS)
            except OSError:
                # No process, file or memory to be had for one more: those that there are do it.
                self._most = len(self._workers)
                return
            ours.pop_all()
        self._workers.append(_Worker(process, control, [here for here, _ in lanes], [here for here, _ in lanes]))

    def _retire(self, worker: _Worker) -> None:
        """Give a worker no further task."""
        self._workers.remove(worker)
        self._retired.append(worker)
        # Nobody renews the claims of the dead.
        self._owners.discard(worker.owner)

    def _note_lost(self, worker: _Worker) -> None:
        """Note that a worker has died, once for all of its tasks. They are not performed."""
        if worker not in self._workers:
            return
        self._retire(worker)
        # A lane may end for a reason that leaves its process alive.
        worker.process.kill()
        worker.process.join()
        if not worker.is_stopped:
            self._lost += 1
            self._session.emit(WorkerLost(worker.process.exitcode, is_last=self._lost == MAX_LOST))

    def _stop_workers(self) -> None:
        with self._changed:
            for worker in self._workers:
                if not worker.is_stopped:
                    worker.is_stopped = True
                    with contextlib.suppress(OSError):
                        worker.control.send("stop")


def _raise(failed: Failed) -> NoReturn:
    if failed.trace:
        failed.problem.add_note(f"in a worker process:\n{failed.trace}")
    raise failed.problem


def _received(pipe: Connection) -> Any:
    """Return the next message; None where the worker is dead."""
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None
