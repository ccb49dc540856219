"""Probes of the disk and the machine, as `doctor` makes them; each leaves nothing behind."""

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
    """Return the permissions of folder and ledger by path: as they are, and the most they should be. Raises DiskProblem."""
    by_path = {}
    for path, most in ((workspace.root, PRIVATE_FOLDER), (workspace.ledger, PRIVATE)):
        if not path.exists():
            continue
        with disk(path):
            by_path[str(path)] = (path.stat().st_mode & 0o777, most)
    return by_path


def write(folder: Path) -> None:
    """Write a file as the program writes all files, and remove it. Raises DiskProblem."""
    path = folder / f"{os.getpid()}.{_PROBE}"
    with replacing(path) as file:
        file.write(b"x")
    with disk(path):
        path.unlink()


def lock(folder: Path) -> bool:
    """Return whether the file system has locks. Raises DiskProblem where a file lock has no effect here."""
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
    raise DiskProblem(f"{folder}: a file lock has no effect here", hint="use a workspace on a local disk")


def room(folder: Path) -> int:
    """Return the bytes that are free on the disk of `folder`, or of the nearest parent that exists. Raises DiskProblem."""
    existing = next(each for each in (folder, *folder.parents) if each.is_dir())
    with disk(existing):
        return shutil.disk_usage(existing).free


def open_files() -> int:
    """Return how many files this process may have open; -1 where there is no limit."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return -1 if limit == resource.RLIM_INFINITY else limit


def leftovers(workspace: Workspace) -> list[Leftover]:
    """Return the copies and parts of files that a stopped run left, or that a running one is writing."""
    return [left for path in _unfinished(workspace.root) if (left := _leftover(workspace.root, path))]


def _unfinished(root: Path) -> Iterator[Path]:
    yield from sorted((root / "tmp").glob("*"))
    for pattern in ("*.part", "*.arriving", "owners/*.new"):
        yield from sorted(path for path in root.rglob(pattern) if path.parent.name != "tmp")


def _leftover(root: Path, path: Path) -> Leftover | None:
    try:
        facts = path.stat()
    except OSError:
        return None  # finished meanwhile
    changed_at = datetime.fromtimestamp(facts.st_mtime, UTC)
    return Leftover(path=str(path.relative_to(root)), bytes=facts.st_size, changed_at=changed_at)
