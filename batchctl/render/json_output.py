"""JSON for programs. Its keys only grow: `schema_version` changes when one must go."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, TextIO

from batchctl.render.text import is_harmless, is_utf8

SCHEMA_VERSION = 1


def write(stream: TextIO, content: dict[str, Any]) -> None:
    """Write one object on a line of its own."""
    # A stream replaces what it cannot encode: the name would be another one, or the line no JSON.
    text = json.dumps(
        {"schema_version": SCHEMA_VERSION, **content}, default=_plain, ensure_ascii=not is_utf8(stream.encoding)
    )
    # JSON escapes the ASCII control characters itself. A terminal obeys others, too.
    if not text.isascii() or "\x7f" in text:
        text = "".join(c if is_harmless(c) else _escape(c) for c in text)
    stream.write(text + "\n")
    stream.flush()


def usd(value: Decimal) -> str:
    """Return an amount as text, exact to the last digit: a number would be rounded."""
    return f"{value.normalize():f}"


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
