"""What went wrong: two lines on stderr, or an object there."""

from typing import TYPE_CHECKING, Any

from batchctl.domain.errors import BatchctlError
from batchctl.render import styles
from batchctl.render.text import clean

if TYPE_CHECKING:
    from rich.console import RenderableType


def draw(error: BatchctlError) -> "RenderableType":
    """Return the message and, where there is one, the hint."""
    from rich.console import Group  # noqa: PLC0415 - under --json a wrong command line draws nothing
    from rich.text import Text  # noqa: PLC0415

    from batchctl.render.layout import hanging  # noqa: PLC0415

    message = hanging(Text("error: ", style=styles.strong(styles.BAD)), Text(clean(error.message, 1000)))
    if not error.hint:
        return message
    return Group(message, hanging(Text("  try: ", style=styles.QUIET), Text(clean(error.hint, 1000))))


def to_json(error: BatchctlError, exit_status: int) -> dict[str, Any]:
    """Return the object of an error."""
    return {
        "type": "error",
        "code": error.code,
        "message": error.message,
        "hint": error.hint or None,
        "exit_status": exit_status,
    }
