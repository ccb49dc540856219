"""From measurements to a table: pure arithmetic, and Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """One process from its start to its end. `wall` and `cpu` in seconds; `cpu` is its own and its children's."""

    wall: float
    cpu: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Bound:
    """What is aimed at: at least or at most that much."""

    limit: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def shown(self, unit: str) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}{unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. `whole`: of whole processes; `net`: without what they take to start.

    Must and moonshot are about `net` where `is_net`, else about `whole`; and about this size only where `is_held`.
    `why`: why neither was measured.
    """

    work: str
    whole: Spread | None = None
    net: Spread | None = None
    is_net: bool = False
    must: Bound | None = None
    moonshot: Bound | None = None
    unit: str = "x"
    is_held: bool = True
    why: str = ""

    @property
    def judged(self) -> Spread | None:
        return self.net if self.is_net else self.whole

    @property
    def fails(self) -> bool:
        """Whether a must does not hold. What was not measured does not hold."""
        if self.must is None or not self.is_held:
            return False
        return self.judged is None or not self.must.holds(self.judged.median)

    @property
    def verdict(self) -> str:
        if self.must is None:
            return ""
        if not self.is_held:
            return "of 1,000,000 only"
        if self.judged is None:
            return "not measured"
        if self.fails:
            return "**no**"
        return "moonshot" if self.moonshot is not None and self.moonshot.holds(self.judged.median) else "must"


def spread(values: Iterable[float]) -> Spread:
    """Raises ValueError where there are none."""
    found = sorted(values)
    if not found:
        raise ValueError("nothing was measured")
    return Spread(median(found), found[0], found[-1])


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Round by round: what ran side by side is compared, and the median of the ratios is taken."""
    return spread(one / other for one, other in zip(ours, theirs, strict=True))


def walls(runs: Sequence[Run]) -> list[float]:
    return [run.wall for run in runs]


def less(whole: Sequence[float], part: float) -> list[float]:
    """What is left of each when a part is taken out; never less than nothing."""
    return [max(0.0, one - part) for one in whole]


def total(first: Sequence[float], second: Sequence[float]) -> list[float]:
    return [one + other for one, other in zip(first, second, strict=True)]


# ---------------------------------------------------------------- Markdown


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def shown(found: Spread | None, unit: str) -> str:
    if found is None:
        return "-"
    return f"{figure(found.median)}{unit} ({figure(found.low)} to {figure(found.high)})"


def figure(value: float) -> str:
    """With as many digits as are worth reading."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def row_table(rows: Sequence[Row]) -> str:
    """With must and moonshot, where a row of it has them."""
    heads = ["work", "net of start-up", "whole processes"]
    if not any(row.must for row in rows):
        return table(heads, (_measured_cells(row) for row in rows))
    return table([*heads, "must", "moonshot", "holds"], ([*_measured_cells(row), *_aims(row)] for row in rows))


def _measured_cells(row: Row) -> list[str]:
    if row.why:
        return [row.work, f"not measured: {row.why}", "-"]
    net, whole = shown(row.net, row.unit), shown(row.whole, row.unit)
    judged_net = row.is_net and row.must is not None
    judged_whole = not row.is_net and row.must is not None
    return [row.work, f"**{net}**" if judged_net else net, f"**{whole}**" if judged_whole else whole]


def _aims(row: Row) -> list[str]:
    return [*(bound.shown(row.unit) if bound else "-" for bound in (row.must, row.moonshot)), row.verdict]


def run_table(measured: Mapping[str, Sequence[Run]]) -> str:
    """Every command by itself: medians, and the largest peak."""
    heads = ("command", "runs", "wall s (min to max)", "CPU s", "peak MB")
    return table(heads, ((label, *_run_cells(runs)) for label, runs in measured.items()))


def _run_cells(runs: Sequence[Run]) -> Sequence[str]:
    wall = spread(walls(runs))
    return (
        str(len(runs)),
        f"{wall.median:.3f} ({wall.low:.3f} to {wall.high:.3f})",
        f"{median(run.cpu for run in runs):.3f}",
        figure(max(run.peak_bytes for run in runs) / MB),
    )


def between(text: str, opening: str, closing: str, renewed: str) -> str:
    """The text with what stands between two markers renewed. Raises ValueError where they are not there."""
    before, found, rest = text.partition(opening)
    _, ended, after = rest.partition(closing)
    if not (found and ended):
        raise ValueError(f"no {opening} ... {closing}")
    return f"{before}{opening}{renewed}{closing}{after}"
