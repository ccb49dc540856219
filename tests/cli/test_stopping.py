"""What Ctrl-C does to the terminal."""

import os
import signal

import pytest

from batchctl.cli.run_verb import _stopping
from batchctl.clock import StopSignal


@pytest.mark.parametrize(
    ("is_terminal", "term", "expected"),
    [(True, "xterm", [b"\x1b[?25h\n"]), (True, "dumb", []), (False, "xterm", [])],
)
def test_the_second_ctrl_c_shows_the_cursor_again(
    monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool, term: str, expected: list[bytes]
) -> None:
    def leave(status: int) -> None:
        raise SystemExit(status)

    shown: list[bytes] = []
    stop = StopSignal()
    stop.is_gentle = True
    monkeypatch.setenv("TERM", term)
    with monkeypatch.context() as patched:
        patched.setattr(os, "isatty", lambda _: is_terminal)
        patched.setattr(os, "write", lambda _, text: shown.append(text))
        patched.setattr(os, "_exit", leave)
        with _stopping(stop):
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(SystemExit):
                signal.raise_signal(signal.SIGINT)
    assert shown == expected
