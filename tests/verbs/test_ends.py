"""Whatever a command ends with: with --json, stdout and stderr hold objects alone; no stream is too odd or too full for it."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from cases import few
from program import Cli, Ran, requests

from batchctl.cli.app import app
from batchctl.emulator.running import Running

GROUP = typer.main.get_command(app)
VERBS = sorted(set(GROUP.commands) - {"emulator", "completion"})  # type: ignore[attr-defined]
JSON_PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
_TABLE = re.search(r"\| verb \| `type` \|\n\|[-|]+\n((?:\|.*\n)+)", JSON_PAGE)
assert _TABLE


def _types_of(verb: str) -> set[str]:
    """The types of objects that the page on JSON names for a verb."""
    assert _TABLE
    found = {"error"}
    for row in _TABLE[1].splitlines():
        verbs, types = (re.findall(r"`([a-z]+)`", cell) for cell in row.split("|")[1:3])
        if verb in verbs:
            found |= {*types} or {verb}
    return found


# What each verb needs besides a job to be understood.
NEEDED = {"estimate": ["in.jsonl"], "run": ["in.jsonl"], "submit": ["in.jsonl"], "attach": ["msgbatch_1"]}


@pytest.fixture
def job(cli: Cli) -> str:
    return cli.submitted("in.jsonl", requests(3))


def shapes(ran: Ran, verb: str) -> list[dict[str, Any]]:
    """All that was said; each line an object that the page on JSON names."""
    found = [json.loads(line) for line in [*ran.out.splitlines(), *ran.err.splitlines()]]
    assert {shape["type"] for shape in found} <= _types_of(verb)
    assert all(shape["schema_version"] == 1 for shape in found)
    assert not [line for line in ran.out.splitlines() if json.loads(line)["type"] == "error"]
    return found


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "words",
    [["--no-such-option"], ["--timeout", "soon"], ["--workspace"], ["too", "many", "words"]],
    ids=["unknown option", "bad value", "no value", "too many words"],
)
def test_a_command_line_that_is_wrong_is_an_error_object(cli: Cli, verb: str, words: list[str]) -> None:
    if verb == "attach" and words[0] == "too":
        pytest.skip("it takes as many ids as there are")
    cli.agrees = False
    ran = cli.run(verb, "--json", *words)
    (shape,) = shapes(ran, verb)
    assert (shape["type"], shape["code"], shape["exit_status"], ran.status) == ("error", "usage", 2, 2)
    assert shape["hint"] in {f"batchctl {verb} --help", "batchctl --help"}
    assert shape["message"]


def test_a_verb_that_is_none_is_an_error_object(cli: Cli) -> None:
    (shape,) = shapes(cli.run("frobnicate", "--json"), "frobnicate")
    assert shape["message"] == "no such command: frobnicate"


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_without_a_job_is_told_in_objects(cli: Cli, verb: str) -> None:
    ran = cli.run(verb, *NEEDED.get(verb, []), "--json", *(["--offline"] if verb in {"status", "doctor"} else []))
    assert shapes(ran, verb), "something is always said"
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("verb", few(VERBS, 0, 3, 7))
def test_a_job_is_told_in_objects(cli: Cli, job: str, verb: str) -> None:
    asked = {"prices": []}.get(verb, NEEDED.get(verb, [job]))
    ran = cli.run(verb, *asked, "--json")
    assert shapes(ran, verb)
    # `convert` takes a file, and no job.
    if verb not in {"doctor", "attach", "convert"}:
        assert ran.status in {0, 3, 6}, ran.err


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["submit", "run", "retry", "cancel", "delete", "resolve"])
def test_a_program_is_asked_no_question(cli: Cli, emulator: Running, verb: str) -> None:
    """At a terminal, too."""
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 1.0}})
    path = cli.write("in.jsonl", requests(3))
    if verb not in {"submit", "run"}:
        cli.run("submit", path, "--yes")
        cli.run("fetch")
    words = [verb, path.name] if verb in {"submit", "run"} else [verb]
    environment = {**os.environ, **cli.variables}
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "batchctl", *words, "--json"]
    ended = subprocess.run(
        command, check=False, cwd=cli.folder, env=environment, stdin=slave, capture_output=True, timeout=60
    )
    os.close(master)
    os.close(slave)
    assert shapes(Ran(ended.returncode, ended.stdout.decode(), ended.stderr.decode()), verb)


def _in_a_shell(cli: Cli, line: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **cli.variables, **variables}
    shell = line.replace("batchctl", f"{sys.executable} -m batchctl")
    return subprocess.run(
        ["sh", "-c", shell], check=False, cwd=cli.folder, env=environment, capture_output=True, timeout=60
    )


@pytest.mark.slow
@pytest.mark.parametrize("encoding", few(["ascii", "latin-1"], 0))
def test_what_a_terminal_has_no_character_for_is_replaced(cli: Cli, encoding: str) -> None:
    cli.submitted("наборы.jsonl", requests(3), "--name", "a-job")
    for words in ("status @last --offline --batches", "cost @last", "status --offline"):
        ended = _in_a_shell(cli, f"batchctl {words}", PYTHONIOENCODING=encoding)
        assert (ended.returncode, ended.stderr.count(b"Error")) == (0, 0), ended.stderr
        assert b"a-job" in ended.stdout
    ended = _in_a_shell(cli, "batchctl status @last --offline --json", PYTHONIOENCODING=encoding)
    assert json.loads(ended.stdout)["input"].endswith("наборы.jsonl"), "nothing is replaced where a program reads"


@pytest.mark.slow
@pytest.mark.parametrize("columns", few(["0", "1", "-5", "wide", "٣"], 0))
def test_a_width_that_is_none_is_not_obeyed(cli: Cli, job: str, columns: str) -> None:
    ended = _in_a_shell(cli, "batchctl status @last --offline", COLUMNS=columns, LINES="0")
    assert job.encode() in ended.stdout
    assert ended.returncode == 0


@pytest.mark.parametrize("words", few(["--help", "--version", "submit --help", "status", "status --json"], 0))
def test_a_stdout_that_is_full_is_one_line(cli: Cli, job: str, words: str) -> None:
    ended = _in_a_shell(cli, f"batchctl {words} >/dev/full")
    assert ended.returncode == 1
    assert ended.stderr.count(b"\n") == 1
    assert b"No space left on device" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("end", ["2>/dev/full", "2>&-", "2>&1 >/dev/null | true"])
@pytest.mark.parametrize("words", ["run in.jsonl --yes -v", "run in.jsonl --yes --json"])
def test_a_stderr_that_takes_nothing_ends_no_run(cli: Cli, emulator: Running, words: str, end: str) -> None:
    cli.write("in.jsonl", requests(3))
    ended = _in_a_shell(cli, f"batchctl {words} {end}")
    assert ended.returncode == 0
    assert len(emulator.batches()) == 1
    assert len(list(cli.folder.glob("*.results.jsonl"))) == 1


@pytest.mark.slow
def test_a_stdout_that_is_full_ends_no_run(cli: Cli, emulator: Running) -> None:
    cli.write("in.jsonl", requests(3))
    ended = _in_a_shell(cli, "batchctl run in.jsonl --yes --json >/dev/full")
    assert ended.returncode == 1
    assert json.loads(ended.stderr)["message"] == "No space left on device"
    assert len(emulator.batches()) == 1
    assert len(list(cli.folder.glob("*.results.jsonl"))) == 1
