"""A create on the wire, and the key: where it comes from, and that no message shows it."""

import socket
from collections.abc import Callable

import pytest
from api.calls import body_bytes, body_of, created, failure_of

from batchctl.api.protocol import Body, MessageBatches
from batchctl.domain.api_failures import AfterCreate, after_create
from batchctl.domain.errors import AccountProblem, ApiFailure
from batchctl.emulator.running import Running

CREATES = "POST /v1/messages/batches"
AGAIN, UNCONFIRMED, ACCEPTED, PAUSE, REFUSE, SPLIT = (
    AfterCreate.AGAIN,
    AfterCreate.UNCONFIRMED,
    AfterCreate.ACCEPTED,
    AfterCreate.PAUSE,
    AfterCreate.REFUSE,
    AfterCreate.SPLIT,
)


def test_the_wire_shows_one_post_with_a_length_and_a_key(connect: Callable[..., MessageBatches]) -> None:
    data = body_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:
        message_batches = connect(f"http://127.0.0.1:{server.getsockname()[1]}")
        received = _answering_once(
            server, b"HTTP/1.1 500 no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", len(data)
        )
        failure_of(lambda: created(message_batches, data))
    head, sent = received().split(b"\r\n\r\n", 1)
    lines = {line.split(b": ")[0].lower(): line.split(b": ")[1] for line in head.split(b"\r\n")[1:]}
    assert head.split(b"\r\n")[0] == b"POST /v1/messages/batches HTTP/1.1"
    assert lines[b"content-length"] == str(len(data)).encode()
    assert lines[b"content-type"] == b"application/json"
    assert b"transfer-encoding" not in lines
    assert b"anthropic-beta" not in lines
    assert sent == data


def _answering_once(server: socket.socket, answer: bytes, length: int) -> Callable[[], bytes]:
    """Reads one request of `length` body bytes in a thread, answers it, and gives what came."""
    import threading

    got = bytearray()

    def serve() -> None:
        link, _ = server.accept()
        with link:
            while b"\r\n\r\n" not in got or len(got.split(b"\r\n\r\n", 1)[1]) < length:
                got.extend(link.recv(1 << 16))
            link.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    def received() -> bytes:
        thread.join(timeout=10)
        return bytes(got)

    return received


def test_a_port_nobody_listens_on_has_carried_nothing(connect: Callable[..., MessageBatches]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    failure = failure_of(lambda: created(connect(f"http://127.0.0.1:{port}")))
    assert (failure.status, failure.sent_whole, after_create(failure)) == (None, False, AGAIN)
    assert "cannot connect" in failure.message


@pytest.mark.parametrize(("given", "follows"), [(b"all", UNCONFIRMED), (b"a", AGAIN)])
def test_an_error_of_the_sdk_after_the_upload_is_never_taken_for_a_missing_key(
    given: bytes, follows: AfterCreate
) -> None:
    from anthropic import AnthropicError

    from batchctl.api import translate

    body = Body([given], 3)
    next(iter(body))
    with pytest.raises(ApiFailure) as raised, translate.failures(body):
        raise AnthropicError("nobody knows")
    assert after_create(raised.value) is follows


# ---------------------------------------------------------------- the key


def test_without_a_key_the_five_ways_are_named_and_nothing_is_sent(
    emulator: Running, connect: Callable[..., MessageBatches], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    body = body_of(body_bytes())
    with pytest.raises(AccountProblem) as raised:
        connect(emulator.base_url).create(body)
    for way in (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_PROFILE",
        "ANTHROPIC_IDENTITY_TOKEN",
        "ant auth login",
    ):
        assert way in raised.value.hint
    assert body.given == 0
    assert emulator.requests() == {}


def test_a_profile_that_is_not_there_is_an_account_problem(
    emulator: Running, connect: Callable[..., MessageBatches], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_PROFILE", "nobody")
    with pytest.raises(AccountProblem):
        created(connect(emulator.base_url))
    assert emulator.requests() == {}


SECRET = "sk-ant-wrong"


@pytest.mark.parametrize("fault", [None, "status", "html_status", "drop_after_accept", "garbage_answer"])
def test_the_key_is_never_in_what_is_said(
    emulator: Running, connect: Callable[..., MessageBatches], monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    key = "sk-ant-api03-very-secret" if fault else SECRET
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    if fault:
        emulator.add_fault({"on": "create", "fault": fault})
    failure: BaseException | None = failure_of(lambda: created(connect(emulator.base_url)))
    while failure is not None:
        assert key not in f"{failure!s} {failure!r} {vars(failure)}"
        failure = failure.__cause__


def test_a_key_in_another_workspace_sees_nothing(
    emulator: Running,
    message_batches: MessageBatches,
    connect: Callable[..., MessageBatches],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    created(message_batches)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-other")
    assert connect(emulator.base_url).page().batches == ()
