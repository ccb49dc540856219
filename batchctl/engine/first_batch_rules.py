"""The rules of a first batch (pure): what the outcomes of a few requests say about all others of the same shape.

::

    plan of the input ──▶ first batch ──▶ judged ──▶ the rest
                              ▲              │
                              └── no verdict ┘

Requests have one shape if they differ only in `messages`, `max_tokens` and `metadata`. Where the API finds one of them invalid, it
would find all of them invalid, an hour later and one by one: the API checks the `params` of a request of a batch only when it runs
(batch processing page of its documentation). No request is sent twice for that: a shape without a verdict is tried with another
of its requests.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from batchctl.domain.model import Batch, Job, OutcomeCode, Purpose

# The most shapes of which one request is tried. Of any more, a sample is.
MAX_TRIED = 50
# After so many batches without a verdict, a shape is sent: what keeps it from one (expired, overloaded) is no fault of it.
MAX_FIRST_BATCHES = 3


class FirstStep(StrEnum):
    """What a job with a first batch needs next."""

    PLAN = "plan"  # choose the requests of the next round: of a first batch, or of the rest
    WAIT = "wait"  # what was planned is still to be sent, to run, or to be downloaded
    NOTHING = "nothing"  # all is planned


class Verdict(StrEnum):
    """What an outcome says about the shape of its request."""

    GOES = "goes"  # the API took it
    REFUSED = "refused"  # the API found it invalid
    NONE = "none"  # it did not run, or ended for a reason that is not in the request


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A request that was sent in a first batch, and its newest outcome.

    Attributes:
        position: In round 1.
        digest: Of its shape.
        line: Its line in the input.
        is_primed: Whether it wrote its prompt to a cache, as far as its breakpoint says so.
        message: What the API said of it, empty where it said nothing.
    """

    position: int
    digest: str
    model: str
    line: int
    custom_id: str
    code: OutcomeCode
    is_primed: bool = False
    message: str = ""

    @property
    def verdict(self) -> Verdict:
        """What the outcome says about its shape."""
        if self.code is OutcomeCode.ERRORED_FIX:
            return Verdict.REFUSED
        return Verdict.GOES if self.code.is_success else Verdict.NONE


def first_step(job: Job, batches: Iterable[Batch], now: datetime) -> FirstStep:
    """Return what a job needs before all of its input is planned. `batches`: those of all its rounds."""
    if not job.awaits_first_batch:
        return FirstStep.NOTHING
    waits = any(not b.is_settled and not b.is_lost(now) for b in batches)
    return FirstStep.WAIT if waits else FirstStep.PLAN


def first_batches(job: Job) -> int:
    """Return how many first batches a job has had."""
    return sum(r.purpose is Purpose.FIRST for r in job.rounds)


def verdicts(tried: Iterable[Tried]) -> dict[str, Tried]:
    """Return, by the digest of a shape, the request that decides about it: the last one that says something, else the last."""
    deciding: dict[str, Tried] = {}
    for one in tried:
        known = deciding.get(one.digest)
        if known is None or one.verdict is not Verdict.NONE or known.verdict is Verdict.NONE:
            deciding[one.digest] = one
    return deciding


def to_try_again(job: Job, tried: Sequence[Tried]) -> frozenset[str]:
    """Return the digests of the shapes of which another request is to be tried; empty where the rest is to be planned."""
    if first_batches(job) >= MAX_FIRST_BATCHES:
        return frozenset()
    return frozenset(digest for digest, one in verdicts(tried).items() if one.verdict is Verdict.NONE)


class Withholding:
    """Decides for each shape whether it is sent."""

    def __init__(self, tried: Iterable[Tried]) -> None:
        """`tried`: the requests of all first batches, in the order of these."""
        self._deciding: Mapping[str, Tried] = verdicts(tried)
        by_model: dict[str, list[Tried]] = {}
        for one in self._deciding.values():
            by_model.setdefault(one.model, []).append(one)
        # Of shapes that were not tried, only the others of their model tell something: two that agree, at least.
        self._of_untried = {
            model: many[0]
            for model, many in by_model.items()
            if len(many) > 1 and all(one.verdict is Verdict.REFUSED for one in many)
        }

    def refused(self, digest: str, model: str) -> Tried | None:
        """Return the request whose refusal keeps a shape from being sent; None where it is sent."""
        one = self._deciding.get(digest)
        if one is None:
            return self._of_untried.get(model)
        return one if one.verdict is Verdict.REFUSED else None

    @property
    def refuses_nothing(self) -> bool:
        """Whether every shape is sent."""
        return all(one.verdict is not Verdict.REFUSED for one in self._deciding.values())
