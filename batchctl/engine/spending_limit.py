"""A person's limit, held before anything is sent: what a job did cost, may still cost, and what comes now, together."""

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
    """Given whom to ask for the length of some prompts, and how many calls that may take; None to ask nobody."""

    def __call__(self, message_batches: "MessageBatches | None", /, *, sample: int = ...) -> Estimate: ...


DEARER = "send less of it, lower its max_tokens, or raise the limit"
UNKNOWN = "--yes sends it all the same"
BY_BYTES = "this is from bytes alone: submit has the API count some prompts first, which may show that it is less"


@dataclass(frozen=True, slots=True)
class Budget:
    """`limit`: US dollars for all rounds of a job together, None for none. `yes`: what cannot be told is agreed to."""

    limit: Decimal | None = None
    yes: bool = False

    def of(self, job: Job) -> "Budget":
        """With the limit that was named for the job before, where none is named now."""
        return self if self.limit is not None else replace(self, limit=job.max_cost)

    def record(self, session: Session, job: Job) -> None:
        """The limit that is named now holds from here on, whoever goes on with the job, until another is named."""
        if self.limit is not None and self.limit != job.max_cost:
            session.ledger.record_limit(job, self.limit)

    def hold(
        self,
        amounts: Sequence[Decimal | None],
        why_unknown: str = "",
        hint: str = DEARER,
        if_unknown: str = UNKNOWN,
        so_far: str = "nothing was sent",
    ) -> None:
        """Raises Refused where the most that each of the amounts comes to may be more than the limit in all."""
        if self.limit is None:
            return
        found = budget_verdict(self.limit, *amounts)
        if found is BudgetVerdict.OVER:
            most = sum((amount for amount in amounts if amount is not None), Decimal(0))
            raise Refused(
                f"may cost up to {dollars(most)} in all, more than the limit of ${self.limit} (--max-cost); {so_far}",
                hint=hint,
            )
        if found is BudgetVerdict.UNKNOWN and not self.yes:
            raise Refused(
                f"what it may cost is not known, so the limit of ${self.limit} (--max-cost) cannot hold; nothing was sent{why_unknown}",
                hint=if_unknown,
            )

    def holds(self, amounts: Sequence[Decimal | None]) -> bool:
        return self.limit is None or budget_verdict(self.limit, *amounts) is BudgetVerdict.WITHIN

    def hold_estimate(self, session: Session, estimating: Estimator, job: Job | None = None) -> Estimate:
        """Return what a round may cost, on top of what `job` comes to before it. Raises as `hold` does.

        The API measures prompts only where that can change the answer.
        """
        before, found = self._before(session, job), estimating(None)
        if not self.holds([*before, *most_of_forecast(found.forecast)]):
            # A bound is lower by what is counted: of few requests, by each of them and by what they share.
            sample = 2 * found.requests if found.requests <= ALL_SAMPLED else DEFAULT_SAMPLE
            found = estimating(session.message_batches, sample=sample)
            self.hold([*before, *most_of_forecast(found.forecast)], _why_unknown(found, job))
        return found

    def rehearse(self, session: ReadSession, estimate: Estimate, job: Job | None = None) -> None:
        """The same for an estimate from bytes alone: nothing is to be sent."""
        amounts = [*self._before(session, job), *most_of_forecast(estimate.forecast)]
        counting = f"{BY_BYTES}, or has a bound; else {UNKNOWN}"
        self.hold(amounts, _why_unknown(estimate, job), hint=BY_BYTES, if_unknown=counting)

    def hold_rest(self, session: ReadSession, job: Job) -> None:
        """The same for a job that is continued: where nothing of it is left to send, it costs no more than it does."""
        if any(b.state in OPEN_STATES for b in session.ledger.batches(job)):
            self.hold(self._before(session, job), _why_unknown_before(job))

    def _before(self, session: ReadSession, job: Job | None) -> list[Decimal | None]:
        """What a job comes to so far; not worked out where nothing is held against it."""
        return [] if self.limit is None or job is None else most_by_round(session, job)


def _why_unknown(estimate: Estimate, job: Job | None) -> str:
    if estimate.unpriced:
        return f": no price is known for {', '.join(estimate.unpriced)}"
    if estimate.forecast and not estimate.forecast.is_bound:
        return f": {'; '.join(one for one in estimate.how if NO_BOUND in one)}"
    return _why_unknown_before(job)


def _why_unknown_before(job: Job | None) -> str:
    if job is None:
        return ""
    if twice := (*job.duplicate_batches, *job.paid_twice):
        return f": {', '.join(twice)} may be paid for, too, with requests that were sent a second time"
    return f": what {job.name} comes to so far has no bound"


NO_LIMIT = Budget()


LOST = "a create whose answer was lost may be paid for, too"
DEARER_THAN_ESTIMATED = "what came home was dearer than the estimate"


def check_limit_again(session: Session, job: Job, why: str) -> None:
    """In the middle of a round, once more is known of it than when it was agreed to: is it still within the job's limit?

    `why`: LOST before requests are sent again whose earlier create may have been paid for; DEARER_THAN_TOLD once results came
    home. Raises Refused, as `Budget.hold` does. A yes to what cannot be told was given when the round was agreed to.
    """
    if job.max_cost is None:
        return
    Budget(limit=job.max_cost, yes=True).hold(
        [amount for amount in most_by_round(session, job) if amount is not None],
        hint=f"{why}; raise the limit: batchctl submit {job.name} --max-cost USD",
        so_far="nothing more was sent",
    )


def most_by_round(session: ReadSession, job: Job) -> list[Decimal | None]:
    """The most that each round of a job comes to; None stands for what may come on top, and nobody knows how much.

    So for what was sent a second time: which requests those are is not known. A create that was presumed to have made nothing
    may be paid for, too, and so may a batch that the API did not know any more.
    """
    found = cost(session, job, is_for_limit=True)
    rounds = [
        most_of_round([one.billed for one in found.batches if one.batch.round == r.number], r.forecast)
        for r in found.job.rounds
    ]
    twice = (*found.job.duplicate_batches, *found.job.paid_twice)
    presumed = [_most_of_presumed(session, found.job, one) for one in session.ledger.possibly_paid_creates(found.job)]
    return [*(amount for amounts in (*rounds, *presumed) for amount in amounts), *(None for _ in twice)]


def _most_of_presumed(session: ReadSession, job: Job, one: PresumedNotCreated) -> tuple[Decimal | None, ...]:
    """From the bytes of its requests; as much as the whole round, where they are no longer there."""
    whole = next(r.forecast for r in job.rounds if r.number == one.round)
    try:
        path = request_file(session.workspace, job, one.round)
        own = estimate(session, group_ranges(path, [one]), path, job.settings).forecast
    except InputProblem:
        own = None
    return most_of_part(own, whole)
