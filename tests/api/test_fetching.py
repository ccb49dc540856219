"""A public file over loopback: what may go wrong with it on the way is one clear error."""

import gzip

import pytest
from loopback import Answer, always, answering

from batchctl.api.fetching import fetch
from batchctl.domain.errors import ServiceProblem, UsageProblem


def test_a_file_is_fetched_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-tests")
    with answering(always((200, {}, b"[]"))) as server:
        assert fetch(f"{server.url}/prices.json", 2) == b"[]"
    (asked,) = server.asked
    assert asked.path == "/prices.json"
    assert not {"authorization", "x-api-key", "cookie"} & set(asked.headers)
    assert "sk-ant" not in str(asked)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, {}, b""), "HTTP 404"),
        ((500, {}, b"oops"), "HTTP 500"),
        ((302, {"location": "/elsewhere"}, b""), "HTTP 302"),
        ((204, {}, b""), "HTTP 204"),
        ((200, {}, b"x" * 11), "more than 10 bytes"),
        ((200, {"content-encoding": "gzip"}, gzip.compress(b"x" * 1_000_000)), "more than 10 bytes"),
        ((200, {"content-encoding": "gzip"}, b"no gzip"), "header"),
    ],
)
def test_an_answer_that_is_not_the_file_is_refused(answer: Answer, said: str) -> None:
    with answering(always(answer)) as server, pytest.raises(ServiceProblem, match=said):
        fetch(f"{server.url}/prices.json", 10)


def test_nobody_there_is_said_without_what_may_be_secret() -> None:
    with answering(always((200, {}, b""))) as server:
        url = server.url
    with pytest.raises(ServiceProblem) as problem:
        fetch(url.replace("//", "//me:secret@") + "/prices.json?token=secret", 10)
    assert problem.value.message.startswith(f"{url}/prices.json: ")
    assert "secret" not in problem.value.message


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.com/prices.json", "plain http is refused"),
        ("HTTP://example.com/prices.json", "plain http is refused"),
        ("http://127.0.0.1.example.com/", "plain http is refused"),
        ("ftp://example.com/prices.json", "is not a URL"),
        ("file:///etc/passwd", "is not a URL"),
        ("prices.json", "is not a URL"),
        ("http://[::1", "is not a URL"),
        ("https://", "is not a URL"),
    ],
)
def test_a_url_that_anybody_could_answer_is_wrong_usage(url: str, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        fetch(url, 10)


def test_a_proxy_that_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "nothing://127.0.0.1")
    with pytest.raises(ServiceProblem, match="proxy"):
        fetch("https://example.com/prices.json", 10)
