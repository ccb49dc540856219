"""Create bodies: written to disk and hashed as they come in, then read request by request, so that size costs no memory."""

import codecs
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

WINDOW = 1 << 18
_SPACE = re.compile(r"[ \t\r\n]*")
# The parser blames the end of the window a few characters early when a literal or an escape is cut in two.
_CUT = 16


class BrokenJSONError(ValueError):
    """A body that is no JSON; says what a parser says."""


class TooLarge(Exception):
    """A body that grew beyond the limit."""


@dataclass(frozen=True)
class Received:
    """A body on disk: its size in bytes and the hash of exactly what came over the wire."""

    path: Path
    size: int
    sha256: str


async def receive(stream: AsyncIterator[bytes], path: Path, limit: int) -> Received:
    """Writes a body to `path`; raises `TooLarge` as soon as it has more than `limit` bytes."""
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        async for piece in stream:
            size += len(piece)
            if size > limit:
                raise TooLarge
            digest.update(piece)
            file.write(piece)
    return Received(path, size, digest.hexdigest())


def _refuse_constant(name: str) -> NoReturn:
    raise BrokenJSONError(f"{name} is not JSON")


class Window:
    """JSON values one after the other from a file, holding no more text than the largest of them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._scan = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode
        self._text, self._at, self._passed = "", 0, 0
        self._ended = False

    def _fill(self) -> bool:
        if self._ended:
            return False
        rest = self._text[self._at :]
        # At least doubling, so that one huge value is not scanned once per window.
        raw = self._file.read(max(WINDOW, len(rest)))
        self._ended = not raw
        self._passed += self._at
        try:
            self._text, self._at = rest + self._decode(raw, final=not raw), 0
        except UnicodeDecodeError as problem:
            raise BrokenJSONError(f"not UTF-8: {problem.reason}") from None
        return True

    def _broken(self, what: str, at: int) -> BrokenJSONError:
        return BrokenJSONError(f"{what} (char {self._passed + at})")

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            matched = _SPACE.match(self._text, self._at)
            self._at = matched.end() if matched else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def expect(self, allowed: str) -> str:
        """Takes the next character, which must be one of `allowed`."""
        found = self.peek()
        if not found:
            raise self._broken("unexpected end of data", self._at)
        if found not in allowed:
            raise self._broken(f"expected {' or '.join(map(repr, allowed))}", self._at)
        self._at += 1
        return found

    def value(self) -> Any:
        """Takes the next value, however long it is."""
        self.peek()
        while True:
            try:
                value, end = self._scan(self._text, self._at)
            except json.JSONDecodeError as problem:
                cut = problem.msg.startswith("Unterminated") or problem.pos >= len(self._text) - _CUT
                if cut and self._fill():
                    continue
                raise self._broken("unexpected end of data" if cut else problem.msg, problem.pos) from None
            except BrokenJSONError:
                raise
            except (RecursionError, ValueError):
                # Python's own limits: nesting, and digits of a number.
                raise self._broken("nested too deeply, or a number too long", self._at) from None
            # A number at the very end of the window may go on.
            if end == len(self._text) and self._fill():
                continue
            self._at = end
            return value


@dataclass
class Envelope:
    """`{"requests": [...]}` read from a file: iterating yields the requests, then the other fields are known."""

    file: BinaryIO
    found: bool = False
    wrong: str = ""
    extra: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Any]:
        window = Window(self.file)
        if window.peek() != "{":
            window.value()
            self.wrong = "Input should be a valid dictionary or object to extract fields from"
        else:
            yield from self._members(window)
        if window.peek():
            raise BrokenJSONError("unexpected content after document")

    def _members(self, window: Window) -> Iterator[Any]:
        window.expect("{")
        if window.peek() == "}":
            window.expect("}")
            return
        while True:
            if window.peek() not in ('"', ""):
                window.expect('"')
            key = window.value()
            window.expect(":")
            yield from self._member(key, window)
            if window.expect(",}") == "}":
                return

    def _member(self, key: str, window: Window) -> Iterator[Any]:
        if key != "requests":
            self.extra.append(key)
            window.value()
            return
        self.found = True
        if window.peek() != "[":
            window.value()
            self.wrong = "requests: Input should be a valid list"
            return
        yield from elements(window)


def elements(window: Window) -> Iterator[Any]:
    """The elements of the array that comes next."""
    window.expect("[")
    if window.peek() == "]":
        window.expect("]")
        return
    while True:
        yield window.value()
        if window.expect(",]") == "]":
            return


def each_request(path: Path, see: Callable[[int, Any], None]) -> Envelope:
    """Shows every request of a body to `see(number, request)`; raises `BrokenJSONError`."""
    with path.open("rb") as file:
        envelope = Envelope(file)
        for number, request in enumerate(envelope):
            see(number, request)
    return envelope
