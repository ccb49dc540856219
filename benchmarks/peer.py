"""instructor's batch commands on the same requests: the one other command line that sends a JSONL to Message Batches.

It is installed on demand, into an environment of its own: python -m benchmarks --only peer
"""

import hashlib
import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import Failed, cloned, emptied, measured, surroundings
from benchmarks.stages import PYTHON, SMALL, Bench, one_of, planned

REQUIREMENTS = Path(__file__).with_name("peer-requirements.txt")
# Its commands name the provider so, and look for a key of another even where that one is not asked.
MODEL = "anthropic/claude-haiku-4-5"
SENT, FETCHED = 20_000, 10_000
PATIENCE_SECONDS = 300


def peer(bench: Bench) -> None:
    try:
        instructor = _installed(bench)
    except (OSError, subprocess.SubprocessError) as problem:
        raise Failed(f"instructor could not be installed ({type(problem).__name__})") from problem
    for _ in range(bench.times):
        for label, count in (("send 20,000 in one batch", SENT), (one_of("send 20,000 in one batch"), 1)):
            _send(bench, instructor, label, count)
        for label, count in (("fetch 10,000", FETCHED), (one_of("fetch 10,000"), 1)):
            _fetch(bench, instructor, label, count)


def _installed(bench: Bench) -> Path:
    """Its command. Raises what kept it from being installed."""
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:8]
    folder = bench.shelf.folder.parent / f"peer-{wanted}-{sys.version_info.major}.{sys.version_info.minor}"
    command = folder / "bin" / "instructor"
    if not command.exists():
        bench.emit("installing instructor")
        subprocess.run([PYTHON, "-m", "venv", "--clear", folder], check=True, timeout=PATIENCE_SECONDS)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "--requirement", REQUIREMENTS], check=True, timeout=PATIENCE_SECONDS, stdin=subprocess.DEVNULL
        )
    return command


def _send(bench: Bench, instructor: Path, label: str, count: int) -> None:
    source = bench.shelf.requests(SMALL, count)
    words = ("batch", "create-from-file", "--file-path", source, "--model", MODEL)
    _instructed(bench, instructor, f"instructor: {label}", *words, says="created with ID")
    plan = planned(bench, source, bench.place("peer-plan"), "--max-requests", str(SENT))
    bench.program(label, "submit", source, "--equal-sizes", "--yes", cwd=plan)


def _fetch(bench: Bench, instructor: Path, label: str, count: int) -> None:
    """Of a batch that was sent before; ours is checked line by line and merged as well."""
    source = bench.shelf.requests(SMALL, count)
    plan = planned(bench, source, bench.place("peer-plan"))
    env = surroundings(bench.folder, bench.far.url)
    measured([PYTHON, "-m", "batchctl", "submit", source, "--equal-sizes", "--yes"], plan, env)
    newest = bench.far.newest()
    out = emptied(bench.place("peer")) / "results.jsonl"
    words = ("batch", "results", "--batch-id", newest, "--output-file", out, "--model", MODEL)
    _instructed(bench, instructor, f"instructor: {label}", *words, says="Results saved")
    if out.read_bytes().count(b"\n") != count:
        raise Failed(f"instructor wrote other than {count} results")
    bench.program(label, "fetch", cwd=cloned(plan, bench.place("home")))


def _instructed(bench: Bench, instructor: Path, label: str, *words: str | Path, says: str) -> None:
    """It ends with 0 whatever happens: what it says tells."""
    said = bench.run(label, "env", "OPENAI_API_KEY=none", instructor, *words)
    if says not in said:
        raise Failed(f"{label}: {said}")
