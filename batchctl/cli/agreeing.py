"""The price of what is about to be sent, agreed to: by a limit, by a yes, or by a person at a terminal."""

from batchctl.cli.wiring import ask
from batchctl.domain.model import Job
from batchctl.domain.prices import Forecast, dollars
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import Budget, Estimating
from batchctl.money.estimate import Estimate
from batchctl.render.writer import ReportWriter


def agreed(
    session: Session,
    writer: ReportWriter,
    budget: Budget,
    estimating: Estimating,
    wanted: str,
    job: Job | None = None,
    *,
    needs_yes: bool = False,
) -> Estimate:
    """What a new job may cost, or a round on top of what `job` comes to before it.

    `wanted`: what is to be done at that price. `needs_yes`: it says more than the price, and a limit is a word about the price
    alone. Raises Refused where nobody agrees to it.
    """
    if budget.limit is not None or budget.yes:
        found = budget.agreed(session, estimating, job)
        if needs_yes and not budget.yes:
            ask(writer, f"{wanted}?", "--yes")
        return found
    found = estimating(session.message_batches if writer.is_read_by_a_person else None)
    if writer.is_read_by_a_person:
        writer.show_price(found)
    ask(writer, f"{wanted} {_price(found.forecast)}?", "--yes, or a limit with --max-cost USD,")
    return found


def _price(of: Forecast | None) -> str:
    if of is None:
        return "at a price that is not known"
    if not of.is_bound:
        return f"for {dollars(of.low)} or more, without a known bound"
    return f"for {dollars(of.low)} to {dollars(of.high)}"
