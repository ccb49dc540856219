"""Answers of servers that are not the API, and where the key may go: redirects, URLs, headers, accounts."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from api.calls import created, downloaded, failure_of
from loopback import always, answering, as_json

from batchctl.api.client import SdkMessageBatches, checked_base_url, is_loopback
from batchctl.api.protocol import MessageBatches
from batchctl.api.secrets import shown_url
from batchctl.domain.api_failures import AfterCreate, AfterRead, after_create, after_read
from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import ProcessingStatus, RequestCounts
from batchctl.emulator.running import Running

BATCHES = "/v1/messages/batches"


# ---------------------------------------------------------------- where the key may go


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("what", ["create", "retrieve", "page", "results"])
def test_no_redirect_is_followed(connect: Callable[..., MessageBatches], what: str, status: int) -> None:
    with answering(always(as_json({}))) as elsewhere:
        redirect = status, {"location": f"{elsewhere.url}{BATCHES}"}, b""
        with answering(always(redirect)) as server:
            message_batches = connect(server.url)
            calls: dict[str, Callable[[], object]] = {
                "create": lambda: created(message_batches),
                "retrieve": lambda: message_batches.retrieve("msgbatch_1"),
                "page": message_batches.page,
                "results": lambda: downloaded(message_batches, "msgbatch_1"),
            }
            failure = failure_of(calls[what])
            message_batches.close()
        assert elsewhere.asked == []
    assert failure.status == status
    assert len(server.asked) == 1
    assert after_read(failure) is AfterRead.FAIL
    assert after_create(failure) is AfterCreate.UNCONFIRMED


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("0", None), ("-1", None), ("soon", None), ("nan", None), ("inf", None), ("", None)],
)
def test_when_to_come_back_is_read_where_it_can_be(
    connect: Callable[..., MessageBatches], retry_after: str, seconds: float | None
) -> None:
    with answering(always((429, {"retry-after": retry_after}, b""))) as server:
        message_batches = connect(server.url)
        assert failure_of(message_batches.page).retry_after == seconds
        message_batches.close()


@pytest.mark.parametrize("retry_after", ["1e300", "99999999999"])
def test_a_time_to_come_back_that_no_clock_can_show_is_cut_to_one_that_can(
    connect: Callable[..., MessageBatches], retry_after: str
) -> None:
    with answering(always((429, {"retry-after": retry_after}, b""))) as server:
        message_batches = connect(server.url)
        seconds = failure_of(message_batches.page).retry_after
        message_batches.close()
    assert seconds is not None
    assert 24 * 3600 <= seconds <= 366 * 24 * 3600


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b"{}",
        b'"text"',
        b"null",
        b'{"data": 5}',
        b'{"data": null}',
        b'{"data": {"id": "msgbatch_1"}}',
        b"\xff\xfe",
        b"",
    ],
)
def test_an_answer_of_another_shape_is_no_list_and_no_crash(
    connect: Callable[..., MessageBatches], answer: bytes
) -> None:
    with answering(always(as_json(answer))) as server:
        message_batches = connect(server.url)
        assert after_read(failure_of(message_batches.page)) is AfterRead.AGAIN
        assert after_create(failure_of(lambda: created(message_batches))) is AfterCreate.ACCEPTED
        message_batches.close()


SHAPE: dict[str, Any] = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": {"processing": 3, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
    "created_at": "2026-11-21T12:00:00.000001+00:00",
    "expires_at": "2026-11-22T12:00:00Z",
    "ended_at": None,
    "archived_at": None,
}


@pytest.mark.parametrize("answer", [5, None, "msgbatch_1", []])
def test_a_batch_asked_for_by_its_name_is_an_object(connect: Callable[..., MessageBatches], answer: object) -> None:
    with answering(always(as_json(answer))) as server:
        failure = failure_of(lambda: connect(server.url).retrieve("msgbatch_1"))
    assert (failure.status, after_read(failure)) == (200, AfterRead.AGAIN)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("in_progress", ProcessingStatus.IN_PROGRESS),
        ("canceling", ProcessingStatus.CANCELING),
        ("ended", ProcessingStatus.ENDED),
        ("validating", ProcessingStatus.IN_PROGRESS),
        ("ENDED", ProcessingStatus.IN_PROGRESS),
        ("", ProcessingStatus.IN_PROGRESS),
    ],
)
def test_a_status_nobody_heard_of_is_no_end(
    connect: Callable[..., MessageBatches], said: str, status: ProcessingStatus
) -> None:
    shape = {**SHAPE, "processing_status": said}
    with answering(always(as_json(shape))) as server:
        assert connect(server.url).retrieve("msgbatch_1").batch.processing_status is status
    with answering(always(as_json({"data": [shape], "has_more": False}))) as server:
        (batch,) = connect(server.url).page().batches
    assert (batch.processing_status, batch.counts) == (status, RequestCounts(processing=3))


@pytest.mark.parametrize(
    ("headers", "account"),
    [
        ({"anthropic-organization-id": "org_1", "anthropic-workspace-id": "wrkspc_1"}, "org_1 wrkspc_1"),
        ({"anthropic-workspace-id": "wrkspc_1", "anthropic-organization-id": "org_1"}, "org_1 wrkspc_1"),
        ({"anthropic-organization-id": "org_1"}, "org_1"),
        ({"anthropic-workspace-id": "wrkspc_1"}, "wrkspc_1"),
        ({}, ""),
    ],
)
def test_the_account_is_what_the_headers_name_of_it(
    connect: Callable[..., MessageBatches], headers: dict[str, str], account: str
) -> None:
    """A proxy may remove them: then nothing is made up."""
    with answering(always(as_json(b'{"data": [], "has_more": false}', headers))) as server:
        assert connect(server.url).page().account == account


def test_two_accounts_stay_two_where_headers_of_ours_name_them(
    connect: Callable[..., MessageBatches], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a header holds may be secret and is not shown; a list of one account proves nothing of the other all the same."""
    accounts = []
    for name in ("tenant-of-ann", "tenant-of-bob"):
        monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", f"X-Tenant: {name}")
        answer = as_json(b'{"data": [], "has_more": false}', {"anthropic-organization-id": name})
        with answering(always(answer)) as server:
            accounts.append(connect(server.url).page().account)
    assert len(set(accounts)) == 2
    assert not [account for account in accounts if "tenant" in account]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "http://10.0.0.7:8080",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://user@example.com",
        "http://0.0.0.0:80",
        "http://[2001:db8::1]",
    ],
)
def test_a_key_is_not_sent_over_plain_http_to_another_machine(url: str) -> None:
    with pytest.raises(UsageProblem) as raised:
        SdkMessageBatches(url)
    assert "https" in raised.value.hint


@pytest.mark.parametrize(
    "url",
    ["https://example.com/proxy", "http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "http://127.9.9.9"],
)
def test_https_and_this_machine_are_fine(url: str) -> None:
    assert checked_base_url(url) == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:1/wombat-zebra-quagga-99", "http://127.0.0.1:1/..."),
        ("http://127.0.0.1:1/a/wombat%2Dzebra-quagga-99/b", "http://127.0.0.1:1..."),
        ("https://ann:pw@example.com/sk-ant-api03-abc/v1/", "https://example.com/.../v1"),
        ("https://example.com/v1?key=abc", "https://example.com/v1"),
        ("https://wombat-zebra-quagga-99.example.com/v1", "https://....example.com/v1"),
        ("https://example.com/v1", "https://example.com/v1"),
    ],
)
def test_a_url_is_shown_without_secrets(url: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "wombat-zebra-quagga-99")
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    "url", ["http://ann:secret@example.com", "ftp://ann:secret@example.com", "https://ann:secret@"]
)
def test_a_url_that_is_refused_is_named_without_its_password(url: str) -> None:
    with pytest.raises(UsageProblem) as raised:
        SdkMessageBatches(url)
    assert "secret" not in raised.value.message + raised.value.hint


@pytest.mark.parametrize("url", ["example.com", "ftp://example.com", "https://", "file:///etc/passwd", "//x"])
def test_what_is_no_url_is_said_so(url: str) -> None:
    with pytest.raises(UsageProblem, match="not a URL"):
        checked_base_url(url)


def test_the_url_of_the_environment_is_held_to_the_same_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://example.com")
    with pytest.raises(UsageProblem):
        SdkMessageBatches()


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("", False)]
)
def test_loopback_is_this_machine_alone(host: str, *, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_proxy_is_not_asked_for_this_machine(
    emulator: Running, connect: Callable[..., MessageBatches], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert connect(emulator.base_url).page().batches == ()


def test_the_sdk_is_imported_only_when_something_is_asked() -> None:
    code = (
        "import sys; from batchctl.api.client import SdkMessageBatches;"
        "SdkMessageBatches('http://127.0.0.1:9').close();"
        "print(sorted({'anthropic', 'httpx2', 'batchctl.api.translate'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ran.stdout == "[]\n"
