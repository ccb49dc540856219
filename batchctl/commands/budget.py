"""A person's limit, held before anything is sent: what a job did cost, may still cost, and what comes now, together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from batchctl.commands.equipment import Equipment
from batchctl.domain.budget import Standing, most_of_round, standing
from batchctl.domain.errors import Refused
from batchctl.domain.estimating import Estimate
from batchctl.domain.model import Job, State
from batchctl.domain.money import dollars
from batchctl.domain.spending import BatchBill, bill, whole
from batchctl.domain.states import OPEN

if TYPE_CHECKING:
    from batchctl.transport.client import Transport

# Given whom to ask for the length of some prompts; None to ask nobody.
Estimating = Callable[["Transport | None"], Estimate]

DEARER = "send less of it, lower its max_tokens, or raise the limit"
BY_BYTES = "this is from bytes alone: submit has the API count some prompts first, which may show that it is less"


@dataclass(frozen=True, slots=True)
class Budget:
    """`limit`: US dollars for all rounds of a job together, None for none. `yes`: what cannot be told is agreed to."""

    limit: Decimal | None = None
    yes: bool = False

    def of(self, job: Job) -> "Budget":
        """With the limit that was named for the job before, where none is named now."""
        return self if self.limit is not None else replace(self, limit=job.max_cost)

    def record(self, tools: Equipment, job: Job) -> None:
        """The limit that is named now holds from here on, whoever goes on with the job, until another is named."""
        if self.limit is not None and self.limit != job.max_cost:
            tools.ledger.record_limit(job, self.limit)

    def hold(self, amounts: Sequence[Decimal | None], why_unknown: str = "", hint: str = DEARER) -> None:
        """Raises Refused where the most that each of the amounts comes to may be more than the limit in all."""
        if self.limit is None:
            return
        found = standing(self.limit, *amounts)
        if found is Standing.OVER:
            most = sum((amount for amount in amounts if amount is not None), Decimal(0))
            raise Refused(
                f"may cost up to {dollars(most)} in all, more than --max-cost {self.limit}; nothing was sent",
                hint=hint,
            )
        if found is Standing.UNKNOWN and not self.yes:
            raise Refused(
                f"what it may cost is not known, so --max-cost cannot hold; nothing was sent{why_unknown}",
                hint="--yes sends it all the same",
            )

    def holds(self, amounts: Sequence[Decimal | None]) -> bool:
        return self.limit is None or standing(self.limit, *amounts) is Standing.WITHIN

    def agreed(self, tools: Equipment, estimating: Estimating, job: Job | None = None) -> Estimate:
        """What a round may cost, on top of what `job` comes to before it. Raises as `hold` does.

        Prompts are measured only where that can change the answer: nobody reads it otherwise.
        """
        before = [] if job is None else most_of(tools, job)
        found = estimating(None)
        if not self.holds([*before, _most(found)]):
            found = estimating(tools.transport)
            self.hold([*before, _most(found)], _why_unknown(found) or _why_unknown_before(job))
        return found

    def hold_estimate(self, estimate: Estimate) -> None:
        """The same for what was estimated without asking anybody."""
        self.hold([_most(estimate)], _why_unknown(estimate), hint=BY_BYTES)

    def hold_rest(self, tools: Equipment, job: Job) -> None:
        """The same for a job that is continued: where nothing of it is left to send, it costs no more than it does."""
        if any(b.state in OPEN for b in tools.ledger.batches(job)):
            self.hold(most_of(tools, job), _why_unknown_before(job))


def _most(estimate: Estimate) -> Decimal | None:
    return estimate.forecast.high if estimate.forecast and estimate.forecast.is_bound else None


def _why_unknown(estimate: Estimate) -> str:
    if estimate.unpriced:
        return f": no price is known for {', '.join(estimate.unpriced)}"
    if estimate.forecast and not estimate.forecast.is_bound:
        return ": what the API does by itself (tools, compacting), or documents that lie elsewhere, has no bound"
    return ""


def _why_unknown_before(job: Job | None) -> str:
    if job is None:
        return ""
    if job.surplus:
        return f": {', '.join(job.surplus)} may be paid for, too, with requests that were sent a second time"
    return f": what {job.name} comes to so far has no bound"


NO_LIMIT = Budget()


def most_of(tools: Equipment, job: Job) -> list[Decimal | None]:
    """The most that each round of a job comes to, and what was sent a second time: which requests those are is not known."""
    found = bill(job, tools.ledger.batches(job), tools.ledger.spent(job), tools.book.sheet)
    rounds = [
        most_of_round([_billed(one) for one in found.batches if one.batch.round == r.number], r.forecast)
        for r in job.rounds
    ]
    return [*rounds, *(None for _ in job.surplus)]


def _billed(one: BatchBill) -> Decimal | None:
    """What its successes cost; nothing where it was refused as a whole. None where that is not all known."""
    if one.batch.state is State.REFUSED:
        return Decimal(0)
    cost = whole(one.models)
    return cost.batch if one.unread == 0 and cost.is_known else None
