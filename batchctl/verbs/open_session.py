"""Opens a session that works: the ledger to record in, a name to claim steps with, and the way to the API."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from functools import partial

from batchctl.api.client import SdkMessageBatches
from batchctl.clock import Clock, StopSignal
from batchctl.domain.errors import BatchctlError, UsageProblem
from batchctl.domain.events import Emit
from batchctl.engine.api_view import Server
from batchctl.engine.copy_guard import PlaceGuard
from batchctl.engine.resend_rules import GRACE
from batchctl.engine.session import ApiSession, Session
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.liveness import Owner
from batchctl.store.workspace import Workspace
from batchctl.verbs.open_read_session import open_read_session, price_catalog_of, workspace_of
from batchctl.verbs.session_options import SessionOptions

# The first one that is set holds; the second is the name that earlier versions read.
GRACE_VARIABLES = ("BATCHCTL_UNCONFIRMED_GRACE", "BATCHCTL_DOUBT_GRACE")


@contextlib.contextmanager
def open_session(options: SessionOptions, clock: Clock, emit: Emit, stop: StopSignal) -> Iterator[Session]:
    """Open a session for a verb that takes steps; the arguments are those of `open_read_session`."""
    message_batches = _message_batches(options, stop)
    workspace = workspace_of(options, clock)
    with contextlib.ExitStack() as stack:
        # Last of all, when the ledger is closed.
        unused = stack.enter_context(contextlib.ExitStack())
        ledger = SqlLedger(workspace.ledger)
        stack.callback(ledger.close)
        # A command that only reads leaves no trace, so that it works in a folder that cannot be written.
        owner = stack.enter_context(Owner(workspace.owners)).name if options.takes_steps else ""
        stack.callback(message_batches.close)
        guard = PlaceGuard(ledger)
        if workspace.is_new:
            # First of all: it asks the ledger.
            stack.callback(_remove_if_unused, workspace, ledger, owner, unused)
        yield Session(
            workspace=workspace,
            ledger=ledger,
            message_batches=message_batches,
            base_url=message_batches.base_url,
            server=Server(message_batches, clock, guard.salt),
            place_guard=guard,
            clock=clock,
            emit=emit,
            owner=owner,
            stop=stop,
            price_catalog=price_catalog_of(workspace, options.prices),
            parallel=options.parallel,
            poll_seconds=options.poll_seconds,
            grace=_grace(),
            engine=options.engine,
            open_worker=partial(open_worker, _for_worker(options, workspace)),
        )


def _remove_if_unused(workspace: Workspace, ledger: SqlLedger, owner: str, at_last: contextlib.ExitStack) -> None:
    """Have a workspace removed that this command made and recorded no job in, as one that was refused.

    Not while another process uses it. Every job is recorded under the same lock, by a process that looks whether its
    workspace is still there.
    """
    with contextlib.suppress(BatchctlError, OSError):
        is_free = at_last.enter_context(workspace.planning_if_free())
        if is_free and not ledger.jobs() and workspace.holds_nothing(owner):
            at_last.callback(workspace.remove)


@contextlib.contextmanager
def open_worker(options: SessionOptions, stop: StopSignal) -> Iterator[Session]:
    """Open the session of a worker process: an owner, a ledger and a client of its own. The key is in its environment."""
    with open_session(options, Clock(), lambda _: None, stop) as session:
        yield session


def _for_worker(options: SessionOptions, workspace: Workspace) -> SessionOptions:
    """Return the options alone, without those of the command line that a class derived from them adds."""
    values = {field.name: getattr(options, field.name) for field in fields(SessionOptions)}
    return SessionOptions(**{**values, "workspace": workspace.root, "makes_workspace": False})


@contextlib.contextmanager
def open_api_session(options: SessionOptions, clock: Clock, emit: Emit, stop: StopSignal) -> Iterator[ApiSession]:
    """Open a session for a verb that asks the API what costs nothing, and the ledger nothing that must be there."""
    # A URL that cannot be used is reported before a large input is read.
    with (
        contextlib.closing(_message_batches(options, stop)) as message_batches,
        open_read_session(options, clock, emit, stop, needs_ledger=False) as session,
    ):
        values = {field.name: getattr(session, field.name) for field in fields(session)}
        yield ApiSession(**values, message_batches=message_batches, server=Server(message_batches, clock))


def _message_batches(options: SessionOptions, stop: StopSignal) -> SdkMessageBatches:
    return SdkMessageBatches(
        options.base_url,
        is_stopped=stop.is_set,
        api_version=options.api_version,
        insecure_http=options.insecure_http,
    )


def _grace() -> timedelta:
    for name in GRACE_VARIABLES:
        if stored := os.environ.get(name, ""):
            try:
                return timedelta(seconds=float(stored.removesuffix("s")))
            except (ValueError, OverflowError):
                raise UsageProblem(f"{name}={stored!r} is not a number of seconds") from None
    return GRACE
