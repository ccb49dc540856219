"""How much of a job the API's queue takes at once, learned from its refusals: a batch is not uploaded to be refused."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from batchctl.domain.errors import ApiFailure
from batchctl.domain.model import Batch, Job, State

FIRST_POLL_SECONDS = 10.0
LAST_POLL_SECONDS = 60.0
LATE_AFTER_SECONDS = 3600.0
LATE_POLL_SECONDS = 180.0
BACKOFF_SECONDS = 60.0
# Growth ends long before: a power of a job that waits for days does not fit into a float.
MOST_DOUBLINGS = 20
# Consecutive failures without an answer in between, after which waiting on is a person's decision.
GIVE_UP_AFTER = 6
# Downloads of a batch before a line that cannot be read counts as what the API has for its request.
MAX_REREADS = 2


def poll_pause(looks: int, watched: float, hint: float | None, draw: float) -> float:
    """Seconds until the next look: the server's `retry-after` if it gave one, else 10 s growing to 60 s.

    `watched`: seconds since the first look. After the first hour none comes within three minutes, whatever was said: what
    takes long may take a day.
    """
    base = hint or min(LAST_POLL_SECONDS, FIRST_POLL_SECONDS * 1.4 ** min(looks, MOST_DOUBLINGS))
    if watched >= LATE_AFTER_SECONDS:
        base = max(base, LATE_POLL_SECONDS)
    return base * (1.0 + 0.1 * draw)


def backoff(failures: int, retry_after: float | None, draw: float) -> float:
    """Seconds until the next try after `failures` in a row; a server's `retry-after` is a lower bound, never shortened."""
    own = min(BACKOFF_SECONDS, 1.0 * 2.0 ** min(max(0, failures - 1), MOST_DOUBLINGS)) * (0.75 + 0.5 * draw)
    return own if retry_after is None else retry_after + draw


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
