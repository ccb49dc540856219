"""Arrows a, b and e: the only place that spends money.

A stop between any two numbered steps is continued by running the same command again:
after 1   the batch is `submitting` and its owner is dead: a doubt, settled by looking at the API's list
after 2   the same: the API has the batch, the ledger does not know its name yet
after 3   nothing is open
"""

import re
from datetime import timedelta

from batchctl.commands.equipment import Equipment
from batchctl.domain.answers import AfterCreate, after_create
from batchctl.domain.errors import AccountProblem, ApiFailure, BatchctlError, DoubtProblem, ServiceProblem
from batchctl.domain.events import BatchInDoubt, BatchNotSent, BatchSent, SendingBegun
from batchctl.domain.model import Batch, Job
from batchctl.domain.pacing import is_queue_full, under_way
from batchctl.domain.polling import backoff
from batchctl.files.requests import halves, request_file
from batchctl.files.sides import Numbers
from batchctl.files.splice import body_pieces
from batchctl.transport.client import Body, Seen

FIRST_DOUBT_LOOK = timedelta(seconds=1)


def send(tools: Equipment, job: Job, batch: Batch) -> None:
    """Creates one planned batch. Raises what stops the whole job: account, changed input, refused, unreachable."""
    path = request_file(tools.workspace, job, batch.round)
    body = Body(body_pieces(path, batch.cut), batch.cut.body_bytes)
    # 1. The intent, on the disk before a byte leaves: from here on the batch may exist.
    here = tools.server
    if not tools.ledger.claim_send(batch, tools.owner, tools.now(), intent_at=here.now(), api=here.identity):
        return
    tools.tell(SendingBegun(*tools.place(batch)))
    try:
        # 2. One POST. The API takes no idempotency key, so whatever goes wrong, it is not simply tried again.
        seen = tools.transport.create(body, api_version=job.settings.api_version, betas=job.settings.betas)
    except ApiFailure as failure:
        _not_answered(tools, job, batch, failure)
    except BatchctlError as problem:
        # The body was never completed, or no key was found: the API has seen no whole request.
        tools.ledger.record_not_created(batch, tools.now(), not_before=None, note=problem.message)
        raise
    else:
        # 3. The API's name for it.
        _created(tools, batch, seen)


def _created(tools: Equipment, batch: Batch, seen: Seen) -> None:
    if not tools.ledger.record_created(batch, seen.batch, tools.now()):
        raise DoubtProblem(
            f"{seen.batch.id} was created, but another process sent or cut the same requests meanwhile",
            hint=f"cancel {seen.batch.id} at the API: its requests are in another batch, too",
        )
    _widen(tools, batch)
    tools.tell(BatchSent(*tools.place(batch), seen.batch.id))


def _widen(tools: Equipment, sent: Batch) -> None:
    """The queue took more than it was known to take: one more is tried, until it refuses again."""
    job = tools.ledger.job_of(sent)
    if job.window is None:
        return
    taken = under_way(tools.ledger.batches(job))
    if taken > job.window:
        tools.ledger.record_window(job, taken + sent.count, tools.now())


def _not_answered(tools: Equipment, job: Job, batch: Batch, failure: ApiFailure) -> None:
    match after_create(failure):
        case AfterCreate.DOUBT:
            until = tools.now() + FIRST_DOUBT_LOOK
            tools.ledger.record_doubt(batch, not_before=until, note=str(failure), lost_at=tools.server.now())
            tools.tell(BatchInDoubt(*tools.place(batch), str(failure)))
        case AfterCreate.AGAIN:
            _again(tools, job, batch, failure)
        case AfterCreate.PAUSE:
            tools.ledger.record_not_created(batch, tools.now(), not_before=None, note=str(failure))
            tools.ledger.record_pause(job, str(failure))
            raise AccountProblem(
                f"the account stops this job: {failure!s}",
                hint=f"mend the cause, then: batchctl submit {job.name}",
            )
        case AfterCreate.SPLIT:
            _split(tools, job, batch, failure)
        case AfterCreate.REFUSE:
            _refused(tools, job, batch, failure)


def _again(tools: Equipment, job: Job, batch: Batch, failure: ApiFailure) -> None:
    until = tools.now() + timedelta(seconds=backoff(batch.tries + 1, failure.retry_after, tools.clock.draw()))
    tools.ledger.record_not_created(batch, tools.now(), not_before=until, note=str(failure))
    if is_queue_full(failure, batch.tries):
        others = [b for b in tools.ledger.batches(job) if b.id != batch.id]
        tools.ledger.record_window(job, under_way(others), tools.now())
    if failure.status in {None, 429}:
        # No network, or a limit of the account, is one for all batches: none is uploaded only to be refused.
        tools.ledger.record_hold(job, until, str(failure))
    tools.tell(BatchNotSent(*tools.place(batch), str(failure), until))


def _split(tools: Equipment, job: Job, batch: Batch, failure: ApiFailure) -> None:
    if batch.count == 1:
        _refused(tools, job, batch, failure)
        return
    path = request_file(tools.workspace, job, batch.round)
    tools.ledger.record_split(batch, halves(path, batch), tools.now(), "too large for the API: cut in two")
    tools.tell(BatchNotSent(*tools.place(batch), "too large for the API: cut in two", tools.now()))


def _refused(tools: Equipment, job: Job, batch: Batch, failure: ApiFailure) -> None:
    tools.ledger.record_refused(batch, tools.now(), str(failure))
    _, number, total = tools.place(batch)
    tools.tell(BatchNotSent(batch, number, total, str(failure), None))
    raise ServiceProblem(
        f"the API refused batch {number} of {total}: {failure!s}{_where(tools, job, batch, failure)}",
        hint=f"nothing was created for it; its requests stay unanswered: batchctl retry {job.name} --edit",
    )


def _where(tools: Equipment, job: Job, batch: Batch, failure: ApiFailure) -> str:
    """The API counts requests from the start of the batch; a person counts lines of the input."""
    found = re.search(r"requests\.(\d+)\.", failure.message)
    if not found or int(found.group(1)) >= batch.count or batch.round != 1:
        return ""
    numbers = Numbers(tools.workspace.lines(job.name), base=1)
    try:
        return f" (line {numbers.run(batch.cut.first + int(found.group(1)), 1)[0]:,} of {job.input_path})"
    finally:
        numbers.close()
