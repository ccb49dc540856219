"""Perform steps side by side: the seam behind which threads and processes work today, and other machines may work later.

A task is plain data and names its job. A worker opens a session from URLs and the environment, or shares one, and claims the
step in the ledger first: an executor that performs a task twice, or loses it, costs time and no money. `tests/engine/test_executor.py`
holds for every implementation.
"""

import concurrent.futures
import contextlib
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from batchctl.domain.errors import BatchctlError, InputProblem, Stopped
from batchctl.domain.events import Stopping, TransfersPlanned
from batchctl.engine.cancel import cancel
from batchctl.engine.download import download
from batchctl.engine.next_steps import Cancel, Download, Send, is_on_hold
from batchctl.engine.send import send
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import LOST, check_limit_again

# Well within `ledger.liveness.LEASE`, for which a claim is believed without a sign of life.
RENEW_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Task:
    """A step to perform on a batch of the job of this name."""

    job: str
    step: Send | Download | Cancel


@dataclass(frozen=True, slots=True)
class Performed:
    """What became of a task. `unverified` says why its results could not be verified, else None."""

    task: Task
    unverified: BatchctlError | None = None


class Executor(Protocol):
    """Perform tasks by workers that have a session of their own or share one.

    A context manager: whoever makes an executor leaves its context, which closes the sessions of its workers.
    """

    def __enter__(self) -> Self:
        """Return the executor itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the sessions that were opened for workers."""
        ...

    def run(self, tasks: Sequence[Task]) -> list[Performed]:
        """Perform the tasks side by side, and return what became of those that were performed.

        While tasks are performed, the claims of the workers are renewed. The first problem lets the tasks in flight finish,
        starts no further one, and is then raised. Raises Stopped where a person or a time limit stopped it.
        """
        ...


def perform(session: Session, task: Task) -> Performed:
    """Perform one task. Raises what stops the whole job."""
    job = session.ledger.job(task.job)
    match task.step:
        case Send(batch):
            # A limit, a pause or a cancel may have come up since the step was planned.
            if job.paused or is_on_hold(job, session.now()) or job.canceled_at is not None:
                return Performed(task)
            if batch.unknown_creates or batch.unproven_refusals:
                # An earlier create of these requests may be paid for, too.
                check_limit_again(session, job, LOST)
            send(session, job, batch)
        case Download(batch):
            try:
                download(session, job, batch)
            except InputProblem as problem:
                # Results that cannot be verified do not keep the results of other batches from being fetched.
                return Performed(task, problem)
        case Cancel(batch):
            cancel(session, batch)
    return Performed(task)


class ThreadExecutor:
    """Perform tasks in threads of this process."""

    def __init__(
        self, session: Session, open_worker: Callable[[], contextlib.AbstractContextManager[Session]] | None = None
    ) -> None:
        """Coordinate with `session`, in as many threads as its `parallel` says.

        Args:
            session: Its ledger renews claims, and its stop signal stops the workers.
            open_worker: Opens the session of a worker, whose server has met the API. It is used for further tasks until the
                executor is closed. None: all workers share `session`, which is safe for threads.
        """
        self._session = session
        self._open_worker = open_worker or (lambda: contextlib.nullcontext(session))
        self._idle: queue.SimpleQueue[Session] = queue.SimpleQueue()
        self._owners = {session.owner}
        self._opened = contextlib.ExitStack()
        self._problem: BaseException | None = None

    def __enter__(self) -> Self:
        """Return the executor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the sessions that were opened for workers."""
        self._opened.close()

    def run(self, tasks: Sequence[Task]) -> list[Performed]:
        """Perform the tasks as `Executor.run` says."""
        self._problem = None
        self._session.emit(_planned_transfers(tasks))
        performed: list[Performed] = []
        with concurrent.futures.ThreadPoolExecutor(self._session.parallel) as pool:
            self._wait({pool.submit(self._perform, task, performed) for task in tasks})
        if self._problem is not None:
            raise self._problem
        if self._session.stop.is_set():
            raise Stopped
        return performed

    def _perform(self, task: Task, performed: list[Performed]) -> None:
        if self._problem is not None or self._session.stop.is_set():
            return
        try:
            if (done := self._performed(task)) is not None:
                performed.append(done)
        except BaseException as problem:  # noqa: BLE001 - carried to the main thread, which raises it
            self._problem = self._problem or problem

    def _performed(self, task: Task) -> Performed | None:
        """Return what became of a task; None where it was not performed and no problem says why."""
        try:
            worker = self._idle.get_nowait()
        except queue.Empty:
            worker = self._opened.enter_context(self._open_worker())
            self._owners.add(worker.owner)
        done = perform(worker, task)
        self._idle.put(worker)
        return done

    def _stop_workers(self) -> None:
        """Have workers stop that do not see the stop signal of the session. Called again and again once it is set."""

    def _wait(self, futures: "set[concurrent.futures.Future[None]]") -> None:
        session = self._session
        renewed_at = session.clock.monotonic()
        has_emitted = False
        while futures:
            _, futures = concurrent.futures.wait(futures, timeout=0.2)
            if session.stop.is_set() and futures:
                if not has_emitted:
                    has_emitted = True
                    session.emit(Stopping(sum(f.running() for f in futures)))
                self._stop_workers()
            if session.clock.monotonic() - renewed_at > RENEW_SECONDS:
                try:
                    for owner in tuple(self._owners):
                        session.ledger.renew(owner, session.now())
                except BaseException as problem:
                    # Noted before it is raised: the pool would otherwise start every task that is left before it ends.
                    self._problem = self._problem or problem
                    raise
                renewed_at = session.clock.monotonic()


def _planned_transfers(tasks: Sequence[Task]) -> TransfersPlanned:
    uploads = [task.step.batch.cut.body_bytes for task in tasks if isinstance(task.step, Send)]
    return TransfersPlanned(len(uploads), sum(uploads), sum(isinstance(task.step, Download) for task in tasks))
