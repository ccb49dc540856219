"""The demo, run as `make demo` runs it."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]


def _begun(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(PROJECT / "samples" / "demo.py"), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _listens(port: int) -> bool:
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0


def test_the_demo_ends_well(tmp_path: Path, demo: ModuleType) -> None:
    running = _begun(tmp_path / "demo")
    said, _ = running.communicate(timeout=100)
    assert running.returncode == 0, said
    assert "500 answers to 500 requests" in said
    sample = re.findall(r"^\$ batchctl submit (\S+)", said, re.MULTILINE)[0]
    assert re.findall(r"^\$ (.+)$", said, re.MULTILINE) == [command.format(sample=sample) for command, _ in demo.STORY]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_running(number: signal.Signals, tmp_path: Path) -> None:
    running = _begun(tmp_path / "demo")
    assert running.stdout is not None
    begun = running.stdout.readline()
    port = re.findall(r"127\.0\.0\.1:(\d+)", begun)[0]
    running.send_signal(number)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert not _listens(int(port))


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    running = _begun(tmp_path)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 1, said
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
