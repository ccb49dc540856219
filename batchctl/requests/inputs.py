"""The input as plain bytes, whether a file, stdin, gzip or zstd; and a copy of it that outlives the name of the file."""

import contextlib
import fcntl
import gzip
import hashlib
import os
import shlex
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
    """Return whether an input is copied into the workspace first, because it cannot be read by range."""
    if path == STDIN or path.endswith((".gz", ".zst")):
        return True
    try:
        return stat_module.S_ISFIFO(Path(path).stat().st_mode)
    except OSError:
        return False


def input_name(path: str) -> str:
    """Return the part of a job's name that comes from its input."""
    stem = "stdin" if path == STDIN else Path(path).name
    for ending in (".gz", ".zst", ".jsonl", ".ndjson", ".json"):
        stem = stem.removesuffix(ending)
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in stem).strip("-")
    return kept[:40] or "job"


def absolute(path: str | Path) -> str:
    """Return an absolute path without `..`; links are not followed, so that a person knows the name."""
    return os.path.abspath(path)  # noqa: PTH100 - pathlib's own keeps `..`


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Give a plain file to read. Raises InputProblem where it cannot be opened, DiskProblem where it cannot be read."""
    try:
        file = path.open("rb", PIECE_BYTES)
    except FileNotFoundError as error:
        raise InputProblem(f"{path}: no such file", hint="check the path") from error
    except IsADirectoryError as error:
        raise InputProblem(f"{path} is a folder", hint="pass a JSONL file, one request per line") from error
    except PermissionError as error:
        raise InputProblem(
            f"{path}: permission denied", hint="check the owner and permissions of the file: ls -l"
        ) from error
    except OSError as error:
        raise DiskProblem(f"{path}: {error.strerror}", hint="check the path") from error
    with file, disk(path):
        yield file


def refuse_wrong_file(path: str | Path, file: BinaryIO, *, converts: bool = False) -> None:
    """Raise InputProblem where a file is no JSONL at all. It is left at its beginning; `path` is named as given.

    `converts`: whether the file is about to be converted, so that those which can be are not refused.
    """
    head = file.read(OPENING_BYTES)
    file.seek(0)
    if not head.strip():
        raise InputProblem(
            f"{path}: the file holds no request", hint="write one JSON object per line, with custom_id and params"
        )
    fault = describe_opening(head)
    if fault and not (converts and fault.command):
        command = fault.command.replace("INPUT", shlex.quote(str(path)))
        raise InputProblem(f"{path}: {fault.message}", hint=command)


def numbered_lines(file: BinaryIO, longest: int) -> Iterator[tuple[int, bytes, bool]]:
    """Yield each line with its number and whether it is whole; one that is longer than `longest` comes in pieces."""
    number, is_begun = 0, False
    while line := file.readline(longest + 1):
        number += not is_begun
        is_over = line.endswith(b"\n") or len(line) <= longest
        yield number, line, is_over and not is_begun
        is_begun = not is_over


def spool(path: str, target: Path, stdin: BinaryIO | None, emit: Callable[[int], None]) -> None:
    """Copy stdin or a compressed input, decompressed, to `target`; `emit` is called with the bytes so far.

    Raises InputProblem or DiskProblem.
    """
    with replacing(target) as out, decompressed(path, stdin) as source:
        copied = 0
        for piece in _pieces(path, source):
            out.write(piece)
            copied += len(piece)
            emit(copied)


@contextlib.contextmanager
def decompressed(path: str, stdin: BinaryIO | None = None) -> Iterator[BinaryIO]:
    """Give the bytes of an input, decompressed where its ending says so. Raises as `opened` does."""
    if path == STDIN:
        assert stdin is not None, "the caller has it"
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
            f"{path}: the {kind} file ends early: it was truncated when it was written or copied",
            hint="create or copy it again; nothing was sent",
        ) from error
    except (gzip.BadGzipFile, zlib.error, zstd.ZstdError) as error:
        raise InputProblem(
            f"{path}: not a complete {kind} file: {error}",
            hint=f"create it again, or rename it: only a {kind} file may end in {Path(path).suffix}",
        ) from error


def keep_input(source: Path, target: Path) -> bool:
    """Put an input under a second name: as a clone, else a copy of a small file, else a hard link; return whether it is there.

    A link outlives the name but not a change in place; a large input is not worth twice the room.
    """
    with contextlib.suppress(OSError):
        target.unlink()
    return any(duplicate(source, target) for duplicate in (_clone, _copy, _link))


def _clone(source: Path, target: Path) -> bool:
    """Share the blocks of the file: what is written to one later does not show in the other."""
    try:
        with source.open("rb") as original, target.open("xb") as clone:
            fcntl.ioctl(clone.fileno(), _FICLONE, original.fileno())
            os.fsync(clone.fileno())
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
        with opened(source) as original, replacing(target) as copy:
            while piece := original.read(PIECE_BYTES):
                copy.write(piece)
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
    """Return the hash of a whole input, decompressed where its ending says so. Raises as `opened` does."""
    digest = hashlib.sha256()
    with disk(path), decompressed(str(path)) as file:
        for piece in _pieces(str(path), file):
            digest.update(piece)
    return digest.hexdigest()


def identity_of(file: BinaryIO) -> tuple[int, ...]:
    """Return what the disk says of an open file; it is another after somebody wrote to it."""
    facts = os.fstat(file.fileno())
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def stat(path: Path) -> os.stat_result:
    """Return the facts of an input. Raises InputProblem where there is none, DiskProblem where they cannot be read."""
    try:
        return path.stat()
    except FileNotFoundError as error:
        raise InputProblem(f"{path}: no such file", hint="check the path") from error
    except OSError as error:
        raise DiskProblem(f"{path}: {error.strerror}") from error
