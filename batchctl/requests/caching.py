"""`cache_control` added to the system prompts of an input, for `--cache-system`.

The new bytes are spliced in and all others of the line stay as they are. A line that cannot be changed so is left as it is.
"""

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from batchctl.domain.caching import (
    BYTES_PER_TOKEN,
    CONTROL,
    Caching,
    ShortPrefixes,
    SkipReason,
    least_tokens,
    skip_reason,
    too_short,
    ttls_before,
)
from batchctl.domain.errors import DiskProblem, InputProblem
from batchctl.requests.decoding import BYTE_ORDER_MARK
from batchctl.requests.inputs import decompressed, numbered_lines, opened, refuse_wrong_file, sha256_of
from batchctl.store.line_maps import read_line_map
from batchctl.store.local import replacing

# The tokens that give JSON its shape: texts, in which anything may stand, and the signs between them.
_TEXT = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_TOKENS = re.compile(_TEXT + rb"|[{}\[\]:,]", re.DOTALL).finditer
_SYSTEM_TEXT = re.compile(rb'"system"[ \t\r]*:[ \t\r]*(%b)' % _TEXT, re.DOTALL).search
# Prefixes that are remembered, 8 bytes each; of more than that some are forgotten.
_REMEMBERED = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedLine:
    """A line, changed or not.

    `left` says why it was not changed; it is None where it was, and `prefix` is then what the new breakpoint caches: tools and
    system.
    """

    line: bytes
    left: SkipReason | None
    model: str = ""
    prefix: tuple[bytes, ...] = ()


def with_cache_control(line: bytes, ttl: str) -> CachedLine | None:
    """Return a line, given without its newline, with `cache_control` of `ttl`; None where it is no request."""
    try:
        request = orjson.loads(line)
        params = request["params"]
        left = skip_reason(params, ttl)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if left is not None:
        return CachedLine(line=line, left=left)
    places = _plain_place(line, params) or _places(line)
    if places is None:
        return CachedLine(line=line, left=SkipReason.ODD)
    start, end = places["system"]
    if isinstance(params["system"], str):
        changed = b'[{"type":"text","text":%b,"cache_control":%b}]' % (line[start:end], CONTROL[ttl])
    else:
        at = line.rindex(b"}", start, end)
        changed = b'%b,"cache_control":%b%b' % (line[start:at], CONTROL[ttl], line[at:end])
    prefix = tuple(line[slice(*places[name])] for name in ("tools", "system") if name in places)
    model = params.get("model")
    return CachedLine(
        line=line[:start] + changed + line[end:],
        left=None,
        model=model if isinstance(model, str) else "",
        prefix=prefix,
    )


def caches_prefix(line: bytes, ttl: str) -> bool:
    """Return whether a checked request keeps its tools and system prompt in a cache for `ttl`."""
    return ttl in ttls_before(orjson.loads(line)["params"])


def _plain_place(line: bytes, params: dict[str, Any]) -> dict[str, tuple[int, int]] | None:
    """Return the place of a system prompt that is text, where only one key can be meant; else None. The quick way."""
    # A key may be written with escapes: then it is another text, and the same key.
    is_one = line.count(b'"system"') == line.count(b'"params"') == 1 and b"\\u00" not in line
    match = _SYSTEM_TEXT(line) if is_one and "tools" not in params and isinstance(params["system"], str) else None
    return {"system": match.span(1)} if match else None


def _places(line: bytes) -> dict[str, tuple[int, int]] | None:
    """Return the place of each value of `params`; None where `params` or `system` stands twice: a parser takes either."""
    outer = list(_members(line, line.index(b"{")))
    inner = list(_members(line, dict(outer)["params"][0]))
    keys = [key for key, _ in outer if key == "params"] + [key for key, _ in inner if key == "system"]
    return dict(inner) if len(keys) == 2 else None


def _members(line: bytes, at: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield each key of the object that opens at `at`, and where its value begins and ends. `line` is valid JSON."""
    depth = start = 0
    key = b""
    for token in _TOKENS(line, at):
        sign = token[0]
        if sign in b"{[":
            depth += 1
        elif sign in b"}]":
            depth -= 1
        if depth == 1 and sign == b":":
            start = token.end()
        elif depth == 1 and sign[:1] == b'"' and not start:
            key = sign
        elif start and (not depth or (depth == 1 and sign == b",")):
            value = line[start : token.start()]
            began = start + len(value) - len(value.lstrip())
            yield orjson.loads(key), (began, began + len(value.strip()))
            start = 0
        if not depth:
            return


# ---------------------------------------------------------------- a whole input


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalInput:
    """The input as it was before."""

    size: int
    sha256: str


def write_with_cache_control(
    plain: Path, target: Path, ttl: str, longest: int, emit: Callable[[int], None]
) -> tuple[Caching, OriginalInput]:
    """Write the input at `plain` to `target` with `cache_control` of `ttl`; `emit` gets the bytes read so far.

    A line longer than `longest` is passed on; the check refuses it. Raises InputProblem where the input is no JSONL at all, or
    where it changes meanwhile.
    """
    writer = _Writer(ttl)
    digest = hashlib.sha256()
    size = 0
    with opened(plain) as file, replacing(target) as out:
        refuse_wrong_file(plain, file)
        began = plain.stat()
        for number, line, is_whole in numbered_lines(file, longest):
            digest.update(line)
            size += len(line)
            out.write(writer.changed(line, number) if is_whole else line)
            emit(size)
        now = plain.stat()
        if (now.st_size, now.st_mtime_ns) != (began.st_size, began.st_mtime_ns):
            raise InputProblem(
                f"{plain}: the file changed while it was read",
                hint="run the same command again when nothing writes to the file",
            )
    return writer.caching(), OriginalInput(size=size, sha256=digest.hexdigest())


class _Writer:
    """Changes lines one by one and counts what it did."""

    def __init__(self, ttl: str) -> None:
        self._ttl = ttl
        self._left: Counter[SkipReason] = Counter()
        self._short: Counter[str] = Counter()
        self._short_bytes: Counter[str] = Counter()
        self._seen = array("q", bytes(8 * _REMEMBERED))
        self._requests = self._first = self._repeats = 0

    def changed(self, whole: bytes, number: int) -> bytes:
        """Return a physical line, with its newline, changed where that is possible."""
        mark, line, end = _parts(whole, number)
        cached = with_cache_control(line, self._ttl)
        if cached is None:
            return whole
        if cached.left is not None:
            self._left[cached.left] += 1
            return whole
        self._requests += 1
        self._first = self._first or number
        self._note(cached.model, cached.prefix)
        return mark + cached.line + end

    def _note(self, model: str, prefix: Sequence[bytes]) -> None:
        size = sum(map(len, prefix))
        if too_short(model, size):
            self._short[model] += 1
            self._short_bytes[model] = max(size, self._short_bytes[model])
            return
        seen = hash((model, *prefix))
        place = seen % _REMEMBERED
        self._repeats += self._seen[place] == seen
        self._seen[place] = seen

    def caching(self) -> Caching:
        """Return what was done."""
        return Caching(
            ttl=self._ttl,
            requests=self._requests,
            first_line=self._first,
            repeats=self._repeats,
            left=dict(self._left),
            short={
                model: ShortPrefixes(
                    requests=n,
                    tokens=self._short_bytes[model] // BYTES_PER_TOKEN,
                    least=least_tokens(model) or 0,
                )
                for model, n in self._short.items()
            },
        )


def _parts(whole: bytes, number: int) -> tuple[bytes, bytes, bytes]:
    """Return the byte order mark that opens the file, if any; the line; its newline."""
    mark = BYTE_ORDER_MARK if number == 1 and whole.startswith(BYTE_ORDER_MARK) else b""
    end = b"\n" if whole.endswith(b"\n") else b""
    return mark, whole[len(mark) : len(whole) - len(end)], end


# ---------------------------------------------------------------- compared with the input again


@dataclass(frozen=True, slots=True, kw_only=True)
class CachingPlan:
    """How the requests of a job were made of its input: the `ttl`, how many they are, and the longest that a line may be."""

    ttl: str
    count: int
    longest: int


def is_original(path: Path, sha256: str) -> bool:
    """Return whether the input, decompressed where its ending says so, is still there with this hash."""
    try:
        return path.is_file() and sha256_of(path) == sha256
    except (InputProblem, DiskProblem):
        return False


def line_that_differs(original: Path, requests: Path, numbers: Path, planned: CachingPlan) -> int:
    """Return the first line of the input that was sent with another change than `cache_control`; 0 where there is none.

    `numbers` is the line map of the requests, where there is such a file. Raises InputProblem and DiskProblem.
    """
    longest = planned.longest
    with decompressed(str(original)) as inputs, opened(requests) as sent:
        written = numbered_lines(inputs, longest)
        lines = (
            chain.from_iterable(read_line_map(numbers, planned.count))
            if numbers.exists()
            else range(1, planned.count + 1)
        )
        for number, (_, line, _) in zip(lines, numbered_lines(sent, longest), strict=False):
            original_line = next((each for at, each, _ in written if at == number), b"")
            cached = with_cache_control(_parts(original_line, number)[1], planned.ttl)
            if cached is None or cached.line != line.removesuffix(b"\n"):
                return number
    return 0
