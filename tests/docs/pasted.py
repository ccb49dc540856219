"""Parts of the documents that the program makes: `make docs` renews them, a test compares.

A pasted part stands between two comments, of which the first says where it comes from:

<!-- pasted: batchctl fetch --help -->
<!-- end -->
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path

from docs.links import pages
from typer.testing import CliRunner

from batchctl.cli.app import app
from batchctl.cli.exit_status import MEANINGS
from batchctl.domain.caching import HIT_RATES, MIN_TOKENS, least_tokens
from batchctl.domain.faults import Severity
from batchctl.domain.prices import Prices
from batchctl.money.catalog import PriceCatalog
from batchctl.requests.rules import rule_table
from docs import sessions

PROJECT = Path(__file__).parents[2]
PART = re.compile(r"(<!-- pasted: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
COLUMNS = "100"
# Prices change; a document is of a day.
PRICE_DAY = date(2026, 11, 21)


def documents() -> list[Path]:
    """Return every page with pasted parts."""
    return [page for page in pages() if "<!-- pasted:" in page.read_text("utf-8")]


def renewed(text: str) -> str:
    """A document with every pasted part as it has to be today."""
    return PART.sub(lambda found: f"{found[1]}{_part(found[2])}{found[3]}", text)


def sources(text: str) -> list[str]:
    return [found[2] for found in PART.finditer(text)]


def _part(source: str) -> str:
    if source == "exit statuses":
        return _exit_statuses()
    if source.startswith("failures"):
        return _failures(source)
    if source == "cache break-evens":
        return _break_evens()
    if source == "cache minimums":
        return _minimums()
    if source == "api rules":
        return _api_rules()
    if source == "make":
        return _block(_targets())
    if source.endswith("--help"):
        return _block(_help(source.split()[1:]))
    return _block(_said(source.split()[1:]))


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


def _api_rules() -> str:
    """A row for each rule: its code, its place, the models that it names, and what is wrong."""
    rows = []
    for rule in rule_table():
        models = ", ".join(f"`{model.removeprefix('claude-')}`" for model in rule.models) or "all"
        versions = f" ({', '.join(rule.api_versions)})" if rule.api_versions else ""
        values = " ".join(f"`{value}`" for value in rule.values)
        what = values or rule.message.removeprefix("{value}: ").replace("{value}", "...")
        if rule.unless_betas:
            what = f"{values or 'any'} without `--beta {rule.cure.rpartition(' ')[2]}`"
        mark = "*warning*: " if rule.severity is Severity.WARNING else ""
        rows.append(f"| `{rule.code}` | `{rule.path}` | {mark}{what} | {models}{versions} |\n")
    return "".join(("| code | place in `params` | refused | models |\n", "|---|---|---|---|\n", *rows))


def _exit_statuses() -> str:
    rows = [f"| {number} | {meaning} |\n" for number, meaning in MEANINGS.items()]
    return "".join(("| status | meaning |\n", "|---|---|\n", *rows))


def _failures(source: str) -> str:
    """The table of tests/faults in words, or what it tries in numbers."""
    if str(PROJECT / "tests") not in sys.path:
        sys.path.append(str(PROJECT / "tests"))
    from faults import table

    return table.document() if source == "failures" else table.tried_in_words()


def _break_evens() -> str:
    """By the price list of the package; models whose prices stand in the same ratios have one line."""
    found: dict[tuple[Decimal, ...], list[str]] = {}
    price_catalog = PriceCatalog()
    for model in price_catalog.served:
        if model_prices := price_catalog.model_prices(model, PRICE_DAY):
            found.setdefault(_ratios(model_prices.tiers[0].batch), []).append(f"`{model}`")
    rates = "".join(f" | {_percent(rate)}" for rate in HIT_RATES)
    head = f"| a read costs, of input | models | 1 h pays from | 5 m pays from{rates} |\n|{'---|' * (4 + len(HIT_RATES))}\n"
    rows = (
        f"| {_percent(cells[0])} | {', '.join(models)} | {' | '.join(map(_percent, cells[1:]))} |\n"
        for cells, models in sorted(found.items(), reverse=True)
    )
    return head + "".join(rows)


def _ratios(prices: Prices) -> tuple[Decimal, ...]:
    """What a read costs, where 1 h and 5 m break even, and the cost at each share of reads, all of the input price."""
    base, read, long, short = prices.input, prices.read, prices.write_1h, prices.write_5m
    costs = ((rate * read + (1 - rate) * long) / base for rate in HIT_RATES)
    return (read / base, *((write - base) / (write - read) for write in (long, short)), *costs)


def _percent(share: Decimal) -> str:
    return f"{float(share * 100):.3g} %"


def _minimums() -> str:
    found: dict[str, list[str]] = {}
    for model, least in sorted(MIN_TOKENS.items(), key=lambda of: of[1]):
        found.setdefault(f"{least:,}", []).append(f"`{model}`")
    found["not documented"] = [f"`{model}`" for model in PriceCatalog().served if least_tokens(model) is None]
    rows = (f"| {least} | {', '.join(models)} |\n" for least, models in found.items())
    return "".join(("| tokens at least | models |\n", "|---|---|\n", *rows))


def _targets() -> str:
    found = re.findall(r"^([a-z-]+):.*?## (.+)$", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE)
    return "\n".join(f"make {name:<12} {meaning}" for name, meaning in found)


def _help(arguments: list[str]) -> str:
    return CliRunner().invoke(app, arguments, prog_name="batchctl", env={"COLUMNS": COLUMNS}).output


def _said(arguments: list[str]) -> str:
    """What a command says, in an empty folder beside the samples; paths of that folder are shortened."""
    with tempfile.TemporaryDirectory() as folder:
        for sample in (PROJECT / "samples").glob("*.jsonl"):
            shutil.copy(sample, folder)
        command = [sys.executable, "-m", "batchctl", *arguments]
        env = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "BATCHCTL_"))}
        said = subprocess.run(
            command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return said.stdout.replace(f"{os.path.realpath(folder)}/", "").replace(f"{folder}/", "")


if __name__ == "__main__":
    for document in documents():
        document.write_text(renewed(document.read_text("utf-8")), "utf-8")
    for page in sessions.PAGES:
        page.write_text(sessions.renewed(page.read_text("utf-8")), "utf-8")
    sessions.PICTURE.write_text(sessions.picture(), "utf-8")
