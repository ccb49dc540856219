"""`cost [JOB]`: what was paid for its answers, from the ledger; nobody is asked, and no step is taken.

Results that an older version downloaded were not summed up: they are read again from the disk, once.
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
    """By the prices of its time, as they were recorded. `is_for_limit`: by those that a limit rests on. `at`: by those of
    another day. `anew`: by what the lists say now of its time. Raises BatchctlError where the prices cannot be read.
    """
    batches = session.ledger.batches(job)
    found = _summed_up(session, job, batches)
    batches = tuple(replace(b, usage_unread=found[b.id].usage_unread) if b.id in found else b for b in batches)
    usage_totals = {
        **session.ledger.usage_totals(job),
        **{batch_id: verified.usage_totals for batch_id, verified in found.items()},
    }
    if at is not None or anew:
        pricing: Pricing = lambda one, day: session.price_catalog.model_prices(one.model, at or day)  # noqa: E731 - as the two others
    else:
        pricing = _for_limit(session) if is_for_limit else _of_its_time(session)
    return bill(_as_it_is_now(session, job), batches, usage_totals, pricing, _forgotten(session, job))


def total(session: ReadSession, job: Job, batches: Sequence[Batch]) -> TotalCost | None:
    """As the ledger has it. Never raises for the prices: nothing that was paid for is kept back because of them."""
    try:
        usage_totals, pricing = session.ledger.usage_totals(job), _of_its_time(session)
        return bill(_as_it_is_now(session, job), batches, usage_totals, pricing, _forgotten(session, job)).total
    except LedgerProblem:
        raise
    except BatchctlError as problem:
        why = problem.message
    except Exception as odd:  # noqa: BLE001 - a price list from outside
        why = f"{type(odd).__name__}: {odd}"
    return TotalCost(batch=Decimal(0), real_time=Decimal(0), unknown=(f"the prices cannot be read: {why}",))


def with_prices(session: ReadSession, job: Job, batch: Batch, verified: Verified) -> Verified:
    """What its answers used, with the prices of that day as they are known now; without any where they cannot be read."""
    day = price_day(_as_it_is_now(session, job), batch)
    try:
        usage_totals = tuple(
            replace(one, model_prices=session.price_catalog.model_prices(one.model, day))
            for one in verified.usage_totals
        )
    except LedgerProblem:
        raise
    except Exception:  # noqa: BLE001 - a price list from outside: nothing that was paid for is kept back because of it
        return verified
    return replace(verified, usage_totals=usage_totals)


def _of_its_time(session: ReadSession) -> Pricing:
    """As it was recorded, whatever the lists say by now."""
    return lambda one, day: one.model_prices or session.price_catalog.model_prices(one.model, day)


def _for_limit(session: ReadSession) -> Pricing:
    """What lies in a workspace may have come with it from somebody else: recorded prices count where they are dearer."""

    def pricing(one: UsageTotals, day: date) -> ModelPrices | None:
        relied_on = session.price_catalog.prices_for_limit(one.model, day)
        return relied_on if relied_on is None or one.model_prices is None else dearest(relied_on, one.model_prices)

    return pricing


def _forgotten(session: ReadSession, job: Job) -> int:
    """Batches that had a name when they were given up: they were made, and are paid for as far as they ran."""
    return len(session.ledger.possibly_paid_creates(job)) - len(session.ledger.presumed_not_created(job))


def _as_it_is_now(session: ReadSession, job: Job) -> Job:
    """With all the rounds that its batches, read before, are of: another process may have planned one meanwhile."""
    return session.ledger.job(job.name)


def _summed_up(session: ReadSession, job: Job, batches: Sequence[Batch]) -> dict[int, Verified]:
    """By their ids, the batches that were not summed up when they were downloaded; without those that are gone or damaged."""
    old = [b for b in batches if b.state is State.FETCHED and b.usage_unread is None]
    found: dict[int, Verified] = {}
    if not old:
        return found
    from batchctl.engine.input_file import progress  # noqa: PLC0415 - to read results, which is rarely due
    from batchctl.results.receive import verified_again  # noqa: PLC0415

    done, emit = 0, progress(session, "summing up", sum(b.results_bytes or 0 for b in old))
    for batch in old:
        with contextlib.suppress(DiskProblem):
            again = verified_again(batch, session.workspace.raw(job, batch))
            found[batch.id] = with_prices(session, job, batch, again)
        done += batch.results_bytes or 0
        emit(done)
    if found:
        _record(session, [(batch, found[batch.id]) for batch in old if batch.id in found])
    return found


def _record(session: ReadSession, summed_up: Sequence[tuple[Batch, Verified]]) -> None:
    from batchctl.ledger.ledger import SqlLedger  # noqa: PLC0415 - records, for what is done once

    # Where the ledger may not be written, they are read again the next time.
    with contextlib.suppress(LedgerProblem), contextlib.closing(SqlLedger(session.workspace.ledger)) as ledger:
        for batch, verified in summed_up:
            ledger.record_usage(batch, verified)
