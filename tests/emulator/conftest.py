"""What the emulator's tests start and ask with: an emulator per test, the real SDK, and plain HTTP where the SDK hides the wire."""

import http.client
import json
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anthropic
import pytest

from batchctl.emulator.running import running

KEY = "sk-ant-api03-test"
HEADERS = {"authorization": f"Bearer {KEY}", "anthropic-version": "2026-10-21"}
BATCHES = "/v1/messages/batches"


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json()["error"]["message"])


class Asking:
    """Plain HTTP calls to one emulator; `headers` None sends none of ours."""

    def __init__(self, base_url: str) -> None:
        self.netloc = urlsplit(base_url).netloc

    def __call__(self, method, path, body=None, headers=HEADERS, **more) -> Reply:
        with closing(http.client.HTTPConnection(self.netloc, timeout=20)) as link:
            sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            link.request(method, path, sent, {**(headers or {}), **{k.replace("_", "-"): v for k, v in more.items()}})
            answer = link.getresponse()
            return Reply(answer.status, answer.headers, answer.read())

    def create(self, body=None, **headers) -> Reply:
        return self("POST", BATCHES, batch_of(2) if body is None else body, **headers)

    def results(self, batch_id) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self("GET", f"{BATCHES}/{batch_id}/results").body.split(b"\n")[:-1]]


def request_of(custom_id="r-0", **params) -> dict[str, Any]:
    said = [{"role": "user", "content": f"Say {custom_id}."}]
    return {
        "custom_id": custom_id,
        "params": {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": said, **params},
    }


def batch_of(count, **params) -> dict[str, Any]:
    return {"requests": [request_of(f"r-{number}", **params) for number in range(count)]}


@pytest.fixture(name="request_of")
def _request_of():
    return request_of


@pytest.fixture(name="batch_of")
def _batch_of():
    return batch_of


@pytest.fixture
def emulate():
    """Starts emulators whose batches end at once, unless the scenario says otherwise."""
    with ExitStack() as stack:

        def start(scenario=None, **more):
            return stack.enter_context(running({"batch_seconds": 0, "cancel_seconds": 0, **(scenario or {})}, **more))

        yield start


@pytest.fixture
def emulator(emulate):
    return emulate()


@pytest.fixture
def asking():
    return lambda emulator: Asking(emulator.base_url)


@pytest.fixture
def ask(emulator, asking):
    return asking(emulator)


@pytest.fixture
def sdk():
    """Real SDK clients, without retries."""
    with ExitStack() as stack:

        def client(emulator, key=KEY, **more):
            made = anthropic.Anthropic(api_key=key, base_url=emulator.base_url, max_retries=0, **more)
            return stack.enter_context(made)

        yield client
