"""What time it is, and waiting: the only reader of the wall clock."""

import random
import time
from datetime import UTC, datetime

SLICE_SECONDS = 0.2
# Linux stops its monotonic clock while the machine sleeps, but not this one; the monotonic clock of macOS goes on by itself.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock:
    """The wall clock. A wait ends early when the stop sign is set."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)  # noqa: TID251 - this is the one place

    def monotonic(self) -> float:
        """Seconds from some point, never backwards, and on through a sleep of the machine: for every duration."""
        return time.clock_gettime(_STEADY)

    def draw(self) -> float:
        """A number from 0 to 1, for jitter."""
        return random.random()  # noqa: S311 - spreads requests in time, keeps no secret

    def wait_until(self, at: datetime, stop: "StopSignal") -> bool:
        """True when it was stopped. By a clock that nobody sets: one that is put back in the middle makes no wait longer.

        In slices: after a sleep of the machine, a timer would still run.
        """
        end = self.monotonic() + (at - self.now()).total_seconds()
        while not stop.is_set() and (left := end - self.monotonic()) > 0:
            time.sleep(min(SLICE_SECONDS, left))  # noqa: TID251 - as above
        return stop.is_set()


class StopSignal:
    """Set from a signal handler or by the time, read everywhere. A plain flag: a lock taken in a handler waits for itself.

    `until`: the reading of `Clock.monotonic` at which a run that was given a `--timeout` stops as if by Ctrl-C. `is_gentle`: somebody reads the sign and lets
    what is in flight finish; else the handler interrupts at once.
    """

    def __init__(self, clock: Clock | None = None, until: float | None = None) -> None:
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
        return self._is_set or (self._until is not None and self._clock.monotonic() >= self._until)
