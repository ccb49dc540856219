"""A person's limit, enforced before anything is sent.

It bounds the sum of what a job cost, what it may still cost, and what is sent now. `money.budget` has the comparisons.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from batchctl.domain.errors import InputProblem, Refused
from batchctl.domain.groups import ALL_SAMPLED
from batchctl.domain.limits import DEFAULT_SAMPLE
from batchctl.domain.model import Job, PresumedNotCreated
from batchctl.domain.prices import dollars
from batchctl.domain.states import OPEN_STATES
from batchctl.engine.estimate_requests import estimate
from batchctl.engine.job_cost import cost
from batchctl.engine.session import ReadSession, Session
from batchctl.money.budget import BudgetVerdict, budget_verdict, most_of_forecast, most_of_part, most_of_round
from batchctl.money.estimate import NO_BOUND, Estimate
from batchctl.requests.grouping import group_ranges
from batchctl.requests.request_file import request_file

if TYPE_CHECKING:
    from batchctl.api.protocol import MessageBatches


class Estimator(Protocol):
    """A function that estimates what is to be sent."""

    def __call__(self, message_batches: "MessageBatches | None", /, *, sample: int = ...) -> Estimate:
        """Return the estimate. `message_batches` counts tokens in at most `sample` calls; None to use bytes alone."""
        ...


DEARER = "send fewer requests, lower max_tokens, or raise the limit"
UNKNOWN = "to send it anyway, pass --yes"
BY_BYTES = "this is a bound from bytes only: submit lets the API count some prompts first, which may lower it"


@dataclass(frozen=True, slots=True)
class Budget:
    """What a person agreed to pay.

    Attributes:
        limit: US dollars for all rounds of a job together; None for no limit.
        yes: Whether a cost that is not known was agreed to.
    """

    limit: Decimal | None = None
    yes: bool = False

    def of(self, job: Job) -> "Budget":
        """Return the budget with the limit that the job has, where it names none itself."""
        return self if self.limit is not None else replace(self, limit=job.max_cost)

    def record(self, session: Session, job: Job) -> None:
        """Record the limit with the job, for every later command, until another limit is named."""
        if self.limit is not None and self.limit != job.max_cost:
            session.ledger.record_limit(job, self.limit)

    def enforce(
        self,
        amounts: Sequence[Decimal | None],
        why_unknown: str = "",
        hint: str = DEARER,
        if_unknown: str = UNKNOWN,
        so_far: str = "nothing was sent",
    ) -> None:
        """Raise Refused where the sum of the amounts may be more than the limit. None stands for an amount that is not known.

        Args:
            amounts: The most that each part may cost.
            why_unknown: Ends the message where the sum is not known.
            hint: What to do where the sum is more than the limit.
            if_unknown: What to do where the sum is not known.
            so_far: Ends the message where the sum is more than the limit: what was done so far.
        """
        if self.limit is None:
            return
        verdict = budget_verdict(self.limit, *amounts)
        if verdict is BudgetVerdict.OVER:
            most = sum((amount for amount in amounts if amount is not None), Decimal(0))
            raise Refused(
                f"the cost may reach {dollars(most)}, more than the limit of ${self.limit:f} (--max-cost); {so_far}",
                hint=hint,
            )
        if verdict is BudgetVerdict.UNKNOWN and not self.yes:
            raise Refused(
                f"the cost cannot be bounded, so that the limit of ${self.limit:f} (--max-cost) cannot be enforced; nothing was sent{why_unknown}",
                hint=if_unknown,
            )

    def is_within(self, amounts: Sequence[Decimal | None]) -> bool:
        """Return whether the sum of the amounts is known to be within the limit."""
        return self.limit is None or budget_verdict(self.limit, *amounts) is BudgetVerdict.WITHIN

    def estimate_within(self, session: Session, estimating: Estimator, job: Job | None = None) -> Estimate:
        """Return what a round may cost. Raises as `enforce` does, with what `job` comes to before the round.

        The API counts tokens of prompts only where that can change the answer.
        """
        before, estimate = self._before(session, job), estimating(None)
        if not self.is_within([*before, *most_of_forecast(estimate.forecast)]):
            # Counting lowers the bound. Of few requests, each is counted, and what they share.
            sample = 2 * estimate.requests if estimate.requests <= ALL_SAMPLED else DEFAULT_SAMPLE
            estimate = estimating(session.message_batches, sample=sample)
            self.enforce([*before, *most_of_forecast(estimate.forecast)], _why_unknown(estimate, job))
        return estimate

    def rehearse(self, session: ReadSession, estimate: Estimate, job: Job | None = None) -> None:
        """Raise as `enforce` does for a round that is not sent now, whose estimate is from bytes alone."""
        amounts = [*self._before(session, job), *most_of_forecast(estimate.forecast)]
        counting = f"{BY_BYTES}; {UNKNOWN}"
        self.enforce(amounts, _why_unknown(estimate, job), hint=BY_BYTES, if_unknown=counting)

    def enforce_rest(self, session: ReadSession, job: Job) -> None:
        """Raise as `enforce` does for a job that is continued. Where nothing of it is left to send, it costs no more."""
        if any(b.state in OPEN_STATES for b in session.ledger.batches(job)):
            self.enforce(self._before(session, job), _why_unknown_before(job))

    def _before(self, session: ReadSession, job: Job | None) -> list[Decimal | None]:
        """Return the most that a job comes to so far; nothing where there is no limit to compare it with."""
        return [] if self.limit is None or job is None else most_by_round(session, job)


def _why_unknown(estimate: Estimate, job: Job | None) -> str:
    if estimate.unpriced:
        return f": no price is known for {', '.join(estimate.unpriced)}"
    if estimate.forecast and not estimate.forecast.is_bound:
        return f": {'; '.join(part for part in estimate.how if NO_BOUND in part)}"
    return _why_unknown_before(job)


def _why_unknown_before(job: Job | None) -> str:
    if job is None:
        return ""
    if twice := (*job.duplicate_batches, *job.paid_twice):
        return f": {', '.join(twice)} may be charged as well, for requests that were sent twice"
    return f": the cost of {job.name} so far has no bound"


NO_LIMIT = Budget()

# Why a limit is checked again.
LOST = "a create request whose answer was lost may be charged as well"
DEARER_THAN_ESTIMATED = "the results cost more than the estimate"


def check_limit_again(session: Session, job: Job, why: str) -> None:
    """Raise Refused where a job is over its limit by what is known in the middle of a round.

    Unknown costs do not raise here: they were confirmed when the round was planned.

    Args:
        session: Where the ledger is.
        job: The job, with its limit.
        why: LOST before requests are sent again whose earlier create may have been paid for; DEARER_THAN_ESTIMATED once results
            were fetched.
    """
    if job.max_cost is None:
        return
    Budget(limit=job.max_cost, yes=True).enforce(
        [amount for amount in most_by_round(session, job) if amount is not None],
        hint=f"{why}; raise the limit: batchctl submit {job.name} --max-cost USD",
        so_far="nothing more was sent",
    )


def most_by_round(session: ReadSession, job: Job) -> list[Decimal | None]:
    """Return upper bounds of the cost of each round of a job. Each None is a further cost without a known bound.

    There is a None for each duplicate batch: which requests it holds is not known. A create that was presumed to have made nothing
    may be paid for, too, and so may a batch that the API no longer knew.
    """
    bill = cost(session, job, is_for_limit=True)
    rounds = [
        most_of_round([batch.billed for batch in bill.batches if batch.batch.round == r.number], r.forecast)
        for r in bill.job.rounds
    ]
    twice = (*bill.job.duplicate_batches, *bill.job.paid_twice)
    presumed = [_most_of_presumed(session, bill.job, one) for one in session.ledger.possibly_paid_creates(bill.job)]
    return [*(amount for amounts in (*rounds, *presumed) for amount in amounts), *(None for _ in twice)]


def _most_of_presumed(session: ReadSession, job: Job, presumed: PresumedNotCreated) -> tuple[Decimal | None, ...]:
    """Return the most that a create may have cost, by the bytes of its requests; that of its round where they are gone."""
    whole = next(r.forecast for r in job.rounds if r.number == presumed.round)
    try:
        path = request_file(session.workspace, job, presumed.round)
        own = estimate(session, group_ranges(path, [presumed]), path, job.settings).forecast
    except InputProblem:
        own = None
    return most_of_part(own, whole)
