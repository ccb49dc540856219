"""Opens all that a command works with: the ledger to record in, a name to claim with, the way to the API."""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

from batchctl.api.client import SdkMessageBatches
from batchctl.cli.wiring import GlobalOptions, price_catalog_of, workspace_of
from batchctl.clock import Clock, StopSignal
from batchctl.domain.errors import UsageProblem
from batchctl.engine.place_guard import PlaceGuard
from batchctl.engine.reconcile import GRACE
from batchctl.engine.server import Server
from batchctl.engine.session import Session
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.liveness import Owner
from batchctl.render.writer import ReportWriter

GRACE_VARIABLE = "BATCHCTL_DOUBT_GRACE"


@contextlib.contextmanager
def opened(global_options: GlobalOptions, clock: Clock, writer: ReportWriter, stop: StopSignal) -> Iterator[Session]:
    message_batches = SdkMessageBatches(
        global_options.base_url,
        is_stopped=stop.is_set,
        api_version=global_options.api_version,
        insecure_http=global_options.insecure_http,
    )
    workspace = workspace_of(global_options, clock)
    with contextlib.ExitStack() as stack:
        ledger = SqlLedger(workspace.ledger)
        stack.callback(ledger.close)
        # A command that only reads leaves no trace, so that it works in a folder that cannot be written.
        owner = stack.enter_context(Owner(workspace.owners)).name if global_options.takes_steps else ""
        stack.callback(message_batches.close)
        guard = PlaceGuard(ledger)
        yield Session(
            workspace=workspace,
            ledger=ledger,
            message_batches=message_batches,
            base_url=message_batches.base_url,
            server=Server(message_batches, clock, guard.salt),
            place_guard=guard,
            clock=clock,
            emit=writer.emit,
            owner=owner,
            stop=stop,
            price_catalog=price_catalog_of(workspace, global_options.prices),
            parallel=global_options.parallel,
            poll_seconds=global_options.poll_seconds,
            grace=_grace(),
        )


def _grace() -> timedelta:
    stored = os.environ.get(GRACE_VARIABLE, "")
    if not stored:
        return GRACE
    try:
        return timedelta(seconds=float(stored.removesuffix("s")))
    except (ValueError, OverflowError):
        raise UsageProblem(f"{GRACE_VARIABLE}={stored!r} is not a number of seconds") from None
