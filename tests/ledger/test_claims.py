"""A step is taken by one process, and a dead one's step is free again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from builders import MINUTE, NOW, a_cut, a_job, a_message_batch

from batchctl.domain.errors import LedgerProblem
from batchctl.domain.model import Batch, Job, State
from batchctl.ledger import Ledger, Owner
from batchctl.ledger.claims import LEASE
from batchctl.ledger.owners import is_alive

LIVES = """
import sys
from pathlib import Path
from batchctl.ledger import Owner
with Owner(Path(sys.argv[1])) as owner:
    print(owner.name, flush=True)
    sys.stdin.read()
"""

CLAIMS_ALL = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from batchctl.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
(job,) = ledger.jobs()
batches = ledger.batches(job)
print("ready", flush=True)
sys.stdin.readline()
now = datetime(2026, 11, 21, 12, tzinfo=UTC)
print(*(b.id for b in batches if ledger.claim_send(b, sys.argv[2], now)), flush=True)
"""


@contextmanager
def living(owners: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that holds an owner's lock, and its name."""
    words = [sys.executable, "-c", LIVES, str(owners)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        try:
            yield other, other.stdout.readline().strip()
        finally:
            other.kill()


@pytest.fixture
def owners(tmp_path: Path) -> Path:
    return tmp_path / "owners"


# ---------------------------------------------------------------- claims


def test_a_batch_is_claimed_once_until_it_is_given_back(ledger: Ledger, batches: tuple[Batch, ...]) -> None:
    one = batches[0]
    assert ledger.claim(one, "1-aa", NOW)
    assert not ledger.claim(one, "2-bb", NOW)
    assert not ledger.claim(one, "1-aa", NOW)
    ledger.release(one, "2-bb")
    assert not ledger.claim(one, "2-bb", NOW)
    ledger.release(one, "1-aa", not_before=NOW + MINUTE, note="later")
    assert ledger.claim(one, "2-bb", NOW)


def test_a_claim_on_a_state_that_has_passed_is_none(ledger: Ledger, batches: tuple[Batch, ...]) -> None:
    planned = batches[0]
    assert ledger.claim_send(planned, "1-aa", NOW)
    ledger.record_doubt(planned, not_before=NOW, note="")
    assert not ledger.claim(planned, "2-bb", NOW)
    assert not ledger.claim_send(planned, "2-bb", NOW)


def test_only_a_planned_batch_is_claimed_for_sending(ledger: Ledger, job: Job, batches: tuple[Batch, ...]) -> None:
    ledger.claim_send(batches[0], "1-aa", NOW)
    ledger.record_doubt(batches[0], not_before=NOW, note="")
    doubt = ledger.batches(job)[0]
    assert doubt.state is State.SUBMITTING
    assert not ledger.claim_send(doubt, "1-aa", NOW)
    assert ledger.claim(doubt, "1-aa", NOW)


def test_a_sign_of_life_renews_all_claims_of_its_owner(ledger: Ledger, job: Job, batches: tuple[Batch, ...]) -> None:
    for batch, owner in zip(batches, ("1-aa", "1-aa", "2-bb"), strict=True):
        ledger.claim(batch, owner, NOW)
    ledger.renew("1-aa", NOW + MINUTE)
    assert [b.claim.until for b in ledger.batches(job) if b.claim] == [NOW + MINUTE + LEASE] * 2 + [NOW + LEASE]


def test_of_many_threads_one_gets_it(ledger: Ledger, batches: tuple[Batch, ...]) -> None:
    with ThreadPoolExecutor(8) as pool:
        for batch in batches:
            got = list(pool.map(lambda n, of=batch: ledger.claim_send(of, f"{n}-aa", NOW), range(8)))
            assert sum(got) == 1


def test_four_processes_share_two_hundred_batches_and_none_has_two_owners(path: Path, ledger: Ledger) -> None:
    job = ledger.record_job(a_job(), [a_cut(1, n) for n in range(200)])
    words = [sys.executable, "-c", CLAIMS_ALL, str(path)]
    others = [subprocess.Popen([*words, f"{n}-aa"], stdin=-1, stdout=-1, stderr=-1, text=True) for n in range(4)]
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
    told = []
    for other in others:
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
    for other in others:
        out, err = other.communicate(timeout=60)
        assert err == ""
        told += [int(word) for word in out.split()]
    assert sorted(told) == [b.id for b in ledger.batches(job)]
    assert all(b.state is State.SUBMITTING and b.claim for b in ledger.batches(job))


# ---------------------------------------------------------------- owners


def test_an_owner_lives_as_long_as_its_process(owners: Path) -> None:
    with living(owners) as (other, name):
        assert is_alive(owners, name) is True
        other.send_signal(signal.SIGKILL)
        other.wait(timeout=10)
        assert (owners / f"{name}.lock").exists()
        assert is_alive(owners, name) is False
    assert list(owners.iterdir()) == []


def test_an_owner_that_left_leaves_nothing(owners: Path) -> None:
    with Owner(owners) as owner:
        assert is_alive(owners, owner.name) is True
        assert [p.stat().st_mode & 0o777 for p in owners.iterdir()] == [0o600]
    assert list(owners.iterdir()) == []
    assert is_alive(owners, owner.name) is False


def test_a_newcomer_clears_up_after_the_dead_and_leaves_the_living(owners: Path) -> None:
    with living(owners) as (_, name):
        (owners / "99999-dead.lock").touch()
        with Owner(owners) as me:
            assert {p.stem for p in owners.iterdir()} == {name, me.name}


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LedgerProblem) as raised, Owner(tmp_path / "owners"):
        pytest.fail("it could be written")
    assert "--workspace" in raised.value.hint


def test_a_file_in_place_of_the_folder_is_named(owners: Path) -> None:
    owners.write_bytes(b"")
    with pytest.raises(LedgerProblem, match="owners") as raised, Owner(owners):
        pytest.fail("it could be written")
    assert "--workspace" in raised.value.hint


# ---------------------------------------------------------------- claims of the dead


def test_the_claims_of_a_killed_owner_are_free_and_those_of_the_living_are_not(
    ledger: Ledger, job: Job, batches: tuple[Batch, ...], owners: Path, me: str
) -> None:
    with living(owners) as (other, name):
        ledger.claim_send(batches[0], name, NOW)
        ledger.claim(batches[1], name, NOW)
        ledger.claim_send(batches[2], me, NOW)
        assert ledger.release_dead(NOW) == 0
        other.send_signal(signal.SIGKILL)
        other.wait(timeout=10)
    assert ledger.release_dead(NOW) == 2
    half_sent, planned, mine = ledger.batches(job)
    assert (half_sent.state, half_sent.claim) == (State.SUBMITTING, None)
    assert (planned.state, planned.claim) == (State.PLANNED, None)
    assert mine.claim is not None
    assert ledger.release_dead(NOW) == 0


def test_a_living_owner_is_believed_however_old_its_lease(
    ledger: Ledger, job: Job, batches: tuple[Batch, ...], me: str
) -> None:
    ledger.claim(batches[0], me, NOW)
    assert ledger.release_dead(NOW + 100 * LEASE) == 0
    assert ledger.batches(job)[0].claim is not None


@pytest.mark.parametrize(("after", "freed"), [(LEASE - MINUTE, 0), (LEASE, 1)])
def test_where_locks_cannot_be_asked_the_lease_speaks(
    ledger: Ledger, batches: tuple[Batch, ...], owners: Path, after, freed: int
) -> None:
    # A folder in the lock's place cannot be opened for writing: as unanswerable as a drive without locks.
    (owners / "7-cc.lock").mkdir(parents=True)
    assert is_alive(owners, "7-cc") is None
    ledger.claim(batches[0], "7-cc", NOW)
    assert ledger.release_dead(NOW + after) == freed


def test_whoever_takes_over_the_doubt_of_a_dead_owner_may_adopt(
    ledger: Ledger, job: Job, batches: tuple[Batch, ...], me: str
) -> None:
    ledger.claim_send(batches[0], "99999-dead", NOW)
    assert ledger.release_dead(NOW) == 1
    doubt = ledger.batches(job)[0]
    assert ledger.claim(doubt, me, NOW)
    assert ledger.record_adopted(doubt, a_message_batch(), NOW, provisional=True)
