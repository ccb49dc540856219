"""`make bench`: python -m benchmarks [--quick] [--only STAGE,STAGE] [--requests N] [--times N] [--folder FOLDER]."""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.inputs import Shelf
from benchmarks.measuring import sinking
from benchmarks.report import run_table
from benchmarks.stages import SMALL, STAGES, Bench


def main() -> int:
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--only", default=",".join(STAGES))
    wanted.add_argument("--requests", type=int, default=1_000_000)
    wanted.add_argument("--times", type=int, default=5)
    wanted.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "batchctl-bench")
    given = wanted.parse_args()
    folder = given.folder.resolve()
    shelf = Shelf(folder)
    count = given.requests
    results = shelf.results(SMALL, count, shelf.requests(SMALL, count))
    with sinking(results) as far, tempfile.TemporaryDirectory(dir=folder) as place:
        bench = Bench(
            shelf,
            far,
            Path(place),
            count,
            count // 10,
            count * 10,
            given.times,
            lambda line: print(line, file=sys.stderr),
        )
        for name in given.only.split(","):
            STAGES[name](bench)
        print(run_table(bench.runs))
        print(bench.facts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
