"""A world for each test, and the sum of what was tried at the end of a run."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.scenario import SLOWLY, Scenario, scenario


@pytest.fixture
def here(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scenario]:
    """Processes of their own have clocks of their own: where a case has one, time goes as it goes."""
    folder = tmp_path / "here"
    folder.mkdir()
    case = getattr(request.node, "callspec", None) and request.node.callspec.params.get("case")
    with scenario(folder, pace=1.0 if case and case.row.has_process else SLOWLY) as made:
        yield made


TRIED = "faults tried"
CHANGES = "changes of answers tried"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """From the reports, so that it is the same whether one process ran the tests or several."""
    counts: Counter[str] = Counter()
    changes: Counter[str] = Counter()
    left_open = 0
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in getattr(report, "user_properties", ()):
            if name == TRIED and report.when == "call":
                counts[value] += 1
            if name == CHANGES and report.when == "call":
                changes[value["kind"]] += value["tried"]
                left_open += value["left open"]
    if counts:
        said = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
        terminalreporter.write_line(f"faults tried: {said}")
    if changes:
        said = ", ".join(f"{n} of {kind}" for kind, n in sorted(changes.items()))
        terminalreporter.write_line(f"{CHANGES}: {changes.total()} ({said}); {left_open} left to a person")
