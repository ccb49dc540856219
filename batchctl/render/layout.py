"""The parts that reports have in common: tables, warnings and the next command."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from batchctl.render import styles
from batchctl.render.text import clean

UNKNOWN = "unknown"


def indent(content: RenderableType) -> Padding:
    """Return content two columns to the right."""
    return Padding(content, (0, 0, 0, 2), expand=False)


def hanging(head: Text, body: Text) -> Table:
    """Return text behind a head; what does not fit goes on under the text, and not under the head."""
    table = Table.grid()
    table.add_column(no_wrap=True, width=head.cell_len)
    table.add_column(overflow="fold")
    table.add_row(head, body)
    return table


def named_line(name: str, value: Text | str) -> Table:
    """Return a fact behind its name, in line with others of the kind."""
    return hanging(Text(f"{name:<9}", style=styles.QUIET), Text.assemble(value))


def warning(text: str) -> Table:
    """Return a warning."""
    return hanging(Text("! ", style=styles.WARN), Text(clean(text), style=styles.WARN))


def next_line(command: str) -> Text:
    """Return the line that names the next command."""
    return Text.assemble(("next: ", styles.QUIET), (command, "bold"))


def facts(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Return a table of names with a fact beside each."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style=styles.QUIET, no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        head: Its first line.
        rank: Where the terminal is too narrow for all columns, those of the highest rank are left out first, never those of 0.
        is_text: Whether it stands at the left, as text does, or at the right, as numbers do.
    """

    head: str
    rank: int = 0
    is_text: bool = False


Row = Sequence[Text | str]


class Columns:
    """A table that leaves out columns where the terminal is too narrow for all. A text may be broken, a number never is.

    Where all do not fit two blanks apart, they stand one apart.
    """

    def __init__(self, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """`rows`: a cell for each column."""
        self._columns = columns
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows: list[Row] = [tuple(Text(column.head, style=styles.QUIET) for column in self._columns), *self._rows]
        texts = [[str(cell) for cell in row] for row in rows]
        whole = [max(_width(row[place]) for row in texts) for place in range(len(self._columns))]
        # A text may be broken between its words.
        least = [
            max(cell_len(word) for row in texts for word in row[place].split() or [""])
            if column.is_text
            else whole[place]
            for place, column in enumerate(self._columns)
        ]
        gap = 2 if sum(whole) + 2 * (len(whole) - 1) <= options.max_width else 1
        shown = fitting(least, [column.rank for column in self._columns], options.max_width, gap)
        if sum(whole[place] + gap for place in shown) - gap <= options.max_width:
            yield from self._lines(console, rows, texts, shown, whole, gap)
        else:
            yield self._folded(rows, shown, gap)

    def _lines(
        self,
        console: Console,
        rows: Sequence[Row],
        texts: Sequence[Sequence[str]],
        shown: Sequence[int],
        widths: Sequence[int],
        gap: int,
    ) -> Iterator[Segment]:
        """Yield rows that fit, one line each: a job may have ten thousand batches, and a table of Rich takes seconds for them."""
        get_style = lru_cache(console.get_style)
        for row, cells in zip(rows, texts, strict=True):
            # What has no style is put together: each piece costs.
            plain = ""
            for place in shown:
                cell, text = row[place], cells[place]
                blanks = " " * (widths[place] - _width(text))
                is_text = self._columns[place].is_text
                plain += "" if is_text else blanks
                if isinstance(cell, Text) and cell.style:
                    yield Segment(plain)
                    yield Segment(text, get_style(cell.style))
                    plain = ""
                else:
                    plain += text
                if place != shown[-1]:
                    plain += (blanks if is_text else "") + " " * gap
            yield Segment(plain)
            yield Segment.line()

    def _folded(self, rows: Sequence[Row], shown: Sequence[int], gap: int) -> Table:
        table = Table.grid(padding=(0, gap))
        for place in shown:
            is_text = self._columns[place].is_text
            table.add_column(justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold")
        for row in rows:
            table.add_row(*(row[place] for place in shown))
        return table


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


class ByWidth:
    """Content that depends on how many columns the terminal has for it."""

    def __init__(self, draw: Callable[[int], RenderableType]) -> None:
        """`draw`: returns the content for a width."""
        self._draw = draw

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._draw(options.max_width)


def fitting(widths: Sequence[int], ranks: Sequence[int], room: int, gap: int = 2) -> Sequence[int]:
    """Return which columns fit into `room` terminal columns, in their order; at least those of rank 0."""
    shown = list(range(len(widths)))
    while sum(widths[place] + gap for place in shown) - gap > room and any(ranks[place] for place in shown):
        shown.remove(max(reversed(shown), key=ranks.__getitem__))
    return shown


def verdicts() -> Table:
    """Return an empty table of verdicts, what each is on, and what was found."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(style=styles.QUIET, no_wrap=True)
    table.add_column(overflow="fold")
    return table
