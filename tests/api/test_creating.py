"""A create is one POST of exactly our bytes, and what came of it is judged rightly."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from builders import request_id, request_line

from batchctl.api.client import Body, SdkMessageBatches, Seen
from batchctl.domain.answers import AfterCreate, after_create, is_proven
from batchctl.domain.errors import AccountProblem, ApiFailure, InputProblem
from batchctl.domain.model import EXPIRY, ProcessingStatus, RequestCounts
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


def body_bytes(count: int = 2, text: str = "Hello") -> bytes:
    return b'{"requests":[' + b",".join(request_line(request_id(n), text) for n in range(count)) + b"]}"


def body_of(data: bytes, piece: int = 1 << 16) -> Body:
    return Body((data[at : at + piece] for at in range(0, len(data), piece)), len(data))


def created(message_batches: SdkMessageBatches, data: bytes | None = None, **more: Any) -> Seen:
    return message_batches.create(body_of(data if data is not None else body_bytes()), **more)


def failed(message_batches: SdkMessageBatches, data: bytes | None = None) -> ApiFailure:
    with pytest.raises(ApiFailure) as raised:
        created(message_batches, data)
    return raised.value


# ---------------------------------------------------------------- what is sent


@pytest.mark.parametrize("piece", [100, 1 << 10, 1 << 20])
def test_the_bytes_arrive_as_they_were_given(emulator: Running, message_batches: SdkMessageBatches, piece: int) -> None:
    odd = body_bytes(3, "é\u2028").replace(b'"max_tokens": 64', b'"max_tokens" :  64')
    seen = message_batches.create(body_of(odd, piece))
    (batch,) = emulator.batches()
    assert emulator.body(batch["id"]) == odd
    assert (seen.batch.id, seen.batch.size) == (batch["id"], 3)
    assert emulator.requests() == {CREATES: 1}


def test_a_large_body_arrives_whole(emulator: Running, message_batches: SdkMessageBatches) -> None:
    data = body_bytes(2000, "x" * 1000)
    created(message_batches, data)
    assert emulator.body(emulator.batches()[0]["id"]) == data


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
@pytest.mark.parametrize(
    "betas", [(), ("output-300k-2026-03-24",), ("output-300k-2026-03-24", "context-1m-2025-08-07")]
)
def test_version_and_betas_are_those_of_the_job(
    emulator: Running, message_batches: SdkMessageBatches, version: str, betas: tuple[str, ...]
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "betas": list(betas)})
    created(message_batches, api_version=version, betas=betas)
    (batch,) = emulator.batches()
    assert (batch["api_version"], tuple(batch["betas"])) == (version, betas)


def test_the_wire_shows_one_post_with_a_length_and_a_key(connect: Callable[..., SdkMessageBatches]) -> None:
    data = body_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:
        message_batches = connect(f"http://127.0.0.1:{server.getsockname()[1]}")
        received = _answering_once(
            server, b"HTTP/1.1 500 no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", len(data)
        )
        failed(message_batches, data)
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


# ---------------------------------------------------------------- what comes of it

# the fault, what follows, and how many batches the API has then
FAULTS: list[tuple[dict[str, Any], AfterCreate, int]] = [
    ({"fault": "drop_after_accept"}, UNCONFIRMED, 1),
    ({"fault": "garbage_answer"}, ACCEPTED, 1),
    ({"fault": "html_answer"}, ACCEPTED, 1),
    ({"fault": "error_after_accept"}, UNCONFIRMED, 1),
    ({"fault": "error_after_accept", "status": 502, "html": True}, UNCONFIRMED, 1),
    ({"fault": "error_after_accept", "status": 504}, UNCONFIRMED, 1),
    ({"fault": "error_after_accept", "status": 529}, UNCONFIRMED, 1),
    ({"fault": "error_after_accept", "status": 408}, UNCONFIRMED, 1),
    ({"fault": "error_after_accept", "status": 409}, UNCONFIRMED, 1),
    ({"fault": "error_after_accept", "status": 400, "html": True}, UNCONFIRMED, 1),
    ({"fault": "status", "status": 500}, UNCONFIRMED, 0),
    ({"fault": "status", "status": 529}, UNCONFIRMED, 0),
    ({"fault": "html_status"}, UNCONFIRMED, 0),
    ({"fault": "html_status", "status": 502}, UNCONFIRMED, 0),
    ({"fault": "html_status", "status": 403}, REFUSE, 0),
    ({"fault": "status", "status": 400}, PAUSE, 0),
    ({"fault": "status", "status": 404}, PAUSE, 0),
    ({"fault": "status", "status": 401}, PAUSE, 0),
    ({"fault": "status", "status": 402}, PAUSE, 0),
    ({"fault": "status", "status": 403}, PAUSE, 0),
    ({"fault": "spend_limit_400"}, PAUSE, 0),
    ({"fault": "spend_limit_429"}, PAUSE, 0),
    ({"fault": "on_hold"}, PAUSE, 0),
    ({"fault": "queue_full"}, AGAIN, 0),
    ({"fault": "status", "status": 429, "retry_after": 7}, AGAIN, 0),
    ({"fault": "status", "status": 429}, AGAIN, 0),
    ({"fault": "invalid_json_400"}, AGAIN, 0),
    ({"fault": "html_413"}, SPLIT, 0),
    ({"fault": "status", "status": 413}, SPLIT, 0),
]


@pytest.mark.parametrize(
    ("fault", "follows", "count"), FAULTS, ids=[" ".join(map(str, f.values())) for f, _, _ in FAULTS]
)
def test_every_failure_is_posted_once_and_judged_by_what_may_exist(
    emulator: Running, message_batches: SdkMessageBatches, fault: dict[str, Any], follows: AfterCreate, count: int
) -> None:
    emulator.add_fault({"on": "create", **fault})
    failure = failed(message_batches)
    assert after_create(failure) is follows
    assert len(emulator.batches()) == count
    assert emulator.requests() == {CREATES: 1}


@pytest.mark.parametrize("framing", ["content-length", "close"])
def test_an_answer_that_is_cut_after_the_id_is_that_batch(
    emulator: Running, message_batches: SdkMessageBatches, framing: str
) -> None:
    emulator.add_fault({"on": "create", "fault": "truncated_answer", "framing": framing})
    seen = created(message_batches)
    (batch,) = emulator.batches()
    assert (seen.batch.id, emulator.requests()) == (batch["id"], {CREATES: 1})
    assert seen.batch.processing_status is ProcessingStatus.IN_PROGRESS
    assert "request_counts" in seen.batch.unread


PROVEN: list[tuple[dict[str, Any], bool]] = [
    ({"fault": "status", "status": 400}, True),
    ({"fault": "status", "status": 413}, True),
    ({"fault": "status", "status": 429, "retry_after": 7}, True),
    ({"fault": "spend_limit_400"}, True),
    ({"fault": "on_hold"}, True),
    ({"fault": "queue_full"}, True),
    ({"fault": "invalid_json_400"}, True),
    # A page of the edge: it may have come after the batch was made.
    ({"fault": "html_status", "status": 403}, False),
    ({"fault": "html_413"}, False),
]


@pytest.mark.parametrize(("fault", "proven"), PROVEN, ids=[" ".join(map(str, f.values())) for f, _ in PROVEN])
def test_a_refusal_proves_something_where_the_api_itself_said_it(
    emulator: Running, message_batches: SdkMessageBatches, fault: dict[str, Any], *, proven: bool
) -> None:
    emulator.add_fault({"on": "create", **fault})
    failure = failed(message_batches)
    assert (failure.is_from_api, is_proven(failure)) == (proven, proven)
    assert after_create(failure) not in {UNCONFIRMED, ACCEPTED}


@pytest.mark.parametrize("size", [2, 20_000])
def test_a_connection_dropped_before_accept_is_sent_again_only_if_the_body_had_not_left(
    emulator: Running, message_batches: SdkMessageBatches, size: int
) -> None:
    emulator.add_fault({"on": "create", "fault": "drop_before_accept", "bytes": 100})
    failure = failed(message_batches, body_bytes(size, "x" * 500))
    assert failure.status is None
    assert after_create(failure) is (AGAIN if size > 2 else UNCONFIRMED)
    assert (emulator.batches(), emulator.requests()) == ([], {CREATES: 1})


def test_a_failure_carries_the_facts_of_the_answer(emulator: Running, message_batches: SdkMessageBatches) -> None:
    fault = {
        "fault": "status",
        "status": 429,
        "retry_after": 7,
        "message": "slow\ndown",
        "error_code": "ramp_limit_exceeded",
    }
    emulator.add_fault({"on": "create", **fault})
    failure = failed(message_batches)
    assert (failure.status, failure.error_type, failure.error_code) == (429, "rate_limit_error", "ramp_limit_exceeded")
    assert (failure.retry_after, failure.has_envelope, failure.is_from_api) == (7.0, True, True)
    assert failure.request_id.startswith("req_")
    assert "slow down" in str(failure)


def test_the_envelope_of_a_refusal_names_the_line(message_batches: SdkMessageBatches) -> None:
    failure = failed(message_batches, b'{"requests":[' + request_line("r-0") + b"," + request_line("r-0") + b"]}")
    assert (after_create(failure), failure.status) == (REFUSE, 400)


def test_a_port_nobody_listens_on_has_carried_nothing(connect: Callable[..., SdkMessageBatches]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    failure = failed(connect(f"http://127.0.0.1:{port}"))
    assert (failure.status, failure.sent_whole, after_create(failure)) == (None, False, AGAIN)
    assert "cannot connect" in failure.message


@pytest.mark.parametrize("at", [0, 1, 5])
def test_a_body_that_fails_half_way_says_why_and_creates_nothing(
    emulator: Running, message_batches: SdkMessageBatches, at: int
) -> None:
    data = body_bytes(500)
    changed = InputProblem("in.jsonl changed since it was planned", hint="put it back")

    def pieces() -> Iterator[bytes]:
        for number, start in enumerate(range(0, len(data), 10_000)):
            if number == at:
                raise changed
            yield data[start : start + 10_000]

    with pytest.raises(InputProblem) as raised:
        message_batches.create(Body(pieces(), len(data)))
    assert raised.value is changed
    assert emulator.batches() == []
    assert created(message_batches).batch.id, "the way is still good"


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


def test_an_answer_is_read_into_our_words(emulator: Running, message_batches: SdkMessageBatches) -> None:
    emulator.set_scenario({"batch_seconds": 60})
    seen = created(message_batches)
    assert seen.batch.processing_status is ProcessingStatus.IN_PROGRESS
    assert seen.batch.counts == RequestCounts(processing=2)
    assert seen.batch.created_at is not None
    assert seen.batch.expires_at == seen.batch.created_at + EXPIRY
    assert seen.batch.created_at.tzinfo is not None
    assert seen.batch.unread == ()


# ---------------------------------------------------------------- the key


def test_without_a_key_the_five_ways_are_named_and_nothing_is_sent(
    emulator: Running, connect: Callable[..., SdkMessageBatches], monkeypatch: pytest.MonkeyPatch
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
    emulator: Running, connect: Callable[..., SdkMessageBatches], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_PROFILE", "nobody")
    with pytest.raises(AccountProblem):
        created(connect(emulator.base_url))
    assert emulator.requests() == {}


SECRET = "sk-ant-wrong"


@pytest.mark.parametrize("fault", [None, "status", "html_status", "drop_after_accept", "garbage_answer"])
def test_the_key_is_never_in_what_is_said(
    emulator: Running, connect: Callable[..., SdkMessageBatches], monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    key = "sk-ant-api03-very-secret" if fault else SECRET
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    if fault:
        emulator.add_fault({"on": "create", "fault": fault})
    failure: BaseException | None = failed(connect(emulator.base_url))
    while failure is not None:
        assert key not in f"{failure!s} {failure!r} {vars(failure)}"
        failure = failure.__cause__


def test_a_key_in_another_workspace_sees_nothing(
    emulator: Running,
    message_batches: SdkMessageBatches,
    connect: Callable[..., SdkMessageBatches],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    created(message_batches)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-other")
    assert connect(emulator.base_url).page().batches == ()


def test_a_body_that_is_one_request_parses(emulator: Running, message_batches: SdkMessageBatches) -> None:
    created(message_batches, body_bytes(1))
    (request,) = json.loads(emulator.body(emulator.batches()[0]["id"]))["requests"]
    assert request["custom_id"] == "r-00000"
