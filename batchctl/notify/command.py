"""Runs the command of a person: with a time limit, a bound on its output, and none of the program's secrets."""

import contextlib
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

from batchctl.clock import Clock
from batchctl.notify.attempt import DELIVERED, Attempt

TIME_LIMIT = 60.0
# How long a command may take to end after SIGTERM, and its last output to arrive after its end.
TERM_SECONDS = 2.0
DRAIN_SECONDS = 0.2
SLICE_SECONDS = 0.05
MAX_OUTPUT = 16 << 20
KEPT_OUTPUT = 4096
SHOWN_LINES = 5
PIECE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLimits:
    """Seconds that a command may take, and bytes that it may write."""

    seconds: float = TIME_LIMIT
    output: int = MAX_OUTPUT


USUAL_LIMITS = CommandLimits()


def run_command(
    command: str, body: str, environment: Mapping[str, str], clock: Clock, limits: CommandLimits = USUAL_LIMITS
) -> Attempt:
    """Run a command with /bin/sh and the notification on its stdin, and return what came of it.

    The command is the leader of a session of its own, without a terminal. Processes that it leaves behind are not waited for. At
    a limit, and when this process has to stop, its whole group is killed.
    """
    # A file and not a pipe: a command that does not read it holds nobody up.
    with tempfile.TemporaryFile() as stdin:
        stdin.write(body.encode())
        stdin.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - the command is the person's own
                ["/bin/sh", "-c", command],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            return Attempt(why=f"cannot be started: {error.strerror or error}", is_final=True)
    return _Running(process, clock, limits).wait()


class _Running:
    """A command under way. Its output is read without waiting for its end: a process that it left behind may hold the pipe."""

    def __init__(self, process: "subprocess.Popen[bytes]", clock: Clock, limits: CommandLimits) -> None:
        assert process.stdout is not None
        self._process = process
        self._stdout = process.stdout
        self._clock = clock
        self._limits = limits
        self._tail = b""
        self._bytes = 0
        self._is_open = True

    def wait(self) -> Attempt:
        """Wait for the end or a limit."""
        try:
            why = self._run()
        finally:
            # Also where a signal ended the wait. The leader is not reaped yet, so its number is still the group's.
            if self._process.returncode is None:
                self._end_group()
            self._stdout.close()
        if not why and self._process.returncode:
            why = _shown_status(self._process.returncode)
        return Attempt(why=why, is_final=True, output=self._last_lines()) if why else DELIVERED

    def _run(self) -> str:
        """Return the limit that was met; empty where the command ended by itself."""
        until = self._clock.monotonic() + self._limits.seconds
        while self._clock.monotonic() < until:
            self._read(SLICE_SECONDS)
            if self._bytes > self._limits.output:
                return f"wrote more than {self._limits.output:,} bytes, and was killed"
            if self._process.poll() is not None:
                self._drain()
                return ""
        return f"did not end within {self._limits.seconds:g} s, and was killed"

    def _drain(self) -> None:
        until = self._clock.monotonic() + DRAIN_SECONDS
        while self._is_open and self._bytes <= self._limits.output and self._clock.monotonic() < until:
            self._read(until - self._clock.monotonic())

    def _read(self, seconds: float) -> None:
        """Read what there is, for at most so many seconds; without output, wait for the end of the command as long."""
        if not self._is_open:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            return
        if not select.select([self._stdout], [], [], max(0.0, seconds))[0]:
            return
        piece = os.read(self._stdout.fileno(), PIECE)
        self._is_open = bool(piece)
        self._bytes += len(piece)
        self._tail = (self._tail + piece)[-KEPT_OUTPUT:]

    def _end_group(self) -> None:
        """End all processes of the group. The leader is reaped last: until then nobody else can have its number."""
        self._signal(signal.SIGTERM)
        # The pipe ends with the last process that holds it.
        until = self._clock.monotonic() + TERM_SECONDS
        while self._is_open and self._clock.monotonic() < until:
            self._read(until - self._clock.monotonic())
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        # The leader may have ended, and macOS refuses a group of which nobody runs.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _last_lines(self) -> tuple[str, ...]:
        lines = [line for line in self._tail.decode("utf-8", "replace").splitlines() if line.strip()]
        return tuple(lines[-SHOWN_LINES:])


def _shown_status(code: int) -> str:
    if code >= 0:
        return f"ended with exit status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
