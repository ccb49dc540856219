"""How fast, how large, how often: `make bench` measures all of it and writes docs/explanation/performance.md."""

import argparse
import compileall
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

from benchmarks import machine, rows
from benchmarks.inputs import Shelf
from benchmarks.measuring import PROJECT, Failed, sinking
from benchmarks.peer import peer
from benchmarks.report import Row, between, row_table, run_table, table
from benchmarks.rows import Findings
from benchmarks.stages import NAIVE_ROUNDS, SMALL, STAGES, Bench

DOCUMENT = PROJECT / "docs" / "explanation" / "performance.md"
OPENING, CLOSING = "<!-- measured: make bench -->\n", "<!-- end -->"
MEASURERS = {**STAGES, "peer": peer}
# Requests and rounds.
WHOLE, QUICK = (1_000_000, 3), (20_000, 2)
QUICK_STAGES = ("startup", "check", "steps", "whole")


def main() -> int:
    given = _given()
    count, times = QUICK if given.quick else WHOLE
    times = given.times or times
    names = given.only.split(",") if given.only else QUICK_STAGES if given.quick else tuple(STAGES)
    with _bench(given.folder.resolve(), given.requests or count, times, quiet=given.quick) as bench:
        machine_now = list(machine.described(bench.folder))
        _measure(bench, names)
        found = Findings(dict(bench.runs), bench.facts, bench.count)
    aims = rows.aims(found)
    rounds = ("rounds", f"{times}; of the whole job and the naive script {min(times, NAIVE_ROUNDS)}")
    said = _said(found, aims, [*machine_now, rounds])
    print(said, run_table(found.runs), sep="\n")
    if given.write:
        DOCUMENT.write_text(between(DOCUMENT.read_text("utf-8"), OPENING, CLOSING, said), "utf-8")
    is_part = given.quick or given.only
    failing = [row.work for row in aims if row.fails and not (is_part and row.value is None)]
    for work in failing:
        print(f"bench: does not hold: {work}", file=sys.stderr)
    return 1 if failing else 0


def _given() -> argparse.Namespace:
    wanted = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    wanted.add_argument("--quick", action="store_true", help="fewer requests, fewer rounds: under two minutes")
    wanted.add_argument("--write", action="store_true", help=f"the table into {DOCUMENT.relative_to(PROJECT)}")
    wanted.add_argument("--only", metavar="STAGES", help=f"of {','.join(MEASURERS)}")
    wanted.add_argument("--requests", type=int, metavar="N", help="in the input")
    wanted.add_argument("--times", type=int, metavar="N", help="rounds, in each of which everything is run once")
    wanted.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "batchctl-bench")
    return wanted.parse_args()


@contextlib.contextmanager
def _bench(folder: Path, count: int, times: int, *, quiet: bool) -> Iterator[Bench]:
    """Inputs, results and a sink. `folder` keeps what was made for the next time; all else goes again."""
    # The first to start would compile, and nobody installs a program without that.
    compileall.compile_dir(PROJECT / "batchctl", quiet=2)
    shelf = Shelf(folder)
    results = shelf.results(SMALL, count, shelf.requests(SMALL, count))
    with tempfile.TemporaryDirectory(prefix="at-work-", dir=folder) as place, sinking(results) as far:
        yield Bench(
            shelf=shelf,
            far=far,
            folder=Path(place),
            count=count,
            times=times,
            emit=(lambda _: None) if quiet else _emit,
        )


def _measure(bench: Bench, names: Sequence[str]) -> None:
    for name in names:
        begun = perf_counter()
        try:
            MEASURERS[name](bench)
        except Failed as problem:
            # Other parts are measured all the same; the rows that need this one say that they were not.
            _emit(f"bench: {name}: {problem}")
        _emit(f"bench: {name} took {perf_counter() - begun:.0f} s")


def _said(found: Findings, aims: Sequence[Row], machine_now: Sequence[tuple[str, str]]) -> str:
    parts = (
        table(("", ""), machine_now),
        row_table(aims),
        table(rows.SECONDS_HEADS, rows.seconds(found)),
        table(rows.GROWTH_HEADS, rows.growth(found)),
    )
    return "\n".join(("", *parts, ""))


def _emit(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
