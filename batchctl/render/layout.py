"""The parts that reports have in common: tables, warnings and the next command."""

from collections.abc import Iterable, Sequence

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from batchctl.render.text import clean

UNKNOWN = "unknown"


def indent(content: Table | Text) -> Padding:
    """Return content two columns to the right."""
    return Padding(content, (0, 0, 0, 2), expand=False)


def warning(text: str) -> Table:
    """Return a warning whose further lines begin under its text."""
    table = Table.grid()
    table.add_column(no_wrap=True, width=2)
    table.add_column(overflow="fold")
    table.add_row(Text("!", style="yellow"), Text(clean(text), style="yellow"))
    return table


def next_line(command: str) -> Text:
    """Return the line that names the next command."""
    return Text.assemble(("next: ", "dim"), (command, "bold"))


def facts(rows: Iterable[tuple[str, Text]]) -> Table:
    """Return a table of names with a fact beside each."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def headed(*heads: str, left: Sequence[str] = (), gap: int = 2) -> Table:
    """Return an empty table with heads; the columns in `left` hold text, all others numbers.

    On a narrow terminal a text goes on in the next line. A number is never cut: a number without its end is another number.
    """
    table = Table.grid(padding=(0, gap))
    for head in heads:
        is_text = head in left
        # A person copies the name of a job: it stays in one piece, too.
        is_whole = not is_text or head == "job"
        table.add_column(justify="left" if is_text else "right", no_wrap=is_whole, overflow="fold")
    table.add_row(*(Text(head, style="dim") for head in heads))
    return table


def verdicts() -> Table:
    """Return an empty table of verdicts, what each is on, and what was found."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table
