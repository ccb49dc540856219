from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Cli

from batchctl.emulator.running import Running, running


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a second where nothing but the wait would be seen; what the API asks for is waited out all the same.

    How pauses grow is held in tests/domain.
    """
    monkeypatch.setattr("batchctl.engine.pacing.BACKOFF_SECONDS", 0.05)


@pytest.fixture
def emulator() -> Iterator[Running]:
    """Batches end at once. A scripted fault that never fired is a test that tested nothing."""
    with running({"batch_seconds": 0}) as emulator:
        yield emulator
        assert emulator.unfired() == []


@pytest.fixture
def cli(emulator: Running, tmp_path: Path) -> Cli:
    return Cli(tmp_path, emulator.base_url)
