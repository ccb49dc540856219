"""The program as a person runs it, in this process: arguments in; status, stdout and stderr out."""

import io
import json
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agreeing import agreed
from typer.main import get_command

from batchctl.api.client import SdkMessageBatches
from batchctl.cli.app import app
from batchctl.clock import Clock
from batchctl.emulator.running import Running
from batchctl.engine.api_view import Server
from batchctl.engine.copy_guard import PlaceGuard
from batchctl.engine.resend_rules import GRACE
from batchctl.engine.session import Session
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.liveness import Owner
from batchctl.store.workspace import Workspace

KEY = "sk-ant-tests"
# As `app()` makes it anew for each call, from the annotations of every verb.
COMMAND = get_command(app)


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def job(self) -> str:
        """What `submit` and `retry` print on stdout."""
        return self.out.strip()


class Cli:
    """Somebody in a folder of their own, with a key and an API, who agrees to any price unless told to wait for the question."""

    def __init__(self, folder: Path, base_url: str, *, agrees: bool = True) -> None:
        self.folder = folder
        self.agrees = agrees
        self.variables = {"ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_API_KEY": KEY}

    def run(self, *words: str | Path, stdin: bytes = b"") -> Ran:
        with self._in_place(), _streams(stdin) as (out, err):
            try:
                COMMAND(agreed(words) if self.agrees else [str(word) for word in words], prog_name="batchctl")
                status = 0
            except SystemExit as leaving:
                status = int(leaving.code or 0)
            sys.stdout.flush()
        return Ran(status, out.getvalue().decode(), err.getvalue().decode())

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        before = Path.cwd()
        os.environ.update(self.variables)
        os.chdir(self.folder)
        try:
            yield
        finally:
            os.chdir(before)
            for name in self.variables:
                os.environ.pop(name, None)

    def write(self, name: str, lines: Iterable[bytes]) -> Path:
        path = self.folder / name
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    def submitted(self, name: str, lines: Iterable[bytes], *options: str) -> str:
        """A job of these lines, all of it sent."""
        ran = self.run("submit", self.write(name, lines), *options)
        assert ran.status == 0, ran.err
        return ran.job

    def left_in_doubt(self, path: Path, *options: str) -> None:
        """A job with a create that got no answer; nobody has looked for it so far, and whoever comes next will."""
        with pytest.MonkeyPatch.context() as later:
            # Else a slow machine has looked for it already.
            later.setattr("batchctl.engine.send.FIRST_RECONCILE_PAUSE", timedelta(seconds=60))
            ran = self.run("submit", path, "--no-wait", *options)
        assert ran.status == 8, ran.err
        with closing(sqlite3.connect(self.folder / ".batchctl" / "ledger.db")) as db, db:
            db.execute("update batch set not_before = null where state = 'submitting'")

    def results(self, job: str) -> list[dict[str, Any]]:
        return _objects(self.folder / f"{job}.results.jsonl")

    def errors(self, job: str) -> list[dict[str, Any]]:
        return _objects(self.folder / f"{job}.errors.jsonl")


@contextmanager
def session_of(root: Path, base_url: str, grace: timedelta = GRACE) -> Iterator[Session]:
    """What a process of its own would open at a workspace that is there: a ledger, a lock and a connection."""
    workspace, message_batches, clock = Workspace(root), SdkMessageBatches(base_url), Clock()
    with closing(SqlLedger(workspace.ledger)) as ledger, closing(message_batches), Owner(workspace.owners) as owner:
        guard = PlaceGuard(ledger)
        yield Session(
            workspace=workspace,
            ledger=ledger,
            message_batches=message_batches,
            base_url=base_url,
            server=Server(message_batches, clock, guard.salt),
            place_guard=guard,
            clock=clock,
            emit=lambda _: None,
            owner=owner.name,
            grace=grace,
        )


@contextmanager
def _streams(stdin: bytes) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    kept = sys.stdin, sys.stdout, sys.stderr
    out, err = io.BytesIO(), io.BytesIO()
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
    sys.stdout = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(err, encoding="utf-8", write_through=True)
    try:
        yield out, err
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            stream.detach()
        sys.stdin, sys.stdout, sys.stderr = kept


def _objects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def request(custom_id: str, text: str = "hello", **params: Any) -> bytes:
    """One line as a person writes it, without its newline."""
    shape: Mapping[str, Any] = {
        "custom_id": custom_id,
        "params": {
            "model": "claude-haiku-4-5",
            "max_tokens": 64,
            "messages": [{"role": "user", "content": text}],
            **params,
        },
    }
    return json.dumps(shape, ensure_ascii=False).encode()


# What makes `wrong_request` wrong: without it, it is mended.
OF_WRONG = b', "inference_geo": "eu"'


def wrong_request(custom_id: str) -> bytes:
    """One that nothing can know to be wrong before the API runs it: a place that the account does not allow."""
    return request(custom_id, model="claude-haiku-5-5", inference_geo="eu")


def requests(count: int, prefix: str = "r") -> list[bytes]:
    return [request(f"{prefix}-{n:05d}", f"What is {n} + 1?") for n in range(count)]


def ids(results: Iterable[Mapping[str, Any]]) -> list[str]:
    return [result["custom_id"] for result in results]


def sent_lines(emulator: Running) -> list[list[bytes]]:
    """The requests of every batch the emulator holds, as the bytes it received, in the order of creation."""
    return [_unspliced(emulator.body(batch["id"])) for batch in emulator.batches()]


def _unspliced(body: bytes) -> list[bytes]:
    assert body.startswith(b'{"requests":[')
    assert body.endswith(b"]}")
    inner, lines = body[13:-2].decode(), []
    decoder = json.JSONDecoder()
    at = 0
    while at < len(inner):
        start = at + len(inner[at:]) - len(inner[at:].lstrip())
        _, end = decoder.raw_decode(inner, start)
        rest = inner[end:]
        stop = end + len(rest) - len(rest.lstrip())
        lines.append(inner[at:stop].encode())
        at = stop + 1
    return lines
