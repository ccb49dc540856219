"""A server on this machine that says whatever a test wants, and keeps what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

Answer = tuple[int, Mapping[str, str], bytes]


class Asked(NamedTuple):
    """The names of headers in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]


class Loopback(ThreadingHTTPServer):
    def __init__(self, answer: Callable[[str, str], Answer]) -> None:
        self.asked: list[Asked] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.asked.append(Asked(self.command, self.path, headers))
                self.rfile.read(int(headers.get("content-length", 0)))
                status, said, body = answer(self.command, self.path)
                self.send_response(status)
                for name, value in {**said, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the server's own name

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def answering(answer: Callable[[str, str], Answer]) -> Iterator[Loopback]:
    """`answer`: status, headers and body, to a method and a path."""
    with Loopback(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(timeout=10)


def always(answer: Answer) -> Callable[[str, str], Answer]:
    return lambda _method, _path: answer


def as_json(shape: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """`shape`: what becomes JSON, or the bytes themselves."""
    body = shape if isinstance(shape, bytes) else json.dumps(shape).encode()
    return 200, {"content-type": "application/json", **(headers or {})}, body
