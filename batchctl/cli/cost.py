"""`cost`: what a job cost so far."""

from dataclasses import replace
from typing import TYPE_CHECKING

from batchctl.cli import options as o
from batchctl.cli.global_options import GlobalOptions, with_global_options

if TYPE_CHECKING:
    from batchctl.engine.session import ReadSession
    from batchctl.render.writer import ReportWriter


@with_global_options("base_url", "insecure_http")
def cost(
    options: GlobalOptions,
    job: o.JobWord = None,
    batches: o.Batches = False,
    format_: o.Format = "",
    at: o.At = None,
    prices_file: o.Prices = None,
) -> None:
    """Show what the results of a job have cost: by model, round and batch, and compared with real time.

    It reads local records only; it needs no network.

    Examples:
        batchctl cost
        batchctl cost @last --batches
        batchctl cost @last --at today
    """
    from datetime import date

    from batchctl.cli.exit_status import DONE
    from batchctl.cli.run_verb import run
    from batchctl.verbs.cost import cost as verb
    from batchctl.verbs.open_read_session import open_read_session

    wide = batches or o.is_wide(format_)

    def course(session: "ReadSession", writer: "ReportWriter") -> int:
        day = None if at is None else session.now().date() if at == o.TODAY else date.fromisoformat(at)
        bill, next_command = verb(session, job, at=day, anew=prices_file is not None)
        writer.write_bill(bill, next_command, wide=wide)
        return DONE

    run(replace(options, prices=prices_file), course, open_read_session)
