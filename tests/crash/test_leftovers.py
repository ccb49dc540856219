"""What a stop must not leave behind, found by stopping everywhere."""

from itertools import count
from pathlib import Path

import pytest
from program import Cli, requests
from stops import Pulled, Stops

from batchctl.emulator.running import Running, running
from batchctl.store.workspace import Workspace


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


def test_a_stop_while_an_input_is_cleaned_leaves_no_file_open_and_no_second_list_of_problems(tmp_path: Path) -> None:
    with running({"batch_seconds": 0}) as emulator:
        points = _submitted(tmp_path / "whole", emulator, 0)
        at = 1 + next(
            n for n, point in enumerate(points) if point.startswith("before fsync") and ".lines.part" in point
        )
        with pytest.raises(Pulled):
            _submitted(tmp_path / "stopped", emulator, at)
    assert not list((tmp_path / "stopped" / ".batchctl" / "tmp").iterdir())


def _submitted(folder: Path, emulator: Running, at: int) -> list[str]:
    folder.mkdir()
    cli = Cli(folder, emulator.base_url)
    path = cli.write("in.jsonl", [*requests(3), b"no request", *requests(3, "s")])
    stops = Stops(folder, at)
    with stops.watching():
        assert cli.run("submit", path, "--skip-bad").status == 0
    return stops.passed


@pytest.mark.slow
def test_a_retry_that_was_stopped_before_its_round_was_recorded_leaves_no_files(tmp_path: Path) -> None:
    with running({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}}) as emulator:
        cli = Cli(tmp_path, emulator.base_url)
        job = cli.submitted("in.jsonl", requests(9))
        assert cli.run("fetch").status == 3
        folder = tmp_path / ".batchctl" / "jobs" / job
        for at in count(1):
            with pytest.raises(Pulled), Stops(tmp_path, at).watching():
                cli.run("retry")
            if list(folder.glob("round-2.*.requests.jsonl")):
                break
        assert cli.run("retry").status == 0
    assert len(list(folder.glob("round-2.*"))) == 2
