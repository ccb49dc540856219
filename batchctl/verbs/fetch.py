"""`fetch [JOB]`: every ended batch to the disk, verified; then the merged answers. Re-running brings only what is missing."""

from dataclasses import dataclass
from functools import partial

from batchctl.domain.errors import ApiFailure, BatchctlError, DoubtProblem, InputProblem, ServiceProblem
from batchctl.domain.job_report import JobReport
from batchctl.domain.model import Job, Merged, State
from batchctl.engine.duplicates import notice_surplus
from batchctl.engine.loop import Loop, Verb
from batchctl.engine.merge import Output, merge
from batchctl.engine.next_steps import Arrow
from batchctl.engine.poll import look, patiently, raise_unless_passing
from batchctl.engine.reports import report_of
from batchctl.engine.session import Equipment
from batchctl.results.receive import is_on_disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """`problem`: why some of it could not be had; what could is in the files all the same."""

    report: JobReport
    merged: Merged
    output: Output
    problem: BatchctlError | None


def fetch(tools: Equipment, job: Job, output: Output) -> Fetched:
    """Downloads and merges. Results that cannot be had do not keep the others from the merged files."""
    forget_what_is_gone(tools, job)
    patiently(tools, partial(_look_if_need_be, tools, job))
    # A doubt is looked for once more, never waited for and never sent from here.
    problem = take_steps(tools, job, Verb(arrows=frozenset({Arrow.DOWNLOAD, Arrow.SETTLE})))
    return brought_home(tools, job, output, problem)


def _look_if_need_be(tools: Equipment, job: Job) -> None:
    """No answer is none only where nothing is known to have ended: what has can be brought home meanwhile."""
    failure = look_once(tools, job)
    if failure is not None and not any(b.state is State.ENDED for b in tools.ledger.batches(job)):
        raise failure


def forget_what_is_gone(tools: Equipment, job: Job) -> None:
    """What is no longer on the disk as it was is downloaded again."""
    for batch in tools.ledger.batches(job):
        raw, index = tools.workspace.raw(job, batch), tools.workspace.index(job, batch)
        if batch.state is State.FETCHED and not is_on_disk(raw, index, batch):
            tools.ledger.record_gone(batch, tools.now())


def take_steps(tools: Equipment, job: Job, verb: Verb) -> BatchctlError | None:
    """Runs the loop; what could not be had is told at the end, after what could is in the files."""
    try:
        Loop(tools, job, verb).run()
    except (ServiceProblem, DoubtProblem, InputProblem) as problem:
        return problem
    return None


def brought_home(tools: Equipment, job: Job, output: Output, problem: BatchctlError | None) -> Fetched:
    """Merged from what is on the disk."""
    notice_surplus(tools, job)
    merged = merge(tools, tools.ledger.job(job.name), output)
    return Fetched(report=report_of(tools, job), merged=merged, output=output, problem=problem)


def look_once(tools: Equipment, job: Job) -> ApiFailure | None:
    """What kept the API from saying, if something passing did. Raises AccountProblem and ServiceProblem for the rest."""
    running = [b for b in tools.ledger.batches(job) if b.is_running]
    if not running:
        return None
    try:
        look(tools, job, running)
    except ApiFailure as failure:
        raise_unless_passing(failure)
        return failure
    return None
