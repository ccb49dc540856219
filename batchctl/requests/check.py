"""The check: one pass over an input that checks every line, finds every cut and hashes every byte.

Only the block in hand is in memory. The pass can also write the clean copy, the good lines alone: that is sent when the input
itself is not a clean run of requests. What is wrong goes into the problem file.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.check_report import Scan
from batchctl.domain.errors import InputProblem
from batchctl.requests.cut_builders import CopiedCuts, InPlaceCuts, RangeHashes
from batchctl.requests.inputs import PIECE_BYTES, opened, refuse_wrong_file
from batchctl.requests.problem_file import ProblemFile
from batchctl.requests.repeated_ids import SeenIds
from batchctl.requests.request_lines import LONG_BYTES
from batchctl.requests.scanner import CheckOptions, Scanner
from batchctl.requests.sections import section_reports


def scan(
    path: Path, options: CheckOptions, problems: ProblemFile, emit: Callable[[int], None]
) -> tuple[Scan, set[int]]:
    """Check the input at `path`; return what it holds, and the hashes of the custom_ids that seem to repeat.

    `emit` is called with the bytes read so far. Raises InputProblem where the file is no JSONL of requests at all, or where it
    changes meanwhile.
    """
    with opened(path) as file:
        refuse_wrong_file(path, file)
        if options.processes > 1 and options.copy is None and not options.repeats:
            checked = _scan_in_sections(path, file, options, problems, emit)
            if checked is not None:
                return checked, set()
        with SeenIds(options.scratch) as seen, RangeHashes(file) as hashes:
            cuts = CopiedCuts(options.settings, options.copy) if options.copy else InPlaceCuts(options.settings, hashes)
            scanner = Scanner(options, problems, seen, cuts)
            for block in _blocks(file, options.settings.max_bytes, scanner.skip):
                scanner.take(block)
                hashes.go_on(scanner.size)
                emit(scanner.size)
            result = scanner.finish(hashes.whole(scanner.size))
            refuse_changed(path, hashes)
            return result, seen.repeated()


def _scan_in_sections(
    path: Path, file: BinaryIO, options: CheckOptions, problems: ProblemFile, emit: Callable[[int], None]
) -> Scan | None:
    """Check an input by several processes; None where that does not pay, or where it has more than plainly good lines.

    Arguments and errors are those of `scan`.
    """

    def lines_of(start: int, end: int) -> list[bytes]:
        return os.pread(file.fileno(), end - start, start).split(b"\n")

    with SeenIds(options.scratch) as seen, RangeHashes(file) as hashes:
        cuts = InPlaceCuts(options.settings, hashes)
        scanner = Scanner(options, problems, seen, cuts)
        with contextlib.closing(section_reports(path, file, options)) as sections:
            for section in sections:
                if section is None or not scanner.take_section(section):
                    refuse_changed(path, hashes)
                    return None
                seen.add_hashed(section.id_hashes, section.first_id, section.last_id, is_rising=section.is_rising)
                for count, start, end in section.blocks:
                    cuts.add_block(count, start, end, lines_of)
                hashes.go_on(scanner.size)
                emit(scanner.size)
        # Repeated ids are told by their lines, and the groups of very many system prompts by their models.
        is_told = not seen.repeated() and scanner.grouper.tells_all_apart
        result = scanner.finish(hashes.whole(scanner.size)) if is_told else None
        # Last: until then a hash may be of bytes that nobody checked.
        refuse_changed(path, hashes)
        return result


def refuse_changed(path: Path, hashes: RangeHashes) -> None:
    """Raise InputProblem where somebody wrote to an input while it was read."""
    if hashes.has_changed():
        raise InputProblem(
            f"{path}: the file changed while it was read",
            hint="run the same command again when nothing writes to the file",
        )


def _blocks(file: BinaryIO, longest: int, skip: Callable[[bytes], None]) -> Iterator[bytes]:
    """Yield whole lines, about PIECE_BYTES at a time; a long line by itself, without its newline, which is skipped.

    Of a line longer than a batch the rest is skipped: the line is a fault already.
    """
    while block := file.read(PIECE_BYTES):
        tail = b"" if block.endswith(b"\n") else file.readline(LONG_BYTES)
        if len(tail) < LONG_BYTES:
            yield block + tail
            continue
        begin = block.rfind(b"\n") + 1
        size = len(block) - begin + len(tail)
        start = file.tell() - size
        while size < longest and not tail.endswith(b"\n") and (tail := file.readline(PIECE_BYTES)):
            size += len(tail)
        if begin:
            yield block[:begin]
        file.seek(start)
        # In one piece of just its size: a copy would take as much memory once more.
        yield file.read(size - tail.endswith(b"\n"))
        while rest := file.readline(PIECE_BYTES):
            skip(rest)
            if rest.endswith(b"\n"):
                break
