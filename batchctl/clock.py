"""The clock: what time it is, how long something takes, and waiting. Nothing else reads the wall clock or sleeps."""

import random
import time
from datetime import UTC, datetime

# How soon a wait notices a stop.
SLICE_SECONDS = 0.2
# On Linux the monotonic clock stands still while the machine sleeps, and CLOCK_BOOTTIME does not. On macOS the former goes on.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock:
    """The wall clock, a steady clock, and waiting."""

    def now(self) -> datetime:
        """Return the time of day as an aware datetime in UTC. A person may set this clock."""
        return datetime.fromtimestamp(time.time(), UTC)  # noqa: TID251 - this is the one place

    def monotonic(self) -> float:
        """Return seconds since some point in the past, for durations.

        It never goes backwards, and it goes on while the machine sleeps.
        """
        return time.clock_gettime(_STEADY)

    def draw(self) -> float:
        """Return a random number from 0 to 1, for jitter."""
        return random.random()  # noqa: S311 - spreads requests in time, keeps no secret

    def wait_until(self, at: datetime, stop: "StopSignal") -> bool:
        """Wait until a time, or until `stop` is set; return whether it was set.

        The time left is measured with `monotonic`, so that setting the clock back makes no wait longer. It waits in slices: after
        a sleep of the machine, one long timer would still run.
        """
        end = self.monotonic() + (at - self.now()).total_seconds()
        while not stop.is_set() and (left := end - self.monotonic()) > 0:
            time.sleep(min(SLICE_SECONDS, left))  # noqa: TID251 - as above
        return stop.is_set()


class StopSignal:
    """Tells everything that waits or works to stop. A signal handler or the time sets it; anybody may read it.

    A plain flag: a lock that a signal handler takes may wait for the very thread that it interrupted.

    Attributes:
        is_gentle: Somebody reads the signal and lets what is in flight finish. Otherwise the handler interrupts at once.
    """

    def __init__(self, clock: Clock | None = None, until: float | None = None) -> None:
        """`until`: the reading of `Clock.monotonic` from which it is set by itself, as `--timeout` asks; None for never."""
        self._clock = clock or Clock()
        self._until = until
        self._is_set = False
        self.is_gentle = False

    def set(self) -> None:
        """Tell everything to stop."""
        self._is_set = True

    def is_signaled(self) -> bool:
        """Return whether a signal set it."""
        return self._is_set

    def is_timed_out(self) -> bool:
        """Return whether the time set it, and no signal did."""
        return not self._is_set and self.is_set()

    def is_set(self) -> bool:
        """Return whether to stop, for either reason."""
        return self._is_set or (self._until is not None and self._clock.monotonic() >= self._until)
