"""`cancel JOB`: nothing more is sent, what runs is ended early, and what was answered until then is fetched.

1. confirm     what is canceled does not come back
2. record      from here on no process sends anything of the job
3. reconcile   an unconfirmed batch may exist; one that only its size and time name is left to a person
4. cancel      each running batch is asked to end; it goes on until what has begun is finished
5. fetch       as always
A stop between any two of them is continued by the same command.
"""

from batchctl.domain.errors import Refused
from batchctl.domain.model import Job, State
from batchctl.domain.wording import plural
from batchctl.engine.loop import LoopOptions
from batchctl.engine.merge import Output
from batchctl.engine.next_steps import Arrow
from batchctl.engine.session import Session
from batchctl.verbs.confirmation import Confirm, Question
from batchctl.verbs.fetch import Fetched, finish_fetch, forget_what_is_gone, take_steps
from batchctl.verbs.find_job import find_job
from batchctl.verbs.headers import use_api_version
from batchctl.verbs.outputs import OutputOptions, checked_output

ARROWS = frozenset({Arrow.RECONCILE, Arrow.CANCEL, Arrow.POLL, Arrow.DOWNLOAD})
# To a cancel that was recorded, what has ended and is not downloaded belongs, too.
OPEN = frozenset({State.PLANNED, State.SUBMITTING, State.IN_PROGRESS, State.CANCELING})


def cancel(
    session: Session, word: str | None, files: OutputOptions, *, confirm: Confirm, waits: bool = True
) -> Fetched:
    """Cancel the job that a word means, and return what was fetched of it.

    `waits` says whether the end of the batches is waited for. Raises Refused where nothing is left to cancel, and where nobody
    says yes; else as `Loop.run` does.
    """
    job = use_api_version(session, find_job(session.ledger, word))
    unfinished = OPEN if job.canceled_at is None else OPEN | {State.ENDED}
    if not any(b.state in unfinished and not b.is_removed for b in session.ledger.batches(job)):
        raise Refused(f"{job.name}: nothing is running", hint=f"batchctl fetch {job.name}")
    output = checked_output(session, job, files)
    if job.canceled_at is None:
        batches = session.ledger.batches(job)
        running = [b for b in batches if b.is_running or b.state is State.SUBMITTING]
        planned = sum(b.state is State.PLANNED for b in batches)
        parts = f"{plural(len(running), 'batch')} in progress ({plural(sum(b.count for b in running), 'request')})"
        not_sent = f" and {plural(planned, 'batch')} not sent yet" if planned else ""
        confirm(Question(text=f"cancel {job.name}: {parts}{not_sent}?"))
    return cancel_job(session, job, output, waits=waits)


def cancel_job(session: Session, job: Job, output: Output, *, waits: bool) -> Fetched:
    """Take the steps. Raises as `Loop.run` does."""
    forget_what_is_gone(session, job)
    if job.canceled_at is None:
        session.ledger.record_canceled(job, session.now())
    problem = take_steps(session, job, LoopOptions(arrows=ARROWS, waits=waits))
    return finish_fetch(session, job, output, problem)
