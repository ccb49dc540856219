"""A server on this machine that says whatever a test wants, and keeps what it was asked."""

import contextlib
import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, TypeVar

Answer = tuple[int, Mapping[str, str], bytes]
# Whose body comes in pieces, until the connection is closed.
Streamed = tuple[int, Mapping[str, str], Callable[[], Iterable[bytes]]]

Said = TypeVar("Said", Answer, Streamed)


class Asked(NamedTuple):
    """The names of headers in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]


class Loopback(ThreadingHTTPServer):
    daemon_threads = True
    # Who streams without end is not waited for.
    block_on_close = False

    def __init__(self, answer: Callable[[str, str], Answer | Streamed]) -> None:
        self.asked: list[Asked] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.asked.append(Asked(self.command, self.path, headers))
                self.rfile.read(int(headers.get("content-length", 0)))
                status, said, body = answer(self.command, self.path)
                self.send_response(status)
                length = {"content-length": str(len(body))} if isinstance(body, bytes) else {}
                for name, value in {**said, **length}.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(ConnectionError):
                    for piece in [body] if isinstance(body, bytes) else body():
                        self.wfile.write(piece)

            do_POST = do_GET  # noqa: N815 - the server's own name

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *given: Any) -> None:
        # A caller that does not trust the certificate says so, and goes.
        if not isinstance(sys.exc_info()[1], ssl.SSLError):
            super().handle_error(*given)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Forwarding(ThreadingHTTPServer):
    """Passes on to the API at `url` whatever it is asked, answers as that does, and keeps what it was asked."""

    def __init__(self, url: str) -> None:
        self.asked: list[Asked] = []
        server, (host, _, port) = self, url.removeprefix("http://").partition(":")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.asked.append(Asked(self.command, self.path, headers))
                body = self.rfile.read(int(headers.get("content-length", 0)))
                with closing(HTTPConnection(host, int(port), timeout=30)) as there:
                    there.request(self.command, self.path, body, {**headers, "accept-encoding": "identity"})
                    answer = there.getresponse()
                    said = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_POST = do_DELETE = do_GET  # noqa: N815 - the server's own names

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def forwarding(url: str) -> Iterator[Forwarding]:
    with Forwarding(url) as server, _served(server):
        yield server


@contextmanager
def answering(
    answer: Callable[[str, str], Answer | Streamed], secured: ssl.SSLContext | None = None
) -> Iterator[Loopback]:
    """`answer`: status, headers and body, to a method and a path."""
    with Loopback(answer) as server:
        if secured is not None:
            # The handshake belongs to the thread of the connection, and one that fails is the test's own.
            server.socket = secured.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        with _served(server):
            yield server


@contextmanager
def _served(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(timeout=10)


def always(answer: Said) -> Callable[[str, str], Said]:
    return lambda _method, _path: answer


def as_json(shape: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """`shape`: what becomes JSON, or the bytes themselves."""
    body = shape if isinstance(shape, bytes) else json.dumps(shape).encode()
    return 200, {"content-type": "application/json", **(headers or {})}, body
