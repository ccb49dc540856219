"""What a retry sends again, what it leaves, and why."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from batchctl.engine.retry_choice import Chosen
from batchctl.render import estimate, styles
from batchctl.render.text import clean, number

if TYPE_CHECKING:
    from batchctl.money.estimate import Estimate


def draw(chosen: Chosen) -> Table:
    """Return a row for each kind of request."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=9)
    for justify in ("left", "left", "right", "left"):
        table.add_column(justify=justify, overflow="fold")
    for (kind, cls), n in chosen.sent.items():
        word = "new" if kind in {"in_no_batch", "withheld"} else "again"
        table.add_row(
            Text(word, style=styles.GOOD), Text(clean(kind, 40)), Text(cls, style=styles.QUIET), number(n), ""
        )
    for (kind, cls, why), n in chosen.left.items():
        table.add_row(
            Text("left", style=styles.WARN), Text(clean(kind, 40)), Text(cls, style=styles.QUIET), number(n), Text(why)
        )
    return table


def to_json(job: str, round_: int, chosen: Chosen, path: Path, price: "Estimate | None" = None) -> dict[str, Any]:
    """Return the object of a retry that sends nothing; `path` is its request file."""
    return {
        "type": "retry",
        "job": job,
        "round": round_,
        "requests": chosen.requests,
        "bytes": chosen.bytes,
        "sent": [{"type": kind, "class": cls, "requests": n} for (kind, cls), n in chosen.sent.items()],
        "left": [
            {"type": kind, "class": cls, "why": why, "requests": n} for (kind, cls, why), n in chosen.left.items()
        ],
        "request_file": str(path),
        "estimate": estimate.to_json(price) if price else None,
    }
