"""`run INPUT|JOB`: everything, until nothing is left that can succeed.

1. find      the job, or make one, as `submit` does
2. send, poll and download, as batches end
3. merge
4. plan      the next round of what failed for a passing reason, as `retry` does, and begin again with 2, for so many rounds
Lines of an attached job that were never sent are left to a retry. There is nothing here that the other verbs do not do: a
stop at any instant is continued by any of them.
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.errors import AccountProblem, BatchctlError, InputProblem, Refused, ServiceProblem, UsageProblem
from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Job, State
from batchctl.engine.job_report import read_report
from batchctl.engine.loop import LoopOptions
from batchctl.engine.merge import Output
from batchctl.engine.next_steps import TO_ANSWERS, Arrow
from batchctl.engine.retry_choice import Choice
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import Budget
from batchctl.requests.inputs import STDIN
from batchctl.results.outputs import STDOUT
from batchctl.verbs.check_input import Submission
from batchctl.verbs.confirmation import Confirm
from batchctl.verbs.fetch import Fetched, finish_fetch, forget_what_is_gone, poll_once, take_steps
from batchctl.verbs.find_job import find_job
from batchctl.verbs.first_batch import send_first_batch
from batchctl.verbs.next_round import discard, pause_for_account, plan_round, rebuild
from batchctl.verbs.outputs import OutputOptions, checked_output
from batchctl.verbs.submit import continued_by, emit_rest, job_to_send, resume

# What was in no batch so far goes only after a person's word to its price, and to what may be paid for twice: by a retry.
BY_ITSELF = Choice(in_no_batch=False)


def run(
    session: Session,
    wanted: Submission,
    files: OutputOptions,
    stdin: BinaryIO | None,
    *,
    max_rounds: int,
    confirm: Confirm,
    watch: Callable[[JobReport, str], None],
    begin: Callable[[Job], object] = lambda _: None,
) -> Fetched:
    """Bring a job from wherever it stands to its end.

    Args:
        session: The session of the verb.
        wanted: What `submit` is asked for; its path may name a job as `fetch` takes it.
        files: Where the answers are written.
        stdin: Holds the input where its path is `-`.
        max_rounds: How many rounds the job may have, over its whole life.
        confirm: Asks a person about the price of a new job. Later rounds are compared with the limit alone.
        begin: Receives the job once it is there, before anything of it is sent.
        watch: Receives the job, and the file of its results, before it is sent on.

    Raises:
        BatchctlError: What `submit` and `fetch` raise, where nothing could be fetched; else it is in what is returned.
    """
    if wanted.path != STDIN and not Path(wanted.path).exists() and session.ledger.jobs():
        job, is_new = find_job(session.ledger, wanted.path, may_be_file=True), False
    else:
        job, is_new = job_to_send(session, replace(wanted, goes_on=True), stdin, confirm)
    # The same command with --again would send, and pay for, the input once more.
    with continued_by(f"batchctl run {job.name}" if wanted.again else ""):
        begin(job)
        job = resume(session, job, wanted, confirm, is_new=is_new)
        if not is_new:
            emit_rest(session, job)
        output = checked_output(session, job, files)
        watch(read_report(session, job), output.results)
        try:
            job = send_first_batch(session, job, waits=True, yes=wanted.budget.yes)
        except (AccountProblem, Refused) as stopping:
            if not any(b.state is State.FETCHED for b in session.ledger.batches(job)):
                raise
            # What was answered so far is written all the same.
            return finish_fetch(session, job, output, stopping)
        return run_job(session, job, output, max_rounds=max_rounds, yes=wanted.budget.yes)


def run_job(session: Session, job: Job, output: Output, *, max_rounds: int, yes: bool) -> Fetched:
    """Send, poll, download and merge, round after round.

    `max_rounds` counts over the whole life of the job. Each round is compared with the limit that the job has by then; `yes` agrees
    to a price that cannot be known. Raises as `Loop.run` does.
    """
    forget_what_is_gone(session, job)
    while True:
        session.ledger.record_pause(job, "")
        problem = _take_all_steps(session, job)
        # What went to stdout cannot be taken back: there, only the newest outcome of every request is written.
        fetched = None if output.results == STDOUT else finish_fetch(session, job, output, problem)
        try:
            again = _next_round(session, job, max_rounds, Budget(yes=yes)) if problem is None else None
        except (AccountProblem, InputProblem, Refused, UsageProblem) as stopping:
            return replace(fetched or finish_fetch(session, job, output, None), problem=stopping)
        if again is None:
            return fetched or finish_fetch(session, job, output, problem)
        job = again


def _take_all_steps(session: Session, job: Job) -> BatchctlError | None:
    """Take every step there is. What the API refuses ends the sending; what was sent is fetched all the same."""
    try:
        problem = take_steps(session, job, LoopOptions(arrows=TO_ANSWERS))
    except (AccountProblem, Refused) as stopping:
        # A person is waited for, and is told at once: what runs is left to run.
        if not _downloaded_what_has_ended(session, job):
            raise
        return stopping
    if isinstance(problem, ServiceProblem | InputProblem):
        take_steps(session, job, LoopOptions(arrows=TO_ANSWERS - {Arrow.SEND}))
    return problem


def _downloaded_what_has_ended(session: Session, job: Job) -> bool:
    """Return whether any results are on the disk, after one poll, if the account allows it."""
    with contextlib.suppress(AccountProblem, ServiceProblem):
        poll_once(session, job)
        take_steps(session, job, LoopOptions(arrows=frozenset({Arrow.DOWNLOAD})))
    return any(b.state is State.FETCHED for b in session.ledger.batches(job))


def _next_round(session: Session, job: Job, max_rounds: int, budget: Budget) -> Job | None:
    """Return the job with another round to send; None where there is none. Raises Refused where it may cost too much."""
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
            budget.enforce_rest(session, job)
            return job
        if job.sendings >= max_rounds or any(not b.is_settled for b in batches):
            return None
        if any(b.is_removed for b in batches):
            # Their requests were paid for, and stand among those without an answer: to pay for them again takes a person's word.
            return None
        rebuilt = rebuild(session, job, BY_ITSELF)
        pause_for_account(session, job, rebuilt, BY_ITSELF)
        if not rebuilt.chosen.requests:
            discard(session, job, rebuilt)
            return None
        return plan_round(session, job, rebuilt, budget)
