"""A command in a real terminal of a fixed size, and its screen as an SVG picture."""

import os
import pty
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

import pyte
from pyte.screens import Char
from wcwidth import wcwidth

COLUMNS = 100
# More than a session needs: nothing scrolls out of sight, and no line of a file is broken.
SCREEN = (400, 300)
CELL_WIDTH = 8.4
LINE_HEIGHT = 18
MARGIN = 16
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
BACKGROUND = "#1e2127"
FOREGROUND = "#dcdfe4"
# pyte calls yellow "brown".
COLOURS = {
    "default": FOREGROUND,
    "black": "#5c6370",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "yellow": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
    "white": FOREGROUND,
}

Line = list[Char]


def run_in_terminal(command: Sequence[str | Path], folder: Path, env: Mapping[str, str]) -> list[Line]:
    """Return the lines of the screen when the command has ended, without blank lines at the end.

    Raises CalledProcessError for any exit status but 0.
    """
    screen = pyte.Screen(*SCREEN)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    size = {"COLUMNS": str(COLUMNS), "LINES": "40", "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        [*map(str, command)], cwd=folder, env={**env, **size}, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    reader = threading.Thread(target=_feed, args=(ours, stream))
    reader.start()
    status = process.wait()
    reader.join()
    os.close(ours)
    columns, rows = SCREEN
    lines = [[screen.buffer[row][column] for column in range(columns)] for row in range(rows)]
    while lines and not text_of(lines[-1]):
        lines.pop()
    if status:
        raise subprocess.CalledProcessError(status, process.args, "\n".join(map(text_of, lines)))
    return lines


def _feed(descriptor: int, stream: pyte.ByteStream) -> None:
    while True:
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # Linux: the last writer closed its end
            return
        if not data:  # macOS says it this way
            return
        stream.feed(data)


def text_of(line: Line) -> str:
    return "".join(cell.data for cell in line).rstrip()


def plain(text: str) -> list[Line]:
    """Return lines of text in bold, as a person types them."""
    return [[Char(letter, bold=True) for letter in line] for line in text.splitlines()]


def svg(lines: Sequence[Line], title: str) -> str:
    """Draw lines in a dark window, which is readable on light and on dark pages."""
    width = round(COLUMNS * CELL_WIDTH + 2 * MARGIN)
    height = len(lines) * LINE_HEIGHT + 2 * MARGIN
    rows = "".join(_row(line, MARGIN + (number + 1) * LINE_HEIGHT - 5) for number, line in enumerate(lines))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">\n'
        f"<title>{escape(title)}</title>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>\n'
        f'<g font-family="{FONT}" font-size="14" xml:space="preserve">\n{rows}</g>\n</svg>\n'
    )


def shown_in(picture: str) -> list[str]:
    """Return the text of each line of a picture that `svg` drew."""
    rows: dict[str, str] = {}
    for y, text in re.findall(r'<text x="[\d.]+" y="(\d+)"[^>]*>([^<]*)</text>', picture):
        rows[y] = rows.get(y, "") + text
    return [text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").rstrip() for text in rows.values()]


def _row(line: Line, y: int) -> str:
    cells = line[: len(text_of(line))]
    parts = []
    column = 0
    for style, group in groupby(cells, key=lambda cell: (cell.fg, cell.bold)):
        text = "".join(cell.data for cell in group)
        length = sum(max(wcwidth(letter), 0) for letter in text)
        x = round(MARGIN + column * CELL_WIDTH, 1)
        colour = COLOURS.get(style[0].removeprefix("bright"), f"#{style[0]}")
        weight = ' font-weight="bold"' if style[1] else ""
        parts.append(
            f'<text x="{x}" y="{y}" fill="{colour}"{weight} textLength="{length * CELL_WIDTH:.1f}">{escape(text)}</text>\n'
        )
        column += length
    return "".join(parts)
