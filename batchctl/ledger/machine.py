"""Which machine this is, and since when it runs: as short digests, for nothing else than to be compared."""

import contextlib
import hashlib
import socket
import uuid
from functools import cache
from pathlib import Path

_MACHINE = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@cache
def machine() -> str:
    """The same after every start of this machine. With its name: machines made from one image share what else is stored."""
    stored = next((said for said in map(_read, _MACHINE) if said), "") or f"{uuid.getnode():x}"
    return _digest(f"{stored} {socket.gethostname()}")


@cache
def boot() -> str:
    """Another after every start; empty where the system does not say."""
    said = _read(_BOOT)
    return _digest(said) if said else ""


def _read(path: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="ascii").strip()
    return ""


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
