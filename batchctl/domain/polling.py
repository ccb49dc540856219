"""When to ask again. Chance comes in as `draw`, a number from 0 to 1."""

FIRST_LOOK_SECONDS = 10.0
LAST_LOOK_SECONDS = 60.0
LATE_AFTER_SECONDS = 3600.0
LATE_LOOK_SECONDS = 180.0
BACKOFF_SECONDS = 60.0
# Growth ends long before: a power of a job that waits for days does not fit into a float.
MOST_DOUBLINGS = 20
# Consecutive failures without an answer in between, after which waiting on is a person's decision.
GIVE_UP_AFTER = 6
# Downloads of a batch before a line that cannot be read counts as what the API has for its request.
READ_AGAIN = 2


def look_pause(looks: int, watched: float, hint: float | None, draw: float) -> float:
    """Seconds until the next look: the server's `retry-after` if it gave one, else 10 s growing to 60 s.

    `watched`: seconds since the first look. After the first hour none comes within three minutes, whatever was said: what
    takes long may take a day.
    """
    base = hint or min(LAST_LOOK_SECONDS, FIRST_LOOK_SECONDS * 1.4 ** min(looks, MOST_DOUBLINGS))
    if watched >= LATE_AFTER_SECONDS:
        base = max(base, LATE_LOOK_SECONDS)
    return base * (1.0 + 0.1 * draw)


def backoff(failures: int, retry_after: float | None, draw: float) -> float:
    """Seconds until the next try after `failures` in a row; a server's `retry-after` is a lower bound, never shortened."""
    own = min(BACKOFF_SECONDS, 1.0 * 2.0 ** min(max(0, failures - 1), MOST_DOUBLINGS)) * (0.75 + 0.5 * draw)
    return own if retry_after is None else retry_after + draw
