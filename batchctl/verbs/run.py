"""`run INPUT|JOB`: everything, until nothing is left that can succeed.

Send, watch, download as batches end, merge, and send again what failed for a passing reason, for so many rounds. Lines of an
attached job that were never sent are left to a retry. There is nothing here that the other verbs do not do: a stop at any
instant is continued by any of them.
"""

import contextlib
from dataclasses import replace

from batchctl.domain.errors import AccountProblem, BatchctlError, InputProblem, Refused, ServiceProblem, UsageProblem
from batchctl.domain.model import Job, State
from batchctl.engine.choosing import Choice
from batchctl.engine.loop import Verb
from batchctl.engine.merge import Output
from batchctl.engine.next_steps import Arrow
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import Budget
from batchctl.results.outputs import STDOUT
from batchctl.verbs import retry
from batchctl.verbs.fetch import Fetched, finish_fetch, forget_what_is_gone, poll_once, take_steps

ARROWS = frozenset({Arrow.SEND, Arrow.RECONCILE, Arrow.POLL, Arrow.DOWNLOAD})
# What was in no batch so far goes only after a person's word to its price, and to what may be paid for twice: by a retry.
BY_ITSELF = Choice(in_no_batch=False)


def run(session: Session, job: Job, output: Output, *, max_rounds: int, yes: bool) -> Fetched:
    """Rounds are counted over the whole life of the job. `yes`: to what cannot be told of their price.

    Each is held to the limit that the job has by then. Raises as `Loop.run` does.
    """
    forget_what_is_gone(session, job)
    while True:
        session.ledger.record_pause(job, "")
        problem = _go_through(session, job)
        # What went to stdout cannot be taken back: there, only the last word on every request is written.
        fetched = None if output.results == STDOUT else finish_fetch(session, job, output, problem)
        try:
            again = _next_round(session, job, max_rounds, Budget(yes=yes)) if problem is None else None
        except (AccountProblem, InputProblem, Refused, UsageProblem) as stopping:
            return replace(fetched or finish_fetch(session, job, output, None), problem=stopping)
        if again is None:
            return fetched or finish_fetch(session, job, output, problem)
        job = again


def _go_through(session: Session, job: Job) -> BatchctlError | None:
    """Every step there is. What the API refuses ends the sending; what was sent is brought home all the same."""
    try:
        problem = take_steps(session, job, Verb(arrows=ARROWS))
    except (AccountProblem, Refused) as stopping:
        # A person is waited for, and is told at once: what runs is left to run.
        if not _downloaded_what_has_ended(session, job):
            raise
        return stopping
    if isinstance(problem, ServiceProblem | InputProblem):
        take_steps(session, job, Verb(arrows=ARROWS - {Arrow.SEND}))
    return problem


def _downloaded_what_has_ended(session: Session, job: Job) -> bool:
    """Whether any results are on the disk then. The API is asked once, if the account may still ask."""
    with contextlib.suppress(AccountProblem, ServiceProblem):
        poll_once(session, job)
        take_steps(session, job, Verb(arrows=frozenset({Arrow.DOWNLOAD})))
    return any(b.state is State.FETCHED for b in session.ledger.batches(job))


def _next_round(session: Session, job: Job, max_rounds: int, budget: Budget) -> Job | None:
    """The job with another round to send; None where there is none. Raises Refused where it may cost too much."""
    if not job.has_requests:
        return None
    with session.workspace.planning():
        job = session.ledger.job(job.name)
        budget = budget.of(job)
        batches = session.ledger.batches(job)
        if job.canceled_at is not None:
            return None
        now = session.now()
        if any(not b.is_settled and not b.is_lost(now) for b in batches):
            # Another process planned it meanwhile, or has sent it already.
            budget.hold_rest(session, job)
            return job
        if len(job.rounds) >= max_rounds or any(not b.is_settled for b in batches):
            return None
        if any(b.is_removed for b in batches):
            # Their requests were paid for, and stand among those without an answer: to pay for them again takes a person's word.
            return None
        rebuilt = retry.rebuild(session, job, BY_ITSELF)
        if not rebuilt.chosen.requests or retry.account_is_cause(rebuilt.chosen, BY_ITSELF):
            retry.discard(session, job, rebuilt, keeps_file=False)
            retry.pause_for_account(session, job, rebuilt.chosen, BY_ITSELF)
            return None
        return retry.record(
            session, job, retry.agreed(session, job, rebuilt, lambda of: budget.agreed(session, of, job))
        )
