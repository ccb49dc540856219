"""`fetch [JOB]`: every ended batch to the disk, verified; then the merged answers. Re-running brings only what is missing."""

from dataclasses import dataclass
from functools import partial

from batchctl.domain.errors import ApiFailure, BatchctlError, InputProblem, ServiceProblem, UnconfirmedProblem
from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Job, Merged, State
from batchctl.engine.duplicates import notice_duplicates
from batchctl.engine.loop import Loop, Verb
from batchctl.engine.merge import Output, merge
from batchctl.engine.next_steps import Arrow
from batchctl.engine.poll import patiently, poll, raise_unless_passing
from batchctl.engine.reports import report_of
from batchctl.engine.session import Session
from batchctl.results.downloaded import is_on_disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """`problem`: why some of it could not be had; what could is in the files all the same."""

    report: JobReport
    merged: Merged
    output: Output
    problem: BatchctlError | None


def fetch(session: Session, job: Job, output: Output) -> Fetched:
    """Downloads and merges. Results that cannot be had do not keep the others from the merged files."""
    forget_what_is_gone(session, job)
    patiently(session, partial(_poll_if_due, session, job))
    # A doubt is looked for once more, never waited for and never sent from here.
    problem = take_steps(session, job, Verb(arrows=frozenset({Arrow.DOWNLOAD, Arrow.RECONCILE})))
    return finish_fetch(session, job, output, problem)


def _poll_if_due(session: Session, job: Job) -> None:
    """No answer is none only where nothing is known to have ended: what has can be brought home meanwhile."""
    failure = poll_once(session, job)
    if failure is not None and not any(b.state is State.ENDED for b in session.ledger.batches(job)):
        raise failure


def forget_what_is_gone(session: Session, job: Job) -> None:
    """What is no longer on the disk as it was is downloaded again."""
    for batch in session.ledger.batches(job):
        raw, index = session.workspace.raw(job, batch), session.workspace.index(job, batch)
        if batch.state is State.FETCHED and not is_on_disk(raw, index, batch):
            session.ledger.record_files_missing(batch, session.now())


def take_steps(session: Session, job: Job, verb: Verb) -> BatchctlError | None:
    """Runs the loop; what could not be had is told at the end, after what could is in the files."""
    try:
        Loop(session, job, verb).run()
    except (ServiceProblem, UnconfirmedProblem, InputProblem) as problem:
        return problem
    return None


def finish_fetch(session: Session, job: Job, output: Output, problem: BatchctlError | None) -> Fetched:
    """Merged from what is on the disk."""
    notice_duplicates(session, job)
    merged = merge(session, session.ledger.job(job.name), output)
    return Fetched(report=report_of(session, job), merged=merged, output=output, problem=problem)


def poll_once(session: Session, job: Job) -> ApiFailure | None:
    """What kept the API from saying, if something passing did. Raises AccountProblem and ServiceProblem for the rest."""
    running = [b for b in session.ledger.batches(job) if b.is_running]
    if not running:
        return None
    try:
        poll(session, job, running)
    except ApiFailure as failure:
        raise_unless_passing(failure)
        return failure
    return None
