"""Who takes a step, and whether they still live.

Every process holds a lock on a file of its own for as long as it runs. The kernel lets go of it however the process
ends, so a free lock is a dead owner: no guessing by process id, no waiting for a lease. An owner of this machine from before
it was started again is dead, too. The lease speaks only where locks cannot be asked: of other machines, on some network drives.
"""

import contextlib
import errno
import fcntl
import os
import secrets
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from batchctl.domain.errors import LedgerProblem
from batchctl.ledger.machine import boot, machine

_HINTS = {
    errno.ENOSPC: "make room on the disk, then run the same command again: nothing is lost",
    errno.EDQUOT: "the disk quota is used up: make room, then run the same command again",
    errno.EMFILE: "too many files are open: raise `ulimit -n`",
}


class Owner:
    """This process, as the ledger names it. Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.name = f"{_host()}.{machine()}.{boot()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._path = folder / f"{self.name}.lock"
        self._folder = folder
        self._lock = -1

    def __enter__(self) -> Self:
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
                f"cannot write in the workspace: {self._folder}: {error.strerror}",
                hint=_HINTS.get(error.errno or 0, "make the folder writable, or name another one with --workspace"),
            ) from error
        for other in self._folder.glob("*.lock"):
            is_alive(self._folder, other.stem)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self._lock)


def _host() -> str:
    return "".join(c for c in socket.gethostname().lower() if c.isalnum())[:24] or "host"


def is_alive(folder: Path, owner: str) -> bool | None:
    """Whether the process behind an owner's name still runs; None when its lock cannot be asked. Clears up after the dead.

    A lock of another host is not asked: a network drive may keep locks to each host itself.
    """
    host, *where = owner.rsplit("-", 2)[0].split(".")
    # Without more than the host's name: of an older version.
    if (where[0] != machine()) if where else (host != _host()):
        return None
    if where and boot() and where[1] != boot():
        with contextlib.suppress(OSError):
            (folder / f"{owner}.lock").unlink()
        return False
    path = folder / f"{owner}.lock"
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
