"""Links of all pages: `make check` calls this, and tests do. A link to a page or a heading that is not there is a line on stderr and status 1."""

import re
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
_FENCE = re.compile(r"^( *)(```+).*?^\1\2\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SIGNS = re.compile(r"[^\w\- ]")


def pages() -> list[Path]:
    """Return every page of the project, beside code and in docs/."""
    beside = (PROJECT / "samples" / "README.md", PROJECT / "benchmarks" / "README.md")
    return sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *beside])


def without_code(text: str) -> str:
    return _FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub and MkDocs both make of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {_SIGNS.sub("", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path, text: str) -> list[str]:
    """Return the links of a page that lead to no file or no heading; web addresses are not followed."""
    dead = []
    for link in _LINK.findall(without_code(text)):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            dead.append(link)
    return dead


def main() -> int:
    dead = [
        f"{page.relative_to(PROJECT)}: {link} leads nowhere"
        for page in pages()
        for link in dead_links(page, page.read_text("utf-8"))
    ]
    print(*dead, sep="\n", end="\n" if dead else "", file=sys.stderr)
    return 1 if dead else 0


if __name__ == "__main__":
    sys.exit(main())
