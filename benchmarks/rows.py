"""What is worked out from what was run: every row of the tables, and how it is defined."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.report import MB, Bound, Row, Run, Spread, figure, ratios, spread
from benchmarks.stages import CHECKER, FETCHER, SMALLER, one_of

# Musts are about that many; of fewer, start-up is most of what is measured.
FULL = 1_000_000
NOTHING = 0.001


@dataclass(frozen=True)
class Findings:
    """`runs` by label, as `stages` names them; `count` requests. Its methods raise KeyError for what was not run."""

    runs: Mapping[str, Sequence[Run]]
    facts: Mapping[str, float]
    count: int

    def walls(self, label: str) -> list[float]:
        return [run.wall for run in self.runs[label]]


# Round by round.
Series = Callable[[Findings], list[float]]


def wall(label: str) -> Series:
    return lambda found: found.walls(label)


def cpu(label: str) -> Series:
    return lambda found: [run.cpu for run in found.runs[label]]


def net(label: str, of: str = "") -> Series:
    """Without what the same command, or `of`, takes for one request: the median, for start-up varies."""

    def made(found: Findings) -> list[float]:
        start = median(found.walls(one_of(of or label)))
        return [max(NOTHING, one - start) for one in found.walls(label)]

    return made


def fetch(label: str = "fetch") -> Series:
    """Net, and without the merge at its end: the same command again, with all on the disk, does that alone."""

    def made(found: Findings) -> list[float]:
        both, merged = net(label, "fetch")(found), net("merge")(found)
        return [max(NOTHING, one - other) for one, other in zip(both, merged, strict=True)]

    return made


def job(label: str) -> Series:
    return lambda found: [
        sum(both) for both in zip(found.walls(label), found.walls(f"{label}: retry file"), strict=True)
    ]


# ---------------------------------------------------------------- the table of musts


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """A row to come: `ours`, against `theirs` where there are any.

    `at_least`: how many times faster, and not how many times slower. `any_size`: true of few requests, too. `reason`: a
    sentence, for a must that does not hold for a measured reason.
    """

    work: str
    ours: Series
    against: str = ""
    theirs: Series | None = None
    must: float
    moonshot: float
    unit: str = "x"
    at_least: bool = False
    any_size: bool = False
    reason: str = ""

    def row(self, found: Findings) -> Row:
        try:
            value = self._value(found)
        except KeyError:
            value = None
        return Row(
            work=f"{self.work}, {'times faster than' if self.at_least else 'against'} {self.against}"
            if self.against
            else self.work,
            value=value,
            must=Bound(self.must, at_least=self.at_least),
            moonshot=Bound(self.moonshot, at_least=self.at_least),
            unit=self.unit,
            is_held=self.any_size or found.count >= FULL,
            reason=self.reason,
        )

    def _value(self, found: Findings) -> Spread:
        ours = self.ours(found)
        if self.theirs is None:
            return spread(ours)
        theirs = self.theirs(found)
        return ratios(theirs, ours) if self.at_least else ratios(ours, theirs)


def _memory(found: Findings) -> list[float]:
    """Of the command that takes the most."""
    commands = ("check", "send", "fetch", "merge", "retry file", "whole job")
    return max((_above_imports(found, command) for command in commands), key=median)


def _above_imports(found: Findings, command: str) -> list[float]:
    """What each process holds on average, without what the first and the others import."""
    first, other = (_held(found, label) for label in (one_of(command), CHECKER if command == "check" else FETCHER))
    return [
        max(0.0, run.held_bytes - first - (run.processes - 1) * other) / run.processes / MB
        for run in found.runs[command]
    ]


def _held(found: Findings, label: str) -> float:
    return median(run.held_bytes for run in found.runs[label])


AIMS = (
    Aim(
        work="check and cut, lines of 530 B",
        ours=wall("check"),
        against="one `orjson.loads` per line",
        theirs=wall("parse"),
        must=1.8,
        moonshot=1.3,
        reason="Two cores have 4.6 s of CPU to do, which is 2.2x if it is divided evenly. Starting takes 0.6 s, and "
        "starting and feeding two more processes 1.0 s. Every byte is hashed twice (the input, and each "
        "batch), in 0.9 s. Decoding takes 1.1 s as the floor does, and the checks 1.0 s.",
    ),
    Aim(
        work="check and cut, lines of 6 KB",
        ours=wall("check, 6 KB"),
        against="one `orjson.loads` per line",
        theirs=wall("parse, 6 KB"),
        must=1.8,
        moonshot=1.3,
        reason="One process checks 100,000 lines. Starting takes 0.6 s, two hashes 1.0 s in a thread, decoding 1.0 s "
        "as the floor does, and the checks 0.3 s. More processes would take 1.0 s more of CPU, as above.",
    ),
    Aim(
        work="check and cut, `custom_id` after `params`",
        ours=wall("check, custom_id last"),
        against="`custom_id` first",
        theirs=wall("check"),
        must=1.3,
        moonshot=1.1,
    ),
    Aim(
        work="CPU of a check by one process with the rules of the API",
        ours=cpu("check, threads"),
        against="none of them",
        theirs=cpu("check, no rules"),
        must=1.15,
        moonshot=1.05,
    ),
    Aim(work="fetch, net", ours=fetch(), against="`curl -o`", theirs=wall("curl -o"), must=5.5, moonshot=3.8),
    Aim(
        work="merge, net",
        ours=net("merge"),
        against="`cp`",
        theirs=wall("cp of the results"),
        must=4.5,
        moonshot=3.5,
        reason="It takes 1.7 s of CPU, which is 4.7x on two cores if it is divided evenly. The results are hashed "
        "again (0.5 s), brought into order (0.6 s) and written (0.3 s). Describing 35,000 failures takes 0.3 "
        "s.",
    ),
    Aim(
        work="retry file, net",
        ours=net("retry file"),
        against="`cp`",
        theirs=wall("cp"),
        must=6,
        moonshot=4,
        reason="It takes 2.2 s of CPU, which is 5.9x on two cores if it is divided evenly. The results and the "
        "requests are hashed again, in 0.5 s each. All lines of a batch are split to find those that failed.",
    ),
    Aim(
        work="send, net",
        ours=net("send"),
        against="`curl -T`",
        theirs=wall("curl -T"),
        must=3,
        moonshot=1.7,
        reason="Every byte is hashed on its way (0.4 s). Each of 100 batches is recorded before and after its "
        "create, with two commits that are forced to the disk. `curl` does neither.",
    ),
    Aim(
        work="whole job",
        ours=job("whole job"),
        against="the naive script",
        theirs=wall("naive script"),
        must=9,
        moonshot=13,
        at_least=True,
        reason="It takes 24 s of CPU, which is 12 s on two cores, or 8.9x, if it is divided evenly. The fetch takes "
        "12 s of it, of which 9 s decode and verify each result.",
    ),
    Aim(
        work="check and cut, several processes",
        ours=wall("check, processes"),
        against="with one",
        theirs=wall("check, threads"),
        must=1.6,
        moonshot=1.8,
        at_least=True,
        reason="One process keeps 1.1 cores busy, for it hashes in a thread. Two more take 1.0 s more of CPU, and "
        "both cores are busy for most of the time that is left.",
    ),
    Aim(
        work="fetch, net, several processes",
        ours=fetch("fetch, processes"),
        against="with one",
        theirs=fetch("fetch, threads"),
        must=1.6,
        moonshot=1.9,
        at_least=True,
    ),
    Aim(
        work="peak memory above the imports, per process",
        ours=_memory,
        must=64,
        moonshot=32,
        unit=" MB",
        any_size=True,
    ),
    Aim(
        work="requests for the status of 1,000 batches",
        ours=lambda found: [found.facts["requests of a status"]],
        must=2,
        moonshot=1,
        unit="",
        any_size=True,
    ),
    Aim(
        work="`--help`",
        ours=wall("--help"),
        against='`python -c "import typer"`',
        theirs=wall("import typer"),
        must=1.5,
        moonshot=1.2,
        any_size=True,
    ),
    Aim(
        work="`status --offline`",
        ours=wall("status --offline"),
        against='`python -c "import typer"`',
        theirs=wall("import typer"),
        must=6,
        moonshot=3,
        any_size=True,
    ),
    Aim(
        work="ledger for 1,000,000 requests",
        ours=lambda found: [found.facts["ledger bytes"] / MB * FULL / found.count],
        must=4,
        moonshot=1,
        unit=" MB",
    ),
)


def aims(found: Findings) -> list[Row]:
    """Every row that has a must, whether or not it could be measured."""
    return [aim.row(found) for aim in AIMS]


# ---------------------------------------------------------------- seconds, and growth


SECONDS_HEADS = ("the program", "s", "what it is held against", "s")
GROWTH_HEADS = ("requests", "check and cut, s", "MB", "whole job, s", "MB", "naive script, s", "MB")


def seconds(found: Findings) -> list[Sequence[str]]:
    """Medians: of both sides of each ratio, and of one more floor of a check."""
    sides = [(aim.work, aim.ours, aim.against, aim.theirs) for aim in AIMS if aim.theirs]
    sides.insert(1, (sides[0][0], sides[0][1], "one SHA-256", wall("hash")))
    return [(work, _median(found, ours), against, _median(found, theirs)) for work, ours, against, theirs in sides]


def _median(found: Findings, series: Series) -> str:
    try:
        return figure(median(series(found)))
    except KeyError:
        return "-"


def growth(found: Findings) -> list[Sequence[str]]:
    """Medians of seconds; the most that all processes of a command held together."""
    sizes = [(f"{count:,}", f", {count:,}") for count in SMALLER] + [(f"{found.count:,}", "")]
    rows = [
        (name, *(cell for verb in ("check", "whole job", "naive script") for cell in _taken(found, f"{verb}{suffix}")))
        for name, suffix in sizes
    ]
    rows.append((f"{found.count * 10:,} ids, in no order", *_taken(found, "check, ids"), "-", "-", "-", "-"))
    return [row for row in rows if any(cell != "-" for cell in row[1:])]


def _taken(found: Findings, label: str) -> tuple[str, str]:
    runs = found.runs.get(label)
    if not runs:
        return "-", "-"
    return figure(median(found.walls(label))), f"{max(run.held_bytes for run in runs) / MB:.0f}"
