"""Opens what a command needs and closes it again; turns what went wrong into one message and one number."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import BinaryIO, NoReturn, Protocol, TypeVar

import typer

from batchctl.api.secrets import holds_secret, shown_url
from batchctl.cli import leave_quietly
from batchctl.cli.exit_status import INTERRUPTED, OF_PROBLEM
from batchctl.clock import Clock, StopSignal
from batchctl.domain.errors import BatchctlError, DiskProblem, Refused, Stopped, TimedOut
from batchctl.domain.limits import API_VERSION
from batchctl.engine.session import ReadSession, Session
from batchctl.ledger.opening import for_reading
from batchctl.ledger.reading import SqlReadLedger
from batchctl.money.catalog import PriceCatalog
from batchctl.render.repeated_options import RepeatedOptions
from batchctl.render.writer import ReportWriter
from batchctl.store.workspace import Workspace, cached_price_list, find_workspace, user_prices

LEFTOVERS_AFTER = timedelta(days=2)
PRICES_VARIABLE = "BATCHCTL_PRICES"
SAME_CONTINUES = "the same command continues"


class Stoppable(Protocol):
    """What every command works with, whatever else that is."""

    @property
    def stop(self) -> StopSignal: ...


AnySession = TypeVar("AnySession", bound=Stoppable)


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions:
    """The options that every command has."""

    workspace: Path | None
    prices: Path | None = None
    base_url: str | None = None
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    parallel: int = 4
    poll_seconds: float | None = None
    timeout: float | None = None
    makes_workspace: bool = False
    takes_steps: bool = True
    cancels: bool = False
    api_version: str = API_VERSION
    insecure_http: bool = False

    @property
    def standing(self) -> str:
        """What a stop leaves at the API."""
        return "what was canceled so far stays canceled" if self.cancels else "nothing was canceled"


def run(global_options: GlobalOptions, command: Callable[[Session, ReportWriter], int]) -> NoReturn:
    """Runs a command and leaves with its status."""
    # Before the time of a --timeout begins; and whoever only reads does without all that this imports.
    from batchctl.cli.equipping import opened  # noqa: PLC0415

    run_with(global_options, command, opened)


def run_light(
    global_options: GlobalOptions,
    command: Callable[[ReadSession, ReportWriter], int],
    ledger: Callable[[Path], SqlReadLedger] = for_reading,
) -> NoReturn:
    """The same for a command that only reads. `ledger` opens it."""
    run_with(global_options, command, partial(opened_light, ledger))


def run_with(
    global_options: GlobalOptions,
    command: Callable[[AnySession, ReportWriter], int],
    opens: Callable[[GlobalOptions, Clock, ReportWriter, StopSignal], contextlib.AbstractContextManager[AnySession]],
) -> NoReturn:
    """The same for a command with tools of its own."""
    clock = Clock()
    writer = ReportWriter(
        clock,
        as_json=global_options.as_json,
        quiet=global_options.quiet,
        verbose=global_options.verbose,
        options=repeated_options(
            global_options.workspace, global_options.base_url, insecure_http=global_options.insecure_http
        ),
    )
    until = None if global_options.timeout is None else clock.monotonic() + global_options.timeout
    stop = StopSignal(clock, until)
    try:
        with stopping(stop), opens(global_options, clock, writer, stop) as session:
            status = _in_time(global_options, command, session, writer)
    except BatchctlError as problem:
        status = OF_PROBLEM[type(problem)]
        writer.write_error(problem, status)
    except (Stopped, KeyboardInterrupt) as stopped:
        status = INTERRUPTED
        continuing = stopped.command if isinstance(stopped, Stopped) else ""
        writer.note(f"stopped; {global_options.standing}{'' if continuing else f': {SAME_CONTINUES}'}")
        if continuing:
            writer.write_next_command(continuing)
    except BrokenPipeError:
        leave_quietly()
    except OSError as error:
        # Whatever of the disk, the terminal or the folder we stand in was not met where it belongs.
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        status = OF_PROBLEM[DiskProblem]
        writer.write_error(DiskProblem(f"{where}{error.strerror or error}"), status)
    finally:
        writer.close()
    raise typer.Exit(status)


def repeated_options(workspace: Path | None, base_url: str | None, *, insecure_http: bool) -> RepeatedOptions:
    """The options that every command which is named to a person must repeat.

    A password in the URL is not among them, nor a URL that holds a secret elsewhere: cut short, it would lead elsewhere.
    """
    return RepeatedOptions(
        workspace="" if workspace is None else str(workspace.absolute()),
        base_url=shown_url(base_url) if base_url and not holds_secret(base_url) else "",
        insecure_http=insecure_http,
    )


def _in_time(
    global_options: GlobalOptions,
    command: Callable[[AnySession, ReportWriter], int],
    session: AnySession,
    writer: ReportWriter,
) -> int:
    """Raises TimedOut where it was the time that stopped it, and not a person."""
    try:
        return command(session, writer)
    except Stopped as stopped:
        if not session.stop.is_timed_out():
            raise
        raise TimedOut(
            f"not finished within the --timeout; {global_options.standing}, and nothing is lost",
            hint=stopped.command or SAME_CONTINUES,
        ) from None


@contextlib.contextmanager
def continued_by(command: str) -> Iterator[None]:
    """Name this command to whoever stops what is in the block: the one that was typed would not continue it.

    An empty one: it would.
    """
    try:
        yield
    except Stopped as stopped:
        raise Stopped(command or stopped.command) from None


@contextlib.contextmanager
def opened_light(
    ledger: Callable[[Path], SqlReadLedger],
    global_options: GlobalOptions,
    clock: Clock,
    writer: ReportWriter,
    stop: StopSignal,
) -> Iterator[ReadSession]:
    workspace = workspace_of(global_options, clock)
    with contextlib.closing(ledger(workspace.ledger)) as questions:
        yield ReadSession(
            workspace=workspace,
            ledger=questions,
            clock=clock,
            emit=writer.emit,
            stop=stop,
            price_catalog=price_catalog_of(workspace, global_options.prices),
            base_url=global_options.base_url or os.environ.get("ANTHROPIC_BASE_URL") or "",
        )


def workspace_of(global_options: GlobalOptions, clock: Clock) -> Workspace:
    workspace = Workspace(find_workspace(global_options.workspace, Path.cwd()))
    workspace.refuse_links_out()
    if global_options.makes_workspace:
        workspace.make()
        workspace.sweep((clock.now() - LEFTOVERS_AFTER).timestamp())
    else:
        workspace.need()
    return workspace


def price_catalog_of(workspace: Workspace, named: Path | None = None) -> PriceCatalog:
    """`workspace` need not exist. `named`: the file of private prices that --prices names.

    What lies in a workspace may have come with it from somebody else: a limit rests on it only where it is dearer.
    """
    stored = os.environ.get(PRICES_VARIABLE, "")
    relied_on = named if named is not None else Path(stored) if stored else None
    own, cached = user_prices(os.environ), cached_price_list(os.environ)
    lists = [cached] if cached else []
    private = relied_on or (own if own and own.exists() else None)
    relied = PriceCatalog(private, lists)
    has_private = workspace.private_prices.exists() and relied_on is None
    if not has_private and not workspace.price_list.exists():
        return relied
    return PriceCatalog(workspace.private_prices if has_private else private, (workspace.price_list, *lists), relied)


@contextlib.contextmanager
def stopping(stop: StopSignal) -> Iterator[None]:
    """The first Ctrl-C takes no new step and lets uploads in flight finish: a cut upload is a doubt. The second leaves."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_signaled():
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


def stdin() -> BinaryIO | None:
    """None where it was closed."""
    return sys.stdin.buffer if sys.stdin is not None else None


def ask(writer: ReportWriter, question: str, flag: str) -> None:
    """A yes, from a person at a terminal; elsewhere the flag says it. Raises Refused."""
    if not writer.is_read_by_a_person:
        raise Refused(f"{question} Nobody is there to say yes", hint=f"{flag} says it")
    if not typer.confirm(question, default=False, err=True):
        raise Refused("nothing was sent", hint=f"{flag} answers yes without asking")
