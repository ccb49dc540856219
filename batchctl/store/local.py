"""Replace files on a local disk so that a stop at any instant leaves the old file or the new one, never a part of one.

`replacing` is the way to write a whole file; `LocalStore` is the `Store` of a folder, on top of it. `disk` turns the errors of the disk into DiskProblem, with what to do about each.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shlex
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NoReturn

from batchctl.domain.errors import DiskProblem, UsageProblem
from batchctl.store.protocol import NotStored, Stat, Versioned

PRIVATE = 0o600
PRIVATE_FOLDER = 0o700
BUFFER_BYTES = 1 << 18
PART = ".part"


@contextlib.contextmanager
def replacing(
    path: Path,
    *,
    mode: int = PRIVATE,
    part: Path | None = None,
    before_rename: Callable[[BinaryIO], None] | None = None,
    waits: bool = False,
    needs_lock: bool = False,
) -> Iterator[BinaryIO]:
    """Give a file to write, which takes the place of `path` when the block ends without an error. Raises DiskProblem.

    1. open and lock the part file · 2. write it · 3. sync it · 4. rename it · 5. sync the folder

    A stop before step 4 leaves a part file that nobody reads; a stop after it leaves the whole new file.

    Args:
        path: The file to replace; its folder must exist.
        mode: The permissions of a new file, less what the umask takes away.
        part: The name of the file until it is whole; by default `path` with `.part` behind it.
        before_rename: Called with the file once it is whole on the disk. What it raises leaves `path` as it was.
        waits: Wait for another process that writes the same part; by default that is a DiskProblem.
        needs_lock: Raise DiskProblem on a file system without locks; by default the file is written without one.
    """
    part = part or path.with_name(path.name + PART)
    # 1. Open the part file, lock it and empty it.
    with disk(path), _opened_alone(part, mode, waits=waits, needs_lock=needs_lock) as file:
        try:
            # 2. Write it.
            yield file
            # 3. Force its bytes to the disk, before any name leads to them.
            file.flush()
            os.fsync(file.fileno())
            if before_rename is not None:
                before_rename(file)
            # 4. Give it its name. Still locked: nobody may empty a part that is about to become the file.
            part.replace(path)
            # 5. Force the name to the disk.
            sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise


class LocalStore:
    """A folder as a `Store`: every name is a file in it, private to its owner, and every put is `replacing`.

    A version is the SHA-256 of the bytes. The folder need not exist before the first put. A put, and a delete, waits for
    another put of the same name to end; so a name must not be put inside of its own `writing` block.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes from offset `start` to before `end`. Raises NotStored."""
        return b"".join(self.stream(name, start, end))

    def read_versioned(self, name: str) -> Versioned:
        """Return all bytes with their version. Raises NotStored."""
        data = self.read(name)
        return Versioned(data, _version(data))

    def stream(self, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of `read` in pieces, from the file as it was at the first piece. Raises NotStored."""
        path = self._path(name)
        with disk(path):
            try:
                file = path.open("rb", BUFFER_BYTES)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise NotStored(f"{path}: no such file", hint="check the path") from None
            with file:
                file.seek(start)
                left = max(0, end - start) if end is not None else None
                while piece := file.read(BUFFER_BYTES if left is None else min(BUFFER_BYTES, left)):
                    left = left if left is None else left - len(piece)
                    yield piece

    def put(self, name: str, data: bytes) -> str:
        """Replace the file and return its version."""
        with self.writing(name) as file:
            file.write(data)
        return _version(data)

    def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Put where there is no file; return None where there is one. Needs a file system with locks."""
        return self._put_if(name, data, None)

    def put_if_unchanged(self, name: str, data: bytes, version: str) -> str | None:
        """Put where the file has `version`; return None where it has another one or is gone. Needs locks, too."""
        return self._put_if(name, data, version)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Give a file to write, which is put when the block ends without an error."""
        path = self._path(name)
        with disk(path):
            _make_folder(path.parent)
        with replacing(path, waits=True) as file:
            yield file

    def stat(self, name: str) -> Stat | None:
        """Return size and time of the file, or None where there is none."""
        path = self._path(name)
        with disk(path):
            try:
                facts = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Stat(facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC)) if stat.S_ISREG(facts.st_mode) else None

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the names that begin with `prefix`, in order. Part files and symbolic links are left out."""
        folder = self._path(prefix.rpartition("/")[0]) if "/" in prefix else self.root
        names = []
        with disk(folder):
            if not folder.is_dir():
                return
            for here, _, files in os.walk(folder, onerror=_raise):
                paths = (Path(here, file) for file in files if not file.endswith(PART))
                names += [path.relative_to(self.root).as_posix() for path in paths if not path.is_symlink()]
        yield from sorted(name for name in names if name.startswith(prefix))

    def delete(self, name: str) -> None:
        """Remove the file, if there is one."""
        path = self._path(name)
        with disk(path):
            if not path.is_file():
                return
            part = path.with_name(path.name + PART)
            # Locked as a put is: a conditional put must not miss it.
            with _opened_alone(part, PRIVATE, waits=True):
                try:
                    path.unlink(missing_ok=True)
                finally:
                    part.unlink()
                sync_folder(path.parent)

    def _put_if(self, name: str, data: bytes, version: str | None) -> str | None:
        path = self._path(name)

        def compare(_: BinaryIO) -> None:
            # Every put and every delete of this name holds the same lock, from here to its rename.
            now = _version(path.read_bytes()) if path.exists() else None
            if now != version:
                raise _VersionDiffers

        with disk(path):
            _make_folder(path.parent)
        try:
            with replacing(path, before_rename=compare, waits=True, needs_lock=True) as file:
                file.write(data)
        except _VersionDiffers:
            return None
        return _version(data)

    def _path(self, name: str) -> Path:
        path = self.root.joinpath(*name.split("/"))
        is_odd = any(part in {"", ".", ".."} for part in name.split("/")) or "\0" in name or name.endswith(PART)
        with disk(path):
            # A symbolic link is followed before it is judged: what it leads to may lie elsewhere.
            if is_odd or not path.resolve().is_relative_to(self.root.resolve()):
                raise UsageProblem(f"{name!r} is not a file name in {self.root}")
        return path


class _VersionDiffers(Exception):
    """What is stored is not what a conditional put was told to replace."""


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _raise(error: OSError) -> NoReturn:
    # A folder that cannot be read is not an empty one.
    raise error


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    for missing in reversed([each for each in (folder, *folder.parents) if not each.is_dir()]):
        missing.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        sync_folder(missing.parent)


# ---------------------------------------------------------------- files that are whole already


def place(source: Path, target: Path) -> None:
    """Rename a file that is already whole on the disk. Raises DiskProblem."""
    with disk(target):
        source.replace(target)
        sync_folder(target.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file that is whole on the disk a second name; copy it where the file system has no links."""
    beside = target.with_name(f"{target.name}.{os.getpid()}{PART}")
    try:
        os.link(source, beside)
    except OSError:
        with disk(source), source.open("rb") as original, replacing(target) as copy:
            shutil.copyfileobj(original, copy)
    else:
        place(beside, target)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it. Raises DiskProblem."""
    with disk(folder):
        shutil.rmtree(folder)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# ---------------------------------------------------------------- one writer at a time


def _opened_alone(part: Path, mode: int, *, waits: bool, needs_lock: bool = False) -> BinaryIO:
    """Return the part file, empty and locked: two processes must not write into the same one."""
    # Never follow a link here: emptying its target would destroy another file.
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        file = os.fdopen(os.open(part, flags, mode), "wb", BUFFER_BYTES)
        try:
            _lock(file, part, waits=waits, needs_lock=needs_lock)
            # Between opening and locking another process may have renamed it: then it is that one's finished file.
            if _is_at(file, part):
                if os.fstat(file.fileno()).st_nlink == 1:
                    os.ftruncate(file.fileno(), 0)
                    return file
                # A hard link: the bytes are another file's, too. Start anew.
                part.unlink()
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: BinaryIO, part: Path, *, waits: bool, needs_lock: bool) -> None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        raise DiskProblem(
            f"{part}: another process is writing it", hint="run the same command again when the other process is done"
        ) from None
    except OSError:
        # Some network drives have no locks.
        if needs_lock:
            raise


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


# ---------------------------------------------------------------- errors

_HINTS = {
    errno.ENOSPC: "free some disk space, then run the same command again; nothing is lost",
    errno.EDQUOT: "the disk quota is used up: free some space, then run the same command again",
    errno.EROFS: "the file system is read-only: use another folder with --workspace or --output-dir",
    errno.EACCES: "check the owner and permissions (ls -l), or use another folder",
    errno.EPERM: "check the owner and permissions (ls -l), or use another folder",
    errno.ENOENT: "check the path",
    errno.EISDIR: "pass a file, not a folder",
    errno.ELOOP: "remove the link, or use another file",
    errno.EMFILE: "too many files are open: raise `ulimit -n`",
    errno.EFBIG: "the file would pass a size limit: see `ulimit -f`",
}


@contextlib.contextmanager
def disk(path: Path) -> Iterator[None]:
    """Raise every OSError of the block as a DiskProblem that names the file and what to do; `path` where it names none."""
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
        hint = _HINTS.get(error.errno or 0, "fix the cause, then run the same command again; nothing is lost")
        raise DiskProblem(f"{os.fsdecode(where)}: {error.strerror or error}", hint=hint) from error
