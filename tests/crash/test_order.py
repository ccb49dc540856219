"""What a power cut asks for, which no killed process can show: the order in which things are forced to the disk."""

from pathlib import Path, PurePath

import pytest
from crash.scenes import FETCHED, RETRIED, SCENES, SUBMIT_PACKED, SUBMIT_SKIP_BAD, Scene
from crash.sweeping import played

# An owner's lock holds nothing, and is void after a power cut.
EMPTY = ".lock"


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(scene, id=scene.name, marks=() if scene is SUBMIT_SKIP_BAD else pytest.mark.slow)
        for scene in SCENES
    ],
)
def test_nothing_gets_its_name_before_it_is_on_the_disk_and_the_name_follows(scene: Scene, tmp_path: Path) -> None:
    points = played(scene, tmp_path / "here")
    names = [(at, point.split()) for at, point in enumerate(points) if point.startswith("after re") and " to " in point]
    named = [(at, source, target) for at, (*_, source, _, target) in names if not target.endswith(EMPTY)]
    assert named or scene.name not in {one.name for one in (SUBMIT_SKIP_BAD, SUBMIT_PACKED, FETCHED, RETRIED)}
    for at, source, target in named:
        assert _is_synced(points[:at], source), f"{source} became {target} before it was on the disk"
        assert f"after fsync {PurePath(target).parent}" in points[at:], f"the name {target} may be lost"


def _is_synced(points: list[str], name: str) -> bool:
    """Since it was made; what got its name by a rename or a link was on the disk under its last one."""
    for at, point in reversed(list(enumerate(points))):
        if point.startswith("after link") and point.endswith(f" to {name}"):
            return _is_synced(points[:at], point.split()[2])
        if point == f"after fsync {name}" or (point.startswith("after re") and point.endswith(f" to {name}")):
            return True
        if point == f"before making {name}":
            return False
    return False
