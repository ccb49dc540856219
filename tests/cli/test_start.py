"""What a command loads, and which number each problem leaves with."""

import subprocess
import sys

import pytest
from program import Person, requests

from batchctl.cli.exit_status import MEANINGS, OF_PROBLEM, OF_STAGE
from batchctl.domain import errors
from batchctl.domain.progress import Stage
from batchctl.emulator.running import running

HEAVY = ("anthropic", "httpx2", "sqlalchemy", "alembic", "rich", "uvicorn", "starlette", "jsonschema_rs", "orjson")


def _loaded(*words: str, folder: str = ".") -> set[str]:
    code = (
        "import sys\n"
        "from batchctl.cli.app import app\n"
        "try:\n    app(sys.argv[1:], prog_name='batchctl')\n"
        "except SystemExit:\n    pass\n"
        f"print('loaded', *(name for name in {HEAVY!r} if name in sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=folder, check=True, timeout=60
    )
    return set(ran.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("words", [["--help"], ["submit", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    assert _loaded(*words) == set()


def test_offline_status_never_loads_the_sdk(tmp_path) -> None:
    with running({"batch_seconds": 0}) as emulator:
        Person(tmp_path, emulator.base_url).submitted("in.jsonl", requests(2))
    loaded = _loaded("status", "@last", "--offline", folder=str(tmp_path))
    assert not loaded & {"anthropic", "httpx2", "alembic", "uvicorn", "jsonschema_rs"}


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
