"""A gateway in front of the emulator, as people put one in front of the API."""

import http.client
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@contextmanager
def gateway(base_url: str, *, missing: Sequence[str] = (), drops: Sequence[str] = (), under: str = "") -> Iterator[str]:
    """Passes everything on but `missing` paths, and drops headers of the answers that begin with one of `drops`.

    `under`: the path that it takes off.
    """
    there = urlsplit(base_url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path in missing:
                self._answer(404, {"content-type": "text/plain"}, b"no such page")
                return
            link = http.client.HTTPConnection(there.hostname or "", there.port or 0, timeout=30)
            try:
                link.request(
                    self.command,
                    self.path.removeprefix(under),
                    body,
                    {k: v for k, v in self.headers.items() if k != "Host"},
                )
                answer = link.getresponse()
                data = answer.read()
            except (OSError, http.client.HTTPException):
                self.close_connection = True
                return
            finally:
                link.close()
            kept = {
                k: v for k, v in answer.getheaders() if not k.lower().startswith((*drops, "transfer-", "content-l"))
            }
            self._answer(answer.status, kept, data)

        do_POST = do_DELETE = do_GET  # noqa: N815 - the server's own names

        def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(10)
