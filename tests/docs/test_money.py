"""The example of the page on money, run as it stands there."""

import re
import shutil
from pathlib import Path

from program import Cli

from batchctl.emulator.running import running

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "explanation" / "money.md").read_text("utf-8")
# What one run caches is gone before the next.
PAUSE_SECONDS = 2 * 3600


def test_what_an_input_will_cost_and_did_cost_is_what_the_page_shows(tmp_path: Path) -> None:
    shown = PAGE.split("<!-- from: tests/docs/test_money.py -->")[1].split("```")[1].removeprefix("console\n")
    shutil.copy(PROJECT / "samples" / "banking77.jsonl", tmp_path)
    before_and_after: list[str] = []
    with running({"batch_seconds": 0}) as emulator:
        cli = Cli(tmp_path, emulator.base_url, agrees=False)
        for part in re.split(r"^\$ batchctl ", shown, flags=re.MULTILINE)[1:]:
            typed, *lines = part.splitlines()
            if typed.startswith("run"):
                emulator.advance(PAUSE_SECONDS)
            ran = cli.run(*typed.split())
            assert ran.status == 0, ran.err
            before_and_after += re.findall(r"^planned    \S+: .* about (\S+),", ran.err, flags=re.MULTILINE)
            before_and_after += re.findall(r"^\S+  (\S+) in batch,", ran.out, flags=re.MULTILINE)
            # In this order, whatever else is said between them.
            said = iter((ran.out + ran.err).splitlines())
            assert [line for line in lines if line and line != "..." and line not in said] == [], typed
    rows = re.findall(r"^\| (?:no|cold|primed) cache.* \| (\S+) \| (\S+) \|$", PAGE, flags=re.MULTILINE)
    assert [amount for row in rows for amount in row] == before_and_after
