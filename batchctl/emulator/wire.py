"""The connection itself: answers below HTTP's rules (no answer, half an answer, a reset) and plain streamed ones."""

import asyncio
import socket
import struct
from asyncio import BaseTransport, Transport
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

PIECE = 1 << 17


class Wire(H11Protocol):
    """uvicorn's HTTP/1.1 connection, which also lets the application misbehave on it; found in `scope["state"]`."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Remember this connection for the calls that it carries."""
        super().connection_made(cast("Transport", transport))
        self.app_state = {**self.app_state, "wire": self}

    def _leave(self) -> None:
        # uvicorn sends nothing more for a call whose caller is gone, which is what we pretend from here on.
        self.cycle.disconnected = True

    def hang_up(self) -> None:
        """Sends what is buffered, then closes."""
        self._leave()
        self.transport.close()

    def reset(self) -> None:
        """Closes so that the caller sees ECONNRESET."""
        self._leave()
        with suppress(OSError):
            link: socket.socket = self.transport.get_extra_info("socket")
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def write(self, data: bytes) -> None:
        """Bytes as they are, outside of HTTP framing; waits while the caller is slow."""
        self.transport.write(data)
        await asyncio.sleep(0)
        await self.flow.drain()

    async def drained(self) -> None:
        """Gives the caller's system time to take what was sent: a reset throws away what is still on its way."""
        await self.flow.drain()
        await asyncio.sleep(0.05)

    async def head(self, headers: Mapping[str, str]) -> None:
        """A 200 whose framing is only what `headers` say."""
        told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await self.write(f"HTTP/1.1 200 OK\r\n{told}connection: close\r\n\r\n".encode("latin-1"))


def wire_of(scope: Mapping[str, Any]) -> Wire:
    """Return the connection that carries a call."""
    return cast("Wire", scope["state"]["wire"])


class Silence(Response):
    """No answer: the connection has been dealt with below HTTP."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing."""


class Streamed(Response):
    """A body made piece by piece; stops making when the caller is gone."""

    def __init__(self, pieces: Iterator[bytes], media_type: str) -> None:
        super().__init__(media_type=media_type)
        self.pieces = pieces
        # An empty body's length, which the base class has just announced.
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the pieces, until the caller is gone."""
        wire = wire_of(scope)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for piece in self.pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                # Other connections get their turn even while a fast reader never makes us wait.
                await asyncio.sleep(0)
                if wire.cycle.disconnected:
                    return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if close := getattr(self.pieces, "close", None):
                close()


def in_pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines joined to pieces worth sending."""
    gathered, size = [], 0
    for line in lines:
        gathered.append(line)
        size += len(line)
        if size >= PIECE:
            yield b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)
