"""Posts to a real receiver on this machine."""

import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from loopback import always, answering, as_json
from notify.receiver import is_signed_with, receiving

from batchctl.notify.attempt import DELIVERED, Attempt
from batchctl.notify.webhook import of_status, post, post_signed

TLS = Path(__file__).parents[1] / "api" / "tls"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_signed_message_is_verified_by_another_implementation() -> None:
    with receiving(200) as receiver:
        assert post_signed(receiver.url, b'{"a": 1}', "msg_1", 1_700_000_000, SECRET) == DELIVERED
    (message,) = receiver.received
    assert message.path == "/hooks/T0KEN-in-path"
    assert message.body == b'{"a": 1}'
    assert message.headers["content-type"] == "application/json"
    assert (message.headers["webhook-id"], message.headers["webhook-timestamp"]) == ("msg_1", "1700000000")
    assert is_signed_with(SECRET, message)
    assert not is_signed_with("whsec_" + "A" * 32, message)


def test_without_a_secret_nothing_is_signed_and_a_bad_one_sends_nothing() -> None:
    with receiving() as receiver:
        assert post_signed(receiver.url, b"{}", "msg_1", 1, "") == DELIVERED
        refused = post_signed(receiver.url, b"{}", "msg_1", 1, "whsec_!!")
    assert "webhook-signature" not in receiver.received[0].headers
    assert len(receiver.received) == 1
    assert not refused.is_final
    assert "not base64" in refused.why


@pytest.mark.parametrize(
    ("status", "is_delivered", "is_final"),
    [
        *((status, True, False) for status in (200, 202, 204)),
        *((status, False, True) for status in (301, 302, 307, 308, 400, 401, 403, 404, 410, 422)),
        *((status, False, False) for status in (408, 429, 500, 502, 503, 599)),
    ],
)
def test_which_statuses_are_delivered_and_which_are_tried_again(
    status: int, *, is_delivered: bool, is_final: bool
) -> None:
    attempt = of_status(status)
    assert (attempt.is_delivered, attempt.is_final) == (is_delivered, is_final)


@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with receiving() as other, receiving(status, location=other.url) as receiver:
        attempt = post(receiver.url, b"{}", {})
    assert attempt == Attempt(why=f"HTTP {status}: redirects are not followed", is_final=True)
    assert len(receiver.received) == 1
    assert other.received == []


def test_an_answer_that_does_not_come_takes_no_longer_than_the_limit() -> None:
    with receiving() as receiver:
        receiver.go_on.clear()
        begun = time.monotonic()
        attempt = post(receiver.url, b"{}", {}, seconds=0.3)
        assert time.monotonic() - begun < 5
    assert attempt.why
    assert not attempt.is_final


def test_an_answer_that_comes_byte_by_byte_takes_no_longer_either() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                while not done.wait(0.05):
                    connection.sendall(b"H")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        begun = time.monotonic()
        attempt = post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {}, seconds=0.4)
        done.set()
        thread.join(10)
    assert attempt.why == "no answer within 0.4 s"
    assert time.monotonic() - begun < 5


def test_nobody_at_the_port_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    attempt = post(f"http://127.0.0.1:{port}/T0KEN", b"{}", {})
    assert attempt == Attempt(why="cannot be reached: Connection refused")


def test_user_and_password_become_a_header_and_a_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with receiving() as receiver:
        assert post(receiver.url.replace("//", "//me:pa%3Ass@").replace("http:", "HTTP:"), b"{}", {}) == DELIVERED
    assert receiver.received[0].headers["authorization"] == "Basic bWU6cGE6c3M="
    assert "@" not in receiver.received[0].headers["host"]


def test_what_the_library_cannot_take_does_not_show_the_url() -> None:
    attempt = post("http://127.0.0.1:1/a\nT0KEN", b"{}", {"x": "a\nb"})
    assert attempt.why
    assert "T0KEN" not in attempt.why


@pytest.mark.parametrize(
    ("certificate", "is_trusted"), [("here", True), ("here", False), ("elsewhere", True), ("expired", True)]
)
def test_over_https_a_message_goes_only_to_a_certificate_that_is_trusted(
    monkeypatch: pytest.MonkeyPatch, certificate: str, *, is_trusted: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(TLS / f"{certificate}.pem") if is_trusted else "")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / f"{certificate}.pem", TLS / "key.pem")
    with answering(always(as_json({})), context) as server:
        attempt = post(server.url.replace("http:", "https:"), b"{}", {})
    if certificate == "here" and is_trusted:
        assert attempt == DELIVERED
        assert len(server.asked) == 1
    else:
        assert "certificate" in attempt.why
        assert not attempt.is_final
        assert server.asked == []
