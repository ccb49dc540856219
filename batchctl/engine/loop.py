"""The one control loop: asks `domain.steps` what to do, does it with a few threads, asks again."""

import concurrent.futures
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from batchctl.domain.errors import AccountProblem, ApiFailure, BatchctlError, InputProblem, Stopped, UnconfirmedProblem
from batchctl.domain.events import Stopping, Waiting
from batchctl.domain.model import Batch, Job, State
from batchctl.engine.cancel import cancel
from batchctl.engine.download import download
from batchctl.engine.next_steps import (
    Arrow,
    Cancel,
    Download,
    Poll,
    Reconcile,
    Send,
    Snapshot,
    Step,
    WaitUntil,
    is_all_else_done,
    is_on_hold,
    next_steps,
)
from batchctl.engine.poll import Poller
from batchctl.engine.reconciler import Reconciler, refuse_other_account
from batchctl.engine.send import send, why_stopped
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import DEARER_THAN_TOLD, LOST, hold_again

RENEW_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """What one run of the loop may do. `waits`: whether it sits out a queue that is full."""

    arrows: frozenset[Arrow]
    waits: bool = True


class Loop:
    def __init__(self, session: Session, job: Job, verb: Verb) -> None:
        self._session = session
        self._name = job.name
        self._verb = verb
        self._poller = Poller(session)
        self._reconciler = Reconciler(session)
        # By the steady clock: a look is never put off by a clock that was set.
        self._poll_due: float | None = None
        self._is_stuck = False
        # Batches on the disk when the limit was held against them.
        self._fetched_count = 0
        # Results that cannot be held against the requests keep no others from coming.
        self._unverified: dict[int, BatchctlError] = {}

    def run(self) -> None:
        """Until nothing is left that this verb may do. Raises Stopped, UnconfirmedProblem, and what a step raises."""
        self._session.stop.is_gentle = True
        try:
            self._run()
        finally:
            self._session.stop.is_gentle = False

    def _run(self) -> None:
        while True:
            if self._session.stop.is_set():
                raise Stopped
            steps = next_steps(self._snapshot(), self._verb.arrows, self._session.now())
            match steps:
                case ():
                    self._raise_if_held()
                    for problem in self._unverified.values():
                        raise problem
                    return
                case (WaitUntil() as wait,):
                    if not self._wait(wait):
                        return
                case _:
                    self._take(steps)

    def _snapshot(self) -> Snapshot:
        ledger = self._session.ledger
        steady = self._session.clock.monotonic()
        ledger.release_dead(steady)
        job = ledger.job(self._name)
        left = None if self._poll_due is None else timedelta(seconds=max(0.0, self._poll_due - steady))
        return Snapshot(
            job=job,
            batches=tuple(b for b in ledger.batches(job) if b.id not in self._unverified),
            busy_counts=ledger.counts_being_sent(job),
            poll_due=None if left is None else self._session.now() + left,
        )

    def _wait(self, wait: WaitUntil) -> bool:
        """False when this verb does not wait for that."""
        self._raise_if_only_time_can_tell()
        if not self._verb.waits:
            return False
        self._session.emit(Waiting(wait.at, wait.why))
        if self._session.clock.wait_until(wait.at, self._session.stop):
            raise Stopped
        return True

    def _raise_if_only_time_can_tell(self) -> None:
        if not self._is_stuck:
            return
        job = self._session.ledger.job(self._name)
        batches = [b for b in self._session.ledger.batches(job) if not b.is_unattached]
        unconfirmed_batches = [b for b in batches if b.state is State.SUBMITTING]
        if unconfirmed_batches and is_all_else_done(job, batches, self._verb.arrows, self._session.now()):
            raise UnconfirmedProblem(
                f"{len(unconfirmed_batches)} of {len(batches)} batches are {unconfirmed_batches[0].note}",
                hint=f"nothing is sent twice; what is known of them, and what you can decide: batchctl resolve {self._name}",
            )

    def _raise_if_held(self) -> None:
        """Results that are on the disk and are not used: nobody but a person can say whether they are ours."""
        batches = [b for b in self._session.ledger.batches(self._session.ledger.job(self._name)) if not b.is_unattached]
        held = [b for b in batches if b.held]
        if held and Arrow.DOWNLOAD in self._verb.arrows:
            raise UnconfirmedProblem(
                f"{len(held)} of {len(batches)} batches may be another job's: {held[0].held}",
                hint=f"what is known of them, and what you can decide: batchctl resolve {self._name}",
            )

    def _take(self, steps: Sequence[Step]) -> None:
        # A copy is noticed before anything is sent, and before a batch that it sent could be taken for a foreign one.
        sends = any(isinstance(step, Send) for step in steps)
        if (sends or isinstance(steps[0], Reconcile)) and not self._is_met(sends=sends):
            return
        job = self._session.ledger.job(self._name)
        actions: list[Callable[[], None]] = []
        for step in steps:
            match step:
                case Reconcile(batches):
                    self._is_stuck = not self._reconciler.settle(job, batches)
                case Poll(batches):
                    pause = self._poller.look(job, batches)
                    self._poll_due = self._session.clock.monotonic() + pause
                case Send(batch):
                    actions.append(partial(self._send, job, batch))
                case Download(batch):
                    actions.append(partial(self._download, job, batch))
                case Cancel(batch):
                    actions.append(partial(cancel, self._session, batch))
                    self._poll_due = None
                case WaitUntil():
                    pass
        if actions:
            StepPool(self._session).run(actions)

    def _is_met(self, *, sends: bool) -> bool:
        """Before uploads: the account, the newest batch of the API, whether the key is good. False after a wait, or after
        unconfirmed batches have come up that are looked for first.
        """
        session = self._session
        job = session.ledger.job(self._name)
        try:
            if not self._is_welcome(job):
                return False
        except AccountProblem as problem:
            if sends:
                session.ledger.record_pause(job, why_stopped(problem))
            raise
        batches = session.ledger.batches(job)
        if sends and (fetched_count := sum(b.state is State.FETCHED for b in batches)) != self._fetched_count:
            hold_again(session, job, DEARER_THAN_TOLD)
            self._fetched_count = fetched_count
        refuse_other_account(session, [b for b in batches if b.state is State.SUBMITTING and b.claim is None])
        return True

    def _is_welcome(self, job: Job) -> bool:
        """False after a wait for the API, or where a copy of the workspace is to be looked after first."""
        session = self._session
        try:
            session.server.meet()
            return session.place_guard.is_passed(session, job)
        except ApiFailure as failure:
            pause = self._poller.failed(failure)
            session.clock.wait_until(session.now() + timedelta(seconds=pause), session.stop)
            return False

    def _download(self, job: Job, batch: Batch) -> None:
        try:
            download(self._session, job, batch)
        except InputProblem as problem:
            self._unverified[batch.id] = problem

    def _send(self, planned: Job, batch: Batch) -> None:
        """Unless a limit, a pause or a cancel has come up since this wave began."""
        job = self._session.ledger.job(planned.name)
        if job.paused or is_on_hold(job, self._session.now()) or job.canceled_at is not None:
            return
        if batch.unknown_creates or batch.unproven_refusals:
            # An earlier create of these requests may be paid for, too.
            hold_again(self._session, job, LOST)
        send(self._session, job, batch)


class StepPool:
    """Steps side by side. The first problem lets the steps in flight finish and takes no further one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._problem: BaseException | None = None

    def run(self, actions: Sequence[Callable[[], None]]) -> None:
        with concurrent.futures.ThreadPoolExecutor(self._session.parallel) as pool:
            futures = {pool.submit(self._step, action) for action in actions}
            self._wait(futures)
        if self._problem is not None:
            raise self._problem
        if self._session.stop.is_set():
            raise Stopped

    def _step(self, action: Callable[[], None]) -> None:
        if self._problem is not None or self._session.stop.is_set():
            return
        try:
            action()
        except BaseException as problem:  # noqa: BLE001 - carried to the main thread, which raises it
            self._problem = self._problem or problem

    def _wait(self, futures: "set[concurrent.futures.Future[None]]") -> None:
        renewed = self._session.clock.monotonic()
        is_told = False
        while futures:
            _, futures = concurrent.futures.wait(futures, timeout=0.2)
            if self._session.stop.is_set() and not is_told and futures:
                is_told = True
                self._session.emit(Stopping(sum(f.running() for f in futures)))
            if self._session.clock.monotonic() - renewed > RENEW_SECONDS:
                self._renew()
                renewed = self._session.clock.monotonic()

    def _renew(self) -> None:
        try:
            self._session.ledger.renew(self._session.owner, self._session.now())
        except BaseException as problem:
            # Said before it is raised: the pool would take every step that is left before it lets this out.
            self._problem = self._problem or problem
            raise
