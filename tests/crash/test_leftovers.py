"""What a stop must not leave behind, found by stopping everywhere."""

from pathlib import Path

import pytest
from stops import Pulled, Stops

from batchctl.files.workspace import Workspace


def test_a_workspace_that_was_half_made_still_keeps_prompts_out_of_git(tmp_path: Path) -> None:
    whole = Workspace(tmp_path / "whole" / ".batchctl")
    stops = Stops(tmp_path / "whole")
    with stops.watching():
        whole.make()
    for at in range(1, len(stops.passed) + 1):
        workspace = Workspace(tmp_path / str(at) / ".batchctl")
        with pytest.raises(Pulled), Stops(tmp_path / str(at), at).watching():
            workspace.make()
        workspace.make()
        assert (workspace.root / ".gitignore").read_text() == (whole.root / ".gitignore").read_text()
        assert not list(workspace.temporary("").glob("*"))
