"""Perform downloads in worker processes: their verification keeps a core busy, and threads share one.

Uploads and cancels wait for the network and stay in threads. So does whoever coordinates: a thread gives its download to a
worker, hands on what the worker emits, and waits for the end. Workers are spawned, never forked: a fork would copy an open
ledger and the locks of threads. They are started with the first downloads, and kept until the executor is closed. What a
worker needs is pickled; the key is not, and travels in the environment alone.

Nothing rests on a worker. Its claims are its own, and are released at the next turn of the loop if it dies.
"""

import contextlib
import gc
import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass, field
from math import ceil
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

from batchctl.domain.engines import Engine, core_limit, engine_for
from batchctl.domain.events import WorkerLost
from batchctl.domain.model import Job
from batchctl.engine.executor import Executor, Performed, Task, ThreadExecutor
from batchctl.engine.next_steps import Download
from batchctl.engine.session import OpenWorker, Session
from batchctl.engine.worker import COORDINATORS_SIGNALS, Failed, Opened, work

# After so many workers were lost, downloads are performed by threads: a worker that is short of memory is, each time.
MOST_LOST = 3
# How long an idle worker may take to end by itself. It has recorded all that it did, so that no harm is done by killing it.
CLOSE_SECONDS = 10.0
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def executor_for(session: Session, job: Job) -> Executor:
    """Return the executor for a command that downloads the results of a job."""
    requests = sum(batch.count for batch in session.ledger.batches(job) if not batch.is_settled)
    cores = available_cores()
    if session.open_worker is None or engine_for(requests, session.engine, cores) is Engine.THREADS:
        return ThreadExecutor(session)
    return ProcessExecutor(session, session.open_worker, min(cores, session.parallel))


def available_cores() -> int:
    """Return how many cores this process may use: those it may run on, and no more than its control group allows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return min(cores, core_limit(_CPU_MAX.read_text("ascii")) or cores)
    return cores


@dataclass(eq=False, slots=True)
class _Worker:
    """A worker process, seen from its coordinator.

    Attributes:
        lanes: A pipe for each task that it performs at once; `idle` are those without a task.
        owner: Its name in claims; empty until it has opened its session.
        is_stopped: Whether it was told to stop.
    """

    process: BaseProcess
    control: Connection
    lanes: list[Connection]
    idle: list[Connection] = field(default_factory=list)
    owner: str = ""
    is_stopped: bool = False

    @property
    def busy(self) -> int:
        return len(self.lanes) - len(self.idle)


class ProcessExecutor(ThreadExecutor):
    """Perform downloads in worker processes, and all other tasks in threads of this one."""

    def __init__(self, session: Session, open_worker: OpenWorker, processes: int) -> None:
        """Coordinate with `session`, whose `parallel` says how many tasks are performed at once.

        Args:
            session: Its ledger renews claims, and its stop signal stops the workers.
            open_worker: Opens the session of a worker, in the worker. A function that can be pickled.
            processes: The most workers. They share the downloads at once evenly: a core that waits for the network is not idle.
        """
        super().__init__(session)
        self._open_in_process = open_worker
        self._processes = processes
        self._lanes = ceil(session.parallel / processes)
        # Guards what follows: threads take and return lanes.
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        # No longer used, and still to be closed.
        self._retired: list[_Worker] = []
        self._lost = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers and wait for them."""
        super().__exit__(kind, error, trace)
        workers = [*self._workers, *self._retired]
        self._workers, self._retired = [], []
        for worker in workers:
            for pipe in (worker.control, *worker.lanes):
                pipe.close()
        for worker in workers:
            worker.process.join(CLOSE_SECONDS)
            # A signal that a worker does not ignore; for one that has ended it does nothing.
            worker.process.kill()
            worker.process.join()

    def _performed(self, task: Task) -> Performed | None:
        taken = self._take_lane() if isinstance(task.step, Download) else None
        if taken is None:
            return super()._performed(task)
        worker, lane = taken
        answer = self._ask(worker, lane, task)
        if answer is None:
            self._note_lost(worker)
            return None
        if isinstance(answer, Performed):
            self._return_lane(worker, lane)
            return Performed(task, answer.unverified)
        if worker.owner:
            self._return_lane(worker, lane)
        else:
            # It could not open its session, and performs nothing.
            self._retire(worker)
        if answer.trace:
            answer.problem.add_note(f"in a worker process:\n{answer.trace}")
        raise answer.problem

    def _ask(self, worker: _Worker, lane: Connection, task: Task) -> Performed | Failed | None:
        """Have a worker perform a task, and return what became of it; None where the worker is dead."""
        message: Any = None
        with contextlib.suppress(OSError):
            lane.send(task)
        while (message := _received(lane)) is not None:
            match message:
                case Performed() | Failed():
                    return message
                case Opened(owner):
                    worker.owner = owner
                    self._owners.add(owner)
                case event:
                    self._session.emit(event)
        return None

    def _take_lane(self) -> tuple[_Worker, Connection] | None:
        """Return a lane of the least busy worker, which is started where all are busy; None where threads are to do it."""
        with self._lock:
            if self._lost >= MOST_LOST:
                return None
            if all(worker.busy for worker in self._workers) and len(self._workers) < self._processes:
                try:
                    self._workers.append(self._start())
                except OSError:
                    # No process, file or memory to be had for one more.
                    self._processes = len(self._workers)
            free = [worker for worker in self._workers if worker.idle]
            if not free:
                return None
            worker = min(free, key=lambda each: each.busy)
            return worker, worker.idle.pop()

    def _return_lane(self, worker: _Worker, lane: Connection) -> None:
        with self._lock:
            worker.idle.append(lane)

    def _start(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            pipes = []
            for _ in range(1 + self._lanes):
                here, there = context.Pipe()
                pipes.append((ours.enter_context(here), theirs.enter_context(there)))
            (control, its_control), *lanes = pipes
            process = context.Process(
                target=work,
                args=(self._open_in_process, its_control, [there for _, there in lanes], gc.get_threshold()[0]),
            )
            # A process inherits which signals are blocked: a Ctrl-C while it imports would end it with a traceback.
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, COORDINATORS_SIGNALS)
            try:
                process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            ours.pop_all()
        return _Worker(process, control, [here for here, _ in lanes], [here for here, _ in lanes])

    def _retire(self, worker: _Worker) -> bool:
        """Give a worker no further task; return whether it was one that was given some."""
        with self._lock:
            if worker not in self._workers:
                return False
            self._workers.remove(worker)
            self._retired.append(worker)
            # Nobody renews the claims of the dead.
            self._owners.discard(worker.owner)
            return True

    def _note_lost(self, worker: _Worker) -> None:
        """Note that a worker has died, once for all of its tasks. They are not performed."""
        if not self._retire(worker) or worker.is_stopped:
            return
        with self._lock:
            # A lane may end for a reason that leaves its process alive.
            worker.process.kill()
            worker.process.join()
            self._lost += 1
            event = WorkerLost(worker.process.exitcode, is_last=self._lost == MOST_LOST)
        self._session.emit(event)

    def _stop_workers(self) -> None:
        with self._lock:
            for worker in self._workers:
                if worker.is_stopped:
                    continue
                worker.is_stopped = True
                if not worker.owner:
                    # Still importing. It has claimed nothing, and nobody has to wait for it.
                    worker.process.kill()
                with contextlib.suppress(OSError):
                    worker.control.send("stop")


def _received(lane: Connection) -> Any:
    """Return the next message; None where the worker is dead."""
    try:
        return lane.recv()
    except (EOFError, OSError):
        return None
