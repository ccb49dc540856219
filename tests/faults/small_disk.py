"""Run within a mount namespace of its own: a real small file system, and a job on it that finds it full or read-only.

Prints one JSON object per try; the test judges them.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faults.scenario import PER_BATCH, Scenario, scenario
from faults.table import Row
from program import request

ROOM = "64m"
COUNT = 40
ROW = Row(
    group="", happens="", verbs=(), troubles=(), does="", status=1, you="",
    per_batch=COUNT // 2, scene={"batch_seconds": 0, "retry_after": 1},
)  # fmt: skip


def main(folder: Path, what: str, verb: str, steps: Sequence[int]) -> None:
    _mount(folder, f"size={ROOM}", "-t", "tmpfs")
    for step in steps:
        here = folder / "here"
        here.mkdir()
        with scenario(here) as made:
            print(json.dumps({"step": step, **_tried(made, folder, what, verb, step)}), flush=True)
        shutil.rmtree(here)


def _tried(made: Scenario, folder: Path, what: str, verb: str, step: int) -> dict[str, Any]:
    made.lines = [request(f"r-{n:05d}", f"{n} " + "x" * 400) for n in range(COUNT)]
    command = made.prepare(verb, ROW)
    used = os.statvfs(folder)
    kilobytes = (used.f_blocks - used.f_bfree) * used.f_frsize // 1024 + step
    _mount(folder, f"remount,size={kilobytes}k" if what == "full" else "remount,ro")
    ran = made.cli.run(*command)
    reading = made.cli.run("status", "--offline")
    _mount(folder, f"remount,rw,size={ROOM}")
    check = made.ledger_check()
    again = made.cli.run(*command)
    finished = made.finish(verb, ROW)
    answered = [result["custom_id"] for result in made.cli.results(made.job())]
    return {
        "status": ran.status,
        "err": ran.err,
        "reading": reading.status,
        "reading_err": reading.err,
        "check": check,
        "again": again.status,
        "again_err": again.err,
        "finished": finished.status,
        "finished_err": finished.err,
        "each_once": made.received() == Counter(dict.fromkeys(made.lines, 2 if verb == "retry" else 1)),
        "answered": answered == [f"r-{n:05d}" for n in range(COUNT)],
    }


def _mount(folder: Path, options: str, *more: str) -> None:
    subprocess.run(["mount", *more, "-o", options, *(["none"] if more else []), str(folder)], check=True)


if __name__ == "__main__":
    assert PER_BATCH
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], [int(word) for word in sys.argv[4:]])
