"""Openers of sessions for worker processes in which something is wrong. Light to import: each worker does."""

import os
from typing import NoReturn

from batchctl.clock import StopSignal
from batchctl.domain.errors import LedgerProblem


class OddError(Exception):
    """Cannot be made from what it holds, and so not be unpickled."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


def dies(_: StopSignal) -> NoReturn:
    os._exit(3)


def cannot_open(_: StopSignal) -> NoReturn:
    raise LedgerProblem("the ledger is somebody else's", hint="ask them")


def has_a_bug(_: StopSignal) -> NoReturn:
    raise OddError(1, 2)
