"""A report as a terminal of some width shows it, without colours, and as a program reads it."""

import io
import json
from typing import Any

from rich.console import Console, RenderableType

from batchctl.render.json_output import SCHEMA_VERSION, write


def drawn(content: RenderableType, width: int = 80) -> str:
    """Return what a terminal of this width shows."""
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False, color_system=None)
    with console.capture() as capture:
        console.print(content)
    return capture.get()


def written(content: dict[str, Any]) -> Any:
    """Return an object as it is read back from its one line."""
    stream = io.StringIO()
    write(stream, content)
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    found = json.loads(text)
    assert found["schema_version"] == SCHEMA_VERSION
    return found
