"""Gather the evidence about an adopted batch: read its answers and our requests, and have the API count their tokens.

`engine.match_rules` has the rules that judge what is gathered here. Counting tokens is free.
"""

from collections import Counter
from functools import cache
from itertools import islice
from pathlib import Path

from batchctl.domain.api_failures import AfterRead, after_read, is_about_account
from batchctl.domain.errors import ApiFailure, Stopped
from batchctl.domain.groups import SampledLine
from batchctl.domain.model import Batch, Headers, Job, OutcomeCode
from batchctl.engine.match_rules import (
    ENOUGH_COMPARISONS,
    NOT_COUNTED,
    Comparison,
    Evidence,
    NotComparable,
    Resolve,
    check_request,
    describe_obstacles,
    is_text,
    judge,
    read_answer,
    spread,
)
from batchctl.engine.session import ApiSession
from batchctl.requests.request_file import body_to_count, read_sampled, request_file, starts_of_range
from batchctl.results.downloaded import Answers
from batchctl.results.result_lines import message_of

# Requests that the API is asked to count, including those that it refuses to count.
MAX_TRIES = 40
# Requests that are read to find some that can be compared. Where fewer than one in so many can be, they would prove little.
MAX_READ = 5_000
# Statuses by which a server says that it has no such endpoint.
NO_ENDPOINT = frozenset({404, 405, 410, 501})


def gather_evidence(session: ApiSession, job: Job, batch: Batch, answers: Answers) -> Evidence:
    """Compare up to 20 answers of a batch with the requests of its cut: input tokens and model.

    Asks the API for at most 40 counts, and once for each model name that does not explain the model of an answer. Needs some
    tens of bytes of memory for each request.

    Args:
        session: The open session.
        job: The job of the batch.
        batch: A batch that was found in the API's list.
        answers: Its verified results, by the positions of its cut.

    Raises:
        ApiFailure: A later call may bring another answer, or the account is the cause.
        AccountProblem: There is no key.
        InputProblem: The requests are no longer those that were planned.
        DiskProblem: The requests or the results cannot be read.
        Stopped: The stop signal was set.
    """
    succeeded = [position for position, code in enumerate(answers.codes) if OutcomeCode(code).is_success]
    # A result of a type that this program does not know may have an answer.
    unknown = answers.codes.count(OutcomeCode.UNKNOWN) + answers.codes.count(OutcomeCode.UNREADABLE)
    counting = _Counting(session, job, batch, answers)
    if unknown:
        counting.obstacles["results of an unknown type"] = unknown
    if succeeded:
        counting.compare(succeeded)
    results = len(succeeded) + unknown
    return judge(counting.comparisons, _resolver(session), succeeded=results, why_not=counting.why_not(results))


class _NoCounting(Exception):
    """The API has no count_tokens; the text says how it answered."""


class _Counting:
    """Compares requests of a batch with their answers; `obstacles` has how many of them cannot be compared, by the reason."""

    def __init__(self, session: ApiSession, job: Job, batch: Batch, answers: Answers) -> None:
        self.comparisons: list[Comparison] = []
        self.obstacles: Counter[str] = Counter()
        self._session = session
        self._job = job
        self._batch = batch
        # Of a batch that was not sent from here, only the headers of the job are known.
        self._headers = batch.headers or job.settings.headers
        self._answers = answers
        self._tries = 0
        self._failure = ""
        self._no_counting = ""

    def compare(self, positions: list[int]) -> None:
        """Compare up to 20 of these requests, spread evenly over all of them."""
        path = request_file(self._session.workspace, self._job, self._batch.round)
        starts = starts_of_range(path, self._batch)
        for number in islice(spread(len(positions)), MAX_READ):
            if len(self.comparisons) == ENOUGH_COMPARISONS or self._tries == MAX_TRIES:
                return
            if self._session.stop.is_set():
                raise Stopped
            position = positions[number]
            first, end = starts[position], starts[position + 1] - 1
            try:
                self.comparisons.append(self._comparison(path, position, SampledLine(position + 1, first, end - first)))
            except NotComparable as obstacle:
                self.obstacles[str(obstacle)] += 1
            except _NoCounting as answer:
                self._no_counting = str(answer)
                return

    def why_not(self, results: int) -> str:
        """Return why nothing could be compared. `results`: how many of them may have an answer."""
        if self._no_counting:
            return f"this API does not count tokens: {self._no_counting}"
        obstacles = describe_obstacles(self.obstacles, results)
        return f"{obstacles}; the last failure: {self._failure}" if self._failure else obstacles

    def _comparison(self, path: Path, position: int, place: SampledLine) -> Comparison:
        """Compare one request. Raise NotComparable, _NoCounting, and what `gather_evidence` raises."""
        line = self._answers.line(position)
        answered, billed = read_answer(message_of(line))
        request = read_sampled(path, place)
        if request is None:
            raise NotComparable("requests too large to be counted")
        check_request(request.params)
        # A param that this program does not know counts as part of the prompt, unless the API refuses to count it.
        body = body_to_count(request.params, *(name for name in request.params if name not in NOT_COUNTED))
        return Comparison(
            custom_id=self._answers.read(position)[0].decode(),
            counted=self._counted(body, self._headers),
            billed=billed,
            requested=str(request.params.get("model")),
            answered=answered,
            is_text=is_text(request.params),
        )

    def _counted(self, body: bytes, headers: Headers) -> int:
        self._tries += 1
        try:
            return self._session.message_batches.count_tokens(
                body, api_version=headers.api_version, betas=headers.betas
            )
        except ApiFailure as failure:
            if not _is_final(failure):
                raise
            if failure.status in NO_ENDPOINT and not _is_about_model(failure):
                raise _NoCounting(str(failure)) from failure
            self._failure = str(failure)
            raise NotComparable("requests that the API refuses to count") from failure


def _resolver(session: ApiSession) -> Resolve:
    @cache
    def resolve(name: str) -> str | None:
        try:
            return session.message_batches.model(name).id
        except ApiFailure as failure:
            if not _is_final(failure):
                raise
            return None

    return resolve


def _is_final(failure: ApiFailure) -> bool:
    """Return whether asking again would bring the same answer, and the account is not the cause."""
    if is_about_account(failure):
        return False
    if failure.status in NO_ENDPOINT or (failure.status is not None and 200 <= failure.status < 300):
        return True
    return after_read(failure) in {AfterRead.FAIL, AfterRead.GONE}


def _is_about_model(failure: ApiFailure) -> bool:
    """Return whether a 404 is about the model in a request and not about the endpoint (message `model: NAME`, captured)."""
    return failure.status == 404 and failure.has_envelope and failure.message.startswith("model:")
