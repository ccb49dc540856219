"""Real commands, also those that hang, fail, flood their output, ignore signals and leave processes behind."""

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from batchctl.clock import Clock
from batchctl.notify.attempt import DELIVERED, Attempt
from batchctl.notify.command import CommandLimits, run_command
from batchctl.notify.message import without_secrets

SHORT = CommandLimits(seconds=0.4, output=200_000)
# For commands that end by themselves.
LONG = CommandLimits(seconds=30, output=200_000)


@pytest.fixture(autouse=True)
def _short_term(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchctl.notify.command.TERM_SECONDS", 0.3)


def ran(command: str, limits: CommandLimits = LONG, environment: Mapping[str, str] | None = None) -> Attempt:
    given = {"PATH": os.environ["PATH"], **(environment or {})}
    return run_command(command, '{"job": "in-1"}', given, Clock(), limits)


def is_running(pid: int) -> bool:
    """A process that has ended and is not reaped yet does not run."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def pid_in(path: Path) -> int:
    until = time.monotonic() + 10
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < until
    return int(path.read_text())


def gone(pid: int) -> bool:
    until = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < until:
        pass
    return not is_running(pid)


def test_a_command_gets_the_object_on_stdin_and_its_output_is_dropped(tmp_path: Path) -> None:
    assert ran(f"cat > {tmp_path}/got; echo done; echo also >&2") == DELIVERED
    assert (tmp_path / "got").read_text() == '{"job": "in-1"}'


def test_a_command_that_reads_nothing_and_closes_everything_is_done() -> None:
    assert ran("exec <&- >&- 2>&-; exit 0") == DELIVERED
    assert ran("exec >&- 2>&-; sleep 0.2; exit 4").why == "ended with exit status 4"


@pytest.mark.parametrize(
    ("command", "why", "output"),
    [
        ("echo one; echo two >&2; exit 3", "ended with exit status 3", ("one", "two")),
        ("no-such-program-here", "ended with exit status 127", None),
        ("kill -9 $$", "was ended by SIGKILL", ()),
        ("for i in 1 2 3 4 5 6 7; do echo $i; done; false", "ended with exit status 1", ("3", "4", "5", "6", "7")),
        (r"printf '\377\033[2J'; exit 1", "ended with exit status 1", ("\ufffd\033[2J",)),
    ],
)
def test_a_command_that_fails_is_final_and_says_its_last_lines(
    command: str, why: str, output: tuple[str, ...] | None
) -> None:
    attempt = ran(command)
    assert (attempt.why, attempt.is_final) == (why, True)
    assert output is None or attempt.output == output


@pytest.mark.parametrize("ignores", ["", "trap '' TERM; "])
def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path, ignores: str) -> None:
    child = tmp_path / "child"
    begun = time.monotonic()
    attempt = ran(f"{ignores}sleep 60 & echo $! > {child}; echo begun; sleep 60; sleep 60", SHORT)
    assert attempt.why == "did not end within 0.4 s, and was killed"
    assert attempt.output == ("begun",)
    assert time.monotonic() - begun < 10
    assert gone(pid_in(child))


def test_a_command_that_floods_its_output_is_killed() -> None:
    attempt = ran("yes flood")
    assert attempt.why == "wrote more than 200,000 bytes, and was killed"
    assert set(attempt.output) <= {"flood", *("flood"[n:] for n in range(5)), *("flood"[:n] for n in range(1, 5))}


def test_a_process_that_keeps_the_pipes_open_is_not_waited_for_and_lives_on(tmp_path: Path) -> None:
    child = tmp_path / "child"
    begun = time.monotonic()
    try:
        assert ran(f"sleep 60 & echo $! > {child}; exit 0") == DELIVERED
        assert time.monotonic() - begun < 10
        assert is_running(pid_in(child))
    finally:
        os.kill(pid_in(child), 9)


def test_a_command_has_no_terminal_and_a_group_of_its_own(tmp_path: Path) -> None:
    assert ran(f"ps -o pgid= -o sid= -o tty= -p $$ > {tmp_path}/ps; echo $$ > {tmp_path}/pid") == DELIVERED
    pid = (tmp_path / "pid").read_text().strip()
    assert (tmp_path / "ps").read_text().split() == [pid, pid, "?"]


def test_a_stop_ends_the_command(tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    class Stopping(Clock):
        def monotonic(self) -> float:
            if child.exists() and child.read_text():
                child.rename(child.with_name("seen"))
                raise Stop
            return super().monotonic()

    child = tmp_path / "child"
    with pytest.raises(Stop):
        run_command(f"echo $$ > {child}; sleep 60", "{}", {"PATH": os.environ["PATH"]}, Stopping(), LONG)
    assert gone(int(child.with_name("seen").read_text()))


def test_a_command_that_cannot_be_started_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "cannot be started" in ran("x" * 3_000_000).why


def test_variables_that_hold_a_secret_are_left_out() -> None:
    environment = {
        "ANTHROPIC_API_KEY": "sk-ant-1",
        "ANTHROPIC_AUTH_TOKEN": "t",
        "ANTHROPIC_PROFILE": "p",
        "ANTHROPIC_CUSTOM_HEADERS": "x-api-key: 1",
        "ANTHROPIC_BASE_URL": "https://user:password@host",
        "anthropic_identity_token": "j",
        "BATCHCTL_NOTIFY_SECRET": "whsec_",
        "MY_KEY": "sk-ant-1",
        "WITHIN": "key=sk-ant-1;",
        "PATH": "/bin",
        "BATCHCTL_WORKSPACE": "/w",
        "HTTPS_PROXY": "http://proxy",
    }
    left = without_secrets(environment, frozenset({"sk-ant-1"}))
    assert left.keys() == {"PATH", "BATCHCTL_WORKSPACE", "HTTPS_PROXY"}
