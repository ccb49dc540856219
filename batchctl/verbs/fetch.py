"""`fetch [JOB]`: downloads every ended batch, verifies it, and merges the answers. A second run downloads what is missing."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from batchctl.domain.errors import ApiFailure, BatchctlError, InputProblem, ServiceProblem, UnconfirmedProblem
from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Job, Merged, State
from batchctl.engine.duplicates import notice_duplicates
from batchctl.engine.executor import Executor
from batchctl.engine.job_report import read_report
from batchctl.engine.loop import Loop, LoopOptions
from batchctl.engine.merge import Output, merge
from batchctl.engine.next_steps import Arrow
from batchctl.engine.poll import ask_until_answered, poll, raise_unless_passing
from batchctl.engine.process_executor import executor_for
from batchctl.engine.session import Session
from batchctl.results.downloaded import is_on_disk
from batchctl.verbs.find_job import find_job
from batchctl.verbs.headers import use_api_version
from batchctl.verbs.outputs import OutputOptions, checked_output
from batchctl.verbs.submit import use_moved_input


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A job after a fetch, and where its answers are.

    `problem` says why some results could not be had; None where all could. What could be had is in the files all the same.
    """

    report: JobReport
    merged: Merged
    output: Output
    problem: BatchctlError | None


def fetch(
    session: Session,
    word: str | None,
    files: OutputOptions,
    moved_to: str = "",
    begin: Callable[[Job], object] = lambda _: None,
) -> Fetched:
    """Download and merge the results of the job that a word means; `moved_to` says where its input is now.

    `begin` receives the job before anything is done.

    Raises UsageProblem and Refused before anything is downloaded, and AccountProblem and ServiceProblem where the API cannot
    be asked.
    """
    job = find_job(session.ledger, word)
    begin(job)
    job = use_moved_input(session, use_api_version(session, job), moved_to)
    return fetch_job(session, job, checked_output(session, job, files))


def fetch_job(session: Session, job: Job, output: Output) -> Fetched:
    """Download and merge. Results that cannot be had do not keep the others from the merged files."""
    forget_what_is_gone(session, job)
    with executor_for(session, job, at_once=True) as executor:
        ask_until_answered(session, partial(_poll_if_due, session, job))
        # An unconfirmed batch is looked for once more, never waited for and never sent from here.
        options = LoopOptions(arrows=frozenset({Arrow.DOWNLOAD, Arrow.RECONCILE}))
        problem = take_steps(session, job, options, executor)
    return finish_fetch(session, job, output, problem)


def _poll_if_due(session: Session, job: Job) -> None:
    # Without an answer, what is known to have ended can be downloaded all the same.
    failure = poll_once(session, job)
    if failure is not None and not any(b.state is State.ENDED for b in session.ledger.batches(job)):
        raise failure


def forget_what_is_gone(session: Session, job: Job) -> None:
    """Record as ended, to be downloaded again, each batch whose results are no longer on the disk as they were."""
    for batch in session.ledger.batches(job):
        raw, index = session.workspace.raw(job, batch), session.workspace.index(job, batch)
        if batch.state is State.FETCHED and not is_on_disk(raw, index, batch):
            session.ledger.record_files_missing(batch, session.now())


def take_steps(
    session: Session, job: Job, options: LoopOptions, executor: Executor | None = None
) -> BatchctlError | None:
    """Run the loop, and return the problem that kept some results from coming: it is raised once the others are merged.

    `executor`: performs the steps; None for one that is made and closed here.
    """
    if executor is None:
        with executor_for(session, job) as made:
            return take_steps(session, job, options, made)
    try:
        Loop(session, job, options, executor).run()
    except (ServiceProblem, UnconfirmedProblem, InputProblem) as problem:
        return problem
    return None


def finish_fetch(session: Session, job: Job, output: Output, problem: BatchctlError | None) -> Fetched:
    """Merge what is on the disk; `problem` goes into what is returned."""
    notice_duplicates(session, job)
    merged = merge(session, session.ledger.job(job.name), output)
    return Fetched(report=read_report(session, job), merged=merged, output=output, problem=problem)


def poll_once(session: Session, job: Job) -> ApiFailure | None:
    """Poll the running batches once, and return the transient error that kept the API from answering, if one did.

    Raises AccountProblem and ServiceProblem for other errors.
    """
    running = [b for b in session.ledger.batches(job) if b.is_running]
    if not running:
        return None
    try:
        poll(session, job, running)
    except ApiFailure as failure:
        raise_unless_passing(failure)
        return failure
    return None
