"""What every test starts from: no key, no settings, no proxy and no profile of this machine; warnings stay errors."""

import functools
import os
import ssl
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpcore2
import pytest
from hypothesis import settings
from sqlalchemy import Engine
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

from batchctl.api.client import TRUSTED
from batchctl.store.workspace import Workspace

# The same examples on every machine and in every run. A test that is marked `generated` is run once more, with many.
settings.register_profile("some", derandomize=True, deadline=None, max_examples=25, database=None)
settings.register_profile("many", settings.get_profile("some"), max_examples=500)
settings.load_profile("some")

LOOPBACK = "127.0.0.1,localhost"
OF_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
OF_TERMINALS = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "TTY_COMPATIBLE")


@pytest.fixture(scope="session")
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home without a profile."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def clean_environment(nobodys_home: Path) -> Iterator[None]:
    """The variables of the person who runs the tests must not reach them."""
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            is_proxy = name.upper() in OF_PROXIES
            if is_proxy or name in OF_TERMINALS or name.startswith(("ANTHROPIC_", "BATCHCTL_", "XDG_", "SSL_CERT_")):
                environment.delenv(name)
        environment.setenv("NO_PROXY", LOOPBACK)
        environment.setenv("no_proxy", LOOPBACK)
        environment.setenv("HOME", str(nobodys_home))
        environment.setenv("ANTHROPIC_CONFIG_DIR", str(nobodys_home / "anthropic"))
        yield


@pytest.fixture(scope="session", autouse=True)
def authorities_read_once() -> Iterator[None]:
    """Every client reads all the certificates of this machine anew, though hardly anything here speaks TLS: it takes longer
    than most commands do.
    """
    reads = httpcore2.default_ssl_context

    @functools.cache
    def once_for(named: tuple[str | None, ...], **how: bool) -> ssl.SSLContext:
        return reads(**how)

    def read(**how: bool) -> ssl.SSLContext:
        return once_for(tuple(map(os.environ.get, TRUSTED)), **how)

    with pytest.MonkeyPatch.context() as once:
        once.setattr(httpcore2, "default_ssl_context", read)
        yield


@pytest.fixture(scope="session", autouse=True)
def statements_compiled_once() -> Iterator[None]:
    """Every ledger that is opened compiles each of its statements anew, though all are for the same kind of database."""
    shared = LRUCache[Any, Any](500)
    with pytest.MonkeyPatch.context() as once:
        once.setattr(Engine, "_compiled_cache", property(lambda _: shared, lambda _, __: None), raising=False)
        once.setattr(SQLiteDialect_pysqlite, "__hash__", lambda _: hash(SQLiteDialect_pysqlite))
        once.setattr(SQLiteDialect_pysqlite, "__eq__", lambda _, other: isinstance(other, SQLiteDialect_pysqlite))
        yield


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where the machine has such a place: for thousands of commits, and no power that fails."""
    shared = Path("/dev/shm")
    if not shared.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared) as made:
        yield Path(made)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many stop points the sweeps of tests/crash tried, by scene and kind; each test says its own part of it."""
    tried: Counter[tuple[str, str]] = Counter()
    reports = [r for found in terminalreporter.stats.values() for r in found if isinstance(r, pytest.TestReport)]
    for name, told in (given for report in reports if report.when == "call" for given in report.user_properties):
        if name == "stops" and isinstance(told, dict):
            tried[told["scene"], told["kind"]] += told["tried"]
    if not tried:
        return
    terminalreporter.section("stop points tried")
    for (scene, kind), count in sorted(tried.items()):
        terminalreporter.line(f"{scene:20} {kind:8} {count:5}")
    terminalreporter.line(f"{'in all':20} {'':8} {sum(tried.values()):5}")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / ".batchctl")
    made.make()
    return made
