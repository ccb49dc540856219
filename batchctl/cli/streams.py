"""The streams of the process: they take every text, and a message that cannot be written does not stop a job."""

import io
import os
import sys
from typing import Any

from batchctl.render.text import is_utf8

NARROWEST = 20  # columns; of fewer, nothing that is shown can be read


def prepare() -> None:
    """Prepare stdout, stderr and what Rich reads of the environment: once, before anything is written."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_errors(sys.stdout.encoding))
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_WhereverItGoes(sys.stderr.fileno(), "wb", closefd=False)),
            encoding=sys.stderr.encoding,
            errors=_errors(sys.stderr.encoding),
            line_buffering=True,
        )
    for variable, least in (("COLUMNS", NARROWEST), ("LINES", 1)):
        # Rich takes whatever number stands there, and shows nothing at all in 0 columns.
        value = os.environ.get(variable)
        if value is not None and not (value.isascii() and value.isdigit() and int(value) >= least):
            del os.environ[variable]


class _WhereverItGoes(io.FileIO):
    """A file that drops what it cannot write: a job goes on where the disk is full, or the terminal is gone."""

    def write(self, data: Any) -> int:
        try:
            written = super().write(data)
        except OSError:
            written = None
        return memoryview(data).nbytes if written is None else written


def _errors(encoding: str | None) -> str:
    """Return how a text is written that the encoding has no character for.

    UTF-8 shows the bytes of file names that are not UTF-8; an older terminal shows a `?`.
    """
    return "backslashreplace" if is_utf8(encoding) else "replace"
