"""An emulator over loopback, and every implementation of `MessageBatches` that is held against it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from batchctl.api.client import SdkMessageBatches
from batchctl.api.protocol import MessageBatches
from batchctl.emulator.running import Running, running

KEY = "sk-ant-api03-tests"
# A new implementation is one line here: it passes all of tests/api that asks for `connect` or `message_batches`.
IMPLEMENTATIONS: dict[str, Callable[..., MessageBatches]] = {"sdk": SdkMessageBatches}


@pytest.fixture
def emulator() -> Iterator[Running]:
    """Yield an emulator whose batches end at once. A scripted fault that never fired is a test that tested nothing."""
    with running({"batch_seconds": 0}) as started:
        yield started
        assert started.unfired() == []


@pytest.fixture(params=IMPLEMENTATIONS)
def connect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MessageBatches]]:
    """Yield a function that makes a way to an API at a URL, with a key."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with ExitStack() as stack:

        def made(base_url: str, **settings: Any) -> MessageBatches:
            message_batches = IMPLEMENTATIONS[request.param](base_url, **settings)
            stack.callback(message_batches.close)
            return message_batches

        yield made


@pytest.fixture
def message_batches(emulator: Running, connect: Callable[..., MessageBatches]) -> MessageBatches:
    """Return a way to the emulator."""
    return connect(emulator.base_url)
