"""What goes wrong, acted out: a person with a job at each point of its life, an API, a network, a disk, and a clock that
does not wait.
"""

import contextlib
import errno
import os
import re
import signal
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from faults.disk import PlayedDisk, PlayedLedger, played, played_ledger
from faults.table import Case, Disk, Fault, Key, Ledger, Network, Row, Signal, Stranger
from processes import Shell
from program import KEY, Cli, Ran, request, requests, sent_lines

from batchctl.api import client
from batchctl.clock import Clock, StopSignal
from batchctl.emulator.running import Running, running

# Batches take a minute of the clock that does not wait; answers repeat the question, so that a wrong one shows.
SCENE: Mapping[str, Any] = {
    "batch_seconds": 60,
    "retry_after": 65,
    "cancel_seconds": 1,
    "finished_at_cancel": 0.5,
    "answers": {"echo": True},
}
COUNT, PER_BATCH = 6, 3
# Seconds of both clocks per second of the wall's: a machine that is busy does not make anything late.
SLOWLY = 0.01
INPUT = "in.jsonl"
LOST = {"on": "create", "fault": "drop_after_accept"}
# What the verb ends with when it is typed once more after all went well.
DONE_ALREADY = {"submit": 6, "retry": 6, "cancel": 6}


class Scenario:
    """One person, one job of six requests in two batches, and everything around them."""

    def __init__(self, cli: Cli, emulator: Running, system: pytest.MonkeyPatch, pace: float) -> None:
        self.cli, self.emulator, self._system = cli, emulator, system
        self._pace = pace
        self.lines = requests(COUNT)
        self._ahead = timedelta()
        self._stack = contextlib.ExitStack()
        self._played: list[PlayedDisk | PlayedLedger | PlayedNetwork] = []
        self._let_time_leap()

    # ------------------------------------------------------------------ time

    def leap(self, by: timedelta) -> None:
        self._ahead += by
        self.emulator.advance(by.total_seconds())

    def _let_time_leap(self) -> None:
        """Nobody waits: whoever would finds that the time has passed, here and at the API. Else it goes slowly."""
        began, began_monotonic = Clock().now(), Clock().monotonic()
        monotonic = Clock.monotonic

        def passed(clock: Clock) -> float:
            return (monotonic(clock) - began_monotonic) * self._pace + self._ahead.total_seconds()

        def wait_until(clock: Clock, at: datetime, stop: StopSignal) -> bool:
            if not stop.is_set() and (left := at - clock.now()) > timedelta():
                self.leap(left)
            return stop.is_set()

        self._system.setattr(Clock, "now", lambda clock: began + timedelta(seconds=passed(clock)))
        self._system.setattr(Clock, "monotonic", lambda clock: began_monotonic + passed(clock))
        self._system.setattr(Clock, "wait_until", wait_until)

    # ------------------------------------------------------------------ before

    def prepare(self, verb: str, row: Row) -> list[str]:
        """The job as the verb finds it; gives the command."""
        if row.is_large:
            self.lines = [request(f"r-{n:05d}", f"{n} {'x' * 1_500_000}") for n in range(COUNT)]
        per_batch = str(row.per_batch or PER_BATCH)
        cut = ["--max-requests", per_batch, "--parallel", "1"]
        self.cli.write(INPUT, self.lines)
        command: list[str]
        match verb:
            case "submit" | "run":
                command = [verb, INPUT, *cut]
            case "retry":
                self.scene({"batch_seconds": 0, "outcomes": {"overloaded_error": 1.0}})
                self._ran(0, "submit", INPUT, *cut)
                self._ran(3, "fetch")
                command = [verb, "--parallel", "1"]
            case "resolve":
                self.scene(row.scene)
                self.emulator.add_fault(LOST)
                with pytest.MonkeyPatch.context() as later:
                    # Else a slow machine has looked for it already.
                    later.setattr("batchctl.engine.send.FIRST_RECONCILE_PAUSE", timedelta(seconds=60))
                    self._ran(8, "submit", INPUT, *cut, "--no-wait")
                command = [verb]
            case _:
                self.scene(row.scene)
                self._ran(0, "submit", INPUT, *cut)
                command = {
                    "fetch": ["fetch", "--parallel", "1"],
                    "status": ["status", "@last"],
                    "status --watch": ["status", "@last", "--watch"],
                    "cancel": ["cancel", "--yes"],
                }[verb]
        if verb == "fetch":
            self.leap(timedelta(seconds=60))
        if verb == "fetch" and row.scene.get("batch_seconds") == 0:
            # The ledger knows that they have ended: nothing is left but to download them.
            self._ran(0, "status", "@last")
        self.scene(row.scene)
        return [*command, *row.options]

    def scene(self, more: Mapping[str, Any]) -> None:
        """Seconds as both clocks show them."""
        wanted = {**SCENE, **more}
        real = {name: wanted[name] / self._pace for name in ("batch_seconds", "cancel_seconds")}
        self.emulator.set_scenario({**wanted, **real})

    def _ran(self, status: int, *words: str) -> Ran:
        ran = self.cli.run(*words)
        assert ran.status == status, ran.err
        return ran

    # ------------------------------------------------------------------ trouble

    def trouble(self, case: Case) -> None:
        for one in case.troubles:
            match one:
                case Fault(shape):
                    self.emulator.add_fault(shape)
                    if float(shape.get("seconds", 0)) >= 1:
                        self._lose_patience()
                case Network(kind, times):
                    network = PlayedNetwork(kind, times)
                    self._system.setattr(socket, "create_connection", network.create_connection)
                    self._play(network)
                case Disk(number, calls, at, times):
                    disk = PlayedDisk(self.cli.folder, number, at=at, times=times, calls=calls)
                    self._play(self._stack.enter_context(played(disk)))
                case Ledger(said, at, times):
                    ledger = PlayedLedger(said, at=at, times=times)
                    self._play(self._stack.enter_context(played_ledger(ledger)))
                case Key(value):
                    self.cli.variables.pop("ANTHROPIC_API_KEY", None)
                    if value:
                        self.cli.variables["ANTHROPIC_API_KEY"] = value
                case Signal(during, _):
                    fault = "stall_after_accept" if during == "create" else "stall"
                    self.emulator.add_fault({"on": during, "fault": fault, "seconds": 1.5})
                case Stranger():
                    self._somebody_else_sends_as_many()

    def run(self, command: Sequence[str], case: Case) -> Ran:
        """The command; in a process of its own where it gets signals."""
        signals = [one for one in case.troubles if isinstance(one, Signal)]
        if not signals:
            return self.cli.run(*command)
        (signal_,) = signals
        shell = Shell(self.cli.folder, {**os.environ, **self.cli.variables})
        before = len(self.emulator.batches())
        with shell.start(*command) as process:
            self.wait_until_struck()
            if signal_.during == "create":
                # A fault has struck once its request is there; the batch is made when all of it was read.
                self._wait_for(lambda: len(self.emulator.batches()) > before)
            for name in signal_.names:
                process.send_signal(getattr(signal, name))
                time.sleep(0.2)  # noqa: TID251 - two signals at the same instant are one
            out, err = process.communicate(timeout=100)
        return Ran(process.returncode, out, err)

    def wait_until_struck(self) -> None:
        self._wait_for(lambda: not self.emulator.unfired())

    def _wait_for(self, is_there: Callable[[], bool]) -> None:
        until = time.monotonic() + 60
        while not is_there():
            assert time.monotonic() < until, "the process never came so far"
            time.sleep(0.02)  # noqa: TID251 - for a process that has a clock of its own

    def _lose_patience(self) -> None:
        """Whoever waits for a byte gives up after a moment."""
        timeout = client._timeout
        self._system.setattr(client, "_timeout", lambda _: timeout(0.4))

    def _play(self, one: "PlayedDisk | PlayedLedger | PlayedNetwork") -> None:
        self._played.append(one)

    def _somebody_else_sends_as_many(self) -> None:
        folder = self.cli.folder.parent / f"{self.cli.folder.name}-stranger"
        folder.mkdir()
        stranger = Cli(folder, self.emulator.base_url)
        stranger.submitted("theirs.jsonl", requests(PER_BATCH, prefix="theirs"))

    def all_struck(self) -> bool:
        """Whether everything that was to go wrong did."""
        return not self.emulator.unfired() and all(one.struck for one in self._played)

    def mend_machine(self) -> None:
        """So that a test may read what is on the disk."""
        for one in self._played:
            one.fix()

    def fix(self) -> None:
        self.mend_machine()
        self._stack.close()
        self.cli.variables["ANTHROPIC_API_KEY"] = KEY
        self.scene({})

    # ------------------------------------------------------------------ afterwards

    def received(self) -> Counter[bytes]:
        """How often the API has each line; a stranger's are left out."""
        return Counter(line for batch in sent_lines(self.emulator) for line in batch if b'"theirs-' not in line)

    def held(self) -> int:
        return len(self.emulator.batches())

    def finish(self, verb: str, row: Row) -> Ran:
        """With `run`, as a person does; what was canceled is fetched."""
        words = ["fetch"] if verb == "cancel" else ["run", INPUT, "--max-requests", str(row.per_batch or PER_BATCH)]
        if row.word:
            self._decide(row.word)
        ran = self.cli.run(*words)
        for _ in range(5):
            if ran.status not in {7, 8}:
                break
            self.leap(timedelta(hours=1))
            ran = self.cli.run(*words)
        return ran

    def _decide(self, word: Sequence[str]) -> None:
        hidden = next((b["id"] for b in self.emulator.batches() if b["id"] not in self._listed()), "")
        ran = self.cli.run(*(hidden if part == "HIDDEN" else part for part in word))
        assert ran.status in {0, 7}, ran.err

    def _listed(self) -> set[str]:
        """The ids that the ledger knows."""
        path = self.cli.folder / ".batchctl" / "ledger.db"
        with contextlib.closing(sqlite3.connect(path)) as db:
            return {row[0] for row in db.execute("select message_batch_id from batch")}

    def job(self) -> str:
        (job,) = self.cli.run("status", "--json", "--offline").json["jobs"]
        return str(job["job"])

    def shows_the_key(self, *texts: str) -> list[str]:
        """Where a key stands that must not."""
        found = [text for text in texts if re.search(rf"{KEY}|sk-ant-\w", text)]
        files = [p for p in self.cli.folder.rglob("*") if p.is_file()]
        return found + [str(p) for p in files if b"sk-ant-" in p.read_bytes()]

    def ledger_check(self) -> str:
        path = self.cli.folder / ".batchctl" / "ledger.db"
        if not path.exists() or not path.stat().st_size:
            return "ok"
        with contextlib.closing(sqlite3.connect(path)) as db:
            return str(db.execute("pragma integrity_check").fetchone()[0])


NETWORK: Mapping[str, Callable[[], OSError]] = {
    "refused": lambda: ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)),
    "name": lambda: socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    "unreachable": lambda: OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH)),
    "silent": lambda: TimeoutError("timed out"),
}


class PlayedNetwork:
    """Connections that are not made: the first `times` of them (0: all, until `fix`)."""

    def __init__(self, kind: str, times: int) -> None:
        self._error, self._times = NETWORK[kind], times
        self._connects = socket.create_connection
        self._is_mended = False
        self.struck = 0

    def create_connection(self, *given: Any, **named: Any) -> socket.socket:
        if not self._is_mended and (not self._times or self.struck < self._times):
            self.struck += 1
            raise self._error()
        return self._connects(*given, **named)

    def fix(self) -> None:
        self._is_mended = True


@contextlib.contextmanager
def scenario(folder: Path, *, pace: float = SLOWLY) -> Iterator[Scenario]:
    """With an emulator of its own, whose clock goes as ours does."""
    with running(speed=pace) as emulator, pytest.MonkeyPatch.context() as system:
        made = Scenario(Cli(folder, emulator.base_url), emulator, system, pace)
        try:
            yield made
        finally:
            made.fix()
