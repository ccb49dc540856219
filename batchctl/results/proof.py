"""The rules of `verify`: when the disk alone proves that every line of an input has its one answer, and what to do else.

A flaw is one place where the disk is not what the ledger says. A job without flaws may still be open: batches that are not on
the disk, requests without an answer, lines that were left out.
"""

import bisect
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from batchctl.domain.model import Batch, Cut, Job, Merged
from batchctl.domain.wording import plural

# More paths make a command line that nobody reads; the next `verify` names those that are left out.
PATHS_IN_A_COMMAND = 8


class Part(StrEnum):
    """The parts of a proof; each rests on those before it."""

    REQUESTS = "requests"
    ORIGINS = "origins"
    LEFT_OUT = "left_out"
    RESULTS = "results"
    SUM = "sum"
    OUTPUT = "output"


class Verdict(StrEnum):
    """What is known of a part: proved; proved but not all there yet; wrong on the disk; not told, for it rests on what is wrong."""

    OK = "ok"
    OPEN = "open"
    WRONG = "wrong"
    NOT_TOLD = "not_told"


class Fix(StrEnum):
    """What fixes a flaw: a fetch; a fetch once an index is removed; a person who has a copy of the file."""

    FETCH = "fetch"
    FETCH_ANEW = "fetch anew"
    PUT_BACK = "put back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One flaw. `round`, `batch` and `line` count from 1, 0 is none; `index` is the file to remove before a fetch."""

    part: Part
    message: str
    fix: Fix
    path: str = ""
    round: int = 0
    batch: int = 0
    line: int = 0
    custom_id: str = ""
    index: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundProof:
    """One round, read again.

    Attributes:
        number: Which round.
        requests: How many requests it has.
        batches: How many batches.
        requests_known: False for attached batches without an input: there are only results.
        fetched: The batches that are on the disk.
        results: The lines that were read in them.
        is_held_against_input: Where `cache_control` was added, whether the input with it is what was sent; None where the
            input is gone or nothing was added.
    """

    number: int
    requests: int
    batches: int
    requests_known: bool
    fetched: int
    results: int
    is_held_against_input: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputProof:
    """The merged results. `is_there` is None where they could not be compared; `sha256` is of the bytes that are equal."""

    path: str
    is_there: bool | None
    lines: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What `verify` proved of a job.

    Attributes:
        job: The job.
        rounds: Each round.
        waiting: The batches that are not on the disk yet.
        answers: The sums of the outcomes; None where a flaw leaves nothing to sum.
        output: The merged results.
        flaws: How many there are.
        by_part: How many of each part.
        first_flaws: The first of them.
        fetch_command: Downloads what is missing and writes the same output.
        next_command: What to do next.
        rests_on: As of `JobReport`.
    """

    job: Job
    rounds: tuple[RoundProof, ...]
    waiting: int
    answers: Merged | None
    output: OutputProof
    flaws: int
    by_part: Mapping[Part, int] = field(default_factory=dict)
    first_flaws: tuple[Flaw, ...] = ()
    fetch_command: str = ""
    next_command: str = ""
    rests_on: str = ""

    @property
    def is_complete(self) -> bool:
        """Return whether every line of the input has its one answer on the disk, whatever its outcome."""
        return not self.flaws and not self.waiting and self.unanswered == 0 and not self.job.left_out

    @property
    def unanswered(self) -> int | None:
        """Return the requests without an answer; None where that cannot be told."""
        return self.answers.unanswered if self.answers else None

    def verdict(self, part: Part) -> Verdict:
        """Return what is known of a part."""
        if self.by_part.get(part):
            return Verdict.WRONG
        match part:
            case Part.SUM if self.answers is None:
                return Verdict.NOT_TOLD
            case Part.OUTPUT if not self.output.is_there:
                return Verdict.NOT_TOLD
        is_open = {Part.LEFT_OUT: self.job.left_out, Part.RESULTS: self.waiting, Part.SUM: self.unanswered}
        return Verdict.OPEN if is_open.get(part) else Verdict.OK


def request_flaws(job: Job, number: int, cuts: Sequence[Cut]) -> Iterator[str]:
    """Yield what is wrong with the cuts of a round: they must follow each other and hold every request once.

    Where the requests are not known there are no bytes to follow.
    """
    planned = next(r for r in job.rounds if r.number == number)
    after = Cut(first=0, count=0, start=0, end=-1, sha256="")
    for place, cut in enumerate(cuts, 1):
        if cut.first != after.first + after.count:
            yield f"batch {place} begins at request {cut.first + 1:,}, not {after.first + after.count + 1:,}"
        elif planned.request_file and cut.start != after.end + 1:
            yield f"batch {place} begins at byte {cut.start:,}, not {after.end + 1:,}"
        after = cut
    held = sum(cut.count for cut in cuts)
    if held != planned.count:
        yield f"the batches hold {plural(held, 'request')}, but the round has {planned.count:,}"
    if number == 1 and planned.count + job.left_out != job.line_count:
        yield f"{plural(planned.count, 'request')} and {job.left_out:,} left out do not add up to the {plural(job.line_count, 'line')} of the input"


def reading_places(batches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return by position where each batch of round 1 begins, and its place in the order of reading.

    `batches` are (first, count) of each, in the order of reading.
    """
    at, places = 0, []
    for first, count in batches:
        places.append((first, at))
        at += count
    return sorted(places)


def places_of(origins: Sequence[int], places: Sequence[tuple[int, int]]) -> Sequence[int]:
    """Return positions in round 1 as places in the order of reading; nearly always they are the same."""
    if all(first == at for first, at in places):
        return origins
    firsts = [first for first, _ in places]
    batches = [places[bisect.bisect_right(firsts, origin) - 1] for origin in origins]
    return [at + origin - first for origin, (first, at) in zip(origins, batches, strict=True)]


def rising_flaw(numbers: Sequence[int], after: int, most: int) -> str:
    """Return what is wrong with numbers that must rise, begin above `after` and end at `most` or below; empty if nothing."""
    for number in numbers:
        if number <= after:
            return f"{number:,} after {after:,}: the numbers must rise"
        after = number
    return f"{after:,} is more than {most:,}" if after > most else ""


def sum_flaw(job: Job, answers: Merged) -> str:
    """Return why the outcomes do not sum to the requests; empty where they do."""
    outcomes = (answers.succeeded, answers.errored, answers.canceled, answers.expired, answers.unknown)
    total = sum(outcomes) + answers.unanswered
    return (
        ""
        if total == job.count
        else f"{plural(total, 'request is', 'requests are')} accounted for, but {job.count:,} were planned"
    )


def waiting(batches: Sequence[Batch]) -> int:
    """Return how many batches may still bring an answer that is not on the disk."""
    return sum(not b.is_settled for b in batches)


def hint(flaw: Flaw, fetch: str) -> str:
    """Return what to do about one flaw; `fetch` is the command that writes the same output."""
    match flaw.fix:
        case Fix.FETCH:
            return fetch
        case Fix.FETCH_ANEW:
            return f"rm {shlex.quote(flaw.index)} && {fetch}"
        case Fix.PUT_BACK if flaw.part is Part.REQUESTS and flaw.round == 1:
            return f"restore the file, or if the input was moved: {fetch} --input PATH"
        case Fix.PUT_BACK:
            return "restore a copy of the file"


def next_command(fixes: Mapping[Fix, int], anew: Sequence[str], fetch: str, otherwise: str) -> str:
    """Return the command that fixes the most at once, else `otherwise`; `anew` are the files to remove before a fetch.

    Only the index is removed: the raw file stays until a whole download takes its place.
    """
    if anew:
        paths = " ".join(shlex.quote(path) for path in anew[:PATHS_IN_A_COMMAND])
        return f"rm {paths} && {fetch}"
    if fixes.get(Fix.FETCH):
        return fetch
    return "" if fixes.get(Fix.PUT_BACK) else otherwise
