"""The control loop: ask `engine.next_steps` what to do, perform it, ask again.

There is one loop for all verbs. A verb is the set of arrows that it allows. A run after a stop is no special case: it reads
the ledger as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from batchctl.domain.errors import AccountProblem, ApiFailure, BatchctlError, Stopped, UnconfirmedProblem
from batchctl.domain.events import Waiting
from batchctl.domain.model import Batch, Job, State
from batchctl.domain.wording import of_total
from batchctl.engine.copy_check import check_copies
from batchctl.engine.executor import Executor, Task, ThreadExecutor
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
    next_steps,
)
from batchctl.engine.poll import Poller
from batchctl.engine.reconciler import Reconciler, refuse_other_account
from batchctl.engine.send import why_stopped
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import DEARER_THAN_ESTIMATED, check_limit_again


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOptions:
    """What one run of the loop may do.

    Attributes:
        arrows: The arrows of a batch's life that it may follow.
        waits: Whether it waits for room in a full queue of the API.
    """

    arrows: frozenset[Arrow]
    waits: bool = True


class Loop:
    """One run over the batches of a job, for one verb."""

    def __init__(self, session: Session, job: Job, options: LoopOptions, executor: Executor | None = None) -> None:
        """Prepare a run.

        Args:
            session: What to work with.
            job: The job, which is read anew before each step.
            options: What the run may do.
            executor: Performs the steps; whoever made it closes it. None: the loop makes one with threads, and closes it.
        """
        self._session = session
        self._name = job.name
        self._options = options
        self._executor = executor
        self._poller = Poller(session)
        self._reconciler = Reconciler(session)
        # By the monotonic clock: setting the wall clock does not put off a poll.
        self._poll_due: float | None = None
        # Whether reading the list again cannot settle the unconfirmed batches: only time or a person can.
        self._is_reconciling_exhausted = False
        # How many batches were fetched when the limit was last checked.
        self._fetched_count = 0
        # Why results could not be verified, by the id of their batch. They do not stop the other batches.
        self._unverified: dict[int, BatchctlError] = {}

    def run(self) -> None:
        """Take steps until this verb has none left. Raises Stopped, UnconfirmedProblem, and what a step raises."""
        self._session.stop.is_gentle = True
        try:
            if self._executor is not None:
                self._run(self._executor)
                return
            with ThreadExecutor(self._session) as executor:
                self._run(executor)
        finally:
            self._session.stop.is_gentle = False

    def _run(self, executor: Executor) -> None:
        while True:
            if self._session.stop.is_set():
                raise Stopped
            steps = next_steps(self._snapshot(), self._options.arrows, self._session.now())
            match steps:
                case ():
                    self._raise_if_held()
                    for problem in self._unverified.values():
                        raise problem
                    return
                case (WaitUntil() as wait,):
                    self._raise_if_reconciling_is_exhausted()
                    if not self._options.waits:
                        return
                    self._session.emit(Waiting(wait.at, wait.why))
                    if self._session.clock.wait_until(wait.at, self._session.stop):
                        raise Stopped
                case _:
                    self._take(steps, executor)

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

    def _take(self, steps: Sequence[Step], executor: Executor) -> None:
        sends = any(isinstance(step, Send) for step in steps)
        # A copy of the workspace is noticed before anything is sent, and before a batch that it sent is taken for a foreign one.
        if (sends or isinstance(steps[0], Reconcile)) and not self._prepare_to_send(sends=sends):
            return
        job = self._session.ledger.job(self._name)
        tasks: list[Task] = []
        for step in steps:
            match step:
                case Reconcile(batches):
                    self._is_reconciling_exhausted = not self._reconciler.reconcile(job, batches)
                case Poll(batches):
                    self._poll_due = self._session.clock.monotonic() + self._poller.poll(job, batches)
                case Cancel():
                    tasks.append(Task(job.name, step))
                    self._poll_due = None
                case Send() | Download():
                    tasks.append(Task(job.name, step))
                case WaitUntil():
                    pass
        for performed in executor.run(tasks) if tasks else ():
            if performed.unverified is not None:
                self._unverified[performed.task.step.batch.id] = performed.unverified

    def _prepare_to_send(self, *, sends: bool) -> bool:
        """Check account, copies of the workspace and limit before batches are created or searched for.

        Return False where the loop starts over: after a wait, or where batches have become unconfirmed that come first.
        """
        session = self._session
        job = session.ledger.job(self._name)
        try:
            may_go_on = self._check_account_and_copies(job)
        except AccountProblem as problem:
            if sends:
                session.ledger.record_pause(job, why_stopped(problem))
            raise
        if not may_go_on:
            return False
        batches = session.ledger.batches(job)
        fetched_count = sum(b.state is State.FETCHED for b in batches)
        if sends and fetched_count != self._fetched_count:
            check_limit_again(session, job, DEARER_THAN_ESTIMATED)
            self._fetched_count = fetched_count
        refuse_other_account(session, [b for b in batches if b.state is State.SUBMITTING and b.claim is None])
        return True

    def _check_account_and_copies(self, job: Job) -> bool:
        """Ask the API for the account and for what a copy of the workspace has sent. Return as `check_copies` does.

        Raises AccountProblem, also for a refusal by the API. Waits and returns False after a transient error.
        """
        session = self._session
        try:
            session.server.meet()
            return check_copies(session, job)
        except ApiFailure as failure:
            pause = self._poller.failed(failure)
            session.clock.wait_until(session.now() + timedelta(seconds=pause), session.stop)
            return False

    def _raise_if_reconciling_is_exhausted(self) -> None:
        """Raise UnconfirmedProblem where only unconfirmed batches are left, and no further read tells more of them."""
        if not self._is_reconciling_exhausted:
            return
        batches = self._sent_batches()
        unconfirmed = [b for b in batches if b.state is State.SUBMITTING]
        job = self._session.ledger.job(self._name)
        if unconfirmed and is_all_else_done(job, batches, self._options.arrows, self._session.now()):
            raise UnconfirmedProblem(
                f"{of_total(len(unconfirmed), len(batches), 'batch')}: {unconfirmed[0].note}",
                hint=f"nothing is sent twice; review and decide: batchctl resolve {self._name}",
            )

    def _raise_if_held(self) -> None:
        """Raise UnconfirmedProblem for results on the disk of which only a person can say whether they are ours."""
        batches = self._sent_batches()
        held = [b for b in batches if b.held]
        if held and Arrow.DOWNLOAD in self._options.arrows:
            raise UnconfirmedProblem(
                f"{of_total(len(held), len(batches), 'batch')} may belong to another job: {held[0].held}",
                hint=f"review and decide: batchctl resolve {self._name}",
            )

    def _sent_batches(self) -> list[Batch]:
        ledger = self._session.ledger
        return [b for b in ledger.batches(ledger.job(self._name)) if not b.is_unattached]
