"""Which job a person means."""

from batchctl.domain.attaching import is_id
from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import Job
from batchctl.ledger.reading import SqlReadLedger

LAST = "@last"


def find_job(ledger: SqlReadLedger, word: str | None, *, may_be_file: bool = False) -> Job:
    """By name, unique prefix of one, `@last` or nothing for the latest, or the id of one of its batches.

    `may_be_file`: the word may as well be a file that is not there.
    """
    jobs = ledger.jobs()
    if not jobs:
        raise UsageProblem("this workspace holds no job yet", hint="batchctl submit INPUT.jsonl")
    if word is None or word == LAST:
        return jobs[-1]
    found = matching(jobs, word)
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        names = ", ".join(job.name for job in found[-5:])
        raise UsageProblem(f"{word!r} may be any of {len(found)} jobs: {names}", hint="type more of the name")
    job_id = ledger.job_id_of_message_batch(word) if is_id(word) else None
    by_batch = next((job for job in jobs if job.id == job_id), None)
    if by_batch is None and may_be_file:
        raise UsageProblem(
            f"{word}: no such file, and no job is called so",
            hint="see the path; or batchctl status shows the jobs of this workspace",
        )
    if by_batch is None:
        raise UsageProblem(f"no job is called {word!r}", hint="batchctl status shows the jobs of this workspace")
    return by_batch


def find_whole(ledger: SqlReadLedger, word: str) -> Job | None:
    """By its whole name, or `@last`, for what sends: a mistyped file is no job. None where no job is called so."""
    if word == LAST:
        return find_job(ledger, word)
    return next((job for job in ledger.jobs() if job.name == word), None)


def matching(jobs: list[Job], word: str) -> list[Job]:
    """The one of that name, else all whose name begins with it."""
    exact = [job for job in jobs if job.name == word]
    return exact or [job for job in jobs if job.name.startswith(word)]
