"""One line of a batch's results: whose it is, what it says, and what it used.

Most lines are successes, which a typed decoder reads. It refuses whatever it does not know: that line is parsed as JSON of any
shape, which is slower.
"""

import codecs
import json
import re
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import orjson
from msgspec import MsgspecError, Struct
from msgspec.json import Decoder

from batchctl.domain.outcomes import Reading, read_result, reading_of_success
from batchctl.results.usage import Message, readable_message

PIECE_BYTES = 1 << 20
# A line is held in memory until it ends. A whole batch is sent with fewer bytes, and answered with shorter lines.
MAX_LINE_BYTES = 1 << 28
# Levels of JSON that are parsed at once, where all of them are too many.
LAYER = 100

_ID_IN_HEAD = re.compile(rb'\s*\{\s*"custom_id"\s*:\s*"([^"\\]*)"').match
_BRACKETS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]}]', re.DOTALL).finditer
# An id that the API cannot have is not read. (It takes up to 64 letters, digits, _ and - today.)
_is_custom_id = re.compile(rb"[^\x00-\x1f\x7f]{1,256}").fullmatch


class Succeeded(Struct, gc=False):
    """The `result` of a success."""

    # A tag of the class would not do: msgspec takes an object without one.
    type: Literal["succeeded"]
    message: Message


class Success(Struct, gc=False):
    """A line of results that is a success and says what it used."""

    custom_id: str
    result: Succeeded


class ResultLine(NamedTuple):
    """A line of results. `message` is None for a failure, and for a success that does not say what it used."""

    custom_id: bytes
    reading: Reading
    message: Message | None


# Return a line as a Success; raise one of NO_SUCCESS where it is none, or may be none. Beyond the texts that it keeps, the decoder
# does not look at UTF-8: ask `is_utf8` first.
decode_success = Decoder(Success).decode
NO_SUCCESS = (MsgspecError, RecursionError)


class IncompleteResults(Exception):
    """The download does not hold what the batch should; asking again may help."""


def read_line(line: bytes) -> ResultLine:
    """Return what a line says. Raises IncompleteResults where it is no result."""
    try:
        success = decode_success(line)
    except NO_SUCCESS:
        return parse_line(line)
    custom_id, message = success.custom_id.encode(), success.result.message
    if not is_utf8(line) or not _is_custom_id(custom_id):
        return parse_line(line)
    return ResultLine(custom_id, reading_of_success(message.stop_reason), message)


def parse_line(line: bytes) -> ResultLine:
    """Return the same as `read_line`, by a parse of JSON of any shape."""
    try:
        parsed = load_json(line)
        reading = read_result(parsed["result"])
        message = readable_message(parsed["result"].get("message")) if reading.code.is_success else None
        return ResultLine(_custom_id_of(parsed), reading, message)
    except (ValueError, KeyError, TypeError) as error:
        raise IncompleteResults(f"a line is not a result: {line[:80].decode('utf-8', 'replace')}") from error


def _custom_id_of(parsed: Any) -> bytes:
    custom_id = parsed["custom_id"]
    # An id that cannot be read does not say whose the result is; that does not make it another job's.
    if not isinstance(custom_id, str) or not _is_custom_id(custom_id.encode()):
        raise ValueError("no custom_id")
    return custom_id.encode()


def id_in_head(line: bytes) -> bytes:
    """Return the custom_id of a line that need not be JSON, where it begins as results do; else empty."""
    match = _ID_IN_HEAD(line)
    return match[1] if match and _is_custom_id(match[1]) and is_utf8(match[1]) else b""


def custom_id_of_result(line: bytes) -> str:
    """Return the custom_id of a result line. Raises IncompleteResults where it is no result."""
    return read_line(line).custom_id.decode("utf-8", "replace")


def message_of(line: bytes) -> object:
    """Return the `message` of a success; None where the line has none."""
    try:
        return load_json(line)["result"]["message"]
    except (ValueError, KeyError, TypeError):
        return None


def first_ids(pieces: Iterable[bytes], most: int) -> list[bytes]:
    """Return the custom_ids of the first result lines, at least one and at most `most`.

    Raises IncompleteResults where a line is no result, or none comes.
    """
    ids: list[bytes] = []
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        refuse_endless(size)
        if b"\n" not in piece:
            continue
        *lines, rest = b"".join(held).split(b"\n")
        held, size = [rest], len(rest)
        for line in filter(bytes.strip, lines):
            ids.append(read_line(line).custom_id)
            if len(ids) == most:
                return ids
    rest = b"".join(held)
    if rest.strip():
        ids.append(read_line(rest).custom_id)
    if not ids:
        raise IncompleteResults("no result came")
    return ids


def refuse_endless(size: int) -> None:
    """Raise IncompleteResults where `size` bytes without a newline are more than a line can have."""
    if size > MAX_LINE_BYTES:
        raise IncompleteResults(f"a line of more than {MAX_LINE_BYTES >> 20} MiB")


def is_utf8(text: bytes, end: int | None = None) -> bool:
    """Return whether `text`, up to `end`, is UTF-8. Decode it piece by piece: as characters it may take four times the memory."""
    if text.isascii():
        return True
    end = len(text) if end is None else end
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, end, PIECE_BYTES):
            decoder.decode(text[at : min(at + PIECE_BYTES, end)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


# ---------------------------------------------------------------- JSON of any depth


def load_json(line: bytes) -> Any:
    """Return the value of a line; what lies very deep in it may be null. Raises ValueError."""
    # orjson is stricter than a result must be: half a surrogate pair in an answer does not unmake it.
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            return json.loads(line)
        except RecursionError:
            return _load_in_layers(line)


def _load_in_layers(line: bytes) -> Any:
    """Return the outermost levels of a value. Each further layer is parsed by itself, and is null in the one around it."""
    layers: list[list[bytes]] = [[]]
    depth = at = 0
    for token in _BRACKETS(line):
        kind = token[0]
        if kind in {b"[", b"{"}:
            if depth and depth % LAYER == 0:
                layers[-1].append(line[at : token.start()])
                layers.append([])
                at = token.start()
            depth += 1
        elif kind in {b"]", b"}"}:
            depth -= 1
            if depth > 0 and depth % LAYER == 0:
                json.loads(b"".join((*layers.pop(), line[at : token.end()])).decode())
                layers[-1].append(b"null")
                at = token.end()
    if len(layers) > 1:
        raise ValueError("a bracket is not closed")
    return json.loads(b"".join((*layers[0], line[at:])).decode())
