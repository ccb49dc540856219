"""Commands that are named to a person repeat what the command line named."""

import shlex
from pathlib import Path

import pytest
from program import COMMAND

from batchctl.render.repeated_options import ASKING, READING, RepeatedOptions

W, U = "/w/it's here", "http://127.0.0.1:8000"
REPEATED = RepeatedOptions(workspace=W, base_url=U)
OPTIONS = f"--workspace {shlex.quote(W)} --base-url {U}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("batchctl fetch in-1", f"batchctl fetch {OPTIONS} in-1"),
        ("fix it, then: batchctl retry in-1 --edit", f"fix it, then: batchctl retry {OPTIONS} in-1 --edit"),
        ("batchctl verify in-1", f"batchctl verify --workspace {shlex.quote(W)} in-1"),
        (
            "batchctl status a --watch, then batchctl fetch a",
            f"batchctl status {OPTIONS} a --watch, then batchctl fetch {OPTIONS} a",
        ),
        ("rm x && batchctl fetch a", f"rm x && batchctl fetch {OPTIONS} a"),
        ("batchctl emulator needs any key", "batchctl emulator needs any key"),
        ("batchctl 0.1.0 and statuses", "batchctl 0.1.0 and statuses"),
        ("rm /home/batchctl fetch", "rm /home/batchctl fetch"),
        ("batchctl statuses", "batchctl statuses"),
        ("", ""),
    ],
)
def test_every_command_in_a_text_gets_the_options_it_takes(text: str, expected: str) -> None:
    assert REPEATED.in_full(text) == expected
    assert REPEATED.in_full(expected) == expected
    assert RepeatedOptions().in_full(text) == text


def test_a_shell_reads_the_options_as_they_were_given() -> None:
    assert shlex.split(REPEATED.in_full("batchctl fetch in-1")) == [
        "batchctl", "fetch", "--workspace", W, "--base-url", U, "in-1"
    ]  # fmt: skip


def test_a_file_keeps_its_folder_where_the_workspace_is_named() -> None:
    assert RepeatedOptions().path("in put.jsonl") == "'in put.jsonl'"
    assert REPEATED.path("in.jsonl") == str(Path("in.jsonl").absolute())
    assert REPEATED.path("-") == "-"


def test_the_verbs_are_those_of_the_program() -> None:
    taken = {
        name: {option for param in command.params for option in param.opts}
        for name, command in COMMAND.commands.items()  # type: ignore[attr-defined]
    }
    assert {name for name, options in taken.items() if "--base-url" in options} == set(ASKING)
    assert {name for name, options in taken.items() if "--workspace" in options} == {*ASKING, *READING}


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        (
            RepeatedOptions(base_url="http://gateway", insecure_http=True),
            "batchctl fetch a",
            "batchctl fetch --base-url http://gateway --insecure-http a",
        ),
        # The URL comes from the environment, and the word from the command line.
        (RepeatedOptions(insecure_http=True), "batchctl fetch a", "batchctl fetch --insecure-http a"),
        (RepeatedOptions(insecure_http=True), "batchctl verify a", "batchctl verify a"),
        (
            RepeatedOptions(base_url="http://gateway", insecure_http=True),
            "batchctl submit a --no-beta b-1",
            "batchctl submit --base-url http://gateway --insecure-http a --no-beta b-1",
        ),
    ],
)
def test_plain_http_is_said_again_to_every_verb_that_asks(options: RepeatedOptions, text: str, expected: str) -> None:
    assert options.in_full(text) == expected
    assert options.in_full(expected) == expected
