"""The check of a large input by several processes, a section of whole lines each.

A process checks blocks of lines that are all plainly good, as nearly all are, and reports small things: the lines stay on the
disk. Whatever else is met (a fault, a warning, a blank line) has one process check the whole input, line by line where it must.
The processes are our own and not those of `concurrent.futures`, whose pool may wait for ever for a process that it started
while another one died.
"""

import contextlib
import gc
import itertools
import multiprocessing
import os
import secrets
import signal
from array import array
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import BinaryIO, NamedTuple

from batchctl.domain.check_report import Depth
from batchctl.domain.faults import Fault
from batchctl.domain.model import Settings
from batchctl.processes import spawn
from batchctl.requests.cutting import Cutter
from batchctl.requests.inputs import PIECE_BYTES, identity_of
from batchctl.requests.repeated_ids import is_rising
from batchctl.requests.scanner import BlockChecker, CheckOptions, SectionReport

# A smaller input is checked before a second process has started.
MIN_REQUESTS = 100_000
SECTION_BYTES = 8 << 20
# Sections that are handed out for each process: one that it checks, and more so that it need not wait.
AHEAD = 3
HASH_SEED = "PYTHONHASHSEED"


@dataclass(frozen=True, slots=True)
class Section:
    """Whole lines of a file: the bytes from `start` to before `end`, behind `lines_before` lines.

    `identity` is what the disk said of the file, so that another file under its name, or another content, is noticed.
    """

    path: Path
    identity: tuple[int, ...]
    start: int
    end: int
    lines_before: int


def section_reports(path: Path, file: BinaryIO, options: CheckOptions) -> Generator[SectionReport | None, None, None]:
    """Yield a report of each section in order; None, and then no more, where one process has to check the whole input.

    None comes at once for an input of fewer than MIN_REQUESTS requests. Whoever closes the iterator ends the processes.
    """
    sections = _sections(path, file)
    first = next(sections, None)
    if first is None:
        yield None
        return
    workers: list[_Worker] = []
    begun: deque[Connection] = deque()
    try:
        try:
            with _one_hash_function():
                workers.extend(_start() for _ in range(options.processes))
        except OSError:
            # No process, file or memory to be had.
            yield None
            return
        pipes = [worker.pipe for worker in workers]
        for pipe, section in zip(itertools.cycle(pipes), itertools.chain((first,), sections), strict=False):
            pipe.send((section, options.settings, options.depth))
            begun.append(pipe)
            if len(begun) == AHEAD * len(pipes):
                yield begun.popleft().recv()
        while begun:
            yield begun.popleft().recv()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        # One of them was killed, perhaps for want of memory: one process needs less.
        yield None
    finally:
        for worker in workers:
            worker.pipe.close()
            # It has nothing to lose.
            worker.process.kill()
            worker.process.join()


def _sections(path: Path, file: BinaryIO) -> Iterator[Section]:
    """Yield the sections of a file; none where it has too few lines. One without a newline is no whole line, and is refused."""
    identity = identity_of(file)
    size, start, lines = os.fstat(file.fileno()).st_size, 0, 0
    # One buffer for all: memory that is taken anew for each section costs more than the count.
    buffer = bytearray(PIECE_BYTES)
    while start < size:
        at, count, end = start, 0, start
        while (room := start + SECTION_BYTES - at) and (
            read := os.preadv(file.fileno(), [memoryview(buffer)[:room]], at)
        ):
            count += buffer.count(b"\n", 0, read)
            if (last := buffer.rfind(b"\n", 0, read)) >= 0:
                end = at + last + 1
            at += read
        end = at if at >= size or end == start else end
        if at == start or (not start and count * size < MIN_REQUESTS * (at - start)):
            return
        yield Section(path, identity, start, end, lines)
        start, lines = end, lines + count


class _Worker(NamedTuple):
    process: BaseProcess
    pipe: Connection


def _start() -> _Worker:
    """Start a process that checks sections. Raises OSError where the system has none to give."""
    ours, theirs = multiprocessing.Pipe()
    try:
        with theirs:
            # Ctrl-C is left to whoever started it.
            process = spawn(_work, (theirs, gc.get_threshold()[0]), blocked={signal.SIGINT}, daemon=True)
    except OSError:
        ours.close()
        raise
    return _Worker(process, ours)


@contextlib.contextmanager
def _one_hash_function() -> Iterator[None]:
    """Have the processes that start meanwhile share one hash function, which nobody can foresee."""
    before = os.environ.get(HASH_SEED)
    os.environ[HASH_SEED] = str(secrets.randbelow(1 << 32))
    try:
        yield
    finally:
        if before is None:
            del os.environ[HASH_SEED]
        else:
            os.environ[HASH_SEED] = before


# ---------------------------------------------------------------- in a process of its own


def _work(pipe: Connection, collect_after: int) -> None:
    """Check sections until the other end of the pipe is closed, or its process is dead.

    `collect_after`: the threshold of the garbage collector, as the process at the other end has it.
    """
    gc.set_threshold(collect_after)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            section, settings, depth = pipe.recv()
            pipe.send(check_section(section, settings, depth))


def check_section(section: Section, settings: Settings, depth: Depth) -> SectionReport | None:
    """Return what a section holds; None where not all of its lines are plainly good, or it cannot be read as it was."""
    models: set[tuple[str, int]] = set()

    def judge(model: str, max_tokens: int) -> Sequence[Fault]:
        # Whoever started this process knows the models of the account.
        models.add((model, max_tokens))
        return ()

    ids, runs = _SectionIds(), _SectionRuns(settings)
    options = CheckOptions(settings=settings, scratch=section.path.parent, depth=depth, judge=judge)
    checker = BlockChecker(options, ids, runs, lines_before=section.lines_before)
    offset = section.start
    try:
        with section.path.open("rb", 0) as file:
            for block in _blocks(file, section) if identity_of(file) == section.identity else ():
                lines = block.split(b"\n")
                run = block if lines[-1] else block[:-1]
                if not checker.take_good(run, lines if lines[-1] else lines[:-1], offset):
                    return None
                offset += len(block)
            if offset != section.end or identity_of(file) != section.identity:
                return None
    except Exception:  # noqa: BLE001 - the one process that checks the whole input meets it again, and says so
        return None
    if not checker.grouper.tells_all_apart:
        return None
    return SectionReport(
        end=section.end,
        count=checker.number - section.lines_before,
        deep=checker.deep,
        blocks=tuple(runs.blocks),
        id_hashes=ids.hashes,
        is_rising=ids.is_rising,
        first_id=ids.first,
        last_id=ids.last,
        models=frozenset(models),
        grouper=checker.grouper,
    )


def _blocks(file: BinaryIO, section: Section) -> Iterator[bytes]:
    """Yield the whole lines of a section, about PIECE_BYTES at a time."""
    rest, at = b"", section.start
    while at < section.end and (piece := os.pread(file.fileno(), min(PIECE_BYTES, section.end - at), at)):
        at += len(piece)
        end = len(piece) if at == section.end else piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            rest = b""
        rest += piece[end:]


class _SectionIds:
    """The ids of a section as hashes. `first` and `last` of them, and whether they rise."""

    def __init__(self) -> None:
        self.hashes = array("q")
        self.is_rising = True
        self.first = self.last = b""

    def add_all(self, ids: Sequence[bytes]) -> None:
        self.is_rising = self.is_rising and self.last < ids[0] and is_rising(ids)
        self.first = self.first or ids[0]
        self.last = ids[-1]
        self.hashes.extend(map(hash, ids))


class _SectionRuns:
    """The blocks of a section as `SectionReport.blocks`."""

    def __init__(self, settings: Settings) -> None:
        self.blocks: list[tuple[int, int, int]] = []
        self.fits_alone = Cutter(settings).fits_alone

    def add_all(self, run: bytes, lines: Sequence[bytes], offset: int, number: int) -> None:  # noqa: ARG002 - its place is enough
        self.blocks.append((len(lines), offset, offset + len(run)))
