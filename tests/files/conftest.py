from pathlib import Path

import pytest

from batchctl.files.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / ".batchctl")
    made.make()
    return made
