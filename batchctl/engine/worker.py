"""What a worker process does: perform the tasks that its coordinator sends, and send back what became of them.

It has one control pipe and several lanes, each a pipe with a thread of its own that performs one task at a time. On the control
pipe the worker says that it is ready, or why it cannot be, and the coordinator says to stop. The end of that pipe says that the
coordinator has closed the worker, or is dead: the tasks in flight end as after a stop, and so does the process.
"""

import contextlib
import gc
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import NoReturn

from batchctl.api.client import load_sdk
from batchctl.api.secrets import scrubbed
from batchctl.clock import StopSignal
from batchctl.domain.errors import BatchctlError, Stopped
from batchctl.engine.executor import Performed, Task, perform
from batchctl.engine.session import OpenWorker, Session

# Ctrl-C reaches every process of a terminal, and a service manager may signal all of them. Only the coordinator acts on it.
COORDINATORS_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Imported:
    """The worker has imported what it needs, and opens its session. Until then it holds nothing, and may be killed."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The worker has opened its session, and claims steps as `owner`."""

    owner: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A task, or the opening of the session, raised `problem`. `trace`: the traceback of a bug; empty for any other problem."""

    problem: BaseException
    trace: str = ""


def work(open_worker: OpenWorker, control: Connection, lanes: Sequence[Connection], collect_after: int) -> NoReturn:
    """Perform tasks until the coordinator closes the pipes or is dead.

    Args:
        open_worker: Opens the session, which all lanes share.
        control: Takes whether the worker is ready, and says to stop.
        lanes: Bring tasks one by one, and take the events and the end of each.
        collect_after: The threshold of the garbage collector, as the coordinator has it.
    """
    # Blocked by the coordinator until here, so that a Ctrl-C cannot interrupt the imports.
    for number in COORDINATORS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, COORDINATORS_SIGNALS)
    gc.set_threshold(collect_after)
    stop = StopSignal()
    listener = threading.Thread(target=_listen, args=(control, stop))
    listener.start()
    try:
        load_sdk()
        control.send(Imported())
        with open_worker(stop) as session:
            control.send(Opened(session.owner))
            threads = [threading.Thread(target=_serve, args=(session, lane)) for lane in lanes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    except BaseException as problem:  # noqa: BLE001 - the coordinator raises it
        with contextlib.suppress(OSError):
            control.send(failed(problem))
    listener.join()
    # All that it had is closed. The end of the interpreter would take half a second, for which the coordinator would wait.
    os._exit(0)


def _listen(control: Connection, stop: StopSignal) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            control.recv()
            stop.set()
    stop.set()


def _serve(session: Session, lane: Connection) -> None:
    # Closed in any case: the coordinator waits for an answer as long as the lane is open.
    with lane, contextlib.suppress(EOFError, OSError):
        session = replace(session, emit=lane.send)
        while True:
            lane.send(_performed(session, lane.recv()))


def _performed(session: Session, task: Task) -> Performed | Failed:
    try:
        return perform(session, task)
    except BaseException as problem:  # noqa: BLE001 - the coordinator raises it
        return failed(problem)


def failed(problem: BaseException) -> Failed:
    """Return a problem as it can be sent. One that cannot be pickled is replaced by a RuntimeError that says the same."""
    if isinstance(problem, BatchctlError | Stopped):
        return Failed(problem)
    trace = scrubbed("".join(traceback.format_exception(problem)))
    try:
        pickle.loads(pickle.dumps(problem))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - whatever its class does when it is pickled
        return Failed(RuntimeError(scrubbed(f"{type(problem).__name__}: {problem}")), trace)
    return Failed(problem, trace)
