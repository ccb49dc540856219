"""Digests of this machine and of its last start, for nothing but comparisons."""

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
    """Return a digest that stays the same after every start of this machine.

    Its host name is part of it: machines made from one image share what else is stored.
    """
    stored = next((text for text in map(_read, _MACHINE) if text), "") or f"{uuid.getnode():x}"
    return _digest(f"{stored} {socket.gethostname()}")


@cache
def boot() -> str:
    """Return a digest that changes with every start of this machine; empty where the system does not say."""
    text = _read(_BOOT)
    return _digest(text) if text else ""


def _read(path: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="ascii").strip()
    return ""


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
