"""When the disk alone proves that every line of an input has its one answer, and what to type where it does not.

A flaw is one place where the disk is not what the ledger says. A job without flaws may still be open: batches not on the
disk, requests without an answer, lines left out.
"""

import bisect
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from batchctl.domain.model import Batch, Cut, Job, Merged

# A command line that a person still reads; what it leaves out, the next `verify` names.
PATHS_IN_A_COMMAND = 8


class Part(StrEnum):
    """Of a proof, in the order in which each rests on those before it."""

    REQUESTS = "requests"
    ORIGINS = "origins"
    LEFT_OUT = "left_out"
    RESULTS = "results"
    SUM = "sum"
    OUTPUT = "output"


class Verdict(StrEnum):
    """On one part: it holds; it holds and is not all there yet; the disk says otherwise; it rests on what is wrong."""

    OK = "ok"
    OPEN = "open"
    WRONG = "wrong"
    NOT_TOLD = "not_told"


class Fix(StrEnum):
    """What brings a flaw right: a fetch, which sees it; a fetch that must be told; or a person with a copy."""

    FETCH = "fetch"
    FETCH_ANEW = "fetch anew"
    PUT_BACK = "put back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """`round`, `batch` and `line` count from 1 and are 0 where there is none; `index`: the file that a fetch must miss."""

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
    """One round, read again. `requests_known` is False where its batches were made elsewhere: there are only results.

    `fetched` and `results`: its batches on the disk, and the lines read in them. `is_held_against_input`: where
    `cache_control` was added, whether that was done once more and compared; None where the input is gone, or nothing added.
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
    """The merged results. `is_there` is None where they could not be held against anything; `sha256` is of equal bytes."""

    path: str
    is_there: bool | None
    lines: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """`answers` is None where what is wrong leaves nothing to sum; `waiting`: batches that are not on the disk yet.

    `fetch_command` downloads what is missing and writes the same output. `rests_on`: as of `JobReport`.
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
        """Whether every line of the input has its one answer on the disk, whatever its outcome."""
        return not self.flaws and not self.waiting and self.unanswered == 0 and not self.job.left_out

    @property
    def unanswered(self) -> int | None:
        return self.answers.unanswered if self.answers else None

    def verdict(self, part: Part) -> Verdict:
        if self.by_part.get(part):
            return Verdict.WRONG
        match part:
            case Part.SUM if self.answers is None:
                return Verdict.NOT_TOLD
            case Part.OUTPUT if not self.output.is_there:
                return Verdict.NOT_TOLD
        is_open = {Part.LEFT_OUT: self.job.left_out, Part.RESULTS: self.waiting, Part.SUM: self.unanswered}
        return Verdict.OPEN if is_open.get(part) else Verdict.OK


def request_flaws(of: Job, number: int, cuts: Sequence[Cut]) -> Iterator[str]:
    """What does not fit in how a round was cut: its batches follow each other and hold all of it, once.

    Where the requests are not known there are no bytes to follow.
    """
    planned = next(r for r in of.rounds if r.number == number)
    after = Cut(first=0, count=0, start=0, end=-1, sha256="")
    for place, cut in enumerate(cuts, 1):
        if cut.first != after.first + after.count:
            yield f"batch {place} begins at request {cut.first + 1:,}, not {after.first + after.count + 1:,}"
        elif planned.request_file and cut.start != after.end + 1:
            yield f"batch {place} begins at byte {cut.start:,}, not {after.end + 1:,}"
        after = cut
    held = sum(cut.count for cut in cuts)
    if held != planned.count:
        yield f"the batches hold {held:,} requests, the round has {planned.count:,}"
    if number == 1 and planned.count + of.left_out != of.line_count:
        yield f"{planned.count:,} requests and {of.left_out:,} left out are not the {of.line_count:,} lines of the input"


def reading_places(batches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """By position: where a batch of round 1 begins, and its place in the order in which they are read.

    `batches`: (first, count) of each, in that order.
    """
    at, places = 0, []
    for first, count in batches:
        places.append((first, at))
        at += count
    return sorted(places)


def places_of(origins: Sequence[int], places: Sequence[tuple[int, int]]) -> Sequence[int]:
    """Positions in round 1 as places in the order of reading; nearly always they are the same."""
    if all(first == at for first, at in places):
        return origins
    firsts = [first for first, _ in places]
    found = [places[bisect.bisect_right(firsts, origin) - 1] for origin in origins]
    return [at + origin - first for origin, (first, at) in zip(origins, found, strict=True)]


def rising_flaw(numbers: Sequence[int], after: int, most: int) -> str:
    """What is wrong with numbers that must rise, begin above `after` and end at `most` or below; empty where nothing is."""
    for number in numbers:
        if number <= after:
            return f"{number:,} after {after:,}: they must rise"
        after = number
    return f"{after:,} is more than {most:,}" if after > most else ""


def sum_flaw(of: Job, answers: Merged) -> str:
    """Why the outcomes do not sum to the requests; empty where they do."""
    outcomes = (answers.succeeded, answers.errored, answers.canceled, answers.expired, answers.unknown)
    total = sum(outcomes) + answers.unanswered
    return "" if total == of.count else f"{total:,} requests are accounted for, {of.count:,} were planned"


def waiting(batches: Sequence[Batch]) -> int:
    """How many may still bring an answer that is not on the disk."""
    return sum(not b.is_settled for b in batches)


def hint(flaw: Flaw, fetch: str) -> str:
    """What to type for one flaw; `fetch` is the command that writes the same output."""
    match flaw.fix:
        case Fix.FETCH:
            return fetch
        case Fix.FETCH_ANEW:
            return f"rm {shlex.quote(flaw.index)} && {fetch}"
        case Fix.PUT_BACK if flaw.part is Part.REQUESTS and flaw.round == 1:
            return f"put the file back as it was, or where the input is elsewhere: {fetch} --input PATH"
        case Fix.PUT_BACK:
            return "put back a copy of the file as it was"


def next_command(fixes: Mapping[Fix, int], anew: Sequence[str], fetch: str, otherwise: str) -> str:
    """What mends the most at once, else what the job needs next; `anew`: the files that a fetch must miss.

    Only the index is taken away: the raw file stays until a whole download takes its place.
    """
    if anew:
        paths = " ".join(shlex.quote(path) for path in anew[:PATHS_IN_A_COMMAND])
        return f"rm {paths} && {fetch}"
    if fixes.get(Fix.FETCH):
        return fetch
    return "" if fixes.get(Fix.PUT_BACK) else otherwise
