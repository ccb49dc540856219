"""Every step, every stop: whatever a command was doing when it was stopped, the same command again ends in the same files.

For each scene the command is stopped at its first stop point, at its second, and so on until it comes to its end: once by
an exception, once by SIGKILL. Each time the batches at the API and the bytes of the merged files must be those of a job
that nobody disturbed.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from cases import few
from crash.scenes import FETCHED, FETCHED_BY_PROCESSES, SCENES, SUBMIT, Scene
from crash.sweeping import Kills, Pulls, sweep
from fork_server import ForkServer

# A sweep is long: each test has a part of it, so that they can run side by side.
PARTS = 4
# For a machine that has other things to do.
LONG = pytest.mark.timeout(600)
EVERY_SCENE = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
EVERY_PART = pytest.mark.parametrize("part", range(1, PARTS + 1))

Recorder = Callable[[str, object], None]


def _swept(scene: Scene, way: Pulls | Kills, folder: Path, record_property: Recorder, *, first: int, step: int) -> None:
    tried = sweep(scene, way, folder, first=first, step=step)
    assert tried
    record_property("stops", {"scene": scene.name, "kind": way.name, "tried": len(tried)})


@pytest.mark.parametrize("scene", few([SUBMIT, FETCHED], 0), ids=lambda scene: scene.name)
def test_a_command_that_is_stopped_here_and_there_ends_as_if_nothing_had_been(
    scene: Scene, tmp_path: Path, record_property: Recorder
) -> None:
    _swept(scene, Pulls(), tmp_path, record_property, first=1, step=12)


@pytest.mark.slow
@LONG
@EVERY_SCENE
@EVERY_PART
def test_a_command_that_raises_at_any_step_ends_as_if_nothing_had_been(
    scene: Scene, part: int, tmp_path: Path, record_property: Recorder
) -> None:
    _swept(scene, Pulls(), tmp_path, record_property, first=part, step=PARTS)


@pytest.mark.slow
@LONG
@EVERY_SCENE
@EVERY_PART
def test_a_command_that_is_killed_at_any_step_ends_as_if_nothing_had_been(
    scene: Scene, part: int, fork_server: ForkServer, tmp_path: Path, record_property: Recorder
) -> None:
    _swept(scene, Kills(fork_server), tmp_path, record_property, first=part, step=PARTS)


@pytest.mark.slow
@LONG
@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_a_fetch_by_processes_that_is_killed_ends_as_if_nothing_had_been(
    part: int, fork_server: ForkServer, tmp_path: Path, record_property: Recorder
) -> None:
    """Here and there: each stop starts processes twice."""
    _swept(FETCHED_BY_PROCESSES, Kills(fork_server), tmp_path, record_property, first=5 * part, step=5 * PARTS)
