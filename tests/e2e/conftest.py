import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Server, Shell, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    scenario = tmp_path / "scenario.toml"
    scenario.write_text("batch_seconds = 0\n")
    with serving(scenario) as server:
        yield server


@pytest.fixture
def shell(server: Server, tmp_path: Path) -> Shell:
    folder = tmp_path / "here"
    folder.mkdir()
    environment = {
        **os.environ,
        "ANTHROPIC_BASE_URL": server.url,
        "ANTHROPIC_API_KEY": "sk-ant-e2e",
        "BATCHCTL_UNCONFIRMED_GRACE": "0.5",
    }
    return Shell(folder, environment)
