"""Where jobs stand, as the ledger has it: nobody is asked, and nothing is written."""

import heapq
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from batchctl.domain.errors import DiskProblem
from batchctl.domain.job_report import JobReport, report
from batchctl.domain.model import Batch, Job
from batchctl.engine.session import ReadSession
from batchctl.store.line_maps import read_line_map


def read_report(session: ReadSession, job: Job) -> JobReport:
    """The job as the ledger has it now."""
    current = session.ledger.job(job.name)
    batches = session.ledger.batches(current)
    failures = session.ledger.failures(current)
    return report(current, batches, failures, session.now(), in_no_batch(session, current, batches))


def read_all_reports(session: ReadSession) -> list[JobReport]:
    return [read_report(session, job) for job in session.ledger.jobs()]


def in_no_batch(session: ReadSession, job: Job, batches: Sequence[Batch]) -> int:
    """How many requests of an attached job are in none of its batches, nor in a later round.

    Which of them a round sent is in the numbers beside its file. Where these cannot be read it counts as none of them.
    """
    rest = [b for b in batches if b.is_unattached]
    if not rest:
        return 0
    first = first_unattached(rest)
    later = [(session.workspace.origins(session.workspace.resolve(r.request_file)), r.count) for r in job.rounds[1:]]
    sent = heapq.merge(*(_origins(path, count, first) for path, count in later))
    return sum(b.count for b in rest) - sum(1 for _ in groupby(sent))


def first_unattached(batches: Sequence[Batch]) -> int | None:
    """From which position in round 1 on its requests are in none of the attached batches; None where all are in one."""
    return min((b.cut.first for b in batches if b.is_unattached), default=None)


def _origins(path: Path, count: int, first: int | None) -> Iterator[int]:
    """Those from `first` on, which rise: they were laid down in the order in which they are read."""
    try:
        for run in read_line_map(path, count):
            yield from (origin for origin in run if first is not None and origin >= first)
    except DiskProblem:
        return
