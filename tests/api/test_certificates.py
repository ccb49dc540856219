"""Who answers without a certificate that can be trusted is told of at once: waiting mends none."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from loopback import always, answering, as_json
from program import Cli, requests

from batchctl.api.client import SdkMessageBatches
from batchctl.api.protocol import Body
from batchctl.domain.errors import ApiFailure, CertificateProblem

TLS = Path(__file__).parent / "tls"
EMPTY = always(as_json({"data": [], "has_more": False}))
Connect = Callable[..., SdkMessageBatches]


@contextmanager
def secured(certificate: str) -> Iterator[str]:
    """A server that shows this certificate; its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / f"{certificate}.pem", TLS / "key.pem")
    with answering(EMPTY, context) as server:
        yield server.url.replace("http:", "https:")


BAD = [
    ("here", "", "self-signed certificate"),
    ("elsewhere", "elsewhere", "IP address mismatch"),
    ("expired", "expired", "certificate has expired"),
]


@pytest.mark.parametrize(("certificate", "trusted", "why"), BAD)
def test_each_call_says_which_host_it_is_and_why(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, certificate: str, trusted: str, why: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / f"{trusted}.pem") if trusted else "")
    with secured(certificate) as url:
        message_batches = connect(url)
        body = Body([b"{}"], 2)
        calls: list[Callable[[], object]] = [
            message_batches.page,
            lambda: message_batches.retrieve("msgbatch_1"),
            lambda: message_batches.create(body),
            lambda: message_batches.results("msgbatch_1").__enter__(),
        ]
        for call in calls:
            with pytest.raises(CertificateProblem) as raised:
                call()
            assert raised.value.message.startswith("the certificate of 127.0.0.1 is not trusted: ")
            assert why in raised.value.message
            assert "SSL_CERT_FILE" in raised.value.hint
        assert body.given == 0


def test_the_file_that_is_named_is_trusted(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "here.pem"))
    with secured("here") as url:
        assert connect(url).page().is_whole


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_one_that_cannot_be_used_is_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    # A folder that is not there holds no certificate, and is none that cannot be read.
    if name == "SSL_CERT_FILE":
        for text in (None, "no certificate"):
            path = tmp_path / f"{text}.pem"
            if text:
                path.write_text(text)
            monkeypatch.setenv(name, str(path))
            for url in ("https://127.0.0.1:9", "https://api.example"):
                with pytest.raises(CertificateProblem, match=f"^SSL_CERT_FILE={path} cannot be used: "):
                    connect(url).page()
    else:
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
        with secured("here") as url, pytest.raises(CertificateProblem, match="self-signed"):
            connect(url).page()


def test_a_proxy_that_reads_along_is_told_from_the_api(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "elsewhere.pem", TLS / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link:
                link.recv(1 << 12)
                link.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                with contextlib.suppress(OSError):
                    context.wrap_socket(link, server_side=True)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(CertificateProblem) as raised:
            connect("https://api.example").page()
        thread.join(timeout=10)
    assert raised.value.message == "the certificate of api.example is not trusted: self-signed certificate"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x03"])
def test_a_handshake_that_is_cut_is_weather(connect: Connect, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link:
                link.recv(1 << 12)
                link.sendall(said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(ApiFailure) as raised:
            connect(f"https://127.0.0.1:{server.getsockname()[1]}").page()
        thread.join(timeout=10)
    assert (raised.value.status, raised.value.sent_whole) == (None, False)


@pytest.mark.slow
def test_the_program_says_it_at_once_and_the_job_goes_on_once_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with secured("here") as url:
        cli = Cli(tmp_path, url)
        path = cli.write("in.jsonl", requests(2))
        for words in (["submit", path], ["run", "@last"], ["doctor"]):
            ran = cli.run(*words)
            assert ran.status == 4, ran.err
            assert "the certificate of 127.0.0.1 is not trusted: self-signed certificate" in ran.err + ran.out
            assert "SSL_CERT_FILE" in ran.err + ran.out
        shown = cli.run("status", "@last", "--offline").out
        assert "2 requests" in shown
        assert "paused: the certificate of 127.0.0.1 is not trusted: self-signed certificate" in " ".join(shown.split())
        monkeypatch.setenv("SSL_CERT_FILE", str(TLS / "here.pem"))
        # This server takes no batch: but it is asked now.
        assert "certificate" not in cli.run("submit", "@last", "--timeout", "1s").err
