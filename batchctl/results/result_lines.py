"""One line of a batch's results: whose it is, what it says, and its message.

The API writes the head of every success in one way, and most lines are one: for those a head and a tail are enough. Any other
line is parsed whole, which is slower and never wrong.
"""

import codecs
import json
import re
from collections.abc import Iterable
from typing import Any

import orjson

from batchctl.domain.faults import MAX_CUSTOM_ID_CHARACTERS
from batchctl.domain.model import Outcome, OutcomeCode
from batchctl.domain.outcomes import Reading, read_result

PIECE_BYTES = 1 << 20
# A line is held in memory until it ends. A whole batch is sent with fewer bytes, and answered with shorter lines.
MOST_LINE_BYTES = 1 << 28
# Levels of JSON that are parsed at once, where all of them are too many.
LAYER = 100

OPENING = b'{"custom_id":"'
SUCCEEDED_HEAD = b'","result":{"type":"succeeded",'
# The most bytes that the head of a success has.
HEAD_BYTES = len(OPENING) + MAX_CUSTOM_ID_CHARACTERS + len(SUCCEEDED_HEAD)

_HEAD = re.compile(rb'\s*\{"custom_id":\s*"([^"\\]*)",\s*"result":\s*\{"type":\s*"([a-z_]+)"').match
_ID_IN_HEAD = re.compile(rb'\s*\{\s*"custom_id"\s*:\s*"([^"\\]*)"').match
_TAILS = (b"}}}", b"}}}\r")
_BRACKETS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{\]}]', re.DOTALL).finditer
# An id that the API cannot have is not read. (It takes up to 64 letters, digits, _ and - today.)
_is_custom_id = re.compile(rb"[^\x00-\x1f\x7f]{1,256}").fullmatch
_STOP_REASON = b'"stop_reason"'
_PLAIN_STOPS = (b'"stop_reason":"end_turn"', b'"stop_reason":"tool_use"', b'"stop_reason":"stop_sequence"')
_SUCCEEDED = Reading(OutcomeCode.SUCCEEDED, Outcome.SUCCEEDED)


class IncompleteResults(Exception):
    """The download does not hold what the batch should; asking again may help."""


def read_line(line: bytes) -> tuple[bytes, Reading]:
    """Return the custom_id of a result line and what the line says. Raises IncompleteResults where it is no result."""
    match = _HEAD(line)
    if match and match.group(2) == b"succeeded" and is_plain(line) and _is_custom_id(match[1]) and is_text(line):
        return match.group(1), _SUCCEEDED
    return parse_line(line)


def parse_line(line: bytes) -> tuple[bytes, Reading]:
    """Return the same as `read_line`, always by a parse of the whole line."""
    try:
        result_line = load_json(line)
        return _custom_id_of(result_line), read_result(result_line["result"])
    except (ValueError, KeyError, TypeError) as error:
        raise IncompleteResults(f"a line is no result: {line[:80].decode('utf-8', 'replace')}") from error


def _custom_id_of(result_line: Any) -> bytes:
    custom_id = result_line["custom_id"]
    # An id that cannot be read does not say whose the result is; that does not make it another job's.
    if not isinstance(custom_id, str) or not _is_custom_id(custom_id.encode()):
        raise ValueError("no custom_id")
    return custom_id.encode()


def id_in_head(line: bytes) -> bytes:
    """Return the custom_id of a line that need not be JSON, where it begins as results do; else empty."""
    match = _ID_IN_HEAD(line)
    return match[1] if match and _is_custom_id(match[1]) and is_text(match[1]) else b""


def custom_id_of_result(line: bytes) -> str:
    """Return the custom_id of a result line. Raises IncompleteResults where it is no result."""
    return read_line(line)[0].decode("utf-8", "replace")


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
            ids.append(read_line(line)[0])
            if len(ids) == most:
                return ids
    rest = b"".join(held)
    if rest.strip():
        ids.append(parse_line(rest)[0])
    if not ids:
        raise IncompleteResults("no result came")
    return ids


def refuse_endless(size: int) -> None:
    """Raise IncompleteResults where `size` bytes without a newline are more than a line can have."""
    if size > MOST_LINE_BYTES:
        raise IncompleteResults(f"a line of more than {MOST_LINE_BYTES >> 20} MiB")


# ---------------------------------------------------------------- a success, known without a parse


def is_plain(line: bytes) -> bool:
    """Return whether a line that begins as a success ends as one that did not stop early."""
    return line.endswith(_TAILS) and ends_plainly(line)


def ends_plainly(text: bytes) -> bool:
    """Return whether every `stop_reason` in `text`, wherever it stands, is that of an answer that came to its end."""
    left = text.count(_STOP_REASON)
    for plain in _PLAIN_STOPS:
        if not left:
            break
        left -= text.count(plain)
    return not left


def is_text(line: bytes) -> bool:
    """Return whether a line is UTF-8 without NUL: the least that a line must be which is not parsed."""
    return b"\0" not in line and (line.isascii() or is_utf8(memoryview(line)))


def is_utf8(text: "memoryview[int]") -> bool:
    """Return whether `text` is UTF-8, decoded piece by piece: as characters it may take four times the memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(text), PIECE_BYTES):
            decoder.decode(text[at : at + PIECE_BYTES])
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
