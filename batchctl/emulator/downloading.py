"""Results on their way to the caller: whole, or with what a script does to them."""

import asyncio
import json
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from itertools import islice
from typing import Any

from starlette.responses import Response

from batchctl.emulator.admission import Call, stamp
from batchctl.emulator.batches import Batch
from batchctl.emulator.faults import DOWNLOAD, Fault
from batchctl.emulator.wire import Silence, Streamed, Wire, in_pieces, wire_of

JSON_LINES = "application/x-jsonl"
Lines = Generator[bytes]


async def results(call: Call) -> Response:
    """`GET /v1/messages/batches/{id}/results`."""
    batch = call.state.shelf.find(call.batch_id, call.workspace)
    now = call.state.now()
    batch.results_available(now)
    fault = call.fault if call.struck in DOWNLOAD else None
    if fault and fault.fault in _BREAKS:
        return await _broken(call, batch, fault)
    return _whole(call, lambda: _tampered(batch.result_lines(now), fault))


def _whole(call: Call, lines: Callable[[], Lines]) -> Response:
    wanted = call.state.scenario.results
    accepts = "gzip" in call.request.headers.get("accept-encoding", "")
    pieces = in_pieces(lines())
    if wanted["gzip"] and accepts:
        response = Streamed(_zipped(pieces), JSON_LINES)
        response.headers["content-encoding"] = "gzip"
        return response
    response = Streamed(pieces, JSON_LINES)
    if wanted["framing"] == "content-length":
        response.headers["content-length"] = str(_size(lines()))
    return response


def _zipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=31)
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def _size(lines: Lines) -> int:
    return sum(map(len, lines))


# ---- lines that are not what they should be


def _tampered(lines: Lines, fault: Fault | None) -> Lines:
    if fault is None or fault.fault not in _TAMPERINGS:
        return lines
    return _TAMPERINGS[fault.fault](lines, fault.options)


def _first(lines: Lines, change: Callable[[bytes], bytes]) -> Lines:
    for number, line in enumerate(lines):
        yield change(line) if number == 0 else line


def _last(lines: Lines, change: Callable[[bytes], bytes]) -> Lines:
    held = b""
    for line in lines:
        if held:
            yield held
        held = line
    yield change(held)


def _edited(line: bytes, edit: Callable[[dict[str, Any]], None]) -> bytes:
    found = json.loads(line)
    edit(found)
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _says(line: bytes, text: str) -> bytes:
    """The line with a text of our choice: in the answer, or beside a result that has none."""

    def edit(found: dict[str, Any]) -> None:
        content = found["result"].get("message", {}).get("content")
        if content and content[0].get("type") == "text":
            content[0]["text"] = text
        else:
            found["result"]["note"] = text

    return _edited(line, edit)


def _foreign(lines: Lines, options: Mapping[str, Any]) -> Lines:
    return _first(lines, lambda line: _edited(line, lambda found: found.update(custom_id=options["custom_id"])))


def _unknown_type(lines: Lines, _: Mapping[str, Any]) -> Lines:
    return _first(lines, lambda line: _edited(line, lambda found: found.update(result={"type": "postponed", "to": 1})))


def _extra_keys(lines: Lines, _: Mapping[str, Any]) -> Lines:
    for line in lines:
        yield line.rstrip()[:-1] + b',"trace":{"shard":7},"billed":null}\n'


def _separator(lines: Lines, _: Mapping[str, Any]) -> Lines:
    return _first(lines, lambda line: _says(line, "before\u2028after\u0085end"))


def _huge(lines: Lines, options: Mapping[str, Any]) -> Lines:
    def grown(line: bytes) -> bytes:
        rest = len(_says(line, ""))
        return _says(line, "x" * max(0, options["bytes"] - rest))

    return _first(lines, grown)


def _deep(line: bytes, levels: int) -> bytes:
    """Within the message, if there is one: and so before the end that every success has."""
    place, nested = line.find(b'"content":'), b'"deep":%b%b,' % (b"[" * levels, b"]" * levels)
    if place < 0:
        place = line.index(b'"type":')
    return line[:place] + nested + line[place:]


_TAMPERINGS: Mapping[str, Callable[[Lines, Mapping[str, Any]], Lines]] = {
    "duplicate_line": lambda lines, _: _first(lines, lambda line: line + line),
    "changed_twin": lambda lines, _: _first(lines, lambda line: line + line[:-2] + b',"again":true}\n'),
    "not_utf8": lambda lines, _: _first(lines, lambda line: _says(line, "@@").replace(b"@@", b"\xff\xfe")),
    "nul_byte": lambda lines, _: _first(lines, lambda line: _says(line, "@@").replace(b"@@", b"a\0b")),
    "no_head": lambda lines, _: _first(lines, lambda line: b"?" * (len(line) - 1) + b"\n"),
    "deep_line": lambda lines, options: _first(lines, lambda line: _deep(line, options["levels"])),
    "missing_line": lambda lines, _: _last(lines, lambda _line: b""),
    "foreign_id": _foreign,
    "unknown_result_type": _unknown_type,
    "extra_keys": _extra_keys,
    "line_separator": _separator,
    "huge_line": _huge,
    "crlf": lambda lines, _: (line[:-1] + b"\r\n" for line in lines),
    "blank_line": lambda lines, _: _last(lines, lambda line: line + b"\n"),
    "no_final_newline": lambda lines, _: _last(lines, lambda line: line[:-1]),
}


# ---- bodies that are not sent as they should be


async def _broken(call: Call, batch: Batch, fault: Fault) -> Response:
    """Sends the body below HTTP's rules; nothing is left to answer then."""
    wire, now = wire_of(call.request.scope), call.state.now()
    headers = stamp(call, Response(media_type=JSON_LINES)).headers
    del headers["content-length"]
    size = sum(map(len, batch.result_lines(now)))
    with closing(batch.result_lines(now)) as lines:
        await _BREAKS[fault.fault](wire, dict(headers), _Body(lines, size, batch.total, fault.options))
    return Silence()


class _Body:
    """The lines of a batch, their size, and how much of them a fault lets through."""

    def __init__(self, lines: Lines, size: int, total: int, options: Mapping[str, Any]) -> None:
        self.lines, self.size, self.options = lines, size, options
        wanted = options.get("bytes", -1)
        self.bytes = min(size, wanted if wanted >= 0 else size // 2)
        wanted = options.get("lines", -1)
        self.whole_lines = min(total, wanted if wanted >= 0 else total // 2)

    def first(self) -> Iterator[bytes]:
        """The first `bytes` of the body."""
        left = self.bytes
        for piece in in_pieces(self.lines):
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                return

    def in_two(self) -> tuple[list[bytes], Iterator[bytes]]:
        whole = in_pieces(self.lines)
        held, size = [], 0
        while size < self.bytes:
            held.append(next(whole))
            size += len(held[-1])
        joined = b"".join(held)
        return [joined[: self.bytes]], iter([joined[self.bytes :], *whole])


async def _send(wire: Wire, pieces: Iterator[bytes] | list[bytes]) -> None:
    for piece in pieces:
        await wire.write(piece)


async def _reset(wire: Wire, headers: dict[str, str], body: _Body) -> None:
    await wire.head({**headers, "content-length": str(body.size)})
    await _send(wire, body.first())
    await wire.drained()
    wire.reset()


async def _short(wire: Wire, headers: dict[str, str], body: _Body) -> None:
    await wire.head({**headers, "content-length": str(body.size)})
    await _send(wire, body.first())
    wire.hang_up()


async def _early_at_line(wire: Wire, headers: dict[str, str], body: _Body) -> None:
    await wire.head(headers)
    await _send(wire, in_pieces(islice(body.lines, body.whole_lines)))
    wire.hang_up()


async def _early_mid_line(wire: Wire, headers: dict[str, str], body: _Body) -> None:
    await wire.head(headers)
    await _send(wire, in_pieces(islice(body.lines, body.whole_lines)))
    cut = next(body.lines, b"")
    await wire.write(cut[: len(cut) // 2])
    wire.hang_up()


async def _stall(wire: Wire, headers: dict[str, str], body: _Body) -> None:
    await wire.head({**headers, "content-length": str(body.size)})
    before, after = body.in_two()
    await _send(wire, before)
    await asyncio.sleep(body.options["seconds"])
    await _send(wire, after)
    wire.hang_up()


_BREAKS = {
    "reset": _reset,
    "short_content_length": _short,
    "early_end_at_line": _early_at_line,
    "early_end_mid_line": _early_mid_line,
    "stall": _stall,
}
