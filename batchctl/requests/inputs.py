"""The input as plain bytes: a path, stdin, gzip or zstd; and a hold on it that outlives the file's name."""

import contextlib
import fcntl
import gzip
import hashlib
import os
import stat as stat_module
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.errors import DiskProblem, InputProblem
from batchctl.requests.decoding import describe_opening
from batchctl.store.local import disk, replacing, sync_folder

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STDIN = "-"
PIECE_BYTES = 1 << 18
OPENING_BYTES = 1 << 16
COPY_UP_TO_BYTES = 64 << 20
_FICLONE = 0x40049409  # linux/fs.h: share the blocks of another file


def is_spooled(path: str) -> bool:
    """Whether the input cannot be read by range and is copied into the workspace first: stdin, packed, a pipe."""
    if path == STDIN or path.endswith((".gz", ".zst")):
        return True
    try:
        return stat_module.S_ISFIFO(Path(path).stat().st_mode)
    except OSError:
        return False


def input_name(path: str) -> str:
    """The part of a job's name that comes from its input."""
    stem = "stdin" if path == STDIN else Path(path).name
    for ending in (".gz", ".zst", ".jsonl", ".ndjson", ".json"):
        stem = stem.removesuffix(ending)
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in stem).strip("-")
    return kept[:40] or "job"


def absolute(path: str | Path) -> str:
    """Without `..`, and without following links: the name that the person knows it by."""
    return os.path.abspath(path)  # noqa: PTH100 - pathlib's own keeps `..`


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A plain file to read. Raises InputProblem where there is nothing to read."""
    try:
        file = path.open("rb", PIECE_BYTES)
    except FileNotFoundError as error:
        raise InputProblem(f"{path}: no such file", hint="see that the path is right") from error
    except IsADirectoryError as error:
        raise InputProblem(f"{path}: is a folder", hint="name a file of requests, one JSON object per line") from error
    except PermissionError as error:
        raise InputProblem(f"{path}: permission denied", hint="see who owns it (ls -l)") from error
    except OSError as error:
        raise DiskProblem(f"{path}: {error.strerror}", hint="see that the path is right") from error
    with file, disk(path):
        yield file


def refuse_wrong_file(path: str | Path, file: BinaryIO) -> None:
    """Raises InputProblem where the file, to be read from its beginning, is no JSONL at all. `path`: as a person knows it."""
    head = file.read(OPENING_BYTES)
    file.seek(0)
    if not head.strip():
        raise InputProblem(f"{path}: holds no request", hint="one JSON object per line: custom_id and params")
    if fault := describe_opening(head):
        raise InputProblem(f"{path}: {fault.message}")


def spool(path: str, target: Path, stdin: BinaryIO | None, emit: Callable[[int], None]) -> None:
    """Copies stdin or a compressed input, decompressed, to `target`. Raises InputProblem or DiskProblem."""
    with replacing(target) as out, decompressed(path, stdin) as source:
        copied = 0
        for piece in _pieces(path, source):
            out.write(piece)
            copied += len(piece)
            emit(copied)


@contextlib.contextmanager
def decompressed(path: str, stdin: BinaryIO | None = None) -> Iterator[BinaryIO]:
    """The bytes of an input, whatever it is packed in. Raises as `opened` does."""
    if path == STDIN:
        assert stdin is not None, "asked before"
        yield stdin
        return
    with opened(Path(path)) as file:
        if not path.endswith((".gz", ".zst")):
            yield file
            return
        opener = gzip.open if path.endswith(".gz") else zstd.open
        with opener(file, "rb") as plain:
            yield plain  # type: ignore[misc]  # both give a file of bytes


def _pieces(path: str, source: BinaryIO) -> Iterator[bytes]:
    kind = "gzip" if path.endswith(".gz") else "zstd"
    try:
        while piece := source.read(PIECE_BYTES):
            yield piece
    except EOFError as error:
        raise InputProblem(
            f"{path}: the {kind} file ends early: it was cut while it was written or copied",
            hint="make or copy it again; nothing was sent",
        ) from error
    except (gzip.BadGzipFile, zlib.error, zstd.ZstdError) as error:
        raise InputProblem(
            f"{path}: not a whole {kind} file: {error}",
            hint=f"give it its true ending, or make it again; only a {kind} file may end in {Path(path).suffix}",
        ) from error


def keep(source: Path, target: Path) -> bool:
    """Holds on to an input: a clone where the file system can, else a copy of a small one, else a hard link.

    A link outlives the name but not a change in place; a large input is not worth its room twice. False where none of
    them can be had.
    """
    with contextlib.suppress(OSError):
        target.unlink()
    return any(hold(source, target) for hold in (_clone, _copy, _link))


def _clone(source: Path, target: Path) -> bool:
    """The same blocks under another name: what is written to one later does not show in the other."""
    try:
        with source.open("rb") as one, target.open("xb") as other:
            fcntl.ioctl(other.fileno(), _FICLONE, one.fileno())
            os.fsync(other.fileno())
        target.chmod(0o600)
        sync_folder(target.parent)
    except OSError:
        with contextlib.suppress(OSError):
            target.unlink()
        return False
    return True


def _copy(source: Path, target: Path) -> bool:
    try:
        if stat(source).st_size > COPY_UP_TO_BYTES:
            return False
        with opened(source) as one, replacing(target) as other:
            while piece := one.read(PIECE_BYTES):
                other.write(piece)
    except (DiskProblem, InputProblem):
        return False
    return True


def _link(source: Path, target: Path) -> bool:
    try:
        # Resolved: a link to a symbolic link would be another symbolic link, and hold nothing.
        os.link(source.resolve(), target)
        sync_folder(target.parent)
    except OSError:
        return False
    return True


def sha256_of(path: Path) -> str:
    """Of the whole file, decompressed where its ending says so."""
    digest = hashlib.sha256()
    with disk(path), decompressed(str(path)) as file:
        for piece in _pieces(str(path), file):
            digest.update(piece)
    return digest.hexdigest()


def stat(path: Path) -> os.stat_result:
    """Raises InputProblem where the file cannot be asked."""
    try:
        return path.stat()
    except FileNotFoundError as error:
        raise InputProblem(f"{path}: no such file", hint="see that the path is right") from error
    except OSError as error:
        raise DiskProblem(f"{path}: {error.strerror}") from error
