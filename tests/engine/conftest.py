from collections.abc import Iterator

import pytest
from program import KEY

from batchctl.emulator.running import Running, running


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """Batches end at once, and the key is in the environment."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with running({"batch_seconds": 0}) as emulator:
        yield emulator
        assert emulator.unfired() == []
