"""A step is taken by one process, and a dead one's step is free again."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from builders import API, MINUTE, NOW, a_cut, a_job, a_message_batch

from batchctl.domain.errors import LedgerProblem
from batchctl.domain.model import Batch, Job, State
from batchctl.ledger.claims import LEASE
from batchctl.ledger.ledger import Ledger
from batchctl.ledger.owners import Owner, is_alive

# This machine, as it stands in the names of its owners.
HERE = Owner(Path()).name.rsplit("-", 2)[0]

LIVES = """
import sys
from pathlib import Path
from batchctl.ledger.owners import Owner
with Owner(Path(sys.argv[1])) as owner:
    print(owner.name, flush=True)
    sys.stdin.read()
"""

# Started, it reads the batches; told to go, it claims them, and says which it got.
CLAIMS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from batchctl.ledger.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
(job,) = ledger.jobs()
batches = ledger.batches(job)
print("ready", flush=True)
sys.stdin.readline()
now = datetime(2026, 11, 21, 12, tzinfo=UTC)
"""
CLAIMS_EACH = f"""{CLAIMS}
print(*(b.id for b in batches if ledger.claim_send(b, sys.argv[2], now, intent_at=now, api="here")), flush=True)
"""
CLAIMS_THE_WHOLE_IN_TURNS = f"""{CLAIMS}
names = []
for turn in range(20):
    if ledger.claim_all(batches if turn % 2 else batches[::-1], sys.argv[2], now):
        holders = {{b.claim and b.claim.owner for b in ledger.batches(job)}}
        names.append("whole" if holders == {{sys.argv[2]}} else "broken")
        for one in batches:
            ledger.release(one, sys.argv[2])
print(*names, flush=True)
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
    assert ledger.claim_send(planned, "1-aa", NOW, intent_at=NOW, api=API)
    ledger.record_doubt(planned, not_before=NOW, note="")
    assert not ledger.claim(planned, "2-bb", NOW)
    assert not ledger.claim_send(planned, "2-bb", NOW, intent_at=NOW, api=API)


def test_only_a_planned_batch_is_claimed_for_sending(ledger: Ledger, job: Job, batches: tuple[Batch, ...]) -> None:
    ledger.claim_send(batches[0], "1-aa", NOW, intent_at=NOW, api=API)
    ledger.record_doubt(batches[0], not_before=NOW, note="")
    doubt = ledger.batches(job)[0]
    assert doubt.state is State.SUBMITTING
    assert not ledger.claim_send(doubt, "1-aa", NOW, intent_at=NOW, api=API)
    assert ledger.claim(doubt, "1-aa", NOW)


def test_a_sign_of_life_renews_all_claims_of_its_owner(ledger: Ledger, job: Job, batches: tuple[Batch, ...]) -> None:
    for batch, owner in zip(batches, ("1-aa", "1-aa", "2-bb"), strict=True):
        ledger.claim(batch, owner, NOW)
    ledger.renew("1-aa", NOW + MINUTE)
    assert [b.claim.until for b in ledger.batches(job) if b.claim] == [NOW + MINUTE + LEASE] * 2 + [NOW + LEASE]


def test_of_many_threads_one_gets_it(ledger: Ledger, batches: tuple[Batch, ...]) -> None:
    with ThreadPoolExecutor(8) as pool:
        for batch in batches:
            got = list(
                pool.map(lambda n, of=batch: ledger.claim_send(of, f"{n}-aa", NOW, intent_at=NOW, api=API), range(8))
            )
            assert sum(got) == 1


def told_by_processes(code: str, path: Path, owners: Sequence[str]) -> list[list[str]]:
    """What each said that was started with `code`; all go at the same instant, with what they read before."""
    words = [sys.executable, "-c", code, str(path)]
    others = [subprocess.Popen([*words, owner], stdin=-1, stdout=-1, stderr=-1, text=True) for owner in owners]
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
    for other in others:
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
    told = []
    for other in others:
        out, err = other.communicate(timeout=60)
        assert err == ""
        told.append(out.split())
    return told


def test_four_processes_share_two_hundred_batches_and_none_has_two_owners(path: Path, ledger: Ledger) -> None:
    job = ledger.record_job(a_job(), [a_cut(1, n) for n in range(200)])
    told = told_by_processes(CLAIMS_EACH, path, [f"{n}-aa" for n in range(4)])
    assert sorted(int(word) for words in told for word in words) == [b.id for b in ledger.batches(job)]
    assert all(b.state is State.SUBMITTING and b.claim for b in ledger.batches(job))


# ---------------------------------------------------------------- as they were seen


def in_doubt(ledger: Ledger, batch: Batch, looks: int = 0) -> None:
    assert ledger.claim_send(batch, "9-zz", NOW, intent_at=NOW, api=API)
    ledger.record_doubt(batch, not_before=NOW, note="", looks=looks)


def split_by_another(ledger: Ledger, batch: Batch) -> None:
    """Sent elsewhere, too large, cut in two: its row is the first half's by now."""
    assert ledger.claim_send(batch, "9-zz", NOW, intent_at=NOW, api=API)
    first, count = batch.cut.first, batch.count // 2
    halves = a_cut(count, first), a_cut(batch.count - count, first + count)
    ledger.record_split(batch, halves, NOW, "too large")


def test_a_batch_that_another_process_cut_in_two_is_not_claimed_as_the_whole(
    ledger: Ledger, job: Job, batches: tuple[Batch, ...]
) -> None:
    split_by_another(ledger, batches[0])
    half = ledger.batches(job)[0]
    assert (half.id, half.state, half.count, half.cut.sha256) == (batches[0].id, State.PLANNED, 5, "0" * 64)
    assert not ledger.claim(batches[0], "1-aa", NOW)
    assert not ledger.claim_send(batches[0], "1-aa", NOW, intent_at=NOW, api=API)
    for stale in (
        replace(half, cut=replace(half.cut, sha256="1" * 64)),
        replace(half, cut=a_cut(4)),
        replace(half, intent_at=NOW),
        replace(half, looks=1),
    ):
        assert not ledger.claim_send(stale, "1-aa", NOW, intent_at=NOW, api=API)
    assert ledger.batches(job)[0] == half
    assert ledger.claim_send(half, "1-aa", NOW, intent_at=NOW, api=API)


@pytest.mark.parametrize(
    "stale",
    [
        lambda b: replace(b, cut=a_cut(9)),
        lambda b: replace(b, cut=replace(b.cut, sha256="1" * 64)),
        lambda b: replace(b, looks=1),
        lambda b: replace(b, looks=3),
        lambda b: replace(b, intent_at=None),
        lambda b: replace(b, intent_at=NOW + MINUTE),
        lambda b: replace(b, state=State.PLANNED),
        lambda b: replace(b, id=99),
    ],
    ids=["count", "sha256", "fewer looks", "more looks", "no intent", "another intent", "state", "id"],
)
def test_what_is_not_as_it_was_seen_is_not_claimed(
    ledger: Ledger, job: Job, batches: tuple[Batch, ...], stale: Callable[[Batch], Batch]
) -> None:
    in_doubt(ledger, batches[0], looks=2)
    known = ledger.batches(job)[0]
    assert not ledger.claim(stale(known), "1-aa", NOW)
    assert not ledger.claim_all([stale(known)], "1-aa", NOW)
    assert ledger.batches(job)[0] == known
    assert ledger.claim(known, "1-aa", NOW)


def test_a_doubt_that_another_process_looked_for_meanwhile_is_not_judged_by_the_old_look(
    ledger: Ledger, job: Job, batches: tuple[Batch, ...]
) -> None:
    in_doubt(ledger, batches[0])
    seen = ledger.batches(job)[0]
    assert ledger.claim(seen, "2-bb", NOW)
    ledger.record_doubt(seen, not_before=NOW, note="", looks=1)
    assert not ledger.claim(seen, "1-aa", NOW)
    assert ledger.claim(ledger.batches(job)[0], "1-aa", NOW)


def test_a_doubt_that_was_settled_sent_again_and_lost_again_is_another_doubt(
    ledger: Ledger, job: Job, batches: tuple[Batch, ...]
) -> None:
    """The same row, the same state, as many looks: only the intent tells them apart."""
    in_doubt(ledger, batches[0])
    seen = ledger.batches(job)[0]
    ledger.record_not_created(seen, NOW, not_before=None, note="")
    planned = ledger.batches(job)[0]
    assert ledger.claim_send(planned, "2-bb", NOW + MINUTE, intent_at=NOW + MINUTE, api=API)
    ledger.record_doubt(planned, not_before=NOW, note="")
    again = ledger.batches(job)[0]
    assert (again.state, again.looks, again.claim) == (seen.state, seen.looks, None)
    assert not ledger.claim(seen, "1-aa", NOW)
    assert not ledger.claim_all([seen], "1-aa", NOW)
    assert ledger.claim(again, "1-aa", NOW)


# ---------------------------------------------------------------- all or none


def test_all_are_claimed_at_once_until_they_are_given_back(
    ledger: Ledger, job: Job, batches: tuple[Batch, ...]
) -> None:
    assert ledger.claim_all(batches, "1-aa", NOW)
    assert [b.claim and (b.claim.owner, b.claim.until) for b in ledger.batches(job)] == [("1-aa", NOW + LEASE)] * 3
    assert not ledger.claim_all(batches, "2-bb", NOW)
    for batch in batches:
        ledger.release(batch, "1-aa")
    assert ledger.claim_all(batches, "2-bb", NOW)


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_where_one_is_anothers_none_is_claimed(
    ledger: Ledger, job: Job, batches: tuple[Batch, ...], taken: int
) -> None:
    assert ledger.claim(batches[taken], "2-bb", NOW)
    assert not ledger.claim_all(batches, "1-aa", NOW)
    owners = [b.claim and b.claim.owner for b in ledger.batches(job)]
    assert owners == ["2-bb" if n == taken else None for n in range(3)]
    ledger.release(batches[taken], "2-bb")
    assert ledger.claim_all(batches, "1-aa", NOW), "a claim that was refused holds nothing up"


@pytest.mark.parametrize("stale", [0, 1, 2])
def test_where_one_is_not_as_it_was_seen_none_is_claimed(
    ledger: Ledger, job: Job, batches: tuple[Batch, ...], stale: int
) -> None:
    for batch in batches:
        in_doubt(ledger, batch)
    doubts = ledger.batches(job)
    ledger.record_doubt(doubts[stale], not_before=NOW, note="", looks=1)
    assert not ledger.claim_all(doubts, "1-aa", NOW)
    assert [b.claim for b in ledger.batches(job)] == [None] * 3
    assert ledger.claim_all(ledger.batches(job), "1-aa", NOW)


def test_of_many_threads_one_gets_all_of_them(ledger: Ledger, job: Job, batches: tuple[Batch, ...]) -> None:
    for _ in range(10):
        with ThreadPoolExecutor(8) as pool:
            wanted = [batches if n % 2 else batches[::-1] for n in range(8)]
            got = list(pool.map(lambda n, of=wanted: ledger.claim_all(of[n], f"{n}-aa", NOW), range(8)))
        assert sum(got) == 1
        owner = f"{got.index(True)}-aa"
        assert [b.claim and b.claim.owner for b in ledger.batches(job)] == [owner] * 3
        for batch in batches:
            ledger.release(batch, owner)


def test_of_four_processes_each_holds_all_of_them_or_none(path: Path, ledger: Ledger) -> None:
    """In turns and from both ends: whoever has them finds itself the only holder."""
    job = ledger.record_job(a_job(), [a_cut(1, n) for n in range(5)])
    told = told_by_processes(CLAIMS_THE_WHOLE_IN_TURNS, path, [f"{n}-aa" for n in range(4)])
    assert {word for words in told for word in words} == {"whole"}
    assert [b.claim for b in ledger.batches(job)] == [None] * 5


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
        (owners / f"{HERE}-99999-dead.lock").touch()
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
        ledger.claim_send(batches[0], name, NOW, intent_at=NOW, api=API)
        ledger.claim(batches[1], name, NOW)
        ledger.claim_send(batches[2], me, NOW, intent_at=NOW, api=API)
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
    name = f"{HERE}-7-cc"
    (owners / f"{name}.lock").mkdir(parents=True)
    assert is_alive(owners, name) is None
    ledger.claim(batches[0], name, NOW)
    assert ledger.release_dead(NOW + after) == freed


@pytest.mark.parametrize("has_lock", [True, False])
@pytest.mark.parametrize(("after", "freed"), [(LEASE - MINUTE, 0), (LEASE, 1)])
def test_of_an_owner_on_another_machine_the_lease_speaks_whatever_its_lock_says_here(
    ledger: Ledger, batches: tuple[Batch, ...], owners: Path, after, freed: int, *, has_lock: bool
) -> None:
    """A network drive may keep each machine's locks to itself: a lock that is free here may be held there."""
    name, lock = f"{HERE}x-7-cc", owners / f"{HERE}x-7-cc.lock"
    if has_lock:
        lock.parent.mkdir()
        lock.touch()
    assert is_alive(owners, name) is None
    ledger.claim(batches[0], name, NOW)
    assert ledger.release_dead(NOW + after) == freed
    with Owner(owners):
        assert lock.exists() is has_lock


def test_whoever_takes_over_the_doubt_of_a_dead_owner_may_adopt(
    ledger: Ledger, job: Job, batches: tuple[Batch, ...], me: str
) -> None:
    ledger.claim_send(batches[0], f"{HERE}-99999-dead", NOW, intent_at=NOW, api=API)
    assert ledger.release_dead(NOW) == 1
    doubt = ledger.batches(job)[0]
    assert ledger.claim(doubt, me, NOW)
    assert ledger.record_adopted(doubt, a_message_batch(), NOW, identified=False)
