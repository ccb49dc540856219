"""From measurements to a table: pure arithmetic, and Markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `judged`: what must and moonshot are about; `whole`: the same with start-up in it.

    `why`: why there is no value.
    """

    work: str
    must: Bound
    moonshot: Bound
    judged: Spread | None
    unit: str = "x"
    whole: Spread | None = None
    why: str = ""

    @property
    def holds(self) -> bool:
        return self.judged is not None and self.must.holds(self.judged.median)

    @property
    def reaches(self) -> bool:
        return self.judged is not None and self.moonshot.holds(self.judged.median)


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


def less(whole: Sequence[float], part: Sequence[float]) -> list[float]:
    """What is left of each when its part is taken out; never less than nothing."""
    return [max(0.0, one - other) for one, other in zip(whole, part, strict=True)]


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


def target_table(rows: Sequence[Row]) -> str:
    heads = ("work", "measured", "with start-up", "must", "moonshot", "holds")
    return table(heads, (_target_cells(row) for row in rows))


def _target_cells(row: Row) -> Sequence[str]:
    if row.judged is None:
        return row.work, f"not measured: {row.why}", "-", row.must.shown(row.unit), row.moonshot.shown(row.unit), "-"
    word = "moonshot" if row.reaches else "must" if row.holds else "**no**"
    return (
        row.work,
        f"**{shown(row.judged, row.unit)}**",
        shown(row.whole, row.unit),
        row.must.shown(row.unit),
        row.moonshot.shown(row.unit),
        word,
    )


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


def between(text: str, opening: str, closing: str, renewed: Callable[[], str]) -> str:
    """The text with what stands between two markers renewed. Raises ValueError where they are not there."""
    before, found, rest = text.partition(opening)
    _, ended, after = rest.partition(closing)
    if not (found and ended):
        raise ValueError(f"no {opening} ... {closing}")
    return f"{before}{opening}{renewed()}{closing}{after}"
