"""Help pages: what they hold, at every width, with colors only where these belong; and the examples on them, which work."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import few
from program import COMMAND, Cli, requests

from batchctl.cli import options as o
from batchctl.cli.app import VERBS
from batchctl.cli.help_pages import OPTION_GROUPS, Section, examples_of, page
from batchctl.domain.check_report import Depth
from batchctl.domain.engines import Engine
from batchctl.emulator.running import Running, running

NAMES = [verb.name for verb in VERBS]
GROUP: Any = COMMAND
ID = "msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d"


def shown(monkeypatch: pytest.MonkeyPatch, columns: int, *words: str) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    context = GROUP.make_context("batchctl", list(words), resilient_parsing=True)
    if not words:
        return str(GROUP.get_help(context))
    with GROUP.commands[words[0]].make_context(words[0], [], parent=context, resilient_parsing=True) as of_verb:
        return str(of_verb.command.get_help(of_verb))


def test_every_verb_has_one_whole_line_and_run_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, 80).splitlines()
    for verb in VERBS:
        assert sum(re.fullmatch(rf"  {verb.name} +{re.escape(verb.summary)}", line) is not None for line in lines) == 1
    assert NAMES[0] == "run"
    headings = [line for line in lines if re.fullmatch(r"\S[\w ]*:", line)]
    assert headings == ["Run a job:", "Money:", "When something is wrong:", "Tools:", "Options:", "Examples:"]


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("name", ["", *NAMES])
def test_no_line_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch, name: str, columns: int) -> None:
    text = shown(monkeypatch, columns, *[name] * bool(name))
    before, examples, _ = text.partition("Examples:")
    assert examples
    # A command is never broken, and neither is a usage line that is all names.
    assert [line for line in before.splitlines() if len(line) > columns and not line.startswith("Usage:")] == []
    assert "…" not in text
    assert "..." not in before.replace("msgbatch_...", "").replace("ID...", "")


@pytest.mark.parametrize("name", NAMES)
def test_options_stand_in_groups_and_each_says_something(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text = shown(monkeypatch, 80, name)
    headings = re.findall(r"^([A-Z][\w ]*):$", text, re.MULTILINE)
    order = ["Arguments", "Options", *OPTION_GROUPS, "Examples"]
    assert headings == [heading for heading in order if heading in headings]
    for param in GROUP.commands[name].params:
        assert param.help, param.name
        assert not param.help.endswith("."), param.help
        assert any(option in text for option in (*param.opts, param.metavar or "")), param.name


def test_a_page_is_laid_out_like_this() -> None:
    sections = [Section("Input", [("    --name NAME", "What it is called, in more words than fit"), ("-n", "")])]
    assert page("x [OPTIONS]", "Do it.\n\nExamples:\n  x -n    Try it", sections, width=60, is_colored=False) == (
        "Usage: x [OPTIONS]\n\nDo it.\n\nInput:\n"
        "      --name NAME  What it is called, in more words than fit\n  -n\n\nExamples:\n  x -n  Try it"
    )
    assert page("x", "", sections, width=40, is_colored=False) == (
        "Usage: x\n\nInput:\n      --name NAME\n      What it is called, in more words\n      than fit\n  -n"
    )
    assert page("x", "", sections[:0], width=40, is_colored=True) == "\x1b[1mUsage:\x1b[0m x"


@pytest.mark.parametrize(
    ("variables", "is_colored"),
    few([({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)], 0, 2),
)
def test_a_terminal_has_colors_unless_it_wants_none(variables: dict[str, str], *, is_colored: bool) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "batchctl", "--help"], stdout=theirs, env={**os.environ, **variables}
    ) as process:
        os.close(theirs)
        said = b""
        try:
            while piece := os.read(ours, 65536):
                said += piece
        except OSError:
            # The other end is closed.
            pass
        assert process.wait() == 0
    os.close(ours)
    assert b"Run a job:" in said
    assert (b"\x1b[" in said) is is_colored


def test_off_a_terminal_there_are_no_colors() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "batchctl"], capture_output=True, text=True, check=False, env=os.environ
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Run a job:" in ran.stderr
    assert "\x1b" not in ran.stderr


def test_the_values_on_a_page_are_those_of_the_program() -> None:
    assert list(o.DEPTHS) == list(Depth)
    assert list(o.ENGINES) == list(Engine)


# ---------------------------------------------------------------- examples


def commands_of(name: str) -> list[str]:
    """The commands of the program among the examples: what stands around them is the shell's."""
    return [
        found for line in examples_of(GROUP.commands[name].help) for found in re.findall(r"batchctl [^|<>)]+", line)
    ]


EXAMPLES = [(name, command.strip()) for name in NAMES for command in commands_of(name)]
# They need batches that the emulator does not have, or serve until they are stopped.
ONLY_PARSED = {"emulator", "attach"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Running]:
    with running({"batch_seconds": 0}) as emulator:
        yield emulator


@pytest.fixture
def cli(emulator: Running, tmp_path: Path) -> Cli:
    cli = Cli(tmp_path, emulator.base_url)
    emulator.reset()
    cli.write("requests.jsonl", requests(6))
    of_openai = {"custom_id": "a", "body": {"model": "gpt-4o", "max_tokens": 5, "messages": []}}
    cli.write("openai.jsonl", [json.dumps(of_openai).encode()])
    (tmp_path / "results").mkdir()
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    cli.submitted("first.jsonl", requests(20, "f"))
    return cli


def test_every_verb_has_examples() -> None:
    assert {name for name, _ in EXAMPLES} == set(NAMES)


@pytest.mark.parametrize("command", [command for _, command in EXAMPLES])
def test_an_example_is_understood(command: str) -> None:
    _, verb, *words = shlex.split(command)
    with GROUP.commands[verb].make_context(verb, words) as context:
        assert context.params


@pytest.mark.parametrize(
    ("verb", "command"),
    [(verb, command) for verb, command in EXAMPLES if verb not in ONLY_PARSED and ID not in command],
)
def test_an_example_works(cli: Cli, emulator: Running, verb: str, command: str) -> None:
    if verb in {"cancel", "submit"}:
        emulator.set_scenario({"batch_seconds": 600, "cancel_seconds": 0})
    if verb == "cancel":
        cli.submitted("requests.jsonl", requests(6))
    elif verb in {"retry", "cost", "delete", "verify", "run"}:
        output = ["-o", "results.jsonl"] if "results.jsonl" in command else []
        ran = cli.run("fetch", *output)
        assert ran.status == 3, ran.err
        emulator.set_scenario({"batch_seconds": 0})
    words = shlex.split(command)[1:]
    agreement = ["--yes"] if verb in {"cancel", "delete"} and "--yes" not in words else []
    ran = cli.run(*words, *agreement, stdin=b"\n".join(requests(3, "s")))
    assert "Traceback" not in ran.err
    # Nothing is unconfirmed here; a request that failed is no fault of the example.
    assert ran.status in ({0, 6} if verb == "resolve" else {0, 3, 8}), ran.err
