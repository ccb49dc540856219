"""What any way of knowing whether an owner lives must do, whatever it rests on: locks of files, or leases that are renewed."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pytest
from builders import MINUTE, NOW
from ledger.methods import planned

from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.liveness import LEASE, FileLockLiveness, LeaseLiveness, Liveness, Owner

ONE, OTHER = "one", "other"

ANNOUNCES = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from batchctl.ledger.liveness import FileLockLiveness
with FileLockLiveness(Path(sys.argv[1])).announce(sys.argv[2], datetime(2026, 11, 21, tzinfo=UTC)):
    print("ready", flush=True)
    sys.stdin.read()
"""


class Way(Protocol):
    """A liveness under test.

    Attributes:
        notices_after: Seconds of the asker's clock after which a death is known.
    """

    notices_after: float

    def asked_by_another(self) -> Liveness:
        """Return what a process has that asks."""
        ...

    def owner(self, name: str) -> contextlib.AbstractContextManager["Peer"]:
        """Start a process that announces an owner."""
        ...

    def name(self, word: str) -> str:
        """Return the name of an owner."""
        ...


class Peer(Protocol):
    """A process that has announced an owner."""

    def renew(self, now: datetime) -> None:
        """Give a sign of life."""
        ...

    def die(self) -> None:
        """End without a word, as of `kill -9`."""
        ...


# ---------------------------------------------------------------- locks of files


@dataclass
class Locks:
    folder: Path
    notices_after: float = 0.0

    def asked_by_another(self) -> Liveness:
        return FileLockLiveness(self.folder)

    def name(self, word: str) -> str:
        return Owner(self.folder).name.rsplit("-", 2)[0] + f"-7-{word}"

    @contextlib.contextmanager
    def owner(self, name: str) -> Iterator[Peer]:
        words = [sys.executable, "-c", ANNOUNCES, str(self.folder), name]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            try:
                yield LockingPeer(process, FileLockLiveness(self.folder), name)
            finally:
                process.communicate(timeout=30)


@dataclass
class LockingPeer:
    process: subprocess.Popen[str]
    liveness: Liveness
    name: str

    def renew(self, now: datetime) -> None:
        self.liveness.renew(self.name, now)

    def die(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)


# ---------------------------------------------------------------- leases


@dataclass
class Leasing:
    """Claims are the leases: an owner has one as long as it holds a batch."""

    ledger: SqlLedger
    notices_after: float = LEASE.total_seconds()

    def __post_init__(self) -> None:
        planned(self.ledger)

    def asked_by_another(self) -> Liveness:
        return LeaseLiveness(self.ledger)

    def name(self, word: str) -> str:
        return word

    @contextlib.contextmanager
    def owner(self, name: str) -> Iterator[Peer]:
        (job,) = self.ledger.jobs()
        free = next(batch for batch in self.ledger.batches(job) if batch.claim is None)
        assert self.ledger.claim(free, name, NOW)
        liveness = LeaseLiveness(self.ledger)
        with liveness.announce(name, NOW):
            yield LeasingPeer(liveness, name)


@dataclass
class LeasingPeer:
    liveness: Liveness
    name: str

    def renew(self, now: datetime) -> None:
        self.liveness.renew(self.name, now)

    def die(self) -> None:
        """It renews no more: nothing else tells that it is dead."""


@pytest.fixture(params=["locks", "leases"])
def way(request: pytest.FixtureRequest, tmp_path: Path, ledger: SqlLedger) -> Way:
    return Locks(tmp_path / "owners") if request.param == "locks" else Leasing(ledger)


# ---------------------------------------------------------------- what holds of both


def test_an_owner_is_alive_while_it_is_announced_and_gives_signs_of_life(way: Way) -> None:
    asked, name = way.asked_by_another(), way.name(ONE)
    with way.owner(name) as peer:
        assert asked.is_alive(name, 0.0) is True
        for minute in range(1, 10):
            peer.renew(NOW + minute * MINUTE)
            assert asked.is_alive(name, 60.0 * minute) is True


def test_a_dead_owner_is_dead_once_that_can_be_noticed(way: Way) -> None:
    asked, name = way.asked_by_another(), way.name(ONE)
    with way.owner(name) as peer:
        assert asked.is_alive(name, 500.0) is True
        peer.die()
        if way.notices_after:
            assert asked.is_alive(name, 500.0 + way.notices_after - 1) is True
        assert asked.is_alive(name, 500.0 + way.notices_after) is False


@pytest.mark.slow
def test_one_dead_owner_takes_no_other_along(way: Way) -> None:
    asked, one, other = way.asked_by_another(), way.name(ONE), way.name(OTHER)
    with way.owner(one) as dying, way.owner(other) as living:
        assert asked.is_alive(one, 0.0) is asked.is_alive(other, 0.0) is True
        dying.die()
        living.renew(NOW + MINUTE)
        assert asked.is_alive(one, way.notices_after) is False
        assert asked.is_alive(other, way.notices_after) is True


def test_of_an_owner_that_never_was_nobody_says_that_it_lives(way: Way) -> None:
    assert not way.asked_by_another().is_alive(way.name("nobody"), 0.0)


def test_the_clock_of_the_owner_says_nothing(way: Way) -> None:
    """It may be put back or forward by any amount: every sign of life counts alike."""
    asked, name = way.asked_by_another(), way.name(ONE)
    with way.owner(name) as peer:
        for turn, now in enumerate((NOW + 10_000 * MINUTE, NOW - 10_000 * MINUTE, NOW)):
            peer.renew(now)
            assert asked.is_alive(name, 119.0 * turn) is True


def test_who_begins_to_ask_takes_nobody_for_dead_by_what_was_before(way: Way) -> None:
    name = way.name(ONE)
    with way.owner(name):
        assert way.asked_by_another().is_alive(name, 0.0) is True
        assert way.asked_by_another().is_alive(name, 1e9) is True
