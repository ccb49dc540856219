"""What time the emulator says it is: real time, run faster or jumped ahead, so that a day passes within a test."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

HOUR = 3600.0
DAY = 24 * HOUR


class VirtualClock:
    """Starts at the real time and runs at `speed` virtual seconds per real second; it never goes back."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._origin = time.time()  # noqa: TID251 - virtual time starts where real time is
        self._started = time.monotonic()
        self._jumped = 0.0

    def now(self) -> float:
        """Virtual seconds since the Unix epoch."""
        return self._origin + self._jumped + (time.monotonic() - self._started) * self.speed

    def advance(self, seconds: float) -> None:
        """Move the clock ahead."""
        self._jumped += seconds


def rfc3339(at: float) -> str:
    """The API's timestamp: UTC, microseconds, `Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def next_month(at: float) -> str:
    """The first day of the next month, as a text."""
    first = datetime.fromtimestamp(at, UTC).replace(day=1)
    return f"{first + timedelta(days=31):%Y-%m}-01"


def http_date(at: float) -> str:
    """Return a time as the `Date` header writes it."""
    return formatdate(at, usegmt=True)
