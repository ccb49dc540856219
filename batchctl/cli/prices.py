"""`prices`: opens no ledger, and no way to the API."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from batchctl.cli.exit_status import DONE
from batchctl.cli.wiring import GlobalOptions, price_catalog_of, run_with
from batchctl.clock import Clock, StopSignal
from batchctl.render.writer import ReportWriter
from batchctl.store.workspace import Workspace, cached_price_list, find_workspace
from batchctl.verbs.prices import PriceSession
from batchctl.verbs.prices import prices as look_up

URL_VARIABLE = "BATCHCTL_PRICES_URL"


def prices(global_options: GlobalOptions, model: str | None, *, is_every: bool, refreshes: bool) -> NoReturn:
    def shown(session: PriceSession, writer: ReportWriter) -> int:
        writer.write_prices(look_up(session, model, is_every=is_every, refreshes=refreshes), is_one=model is not None)
        return DONE

    run_with(global_options, shown, _opened)


@contextlib.contextmanager
def _opened(
    global_options: GlobalOptions, clock: Clock, _writer: ReportWriter, stop: StopSignal
) -> Iterator[PriceSession]:
    workspace = Workspace(find_workspace(global_options.workspace, Path.cwd()))
    workspace.refuse_links_out()
    yield PriceSession(
        workspace=workspace,
        cached=cached_price_list(os.environ),
        url=os.environ.get(URL_VARIABLE, ""),
        price_catalog=price_catalog_of(workspace, global_options.prices),
        clock=clock,
        stop=stop,
    )
