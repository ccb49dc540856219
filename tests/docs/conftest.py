"""Scripts that are no part of the package, loaded where they lie."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def build() -> ModuleType:
    return _loaded("samples_build", PROJECT / "samples" / "build.py")


@pytest.fixture(scope="session")
def demo() -> ModuleType:
    return _loaded("samples_demo", PROJECT / "samples" / "demo.py")


def _loaded(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
