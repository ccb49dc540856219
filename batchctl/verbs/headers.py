"""Changes of a job's headers, for what is still to be sent.

What was sent, or may have been, keeps the headers of its create, which the ledger has with each batch. The change is one value
of the job, which every create reads in the transaction that records its intent, whichever process sends it.
"""

from batchctl.domain.errors import Refused
from batchctl.domain.events import HeadersChanged
from batchctl.domain.headers import NO_CHANGE, HeaderChange, changed_headers
from batchctl.domain.model import Headers, Job, State
from batchctl.engine.session import ApiSession, ReadSession, Session


def wanted_headers(session: ReadSession, job: Job, change: HeaderChange) -> Headers:
    """Return the headers of the job after a change. Raises UsageProblem for one that makes no sense."""
    if change == NO_CHANGE:
        return job.settings.headers
    return changed_headers(job, change, [batch.headers for batch in session.ledger.batches(job)])


def record_headers(session: Session, job: Job, headers: Headers) -> None:
    """Record the headers that creates have from here on.

    `job` is the job as it was when the change was checked. Raises Refused where its headers have changed since.
    """
    if headers == job.settings.headers:
        return
    if not session.ledger.record_headers(job, headers):
        raise Refused(
            f"the headers of {job.name} were changed by another process in the meantime; nothing was sent",
            hint=f"check them, then run the same command again: batchctl status {job.name} --json",
        )
    changed = session.ledger.job(job.name)
    keep = sum(
        batch.state is not State.PLANNED and not batch.is_unattached for batch in session.ledger.batches(changed)
    )
    session.emit(HeadersChanged(changed, keep))


def use_api_version(session: ApiSession, job: Job) -> Job:
    """Send the anthropic-version header of the job with every request from here on, and return the job."""
    session.message_batches.api_version = job.settings.api_version
    return job
