"""Numbers, times and text from outside, as they may stand on a terminal."""

import unicodedata
from datetime import datetime, timedelta


def clean(text: str, limit: int = 500) -> str:
    """Return text from outside on one line, without anything that could move the terminal."""
    kept = "".join(c if is_harmless(c) else c.encode("unicode_escape").decode() for c in text[: limit + 1])
    return kept if len(text) <= limit else kept[:limit] + "…"


def is_harmless(character: str) -> bool:
    """Return whether a terminal shows a character and does nothing else about it."""
    return character == " " or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp", "Co"}


def is_utf8(encoding: str | None) -> bool:
    """Return whether a stream of this encoding can show every character; one that names none can."""
    return (encoding or "utf-8").lower().replace("_", "-") in {"utf-8", "utf8"}


def number(value: int) -> str:
    """Return a number with commas between its thousands."""
    return f"{value:,}"


def size(value: float) -> str:
    """Return a number of bytes, as the API counts them: 1 MB is a million."""
    for unit in ("B", "KB", "MB", "GB"):
        if value < 999.5 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def duration(value: timedelta) -> str:
    """Return a time in its two largest units; one below 0 as 0."""
    seconds = max(0, int(value.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} m {seconds} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} m"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def moment(value: datetime) -> str:
    """Return a moment in UTC, to the minute."""
    return f"{value:%Y-%m-%d %H:%M} UTC"
