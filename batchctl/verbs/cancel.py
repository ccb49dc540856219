"""`cancel JOB`: nothing more is sent, what runs is ended early, and what was answered until then is brought home.

1. record   from here on no process sends anything of the job
2. settle   what is in doubt may be a batch; one that only its size and time name is left to a person
3. ask      each running batch is asked to end; it goes on until what has begun is finished
4. fetch    as always
A stop between any two of them is continued by the same command.
"""

from batchctl.domain.model import Job, State
from batchctl.engine.loop import Verb
from batchctl.engine.merge import Output
from batchctl.engine.next_steps import Arrow
from batchctl.engine.session import Session
from batchctl.verbs.fetch import Fetched, finish_fetch, forget_what_is_gone, take_steps

ARROWS = frozenset({Arrow.RECONCILE, Arrow.CANCEL, Arrow.POLL, Arrow.DOWNLOAD})
OPEN = frozenset({State.PLANNED, State.SUBMITTING, State.IN_PROGRESS, State.CANCELING})


def is_left(session: Session, job: Job) -> bool:
    """Whether there is anything to cancel, or a cancel to be finished: to its last download."""
    unfinished = OPEN if job.canceled_at is None else OPEN | {State.ENDED}
    return any(b.state in unfinished and not b.is_removed for b in session.ledger.batches(job))


def cancel(session: Session, job: Job, output: Output, *, waits: bool) -> Fetched:
    """Raises as `Loop.run` does."""
    forget_what_is_gone(session, job)
    if job.canceled_at is None:
        session.ledger.record_canceled(job, session.now())
    problem = take_steps(session, job, Verb(arrows=ARROWS, waits=waits))
    return finish_fetch(session, job, output, problem)
