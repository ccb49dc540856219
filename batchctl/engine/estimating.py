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
from batchctl.domain.groups import Sampled, Tally, shape_of
from batchctl.domain.limits import DEFAULT_SAMPLE
from batchctl.domain.model import Job, Settings
from batchctl.engine.session import LightEquipment
from batchctl.ledger.opening import HEAD
from batchctl.money.advice import looked
from batchctl.money.estimate import Answered, Counted, Estimate, Known, chosen, estimated, with_prefix_to_count
from batchctl.requests.sampling import Read, prefix_bodies, read_sampled

if TYPE_CHECKING:
    from batchctl.api.client import Transport

AT_ONCE = 4
# An estimate is waited for: no longer than this does one call wait to be made again.
LONGEST_WAIT_SECONDS = 20.0
PAUSE_SECONDS = 1.0
# Requests that the API does not take teach nothing; after so many of them the others would be no better.
MOST_REFUSED = 3


def estimate(
    tools: LightEquipment,
    tallies: Sequence[Tally],
    path: Path,
    settings: Settings,
    transport: "Transport | None" = None,
    *,
    sample: int = DEFAULT_SAMPLE,
    job: Job | None = None,
) -> Estimate:
    """Of the requests at `path` that the tallies are of. `transport`: whom to ask; None asks nobody.

    `job`: whose earlier answers count whatever they were asked. Raises Stopped, and UsageProblem for a wrong price file.
    """
    asking = _Asking(tools, transport, settings) if transport is not None else None
    groups = _known(tools, tallies, path, asking, sample)
    day = tools.now().date()
    models = {tally.model for tally in tallies}
    sheets = {model: tools.book.sheet(model, day) for model in models}
    limits = {model: tools.book.sheet_for_limit(model, day) for model in models}
    answers = list(_answers(tools, shape_of(tallies), job))
    return estimated(groups, sheets, answers, day=day, why=asking.why if asking else "", limits=limits)


def _known(
    tools: LightEquipment, tallies: Sequence[Tally], path: Path, asking: "_Asking | None", sample: int
) -> list[Known]:
    prefixes = with_prefix_to_count(tallies, sample) if asking else []
    lines = chosen(tallies, sample - 2 * len(prefixes))
    groups = [n for n, of in enumerate(lines) for _ in of]
    with ThreadPoolExecutor(AT_ONCE if asking else 1) as pool:
        looks = list(pool.map(_looker(path, asking), (one for of in lines for one in of)))
        before = dict(
            zip(prefixes, pool.map(_prefix_looker(path, asking), (tallies[n] for n in prefixes)), strict=True)
        )
    if tools.stop.is_set():
        raise Stopped
    own = [
        [look for n, look in zip(groups, looks, strict=True) if n == group and look] for group in range(len(tallies))
    ]
    return [_of_group(tally, own[n], before.get(n)) for n, tally in enumerate(tallies)]


def _of_group(tally: Tally, looks: Sequence[tuple[Read, int | None]], prefix_tokens: int | None) -> Known:
    size = sum(read.size for read, _ in looks) or 1
    return Known(
        tally=tally,
        points=tuple(Counted(read.size, tokens) for read, tokens in looks if tokens is not None),
        prefix_tokens=prefix_tokens,
        look=looked([read.params for read, _ in looks]),
        encoded=sum(read.encoded for read, _ in looks) / size,
    )


def _looker(path: Path, asking: "_Asking | None") -> Callable[[Sampled], tuple[Read, int | None] | None]:
    def look(one: Sampled) -> tuple[Read, int | None] | None:
        read = read_sampled(path, one)
        return None if read is None else (read, asking.tokens(read.body) if asking else None)

    return look


def _prefix_looker(path: Path, asking: "_Asking | None") -> Callable[[Tally], int | None]:
    def look(tally: Tally) -> int | None:
        read = next((read for of in tally.strata for one in of.sampled[:1] if (read := read_sampled(path, one))), None)
        if read is None or asking is None:
            return None
        whole, alone = map(asking.tokens, prefix_bodies(read.params))
        return None if whole is None or alone is None else max(0, whole - alone)

    return look


def _answers(tools: LightEquipment, shape: str, job: Job | None) -> Iterator[Answered]:
    """Of earlier rounds that are like this one, in whatever job; a ledger that nobody has made yet has none."""
    if tools.ledger.revision != HEAD:
        return
    for one in tools.ledger.jobs():
        is_own = job is not None and one.id == job.id
        like = {r.number for r in one.rounds if is_own or (shape and r.shape == shape)}
        if not like:
            continue
        rounds = {batch.id: batch.round for batch in tools.ledger.batches(one)}
        for batch_id, spent in tools.ledger.spent(one).items():
            for of in spent if rounds[batch_id] in like else ():
                yield Answered(model=of.model, requests=of.requests, output_tokens=of.usage.output_tokens)


class _Asking:
    """Counts by the API, from several threads, until something says that it is no use. `why`: what said so, and when."""

    def __init__(self, tools: LightEquipment, transport: "Transport", settings: Settings) -> None:
        self._tools = tools
        self._transport = transport
        self._settings = settings
        self._refused = 0
        self._is_over = False
        self.why = ""

    def tokens(self, body: bytes) -> int | None:
        """None where it could not be counted."""
        for is_last in (False, True):
            if self._is_over or self._tools.stop.is_set():
                return None
            try:
                return self._transport.count_tokens(
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
                self._tools.clock.wait_until(self._tools.now() + pause, self._tools.stop)

    def _end(self, why: str) -> None:
        self.why = self.why if self._is_over else why
        self._is_over = True
