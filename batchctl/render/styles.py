"""The colours of every report, chosen to be read on a white and on a black background.

They come from the 256 colours that all terminals share: the first 16 are the terminal's own, and a yellow that is made for
black cannot be read on white. A terminal with 16 colours gets the nearest of these.
"""

GOOD = "color(28)"
ACTIVE = "color(31)"
WARN = "color(130)"
BAD = "color(160)"
OTHER = "color(133)"
# Heads, labels and remarks: quieter than the text beside them, and still readable.
QUIET = "color(244)"
STRONG = "bold"


def strong(style: str) -> str:
    """Return a style in bold."""
    return f"bold {style}"
