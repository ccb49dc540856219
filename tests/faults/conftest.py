"""A world for each test, and the sum of what was tried at the end of a run."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.world import World, world

from batchctl.emulator.running import Running, running


@pytest.fixture
def emulator() -> Iterator[Running]:
    with running() as emulator:
        yield emulator


@pytest.fixture
def here(emulator: Running, tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "here"
    folder.mkdir()
    with world(folder, emulator) as made:
        yield made


TRIED = "faults tried"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """From the reports, so that it is the same whether one process ran the tests or several."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == TRIED and report.when == "call":
                counts[value] += 1
    if counts:
        said = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
        terminalreporter.write_line(f"faults tried: {said}")
