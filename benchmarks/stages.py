"""What is run, in which order. Each function measures one stage; what its commands took lies in the bench by label.

"X, one request" is the same command for an input of one request: what it takes to start, to import and to say hello.
"""

import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from benchmarks.inputs import Shape, Shelf
from benchmarks.measuring import BATCHCTL, Failed, Far, cloned, emptied, measured, surroundings
from benchmarks.report import Run

NAIVE = Path(__file__).with_name("naive.py")
SMALL, DOCUMENT, IDS = Shape(), Shape(kind="document"), Shape(kind="ids")
ODD = (Shape(unordered=True), Shape(id_last=True), Shape(spaced=True), Shape(crlf=True))
SUCCESS, SOME_FAILED, NO_KEY = 0, 3, 4
PYTHON = sys.executable


@dataclass
class Bench:
    """`count` requests, `times` rounds. `runs` by label, and `spans`, the seconds that the sink saw of some of them.

    `facts` are single numbers, `whys` say what could not be had.
    """

    shelf: Shelf
    far: Far
    folder: Path
    count: int
    documents: int
    ids: int
    times: int
    emit: Callable[[str], None]
    runs: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    spans: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    facts: dict[str, float] = field(default_factory=dict)
    whys: dict[str, str] = field(default_factory=dict)

    def run(
        self,
        label: str,
        *command: str | Path,
        cwd: Path | None = None,
        expected: Sequence[int] = (SUCCESS,),
        reads: Sequence[Path] = (),
    ) -> str:
        """Runs and remembers; gives stdout. `reads`: what it, or the sink for it, is to find in memory. Raises Failed."""
        env = surroundings(self.folder, self.far.url)
        taken, said = measured(command, cwd or self.folder, env, expected, reads)
        self.runs[label].append(taken)
        self.emit(f"{label}: {taken.wall:.3f} s, {taken.cpu:.3f} s CPU, {taken.peak_bytes / 1e6:.0f} MB")
        return said

    def program(self, label: str, *words: str | Path, cwd: Path, reads: Sequence[Path] = ()) -> None:
        expected = (SUCCESS, SOME_FAILED)
        self.run(label, *BATCHCTL, *words, "-q", cwd=cwd, expected=expected, reads=(cwd, *reads))

    def place(self, name: str) -> Path:
        return self.folder / name

    def copy(self, label: str, source: Path) -> None:
        target = self.place("copied")
        target.unlink(missing_ok=True)
        self.run(label, "cp", source, target, reads=(source,))
        target.unlink()

    @property
    def small(self) -> Path:
        return self.shelf.requests(SMALL, self.count)

    @property
    def results(self) -> Path:
        return self.shelf.results(SMALL, self.count, self.small)

    @property
    def one(self) -> Path:
        return self.shelf.requests(SMALL, 1)


def one_of(label: str) -> str:
    return f"{label}, one request"


# ---------------------------------------------------------------- start-up


def startup(bench: Bench) -> None:
    home = emptied(bench.place("startup"))
    bench.program("", "run", bench.one, "--equal-sizes", "--yes", cwd=home)
    bench.runs.pop("")
    for _ in range(bench.times):
        bench.run("python -c pass", PYTHON, "-c", "pass")
        bench.run("--help", *BATCHCTL, "--help")
        bench.run("status --offline", *BATCHCTL, "status", "@last", "--offline", cwd=home)
        bench.run("import anthropic", PYTHON, "-c", "import anthropic")


# ---------------------------------------------------------------- check and cut


def plan(bench: Bench) -> None:
    inputs = {"small": bench.small, "documents": bench.shelf.requests(DOCUMENT, bench.documents)}
    _plan(bench, inputs)
    for _ in range(bench.times):
        for name, source in inputs.items():
            bench.copy(f"cp {name} (floors)", source)
            floors(bench, name, [source])
        download(bench, "curl -o (floors)")
        floors(bench, "results", sorted(bench.results.glob("*.jsonl")))


def floors(bench: Bench, name: str, paths: Sequence[Path]) -> None:
    for what in ("hash", "parse"):
        bench.run(f"{what} {name}", PYTHON, "-m", "benchmarks.floors", what, *paths, reads=paths)


def odd(bench: Bench) -> None:
    """The same for lines that leave the straight way."""
    _plan(bench, {shape.name: bench.shelf.requests(shape, bench.count) for shape in ODD})


def _plan(bench: Bench, inputs: Mapping[str, Path]) -> None:
    for _ in range(bench.times):
        for name, source in inputs.items():
            bench.copy(f"cp {name}", source)
            dry_run(bench, f"check and cut {name}", source)
        dry_run(bench, one_of("check and cut"), bench.one)


def dry_run(bench: Bench, label: str, source: Path) -> None:
    bench.program(label, "submit", source, "--dry-run", cwd=emptied(bench.place("planning")), reads=(source,))


# ---------------------------------------------------------------- send; fetch, merge, retry


def planned(bench: Bench, source: Path, folder: Path, *options: str) -> Path:
    """A folder with a job that is planned and not sent: without a key, `submit` comes as far as that."""
    env = surroundings(bench.folder, bench.far.url, key=False)
    measured([*BATCHCTL, "submit", source, "--equal-sizes", "--yes", *options], emptied(folder), env, (NO_KEY,))
    return folder


def stages(bench: Bench) -> None:
    """A job in steps, each a command of its own, beginning from a copy of the folder in which the step before ended."""
    plan = planned(bench, bench.small, bench.place("planned"))
    # Once: of these, only what they take in memory is of use, for the sink tells their time.
    one = planned(bench, bench.one, bench.place("one"))
    bench.program(one_of("send"), "submit", bench.one, "--equal-sizes", "--yes", cwd=one)
    bench.program(one_of("fetch"), "fetch", cwd=one)
    for _ in range(bench.times):
        bench.far.reset()
        upload(bench, "curl -T")
        download(bench, "curl -o")
        bench.copy("cp small (retry)", bench.small)
        home = cloned(plan, bench.place("home"))
        bench.program("send", "submit", bench.small, "--equal-sizes", "--yes", cwd=home, reads=(bench.small,))
        bench.program("fetch", "fetch", cwd=home, reads=(bench.results,))
        bench.spans["send"].append(bench.far.span("create"))
        bench.spans["fetch"].append(bench.far.span("results"))
        (results,) = home.glob("*.results.jsonl")
        bench.copy("cp results", results)
        _merge_and_rebuild(bench, "", home)
        _merge_and_rebuild(bench, one_of(""), cloned(one, home))


def _merge_and_rebuild(bench: Bench, suffix: str, home: Path) -> None:
    for written in home.glob("*.jsonl"):
        written.unlink()
    bench.program(f"merge{suffix}", "fetch", cwd=home)
    bench.program(f"retry file{suffix}", "retry", "--include-invalid", "--dry-run", cwd=home)


def sums(bench: Bench) -> None:
    """A fetch, and the same by a program that does not sum up what the answers used; each is the first in turn."""
    bench.far.reset()
    sent = planned(bench, bench.small, bench.place("planned"))
    bench.program("send, to be fetched", "submit", bench.small, "--equal-sizes", cwd=sent)
    programs = [("fetch, summed up", "batchctl"), ("fetch, not summed up", "benchmarks.unmetered")]
    for number in range(bench.times):
        for label, program in programs[:: -1 if number % 2 else 1]:
            home = cloned(sent, bench.place("home"))
            # What is left out is left out of one process.
            command = (PYTHON, "-m", program, "fetch", "--engine", "threads", "-q")
            bench.run(label, *command, cwd=home, expected=(SUCCESS, SOME_FAILED), reads=(home, bench.results))


def upload(bench: Bench, label: str) -> None:
    command = ("curl", "-sS", "-T", bench.small, "-o", os.devnull, f"{bench.far.url}/sink/swallow")
    bench.run(label, *command, reads=(bench.small,))


def download(bench: Bench, label: str) -> None:
    target = bench.place("downloaded")
    bench.run(label, "curl", "-sS", "-o", target, f"{bench.far.url}/sink/all", reads=(bench.results,))
    target.unlink()


# ---------------------------------------------------------------- the whole job


def whole(bench: Bench) -> None:
    for _ in range(bench.times):
        naive(bench, "naive script", bench.small)
        whole_job(bench, "whole job", bench.small)
        same_failures(bench.place("naive") / "retry.jsonl", bench.place("job"))
        note_ledger(bench, bench.place("job"))
        upload(bench, "curl -T (whole)")
        download(bench, "curl -o (whole)")
        whole_job(bench, one_of("whole job"), bench.one)


def again(bench: Bench) -> None:
    """What failed for a passing reason is sent once more, fetched and merged, and that until nothing is left."""
    for _ in range(bench.times):
        bench.far.reset()
        home = emptied(bench.place("job"))
        bench.program(
            "run, all rounds",
            "run",
            bench.small,
            "--equal-sizes",
            "--yes",
            cwd=home,
            reads=(bench.small, bench.results),
        )


def naive(bench: Bench, label: str, source: Path) -> None:
    bench.far.reset()
    home = emptied(bench.place("naive"))
    bench.run(label, PYTHON, NAIVE, source, ".", cwd=home, reads=(source, bench.results))


def whole_job(bench: Bench, label: str, source: Path) -> None:
    """One round, and the retry file of all that failed: what the naive script does, and merged in input order as well."""
    bench.far.reset()
    home = emptied(bench.place("job"))
    bench.program(
        label, "run", source, "--equal-sizes", "--yes", "--max-rounds", "1", cwd=home, reads=(source, bench.results)
    )
    bench.program(f"{label}: retry file", "retry", "--include-invalid", "--dry-run", cwd=home)


def same_failures(theirs: Path, home: Path) -> None:
    """Both have the same requests to send again. Raises Failed: what was compared was not the same work."""
    (ours,) = home.glob("*.requests.jsonl")
    with theirs.open("rb") as one, ours.open("rb") as other:
        if any(json.loads(first) != json.loads(second) for first, second in zip_longest(one, other, fillvalue=b"{}")):
            raise Failed("the naive script and batchctl would send other requests again")


def note_ledger(bench: Bench, home: Path) -> None:
    bench.facts["ledger bytes"] = sum(path.stat().st_size for path in (home / ".batchctl").glob("ledger.db*"))


# ---------------------------------------------------------------- many batches


def looks(bench: Bench) -> None:
    """A job of 1,000 batches, looked at. Counted at the far end."""
    bench.far.reset()
    source = bench.shelf.requests(SMALL, 10_000)
    folder = planned(bench, source, bench.place("many"), "--max-requests", "10")
    bench.program("send 1,000 batches", "submit", source, "--equal-sizes", "--yes", cwd=folder)
    asked = []
    for _ in range(bench.times):
        home = cloned(folder, bench.place("home"))
        before = bench.far.requests()
        bench.run("status of 1,000 batches", *BATCHCTL, "status", "@last", cwd=home)
        asked.append((bench.far.requests() - before).total())
    bench.facts["requests of a status"] = max(asked)


# ---------------------------------------------------------------- growth


def growth(bench: Bench) -> None:
    for count in (each for each in (10_000, 100_000) if each < bench.count):
        source = bench.shelf.requests(SMALL, count)
        for number in range(bench.times):
            dry_run(bench, f"check and cut small, {count:,}", source)
            whole_job(bench, f"whole job, {count:,}", source)
            if not number:
                naive(bench, f"naive script, {count:,}", source)


def ids(bench: Bench) -> None:
    """Lines that are little more than their ids, ten times as many: once each, for memory is what this is about."""
    for shape in (IDS, Shape(kind="ids", unordered=True)):
        source = bench.shelf.requests(shape, bench.ids)
        dry_run(bench, f"check {shape.name}, {bench.ids:,}", source)


STAGES: Mapping[str, Callable[[Bench], None]] = {
    "startup": startup,
    "plan": plan,
    "stages": stages,
    "sums": sums,
    "whole": whole,
    "ids": ids,
    "odd": odd,
    "again": again,
    "growth": growth,
    "looks": looks,
}
