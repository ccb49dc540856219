"""`convert FILE`: a batch file of another vendor as a file of requests. Nothing is sent, and the API is not asked."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.check_report import Conversion
from batchctl.domain.errors import InputProblem, UsageProblem
from batchctl.domain.events import Converted
from batchctl.domain.wording import of_total
from batchctl.engine.input_file import plain_file, progress
from batchctl.engine.session import ReadSession
from batchctl.requests.conversions import ConvertOptions
from batchctl.requests.convert_file import convert_file
from batchctl.requests.inputs import STDIN, input_name, opened, refuse_wrong_file, stat
from batchctl.requests.problem_file import ProblemFile
from batchctl.results.outputs import STDOUT, output_file, refuse_to_replace
from batchctl.store.local import disk


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedConversion:
    """What a person asked `convert` for.

    Attributes:
        path: The file, `-` for stdin.
        output: Where the requests go, `-` for stdout; empty for a file in this folder that is named after the input.
        options: How requests are converted.
        skip_bad: Whether lines that cannot be converted are left out.
        force: Whether a file that is there is replaced.
    """

    path: str
    output: str = ""
    options: ConvertOptions
    skip_bad: bool = False
    force: bool = False

    @property
    def target(self) -> str:
        """Where the requests go."""
        return self.output or f"{input_name(self.path)}.requests.jsonl"


def convert(session: ReadSession, wanted: WantedConversion, stdin: BinaryIO | None) -> tuple[Conversion, Path]:
    """Convert a file; return what came of it, and where all that is wrong with it is listed.

    The output is put in place whole or not at all.

    Raises:
        UsageProblem: The output is the input, or stdout is closed.
        Refused: The output is there already.
        InputProblem: A line cannot be converted. `Converted`, which names all of them, was emitted.
    """
    _refuse_output(wanted)
    workspace = session.workspace
    copied = workspace.temporary(f"{os.getpid()}.input")
    problems = ProblemFile(workspace.temporary(f"{os.getpid()}.problems"))
    listed = workspace.problems(input_name(wanted.path))
    try:
        plain = plain_file(session, wanted.path, copied, stdin)
        with opened(plain) as file, _output(session, wanted.target) as out:
            refuse_wrong_file(wanted.path, file, converts=True)
            emit = progress(session, "converting", stat(plain).st_size)
            conversion = convert_file(file, out, wanted.options, problems, emit)
            problems.publish(listed)
            session.emit(Converted(wanted.path, conversion, str(listed)))
            _refuse_faults(wanted, conversion, listed)
    finally:
        problems.close()
        for left in (problems.path, copied):
            left.unlink(missing_ok=True)
    return conversion, listed


def _refuse_output(wanted: WantedConversion) -> None:
    if wanted.target == STDOUT:
        if sys.__stdout__ is None:
            raise UsageProblem("-o -: stdout is closed")
        return
    output, source = Path(wanted.target), Path(wanted.path)
    with disk(output):
        if wanted.path != STDIN and source.exists() and output.exists() and output.samefile(source):
            raise UsageProblem(f"-o {output}: this is the input itself", hint="name another file: -o FILE")
    refuse_to_replace(output, None, force=wanted.force, elsewhere="use another file (-o FILE) or stdout (-o -)")


def _refuse_faults(wanted: WantedConversion, conversion: Conversion, listed: Path) -> None:
    """Raise InputProblem where a line has an error, unless such lines are left out and another line remains."""
    if conversion.errors and not wanted.skip_bad:
        count = of_total(conversion.left_out, conversion.lines, "line")
        raise InputProblem(
            f"{wanted.path}: {count} cannot be converted; nothing was written",
            hint=f"fix them, or skip them with --skip-bad; the full list: {listed}",
        )
    if not conversion.requests:
        raise InputProblem(f"{wanted.path}: no line can be converted", hint=f"the full list of problems: {listed}")


@contextlib.contextmanager
def _output(session: ReadSession, target: str) -> Iterator[BinaryIO]:
    """Give where the requests go: a file that is put in place whole, or one that is copied to stdout at the end."""
    if target != STDOUT:
        with output_file(Path(target), None) as out:
            yield out
        return
    # What is on stdout cannot be taken back, so it waits for the last line.
    waiting = session.workspace.temporary(f"{os.getpid()}.converted")
    try:
        with disk(waiting), waiting.open("w+b") as out:
            yield out
            out.seek(0)
            shutil.copyfileobj(out, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    finally:
        waiting.unlink(missing_ok=True)
