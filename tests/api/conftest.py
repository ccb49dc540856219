from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from batchctl.api.client import SdkMessageBatches
from batchctl.emulator.running import Running, running

KEY = "sk-ant-api03-tests"


@pytest.fixture
def emulator() -> Iterator[Running]:
    """Batches end at once. A scripted fault that never fired is a test that tested nothing."""
    with running({"batch_seconds": 0}) as started:
        yield started
        assert started.unfired() == []


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SdkMessageBatches]]:
    """A way to an API at a URL, with a key."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with ExitStack() as stack:

        def made(base_url: str) -> SdkMessageBatches:
            message_batches = SdkMessageBatches(base_url)
            stack.callback(message_batches.close)
            return message_batches

        yield made


@pytest.fixture
def message_batches(emulator: Running, connect: Callable[..., SdkMessageBatches]) -> SdkMessageBatches:
    return connect(emulator.base_url)
