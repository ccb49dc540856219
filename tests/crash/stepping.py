"""Commands that run one call at a time: each in a thread of its own, held before every call to the ledger and to the API.

Only one thread moves at any time, so a run is the same every time; and a command that is never let go on is as good as
killed: what it has not called has not happened.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from crash.far_end import Api, ModelMessageBatches

from batchctl.clock import Clock, StopSignal
from batchctl.domain.errors import BatchctlError, Stopped
from batchctl.domain.model import Job
from batchctl.engine.api_view import Server
from batchctl.engine.copy_guard import PlaceGuard
from batchctl.engine.session import Session
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.liveness import Owner
from batchctl.store.workspace import Workspace

HANGS_AFTER = 60.0
# A sign of life is given from the side, by real time, and moves nothing.
FROM_THE_SIDE = frozenset({"renew", "close"})
WAIT, PLAN = "wait", "plan"


class Killed(BaseException):
    """Goes through everything: what is called on the way out does not happen any more."""


@dataclass
class Scene:
    """One machine: its workspace, its clock, `ahead` of the server's, and its ledger."""

    folder: Path
    api: Api
    ahead: timedelta = timedelta()
    is_planning: bool = False
    ledger: SqlLedger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = SqlLedger(self.workspace.ledger)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder)

    @property
    def now(self) -> datetime:
        return self.api.now + self.ahead


class Command:
    """A verb on a job, in a process of its own, as far as the ledger and the API can tell.

    `at`: the call it is held before. `problem`: what it ended with, if not well.
    """

    def __init__(self, scene: Scene, job: Job, verb: Callable[[Session, Job], object]) -> None:
        self.job = job
        self.at = ""
        self.is_over = False
        self.wakes_at: datetime | None = None
        self.problem: BatchctlError | None = None
        self.bug: BaseException | None = None
        self._is_dead = False
        self._may_go: Callable[[], bool] = lambda: True
        self._go, self._held = threading.Semaphore(0), threading.Semaphore(0)
        self._owner = Owner(scene.workspace.owners).__enter__()
        self._tools = self._equipment(scene)
        self._thread = threading.Thread(target=self._run, args=(verb,), daemon=True)
        self._thread.start()
        self._wait_until_held()

    @property
    def can_go_on(self) -> bool:
        return not self.is_over and self._may_go()

    def go_on(self) -> None:
        """One call further. Raises what must never come out of a command."""
        self._go.release()
        self._wait_until_held()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._tools.stop.set()

    def die(self) -> None:
        """As `kill -9`: from here on nothing of it happens, and the kernel lets go of its lock."""
        self._is_dead = True
        self._go.release()
        self._thread.join(HANGS_AFTER)
        assert not self._thread.is_alive(), f"{self.at} hangs"

    def _wait_until_held(self) -> None:
        assert self._held.acquire(timeout=HANGS_AFTER), f"{self.at} hangs"
        if self.bug is not None:
            raise self.bug

    def _run(self, verb: Callable[[Session, Job], object]) -> None:
        try:
            self.hold("start")
            verb(self._tools, self.job)
        except BatchctlError as problem:
            self.problem = problem
        except (Stopped, Killed):
            pass
        except BaseException as bug:  # noqa: BLE001 - raised in the thread of the test
            self.bug = bug
        finally:
            self.is_over = True
            if self._is_dead:
                os.close(self._owner._lock)
            else:
                self._owner.__exit__(None, None, None)
            self._held.release()

    def hold(self, call: str, may_go: Callable[[], bool] = lambda: True) -> None:
        """In the command's own threads: until it is let go on."""
        if not self._is_dead:
            self.at, self._may_go = call, may_go
            self._held.release()
            self._go.acquire()
        if self._is_dead:
            raise Killed

    def _equipment(self, scene: Scene) -> Session:
        message_batches, clock = ModelMessageBatches(scene.api, self.hold), _VirtualClock(scene, self)
        return Session(
            workspace=_SharedWorkspace(scene, self),
            ledger=cast(SqlLedger, _HeldBefore(scene.ledger, self)),
            message_batches=message_batches,
            server=Server(message_batches, clock),
            place_guard=PlaceGuard(scene.ledger),
            clock=clock,
            emit=lambda _: None,
            owner=self._owner.name,
            # Side by side would be by chance: what two uploads do to each other, two commands do as well.
            parallel=1,
        )


class _HeldBefore:
    """The real ledger, each of its methods with a stop before it."""

    def __init__(self, ledger: SqlLedger, command: Command) -> None:
        self._ledger = ledger
        self._command = command

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._ledger, name)

        def held(*words: Any, **more: Any) -> Any:
            if name not in FROM_THE_SIDE:
                self._command.hold(name)
            return real(*words, **more)

        return held


class _VirtualClock(Clock):
    def __init__(self, scene: Scene, command: Command) -> None:
        self._scene = scene
        self._command = command

    def now(self) -> datetime:
        return self._scene.now

    def monotonic(self) -> float:
        return self._scene.api.now.timestamp()

    def draw(self) -> float:
        return 0.5

    def wait_until(self, at: datetime, stop: StopSignal) -> bool:
        while not stop.is_set() and self._scene.now < at:
            self._command.wakes_at = at
            self._command.hold(WAIT, lambda: stop.is_set() or self._scene.now >= at)
        self._command.wakes_at = None
        return stop.is_set()


class _SharedWorkspace(Workspace):
    """Who waits for another's plan waits in virtual time."""

    def __init__(self, scene: Scene, command: Command) -> None:
        super().__init__(scene.folder)
        self._scene = scene
        self._command = command

    @contextlib.contextmanager
    def planning(self) -> Iterator[None]:
        self._command.hold(PLAN, lambda: not self._scene.is_planning)
        self._scene.is_planning = True
        try:
            with super().planning():
                yield
        finally:
            self._scene.is_planning = False
