"""Under `make test-shifted` the program, the emulator and all processes that tests start live on another day."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batchctl.clock import Clock
from batchctl.emulator.clock import DAY, VirtualClock

CLOCKS = """
from batchctl.clock import Clock
from batchctl.emulator.clock import VirtualClock
print(Clock().now().timestamp(), VirtualClock().now())
"""


def _is_ahead(folder: Path, days: float, *clocks: float) -> bool:
    """Of the file system's clock, within a minute."""
    (folder / "now").touch()
    now = (folder / "now").stat().st_mtime
    return all(abs(clock - now - days * DAY) < 60 for clock in clocks)


def test_this_run_is_on_the_day_that_was_asked_for(tmp_path: Path) -> None:
    days = float(os.environ.get("SHIFTED_DAYS", "0"))
    assert _is_ahead(tmp_path, days, Clock().now().timestamp(), VirtualClock().now())


@pytest.mark.parametrize("days", [1100, -365])
def test_a_process_of_its_own_is_on_that_day_too(tmp_path: Path, days: int) -> None:
    surroundings = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "SHIFTED_DAYS": str(days)}
    said = subprocess.run([sys.executable, "-c", CLOCKS], env=surroundings, stdout=subprocess.PIPE, check=True)
    assert _is_ahead(tmp_path, days, *map(float, said.stdout.split()))
