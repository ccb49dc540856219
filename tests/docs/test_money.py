"""The example of the page on money, run as it stands there."""

import re
import shutil
from pathlib import Path

from program import Cli

from batchctl.emulator.running import running

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "explanation" / "money.md").read_text("utf-8")
CACHED_9_OF_10 = {"batch_seconds": 0, "cache": {"hit_rate": 0.9}}


def test_what_an_input_will_cost_and_did_cost_is_what_the_page_shows(tmp_path: Path) -> None:
    shown = PAGE.split("<!-- from: tests/docs/test_money.py -->")[1].split("```")[1].removeprefix("console\n")
    shutil.copy(PROJECT / "samples" / "banking77.jsonl", tmp_path)
    with running(CACHED_9_OF_10) as emulator:
        cli = Cli(tmp_path, emulator.base_url, agrees=False)
        for part in re.split(r"^\$ batchctl ", shown, flags=re.MULTILINE)[1:]:
            typed, *lines = part.splitlines()
            ran = cli.run(*typed.split())
            assert ran.status == 0, ran.err
            # In this order, whatever else is said between them.
            said = iter((ran.out + ran.err).splitlines())
            assert [line for line in lines if line and line != "..." and line not in said] == [], typed
