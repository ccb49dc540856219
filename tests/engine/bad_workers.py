"""Openers of sessions for worker processes in which something is wrong. Light to import: each worker does."""

import contextlib
import os
from collections.abc import Iterator
from typing import NoReturn

from batchctl.clock import StopSignal
from batchctl.domain.errors import LedgerProblem
from batchctl.engine.session import Session


class OddError(Exception):
    """Cannot be made from what it holds, and so not be unpickled."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


def dies(_: StopSignal) -> NoReturn:
    os._exit(3)


@contextlib.contextmanager
def cannot_open(_: StopSignal) -> Iterator[Session]:
    raise LedgerProblem("the ledger is somebody else's", hint="ask them")
    yield


@contextlib.contextmanager
def has_a_bug(_: StopSignal) -> Iterator[Session]:
    raise OddError(1, 2)
    yield
