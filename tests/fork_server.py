"""Real processes without the two seconds that Python and the SDK take to start.

The nursery is one process that has imported everything and opened nothing. It forks a child for each command: a process of
its own, that can be killed as any other. It is asked over stdin and stdout, one JSON object a line.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO

from agreeing import agreed
from stops import Stops, hurried, kill

# A child that hangs is ended by its own alarm: nobody may wait for it forever, and nothing is left behind.
LONGEST_SECONDS = 60
KILLED = -signal.SIGKILL

# ---------------------------------------------------------------- the side of the test


@dataclass(frozen=True)
class Ended:
    """`status`: below 0 is the signal it died of. `passed`: its stop points, if it lived; `stopped`: what it died at."""

    status: int
    out: str
    err: str
    passed: int
    stopped: str


class Child:
    """One command under way."""

    def __init__(self, fork_server: "ForkServer", pid: int) -> None:
        self._fork_server, self.pid = fork_server, pid

    def poll(self) -> Ended | None:
        """None while it runs. Once it has ended, ask no more."""
        return self._fork_server.ended(self.pid, hang=False)

    def wait(self) -> Ended:
        ended = self._fork_server.ended(self.pid, hang=True)
        assert ended is not None
        return ended

    def kill(self) -> None:
        # Until the nursery is asked for it, an ended child keeps its number: nobody else can be hit.
        os.kill(self.pid, signal.SIGKILL)


class ForkServer:
    def __init__(self, link: "subprocess.Popen[str]") -> None:
        self._link = link
        self.unable = str(self._answer()["unable"])

    def start(
        self, folder: Path, variables: Mapping[str, str], words: Sequence[str], *, at: int = 0, stdin: bytes = b""
    ) -> Child:
        """A command in a folder, with the environment of the test; it kills itself at stop point `at`, if not 0."""
        asked = {
            "folder": str(folder),
            "environment": {**os.environ, **variables},
            "words": agreed(words),
            "stop": at,
            "stdin": stdin.decode("latin-1"),
        }
        return Child(self, int(self._ask("start", asked)["pid"]))

    def ended(self, pid: int, *, hang: bool) -> Ended | None:
        found = self._ask("end", {"pid": pid, "hang": hang})
        return Ended(**found) if found else None

    def inherited(self) -> dict[str, Any]:
        """What a child starts with: its open files by name, and how many ledgers and transports there are."""
        return self._ask("inherited", {})

    def _ask(self, verb: str, given: dict[str, Any]) -> dict[str, Any]:
        assert self._link.stdin is not None
        self._link.stdin.write(json.dumps({"verb": verb, **given}) + "\n")
        self._link.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._link.stdout is not None
        line = self._link.stdout.readline()
        assert line, f"the nursery has ended with {self._link.wait(5)}"
        found: dict[str, Any] = json.loads(line)
        return found


@contextlib.contextmanager
def started() -> Iterator[ForkServer]:
    """One for as long as the block lasts. `unable` says why it cannot be had on this platform; empty where it can."""
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as link:
        try:
            yield ForkServer(link)
        except BaseException:
            # It may be waiting for a child that hangs.
            link.terminate()
            raise


# ---------------------------------------------------------------- the nursery itself


class _Children:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children = 0
        self._folders: dict[int, Path] = {}

    def start(self, asked: dict[str, Any]) -> dict[str, Any]:
        self._children += 1
        folder = self._folder / str(self._children)
        folder.mkdir()
        (folder / "stdin").write_bytes(asked["stdin"].encode("latin-1"))
        for name in ("stdout", "stderr"):
            (folder / name).touch()
        pid = os.fork()
        if not pid:
            _leave_with(lambda: _child(folder, asked))
        self._folders[pid] = folder
        return {"pid": pid}

    def end(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Empty while it runs."""
        pid, status = os.waitpid(asked["pid"], 0 if asked["hang"] else os.WNOHANG)
        if not pid:
            return {}
        folder = self._folders.pop(pid)
        passed, stopped = folder / "passed", folder / "stopped"
        return {
            "status": os.waitstatus_to_exitcode(status),
            "out": (folder / "stdout").read_text("utf-8", "replace"),
            "err": (folder / "stderr").read_text("utf-8", "replace"),
            "passed": int(passed.read_text()) if passed.exists() else 0,
            "stopped": stopped.read_text() if stopped.exists() else "",
        }

    def inherited(self, _: dict[str, Any]) -> dict[str, Any]:
        reading, writing = os.pipe()

        def emit() -> int:
            os.write(writing, json.dumps(_belongings()).encode())
            return 0

        pid = os.fork()
        if not pid:
            _leave_with(emit)
        os.close(writing)
        with os.fdopen(reading) as told:
            found: dict[str, Any] = json.load(told)
        os.waitpid(pid, 0)
        return found


def _leave_with(work: Callable[[], int]) -> NoReturn:
    """A child must never come back into the loop of the nursery."""
    status = 1
    try:
        status = work()
    except BaseException:  # noqa: BLE001 - as the interpreter would show it
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _child(folder: Path, asked: dict[str, Any]) -> int:
    from batchctl.cli import main

    signal.alarm(LONGEST_SECONDS)
    for number, (name, flags) in enumerate((("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY))):
        os.dup2(os.open(folder / name, flags), number)
    os.closerange(3, 1024)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = ["batchctl", *asked["words"]]
    last = os.open(folder / "stopped", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def die(what: str) -> None:
        os.write(last, what.encode())
        kill(what)

    stops = Stops(Path(asked["folder"]), asked["stop"], die)
    try:
        with hurried(), stops.watching():
            main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    finally:
        # A kill may come at this instant, too: the number is there whole or not at all.
        (folder / "passed.part").write_text(str(len(stops.passed)))
        (folder / "passed.part").replace(folder / "passed")


def _belongings() -> dict[str, Any]:
    from sqlalchemy.engine import Engine

    from batchctl.api.client import SdkMessageBatches
    from batchctl.ledger.reading import SqlReadLedger

    files = []
    for opened in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            files.append(str(opened.readlink()))
    things = sum(isinstance(each, SqlReadLedger | SdkMessageBatches | Engine) for each in gc.get_objects())
    return {"files": files, "things": things, "threads": threading.active_count()}


def _why_unable() -> str:
    """Forking is safe where no other thread can hold a lock at that instant."""
    if not sys.platform.startswith("linux"):
        return "a process that has imported everything is only forked on Linux"
    threads = len(list(Path("/proc/self/task").iterdir()))
    return f"the imports have started {threads - 1} threads: their locks would be held for ever" if threads > 1 else ""


def _import_everything() -> None:
    """What a command would import by and by. A command that is added is found by its module in `cli`."""
    import batchctl.cli

    verbs = {path.stem for path in Path(batchctl.cli.__file__).parent.glob("[a-z]*.py")} - {"emulator"}
    of_others = (
        "alembic.command",
        "alembic.config",
        "anthropic",
        "anyio.streams.tls",
        "concurrent.futures.thread",
        "encodings.idna",
        "genai_prices.data",
        "httpcore2",
        "sqlalchemy.dialects.sqlite",
    )
    for name in (
        *of_others,
        "batchctl.money.listed",
        "batchctl.api.translate",
        *(f"batchctl.cli.{verb}" for verb in sorted(verbs)),
    ):
        importlib.import_module(name)


def _serve(questions: TextIO, answers: TextIO) -> None:
    _import_everything()
    print(json.dumps({"unable": _why_unable()}), file=answers, flush=True)
    with tempfile.TemporaryDirectory(prefix="batchctl-nursery-") as folder:
        cradle = _Children(Path(folder))
        for line in questions:
            asked = json.loads(line)
            print(json.dumps(getattr(cradle, asked.pop("verb"))(asked)), file=answers, flush=True)


if __name__ == "__main__":
    # Kept from the children: what they read and print are files of their own.
    _serve(os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8"))
