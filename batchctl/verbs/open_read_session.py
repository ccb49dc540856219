"""Opens a session that only reads: the workspace, the ledger to be asked, and the prices. The API is not asked."""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from batchctl.clock import Clock, StopSignal
from batchctl.engine.session import ReadSession
from batchctl.ledger.opening import for_reading
from batchctl.ledger.reading import SqlReadLedger
from batchctl.money.catalog import PriceCatalog
from batchctl.store.workspace import Workspace, cached_price_list, find_workspace, user_prices
from batchctl.verbs.session_options import SessionOptions

if TYPE_CHECKING:
    from batchctl.domain.events import Emit

LEFTOVERS_AFTER = timedelta(days=2)
PRICES_VARIABLE = "BATCHCTL_PRICES"


@contextlib.contextmanager
def open_read_session(
    options: SessionOptions, clock: Clock, emit: "Emit", stop: StopSignal, *, needs_ledger: bool = True
) -> Iterator[ReadSession]:
    """Open a session for a verb that only reads.

    Args:
        options: Where the workspace and the API are.
        clock: The clock of the process.
        emit: Receives the events of the verb, from any thread.
        stop: Ends every wait once it is set.
        needs_ledger: False for a verb that asks the ledger nothing: the ledger of a new workspace is not made then. One
            that a newer program wrote is refused all the same.
    """
    workspace = workspace_of(options, clock)
    with contextlib.closing((for_reading if needs_ledger else SqlReadLedger)(workspace.ledger)) as ledger:
        yield ReadSession(
            workspace=workspace,
            ledger=ledger,
            clock=clock,
            emit=emit,
            stop=stop,
            price_catalog=price_catalog_of(workspace, options.prices),
            base_url=options.base_url or os.environ.get("ANTHROPIC_BASE_URL") or "",
            engine=options.engine,
        )


def workspace_of(options: SessionOptions, clock: Clock) -> Workspace:
    """Return the workspace, which is made where the options say so. Raises UsageProblem where there is none."""
    workspace = Workspace(find_workspace(options.workspace, Path.cwd()))
    workspace.refuse_links_out()
    if options.makes_workspace:
        workspace.make()
        workspace.sweep((clock.now() - LEFTOVERS_AFTER).timestamp())
    else:
        workspace.need()
    return workspace


def price_catalog_of(workspace: Workspace, named: Path | None = None) -> PriceCatalog:
    """Return the prices that hold in a workspace, which need not exist.

    A workspace may have come from somebody else, with the prices in it: a limit relies on those only where they are dearer.

    Args:
        workspace: May hold private prices and a price list.
        named: The file of private prices that `--prices` names.
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
