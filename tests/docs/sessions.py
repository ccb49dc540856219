"""Sessions that a page shows, run in a real terminal from an empty folder, with nothing but the page's own words.

A page holds files, each after `<!-- file: NAME -->`, and commands, in fences after `<!-- session -->`. All commands of a page run in one bash.
What varies from run to run (ids, ports, days) is replaced by something fixed.
"""

import hashlib
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

from batchctl.emulator.running import running
from docs import terminal

PROJECT = Path(__file__).parents[2]
PAGES = (PROJECT / "docs" / "tutorial" / "first-job.md",)
PICTURE = PROJECT / "docs" / "images" / "run.svg"
# Prices change; a document is of a day.
PRICE_DAY = "2026-11-21"
SESSION = re.compile(r"(?<=<!-- session -->\n```console\n).*?(?=```\n)", re.DOTALL)
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", re.DOTALL)
MARK = "@@@ next @@@"
PICTURED = (
    "batchctl run banking77.jsonl --max-requests 100 --max-cost 1 --parallel 1 --poll 1s",
    "batchctl cost",
)


def renewed(page: str) -> str:
    """Return a page with the output of its commands as it is today."""
    with tempfile.TemporaryDirectory() as folder:
        return renewed_in(Path(folder), page)


def renewed_in(folder: Path, page: str) -> str:
    work = folder / "work"
    work.mkdir()
    for name, text in FILE.findall(page):
        (work / name).write_text(text)
    commands = [command for block in SESSION.findall(page) for command in _commands(block)]
    script = folder / "session.sh"
    script.write_text(
        "".join(f"{command}\nstatus=$?; echo '{MARK}'; (exit $status)\n" for command in commands) + "exit 0\n"
    )
    screen = terminal.run_in_terminal(["bash", script], work, _environment(folder))
    said = "\n".join(map(terminal.text_of, screen)).replace(os.path.realpath(work), "/home/you/reviews")
    outputs = iter([text.strip("\n") for text in stable(said).split(MARK)])
    return SESSION.sub(lambda block: _shown(_commands(block[0]), outputs.__next__), page)


def _commands(block: str) -> list[str]:
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def _shown(commands: list[str], next_output: Callable[[], str]) -> str:
    parts = []
    for command in commands:
        output = next_output()
        parts.append(f"$ {command}\n{output}\n" if output else f"$ {command}\n")
    return "".join(parts)


def picture() -> str:
    """Run a whole job against the demo's scenario and draw what the terminal shows."""
    scenario = tomllib.loads((PROJECT / "samples" / "scenarios" / "demo.toml").read_text("utf-8"))
    lines: list[terminal.Line] = []
    with tempfile.TemporaryDirectory() as folder, running({**scenario, "spread_seconds": 0}) as emulator:
        work = Path(folder, "work")
        work.mkdir()
        (work / "banking77.jsonl").write_bytes((PROJECT / "samples" / "banking77.jsonl").read_bytes())
        env = _environment(Path(folder)) | {
            "ANTHROPIC_BASE_URL": emulator.base_url,
            "ANTHROPIC_API_KEY": "sk-ant-picture",
        }
        for command in PICTURED:
            lines += terminal.plain(f"$ {command}")
            lines += terminal.run_in_terminal(command.split(), work, env)
            lines += [[]]
    return stable(terminal.svg(lines[:-1], "A whole job: batchctl run, then batchctl cost"))


def stable(text: str) -> str:
    """Return a text with ids, ports, times and an order that do not vary; ids keep their length."""
    known: dict[str, str] = {}

    def fixed(found: re.Match[str]) -> str:
        number = len(known)
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        return known.setdefault(found[0], f"msgbatch_01{digest[: len(found[0]) - len('msgbatch_01')]}")

    # Uploads run side by side, and so do downloads: whichever is first is told first.
    text = re.sub(r"(?:^(?:sent|fetched) +batch .*\n)+", _sorted_lines, text, flags=re.MULTILINE)
    text = re.sub(r"msgbatch_\w+", fixed, text)
    text = re.sub(r"\d\d:\d\d UTC, elapsed \d+ s", "09:30 UTC, elapsed 5 s", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:41873", text)
    return re.sub(r"20\d\d-\d\d-\d\d(?!T)", PRICE_DAY, text)


def _sorted_lines(found: re.Match[str]) -> str:
    return "".join(sorted(found[0].splitlines(keepends=True)))


def differences(shown: str, today: str) -> list[str]:
    """Return the lines of two texts that are not the same."""
    pairs = zip_longest(shown.splitlines(), today.splitlines(), fillvalue="")
    return [f"{number}: {old!r} is now {new!r}" for number, (old, new) in enumerate(pairs, 1) if old != new]


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a person who just installed the program, with a home of their own."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "BATCHCTL_", "XDG_"))
    }
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return kept | {"HOME": str(folder), "PATH": path, "NO_PROXY": "127.0.0.1"}
