"""The job that a person means by a word."""

from collections.abc import Sequence
from difflib import get_close_matches

from batchctl.domain.attaching import is_id
from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import Job
from batchctl.domain.names import LAST
from batchctl.ledger.protocol import ReadLedger


def find_job(ledger: ReadLedger, word: str | None, *, may_be_file: bool = False) -> Job:
    """Return the job of a name, of a unique beginning of one, or of the id of one of its batches.

    `@last` and None mean the latest job. `may_be_file`: the word may as well be a file that does not exist, and the error
    says so. Raises UsageProblem where no job or more than one is meant.
    """
    jobs = ledger.jobs()
    if not jobs:
        raise UsageProblem("this workspace has no job", hint="batchctl submit INPUT.jsonl")
    if word is None or word == LAST:
        return jobs[-1]
    candidates = [job for job in jobs if job.name == word] or [job for job in jobs if job.name.startswith(word)]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        names = ", ".join(job.name for job in candidates[-5:])
        raise UsageProblem(f"{word!r} matches {len(candidates)} jobs: {names}", hint="type more of the name")
    job_id = ledger.job_id_of_message_batch(word) if is_id(word) else None
    by_batch = next((job for job in jobs if job.id == job_id), None)
    if by_batch is None:
        near = nearest_name(word, [job.name for job in jobs])
        message = f"{word}: no such file and no such job" if may_be_file else f"no such job: {word!r}"
        raise UsageProblem(
            f"{message}{f'; did you mean {near}?' if near else ''}",
            hint=f"batchctl status {near}" if near else "list the jobs: batchctl status",
        )
    return by_batch


def find_named_job(ledger: ReadLedger, word: str) -> Job | None:
    """Return the job of this whole name, or the latest for `@last`; None where there is none.

    For verbs that send: the beginning of a name may be a mistyped file.
    """
    if word == LAST:
        return find_job(ledger, word)
    return next((job for job in ledger.jobs() if job.name == word), None)


def nearest_name(word: str, names: Sequence[str]) -> str:
    """Return the name that was probably meant, by all of it or by its beginning; empty where none is near."""
    if not word:
        return ""
    meant = {name[: len(word)]: name for name in reversed(names)} | {name: name for name in names}
    near = get_close_matches(word, meant, n=1, cutoff=0.7)
    return meant[near[0]] if near else ""
