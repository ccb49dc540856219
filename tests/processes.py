"""The installed program, as a person runs it: processes of its own, and the emulator as one more."""

import json
import os
import pty
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agreeing import agreed

BATCHCTL = [sys.executable, "-m", "batchctl"]


@dataclass(frozen=True)
class Server:
    """The emulator as its own process, as a person starts it."""

    url: str

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_emulator/state") as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def creates(self) -> int:
        return int(self.state()["requests"].get("POST /v1/messages/batches", 0))

    def body(self, batch_id: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}/_emulator/batches/{batch_id}/body") as answer:
            received: bytes = answer.read()
        return received

    def post(self, path: str, shape: dict[str, Any]) -> None:
        request = urllib.request.Request(
            f"{self.url}/_emulator/{path}", json.dumps(shape).encode(), {"content-type": "application/json"}
        )
        urllib.request.urlopen(request).close()


@contextmanager
def serving(scenario: Path) -> Iterator[Server]:
    process = subprocess.Popen([*BATCHCTL, "emulator", "--scenario", scenario], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Server(process.stdout.readline().strip())
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@dataclass(frozen=True)
class Shell:
    folder: Path
    environment: dict[str, str]

    def start(self, *words: str | Path, **options: Any) -> "subprocess.Popen[str]":
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        command = [*BATCHCTL, *agreed(words)]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, **streams)

    def run(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        with self.start(*words) as process:
            out, err = process.communicate(timeout=100)
        return subprocess.CompletedProcess(words, process.returncode, out, err)


def at_a_terminal(folder: Path, environment: dict[str, str], *words: str, typed: str = "") -> tuple[int, str]:
    """The status, and all that stood on the terminal; `typed` is the answer to a question with yes and no."""
    master, slave = pty.openpty()
    command = [*BATCHCTL, *words]
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        try:
            shown, answers = b"", [f"{typed}\n".encode()]
            while piece := _read(master):
                shown += piece
                if b"[y/N]" in shown and answers:
                    os.write(master, answers.pop())
            status = process.wait(60)
        finally:
            # Whoever asks something else would wait for ever.
            process.kill()
            os.close(master)
    return status, shown.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""  # the other end was closed: Linux says EIO
