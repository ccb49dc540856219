"""`doctor`: a line for each thing that was looked at, and beside it what was found."""

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from batchctl.domain.health import Checkup, Health
from batchctl.render import styles
from batchctl.render.layout import hanging, verdicts
from batchctl.render.text import clean

HEALTH_STYLES = {Health.OK: styles.GOOD, Health.WARN: styles.WARN, Health.FAIL: styles.strong(styles.BAD)}


def draw(checkup: Checkup, *, all_of_it: bool = False) -> RenderableType:
    """Return what is wrong, with what to try, and one line for what is well; with `all_of_it`, a line for each of these."""
    table = verdicts()
    well = [finding.subject for finding in checkup.findings if finding.health is Health.OK]
    for finding in checkup.findings:
        if finding.health is Health.OK and not all_of_it:
            continue
        health = Text(finding.health, style=HEALTH_STYLES[finding.health])
        table.add_row(health, Text(finding.subject), Text(clean(finding.said, 1000)))
        if finding.advice:
            table.add_row("", "", Text.assemble(("try: ", styles.QUIET), clean(finding.advice, 1000)))
    if all_of_it or not well:
        return table
    # In line with the verdicts above it.
    head = "ok    " if table.row_count else "ok  "
    summary = hanging(Text(head, style=styles.GOOD), Text(f"{', '.join(well)} (--verbose: in detail)"))
    return Group(table, summary) if table.row_count else summary


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
