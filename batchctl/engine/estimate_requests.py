"""What requests will cost: tokens of a few of them counted by the API, earlier answers from the ledger, and the price catalog.

`money.estimate` computes the estimate from these. Nothing is recorded. Where the API cannot be asked, or limits its calls, the
estimate rests on less and says so.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from batchctl.domain.api_failures import AfterRead, after_read, is_about_counted_request
from batchctl.domain.check_report import Depth
from batchctl.domain.errors import AccountProblem, ApiFailure, Stopped
from batchctl.domain.groups import RequestGroup, SampledLine, shape_digest
from batchctl.domain.limits import DEFAULT_SAMPLE
from batchctl.domain.model import Job, Settings
from batchctl.domain.wording import plural
from batchctl.engine.count_rules import TriedLine, line_to_try, refusals
from batchctl.engine.session import ReadSession
from batchctl.ledger.schema import HEAD
from batchctl.money.advice import sample_facts
from batchctl.money.estimate import Answered, Counted, Estimate, SampledGroup, chosen, estimated, with_prefix_to_count
from batchctl.requests.request_file import SampledRequest, prefix_bodies, read_sampled

if TYPE_CHECKING:
    from batchctl.api.protocol import MessageBatches

# Calls of the API at once.
AT_ONCE = 4
# A person waits for an estimate: a call that is to be repeated after a longer pause ends the counting.
LONGEST_WAIT_SECONDS = 20.0
PAUSE_SECONDS = 1.0
# After so many requests whose tokens the API refuses to count for a reason that is not in them, the others are not tried.
MAX_REFUSED = 3


def estimate(
    session: ReadSession,
    request_groups: Sequence[RequestGroup],
    path: Path,
    settings: Settings,
    message_batches: "MessageBatches | None" = None,
    *,
    sample: int = DEFAULT_SAMPLE,
    job: Job | None = None,
    strict: bool = False,
) -> Estimate:
    """Return what the requests at `path` will cost.

    Args:
        session: Where the ledger and the prices are.
        request_groups: The groups of the requests, with their sampled lines.
        path: The request file that the sampled lines are of.
        settings: The API version and the betas of the job.
        message_batches: Counts tokens; None to estimate from bytes alone.
        sample: The highest number of calls that count tokens.
        job: A job whose earlier answers are used whatever their requests were.
        strict: Whether a request that the API refuses is an error, and not a warning.

    Raises:
        Stopped: The stop signal was set.
        UsageProblem: The file of private prices is wrong.
    """
    counter = _TokenCounter(session, message_batches, settings) if message_batches is not None else None
    groups, tried = _sampled_groups(session, request_groups, path, counter, sample)
    day = session.now().date()
    models = {request_group.model for request_group in request_groups}
    model_prices_list = {model: session.price_catalog.model_prices(model, day) for model in models}
    limits = {model: session.price_catalog.prices_for_limit(model, day) for model in models}
    answers = list(_earlier_answers(session, shape_digest(request_groups), job))
    found = estimated(
        groups,
        model_prices_list,
        answers,
        day=day,
        why=counter.why if counter else "",
        limits=limits,
        offers_canary=job is None and not settings.canary,
    )
    if Depth(settings.depth) is Depth.ENVELOPE:
        # A person who trusts their params more than any check.
        return found
    kinds = chain.from_iterable(
        refusals(*pair, strict=strict, canary=settings.canary) for pair in zip(request_groups, tried, strict=True)
    )
    in_order = sorted(kinds, key=lambda kind: (kind.first.fault.severity, kind.first.line))
    return replace(found, refusals=tuple(in_order))


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A request of the sample, and its tokens; the API's refusal of it, or None where it was not counted for another reason."""

    line: SampledLine
    request: SampledRequest
    answer: int | ApiFailure | None


def _sampled_groups(
    session: ReadSession,
    request_groups: Sequence[RequestGroup],
    path: Path,
    counter: "_TokenCounter | None",
    sample: int,
) -> tuple[list[SampledGroup], list[list[TriedLine]]]:
    """Return the groups with what was counted of them, and of each the requests that were counted or refused."""

    def count(line: SampledLine) -> _Sampled | None:
        request = read_sampled(path, line)
        return None if request is None else _Sampled(line, request, counter.tokens(request.body) if counter else None)

    def count_prefix(number: int) -> int | None:
        lines = (line for stratum in request_groups[number].strata for line in stratum.sampled[:1])
        request = next((request for line in lines if (request := read_sampled(path, line))), None)
        if request is None or counter is None:
            return None
        whole, alone = map(counter.tokens, prefix_bodies(request.params))
        return max(0, whole - alone) if isinstance(whole, int) and isinstance(alone, int) else None

    with_prefix = with_prefix_to_count(request_groups, sample) if counter else []
    lines_by_group = chosen(request_groups, sample - 2 * len(with_prefix))
    with ThreadPoolExecutor(AT_ONCE if counter else 1) as pool:
        counts = iter(list(pool.map(count, chain.from_iterable(lines_by_group))))
        samples = [[one for one in islice(counts, len(lines)) if one] for lines in lines_by_group]
        # What a shape shares is not counted where the API refuses its requests. These calls try a second one of them.
        with_prefix = [n for n in with_prefix if not any(one.refusal for one in _tried(samples[n]))]
        left = sample - sum(map(len, lines_by_group)) - 2 * len(with_prefix)
        seconds = {n: line_to_try(group, _tried(samples[n])) for n, group in enumerate(request_groups)}
        wanted = dict(islice(((n, line) for n, line in seconds.items() if line), max(0, left)))
        for n, one in zip(wanted, pool.map(count, wanted.values()), strict=True):
            samples[n] += [one] if one else []
        prefixes = dict(zip(with_prefix, pool.map(count_prefix, with_prefix), strict=True))
    if session.stop.is_set():
        raise Stopped
    groups = [
        SampledGroup(
            group=request_group,
            points=tuple(Counted(one.request.size, one.answer) for one in sampled if isinstance(one.answer, int)),
            prefix_tokens=prefixes.get(n),
            facts=sample_facts([one.request.params for one in sampled]),
            encoded=sum(one.request.encoded for one in sampled) / (sum(one.request.size for one in sampled) or 1),
        )
        for n, (request_group, sampled) in enumerate(zip(request_groups, samples, strict=True))
    ]
    return groups, [_tried(sampled) for sampled in samples]


def _tried(sampled: Iterable[_Sampled]) -> list[TriedLine]:
    return [
        TriedLine(
            line=one.line,
            custom_id=one.request.custom_id,
            refusal=one.answer if isinstance(one.answer, ApiFailure) else None,
        )
        for one in sampled
        if one.answer is not None
    ]


def _earlier_answers(session: ReadSession, shape: str, job: Job | None) -> Iterator[Answered]:
    """Yield the answers of rounds of the same shape in any job, and of all rounds of `job`; none without a ledger."""
    if session.ledger.revision != HEAD:
        return
    for other in session.ledger.jobs():
        is_own = job is not None and other.id == job.id
        alike = {r.number for r in other.rounds if is_own or (shape and r.shape == shape)}
        if not alike:
            continue
        rounds = {batch.id: batch.round for batch in session.ledger.batches(other)}
        for batch_id, usage_totals in session.ledger.usage_totals(other).items():
            for total in usage_totals if rounds[batch_id] in alike else ():
                yield Answered(model=total.model, requests=total.requests, output_tokens=total.usage.output_tokens)


class _TokenCounter:
    """Counts tokens by the API, from several threads, until an answer shows that it is of no use.

    Attributes:
        why: Why tokens of some requests were not counted; empty where they were.
    """

    def __init__(self, session: ReadSession, message_batches: "MessageBatches", settings: Settings) -> None:
        self._session = session
        self._message_batches = message_batches
        self._settings = settings
        self._refused = self._useless = 0
        self._is_over = False
        self.why = ""

    def tokens(self, body: bytes) -> int | ApiFailure | None:
        """Return the tokens of a request; the API's refusal of the request, or None where they could not be counted."""
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
                if is_about_counted_request(failure):
                    self._refuse(failure)
                    return failure
                self._after(failure, is_last=is_last)
                if after_read(failure) is not AfterRead.AGAIN:
                    return None
        return None

    def _after(self, failure: ApiFailure, *, is_last: bool) -> None:
        after = after_read(failure)
        if after in {AfterRead.FAIL, AfterRead.GONE}:
            # What is wrong with one request, as its model, may not be wrong with another.
            self._refuse(failure)
            self._useless += 1
            self._is_over = self._useless >= MAX_REFUSED
        elif after is AfterRead.PAUSE or is_last or (failure.retry_after or 0) > LONGEST_WAIT_SECONDS:
            self._end(str(failure))
        else:
            pause = timedelta(seconds=failure.retry_after or PAUSE_SECONDS)
            with suppress(Stopped):
                self._session.clock.wait_until(self._session.now() + pause, self._session.stop)

    def _refuse(self, failure: ApiFailure) -> None:
        self._refused += 1
        self.why = f"the API refused to count {plural(self._refused, 'request')}: {failure}"

    def _end(self, why: str) -> None:
        self.why = self.why if self._is_over else why
        self._is_over = True
