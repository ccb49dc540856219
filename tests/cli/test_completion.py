"""Shell completion, by the protocol that each shell speaks; and what was probably meant by a word that is nothing."""

import os
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from program import Cli, requests

from batchctl.cli.app import VERBS
from batchctl.cli.completion import SHELLS
from batchctl.domain.model_catalog import Catalog, Model
from batchctl.emulator.running import Running, running
from batchctl.store.local import LocalStore
from batchctl.store.models_file import write_catalog
from batchctl.verbs.find_job import nearest_name

JOBS = ["reviews-7f3a", "reviews-11aa", "tickets-0b1c"]
# Names that a shell could read as more than a word.
HOSTILE = ["$(touch owned)", "a;b", "-x", "a b"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate([*JOBS, *HOSTILE]):
        job = tmp_path / ".batchctl" / "jobs" / name
        job.mkdir(parents=True)
        os.utime(job, (number, number))
    models = {name: Model(id=name) for name in ("claude-house-1", "$(touch owned)")}
    asked_at = datetime(2026, 11, 21, tzinfo=UTC)
    write_catalog(LocalStore(tmp_path / ".batchctl"), Catalog(api="", asked_at=asked_at, models=models))
    for name in ("reviews.jsonl", "old.jsonl.gz", "notes.txt", "$(touch owned).jsonl"):
        (tmp_path / name).touch()
    return tmp_path


def asked(folder: Path, line: str, shell: str = "bash") -> list[str]:
    """What a shell is answered for a line whose cursor is at its end."""
    words = [*shlex.split(line), *[""] * line.endswith(" ")]
    variables = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    ran = subprocess.run(
        [sys.executable, "-m", "batchctl"],
        cwd=folder,
        env={**os.environ, "_BATCHCTL_COMPLETE": f"complete_{shell}", **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stderr == ""
    return ran.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("batchctl ", [verb.name for verb in VERBS]),
        ("batchctl re", ["retry", "resolve"]),
        ("batchctl fetch ", ["tickets-0b1c", "reviews-11aa", "reviews-7f3a", "@last"]),
        ("batchctl fetch rev", ["reviews-11aa", "reviews-7f3a"]),
        ("batchctl fetch --workspace nowhere ", ["@last"]),
        ("batchctl run r", ["reviews.jsonl", "reviews-11aa", "reviews-7f3a"]),
        ("batchctl run ./r", []),
        ("batchctl prices claude-h", ["claude-haiku-4-5", "claude-haiku-5-5", "claude-house-1"]),
        ("batchctl run --check ", ["auto", "full", "envelope"]),
        ("batchctl run --engine p", ["processes"]),
        ("batchctl submit --api-version 2026", ["2026-10-21"]),
        ("batchctl submit --cache-system ", ["1h", "5m"]),
        ("batchctl retry --only t", ["truncated"]),
        ("batchctl status -o ", ["wide"]),
        ("batchctl run --max-c", ["--max-cost"]),
        ("batchctl completion ", list(SHELLS)),
    ],
)
def test_a_shell_is_offered_what_can_stand_there(folder: Path, line: str, values: list[str]) -> None:
    # Nothing is an empty line.
    assert [value for value in asked(folder, line) if value] == values


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_offered_the_same_with_its_meaning(folder: Path, shell: str) -> None:
    said = "\n".join(asked(folder, "batchctl canc", shell))
    assert "cancel" in said
    assert "Cancel a job and fetch what was answered" in said


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell_is_printed(cli: Cli, shell: str) -> None:
    ran = cli.run("completion", shell)
    assert (ran.status, ran.err) == (0, "")
    assert f"_BATCHCTL_COMPLETE=complete_{shell}" in ran.out


def test_bash_takes_the_script_and_completes_by_it(folder: Path, cli: Cli) -> None:
    bash = shutil.which("bash")
    assert bash
    script = cli.run("completion", "bash").out
    (folder / "batchctl").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m batchctl "$@"\n')
    (folder / "batchctl").chmod(0o755)
    lines = (
        script,
        "COMP_WORDS=(batchctl fetch rev) COMP_CWORD=2",
        "complete -p batchctl",
        "_batchctl_completion batchctl",
        'printf "%s\\n" "${COMPREPLY[@]}"',
    )
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        [bash, "--norc", "-c", "\n".join(lines)],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.splitlines()[1:] == ["reviews-11aa", "reviews-7f3a"]
    assert not (folder / "owned").exists()


# ---------------------------------------------------------------- did you mean


@pytest.fixture
def emulator():
    with running({"batch_seconds": 0}) as emulator:
        yield emulator


@pytest.fixture
def cli(emulator: Running, tmp_path: Path) -> Cli:
    return Cli(tmp_path, emulator.base_url)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["stauts"], "no such command: stauts; did you mean status?", "batchctl status --help"),
        (["frobnicate"], "no such command: frobnicate", "batchctl --help"),
        (["run", "--max-csot", "5"], "no such option: --max-csot; did you mean --max-cost?", "batchctl run --help"),
        (["run", "--frobnicate"], "no such option: --frobnicate", "batchctl run --help"),
        (
            ["run", "x", "--check", "ful"],
            "invalid value: --check 'ful': use auto, full or envelope; did you mean full?",
            "batchctl run --help",
        ),
        (["completion", "tcsh"], "invalid value: SHELL 'tcsh': use bash, zsh or fish", "batchctl completion --help"),
    ],
)
def test_a_mistyped_word_is_answered_with_what_was_meant(cli: Cli, words: list[str], message: str, hint: str) -> None:
    ran = cli.run(*words)
    assert (ran.status, ran.out) == (2, "")
    assert message in ran.err.splitlines()[0]
    assert hint in ran.err.splitlines()[1]
    assert cli.run(*hint.split()[1:]).status == 0


def test_a_mistyped_job_is_answered_with_the_one_that_was_meant_and_nothing_is_sent(
    cli: Cli, emulator: Running
) -> None:
    job = cli.submitted("reviews.jsonl", requests(2))
    before = emulator.batches()
    for verb in ("fetch", "run", "retry", "status", "cancel"):
        ran = cli.run(verb, "reveiws")
        assert ran.status == 2
        assert f"did you mean {job}?" in ran.err
        assert f"batchctl status {job}" in ran.err
    assert emulator.batches() == before


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("reviews-7f3b", "reviews-7f3a"),
        ("reveiws", "reviews-7f3a"),
        ("ticket-0b1c", "tickets-0b1c"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_a_job_is_near_by_its_whole_name_or_by_its_beginning(word: str, name: str) -> None:
    assert nearest_name(word, JOBS) == name
