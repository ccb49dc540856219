"""Tables of cases of which a few are tried by `make test`, and all of them by `make test-slow`."""

from collections.abc import Iterable
from typing import Any

import pytest


def few(cases: Iterable[Any], *quick: int) -> list[Any]:
    """Parameters for `parametrize`: the cases at `quick` as they are, every other one marked slow.

    A case of several arguments is a tuple.
    """
    return [case if n in quick else _slow(case) for n, case in enumerate(cases)]


def _slow(case: Any) -> Any:
    arguments = case if isinstance(case, tuple) else (case,)
    return pytest.param(*arguments, marks=pytest.mark.slow)
