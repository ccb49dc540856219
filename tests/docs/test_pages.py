import re
from pathlib import Path

import pytest
from docs.links import anchors, dead_links, pages, without_code
from typer.main import get_command

from batchctl.cli.app import VERBS, app
from batchctl.cli.exit_status import MEANINGS
from docs import pasted

PROJECT = Path(__file__).parents[2]
REFERENCE = PROJECT / "docs" / "reference"
PROMISES = (PROJECT / "docs" / "explanation" / "promises.md").read_text("utf-8")
LONGEST_SENTENCE = 25
# Commands of this page are checked once `run` has its options.
WITHOUT_OPTIONS_YET = {"notifications.md"}
# Pages whose wording is still to be revised; a new page is never added here.
LONG_SENTENCES = {"CHANGELOG.md"}


def _named(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def _sentences(text: str) -> list[str]:
    """Return the sentences of a page: no code, no pasted parts, each table cell and list item on its own."""
    text = pasted.PART.sub("", text)
    text = re.sub(r"<!--.*?-->", "", without_code(text), flags=re.DOTALL)
    text = re.sub(r"`[^`]*`", "CODE", re.sub(r"\]\([^)]*\)", "]", text))
    text = re.sub(r"^(\s*[-*>] |\s*\d+\. |#+ |\|)", "\n\n", text, flags=re.MULTILINE).replace("|", "\n\n")
    parts = (part for paragraph in re.split(r"\n\s*\n", text) for part in re.split(r"(?<=[.!?:;])\*{0,2}\s", paragraph))
    return [sentence for part in parts if (sentence := " ".join(part.split()))]


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text("utf-8").splitlines()) <= 180


@pytest.mark.parametrize("path", pages(), ids=_named)
def test_every_link_leads_somewhere(path: Path) -> None:
    assert dead_links(path, path.read_text("utf-8")) == []


def test_a_dead_link_is_noticed() -> None:
    page = PROJECT / "README.md"
    assert dead_links(page, "[a](no-such.md) [b](LICENSE) [c](#no-such) [d](CONTRIBUTING.md#set-up-and-test)") == [
        "no-such.md",
        "#no-such",
    ]
    assert anchors("# P1: Never `pays` twice\n```\n# no heading\n```\n") == {"p1-never-pays-twice"}


@pytest.mark.parametrize("path", [page for page in pages() if page.name not in LONG_SENTENCES], ids=_named)
def test_no_sentence_is_long(path: Path) -> None:
    sentences = _sentences(path.read_text("utf-8"))
    assert [sentence for sentence in sentences if len(sentence.split()) > LONGEST_SENTENCE] == []


def test_a_long_sentence_is_noticed() -> None:
    long = "word " * LONGEST_SENTENCE + "end."
    assert _sentences(f"# Title\n\n- Short one. {long}\n\n```\n{long}\n```\n")[-1] == long


@pytest.mark.parametrize("path", pages(), ids=_named)
def test_no_heading_is_a_riddle(path: Path) -> None:
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text("utf-8")), re.MULTILINE)
    assert [heading for heading in headings if re.match(r"(What|Of) ", heading)] == []


@pytest.mark.parametrize("path", pasted.documents(), ids=_named)
def test_pasted_parts_are_what_the_program_says_today(path: Path) -> None:
    text = path.read_text("utf-8")
    assert pasted.renewed(text) == text, "run `make docs`"


def test_every_command_shows_its_help_and_the_statuses_are_told() -> None:
    names = {verb.name for verb in VERBS}
    commands = (REFERENCE / "commands.md").read_text("utf-8")
    shown = {source.split()[1] for source in pasted.sources(commands) if source.endswith("--help")}
    assert shown == names
    assert set(re.findall(r"^## (\w+)$", commands, re.MULTILINE)) == names
    statuses = (REFERENCE / "exit-statuses.md").read_text("utf-8")
    assert all(f"| {number} | {meaning} |" in statuses for number, meaning in MEANINGS.items())


def _unknown_words(text: str) -> list[str]:
    """Return the commands and options in the fences of a page that the program does not have."""
    group = get_command(app)
    commands = getattr(group, "commands")  # noqa: B009 - Typer's group is not public
    unknown = []
    for line in "\n".join(
        re.findall(r"^```(?:console|sh|cron)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    ).splitlines():
        for name, words in re.findall(r"(?:^|[$;&(] ?|if )batchctl (\w[\w-]*)([^|;&#>]*)", line):
            known = (
                {option for parameter in commands[name].params for option in parameter.opts}
                if name in commands
                else set()
            )
            unknown += [] if known else [name]
            unknown += [
                f"{name} {option}"
                for option in re.findall(r" (--?[a-z][a-z-]*)", words)
                if option not in {*known, "--help"}
            ]
    return unknown


@pytest.mark.parametrize("path", [page for page in pages() if page.name not in WITHOUT_OPTIONS_YET], ids=_named)
def test_every_command_on_a_page_is_one_of_the_program(path: Path) -> None:
    assert _unknown_words(path.read_text("utf-8")) == []


def test_a_command_that_does_not_exist_is_noticed() -> None:
    page = "```console\n$ batchctl fetch --no-such -o - | jq .x\n$ batchctl fly\n```\n```sh\nbatchctl run a.jsonl --timeout 5m\n```\n"
    assert _unknown_words(page) == ["fetch --no-such", "fly"]


def test_every_test_that_holds_a_promise_exists() -> None:
    assert len(re.findall(r"^## P\d: ", PROMISES, re.MULTILINE)) == 8
    rows = re.findall(r"^- `(tests/[^`]+)`(.*)$", PROMISES, re.MULTILINE)
    assert len(rows) > 20
    for file, names in rows:
        held = (PROJECT / file).read_text("utf-8")
        missing = [name for name in re.findall(r"`(\w+)`", names) if f"def {name}(" not in held]
        assert missing == [], file


def test_the_tree_has_a_line_for_every_room_and_no_other() -> None:
    tree = (PROJECT / "CONTRIBUTING.md").read_text("utf-8").split("## How it is built")[1].split("```")[1]
    told = set(re.findall(r"── (\w+(?:\.py|/))", tree))
    package = PROJECT / "batchctl"
    rooms = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert told == rooms | {path.name for path in package.glob("*.py")} - {"__init__.py"}


def test_the_workspace_is_drawn_as_the_code_draws_it() -> None:
    drawn = (REFERENCE / "files.md").read_text("utf-8").split("```text\n.batchctl/")[1].split("```")[0]
    said = (PROJECT / "batchctl" / "store" / "workspace.py").read_text("utf-8").split('"""')[1]
    names = re.findall(r"── (\S+)", said)
    assert names
    assert re.findall(r"── (\S+)", drawn.replace("jobs/JOB/", "jobs/NAME/")) == names


def test_every_variable_named_is_read_somewhere() -> None:
    code = "".join(path.read_text("utf-8") for path in (PROJECT / "batchctl").rglob("*.py"))
    named = set(re.findall(r"BATCHCTL_[A-Z_]+", (REFERENCE / "environment.md").read_text("utf-8")))
    assert named == set(re.findall(r"BATCHCTL_[A-Z_]+", code))
