"""The request file of a round, read back: the body of a batch, its lines and ids, its halves, and samples.

A batch is a range of the file. What is read of it is held against the hash of its cut: a file that changed since it was checked
raises InputProblem.
"""

import hashlib
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from batchctl.domain.errors import InputProblem
from batchctl.domain.groups import SampledLine
from batchctl.domain.model import ENVELOPE_CLOSE, ENVELOPE_OPEN, Batch, Cut, Job, PresumedNotCreated
from batchctl.requests.decoding import BYTE_ORDER_MARK
from batchctl.requests.inputs import opened
from batchctl.requests.request_lines import read_ids
from batchctl.store.workspace import Workspace

# 128-256 KB: larger pieces cost a fresh mapping and page faults each.
PIECE_BYTES = 1 << 17
# A range up to this size is held in memory while it is checked; any other is read twice.
HELD_BYTES = 8 << 20


def request_file(workspace: Workspace, job: Job, number: int) -> Path:
    """Return the request file of round `number`. Raises InputProblem where it is gone."""
    stored = next(r for r in job.rounds if r.number == number)
    path = workspace.resolve(stored.request_file)
    if not path.exists():
        raise InputProblem(
            f"{path}: the requests of {job.name} no longer exist",
            hint="if the file was moved, pass --input PATH; it is checked by its hash",
        )
    return path


# ---------------------------------------------------------------- the body of a create


def body_pieces(path: Path, cut: Cut) -> Iterator[bytes]:
    """Yield the body of a batch in pieces, `cut.body_bytes` long in all.

    A newline cannot stand inside a JSON string, so each one ends a line and may become a comma. The closing bytes are held
    back until the hash of all bytes before them is right: a file that changed raises InputProblem in mid-body, and the API
    never sees a whole request.
    """
    digest = hashlib.sha256()
    yield ENVELOPE_OPEN
    for piece in _range_pieces(path, cut):
        digest.update(piece)
        yield piece.replace(b"\n", b",")
    if digest.hexdigest() != cut.sha256:
        raise _changed(path, cut)
    yield ENVELOPE_CLOSE


def single_request_body(path: Path, cuts: Sequence[Cut], position: int) -> bytes:
    """Return the body as it would be with only the request at `position` in it. Raises InputProblem where it is gone."""
    cut = next(c for c in cuts if c.first <= position < c.first + c.count)
    at = cut.first
    for lines in split_lines(_range_pieces(path, cut)):
        if position < at + len(lines):
            return ENVELOPE_OPEN + lines[position - at] + ENVELOPE_CLOSE
        at += len(lines)
    raise _changed(path, cut)


def _range_pieces(path: Path, cut: Cut) -> Iterator[bytes]:
    """Yield the bytes of a range; fewer where the file ends earlier."""
    with opened(path) as file:
        file.seek(cut.start)
        left = cut.end - cut.start
        while left and (piece := file.read(min(PIECE_BYTES, left))):
            left -= len(piece)
            yield piece


def _changed(path: Path, cut: Cut) -> InputProblem:
    return InputProblem(
        f"{path} changed since it was planned: requests {cut.first + 1:,} to {cut.first + cut.count:,}"
        f" (bytes {cut.start:,} to {cut.end:,}) differ from the bytes that were checked",
        hint="restore the original, or pass it with --input PATH; batches that were sent are not affected",
    )


# ---------------------------------------------------------------- the lines of a batch


def blocks_of_range(path: Path, batch: Batch | PresumedNotCreated) -> Iterator[list[bytes]]:
    """Yield the request lines of a batch, without their newlines, some at a time.

    Raises InputProblem, before the last of them, where they are not the bytes that were planned.
    """
    yield from split_lines(_checked_pieces(path, batch))


def lines_of_range(path: Path, batch: Batch) -> Iterator[bytes]:
    """Yield the request lines of a batch, without their newlines. Raises as `blocks_of_range` does."""
    for lines in blocks_of_range(path, batch):
        yield from lines


def check_range(path: Path, batch: Batch) -> None:
    """Raise InputProblem where the bytes of a batch are not those that were planned."""
    for _ in _checked_pieces(path, batch):
        pass


def _checked_pieces(path: Path, batch: Batch | PresumedNotCreated) -> Iterator[bytes]:
    """Yield the bytes of a batch. Raises InputProblem, after the last, where they are not those that were planned."""
    digest = hashlib.sha256()
    for piece in _range_pieces(path, batch.cut):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != batch.cut.sha256:
        raise _changed(path, batch.cut)


def split_lines(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of bytes that come in pieces, without newlines, some at a time; last what follows the last newline.

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


def starts_of_range(path: Path, batch: Batch) -> "array[int]":
    """Return the offset in the file of each request line of a batch, and of what would follow the last line's newline.

    8 bytes for each request. Raises as `blocks_of_range` does.
    """
    starts = array("Q", [batch.cut.start])
    for lines in blocks_of_range(path, batch):
        for line in lines:
            starts.append(starts[-1] + len(line) + 1)
    return starts


def halves(path: Path, batch: Batch) -> tuple[Cut, Cut]:
    """Return two cuts with the lines of a batch of at least two. Raises as `blocks_of_range` does."""
    count = batch.count // 2
    cut = batch.cut
    digests = hashlib.sha256(), hashlib.sha256()
    end = cut.start - 1
    for position, line in enumerate(lines_of_range(path, batch)):
        digest = digests[position >= count]
        if position not in {0, count}:
            digest.update(b"\n")
        digest.update(line)
        if position < count:
            end += len(line) + 1
    first, second = (digest.hexdigest() for digest in digests)
    return (
        Cut(first=cut.first, count=count, start=cut.start, end=end, sha256=first),
        Cut(first=cut.first + count, count=cut.count - count, start=end + 1, end=cut.end, sha256=second),
    )


class LinesInOrder:
    """The request lines of one batch, asked for by rising position; the file is read only when one is asked for.

    The whole range is checked before the first line is given: it may be sent before the last is reached.
    """

    def __init__(self, path: Path, batch: Batch) -> None:
        self._path = path
        self._batch = batch
        self._blocks: Iterator[list[bytes]] | None = None
        self._lines: list[bytes] = []
        self._first = 0

    def line(self, position: int) -> bytes:
        """Return the line at `position`. Raises InputProblem where the range is not the one that was planned."""
        if self._blocks is None:
            self._blocks = self._checked()
        while position >= self._first + len(self._lines):
            self._first += len(self._lines)
            self._lines = next(self._blocks)
        return self._lines[position - self._first]

    def _checked(self) -> Iterator[list[bytes]]:
        blocks = blocks_of_range(self._path, self._batch)
        if self._batch.cut.end - self._batch.cut.start <= HELD_BYTES:
            return iter([*blocks])
        check_range(self._path, self._batch)
        return blocks


def whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each line of a checked file that holds something, with its number, without a byte order mark and newline."""
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            text = (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).rstrip(b"\n")
            if text.strip():
                yield number, text


# ---------------------------------------------------------------- ids


def ids_of_range(path: Path, batch: Batch | PresumedNotCreated) -> dict[bytes, int]:
    """Return the custom_ids of a batch with their positions in it. Raises as `blocks_of_range` does."""
    ids: list[bytes] = []
    for lines in blocks_of_range(path, batch):
        ids += ids_of(lines)
    return dict(zip(ids, range(len(ids)), strict=True))


def ids_of(lines: list[bytes]) -> list[bytes]:
    """Return the custom_ids of request lines that were checked before; empty for a line that is no request any more."""
    return read_ids(lines) or [_parsed_id(line) for line in lines]


def custom_id_of(line: bytes) -> bytes:
    """Return the custom_id of one such line."""
    return ids_of([line])[0]


def _parsed_id(line: bytes) -> bytes:
    try:
        return str(orjson.loads(line)["custom_id"]).encode()
    except (ValueError, KeyError, TypeError):
        return b""


# ---------------------------------------------------------------- samples, and what the API counts of them

# All that POST /v1/messages/count_tokens takes.
COUNTED = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")
# The API takes four times as much for one request; a few of a sample are in memory at once.
MAX_BYTES = 8_000_000

# A picture or a document inside a request: one long text of base64.
_ENCODED = re.compile(rb'"[A-Za-z0-9+/]{1000,}={0,2}"')
_SHORTEST = [{"role": "user", "content": "?"}]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledRequest:
    """A request of the sample: its id, its params, the body that the API counts, its size, and the bytes of it that are base64."""

    custom_id: str
    params: dict[str, Any]
    body: bytes
    size: int
    encoded: int


def read_sampled(path: Path, sampled: SampledLine) -> SampledRequest | None:
    """Return a request by its place; None where it is too long, or no request any more.

    Whether the bytes are still the same is checked where they are sent.
    """
    if sampled.size > MAX_BYTES:
        return None
    line = line_at(path, sampled)
    try:
        request = orjson.loads(line)
        custom_id, params = str(request["custom_id"]), request["params"]
        body = body_to_count(params)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    encoded = sum(map(len, _ENCODED.findall(line)))
    return SampledRequest(custom_id=custom_id, params=params, body=body, size=sampled.size, encoded=encoded)


def line_at(path: Path, sampled: SampledLine) -> bytes:
    """Return the line at the place of a sampled line. Whether it is still the same is checked where it is sent."""
    with opened(path) as file:
        file.seek(sampled.offset)
        return file.read(sampled.size)


def body_to_count(params: dict[str, Any], *more: str) -> bytes:
    """Return the body for a count of `params`. `more` names params to count beside those that are known to be counted.

    Raises TypeError for what is no object, or nested too deep to be encoded.
    """
    return orjson.dumps({name: params[name] for name in (*COUNTED, *more) if name in params})


def prefix_bodies(params: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return two bodies, with and without tools and system. The difference of their token counts is what these two cost."""
    alone = {"model": params["model"], "messages": _SHORTEST}
    return body_to_count({**params, "messages": _SHORTEST}), body_to_count(alone)
