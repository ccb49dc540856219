import re
from pathlib import Path
from types import ModuleType

import pytest

from batchctl.cli.app import VERBS
from batchctl.cli.exit_status import MEANINGS

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text("utf-8")
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md"), PROJECT / "samples" / "README.md"])
WORD = re.compile(r"[^\w\- ]")


def _named(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {WORD.sub("", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "name",
    ["README.md", "docs/caching.md", "docs/commands.md", "docs/money.md", "docs/failures.md", "samples/README.md"],
)
def test_what_is_pasted_is_what_the_program_says_today(pasted: ModuleType, name: str) -> None:
    text = (PROJECT / name).read_text("utf-8")
    assert pasted.renewed(text) == text, "run `make docs`"


def test_every_verb_shows_its_help_and_the_statuses_are_told(pasted: ModuleType) -> None:
    shown = pasted.sources(
        README + "".join((PROJECT / "docs" / f"{name}.md").read_text("utf-8") for name in ("commands", "money"))
    )
    assert {verb.name for verb in VERBS} - {"emulator"} == {
        source.split()[1] for source in shown if source.endswith("--help")
    }
    assert {"exit statuses", "make"} <= set(shown)
    assert all(f"| {number} | {meaning} |" in README for number, meaning in MEANINGS.items())


@pytest.mark.parametrize("path", DOCUMENTS, ids=_named)
def test_every_link_leads_somewhere(path: Path) -> None:
    text = path.read_text("utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file) if file else path
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target.read_text("utf-8")), link


def test_every_test_that_holds_a_promise_exists() -> None:
    rows = [row for row in README.splitlines() if re.match(r"\| P\d \|", row)]
    assert len(rows) == 7
    for row in rows:
        for file, names in re.findall(r"\]\((tests/[^)]+)\): ((?:`test_\w+`(?:, )?)+)", row):
            held = (PROJECT / file).read_text("utf-8")
            for name in re.findall(r"\w+", names):
                assert f"def {name}(" in held, f"{name} is not in {file}"


def test_the_tree_has_a_line_for_every_room_and_no_other() -> None:
    tree = README.split("## How it is built")[1].split("```")[1]
    told = set(re.findall(r"── (\w+(?:\.py|/))", tree))
    package = PROJECT / "batchctl"
    rooms = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert told == rooms | {path.name for path in package.glob("*.py")} - {"__init__.py"}


def test_the_workspace_is_drawn_as_the_code_draws_it() -> None:
    drawn = README.split("```text\n.batchctl/")[1].split("```")[0]
    said = (PROJECT / "batchctl" / "store" / "workspace.py").read_text("utf-8").split('"""')[1]
    names = re.findall(r"── (\S+)", said)
    assert names
    assert re.findall(r"── (\S+)", drawn.replace("jobs/JOB/", "jobs/NAME/")) == names


def test_every_variable_named_is_read_somewhere() -> None:
    code = "".join(path.read_text("utf-8") for path in (PROJECT / "batchctl").rglob("*.py"))
    named = set(re.findall(r"BATCHCTL_[A-Z_]+", README))
    assert named == set(re.findall(r"BATCHCTL_[A-Z_]+", code))
