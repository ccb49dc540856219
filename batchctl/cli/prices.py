"""`prices`: opens no ledger, and no way to the API."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from batchctl.cli.exit_status import DONE
from batchctl.cli.wiring import Common, book_of, run_with
from batchctl.clock import Clock, StopSign
from batchctl.render.screen import Screen
from batchctl.store.workspace import Workspace, cached_price_list, find_workspace
from batchctl.verbs.prices import PriceTools
from batchctl.verbs.prices import prices as look_up

URL_VARIABLE = "BATCHCTL_PRICES_URL"


def prices(common: Common, model: str | None, *, is_every: bool, refreshes: bool) -> NoReturn:
    def shown(tools: PriceTools, screen: Screen) -> int:
        screen.prices(look_up(tools, model, is_every=is_every, refreshes=refreshes), is_one=model is not None)
        return DONE

    run_with(common, shown, _opened)


@contextlib.contextmanager
def _opened(common: Common, clock: Clock, _screen: Screen, stop: StopSign) -> Iterator[PriceTools]:
    workspace = Workspace(find_workspace(common.workspace, Path.cwd()))
    workspace.refuse_links_out()
    yield PriceTools(
        workspace=workspace,
        cached=cached_price_list(os.environ),
        url=os.environ.get(URL_VARIABLE, ""),
        book=book_of(workspace, common.prices),
        clock=clock,
        stop=stop,
    )
