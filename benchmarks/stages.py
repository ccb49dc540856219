"""What is run, in which order. Each function measures one part; what its commands took lies in the bench by label.

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
SMALL, DOCUMENT, ID_LAST, IDS = Shape(), Shape(kind="document"), Shape(id_last=True), Shape(kind="ids", unordered=True)
ENGINES = ("threads", "processes")
# What a further process imports: one that checks requests, one that fetches results.
CHECKER, FETCHER = "imports of a checker", "imports of a fetcher"
IMPORTS = {
    CHECKER: "import batchctl.cli, batchctl.requests.sections",
    FETCHER: "import batchctl.cli, batchctl.verbs.open_session; from batchctl.engine.worker import load_sdk; load_sdk()",
}
SMALLER = (10_000, 100_000)
# The naive script takes a minute and a half.
NAIVE_ROUNDS = 2
SUCCESS, SOME_FAILED, NO_KEY = 0, 3, 4
PYTHON = sys.executable


@dataclass
class Bench:
    """`count` requests, `times` rounds. `runs` by label; `facts` are single numbers."""

    shelf: Shelf
    far: Far
    folder: Path
    count: int
    times: int
    emit: Callable[[str], None]
    runs: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    facts: dict[str, float] = field(default_factory=dict)

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
        held = f"{taken.held_bytes / 1e6:.0f} MB in {taken.processes}"
        self.emit(f"{label}: {taken.wall:.3f} s, {taken.cpu:.3f} s CPU, {held}")
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
    measured([*BATCHCTL, "run", bench.one, "--equal-sizes", "--yes"], home, surroundings(bench.folder, bench.far.url))
    for _ in range(bench.times):
        bench.run("import typer", PYTHON, "-c", "import typer")
        bench.run("--help", *BATCHCTL, "--help")
        bench.run("status --offline", *BATCHCTL, "status", "@last", "--offline", cwd=home)
        for label, code in IMPORTS.items():
            bench.run(label, PYTHON, "-c", code)


# ---------------------------------------------------------------- check and cut


def check(bench: Bench) -> None:
    documents, id_last = bench.shelf.requests(DOCUMENT, bench.count // 10), bench.shelf.requests(ID_LAST, bench.count)
    for _ in range(bench.times):
        _floor(bench, "hash", bench.small)
        _floor(bench, "parse", bench.small)
        dry_run(bench, "check", bench.small)
        for engine in ENGINES:
            dry_run(bench, f"check, {engine}", bench.small, "--engine", engine)
        without_rules(bench)
        _floor(bench, "parse", documents, ", 6 KB")
        dry_run(bench, "check, 6 KB", documents)
        dry_run(bench, "check, custom_id last", id_last)
        dry_run(bench, one_of("check"), bench.one)


def _floor(bench: Bench, what: str, source: Path, suffix: str = "") -> None:
    bench.run(f"{what}{suffix}", PYTHON, "-m", "benchmarks.floors", what, source, reads=(source,))


def dry_run(bench: Bench, label: str, source: Path, *options: str) -> None:
    home = emptied(bench.place("planning"))
    bench.program(label, "submit", source, "--dry-run", *options, cwd=home, reads=(source,))


def without_rules(bench: Bench) -> None:
    words = ("submit", bench.small, "--dry-run", "--engine", "threads", "-q")
    home = emptied(bench.place("planning"))
    bench.run("check, no rules", PYTHON, "-m", "benchmarks.without_rules", *words, cwd=home, reads=(home, bench.small))


# ---------------------------------------------------------------- send; fetch, merge, retry


def planned(bench: Bench, source: Path, folder: Path, *options: str) -> Path:
    """A folder with a job that is planned and not sent: without a key, `submit` comes as far as that."""
    env = surroundings(bench.folder, bench.far.url, key=False)
    measured([*BATCHCTL, "submit", source, "--equal-sizes", "--yes", *options], emptied(folder), env, (NO_KEY,))
    return folder


def steps(bench: Bench) -> None:
    """A job in steps, each a command of its own, beginning from a copy of the folder in which the step before ended."""
    plan, one = planned(bench, bench.small, bench.place("planned")), planned(bench, bench.one, bench.place("one"))
    for _ in range(bench.times):
        bench.far.reset()
        source, reads = bench.small, (bench.results,)
        bench.run("curl -T", *_curl("-T", source, "-o", os.devnull), f"{bench.far.url}/sink/swallow", reads=(source,))
        downloaded = bench.place("downloaded")
        bench.run("curl -o", *_curl("-o", downloaded), f"{bench.far.url}/sink/all", reads=reads)
        downloaded.unlink()
        bench.copy("cp", source)
        sent = cloned(plan, bench.place("sent"))
        _send(bench, "send", source, sent)
        for engine in ENGINES:
            home = cloned(sent, bench.place("home"))
            bench.program(f"fetch, {engine}", "fetch", "--engine", engine, cwd=home, reads=reads)
        _fetch_and_all_after(bench, cloned(sent, bench.place("home")))
        alone = cloned(one, bench.place("sent"))
        _send(bench, one_of("send"), bench.one, alone)
        _fetch_and_all_after(bench, alone, one_of(""))


def _curl(*words: str | Path) -> Sequence[str | Path]:
    return ("curl", "-sS", *words)


def _send(bench: Bench, label: str, source: Path, home: Path) -> None:
    bench.program(label, "submit", source, "--equal-sizes", "--yes", cwd=home, reads=(source,))


def _fetch_and_all_after(bench: Bench, home: Path, suffix: str = "") -> None:
    bench.program(f"fetch{suffix}", "fetch", cwd=home, reads=() if suffix else (bench.results,))
    if not suffix:
        (results,) = home.glob("*.results.jsonl")
        bench.copy("cp of the results", results)
    for written in home.glob("*.jsonl"):
        written.unlink()
    bench.program(f"merge{suffix}", "fetch", cwd=home)
    bench.program(f"retry file{suffix}", "retry", "--include-invalid", "--dry-run", cwd=home)


# ---------------------------------------------------------------- the whole job


def whole(bench: Bench) -> None:
    for _ in range(min(bench.times, NAIVE_ROUNDS)):
        naive(bench, "naive script", bench.small)
        whole_job(bench, "whole job", bench.small)
        same_failures(bench.place("naive") / "retry.jsonl", bench.place("job"))
        ledger = (bench.place("job") / ".batchctl").glob("ledger.db*")
        bench.facts["ledger bytes"] = sum(path.stat().st_size for path in ledger)
        whole_job(bench, one_of("whole job"), bench.one)


def naive(bench: Bench, label: str, source: Path) -> None:
    bench.far.reset()
    home = emptied(bench.place("naive"))
    bench.run(label, PYTHON, NAIVE, source, ".", cwd=home, reads=(source, bench.results))


def whole_job(bench: Bench, label: str, source: Path) -> None:
    """One round, and the retry file of all that failed: what the naive script does, and merged in input order as well."""
    bench.far.reset()
    home = emptied(bench.place("job"))
    words = ("run", source, "--equal-sizes", "--yes", "--max-rounds", "1")
    bench.program(label, *words, cwd=home, reads=(source, bench.results))
    bench.program(f"{label}: retry file", "retry", "--include-invalid", "--dry-run", cwd=home)


def same_failures(theirs: Path, home: Path) -> None:
    """Both have the same requests to send again. Raises Failed: what was compared was not the same work."""
    (ours,) = home.glob("*.requests.jsonl")
    with theirs.open("rb") as one, ours.open("rb") as other:
        if any(json.loads(first) != json.loads(second) for first, second in zip_longest(one, other, fillvalue=b"{}")):
            raise Failed("the naive script and batchctl would send other requests again")


# ---------------------------------------------------------------- many batches


def looks(bench: Bench) -> None:
    """A job of 1,000 batches, looked at. Counted at the far end."""
    bench.far.reset()
    source = bench.shelf.requests(SMALL, 10_000)
    home = planned(bench, source, bench.place("many"), "--max-requests", "10")
    _send(bench, "send 1,000 batches", source, home)
    before = bench.far.requests()
    bench.run("status of 1,000 batches", *BATCHCTL, "status", "@last", cwd=home)
    bench.facts["requests of a status"] = (bench.far.requests() - before).total()


# ---------------------------------------------------------------- growth


def growth(bench: Bench) -> None:
    """Fewer requests, and ten times as many lines that are little more than their ids. Once each."""
    for count in (each for each in SMALLER if each < bench.count):
        source = bench.shelf.requests(SMALL, count)
        dry_run(bench, f"check, {count:,}", source)
        whole_job(bench, f"whole job, {count:,}", source)
        naive(bench, f"naive script, {count:,}", source)
    dry_run(bench, "check, ids", bench.shelf.requests(IDS, bench.count * 10))


STAGES: Mapping[str, Callable[[Bench], None]] = {
    "startup": startup,
    "check": check,
    "steps": steps,
    "whole": whole,
    "growth": growth,
    "looks": looks,
}
