"""The commands that are stopped at every step, each with what comes before it and what finishes the job after it."""

import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from program import Cli, request, requests, wrong_request

Steps = tuple[tuple[str, ...], ...]

CUT = ("--max-requests", "3")
FETCH = ("fetch",)
# Some answers are overloaded the first time, one is wrong for ever: both files of the end have something in them.
MIXED = {"overloaded_error": 0.5}
WRONG = wrong_request("wrong")
LOST = {"on": "create", "fault": "drop_after_accept", "nth": 2}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """`before` and `after` are commands that run undisturbed. `least`: fewer stop points mean that nothing was watched.

    `again`: what the same command may end with the second time, if its first run came further than its end.
    """

    name: str
    words: tuple[str, ...]
    least: int
    after: Steps
    before: Steps = ()
    again: frozenset[int] = frozenset({0})
    lines: Sequence[bytes] = field(default_factory=lambda: requests(7))
    file: str = "in.jsonl"
    stdin: bytes = b""
    packed: Callable[[bytes], bytes] = bytes
    outcomes: Mapping[str, Any] = field(default_factory=dict)
    faults: Sequence[Mapping[str, Any]] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def only_reads(self) -> bool:
        """Whether the command leaves the API as it was."""
        return self.words[0] == "fetch"

    @property
    def scenario(self) -> dict[str, Any]:
        return {"batch_seconds": 0, "outcomes": self.outcomes, "faults": list(self.faults), **self.more}

    def lay_out(self, cli: Cli) -> None:
        if self.file:
            (cli.folder / self.file).write_bytes(self.packed(_text(self.lines)))


def _text(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _packed(plain: bytes) -> bytes:
    return gzip.compress(plain, mtime=0)


SENT = ("submit", "in.jsonl", *CUT)
SIX = [*requests(7), WRONG]
# What is sent already is refused: the first run had come to its end.
SENDS = frozenset({0, 6})

SUBMIT = Scene(name="submit", words=SENT, least=60, after=(FETCH,), again=SENDS)
SUBMIT_PACKED = Scene(
    name="submit-packed",
    words=("submit", "in.jsonl.gz", *CUT, "--parallel", "1"),
    least=60,
    after=(FETCH,),
    again=SENDS,
    file="in.jsonl.gz",
    packed=_packed,
)
SUBMIT_SKIP_BAD = Scene(
    name="submit-skip-bad",
    words=("submit", "-", "--skip-bad", *CUT),
    least=70,
    after=(FETCH,),
    again=SENDS,
    file="",
    stdin=_text([*requests(3), b"no request", *requests(3, "s"), requests(1)[0]]),
)
SUBMIT_CACHED = Scene(
    name="submit-cache-system",
    words=("submit", "in.jsonl", "--cache-system", "1h", *CUT, "--parallel", "1"),
    least=60,
    after=(FETCH,),
    again=SENDS,
    lines=[request(f"r-{n}", system="Be brief.") for n in range(7)],
)
SUBMIT_LOST = Scene(
    name="submit-lost-answer", words=SENT, least=60, after=(FETCH,), again=SENDS, lines=requests(6), faults=[LOST]
)
FETCHED = Scene(
    name="fetch", words=FETCH, least=70, before=(SENT,), after=(), again=frozenset({0, 3}), lines=SIX, outcomes=MIXED
)
# Only what the first process does is counted; workers are found in whatever state they are in by then.
FETCHED_BY_PROCESSES = Scene(
    name="fetch-processes",
    words=("fetch", "--engine", "processes", "--parallel", "2"),
    least=10,
    before=(SENT,),
    after=(),
    again=frozenset({0, 3}),
    lines=SIX,
    outcomes=MIXED,
)
FETCHED_AGAIN = Scene(
    name="fetch-round-2",
    words=FETCH,
    least=50,
    before=(SENT, FETCH, ("retry",)),
    after=(),
    again=frozenset({0, 3}),
    lines=SIX,
    outcomes=MIXED,
)
RETRIED = Scene(
    name="retry",
    words=("retry",),
    least=24,
    before=(SENT, FETCH),
    after=(FETCH,),
    again=SENDS,
    lines=SIX,
    outcomes=MIXED,
)

RUN = Scene(
    name="run",
    words=("run", "in.jsonl", *CUT, "--poll", "50ms"),
    least=120,
    after=(),
    again=frozenset({0, 3}),
    lines=SIX,
    outcomes=MIXED,
)
CANCEL = Scene(
    name="cancel",
    words=("cancel", "@last", "--yes", "--poll", "50ms"),
    least=10,
    before=(SENT,),
    after=(FETCH,),
    again=frozenset({0, 3, 6}),
    lines=SIX,
    more={"batch_seconds": 60, "cancel_seconds": 0, "finished_at_cancel": 0.5},
)
DELETE = Scene(
    name="delete",
    words=("delete", "@last", "--yes"),
    least=10,
    before=(SENT, FETCH),
    after=(),
    again=frozenset({0, 6}),
    lines=SIX,
)

# Two shapes, one of which the API refuses: only a first batch tells.
SHAPES = [wrong_request(f"w-{n}") if n % 3 else request(f"r-{n}") for n in range(9)]
SUBMIT_CANARY = Scene(
    name="submit-canary",
    words=("submit", "in.jsonl", "--canary", *CUT, "--poll", "50ms"),
    least=90,
    after=(FETCH,),
    again=frozenset({3, 6}),
    lines=SHAPES,
)
PROMPT = "Sort the text into one of the labels that follow. " + "label " * 500
RUN_PRIMED = Scene(
    name="run-primed",
    words=("run", "in.jsonl", "--prime", "--prime-min-hit", "0", *CUT, "--poll", "50ms"),
    least=120,
    after=(),
    again=frozenset({0, 3}),
    lines=[request(f"r-{n}", f"Text {n}", model="claude-haiku-5-5", system=PROMPT) for n in range(7)],
    outcomes=MIXED,
)

SCENES = (
    SUBMIT,
    SUBMIT_PACKED,
    SUBMIT_SKIP_BAD,
    SUBMIT_CACHED,
    SUBMIT_LOST,
    FETCHED,
    FETCHED_AGAIN,
    RETRIED,
    RUN,
    SUBMIT_CANARY,
    RUN_PRIMED,
    CANCEL,
    DELETE,
)
