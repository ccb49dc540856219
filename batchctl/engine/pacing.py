"""The rules of pacing (pure): pauses between polls and tries, and how many requests are in the API's queue at once.

How many the queue takes is learned from its refusals, so that a batch is not uploaded just to be refused.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from batchctl.domain.errors import ApiFailure
from batchctl.domain.model import Batch, Job, State

# The pause between two polls grows from the first to the last; after so long, at least the late one is kept.
FIRST_POLL_SECONDS = 10.0
LAST_POLL_SECONDS = 60.0
LATE_AFTER_SECONDS = 3600.0
LATE_POLL_SECONDS = 180.0
BACKOFF_SECONDS = 60.0
# Pauses stop growing long before. The exponent is bounded because that of a job that waits for days would overflow a float.
MAX_DOUBLINGS = 20
# Consecutive failed downloads of a batch after which the command stops, and a person decides whether to try again.
GIVE_UP_AFTER = 6
# Downloads of a batch that are repeated because of an unreadable line. After them, the line counts as what the API has.
MAX_REREADS = 2
# Other jobs of the organization share the queue, so a queue that was full may have room: after so long, one batch is tried.
TRY_MORE_AFTER = timedelta(minutes=10)


def poll_pause(polls: int, watched: float, hint: float | None, draw: float) -> float:
    """Return the seconds until the next poll: the server's `retry-after` if it gave one, else 10 s growing to 60 s.

    After the first hour at least three minutes, whatever the server says: such a batch may take a day.

    Args:
        polls: How many polls there were.
        watched: Seconds since the first poll.
        hint: Seconds that the server asked to wait, if it did.
        draw: A random number from 0 to 1, which spreads the polls of several processes.
    """
    base = hint or min(LAST_POLL_SECONDS, FIRST_POLL_SECONDS * 1.4 ** min(polls, MAX_DOUBLINGS))
    if watched >= LATE_AFTER_SECONDS:
        base = max(base, LATE_POLL_SECONDS)
    return base * (1.0 + 0.1 * draw)


def backoff(failures: int, retry_after: float | None, draw: float) -> float:
    """Return the seconds until the next try after so many failures in a row: 1 s doubling to 60 s, with jitter.

    A server's `retry_after` replaces that and is never shortened. `draw`: a random number from 0 to 1.
    """
    if retry_after is not None:
        return retry_after + draw
    return min(BACKOFF_SECONDS, 1.0 * 2.0 ** min(max(0, failures - 1), MAX_DOUBLINGS)) * (0.75 + 0.5 * draw)


def under_way(batches: Sequence[Batch]) -> int:
    """Return how many requests are in the API's queue, or may be: those of running batches and of creates without outcome."""
    return sum(b.count for b in batches if b.is_running or b.state is State.SUBMITTING)


def is_queue_full(failure: ApiFailure, tries: int) -> bool:
    """Return whether a 429 means a full queue: it says so, or comes again after its pause, as that of a short burst would not.

    The text of such an answer is not documented. `tries`: creates of the batch that were refused before.
    """
    if failure.status != 429 or failure.error_code == "ramp_limit_exceeded":
        return False
    return "queue" in failure.message.lower() or tries > 0


def admitted(job: Job, planned: Sequence[Batch], batches: Sequence[Batch], now: datetime) -> list[Batch]:
    """Return the first of the planned batches, as many as the queue has room for as far as is known.

    All of them where the queue has never refused a batch of the job. At least one where nothing is in the queue, or where the
    last refusal is ten minutes ago. `batches`: all batches of the job.
    """
    if job.window is None:
        return list(planned)
    queued = under_way(batches)
    chosen: list[Batch] = []
    for batch in planned:
        if queued + batch.count > job.window:
            break
        queued += batch.count
        chosen.append(batch)
    is_try_due = job.window_at is None or abs(now - job.window_at) >= TRY_MORE_AFTER
    return chosen or list(planned[:1] if is_try_due or not queued else ())
