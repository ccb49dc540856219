"""`doctor`: a line for each thing that was looked at, and beside it what was found."""

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from batchctl.domain.health import Checkup, Health
from batchctl.render.layout import verdicts
from batchctl.render.text import clean

HEALTH_STYLES = {Health.OK: "green", Health.WARN: "yellow", Health.FAIL: "bold red"}


def draw(checkup: Checkup) -> RenderableType:
    """Return the findings, with what to try, and how many there are of each kind."""
    table = verdicts()
    for finding in checkup.findings:
        health = Text(finding.health, style=HEALTH_STYLES[finding.health])
        table.add_row(health, Text(finding.subject), Text(clean(finding.said, 1000)))
        if finding.advice:
            table.add_row("", "", Text.assemble(("try: ", "dim"), clean(finding.advice, 1000)))
    counts = ", ".join(f"{n} {health}" for health in Health if (n := checkup.count(health)))
    return Group(table, Text(counts, style="dim"))


def to_json(checkup: Checkup) -> dict[str, Any]:
    """Return the object of `doctor`."""
    return {
        "type": "doctor",
        "ok": checkup.count(Health.OK),
        "warn": checkup.count(Health.WARN),
        "fail": checkup.count(Health.FAIL),
        "findings": [
            {
                "subject": finding.subject,
                "health": finding.health.value,
                "said": finding.said,
                "advice": finding.advice or None,
            }
            for finding in checkup.findings
        ],
        "next_command": checkup.next_command,
    }
