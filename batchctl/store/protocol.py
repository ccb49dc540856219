"""The `Store` protocol: bytes under names, read by range and replaced as a whole.

A name is a relative POSIX path such as `jobs/reviews-1/left-out.jsonl`. The protocol asks only for what a folder and an S3
bucket both can do: there is no append and no rename, and a folder exists where a name lies in it. The conformance suite
`tests/store/test_conformance.py` holds for every implementation.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, NamedTuple, Protocol

from batchctl.domain.errors import DiskProblem


class NotStored(DiskProblem):
    """Nothing is stored under the name that was read."""


@dataclass(frozen=True, slots=True)
class Stat:
    """The size in bytes and the time of the last put, by the clock of the store."""

    size: int
    modified_at: datetime


class Versioned(NamedTuple):
    """Bytes and their version, read together: an opaque text such as an ETag, which differs wherever the bytes differ."""

    data: bytes
    version: str


class Store(Protocol):
    """Bytes under names.

    Every method raises UsageProblem for a name that would leave the store, and DiskProblem where the store fails.
    """

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes from offset `start` to before `end`, fewer where they end earlier. Raises NotStored."""

    def read_versioned(self, name: str) -> Versioned:
        """Return all bytes with the version that `put_if_unchanged` takes. Raises NotStored."""

    def stream(self, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the same bytes as `read` in pieces. A put that happens meanwhile does not show. Raises NotStored."""

    def put(self, name: str, data: bytes) -> str:
        """Store `data` under `name`, in place of what is there, and return its version.

        A reader, and a run after a crash, finds the old bytes or the new ones, never a part. Of two puts at once the
        later one stays.
        """

    def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Put where nothing is stored under `name`; return None, and change nothing, where something is."""

    def put_if_unchanged(self, name: str, data: bytes, version: str) -> str | None:
        """Put where `name` still has `version`; return None, and change nothing, where it has another one or is gone."""

    def writing(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Return a context that gives a file to write, which is put under `name` when the block ends without an error."""

    def stat(self, name: str) -> Stat | None:
        """Return size and time, or None where nothing is stored under `name`."""

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the names that begin with `prefix`, in the order of their characters, without unfinished puts."""

    def delete(self, name: str) -> None:
        """Remove `name`. It is no error when nothing is stored there."""
