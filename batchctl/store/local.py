"""Writing so that a stop at any instant leaves the old file or the new one, never a part of one.

1. write beside, as NAME.part   2. flush and fsync it   3. rename it over NAME   4. fsync the folder
A stop before 3 leaves a .part that nobody reads; a stop after 3 leaves the whole new file.
"""

import contextlib
import errno
import fcntl
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.errors import DiskProblem

PRIVATE = 0o600
PRIVATE_FOLDER = 0o700
BUFFER_BYTES = 1 << 18


@contextlib.contextmanager
def replacing(
    path: Path,
    *,
    mode: int = PRIVATE,
    part: Path | None = None,
    naming: Callable[[BinaryIO], None] | None = None,
    waits: bool = False,
) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when the block ends well. Raises DiskProblem.

    `part`: what it is called until then. `naming`: told of it once it is whole on the disk, before it gets its name.
    `waits`: for another process that is writing it; else that is a DiskProblem.
    """
    part = part or path.with_name(f"{path.name}.part")
    with disk(path), _alone(part, mode, waits=waits) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if naming is not None:
                naming(file)
            # Before it is closed, which ends the lock: nobody may take a part that is about to get its name.
            part.replace(path)
            sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise


def keep(path: Path, raw: bytes) -> None:
    """The whole of a small file, in a folder that need not be there."""
    with disk(path):
        path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(raw)


def place(source: Path, target: Path) -> None:
    """Gives a file that is already whole on the disk its name."""
    with disk(target):
        source.replace(target)
        sync_folder(target.parent)


def remove_folder(folder: Path) -> None:
    """With all that is in it. Raises DiskProblem."""
    with disk(folder):
        shutil.rmtree(folder)


def share(source: Path, target: Path) -> None:
    """Gives a file that is whole on the disk a second name; a copy, where the file system knows no links."""
    beside = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        os.link(source, beside)
    except OSError:
        with disk(source), source.open("rb") as one, replacing(target) as other:
            shutil.copyfileobj(one, other)
    else:
        place(beside, target)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _alone(part: Path, mode: int, *, waits: bool) -> BinaryIO:
    """The part, empty and locked: two processes that write the same file must not write into the same part of it."""
    # What a link of this name leads to is not ours to empty.
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        file = os.fdopen(os.open(part, flags, mode), "wb", BUFFER_BYTES)
        try:
            _lock(file, part, waits=waits)
            # Between opening and locking another process may have renamed it: then it is that one's finished file.
            if _is_at(file, part):
                if os.fstat(file.fileno()).st_nlink == 1:
                    os.ftruncate(file.fileno(), 0)
                    return file
                part.unlink()
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: BinaryIO, part: Path, *, waits: bool) -> None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        raise DiskProblem(
            f"{part}: another process is writing it", hint="run the same command again when that one is done"
        ) from None
    except OSError:
        return  # some network drives know no locks


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


_HINTS = {
    errno.ENOSPC: "make room on the disk, then run the same command again: nothing is lost",
    errno.EDQUOT: "the disk quota is used up: make room, then run the same command again",
    errno.EROFS: "the file system is read-only: name another folder with --workspace or --output-dir",
    errno.EACCES: "see who owns it (ls -l), or name another folder",
    errno.EPERM: "see who owns it (ls -l), or name another folder",
    errno.ENOENT: "see that the path is right",
    errno.EISDIR: "name a file, not a folder",
    errno.ELOOP: "remove that link, or name another file",
    errno.EMFILE: "too many files are open: raise `ulimit -n`",
    errno.EFBIG: "the file would pass a size limit: see `ulimit -f`",
}


@contextlib.contextmanager
def disk(path: Path) -> Iterator[None]:
    """The disk's errors as a person needs them. Raises DiskProblem."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        where = error.filename or path
        folder = Path(os.fsdecode(where)).parent
        if error.errno == errno.ENOENT and not folder.exists():
            raise DiskProblem(
                f"{folder}: no such folder", hint=f"mkdir -p {shlex.quote(str(folder))}, then the same command again"
            ) from error
        hint = _HINTS.get(error.errno or 0, "mend the cause, then run the same command again: nothing is lost")
        raise DiskProblem(f"{os.fsdecode(where)}: {error.strerror or error}", hint=hint) from error
