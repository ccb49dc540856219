"""Where a batch ends: by the number of requests and by the bytes of the body, in the order of the input."""

from dataclasses import dataclass

from batchctl.domain.limits import CEILING_MAX_BYTES, CEILING_MAX_REQUESTS
from batchctl.domain.model import ENVELOPE_BYTES, Settings


@dataclass(frozen=True, slots=True)
class Extent:
    """The place of a cut: `count` requests from position `first` on, bytes `start` to before `end`."""

    first: int
    count: int
    start: int
    end: int


# The size is all that identifies a running batch, so sizes are varied: each is below the limit by fewer than MAX_SIZES
# requests, and by no more than the limit divided by SIZES_SHARE.
MAX_SIZES = 500
SIZES_SHARE = 20
MIN_FOR_SIZES = 1_000


def size_of(number: int, max_requests: int, size_start: int | None) -> int:
    """Return how many requests batch `number` of a job takes, from 0; the last of a round takes the rest.

    Each batch has a size of its own until all sizes are used up. `size_start` says which comes first, by chance for each job;
    None gives all batches one size.
    """
    if size_start is None or max_requests < MIN_FOR_SIZES:
        return max_requests
    sizes = min(MAX_SIZES, max_requests // SIZES_SHARE)
    return max_requests - (size_start + number) % sizes


class Cutter:
    """Takes the places of lines in file order and says where each cut ends; it holds one cut, never the lines."""

    def __init__(self, settings: Settings, first: int = 0) -> None:
        """`first`: how many batches the job has already."""
        self._settings = settings
        self._number = first
        self._max_requests = self._size()
        self._max_span = settings.max_bytes - ENVELOPE_BYTES
        self._first = self._count = self._start = self._end = 0

    def fits_alone(self, size: int) -> bool:
        """Return whether a batch can hold a line of `size` bytes."""
        return size <= self._max_span

    def add(self, start: int, end: int) -> Extent | None:
        """Take the line at bytes `start` to before `end`, where its newline is; return the cut that ended before it, if one did."""
        closed = None
        if self._count and (self._count == self._max_requests or end - self._start > self._max_span):
            closed = self.close()
        if not self._count:
            self._start = start
        self._count += 1
        self._end = end
        return closed

    def add_run(self, count: int, start: int, end: int) -> bool:
        """Take `count` lines at once; False, and take none, where the cut under way has no room for all of them."""
        begin = self._start if self._count else start
        if self._count + count > self._max_requests or end - begin > self._max_span:
            return False
        self._start, self._end = begin, end
        self._count += count
        return True

    def close(self) -> Extent | None:
        """End the cut under way and return it; None where it holds nothing."""
        if not self._count:
            return None
        closed = Extent(self._first, self._count, self._start, self._end)
        self._first += self._count
        self._count = 0
        self._number += 1
        self._max_requests = self._size()
        return closed

    def _size(self) -> int:
        return size_of(self._number, self._settings.max_requests, self._settings.size_start)


def limits_problem(max_requests: int, max_bytes: int) -> str:
    """Return why these limits cannot be used; empty where they can."""
    if not 1 <= max_requests <= CEILING_MAX_REQUESTS:
        return f"--max-requests must be 1 to {CEILING_MAX_REQUESTS:,}: the API accepts no more in one batch"
    if not 1_000 <= max_bytes <= CEILING_MAX_BYTES:
        return f"--max-bytes must be 1KB to {CEILING_MAX_BYTES // 1_000_000}MB: the API accepts 256 MB in one batch"
    return ""
