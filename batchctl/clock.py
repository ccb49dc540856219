"""What time it is, and waiting: the only reader of the wall clock."""

import random
import time
from datetime import UTC, datetime, timedelta

SLICE_SECONDS = 0.2


class Clock:
    """The wall clock. A wait ends early when the stop sign is set."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)  # noqa: TID251 - this is the one place

    def monotonic(self) -> float:
        """Seconds from some point, never backwards: for durations."""
        return time.monotonic()

    def draw(self) -> float:
        """A number from 0 to 1, for jitter."""
        return random.random()  # noqa: S311 - spreads requests in time, keeps no secret

    def wait_until(self, at: datetime, stop: "StopSign") -> bool:
        """True when it was stopped. In slices: a laptop that slept is late by the wall clock, not by a timer."""
        while not stop.is_set() and (left := at - self.now()) > timedelta():
            time.sleep(min(SLICE_SECONDS, left.total_seconds()))  # noqa: TID251 - as above
        return stop.is_set()


class StopSign:
    """Set from a signal handler or by the time, read everywhere. A plain flag: a lock taken in a handler waits for itself.

    `until`: when a run that was given a `--timeout` stops as if by Ctrl-C. `is_gentle`: somebody reads the sign and lets
    what is in flight finish; else the handler interrupts at once.
    """

    def __init__(self, clock: Clock | None = None, until: datetime | None = None) -> None:
        self._clock = clock or Clock()
        self._until = until
        self._is_set = False
        self.is_gentle = False

    def set(self) -> None:
        self._is_set = True

    def is_signaled(self) -> bool:
        return self._is_set

    def is_timed_out(self) -> bool:
        return not self._is_set and self.is_set()

    def is_set(self) -> bool:
        return self._is_set or (self._until is not None and self._clock.now() >= self._until)
