"""A primed cache, asked about: how long it lives, how much was read from it, and what it costs to go on without."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from batchctl.domain.errors import Refused
from batchctl.domain.events import CacheMeasured
from batchctl.domain.groups import RequestGroup
from batchctl.domain.model import Batch, Job, Purpose, State
from batchctl.domain.prices import dollars
from batchctl.domain.wording import plural
from batchctl.engine.first_batch_rules import first_batches
from batchctl.engine.job_cost import cost
from batchctl.engine.poll import ask_until_answered
from batchctl.engine.prime_rules import PrimeStep, hit_rate, is_worth_priming, prime_step, time_left
from batchctl.engine.session import Session
from batchctl.engine.tried_requests import of_purpose


def is_primed(job: Job, group: RequestGroup) -> bool:
    """Return whether the prompt that a group shares is written to a cache first."""
    return job.settings.prime_min_hit is not None and is_worth_priming(group)


def step_of_primed(
    session: Session, job: Job, batches: Sequence[Batch], rest: int, left: timedelta | None
) -> PrimeStep:
    """Return what follows for `rest` requests that are to read from the cache, which lives for `left`."""
    if job.settings.prime_min_hit is None:
        return PrimeStep.GO
    measured = of_purpose(job, batches, Purpose.MEASURE)
    hit = _hit_rate(session, job, measured)
    if measured and rest:
        session.emit(CacheMeasured(job, hit))
    return prime_step(
        min_hit=job.settings.prime_min_hit,
        first_batches=first_batches(job),
        is_measured=bool(measured),
        hit=hit,
        left=left,
        rest=rest,
    )


def cache_left(session: Session, job: Job, batches: Sequence[Batch]) -> timedelta | None:
    """Return how long the cache lives that the newest batch wrote or read, by the API's clock; None where that is not known."""
    created = [b.created_at for b in batches if b.state is State.FETCHED and b.created_at is not None]
    if not job.settings.prime_min_hit or not created:
        # Nobody asks for it where the rest is sent whatever is read.
        return None
    return time_left(max(created), ask_until_answered(session, session.server.now))


def held_late(job: Job, rest: int, left: timedelta | None) -> Refused:
    """Return the refusal to send requests that would come too late for what was cached."""
    minutes = max(0, int((left or timedelta()).total_seconds()) // 60)
    requests = plural(rest, "request")
    return _held(
        job,
        f"what {job.name} cached expires in {plural(minutes, 'minute')}; {requests} might not read it in time, and are held",
    )


def held_unread(session: Session, job: Job, batches: Sequence[Batch], rest: int) -> Refused:
    """Return the refusal to send requests that would not read enough from the cache, with what they would cost."""
    measured = of_purpose(job, batches, Purpose.MEASURE)
    hit = _hit_rate(session, job, measured)
    ids, answered = {b.id for b in measured}, sum(b.counts.succeeded for b in measured)
    amounts = [billed.billed for billed in cost(session, job).batches if billed.batch.id in ids]
    known = [amount for amount in amounts if amount is not None]
    price = ""
    if answered and len(known) == len(amounts):
        price = f"; at the cost of those they would cost about {dollars(sum(known, Decimal(0)) / answered * rest)}"
    read = "nothing was cached" if hit is None else f"{hit:.0f} % of the shared prompts were read from the cache"
    return _held(
        job,
        f"of the first {plural(answered, 'request')} of {job.name} {read}, less than the {job.settings.prime_min_hit} % of"
        f" --prime-min-hit; {plural(rest, 'request is', 'requests are')} held{price}",
    )


def _held(job: Job, why: str) -> Refused:
    return Refused(why, hint=f"send them all the same: batchctl submit {job.name} --prime-min-hit 0")


def _hit_rate(session: Session, job: Job, measured: Sequence[Batch]) -> Decimal | None:
    totals = session.ledger.usage_totals(job)
    return hit_rate([one for batch in measured for one in totals.get(batch.id, ())])
