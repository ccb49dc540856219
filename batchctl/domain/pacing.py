"""How much of a job the API's queue takes at once, learned from its refusals: a batch is not uploaded to be refused."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from batchctl.domain.errors import ApiFailure
from batchctl.domain.model import Batch, Job, State

# Other jobs of the organization share the queue: what was full may have room, and is tried now and then.
TRY_MORE_AFTER = timedelta(minutes=10)


def under_way(batches: Sequence[Batch]) -> int:
    """Requests that stand in the API's queue, or may: sent, and not ended as far as we know."""
    return sum(b.count for b in batches if b.is_running or b.state is State.SUBMITTING)


def is_queue_full(failure: ApiFailure, tries: int) -> bool:
    """Whether a 429 speaks of the queue. Its text is not documented; one that comes again after its wait is no burst."""
    if failure.status != 429 or failure.error_code == "ramp_limit_exceeded":
        return False
    return "queue" in failure.message.lower() or tries > 0


def admitted(job: Job, planned: Sequence[Batch], batches: Sequence[Batch], now: datetime) -> list[Batch]:
    """Those of `planned` that the queue has room for, as far as is known, in order; all where it never refused one."""
    if job.window is None:
        return list(planned)
    taken = under_way(batches)
    chosen: list[Batch] = []
    for batch in planned:
        if taken + batch.count > job.window:
            break
        taken += batch.count
        chosen.append(batch)
    is_try_due = job.window_at is None or abs(now - job.window_at) >= TRY_MORE_AFTER
    return chosen or list(planned[:1] if is_try_due or not taken else ())
