"""The body of a create: the bytes a person wrote, joined into one JSON array without being read."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
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


def split_lines(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The lines of what comes in pieces, without their newlines, some at a time; last what follows the last newline.

    A long line is put together once, and not anew with each of its pieces.
    """
    held: list[bytes] = []
    for piece in pieces:
        first, *more = piece.split(b"\n")
        held.append(first)
        if more:
            lines = [b"".join(held), *more[:-1]]
            held = [more[-1]]
            yield lines
    last = b"".join(held)
    held.clear()
    yield [last]


def single_request_body(path: Path, cuts: Sequence[Cut], position: int) -> bytes:
    """The body as it would be, with only the request at `position` in it."""
    cut = next(c for c in cuts if c.first <= position < c.first + c.count)
    at = cut.first
    for lines in split_lines(range_pieces(path, cut.start, cut.end)):
        if position < at + len(lines):
            return ENVELOPE_OPEN + lines[position - at] + ENVELOPE_CLOSE
        at += len(lines)
    raise changed(path, cut)


def changed(path: Path, cut: Cut) -> InputProblem:
    return InputProblem(
        f"{path} changed since it was planned: requests {cut.first + 1:,} to {cut.first + cut.count:,}"
        f" (bytes {cut.start:,} to {cut.end:,}) are not the bytes that were checked",
        hint="put the original back, or name it with --input PATH; batches already sent are not affected",
    )
