"""Files that a job writes for a person, at places that the person named.

A file that the job did not write itself is not replaced without a yes, and nothing is written into a workspace.
"""

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.errors import Refused
from batchctl.store.local import PRIVATE, disk, replacing
from batchctl.store.workspace import FOLDER

ELSEWHERE = "use another file (--output FILE), another folder (--output-dir DIR) or stdout (-o -)"
FORCING = "or replace it: --force"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPlace:
    """What stands where an output is to go.

    Attributes:
        path: As the person named it.
        workspace: The workspace that the path leads into through all of its links; empty outside of any.
        is_there: Whether something stands there.
        is_regular: Whether that is a regular file.
        is_empty: Whether it holds nothing.
        is_own: Whether the job wrote it as it stands there.
        is_requests: Whether it is a request file of the job, whatever its name.
        is_of_job: Whether a job writes there, and may replace what it wrote itself.
    """

    path: str
    workspace: str = ""
    is_there: bool = False
    is_regular: bool = True
    is_empty: bool = False
    is_own: bool = False
    is_requests: bool = False
    is_of_job: bool = True


def objection(
    place: OutputPlace, *, force: bool = False, elsewhere: str = ELSEWHERE, forcing: str = FORCING
) -> Refused | None:
    """Return why nothing may be written there; None where it may.

    Args:
        place: What stands there.
        force: Whether a person agreed that the file is replaced.
        elsewhere: A hint how to name another place.
        forcing: A hint how to agree; may be empty.
    """
    if place.workspace:
        return Refused(f"{place.path} is in the workspace {place.workspace}; refusing to write there", hint=elsewhere)
    if not place.is_there:
        return None
    if not place.is_regular:
        return Refused(f"{place.path} is not a regular file; refusing to overwrite it", hint=elsewhere)
    if place.is_requests:
        return Refused(f"{place.path} is a request file of this job; refusing to overwrite it", hint=elsewhere)
    if place.is_own or place.is_empty or force:
        return None
    whose = " and was not written by this job" if place.is_of_job else ""
    return Refused(
        f"{place.path} exists{whose}; refusing to overwrite it",
        hint="; ".join(filter(None, ("move it away", elsewhere, forcing))),
    )


STDOUT = "-"
# Some file systems round times, to 100 ns at the least and to two seconds at the most.
_ROUNDED_NS, _ROUNDED_BY_NS = 100, 2_000_000_000


class WrittenFiles:
    """The files that a job wrote for a person, known again by size and time wherever they are now.

    The file at `path` has a line for each of them, added before the file gets its name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def has(self, facts: os.stat_result) -> bool:
        """Return whether the job wrote a file of this size and time. Raises DiskProblem."""
        off = 0 if facts.st_mtime_ns % _ROUNDED_NS else _ROUNDED_BY_NS
        return any(size == facts.st_size and abs(time - facts.st_mtime_ns) <= off for size, time in self._remembered())

    def _remembered(self) -> Iterator[tuple[int, int]]:
        with disk(self._path):
            lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        for line in lines:
            # A stop may have cut one short.
            with contextlib.suppress(ValueError):
                size, time = map(int, line.split())
                yield size, time

    def add(self, file: BinaryIO) -> None:
        """Add a file that is whole on the disk. Raises DiskProblem."""
        facts = os.fstat(file.fileno())
        with disk(self._path):
            remembered = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE)
            try:
                os.write(remembered, b"%d %d\n" % (facts.st_size, facts.st_mtime_ns))
                os.fsync(remembered)
            finally:
                os.close(remembered)


def refuse_to_replace(
    output: Path, written: WrittenFiles | None, precious: Iterable[Path] = (), *, force: bool = False, **hints: str
) -> None:
    """Raise Refused where the job may not write to `output`.

    `written` are the files that the job wrote, None where it is no job that writes; `precious` are its request files, whatever their names; `hints` as `objection` takes them.
    """
    if refused := objection(_place(output, written, precious), force=force, **hints):
        raise refused


def _place(output: Path, written: WrittenFiles | None, precious: Iterable[Path]) -> OutputPlace:
    with disk(output):
        workspace = str(_workspace_around(output) or "")
        try:
            facts = output.stat()
        except (FileNotFoundError, NotADirectoryError):
            return OutputPlace(path=str(output), workspace=workspace)
        return OutputPlace(
            path=str(output),
            workspace=workspace,
            is_there=True,
            is_regular=output.is_file(),
            is_empty=not facts.st_size,
            is_own=written is not None and written.has(facts),
            is_requests=any(_is_same(output, path) for path in precious),
            is_of_job=written is not None,
        )


def _workspace_around(output: Path) -> Path | None:
    """Return the workspace that `output` lies in, told by what is in a folder: some file systems know it by several names."""
    folders = _followed(output).parents
    return next(
        (f for f in folders if f.name == FOLDER or ((f / "ledger.db").exists() and (f / "jobs").exists())), None
    )


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _followed(path: Path) -> Path:
    # Not `resolve`, which raises for links that lead in a circle.
    return Path(os.path.realpath(path))


@contextlib.contextmanager
def results_file(path: str, written: WrittenFiles) -> Iterator[BinaryIO]:
    """Give where the merged results go: a file that is put in place whole, or stdout for "-". Raises DiskProblem."""
    if path == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with output_file(Path(path), written) as file:
        yield file


@contextlib.contextmanager
def output_file(path: Path, written: WrittenFiles | None, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Give a file for a person, which is put in place whole. One that is there keeps its mode and, where it can, its owner.

    `written` remembers it, unless it is None; `mode` is that of a new file, less what the umask takes away. Raises DiskProblem.
    """
    # A link stays a link: the file it leads to is replaced.
    target = _followed(path)
    before = None
    with contextlib.suppress(OSError):
        before = target.stat()
    mode = mode if before is None else before.st_mode & 0o777
    # A person may have a file of the usual name for a part.
    part = target.with_name(f"{target.name}.batchctl.part")
    # Two commands on one job write the same answers: the later one has the newest.
    with replacing(target, mode=mode, part=part, before_rename=written.add if written else None, waits=True) as file:
        if before is not None:
            with contextlib.suppress(OSError):
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            with contextlib.suppress(OSError):
                os.fchmod(file.fileno(), mode)
        yield file


class OutputComparison:
    """A results file compared with what would be written in its place; nothing is written.

    Attributes:
        lines: The lines that are equal.
        expected: The first line that differs, as it would be written; empty where the file has more; None if all is equal.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.lines = 0
        self.expected: bytes | None = None

    def take(self, piece: bytes) -> None:
        """Compare whole lines, as they would be written. Nothing is read after the first that differs."""
        if self.expected is not None:
            return
        read = self._file.read(len(piece))
        if read == piece:
            self._hash.update(piece)
            self.lines += piece.count(b"\n")
            return
        for wanted, there in zip_longest(piece.split(b"\n"), read.split(b"\n")):
            if wanted != there:
                self.expected = wanted or b""
                return
            self.lines += 1

    def end(self) -> None:
        """Compare the end: nothing more would be written."""
        if self.expected is None and self._file.read(1):
            self.expected = b""

    @property
    def sha256(self) -> str:
        """Return the hash of the bytes that are equal."""
        return self._hash.hexdigest()
