"""A receiver of webhooks on this machine, and an independent reading of the Standard Webhooks signature."""

import contextlib
import hashlib
import hmac
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    """The names of headers in small letters."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Receiver(ThreadingHTTPServer):
    """Answers with the statuses in their order, then with the last one again and again. `location`: of a redirect."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, statuses: Sequence[int], location: str) -> None:
        self.received: list[Received] = []
        self.go_on = threading.Event()
        self.go_on.set()
        left, receiver = list(statuses), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                receiver.received.append(Received(self.path, headers, body))
                receiver.go_on.wait(30)
                # Whoever stopped waiting has closed the connection.
                with contextlib.suppress(ConnectionError):
                    self.send_response(left.pop(0) if len(left) > 1 else left[0])
                    if location:
                        self.send_header("location", location)
                    self.send_header("content-length", "0")
                    self.end_headers()

            do_GET = do_POST  # noqa: N815 - the server's own name

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks/T0KEN-in-path"


@contextmanager
def receiving(*statuses: int, location: str = "") -> Iterator[Receiver]:
    with Receiver(statuses or (204,), location) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.go_on.set()
            server.shutdown()
            thread.join(timeout=10)


def is_signed_with(secret: str, message: Received) -> bool:
    """As a receiver verifies it, written from the specification and sharing nothing with the program."""
    key = b64decode(secret[len("whsec_") :])
    content = f"{message.headers['webhook-id']}.{message.headers['webhook-timestamp']}.".encode() + message.body
    expected = b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return f"v1,{expected}" in message.headers.get("webhook-signature", "").split(" ")
