"""Whole processes, measured from outside; and the sink that they talk to."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Run

LAUNCHER = Path(__file__).with_name("launcher.py")
PROJECT = Path(__file__).parents[1]
BATCHCTL = (sys.executable, "-m", "batchctl")
LINKED = (".jsonl",)
ROOM_BYTES = 200_000_000
# A proxy for the outside world cannot reach this machine's loopback.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failed(Exception):
    """A command did not end as it must."""


def surroundings(folder: Path, base_url: str = "", *, key: bool = True) -> dict[str, str]:
    """The environment without anybody's key, address, profile or workspace; with the sink's where there is one."""
    # What is said to Python here, as to write no bytecode, would be measured too.
    others = ("ANTHROPIC_", "BATCHCTL_", "PYTHON")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    # A home of its own: no profile of the SDK, no settings of curl. This checkout: what is measured lies in it.
    clean |= {"HOME": str(folder), "PYTHONPATH": str(PROJECT), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    if base_url:
        clean["ANTHROPIC_BASE_URL"] = base_url
    return clean | ({"ANTHROPIC_API_KEY": "sk-ant-bench"} if key else {})


def measured(
    command: Sequence[str | Path],
    folder: Path,
    env: dict[str, str],
    expected: Sequence[int] = (0,),
    reads: Sequence[Path] = (),
) -> tuple[Run, str]:
    """Runs it in `folder`; gives what it took and what it wrote to stdout. `reads`: to be read from memory. Raises Failed."""
    with tempfile.TemporaryDirectory(prefix="measured-") as kept:
        said, out, err = (Path(kept) / name for name in ("said", "out", "err"))
        # What an earlier command left to be written is not to be waited for by this one.
        os.sync()
        touch(2 * warm(*reads) + ROOM_BYTES)
        words = [sys.executable, "-I", "-S", LAUNCHER, said, out, err, *command]
        subprocess.run([str(word) for word in words], cwd=folder, env=env, check=True)
        found = json.loads(said.read_bytes())
        status = found.pop("status")
        if status not in expected:
            told = (err.read_text("utf-8", "replace") + out.read_text("utf-8", "replace"))[-2000:]
            raise Failed(f"{' '.join(map(str, command))}: exit status {status}, expected {expected[0]}\n{told}")
        return Run(**found), out.read_text("utf-8", "replace")


def cloned(source: Path, target: Path) -> Path:
    """A folder again, as it was: large files, which are only ever replaced, by hard link."""

    def copy(one: str, other: str) -> str:
        if one.endswith(LINKED):
            os.link(one, other)
            return other
        return shutil.copy2(one, other)

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=copy)
    return target


def warm(*paths: Path) -> int:
    """Files, and those of folders, into the page cache: what is compared is work, not who came first. Their bytes."""
    size = 0
    for path in (one for given in paths for one in (given.rglob("*") if given.is_dir() else (given,))):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while piece := file.read(1 << 20):
                    size += len(piece)
    return size


def touch(size: int) -> None:
    """Takes that much memory and gives it back.

    A virtual machine may hand its free memory to its host: who takes it again first pays for it, `cp` up to five times
    what it costs otherwise.
    """
    size = min(size, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4)
    subprocess.run([sys.executable, "-I", "-S", "-c", f"b'x' * {size}"], check=True)


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


class Far:
    """The sink, in a process of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def requests(self) -> Counter[str]:
        """By kind, since the last reset."""
        return Counter(self._asked("sink/requests"))

    def reset(self) -> None:
        self._asked("sink/reset")

    def newest(self) -> str:
        """The id of the batch that was created last."""
        return str(self._asked("v1/messages/batches?limit=1")["data"][0]["id"])

    def _asked(self, path: str) -> dict[str, Any]:
        with DIRECT.open(f"{self.url}/{path}") as answer:
            told: dict[str, Any] = json.load(answer)
        return told


@contextlib.contextmanager
def sinking(*results: Path) -> Iterator[Far]:
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "benchmarks.sink", *map(str, results)]
    sink = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert sink.stdout is not None
        url = sink.stdout.readline().strip()
        if not url:
            raise Failed("the sink did not start")
        yield Far(url)
    finally:
        sink.terminate()
        sink.wait(10)
        if sink.stdout is not None:
            sink.stdout.close()
