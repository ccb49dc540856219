"""What an input will cost: a few of its lines counted by the API, earlier answers asked of the ledger, and the price book.

Nothing is recorded. Where the API cannot be asked, or answers that it is asked too much, the estimate rests on less and
says so.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from batchctl.domain.answers import AfterRead, after_read
from batchctl.domain.errors import AccountProblem, ApiFailure, Stopped
from batchctl.domain.groups import RequestGroup, SampledLine, shape_digest
from batchctl.domain.limits import DEFAULT_SAMPLE
from batchctl.domain.model import Job, Settings
from batchctl.engine.session import ReadSession
from batchctl.ledger.schema import HEAD
from batchctl.money.advice import sample_facts
from batchctl.money.estimate import Answered, Counted, Estimate, SampledGroup, chosen, estimated, with_prefix_to_count
from batchctl.requests.request_file import SampledRequest, prefix_bodies, read_sampled

if TYPE_CHECKING:
    from batchctl.api.protocol import MessageBatches

AT_ONCE = 4
# An estimate is waited for: no longer than this does one call wait to be made again.
LONGEST_WAIT_SECONDS = 20.0
PAUSE_SECONDS = 1.0
# Requests that the API does not take teach nothing; after so many of them the others would be no better.
MOST_REFUSED = 3


def estimate(
    session: ReadSession,
    request_groups: Sequence[RequestGroup],
    path: Path,
    settings: Settings,
    message_batches: "MessageBatches | None" = None,
    *,
    sample: int = DEFAULT_SAMPLE,
    job: Job | None = None,
) -> Estimate:
    """Of the requests at `path` that the tallies are of. `message_batches`: whom to ask; None asks nobody.

    `job`: whose earlier answers count whatever they were asked. Raises Stopped, and UsageProblem for a wrong price file.
    """
    asking = _Asking(session, message_batches, settings) if message_batches is not None else None
    groups = _known(session, request_groups, path, asking, sample)
    day = session.now().date()
    models = {request_group.model for request_group in request_groups}
    model_prices_list = {model: session.price_catalog.model_prices(model, day) for model in models}
    limits = {model: session.price_catalog.prices_for_limit(model, day) for model in models}
    answers = list(_answers(session, shape_digest(request_groups), job))
    return estimated(groups, model_prices_list, answers, day=day, why=asking.why if asking else "", limits=limits)


def _known(
    session: ReadSession, request_groups: Sequence[RequestGroup], path: Path, asking: "_Asking | None", sample: int
) -> list[SampledGroup]:
    prefixes = with_prefix_to_count(request_groups, sample) if asking else []
    lines = chosen(request_groups, sample - 2 * len(prefixes))
    groups = [n for n, of in enumerate(lines) for _ in of]
    with ThreadPoolExecutor(AT_ONCE if asking else 1) as pool:
        looks = list(pool.map(_poller(path, asking), (one for of in lines for one in of)))
        before = dict(
            zip(prefixes, pool.map(_prefix_looker(path, asking), (request_groups[n] for n in prefixes)), strict=True)
        )
    if session.stop.is_set():
        raise Stopped
    own = [
        [look for n, look in zip(groups, looks, strict=True) if n == group and look]
        for group in range(len(request_groups))
    ]
    return [_of_group(request_group, own[n], before.get(n)) for n, request_group in enumerate(request_groups)]


def _of_group(
    request_group: RequestGroup, looks: Sequence[tuple[SampledRequest, int | None]], prefix_tokens: int | None
) -> SampledGroup:
    size = sum(read.size for read, _ in looks) or 1
    return SampledGroup(
        group=request_group,
        points=tuple(Counted(read.size, tokens) for read, tokens in looks if tokens is not None),
        prefix_tokens=prefix_tokens,
        facts=sample_facts([read.params for read, _ in looks]),
        encoded=sum(read.encoded for read, _ in looks) / size,
    )


def _poller(path: Path, asking: "_Asking | None") -> Callable[[SampledLine], tuple[SampledRequest, int | None] | None]:
    def look(one: SampledLine) -> tuple[SampledRequest, int | None] | None:
        read = read_sampled(path, one)
        return None if read is None else (read, asking.tokens(read.body) if asking else None)

    return look


def _prefix_looker(path: Path, asking: "_Asking | None") -> Callable[[RequestGroup], int | None]:
    def look(request_group: RequestGroup) -> int | None:
        read = next(
            (read for of in request_group.strata for one in of.sampled[:1] if (read := read_sampled(path, one))), None
        )
        if read is None or asking is None:
            return None
        whole, alone = map(asking.tokens, prefix_bodies(read.params))
        return None if whole is None or alone is None else max(0, whole - alone)

    return look


def _answers(session: ReadSession, shape: str, job: Job | None) -> Iterator[Answered]:
    """Of earlier rounds that are like this one, in whatever job; a ledger that nobody has made yet has none."""
    if session.ledger.revision != HEAD:
        return
    for one in session.ledger.jobs():
        is_own = job is not None and one.id == job.id
        like = {r.number for r in one.rounds if is_own or (shape and r.shape == shape)}
        if not like:
            continue
        rounds = {batch.id: batch.round for batch in session.ledger.batches(one)}
        for batch_id, usage_totals in session.ledger.usage_totals(one).items():
            for of in usage_totals if rounds[batch_id] in like else ():
                yield Answered(model=of.model, requests=of.requests, output_tokens=of.usage.output_tokens)


class _Asking:
    """Counts by the API, from several threads, until something says that it is no use. `why`: what said so, and when."""

    def __init__(self, session: ReadSession, message_batches: "MessageBatches", settings: Settings) -> None:
        self._session = session
        self._message_batches = message_batches
        self._settings = settings
        self._refused = 0
        self._is_over = False
        self.why = ""

    def tokens(self, body: bytes) -> int | None:
        """None where it could not be counted."""
        for is_last in (False, True):
            if self._is_over or self._session.stop.is_set():
                return None
            try:
                return self._message_batches.count_tokens(
                    body, api_version=self._settings.api_version, betas=self._settings.betas
                )
            except AccountProblem as problem:
                self._end(problem.message)
            except ApiFailure as failure:
                self._after(failure, is_last=is_last)
                if after_read(failure) is not AfterRead.AGAIN:
                    return None
        return None

    def _after(self, failure: ApiFailure, *, is_last: bool) -> None:
        after = after_read(failure)
        if after in {AfterRead.FAIL, AfterRead.GONE}:
            # What is wrong with one request, its model for instance, may not be wrong with another.
            self._refused += 1
            self.why = f"the API does not count {self._refused} of them: {failure}"
            self._is_over = self._refused >= MOST_REFUSED
        elif after is AfterRead.PAUSE or is_last or (failure.retry_after or 0) > LONGEST_WAIT_SECONDS:
            self._end(str(failure))
        else:
            pause = timedelta(seconds=failure.retry_after or PAUSE_SECONDS)
            with suppress(Stopped):
                self._session.clock.wait_until(self._session.now() + pause, self._session.stop)

    def _end(self, why: str) -> None:
        self.why = self.why if self._is_over else why
        self._is_over = True
