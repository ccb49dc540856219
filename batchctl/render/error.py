"""What went wrong: two lines on stderr, or an object there."""

from typing import TYPE_CHECKING, Any

from batchctl.domain.errors import BatchctlError
from batchctl.render.text import clean

if TYPE_CHECKING:
    from rich.text import Text


def draw(error: BatchctlError) -> "Text":
    """Return the message and, where there is one, the hint."""
    from rich.text import Text  # noqa: PLC0415 - under --json a wrong command line draws nothing

    text = Text.assemble(("error: ", "bold red"), clean(error.message, 1000))
    return text.append_text(Text.assemble(("\n  try: ", "dim"), clean(error.hint, 1000))) if error.hint else text


def to_json(error: BatchctlError, exit_status: int) -> dict[str, Any]:
    """Return the object of an error."""
    return {
        "type": "error",
        "code": error.code,
        "message": error.message,
        "hint": error.hint or None,
        "exit_status": exit_status,
    }
