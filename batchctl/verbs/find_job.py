"""The job that a person means by a word."""

from batchctl.domain.attaching import is_id
from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import Job
from batchctl.ledger.protocol import ReadLedger

LAST = "@last"


def find_job(ledger: ReadLedger, word: str | None, *, may_be_file: bool = False) -> Job:
    """Return the job of a name, of a unique beginning of one, or of the id of one of its batches.

    `@last` and None mean the latest job. `may_be_file`: the word may as well be a file that does not exist, and the error
    says so. Raises UsageProblem where no job or more than one is meant.
    """
    jobs = ledger.jobs()
    if not jobs:
        raise UsageProblem("this workspace holds no job yet", hint="batchctl submit INPUT.jsonl")
    if word is None or word == LAST:
        return jobs[-1]
    candidates = [job for job in jobs if job.name == word] or [job for job in jobs if job.name.startswith(word)]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        names = ", ".join(job.name for job in candidates[-5:])
        raise UsageProblem(f"{word!r} may be any of {len(candidates)} jobs: {names}", hint="type more of the name")
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


def find_named_job(ledger: ReadLedger, word: str) -> Job | None:
    """Return the job of this whole name, or the latest for `@last`; None where there is none.

    For verbs that send: the beginning of a name may be a mistyped file.
    """
    if word == LAST:
        return find_job(ledger, word)
    return next((job for job in ledger.jobs() if job.name == word), None)
