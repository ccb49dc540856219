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
from batchctl.domain.prices import Sheet, Spent, Total, dearest
from batchctl.engine.session import LightEquipment
from batchctl.money.bill import Bill, Pricing, bill, price_day


def cost(
    tools: LightEquipment, job: Job, *, is_for_limit: bool = False, at: date | None = None, anew: bool = False
) -> Bill:
    """By the prices of its time, as they were recorded. `is_for_limit`: by those that a limit rests on. `at`: by those of
    another day. `anew`: by what the lists say now of its time. Raises BatchctlError where the prices cannot be read.
    """
    batches = tools.ledger.batches(job)
    found = _summed_up(tools, job, batches)
    batches = tuple(replace(b, usage_unread=found[b.id].usage_unread) if b.id in found else b for b in batches)
    spent = {**tools.ledger.spent(job), **{batch_id: verified.spent for batch_id, verified in found.items()}}
    if at is not None or anew:
        pricing: Pricing = lambda one, day: tools.book.sheet(one.model, at or day)  # noqa: E731 - as the two others
    else:
        pricing = _for_limit(tools) if is_for_limit else _of_its_time(tools)
    return bill(_as_it_is_now(tools, job), batches, spent, pricing, _forgotten(tools, job))


def total(tools: LightEquipment, job: Job, batches: Sequence[Batch]) -> Total | None:
    """As the ledger has it. Never raises for the prices: nothing that was paid for is kept back because of them."""
    try:
        spent, pricing = tools.ledger.spent(job), _of_its_time(tools)
        return bill(_as_it_is_now(tools, job), batches, spent, pricing, _forgotten(tools, job)).total
    except LedgerProblem:
        raise
    except BatchctlError as problem:
        why = problem.message
    except Exception as odd:  # noqa: BLE001 - a price list from outside
        why = f"{type(odd).__name__}: {odd}"
    return Total(batch=Decimal(0), real_time=Decimal(0), unknown=(f"the prices cannot be read: {why}",))


def with_prices(tools: LightEquipment, job: Job, batch: Batch, verified: Verified) -> Verified:
    """What its answers used, with the prices of that day as they are known now; without any where they cannot be read."""
    day = price_day(_as_it_is_now(tools, job), batch)
    try:
        spent = tuple(replace(one, sheet=tools.book.sheet(one.model, day)) for one in verified.spent)
    except LedgerProblem:
        raise
    except Exception:  # noqa: BLE001 - a price list from outside: nothing that was paid for is kept back because of it
        return verified
    return replace(verified, spent=spent)


def _of_its_time(tools: LightEquipment) -> Pricing:
    """As it was recorded, whatever the lists say by now."""
    return lambda one, day: one.sheet or tools.book.sheet(one.model, day)


def _for_limit(tools: LightEquipment) -> Pricing:
    """What lies in a workspace may have come with it from somebody else: recorded prices count where they are dearer."""

    def pricing(one: Spent, day: date) -> Sheet | None:
        relied_on = tools.book.sheet_for_limit(one.model, day)
        return relied_on if relied_on is None or one.sheet is None else dearest(relied_on, one.sheet)

    return pricing


def _forgotten(tools: LightEquipment, job: Job) -> int:
    """Batches that had a name when they were given up: they were made, and are paid for as far as they ran."""
    return len(tools.ledger.given_up(job)) - len(tools.ledger.presumed(job))


def _as_it_is_now(tools: LightEquipment, job: Job) -> Job:
    """With all the rounds that its batches, read before, are of: another process may have planned one meanwhile."""
    return tools.ledger.job(job.name)


def _summed_up(tools: LightEquipment, job: Job, batches: Sequence[Batch]) -> dict[int, Verified]:
    """By their ids, the batches that were not summed up when they were downloaded; without those that are gone or damaged."""
    old = [b for b in batches if b.state is State.FETCHED and b.usage_unread is None]
    found: dict[int, Verified] = {}
    if not old:
        return found
    from batchctl.engine.reading import progress  # noqa: PLC0415 - to read results, which is rarely due
    from batchctl.results.receive import verified_again  # noqa: PLC0415

    done, tell = 0, progress(tools, "summing up", sum(b.results_bytes or 0 for b in old))
    for batch in old:
        with contextlib.suppress(DiskProblem):
            again = verified_again(batch, tools.workspace.raw(job, batch))
            found[batch.id] = with_prices(tools, job, batch, again)
        done += batch.results_bytes or 0
        tell(done)
    if found:
        _record(tools, [(batch, found[batch.id]) for batch in old if batch.id in found])
    return found


def _record(tools: LightEquipment, summed_up: Sequence[tuple[Batch, Verified]]) -> None:
    from batchctl.ledger.ledger import Ledger  # noqa: PLC0415 - half a second of import, for what is done once

    # Where the ledger may not be written, they are read again the next time.
    with contextlib.suppress(LedgerProblem), contextlib.closing(Ledger(tools.workspace.ledger)) as ledger:
        for batch, verified in summed_up:
            ledger.record_usage(batch, verified)
