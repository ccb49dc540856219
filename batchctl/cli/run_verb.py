"""Run a verb: open its session, call it, handle Ctrl-C, and turn what went wrong into one message and one exit status."""

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO, NoReturn, Protocol, TypeVar

import typer

from batchctl.api.secrets import holds_secret, scrubbed, shown_url
from batchctl.cli import leave_quietly
from batchctl.cli.exit_status import INTERRUPTED, OF_PROBLEM
from batchctl.cli.global_options import GlobalOptions
from batchctl.clock import Clock, StopSignal
from batchctl.domain.errors import BatchctlError, DiskProblem, Refused, Stopped, TimedOut
from batchctl.render.repeated_options import RepeatedOptions
from batchctl.render.text import clean
from batchctl.render.writer import ReportWriter

if TYPE_CHECKING:
    from batchctl.domain.events import Emit
    from batchctl.verbs.confirmation import Question

STDERR = 2
SHOW_CURSOR = b"\x1b[?25h\n"
SAME_CONTINUES = "run the same command again to continue"


class Stoppable(Protocol):
    """A session of any kind: all of them know the stop signal."""

    @property
    def stop(self) -> StopSignal:
        """The signal that ends every wait."""


AnySession = TypeVar("AnySession", bound=Stoppable)


def run(
    options: GlobalOptions,
    course: Callable[[AnySession, ReportWriter], int],
    opens: "Callable[[GlobalOptions, Clock, Emit, StopSignal], contextlib.AbstractContextManager[AnySession]]",
) -> NoReturn:
    """Run the course of a verb in the session that `opens` opens, and leave with its exit status."""
    clock = Clock()
    writer = ReportWriter(
        clock,
        as_json=options.as_json,
        quiet=options.quiet,
        verbose=options.verbose,
        options=repeated_options(options.workspace, options.base_url, insecure_http=options.insecure_http),
    )
    stop = StopSignal(clock, None if options.timeout is None else clock.monotonic() + options.timeout)
    standing = "batches that were canceled stay canceled" if options.cancels else "nothing was canceled"
    try:
        with _stopping(stop), opens(options, clock, writer.emit, stop) as session:
            status = _in_time(standing, course, session, writer)
    except BatchctlError as problem:
        status = OF_PROBLEM[type(problem)]
        writer.write_error(problem, status)
    except (Stopped, KeyboardInterrupt) as stopped:
        status = INTERRUPTED
        command = (stopped.command if isinstance(stopped, Stopped) else "") or _same_command()
        writer.note(f"stopped; {standing}{'' if command else f': {SAME_CONTINUES}'}")
        if command:
            writer.write_next_command(command)
    except BrokenPipeError:
        leave_quietly()
    except OSError as error:
        # Of the disk, the terminal or the current folder, where no room expected it.
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        status = OF_PROBLEM[DiskProblem]
        writer.write_error(DiskProblem(f"{where}{error.strerror or error}"), status)
    finally:
        writer.close()
    raise typer.Exit(status)


def repeated_options(workspace: Path | None, base_url: str | None, *, insecure_http: bool) -> RepeatedOptions:
    """Return the options that every command which is named to a person must repeat.

    A password in the URL is left out, and so is a URL that holds a secret elsewhere: cut short, it would lead elsewhere.
    """
    return RepeatedOptions(
        workspace="" if workspace is None else str(workspace.absolute()),
        base_url=shown_url(base_url) if base_url and not holds_secret(base_url) else "",
        insecure_http=insecure_http,
    )


def _same_command() -> str:
    """Return the command line of this process; empty where it holds a secret, or what cannot be typed."""
    words = sys.argv[1:]
    command = shlex.join(["batchctl", *words])
    is_open = scrubbed(command) == command and all(shown_url(word) == word for word in words if "://" in word)
    return command if is_open and clean(command, len(command)) == command else ""


def stdin() -> BinaryIO | None:
    """Return stdin; None where it is closed."""
    return sys.stdin.buffer if sys.stdin is not None else None


@dataclass(frozen=True, slots=True)
class TerminalConfirm:
    """Asks a person at the terminal. With `yes`, they said yes beforehand; elsewhere the question is refused."""

    writer: ReportWriter
    yes: bool = False

    @property
    def is_interactive(self) -> bool:
        """Whether a person is at the terminal."""
        return self.writer.is_read_by_a_person

    def __call__(self, question: "Question") -> None:
        """Return once a person says yes. Raises Refused."""
        if self.yes:
            return
        text = clean(question.text, 2000)
        if not self.is_interactive:
            raise Refused(f"not confirmed: {text}", hint=f"not a terminal: pass {question.flags}")
        if question.estimate is not None:
            self.writer.show_price(question.estimate)
        try:
            is_confirmed = typer.confirm(text, default=False, err=True)
        except typer.Abort:
            raise Stopped from None
        if not is_confirmed:
            raise Refused(
                "not confirmed; nothing was sent", hint=f"to confirm without a question, pass {question.flags}"
            )

    def note(self, text: str) -> None:
        """Show a line on stderr."""
        self.writer.note(text)


def _in_time(
    standing: str, course: Callable[[AnySession, ReportWriter], int], session: AnySession, writer: ReportWriter
) -> int:
    """Raise TimedOut where the time stopped the course, and not a person."""
    try:
        return course(session, writer)
    except Stopped as stopped:
        if not session.stop.is_timed_out():
            raise
        raise TimedOut(
            f"not finished within --timeout; {standing} and nothing is lost",
            hint=stopped.command or SAME_CONTINUES,
        ) from None


@contextlib.contextmanager
def _stopping(stop: StopSignal) -> Iterator[None]:
    """Turn signals into stops in the block.

    The first Ctrl-C takes no new step and lets uploads in flight finish: an upload that is cut leaves an unconfirmed batch. The
    second leaves at once.
    """

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_signaled():
            # The moving view hides the cursor. It cannot be ended here: a lock that it needs may be held.
            if os.isatty(STDERR) and os.environ.get("TERM") != "dumb":
                os.write(STDERR, SHOW_CURSOR)
            os._exit(INTERRUPTED)
        stop.set()
        if not stop.is_gentle:
            raise Stopped

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
