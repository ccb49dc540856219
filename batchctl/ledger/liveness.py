"""Owners: the processes that take steps, and whether they still run.

Each owner of this machine holds a lock on a file of its own for as long as it runs. The kernel releases the lock however the
process ends, so a free lock means a dead owner, at once and without guessing by process id. Locks cannot be asked of other
machines, nor on some network drives; there, an owner is alive as long as it renews its lease.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import socket
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from batchctl.domain.errors import LedgerProblem
from batchctl.ledger.machine import boot, machine

LEASE = timedelta(minutes=2)

_HINTS = {
    errno.ENOSPC: "free some disk space, then run the same command again; nothing is lost",
    errno.EDQUOT: "the disk quota is used up: free some space, then run the same command again",
    errno.EMFILE: "too many files are open: raise `ulimit -n`",
}


class Liveness(Protocol):
    """A way to know whether the process behind an owner's name still runs."""

    def announce(self, owner: str, now: datetime) -> contextlib.AbstractContextManager[object]:
        """Announce an owner as alive until the context is left or its process ends."""
        ...

    def renew(self, owner: str, now: datetime) -> None:
        """Give a sign of life: a heartbeat, due at least three times per LEASE."""
        ...

    def is_alive(self, owner: str, elapsed: float = 0.0) -> bool | None:
        """Return whether an owner runs; None where this way cannot know.

        Args:
            owner: Its name.
            elapsed: Seconds of a clock of the caller that nobody sets and that goes on while the machine sleeps.
        """
        ...


class FileLockLiveness:
    """Liveness by locked files in a folder: exact, and for owners on this machine only."""

    def __init__(self, folder: Path) -> None:
        """Use the locks in `folder`, which is made with the first owner."""
        self._folder = folder

    def announce(self, owner: str, now: datetime) -> "Owner":  # noqa: ARG002 - a lock needs no time
        """Hold a lock of that name while the context lasts."""
        return Owner(self._folder, owner)

    def announced(self) -> Iterator[str]:
        """Return the owners that have a lock file, alive or dead."""
        return (path.stem for path in self._folder.glob("*.lock"))

    def renew(self, owner: str, now: datetime) -> None:
        """Do nothing: a lock is held until its process ends."""

    def is_alive(self, owner: str, elapsed: float = 0.0) -> bool | None:  # noqa: ARG002 - a lock is exact at any time
        """Return whether an owner runs; None where its lock cannot be asked. The lock file of a dead owner is removed.

        A lock of another machine is not asked: a network drive may keep the locks of each machine to itself.
        """
        host, *where = owner.rsplit("-", 2)[0].split(".")
        # Without more than the host's name: of an older version.
        if (where[0] != machine()) if where else (host != _host()):
            return None
        path = self._folder / f"{owner}.lock"
        if where and boot() and where[1] != boot():
            # This machine was started again since: whatever held the lock is gone.
            with contextlib.suppress(OSError):
                path.unlink()
            return False
        try:
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None
        finally:
            os.close(lock)
        with contextlib.suppress(OSError):
            path.unlink()
        return False


class Leases(Protocol):
    """Where leases are kept: a ledger, whose claims are leases."""

    def renew(self, owner: str, now: datetime) -> None:
        """Let all leases of an owner end LEASE after `now`."""
        ...

    def holders(self) -> dict[str, datetime]:
        """Return the owners that have a lease, each with the latest end of its leases."""
        ...


class LeaseLiveness:
    """Liveness by leases that are renewed: for owners anywhere, and late by the length of a lease.

    The ends of leases come from the owners' clocks and are never compared with ours. An owner is dead when its lease did not
    change for LEASE of our own clock, counted from when this process first saw it so.
    """

    def __init__(self, leases: Leases) -> None:
        """Use the leases in `leases`."""
        self._leases = leases
        # The end of each lease as last read, and when that changed, by our clock.
        self._seen: dict[str, tuple[datetime, float]] = {}

    @contextlib.contextmanager
    def announce(self, owner: str, now: datetime) -> Iterator[None]:
        """Renew once. A claim is the lease, so an owner without a claim announces nothing."""
        self.renew(owner, now)
        yield

    def renew(self, owner: str, now: datetime) -> None:
        """Renew the leases of an owner."""
        self._leases.renew(owner, now)

    def is_alive(self, owner: str, elapsed: float = 0.0) -> bool | None:
        """Return whether an owner has renewed its lease lately; None where it has no lease."""
        until = self._leases.holders().get(owner)
        return None if until is None else self.is_renewed(owner, until, elapsed)

    def is_renewed(self, owner: str, until: datetime, elapsed: float) -> bool:
        """Return whether the lease of an owner, which ends at `until`, was renewed lately. `elapsed` as in `is_alive`."""
        seen = self._seen.get(owner)
        if seen is None or seen[0] != until:
            self._seen[owner] = seen = until, elapsed
        return elapsed - seen[1] < LEASE.total_seconds()

    def forget_all_but(self, holders: Collection[str]) -> None:
        """Forget what was seen of owners that hold no lease any more: a new one begins anew."""
        self._seen = {owner: seen for owner, seen in self._seen.items() if owner in holders}


class Owner:
    """This process, as the ledger names it. Use as a context manager.

    Attributes:
        name: Host, machine and start of the machine, then process id and a random part; at most 128 characters.
    """

    def __init__(self, folder: Path, name: str = "") -> None:
        """Choose a name, or take the given one. Locks are held in `folder`."""
        self.name = name or f"{_host()}.{machine()}.{boot()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._path = folder / f"{self.name}.lock"
        self._folder = folder
        self._lock = -1

    def __enter__(self) -> Self:
        """Hold the lock, and clear up after the dead.

        Raises:
            LedgerProblem: The folder cannot be written.
        """
        # Locked before it has its name: a file with an owner's name and no lock is a dead owner's.
        unnamed = self._path.with_suffix(".new")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with contextlib.suppress(OSError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unnamed.rename(self._path)
        except OSError as error:
            raise LedgerProblem(
                f"cannot write to the workspace: {self._folder}: {error.strerror}",
                hint=_HINTS.get(
                    error.errno or 0, "make the folder writable, or use another workspace: --workspace DIR"
                ),
            ) from error
        liveness = FileLockLiveness(self._folder)
        for other in liveness.announced():
            liveness.is_alive(other)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self._lock)


def _host() -> str:
    return "".join(c for c in socket.gethostname().lower() if c.isalnum())[:24] or "host"
