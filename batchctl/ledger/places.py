"""Where the ledger lies, and what the user's state folder remembers of all copies of it."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from batchctl.domain.places import Place
from batchctl.ledger.schema import job_table, place_table
from batchctl.ledger.writing import Writer

_DIGITS, _MOST = 20, 1 << 62


class Places(Writer):
    """The records of `Ledger` on where it lies."""

    def here(self) -> Place:
        """See `Ledger.here`."""
        return self._database.place()

    def record_place(self, here: Place, generation: int, *, is_copy: bool) -> None:
        """See `Ledger.record_place`."""
        values = {"machine": here.machine, "path": here.path, "device": here.device, "inode": here.inode}
        rising = sa.case((place_table.c.generation < generation, generation), else_=place_table.c.generation)
        with self._write() as db:
            db.execute(sa.update(place_table).values(**values, generation=rising))
            if is_copy:
                db.execute(sa.update(job_table).values(may_be_copied=True))


def state_folder(environment: Mapping[str, str]) -> Path:
    """Return the user's folder for what programs remember."""
    named = environment.get("XDG_STATE_HOME", "")
    home = Path(named) if named else Path(environment.get("HOME") or Path.home()) / ".local" / "state"
    return home / "batchctl" / "workspaces"


class Memory:
    """The last generation that was seen of any copy of one workspace, and which copy wrote it, in a file of the state folder.

    The file may be missing or read-only: then copies cannot be told from each other by it, and nothing else is lost.
    """

    def __init__(self, folder: Path, workspace_id: str) -> None:
        """Use the file of that workspace in `folder`."""
        self._path = folder / workspace_id

    def generation(self) -> int | None:
        """Return the highest generation that was kept; None where none can be read."""
        try:
            return _number(self._path.read_bytes())
        except OSError:
            return None

    def other_than(self, here: Place) -> str:
        """Return why another copy than the one that lies `here` was continued last; empty where none was, or nobody knows."""
        try:
            _, _, who = self._path.read_bytes().partition(b" ")
        except OSError:
            return ""
        return "a copy of it was continued last" if who and who.strip() != _name_of(here) else ""

    def keep(self, generation: int, here: Place | None = None) -> int:
        """Keep a generation if it is the highest so far, and that the copy which lies `here` wrote it; return the highest."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                highest = max(generation, _number(os.read(file, 64)) or 0)
                if highest == generation:
                    # Of one length, and never empty: a stop between the two leaves a number.
                    who = b" " + _name_of(here) if here else b""
                    os.ftruncate(file, os.pwrite(file, f"{generation:020d}".encode() + who, 0))
                return highest
            finally:
                os.close(file)
        return generation


def _name_of(place: Place) -> bytes:
    return hashlib.blake2b(repr(place).encode(), digest_size=8).hexdigest().encode()


def _number(stored: bytes) -> int | None:
    text = stored.partition(b" ")[0].strip()
    return int(text) if text.isdigit() and len(text) <= _DIGITS and int(text) < _MOST else None
