"""The plain file of an input, and events that say how much of a file is read."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.errors import InputProblem
from batchctl.domain.events import Reading
from batchctl.engine.session import ReadSession
from batchctl.requests.inputs import STDIN, absolute, is_spooled, spool

# A `Reading` event is emitted each time that so many bytes are done.
PROGRESS_BYTES = 8 << 20


def plain_file(session: ReadSession, path: str, copied: Path, stdin: BinaryIO | None) -> Path:
    """Return a file with the bytes of an input that can be read by range. Raises InputProblem.

    Args:
        session: Where progress is emitted.
        path: The input; `-` for stdin.
        copied: Where stdin and compressed inputs are copied to; any other input is read in its place.
        stdin: None where it is closed.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputProblem(f"{path}: the path is not UTF-8", hint="rename the file, or pass it on stdin: -") from None
    if path == STDIN and stdin is None:
        raise InputProblem("stdin is closed; there is no input to read")
    if not is_spooled(path):
        return Path(absolute(path))
    spool(path, copied, stdin, progress(session, "copying", 0))
    return copied


def progress(session: ReadSession, what: str, total: int) -> Callable[[int], None]:
    """Return a function that takes the number of bytes done so far and emits `Reading` now and then.

    `total` is the number of all bytes; 0 where it is not known.
    """
    last = 0

    def emit(done: int) -> None:
        nonlocal last
        if done - last >= PROGRESS_BYTES:
            last = done
            session.emit(Reading(what, done, total))

    return emit
