"""An input as a plain file, and word of how far it has been read."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from batchctl.domain.errors import InputProblem
from batchctl.domain.events import Reading
from batchctl.engine.session import ReadSession
from batchctl.requests.inputs import STDIN, absolute, is_spooled, spool

PROGRESS_BYTES = 8 << 20


def plain_file(session: ReadSession, path: str, copied: Path, stdin: BinaryIO | None) -> Path:
    """The file of an input's bytes: its own, or `copied`, where it cannot be read by range. Raises InputProblem."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputProblem(
            f"{path}: a path that is not UTF-8", hint="rename the file, or hand it in as stdin: -"
        ) from None
    if path == STDIN and stdin is None:
        raise InputProblem("stdin is closed: there is nothing to read from it")
    if not is_spooled(path):
        return Path(absolute(path))
    spool(path, copied, stdin, progress(session, "copying", 0))
    return copied


def progress(session: ReadSession, what: str, total: int) -> Callable[[int], None]:
    """Tells of the bytes done now and then. `total`: how many there are, 0 where nobody knows."""
    last = 0

    def emit(done: int) -> None:
        nonlocal last
        if done - last >= PROGRESS_BYTES:
            last = done
            session.emit(Reading(what, done, total))

    return emit
