"""Reports of jobs, read from the ledger and the disk: the API is not called, and nothing is written."""

import heapq
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from batchctl.domain.errors import DiskProblem
from batchctl.domain.job_report import JobReport, report
from batchctl.domain.model import Batch, Job, Purpose
from batchctl.engine.session import ReadSession
from batchctl.store.line_maps import read_line_map


def read_report(session: ReadSession, job: Job) -> JobReport:
    """Return the report of a job as the ledger has it now."""
    current = session.ledger.job(job.name)
    batches = session.ledger.batches(current)
    failures = session.ledger.failures(current)
    return report(current, batches, failures, session.now(), in_no_batch(session, current, batches))


def read_all_reports(session: ReadSession) -> list[JobReport]:
    """Return the report of every job of the workspace."""
    return [read_report(session, job) for job in session.ledger.jobs()]


def in_no_batch(session: ReadSession, job: Job, batches: Sequence[Batch]) -> int:
    """Return how many requests of round 1 are neither in one of its batches nor in a later round.

    There are some in an attached job, and in one with a first batch.

    The line map beside the file of a round says which of them it sent; where it cannot be read, the round counts as having sent
    none.
    """
    unattached = [b for b in batches if b.is_unattached]
    first = first_unattached(unattached)
    if first is None:
        return 0
    count = sum(b.count for b in unattached)
    # The rounds that send the input of a job with a first batch have no request in common.
    of_input = [r for r in job.rounds[1:] if r.purpose is not Purpose.ORDINARY]
    left = count - sum(r.count for r in of_input)
    if not left or (of_input and len(of_input) == len(job.rounds) - 1):
        return left
    later = [(session.workspace.origins(session.workspace.resolve(r.request_file)), r.count) for r in job.rounds[1:]]
    sent = heapq.merge(*(_origins(path, count, first) for path, count in later))
    return count - sum(1 for _ in groupby(sent))


def first_unattached(batches: Sequence[Batch]) -> int | None:
    """Return the first position of round 1 whose request is in none of its batches; None where each is in one."""
    return min((b.cut.first for b in batches if b.is_unattached), default=None)


def _origins(path: Path, count: int, first: int) -> Iterator[int]:
    """Yield the positions in round 1 from `first` on that a later round sent, in rising order."""
    try:
        for run in read_line_map(path, count):
            yield from (origin for origin in run if origin >= first)
    except DiskProblem:
        return
