"""Opens all that a command works with: the ledger to record in, a name to claim with, the way to the API."""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta

from batchctl.api.client import Transport
from batchctl.cli.wiring import Common, book_of, workspace_of
from batchctl.clock import Clock, StopSign
from batchctl.domain.errors import UsageProblem
from batchctl.engine.copies import PlaceGuard
from batchctl.engine.reconcile import GRACE
from batchctl.engine.server import Server
from batchctl.engine.session import Equipment
from batchctl.ledger.ledger import Ledger
from batchctl.ledger.owners import Owner
from batchctl.render.screen import Screen

GRACE_VARIABLE = "BATCHCTL_DOUBT_GRACE"


@contextlib.contextmanager
def opened(common: Common, clock: Clock, screen: Screen, stop: StopSign) -> Iterator[Equipment]:
    transport = Transport(
        common.base_url,
        is_stopped=stop.is_set,
        api_version=common.api_version,
        insecure_http=common.insecure_http,
    )
    workspace = workspace_of(common, clock)
    with contextlib.ExitStack() as stack:
        ledger = Ledger(workspace.ledger)
        stack.callback(ledger.close)
        # A command that only reads leaves no trace, so that it works in a folder that cannot be written.
        owner = stack.enter_context(Owner(workspace.owners)).name if common.takes_steps else ""
        stack.callback(transport.close)
        guard = PlaceGuard(ledger)
        yield Equipment(
            workspace=workspace,
            ledger=ledger,
            transport=transport,
            base_url=transport.base_url,
            server=Server(transport, clock, guard.salt),
            place_guard=guard,
            clock=clock,
            tell=screen.tell,
            owner=owner,
            stop=stop,
            book=book_of(workspace, common.prices),
            parallel=common.parallel,
            poll=common.poll,
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
