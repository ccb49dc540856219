"""What a job costs: the usage and the prices that the ledger keeps, as `money.bill.bill` adds them up. The API is not called.

The usage of results that an older version downloaded is not in the ledger: they are read again from the disk, once.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from batchctl.domain.errors import BatchctlError, DiskProblem, LedgerProblem
from batchctl.domain.model import Batch, Job, State, Verified
from batchctl.domain.prices import ModelPrices, TotalCost, UsageTotals, dearest
from batchctl.engine.session import ReadSession
from batchctl.money.bill import Bill, Pricing, bill, price_day


def cost(
    session: ReadSession, job: Job, *, is_for_limit: bool = False, at: date | None = None, anew: bool = False
) -> Bill:
    """Return the bill of a job by the prices that were recorded with its results.

    Args:
        session: Where its ledger and the prices are.
        job: The job.
        is_for_limit: Whether to use the prices that a limit relies on.
        at: A day whose prices to use instead.
        anew: Whether to use what the price lists say now of the time of the job instead.

    Raises:
        BatchctlError: The prices cannot be read.
    """
    batches = session.ledger.batches(job)
    read_again = _read_usage_again(session, job, batches)
    batches = tuple(
        replace(b, usage_unread=read_again[b.id].usage_unread) if b.id in read_again else b for b in batches
    )
    usage_totals = {
        **session.ledger.usage_totals(job),
        **{batch_id: verified.usage_totals for batch_id, verified in read_again.items()},
    }
    if at is not None or anew:
        pricing: Pricing = lambda one, day: session.price_catalog.model_prices(one.model, at or day)  # noqa: E731 - as the two others
    else:
        pricing = _prices_for_limit(session) if is_for_limit else _recorded_prices(session)
    # Read after its batches: another process may have planned a round of which they are.
    return bill(session.ledger.job(job.name), batches, usage_totals, pricing, _count_forgotten(session, job))


def total(session: ReadSession, job: Job, batches: Sequence[Batch]) -> TotalCost | None:
    """Return what a job cost as the ledger has it.

    Never raises because of prices: they must not keep results from being written.
    """
    try:
        usage_totals, pricing = session.ledger.usage_totals(job), _recorded_prices(session)
        return bill(session.ledger.job(job.name), batches, usage_totals, pricing, _count_forgotten(session, job)).total
    except LedgerProblem:
        raise
    except BatchctlError as problem:
        why = problem.message
    except Exception as odd:  # noqa: BLE001 - a price list from outside
        why = f"{type(odd).__name__}: {odd}"
    return TotalCost(batch=Decimal(0), real_time=Decimal(0), unknown=(f"the prices cannot be read: {why}",))


def with_prices(session: ReadSession, job: Job, batch: Batch, verified: Verified) -> Verified:
    """Return what the answers of a batch used, with the prices of its day; without prices where they cannot be read."""
    day = price_day(session.ledger.job(job.name), batch)
    try:
        usage_totals = tuple(
            replace(one, model_prices=session.price_catalog.model_prices(one.model, day))
            for one in verified.usage_totals
        )
    except LedgerProblem:
        raise
    except Exception:  # noqa: BLE001 - a price list from outside must not keep results from being recorded
        return verified
    return replace(verified, usage_totals=usage_totals)


def _recorded_prices(session: ReadSession) -> Pricing:
    """Return the prices that were recorded, or else those of the price catalog."""
    return lambda one, day: one.model_prices or session.price_catalog.model_prices(one.model, day)


def _prices_for_limit(session: ReadSession) -> Pricing:
    """Return the prices that a limit relies on.

    A workspace, and what is recorded in it, may come from somebody else: recorded prices count only where they are higher.
    """

    def pricing(one: UsageTotals, day: date) -> ModelPrices | None:
        relied_on = session.price_catalog.prices_for_limit(one.model, day)
        return relied_on if relied_on is None or one.model_prices is None else dearest(relied_on, one.model_prices)

    return pricing


def _count_forgotten(session: ReadSession, job: Job) -> int:
    """Return how many batches of the job had an id and were sent again: they exist, and are paid for as far as they ran."""
    return len(session.ledger.possibly_paid_creates(job)) - len(session.ledger.presumed_not_created(job))


def _read_usage_again(session: ReadSession, job: Job, batches: Sequence[Batch]) -> dict[int, Verified]:
    """Return, by id, the batches whose usage the ledger does not have; without those whose results are gone or damaged."""
    old = [b for b in batches if b.state is State.FETCHED and b.usage_unread is None]
    read_again: dict[int, Verified] = {}
    if not old:
        return read_again
    from batchctl.engine.input_file import progress  # noqa: PLC0415 - reading results is rarely needed
    from batchctl.results.receive import verified_again  # noqa: PLC0415

    done, emit = 0, progress(session, "adding up", sum(b.results_bytes or 0 for b in old))
    for batch in old:
        with contextlib.suppress(DiskProblem):
            again = verified_again(batch, session.workspace.raw(job, batch))
            read_again[batch.id] = with_prices(session, job, batch, again)
        done += batch.results_bytes or 0
        emit(done)
    if read_again:
        from batchctl.ledger.ledger import SqlLedger  # noqa: PLC0415 - recording is rarely needed

        # Where the ledger cannot be written, the results are read again the next time.
        with contextlib.suppress(LedgerProblem), contextlib.closing(SqlLedger(session.workspace.ledger)) as ledger:
            for batch in old:
                if batch.id in read_again:
                    ledger.record_usage(batch, read_again[batch.id])
    return read_again
