"""A disk that goes wrong: the operating system's calls under one folder fail from the n-th on, as a full or broken disk
lets them fail; and a ledger whose commits fail as SQLite's do.
"""

import contextlib
import errno
import io
import os
import sqlite3.dbapi2
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# What a full disk still lets one do: open what is there, remove, lock.
CALLS_OF: dict[int, frozenset[str]] = {
    errno.ENOSPC: frozenset({"create", "write", "fsync", "rename", "link", "mkdir"}),
    errno.EDQUOT: frozenset({"create", "write", "fsync", "rename", "link", "mkdir"}),
    errno.EIO: frozenset({"create", "write", "fsync", "rename", "link", "mkdir"}),
    errno.EROFS: frozenset({"create", "write", "rename", "link", "mkdir", "unlink"}),
    errno.EFBIG: frozenset({"write"}),
    errno.EMFILE: frozenset({"create", "open"}),
}


class PlayedDisk:
    """Counts the calls that can fail; from the `at`-th on, `times` of them do (0: all, until `fix`)."""

    def __init__(
        self, folder: Path, number: int, *, at: int = 1, times: int = 0, calls: frozenset[str] | None = None
    ) -> None:
        self._folder = os.path.realpath(folder)
        self._number = number
        self._calls = CALLS_OF[number] if calls is None else calls
        self._at, self._times = at, times
        self._is_mended = False
        self.met: Counter[str] = Counter()
        self.struck = 0

    @property
    def count(self) -> int:
        return sum(self.met.values())

    def fix(self) -> None:
        self._is_mended = True

    def meet(self, call: str, path: object) -> None:
        """Raises OSError where this call fails."""
        where = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        if call not in self._calls or not where.startswith(self._folder) or self._is_mended:
            return
        self.met[call] += 1
        if self.count >= self._at and (not self._times or self.struck < self._times):
            self.struck += 1
            # Who was given a handle and no path is told of none.
            named = () if call in {"write", "fsync"} else (where,)
            raise OSError(self._number, os.strerror(self._number), *named)


def _of_handle(handle: int) -> str:
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/self/fd/{handle}").readlink())
    return ""


class _Raw(io.FileIO):
    disk: PlayedDisk

    def write(self, piece: Any) -> int:
        self.disk.meet("write", _of_handle(self.fileno()))
        return super().write(piece)


@contextlib.contextmanager
def played(disk: PlayedDisk) -> Iterator[PlayedDisk]:
    with pytest.MonkeyPatch.context() as system:
        _play(disk, system)
        yield disk


def _play(disk: PlayedDisk, system: pytest.MonkeyPatch) -> None:
    opens, really = os.open, io.open

    def open_handle(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if not flags & os.O_DIRECTORY:
            disk.meet("create" if flags & WRITING else "open", path)
        return opens(path, flags, *more, **named)

    def open_file(file: Any, mode: str = "r", buffering: int = -1, *more: Any, **named: Any) -> Any:
        if isinstance(file, int) and mode == "wb":
            raw = _Raw(file, mode)
            raw.disk = disk
            return io.BufferedWriter(raw, buffering if buffering > 0 else io.DEFAULT_BUFFER_SIZE)
        if not isinstance(file, int):
            disk.meet("create" if set(mode) & set("wxa+") else "open", file)
        return really(file, mode, buffering, *more, **named)

    system.setattr(os, "open", open_handle)
    system.setattr(io, "open", open_file)
    for name, call in (("replace", "rename"), ("rename", "rename"), ("link", "link")):
        system.setattr(os, name, _met(disk, call, getattr(os, name), at=1))
    for name in ("mkdir", "unlink"):
        system.setattr(os, name, _met(disk, name, getattr(os, name), at=0))
    syncs = os.fsync

    def fsync(handle: int) -> None:
        disk.meet("fsync", _of_handle(handle))
        syncs(handle)

    system.setattr(os, "fsync", fsync)


def _met(disk: PlayedDisk, call: str, real: Callable[..., Any], *, at: int) -> Callable[..., Any]:
    def asked(*given: Any, **named: Any) -> Any:
        disk.meet(call, given[at])
        return real(*given, **named)

    return asked


class PlayedLedger:
    """Commits fail from the `at`-th on, `times` of them (0: all, until `fix`), with SQLite's own words."""

    def __init__(self, said: str, *, at: int = 1, times: int = 0) -> None:
        self._said = said
        self._at, self._times = at, times
        self._is_mended = False
        self.count = self.struck = 0

    def fix(self) -> None:
        self._is_mended = True

    def meet(self) -> None:
        if self._is_mended:
            return
        self.count += 1
        if self.count >= self._at and (not self._times or self.struck < self._times):
            self.struck += 1
            raise sqlite3.dbapi2.OperationalError(self._said)


@contextlib.contextmanager
def played_ledger(ledger: PlayedLedger) -> Iterator[PlayedLedger]:
    connects = sqlite3.dbapi2.connect

    class Connection(sqlite3.dbapi2.Connection):
        def commit(self) -> None:
            if self.in_transaction:
                ledger.meet()
            super().commit()

    def connect(*given: Any, **named: Any) -> Any:
        return connects(*given, factory=Connection, **named)

    with pytest.MonkeyPatch.context() as system:
        system.setattr(sqlite3.dbapi2, "connect", connect)
        yield ledger
