"""From measurements to tables: pure arithmetic, and Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """One command from its start to its end.

    `wall` and `cpu` in seconds; `cpu` with that of its children. `peak_bytes`: of its first process. `held_bytes`: the
    most that all its processes held together, and `processes` how many they were then.
    """

    wall: float
    cpu: float
    peak_bytes: int
    held_bytes: int
    processes: int


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Bound:
    """An aim: at least or at most that much."""

    limit: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def shown(self, unit: str) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}{unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table of musts.

    `value`: None where its part was not run. `is_held`: whether the must is about inputs of this size. `reason`: why the
    must does not hold today.
    """

    work: str
    value: Spread | None
    must: Bound
    moonshot: Bound
    unit: str = "x"
    is_held: bool = True
    reason: str = ""

    @property
    def is_missed(self) -> bool:
        """Whether it was measured and the must does not hold."""
        return self.is_held and self.value is not None and not self.must.holds(self.value.median)

    @property
    def fails(self) -> bool:
        """Whether the benchmark has to fail: what was not measured does, what is missed for a known reason does not."""
        return self.is_held and (self.value is None or (self.is_missed and not self.reason))

    @property
    def verdict(self) -> str:
        if not self.is_held:
            return "of 1,000,000 only"
        if self.value is None:
            return "not measured"
        if self.is_missed:
            return "no, see below" if self.reason else "**no**"
        return "moonshot" if self.moonshot.holds(self.value.median) else "must"


def spread(values: Iterable[float]) -> Spread:
    """Raises ValueError where there are none."""
    found = sorted(values)
    if not found:
        raise ValueError("nothing was measured")
    return Spread(median(found), found[0], found[-1])


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Compare what ran side by side, round by round."""
    return spread(one / other for one, other in zip(ours, theirs, strict=True))


# ---------------------------------------------------------------- Markdown


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def figure(value: float) -> str:
    """With as many digits as are worth reading."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def shown(found: Spread | None, unit: str) -> str:
    if found is None:
        return "-"
    return f"{figure(found.median)}{unit} ({figure(found.low)} to {figure(found.high)})"


def row_table(rows: Sequence[Row]) -> str:
    """With the reasons of the rows that do not hold below."""
    aims = table(
        ("row", "measured", "must", "moonshot", "holds"),
        (
            (row.work, shown(row.value, row.unit), row.must.shown(row.unit), row.moonshot.shown(row.unit), row.verdict)
            for row in rows
        ),
    )
    reasons = "".join(f"- {row.work}: {row.reason}\n" for row in rows if row.is_missed and row.reason)
    return f"{aims}\nWhy a must does not hold:\n\n{reasons}" if reasons else aims


def run_table(measured: Mapping[str, Sequence[Run]]) -> str:
    """Every command by itself: medians, and the largest sum of memory."""
    heads = ("command", "runs", "wall s", "CPU s", "MB", "processes")
    return table(heads, ((label, str(len(runs)), *_run_cells(runs)) for label, runs in measured.items()))


def _run_cells(runs: Sequence[Run]) -> Sequence[str]:
    most = max(runs, key=lambda run: run.held_bytes)
    walls, cpu = spread(run.wall for run in runs), median(run.cpu for run in runs)
    return shown(walls, ""), figure(cpu), figure(most.held_bytes / MB), str(most.processes)


def between(text: str, opening: str, closing: str, renewed: str) -> str:
    """The text with what stands between two markers renewed. Raises ValueError where they are not there."""
    before, found, rest = text.partition(opening)
    _, ended, after = rest.partition(closing)
    if not (found and ended):
        raise ValueError(f"no {opening} ... {closing}")
    return f"{before}{opening}{renewed}{closing}{after}"
