"""The body of a create: the bytes a person wrote, joined into one JSON array without being read."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from batchctl.domain.errors import InputProblem
from batchctl.domain.model import ENVELOPE_CLOSE, ENVELOPE_OPEN, Cut
from batchctl.files.inputs import opened

# 128-256 KB: larger pieces cost a fresh mapping and page faults each.
PIECE_BYTES = 1 << 17


def body_pieces(path: Path, cut: Cut) -> Iterator[bytes]:
    """The body in pieces, `cut.body_bytes` long in all.

    A newline cannot stand inside a JSON string, so every one of them ends a line and may become a comma. The closing
    bytes are held back until the hash of everything before them is right: a file that changed under us raises
    InputProblem in mid-body, and the API never sees a whole request.
    """
    digest = hashlib.sha256()
    yield ENVELOPE_OPEN
    for piece in range_pieces(path, cut.start, cut.end):
        digest.update(piece)
        yield piece.replace(b"\n", b",")
    if digest.hexdigest() != cut.sha256:
        raise changed(path, cut)
    yield ENVELOPE_CLOSE


def range_pieces(path: Path, start: int, end: int) -> Iterator[bytes]:
    """Bytes `start` to `end`; ends early where the file does."""
    with opened(path) as file:
        file.seek(start)
        left = end - start
        while left and (piece := file.read(min(PIECE_BYTES, left))):
            left -= len(piece)
            yield piece


def single_request_body(path: Path, cuts: Sequence[Cut], position: int) -> bytes:
    """The body as it would be, with only the request at `position` in it."""
    cut = next(c for c in cuts if c.first <= position < c.first + c.count)
    rest, at = b"", cut.first
    for piece in range_pieces(path, cut.start, cut.end):
        *lines, rest = (rest + piece).split(b"\n")
        if position < at + len(lines):
            return ENVELOPE_OPEN + lines[position - at] + ENVELOPE_CLOSE
        at += len(lines)
    return ENVELOPE_OPEN + rest + ENVELOPE_CLOSE


def changed(path: Path, cut: Cut) -> InputProblem:
    return InputProblem(
        f"{path} changed since it was planned: requests {cut.first + 1:,} to {cut.first + cut.count:,}"
        f" (bytes {cut.start:,} to {cut.end:,}) are not the bytes that were checked",
        hint="put the original back, or name it with --input PATH; batches already sent are not affected",
    )
