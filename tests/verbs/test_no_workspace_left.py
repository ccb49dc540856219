"""A command that is refused leaves no workspace behind, and one that was there stays."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from program import Cli, requests

from batchctl.emulator.running import Running

FOLDER = ".batchctl"


@pytest.fixture
def shopper(emulator: Running, tmp_path: Path) -> Cli:
    """Somebody who wants to be asked."""
    return Cli(tmp_path, emulator.base_url, agrees=False)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("submit", "in.jsonl"), 6),
        (("run", "in.jsonl"), 6),
        (("submit", "in.jsonl", "--max-cost", "0"), 6),
        (("submit", "nope.jsonl"), 5),
        (("submit", "in.jsonl", "--no-beta", "x"), 2),
        (("attach", "msgbatch_01none"), 2),
    ],
)
def test_a_refused_command_leaves_no_workspace(shopper: Cli, words: Sequence[str], status: int) -> None:
    shopper.write("in.jsonl", requests(3))
    ran = shopper.run(*words)
    assert ran.status == status, ran.err
    assert not (shopper.folder / FOLDER).exists()


def test_the_faults_of_an_input_are_kept(shopper: Cli) -> None:
    shopper.write("in.jsonl", [b"no json"])
    ran = shopper.run("submit", "in.jsonl")
    assert ran.status == 5
    assert (shopper.folder / FOLDER / "problems" / "in.jsonl").exists()


def test_a_workspace_that_was_there_stays(shopper: Cli) -> None:
    path = shopper.write("in.jsonl", requests(3))
    assert shopper.run("submit", path, "--yes").status == 0
    other = shopper.write("other.jsonl", requests(2, prefix="o"))
    assert shopper.run("submit", other).status == 6
    assert (shopper.folder / FOLDER).exists()
    assert shopper.run("status").status == 0
