"""The request lines of a batch, read back from the range of the file that it was cut from."""

import hashlib
from array import array
from collections.abc import Iterator
from pathlib import Path

import orjson

from batchctl.domain.model import Batch, Presumed
from batchctl.files.blocks import read_ids
from batchctl.files.splice import changed, range_pieces, split_lines


def ids_of_range(path: Path, batch: Batch | Presumed) -> dict[bytes, int]:
    """The custom_ids of a batch with their positions in it, read from its range of the request file."""
    ids: list[bytes] = []
    for lines in blocks_of_range(path, batch):
        ids += ids_of(lines)
    return dict(zip(ids, range(len(ids)), strict=True))


def lines_of_range(path: Path, batch: Batch) -> Iterator[bytes]:
    """The request lines of a batch, without their newlines. Raises as `blocks_of_range` does."""
    for lines in blocks_of_range(path, batch):
        yield from lines


def blocks_of_range(path: Path, batch: Batch | Presumed) -> Iterator[list[bytes]]:
    """The request lines of a batch, without their newlines, some at a time.

    Raises InputProblem, before the last of them, where they are not the bytes that were planned.
    """
    yield from split_lines(_checked_pieces(path, batch))


def starts_of_range(path: Path, batch: Batch) -> "array[int]":
    """Return the offset in the file of each request line of a batch, and of what would follow the last line's newline.

    8 bytes for each request. Raises as `blocks_of_range` does.
    """
    starts = array("Q", [batch.cut.start])
    for lines in blocks_of_range(path, batch):
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
    return starts


def check_range(path: Path, batch: Batch) -> None:
    """Raises InputProblem where the bytes of the range are not those that were planned."""
    for _ in _checked_pieces(path, batch):
        pass


def _checked_pieces(path: Path, batch: Batch | Presumed) -> Iterator[bytes]:
    """Raises InputProblem, after the last, where they are not the bytes that were planned."""
    digest = hashlib.sha256()
    for piece in range_pieces(path, batch.cut.start, batch.cut.end):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != batch.cut.sha256:
        raise changed(path, batch.cut)


def ids_of(lines: list[bytes]) -> list[bytes]:
    """The custom_ids of request lines that were checked when they were planned; empty for one that no longer is one."""
    return read_ids(lines) or [_parsed_id(line) for line in lines]


def custom_id_of(line: bytes) -> bytes:
    """Of one such line."""
    return ids_of([line])[0]


def _parsed_id(line: bytes) -> bytes:
    try:
        return str(orjson.loads(line)["custom_id"]).encode()
    except (ValueError, KeyError, TypeError):
        return b""
