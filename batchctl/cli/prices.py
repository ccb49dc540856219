"""`prices`: what models cost."""

from dataclasses import replace
from typing import TYPE_CHECKING

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options

if TYPE_CHECKING:
    from batchctl.render.writer import ReportWriter
    from batchctl.verbs.prices import PriceSession


@with_global_options("base_url", "insecure_http", "verbose")
def prices(
    options: GlobalOptions,
    model: o.PricedModel = None,
    every: o.EveryModel = False,
    refresh: o.RefreshPrices = False,
    prices_file: o.Prices = None,
) -> None:
    """Show what models cost: in real time, in a batch, and with a cache. It needs no key and no workspace.

    Examples:
        batchctl prices
        batchctl prices claude-haiku-4-5 --json
    """
    from batchctl.cli.exit_status import DONE
    from batchctl.cli.run_verb import run
    from batchctl.verbs.prices import open_price_session, rules_of
    from batchctl.verbs.prices import prices as verb

    def course(session: "PriceSession", writer: "ReportWriter") -> int:
        table = verb(session, model, is_every=every, refreshes=refresh)
        writer.write_prices(table, rules_of(model) if model else None)
        return DONE

    run(replace(options, prices=prices_file), course, open_price_session)
