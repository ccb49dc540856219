"""A person's yes: to a price, to a warning, and to what cannot be undone.

A verb is given a `Confirm` and does not know how the question is asked. The price of what is about to be sent is agreed to in
one place, `confirm_price`.
"""

from dataclasses import dataclass
from typing import Protocol

from batchctl.domain.model import Job
from batchctl.domain.prices import Forecast, dollars
from batchctl.engine.session import Session
from batchctl.engine.spending_limit import Budget, Estimator
from batchctl.money.estimate import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question that only a yes answers.

    Attributes:
        text: The question itself, with its question mark.
        flags: The options that say yes beforehand, as they stand in a sentence.
        estimate: What the question is about, to be shown above it; None where there is nothing to show.
    """

    text: str
    flags: str = "--yes"
    estimate: Estimate | None = None


class Confirm(Protocol):
    """Asks a person, or answers for one who said yes beforehand."""

    @property
    def is_interactive(self) -> bool:
        """Whether a person is there to answer."""

    def __call__(self, question: Question) -> None:
        """Return once a person says yes. Raises Refused where they say no, and where nobody is there."""

    def note(self, text: str) -> None:
        """Show what a person who said yes beforehand is to know."""


def confirm_price(
    session: Session,
    budget: Budget,
    estimating: Estimator,
    action: str,
    confirm: Confirm | None,
    job: Job | None = None,
    *,
    needs_yes: bool = False,
) -> Estimate:
    """Return what sending may cost, once a limit, a yes or a person agrees to it.

    Args:
        session: The session of the verb.
        budget: The limit and the yes that were given beforehand.
        estimating: Makes the estimate.
        action: What is to be done at that price, as it stands in the question.
        confirm: Asks a person; None for what goes by itself, which the limit alone decides.
        job: The job whose next round this is; None for a new job. A limit holds what it comes to so far, too.
        needs_yes: Whether more than the price is to be agreed to: a limit says yes to the price alone. So it is where the API
            refuses to count a request.

    Raises:
        Refused: Nobody agrees to it, or it may cost more than the limit.
    """
    if confirm is None or budget.limit is not None or budget.yes:
        estimate = budget.estimate_within(session, estimating, job)
        if confirm is not None and (needs_yes or estimate.refusals) and not budget.yes:
            confirm(Question(text=f"{action}{_refused(estimate)}?"))
        return estimate
    estimate = estimating(session.message_batches if confirm.is_interactive else None)
    text = f"{action}{_refused(estimate)} {_price(estimate.forecast)}?"
    confirm(Question(text=text, flags="--yes or --max-cost USD", estimate=estimate))
    return estimate


def _refused(estimate: Estimate) -> str:
    requests = sum(kind.lines for kind in estimate.refusals)
    return f" (the API refuses {requests:,} of them)" if requests else ""


def _price(forecast: Forecast | None) -> str:
    if forecast is None:
        return "at an unknown price"
    if not forecast.is_bound:
        return f"for at least {dollars(forecast.low)}, without an upper bound"
    return f"for {dollars(forecast.low)} to {dollars(forecast.high)}"
