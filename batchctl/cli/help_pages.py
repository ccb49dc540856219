"""A help page: what it says comes from the commands, how it is laid out stands here. Pure: text in, text out."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

# The groups of options, in the order in which a page shows them; those of no group come first.
OPTION_GROUPS = ("Which requests", "Input", "Batches", "API", "Money", "Waiting", "Output", "Global")
# Of a wider terminal the rest stays empty: longer lines are hard to read.
WIDEST = 100
# Below this width a row's text stands under its name.
NARROW = 60
_NAMES_AT_MOST = 28
_EXAMPLES = "Examples:"
# What stands between an example and the remark on it.
_COMMENT = re.compile(r"\s{2,}")
_RESET = "\x1b[0m"
_BOLD, _CYAN = "\x1b[1m", "\x1b[36m"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and, below it, names with the text that explains each."""

    heading: str
    rows: Sequence[tuple[str, str]]


def page(
    usage: str,
    text: str,
    sections: Iterable[Section],
    *,
    width: int,
    is_colored: bool,
) -> str:
    """Return a page of at most `width` columns. Indented lines after `Examples:` in the text end the page, as they are."""
    width = min(width, WIDEST)
    description, _, examples = text.partition(_EXAMPLES)
    sections = [section for section in sections if section.rows]
    blocks = [_painted("Usage:", _BOLD, is_colored) + f" {usage}"]
    blocks += ["\n".join(_wrapped(paragraph, width)) for paragraph in description.strip().split("\n\n") if paragraph]
    names = [len(name) for section in sections for name, _ in section.rows if len(name) <= _NAMES_AT_MOST]
    indent = 6 if width < NARROW else 2 + max(names, default=0) + 2
    for section in sections:
        lines = [line for name, meaning in section.rows for line in _row(name, meaning, indent, width, is_colored)]
        blocks.append("\n".join((_painted(f"{section.heading}:", _BOLD, is_colored), *lines)))
    if examples:
        rows = [_COMMENT.split(line.strip(), maxsplit=1) for line in examples.strip().splitlines()]
        indent = 6 if width < NARROW else 2 + max(len(command) for command, *_ in rows) + 2
        lines = [line for command, *comment in rows for line in _row(command, "".join(comment), indent, width)]
        blocks.append("\n".join((_painted(_EXAMPLES, _BOLD, is_colored), *lines)))
    return "\n\n".join(blocks)


def examples_of(text: str) -> list[str]:
    """Return the commands among the examples of a text."""
    return [_COMMENT.split(line.strip())[0] for line in text.partition(_EXAMPLES)[2].splitlines() if line.strip()]


def _row(name: str, meaning: str, indent: int, width: int, is_colored: bool = False) -> Iterator[str]:
    shown = f"  {_painted(name, _CYAN, is_colored)}"
    lines = _wrapped(meaning, max(width - indent, 20))
    if lines and width >= NARROW and 2 + len(name) + 2 <= indent:
        yield f"{shown}{' ' * (indent - 2 - len(name))}{lines.pop(0)}"
    else:
        yield shown
    yield from (f"{' ' * indent}{line}" for line in lines)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)


def _painted(text: str, code: str, is_colored: bool) -> str:
    return f"{code}{text}{_RESET}" if is_colored else text
