"""What the disk and the machine can do, tried out; nothing is left behind."""

import contextlib
import fcntl
import os
import resource
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from batchctl.domain.errors import DiskProblem
from batchctl.domain.health import Leftover
from batchctl.store.local import PRIVATE, PRIVATE_FOLDER, disk, replacing
from batchctl.store.workspace import Workspace

_PROBE = "doctor.probe"


def modes(workspace: Workspace) -> dict[str, tuple[int, int]]:
    """Permissions of folder and ledger, as they are and as they should be at most. Raises DiskProblem."""
    found = {}
    for path, most in ((workspace.root, PRIVATE_FOLDER), (workspace.ledger, PRIVATE)):
        if not path.exists():
            continue
        with disk(path):
            found[str(path)] = (path.stat().st_mode & 0o777, most)
    return found


def write(folder: Path) -> None:
    """Writes a file as all are written: beside its place, synced, renamed, the folder synced. Raises DiskProblem."""
    path = folder / f"{os.getpid()}.{_PROBE}"
    with replacing(path) as file:
        file.write(b"x")
    with disk(path):
        path.unlink()


def lock(folder: Path) -> bool:
    """False where the file system knows no locks. Raises DiskProblem where one keeps nobody out."""
    path = folder / f"{os.getpid()}.lock.{_PROBE}"
    with contextlib.ExitStack() as stack, disk(path):
        first = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        stack.callback(path.unlink)
        stack.callback(os.close, first)
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        second = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, second)
        try:
            fcntl.flock(second, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    raise DiskProblem(f"{folder}: a lock keeps nobody out", hint="use a workspace on a local disk")


def room(folder: Path) -> int:
    """Bytes free for us on the disk of the nearest folder that is there. Raises DiskProblem."""
    there = next(one for one in (folder, *folder.parents) if one.is_dir())
    with disk(there):
        return shutil.disk_usage(there).free


def open_files() -> int:
    """How many this process may have open; -1 where there is no limit."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return -1 if limit == resource.RLIM_INFINITY else limit


def leftovers(workspace: Workspace) -> list[Leftover]:
    """Copies and parts of files that a stopped run may have left, or one under way is writing."""
    return [left for path in _unfinished(workspace.root) if (left := _leftover(workspace.root, path))]


def _unfinished(root: Path) -> Iterator[Path]:
    yield from sorted((root / "tmp").glob("*"))
    for pattern in ("*.part", "*.arriving", "owners/*.new"):
        yield from sorted(one for one in root.rglob(pattern) if one.parent.name != "tmp")


def _leftover(root: Path, path: Path) -> Leftover | None:
    try:
        found = path.stat()
    except OSError:
        return None  # it was finished meanwhile
    changed_at = datetime.fromtimestamp(found.st_mtime, UTC)
    return Leftover(path=str(path.relative_to(root)), bytes=found.st_size, changed_at=changed_at)
