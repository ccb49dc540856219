"""A far end that is never the slow one: takes Message Batches, drops their bodies, and sends results that lie ready.

python -m benchmarks.sink [RESULTS...] prints its address. RESULTS are folders that `inputs.Shelf.results` made. A body
that begins like one of their batches, and is about as long, is that batch; nothing more of it is read than its head. Any
other body, as of a retry, is read whole, and each of its requests succeeds. Every batch has ended when it is looked at.

    PUT  /sink/swallow      for `curl -T`: reads and drops what it is sent
    GET  /sink/all          for `curl -o`: all results of the first folder, in one stream
    GET  /sink/requests     how many requests came since the last reset, by method and kind
    GET  /sink/reset        forgets the batches and the requests
"""

import argparse
import json
import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.inputs import MODEL, ResultFile

BUFFER_BYTES = 1 << 20
BATCHES = "/v1/messages/batches"
ORGANIZATION = "00000000-0000-4000-8000-00000000bec4"
_ID = re.compile(rb'(?<!\\)"custom_id"\s*:\s*"([^"\\]+)"')
_SUCCEEDED = (
    b'{"custom_id":"%b","result":{"type":"succeeded","message":{"model":"claude-haiku-4-5","id":"msg_sink","type":"message",'
    b'"role":"assistant","content":[{"type":"text","text":"again"}],"stop_reason":"end_turn","stop_sequence":null,'
    b'"usage":{"input_tokens":150,"output_tokens":4,"service_tier":"batch"}}}}\n'
)


# ---------------------------------------------------------------- what is known


@dataclass(frozen=True)
class Batch:
    """`results`: a file, or the lines themselves."""

    id: str
    created_at: datetime
    counts: dict[str, int]
    results: Path | bytes

    def shown(self, base_url: str, *, ended: bool) -> dict[str, Any]:
        total = sum(self.counts.values())
        outcomes = {name: self.counts.get(name, 0) for name in ("succeeded", "errored", "canceled", "expired")}
        return {
            "id": self.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": {"processing": 0, **outcomes}
            if ended
            else {"processing": total, **dict.fromkeys(outcomes, 0)},
            "created_at": self.created_at.isoformat(),
            "expires_at": (self.created_at + timedelta(days=1)).isoformat(),
            "ended_at": self.created_at.isoformat() if ended else None,
            "cancel_initiated_at": None,
            "archived_at": None,
            "results_url": f"{base_url}{BATCHES}/{self.id}/results" if ended else None,
        }


@dataclass
class Memory:
    """What was created, and what was asked. Its methods may be called by many threads."""

    ready: dict[str, tuple[ResultFile, Path]] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    _numbers: Iterator[int] = field(default_factory=count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, folder: Path) -> None:
        for told in json.loads((folder / "batches.json").read_bytes()):
            found = ResultFile(**told)
            self.ready[found.first] = (found, folder / found.path)

    def known(self, first: str, body_bytes: int) -> tuple[ResultFile, Path] | None:
        """The batch whose first request that is, if the body has about its length."""
        found = self.ready.get(first)
        return found if found and abs(body_bytes - found[0].body_bytes) < 0.25 * found[0].body_bytes else None

    def add(self, counts: dict[str, int], results: Path | bytes) -> Batch:
        with self._lock:
            created = datetime.now(UTC)
            batch = Batch(f"msgbatch_01sink{next(self._numbers):018d}", created, counts, results)
            self.batches[batch.id] = batch
        return batch

    def newest_first(self) -> list[Batch]:
        with self._lock:
            return list(self.batches.values())[::-1]

    def note(self, kind: str) -> None:
        with self._lock:
            self.requests[kind] += 1

    def forget(self) -> None:
        with self._lock:
            self.batches.clear()
            self.requests.clear()


# ---------------------------------------------------------------- the wire


@dataclass(frozen=True)
class Head:
    method: str
    path: str
    query: dict[str, list[str]]
    body_bytes: int
    expects: bool


class Gone(Exception):
    """The other side closed."""


class Wire:
    """One connection, one buffer, used again and again."""

    def __init__(self, link: socket.socket) -> None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._link = link
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0

    def head(self) -> Head:
        """Raises Gone."""
        while (at := self._buffer.find(b"\r\n\r\n", self._start, self._end)) < 0:
            self._fill()
        first, *lines = bytes(self._view[self._start : at]).decode("latin-1").split("\r\n")
        self._start = at + 4
        method, target, _ = first.split(" ", 2)
        said = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        url = urlsplit(target)
        return Head(method, url.path, parse_qs(url.query), int(said.get("content-length", 0)), "expect" in said)

    def _fill(self) -> None:
        if self._end in {BUFFER_BYTES, self._start}:
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        got = self._link.recv_into(self._view[self._end :])
        if not got:
            raise Gone
        self._end += got

    def body(self, length: int) -> Iterator[memoryview]:
        """Piece by piece; a piece is good until the next."""
        held = min(length, self._end - self._start)
        if held:
            yield self._view[self._start : self._start + held]
        self._start += held
        left = length - held
        while left:
            got = self._link.recv_into(self._view, min(left, BUFFER_BYTES))
            if not got:
                raise Gone
            self._start = self._end = 0
            left -= got
            yield self._view[:got]

    def go_on(self) -> None:
        self._link.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def answer(self, status: int, kind: str, length: int, body: bytes = b"") -> None:
        lines = (
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Not Found'}",
            f"date: {formatdate(usegmt=True)}",
            f"content-type: {kind}",
            f"content-length: {length}",
            "request-id: req_sink",
            f"anthropic-organization-id: {ORGANIZATION}",
        )
        self._link.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def json(self, shape: object, status: int = 200) -> None:
        body = json.dumps(shape, separators=(",", ":")).encode()
        self.answer(status, "application/json", len(body), body)

    def files(self, paths: list[Path]) -> None:
        """One after the other as one body, handed over inside the kernel."""
        self.answer(200, "application/x-jsonl", sum(path.stat().st_size for path in paths))
        for path in paths:
            with path.open("rb") as file:
                left, at = path.stat().st_size, 0
                while left:
                    sent = os.sendfile(self._link.fileno(), file.fileno(), at, left)
                    left, at = left - sent, at + sent


# ---------------------------------------------------------------- answers


class Sink:
    def __init__(self, folders: list[Path]) -> None:
        self.memory = Memory()
        for folder in folders:
            self.memory.read(folder)
        self._all = sorted(folders[0].glob("*.jsonl")) if folders else []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def serve(self) -> None:
        """Until the socket is closed."""
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(link,), daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _talk(self, link: socket.socket) -> None:
        with link:
            wire = Wire(link)
            try:
                while True:
                    self._answer(wire, wire.head())
            except (Gone, ConnectionError):
                return

    def _answer(self, wire: Wire, head: Head) -> None:
        if head.expects:
            wire.go_on()
        if head.path.startswith("/sink/"):
            self._control(wire, head)
            return
        if head.path == "/v1/models":
            wire.json({"data": [{"id": MODEL, "lifecycle": "active", "max_tokens": 64_000}], "has_more": False})
            return
        rest = head.path.removeprefix(BATCHES).strip("/").split("/")
        kind = (
            "create"
            if head.method == "POST"
            else "list"
            if rest == [""]
            else "retrieve"
            if len(rest) == 1
            else "results"
        )
        if kind == "create":
            batch = self.memory.add(*self._received(wire, head))
            wire.json(batch.shown(self.base_url, ended=False))
        elif kind == "list":
            wire.json(self._page(head))
        elif batch_or_none := self.memory.batches.get(rest[0]):
            self._about(wire, batch_or_none, kind)
        else:
            wire.json({"type": "error", "error": {"type": "not_found_error", "message": "no such batch"}}, 404)
        self.memory.note(kind)

    def _about(self, wire: Wire, batch: Batch, kind: str) -> None:
        if kind == "retrieve":
            wire.json(batch.shown(self.base_url, ended=True))
        elif isinstance(batch.results, Path):
            wire.files([batch.results])
        else:
            wire.answer(200, "application/x-jsonl", len(batch.results), batch.results)

    def _received(self, wire: Wire, head: Head) -> tuple[dict[str, int], Path | bytes]:
        """Counts and results of a create whose body is now read."""
        pieces = wire.body(head.body_bytes)
        opening = b""
        for piece in pieces:
            opening += piece
            if found := _ID.search(opening):
                if known := self.memory.known(found[1].decode(), head.body_bytes):
                    for _ in pieces:
                        pass
                    return known[0].counts, known[1]
                break
        ids = _ID.findall(b"".join((opening, *map(bytes, pieces))))
        return {"succeeded": len(ids)}, b"".join(_SUCCEEDED % each for each in ids)

    def _page(self, head: Head) -> dict[str, Any]:
        batches = self.memory.newest_first()
        after, limit = head.query.get("after_id", [""])[0], int(head.query.get("limit", ["20"])[0])
        start = next((at + 1 for at, batch in enumerate(batches) if batch.id == after), 0)
        shown = batches[start : start + limit]
        return {
            "data": [batch.shown(self.base_url, ended=True) for batch in shown],
            "has_more": start + limit < len(batches),
            "first_id": shown[0].id if shown else None,
            "last_id": shown[-1].id if shown else None,
        }

    def _control(self, wire: Wire, head: Head) -> None:
        for _ in wire.body(head.body_bytes):
            pass
        if head.path == "/sink/all":
            wire.files(self._all)
            return
        wire.json(dict(self.memory.requests))
        if head.path == "/sink/reset":
            self.memory.forget()


def main() -> None:
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("results", type=Path, nargs="*", metavar="RESULTS")
    sink = Sink(wanted.parse_args().results)
    print(sink.base_url, flush=True)
    sink.serve()


if __name__ == "__main__":
    main()
