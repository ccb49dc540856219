"""What a command loads, and which number each problem leaves with."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import typer
from cases import few
from program import Cli, requests

from batchctl.cli.exit_status import MEANINGS, OF_PROBLEM, OF_STAGE
from batchctl.cli.global_options import GlobalOptions
from batchctl.cli.run_verb import run
from batchctl.clock import Clock, StopSignal
from batchctl.domain import errors
from batchctl.domain.events import Emit
from batchctl.domain.job_report import Stage
from batchctl.emulator.running import running

# What takes long to import, and what of our own leads to it.
HEAVY = (
    "anthropic", "httpx2", "sqlalchemy", "alembic", "starlette", "uvicorn", "orjson", "jsonschema_rs", "sqlite3",
    "pydantic", "rich", "rich.live", "rich.progress", "batchctl.emulator", "batchctl.api.client", "batchctl.ledger.ledger",
    "batchctl.engine.loop", "batchctl.domain.model", "batchctl.domain.events", "genai_prices", "genai_prices.data",
)  # fmt: skip
LEDGER = {"sqlalchemy", "sqlite3", "batchctl.domain.model"}
PICTURE = {*LEDGER, "rich"}
# genai_prices brings pydantic, and an HTTP client for a refresh of its own.
PRICES = {*PICTURE, "genai_prices", "genai_prices.data", "pydantic", "httpx2"}
CHECK = {*PICTURE, "orjson", "jsonschema_rs", "batchctl.domain.events"}
# What it would cost is a part of what would be sent; to know that from bytes, nobody is asked.
REHEARSAL = {*CHECK, *PRICES}

COMPLETING = {"_BATCHCTL_COMPLETE": "complete_bash", "COMP_WORDS": "batchctl status --off", "COMP_CWORD": "2"}


def _loaded(*words: str, folder: Path = Path(), variables: Mapping[str, str] | None = None) -> set[str]:
    """Of HEAVY, all that a command has imported when it ends well."""
    code = (
        "import sys\n"
        "from batchctl.cli import main\n"
        "sys.argv[0] = 'batchctl'\n"
        "try:\n    main()\n"
        "except SystemExit as leaving:\n    assert leaving.code in {None, 0, 3}, leaving.code\n"
        f"print('\\nloaded', *(name for name in {HEAVY!r} if name in sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **(variables or {})},
        check=False,
        timeout=60,
    )
    assert not ran.returncode, ran.stderr
    return set(ran.stdout.splitlines()[-1].split()[1:])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of somebody who has a job that is fetched, with a request without success, and one that is under way."""
    made = tmp_path_factory.mktemp("work")
    with running({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}}) as emulator:
        cli = Cli(made, emulator.base_url)
        cli.submitted("one.jsonl", requests(20))
        assert cli.run("fetch").status == 3
        emulator.set_scenario({"batch_seconds": 600})
        cli.submitted("two.jsonl", requests(4), "--max-requests", "2")
    cli.write("three.jsonl", requests(3, "other"))
    cli.write("openai.jsonl", [b'{"custom_id": "a", "body": {"max_tokens": 5, "messages": []}}'])
    return made


@pytest.mark.parametrize("words", few([["--help"], ["submit", "--help"], ["status", "--help"], ["--version"]], 0, 2))
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    assert _loaded(*words) == set()


def test_completion_loads_nothing_heavy() -> None:
    assert _loaded(variables=COMPLETING) == set()


LOADED = [
    ("status", PICTURE),
    ("submit three.jsonl --dry-run", REHEARSAL),
    ("estimate three.jsonl --offline", REHEARSAL),
    ("status @last --offline --batches", PICTURE),
    ("convert openai.jsonl --model claude-haiku-5-5 --force", {*CHECK, "pydantic"}),
    ("verify one", CHECK - {"jsonschema_rs"}),
    ("prices", PRICES),
    # The prices of its answers were recorded with them.
    ("cost one", PICTURE),
    ("cost one --at today", PRICES),
    ("status --json", PICTURE),
    ("status one --offline", PICTURE),
    ("status @last --offline --json", PICTURE),
    # A number that was typed is converted as Typer does it.
    ("submit three.jsonl --show 2", {*CHECK, "pydantic"}),
    ("submit three.jsonl --dry-run --json", REHEARSAL),
    ("prices claude-opus-5-5 --json", PRICES),
    ("cost one --json", PICTURE),
]


@pytest.mark.parametrize(("command", "loaded"), few(LOADED, 0))
def test_who_only_reads_loads_nothing_to_send_or_to_write_with(folder: Path, command: str, loaded: set[str]) -> None:
    assert _loaded(*command.split(), folder=folder) == loaded


@pytest.mark.slow
def test_a_dry_run_in_a_new_folder_makes_no_ledger_to_ask_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(requests(3)))
    assert _loaded("submit", "in.jsonl", "--dry-run", folder=tmp_path) == REHEARSAL
    assert (tmp_path / ".batchctl" / "ledger.db").stat().st_size == 0
    assert "batchctl.ledger.ledger" in _loaded("status", folder=tmp_path), "whoever asks it has it made"


def test_every_kind_of_problem_has_its_number() -> None:
    kinds = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.BatchctlError) and kind is not errors.BatchctlError
    }
    assert set(OF_PROBLEM) == kinds
    assert set(OF_STAGE) == set(Stage)
    assert {*OF_PROBLEM.values(), *OF_STAGE.values()} <= set(MEANINGS)


def test_each_problem_says_its_number_where_it_is_defined() -> None:
    for kind, status in OF_PROBLEM.items():
        assert any(kind.__name__ in line and f" {status} " in line for line in (errors.__doc__ or "").splitlines()), (
            kind
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_that_comes_while_a_command_is_opened_is_said_as_any_other(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def opening(_options: GlobalOptions, _clock: Clock, _emit: Emit, _stop: StopSignal) -> Iterator[Any]:
        signal.raise_signal(number)
        yield pytest.fail("it was opened")

    with pytest.raises(typer.Exit) as leaving:
        run(GlobalOptions(), lambda _session, _writer: 0, opening)
    assert leaving.value.exit_code == 130
    assert "nothing was canceled" in capsys.readouterr().err
