"""A step is taken by one process, and a dead one's step is free again."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from builders import API, MINUTE, NOW, a_cut, a_job, a_message_batch

from batchctl.domain.errors import LedgerProblem
from batchctl.domain.model import Batch, Claim, IfAbsent, Job, State, Unconfirmed
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.liveness import LEASE, FileLockLiveness, Owner
from batchctl.ledger.machine import boot, machine

# This machine, as it stands in the names of its owners.
HERE = Owner(Path()).name.rsplit("-", 2)[0]

LIVES = """
import sys
from pathlib import Path
from batchctl.ledger.liveness import Owner
with Owner(Path(sys.argv[1])) as owner:
    print(owner.name, flush=True)
    sys.stdin.read()
"""

# Started, it reads the batches; told to go, it claims them, and says which it got.
CLAIMS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from batchctl.ledger.ledger import SqlLedger
ledger = SqlLedger(Path(sys.argv[1]))
(job,) = ledger.jobs()
batches = ledger.batches(job)
print("ready", flush=True)
sys.stdin.readline()
now = datetime(2026, 11, 21, 12, tzinfo=UTC)
"""
CLAIMS_EACH = f"""{CLAIMS}
print(*(b.id for b in batches if ledger.claim_send(b, sys.argv[2], now, created_after=None, api="here")), flush=True)
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


def test_a_batch_is_claimed_once_until_it_is_given_back(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    one = batches[0]
    assert ledger.claim(one, "1-aa", NOW)
    assert not ledger.claim(one, "2-bb", NOW)
    assert not ledger.claim(one, "1-aa", NOW)
    ledger.release(one, "2-bb")
    assert not ledger.claim(one, "2-bb", NOW)
    ledger.release(one, "1-aa", not_before=NOW + MINUTE, note="later")
    assert ledger.claim(one, "2-bb", NOW)


def sent(ledger: SqlLedger, batch: Batch, owner: str = "1-aa", **more: Any) -> Batch:
    """The batch with its intent, as whoever sends it has it."""
    given = ledger.claim_send(batch, owner, NOW, **{"created_after": None, "api": API, **more})
    assert given is not None
    return given


def lost(ledger: SqlLedger, batch: Batch, list_reads: int = 0, owner: str = "9-zz") -> None:
    """Sent, and no answer came."""
    ledger.record_unconfirmed(sent(ledger, batch, owner), owner, NOW, not_before=NOW, note="", list_reads=list_reads)


def test_a_claim_on_a_state_that_has_passed_is_none(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    planned = batches[0]
    lost(ledger, planned)
    assert not ledger.claim(planned, "2-bb", NOW)
    assert not ledger.claim_send(planned, "2-bb", NOW, created_after=None, api=API)


def test_only_a_planned_batch_is_claimed_for_sending(ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]) -> None:
    lost(ledger, batches[0])
    unconfirmed = ledger.batches(job)[0]
    assert unconfirmed.state is State.SUBMITTING
    assert not ledger.claim_send(unconfirmed, "1-aa", NOW, created_after=None, api=API)
    assert ledger.claim(unconfirmed, "1-aa", NOW)


def test_every_create_is_an_attempt_of_its_own_and_raises_the_generation(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    before = ledger.stored_place()[3]
    given = sent(ledger, batches[0], created_after=NOW - MINUTE, api="http://there org_2")
    known = ledger.batches(job)[0]
    assert replace(known, claim=None) == given
    assert known.claim == Claim(owner="1-aa", until=NOW + LEASE)
    assert (known.attempt, known.created_after, known.api) == (1, NOW - MINUTE, "http://there org_2")
    assert (known.unconfirmed, known.if_absent) == (Unconfirmed.UNKNOWN, IfAbsent.PLAN)
    assert ledger.record_not_created(given, "1-aa", NOW, not_before=None, note="")
    assert sent(ledger, ledger.batches(job)[0]).attempt == 2
    sent(ledger, batches[1])
    assert ledger.stored_place()[3] == before + 3


def test_a_create_that_was_not_claimed_leaves_the_generation(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    sent(ledger, batches[0])
    before = ledger.stored_place()[3]
    assert ledger.claim_send(batches[0], "2-bb", NOW, created_after=None, api=API) is None
    ledger.record_canceled(job, NOW)
    assert ledger.claim_send(batches[1], "2-bb", NOW, created_after=None, api=API) is None
    assert ledger.claim(batches[2], "2-bb", NOW)
    assert ledger.stored_place()[3] == before


def test_who_sends_may_ask_whether_the_step_is_still_its_own(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    given = sent(ledger, batches[0])
    assert ledger.is_claimed_by(given, "1-aa")
    assert not ledger.is_claimed_by(given, "2-bb")
    ledger.release(given, "1-aa")
    assert not ledger.is_claimed_by(given, "1-aa")
    assert ledger.claim(ledger.batches(job)[0], "2-bb", NOW)
    assert not ledger.is_claimed_by(given, "1-aa")
    assert ledger.record_not_created(given, "2-bb", NOW, not_before=None, note="")
    again = sent(ledger, ledger.batches(job)[0])
    assert ledger.is_claimed_by(again, "1-aa")
    assert not ledger.is_claimed_by(given, "1-aa"), "the same owner, and another attempt"


def test_a_sign_of_life_renews_all_claims_of_its_owner(ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]) -> None:
    for batch, owner in zip(batches, ("1-aa", "1-aa", "2-bb"), strict=True):
        ledger.claim(batch, owner, NOW)
    ledger.renew("1-aa", NOW + MINUTE)
    assert [b.claim.until for b in ledger.batches(job) if b.claim] == [NOW + MINUTE + LEASE] * 2 + [NOW + LEASE]


def test_of_many_threads_one_gets_it(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    with ThreadPoolExecutor(8) as pool:
        for batch in batches:
            got = list(
                pool.map(
                    lambda n, of=batch: ledger.claim_send(of, f"{n}-aa", NOW, created_after=None, api=API), range(8)
                )
            )
            assert sum(one is not None for one in got) == 1


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


@pytest.mark.slow
def test_four_processes_share_two_hundred_batches_and_none_has_two_owners(path: Path, ledger: SqlLedger) -> None:
    job = ledger.record_job(a_job(), [a_cut(1, n) for n in range(200)])
    told = told_by_processes(CLAIMS_EACH, path, [f"{n}-aa" for n in range(4)])
    assert sorted(int(word) for words in told for word in words) == [b.id for b in ledger.batches(job)]
    assert all(b.state is State.SUBMITTING and b.claim for b in ledger.batches(job))


# ---------------------------------------------------------------- as they were seen


def split_by_another(ledger: SqlLedger, batch: Batch) -> None:
    """Sent elsewhere, too large, cut in two: its row is the first half's by now."""
    first, count = batch.cut.first, batch.count // 2
    halves = a_cut(count, first), a_cut(batch.count - count, first + count)
    assert ledger.record_split(sent(ledger, batch, "9-zz"), "9-zz", halves, NOW, "too large")


def test_a_batch_that_another_process_cut_in_two_is_not_claimed_as_the_whole(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    split_by_another(ledger, batches[0])
    half = ledger.batches(job)[0]
    assert (half.id, half.state, half.count, half.cut.sha256) == (batches[0].id, State.PLANNED, 5, "0" * 64)
    assert not ledger.claim(batches[0], "1-aa", NOW)
    assert not ledger.claim_send(batches[0], "1-aa", NOW, created_after=None, api=API)
    for stale in (
        replace(half, cut=replace(half.cut, sha256="1" * 64)),
        replace(half, cut=a_cut(4)),
        replace(half, intent_at=NOW),
        replace(half, list_reads=1),
        replace(half, attempt=0),
        replace(half, attempt=2),
    ):
        assert not ledger.claim_send(stale, "1-aa", NOW, created_after=None, api=API)
    assert ledger.batches(job)[0] == half
    assert ledger.claim_send(half, "1-aa", NOW, created_after=None, api=API)


@pytest.mark.parametrize(
    "stale",
    [
        lambda b: replace(b, cut=a_cut(9)),
        lambda b: replace(b, cut=replace(b.cut, sha256="1" * 64)),
        lambda b: replace(b, list_reads=1),
        lambda b: replace(b, list_reads=3),
        lambda b: replace(b, intent_at=None),
        lambda b: replace(b, intent_at=NOW + MINUTE),
        lambda b: replace(b, state=State.PLANNED),
        lambda b: replace(b, id=99),
        lambda b: replace(b, attempt=b.attempt - 1),
        lambda b: replace(b, attempt=b.attempt + 1),
    ],
    ids=[
        "count",
        "sha256",
        "fewer looks",
        "more looks",
        "no intent",
        "another intent",
        "state",
        "id",
        "an earlier attempt",
        "a later attempt",
    ],
)
def test_what_is_not_as_it_was_seen_is_not_claimed(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...], stale: Callable[[Batch], Batch]
) -> None:
    lost(ledger, batches[0], list_reads=2)
    known = ledger.batches(job)[0]
    assert not ledger.claim(stale(known), "1-aa", NOW)
    assert not ledger.claim_all([stale(known)], "1-aa", NOW)
    assert ledger.batches(job)[0] == known
    assert ledger.claim(known, "1-aa", NOW)


def test_a_batch_that_another_process_looked_for_meanwhile_is_not_judged_by_the_old_look(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    lost(ledger, batches[0])
    seen = ledger.batches(job)[0]
    assert ledger.claim(seen, "2-bb", NOW)
    ledger.record_unconfirmed(seen, "2-bb", NOW, not_before=NOW, note="", list_reads=1)
    assert not ledger.claim(seen, "1-aa", NOW)
    assert ledger.claim(ledger.batches(job)[0], "1-aa", NOW)


def test_a_batch_that_was_presumed_lost_sent_again_and_lost_again_is_another_one(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    """The same row, the same state, as many looks, begun at the same time: only the attempt tells them apart."""
    lost(ledger, batches[0])
    seen = ledger.batches(job)[0]
    assert ledger.record_presumed_not_created(seen, "1-aa", NOW, note="")
    lost(ledger, ledger.batches(job)[0])
    again = ledger.batches(job)[0]
    assert (again.state, again.list_reads, again.intent_at, again.claim) == (
        seen.state,
        seen.list_reads,
        seen.intent_at,
        None,
    )
    assert not ledger.claim(seen, "1-aa", NOW)
    assert not ledger.claim_all([seen], "1-aa", NOW)
    assert ledger.claim(again, "1-aa", NOW)


# ---------------------------------------------------------------- all or none


def test_all_are_claimed_at_once_until_they_are_given_back(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    assert ledger.claim_all(batches, "1-aa", NOW)
    assert [b.claim and (b.claim.owner, b.claim.until) for b in ledger.batches(job)] == [("1-aa", NOW + LEASE)] * 3
    assert not ledger.claim_all(batches, "2-bb", NOW)
    for batch in batches:
        ledger.release(batch, "1-aa")
    assert ledger.claim_all(batches, "2-bb", NOW)


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_where_one_is_anothers_none_is_claimed(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...], taken: int
) -> None:
    assert ledger.claim(batches[taken], "2-bb", NOW)
    assert not ledger.claim_all(batches, "1-aa", NOW)
    owners = [b.claim and b.claim.owner for b in ledger.batches(job)]
    assert owners == ["2-bb" if n == taken else None for n in range(3)]
    ledger.release(batches[taken], "2-bb")
    assert ledger.claim_all(batches, "1-aa", NOW), "a claim that was refused holds nothing up"


@pytest.mark.parametrize("stale", [0, 1, 2])
def test_where_one_is_not_as_it_was_seen_none_is_claimed(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...], stale: int
) -> None:
    for batch in batches:
        lost(ledger, batch)
    unconfirmed_batches = ledger.batches(job)
    ledger.record_unconfirmed(unconfirmed_batches[stale], "2-bb", NOW, not_before=NOW, note="", list_reads=1)
    assert not ledger.claim_all(unconfirmed_batches, "1-aa", NOW)
    assert [b.claim for b in ledger.batches(job)] == [None] * 3
    assert ledger.claim_all(ledger.batches(job), "1-aa", NOW)


def test_of_many_threads_one_gets_all_of_them(ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]) -> None:
    for _ in range(10):
        with ThreadPoolExecutor(8) as pool:
            wanted = [batches if n % 2 else batches[::-1] for n in range(8)]
            got = list(pool.map(lambda n, of=wanted: ledger.claim_all(of[n], f"{n}-aa", NOW), range(8)))
        assert sum(got) == 1
        owner = f"{got.index(True)}-aa"
        assert [b.claim and b.claim.owner for b in ledger.batches(job)] == [owner] * 3
        for batch in batches:
            ledger.release(batch, owner)


@pytest.mark.slow
def test_of_four_processes_each_holds_all_of_them_or_none(path: Path, ledger: SqlLedger) -> None:
    """In turns and from both ends: whoever has them finds itself the only holder."""
    job = ledger.record_job(a_job(), [a_cut(1, n) for n in range(5)])
    told = told_by_processes(CLAIMS_THE_WHOLE_IN_TURNS, path, [f"{n}-aa" for n in range(4)])
    assert {word for words in told for word in words} == {"whole"}
    assert [b.claim for b in ledger.batches(job)] == [None] * 5


# ---------------------------------------------------------------- owners


def test_an_owner_lives_as_long_as_its_process(owners: Path) -> None:
    with living(owners) as (other, name):
        assert FileLockLiveness(owners).is_alive(name) is True
        other.send_signal(signal.SIGKILL)
        other.wait(timeout=10)
        assert (owners / f"{name}.lock").exists()
        assert FileLockLiveness(owners).is_alive(name) is False
    assert list(owners.iterdir()) == []


def test_an_owner_that_left_leaves_nothing(owners: Path) -> None:
    with Owner(owners) as owner:
        assert FileLockLiveness(owners).is_alive(owner.name) is True
        assert [p.stat().st_mode & 0o777 for p in owners.iterdir()] == [0o600]
    assert list(owners.iterdir()) == []
    assert FileLockLiveness(owners).is_alive(owner.name) is False


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


NAME = "alpha.{machine}.{boot}-7-cc"
ANOTHER = "0123456789ab"


@pytest.mark.parametrize(
    ("name", "alive"),
    [
        (NAME.format(machine=ANOTHER, boot=boot()), None),
        (NAME.format(machine=ANOTHER, boot=ANOTHER), None),
        (NAME.format(machine=ANOTHER, boot=""), None),
        # This machine was started again since: whatever held the lock is gone, and a lock left behind says nothing.
        (NAME.format(machine=machine(), boot=ANOTHER), False),
        (NAME.format(machine=machine(), boot=""), False),
        # As older versions wrote it: the name of the host alone.
        ("0thermachine-7-cc", None),
    ],
)
@pytest.mark.parametrize("is_locked", [True, False])
def test_of_whom_it_is_known_whether_they_live(owners: Path, name: str, alive: object, *, is_locked: bool) -> None:
    if not boot() and alive is False:
        pytest.skip("this system does not say when it was started")
    owners.mkdir()
    lock = owners / f"{name}.lock"
    with lock.open("w") as held:
        if is_locked:
            fcntl.flock(held, fcntl.LOCK_EX)
        assert FileLockLiveness(owners).is_alive(name) is alive
    assert lock.exists() is (alive is None)


def test_an_owner_of_an_older_version_on_this_machine_is_asked_for_its_lock(owners: Path) -> None:
    owners.mkdir()
    name = f"{HERE.split('.')[0]}-7-cc"
    assert FileLockLiveness(owners).is_alive(name) is False
    with (owners / f"{name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert FileLockLiveness(owners).is_alive(name) is True
    assert FileLockLiveness(owners).is_alive(name) is False


def test_an_owner_is_named_for_its_machine_and_for_when_that_was_started(owners: Path) -> None:
    one, other = Owner(owners).name, Owner(owners).name
    assert one != other
    host, *where = one.rsplit("-", 2)[0].split(".")
    assert where == [machine(), boot()]
    assert host
    assert len(one) <= 128


# ---------------------------------------------------------------- claims of the dead


def test_the_claims_of_a_killed_owner_are_free_and_those_of_the_living_are_not(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...], owners: Path, me: str
) -> None:
    with living(owners) as (other, name):
        sent(ledger, batches[0], name)
        ledger.claim(batches[1], name, NOW)
        sent(ledger, batches[2], me)
        assert ledger.release_dead(0) == 0
        other.send_signal(signal.SIGKILL)
        other.wait(timeout=10)
    assert ledger.release_dead(0) == 2
    half_sent, planned, mine = ledger.batches(job)
    assert (half_sent.state, half_sent.claim) == (State.SUBMITTING, None)
    assert (planned.state, planned.claim) == (State.PLANNED, None)
    assert mine.claim is not None
    assert ledger.release_dead(0) == 0


def test_a_living_owner_is_believed_however_old_its_lease(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...], me: str
) -> None:
    ledger.claim(batches[0], me, NOW - 100 * LEASE)
    for elapsed in (0.0, 1.0, 1e9):
        assert ledger.release_dead(elapsed) == 0
    assert ledger.batches(job)[0].claim is not None


@pytest.fixture(params=["a drive without locks", "another machine", "another machine, with a lock that is free here"])
def unanswerable(request: pytest.FixtureRequest, owners: Path) -> str:
    """An owner whose lock cannot be asked."""
    owners.mkdir()
    if request.param == "a drive without locks":
        # A folder in the lock's place cannot be opened for writing.
        name = f"{HERE}-7-cc"
        (owners / f"{name}.lock").mkdir()
    else:
        name = NAME.format(machine=ANOTHER, boot=boot())
        if "lock" in request.param:
            # A network drive may keep each machine's locks to itself: one that is free here may be held there.
            (owners / f"{name}.lock").touch()
    assert FileLockLiveness(owners).is_alive(name) is None
    return name


@pytest.mark.parametrize("until", [NOW - 10_000 * LEASE, NOW, NOW + 10_000 * LEASE])
def test_an_owner_that_cannot_be_asked_is_dead_once_its_lease_has_stood_still_for_two_minutes_of_our_clock(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...], unanswerable: str, until: datetime
) -> None:
    """Whatever time its lease names: its clock, and ours of the day, may be wrong by any amount."""
    assert LEASE.total_seconds() == 120
    ledger.claim(batches[0], unanswerable, until)
    ledger.claim(batches[1], unanswerable, until)
    for elapsed, freed in ((5_000.0, 0), (5_119.9, 0), (5_120.0, 2), (5_121.0, 0)):
        assert ledger.release_dead(elapsed) == freed
        assert [b.claim is None for b in ledger.batches(job)] == [elapsed >= 5_120] * 2 + [True]


@pytest.mark.parametrize("renewed", [NOW + MINUTE, NOW - 1_000 * LEASE], ids=["on", "back"])
def test_every_sign_of_life_of_its_own_gives_it_two_more_minutes(
    ledger: SqlLedger, batches: tuple[Batch, ...], unanswerable: str, renewed: datetime
) -> None:
    """Even where its clock was put back in the meantime."""
    ledger.claim(batches[0], unanswerable, NOW)
    assert ledger.release_dead(100) == 0
    ledger.renew(unanswerable, renewed)
    for elapsed, freed in ((219, 0), (338.9, 0), (339, 1)):
        assert ledger.release_dead(elapsed) == freed


def test_what_was_seen_of_an_owner_is_forgotten_with_its_claims(
    ledger: SqlLedger, batches: tuple[Batch, ...], unanswerable: str
) -> None:
    ledger.claim(batches[0], unanswerable, NOW)
    assert ledger.release_dead(0) == 0
    ledger.release(batches[0], unanswerable)
    assert ledger.release_dead(60) == 0
    ledger.claim(batches[0], unanswerable, NOW)
    assert ledger.release_dead(121) == 0
    assert ledger.release_dead(241) == 1


def test_one_dead_owner_takes_no_other_along(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...], unanswerable: str, me: str
) -> None:
    later = NAME.format(machine=ANOTHER, boot=ANOTHER)
    ledger.claim(batches[0], unanswerable, NOW)
    ledger.claim(batches[1], me, NOW)
    assert ledger.release_dead(0) == 0
    ledger.claim(batches[2], later, NOW)
    assert ledger.release_dead(60) == 0
    assert ledger.release_dead(130) == 1
    assert [b.claim and b.claim.owner for b in ledger.batches(job)] == [None, me, later]


def test_a_new_process_gives_everybody_two_minutes_before_it_takes_them_for_dead(
    ledger: SqlLedger, path: Path, batches: tuple[Batch, ...], unanswerable: str
) -> None:
    ledger.claim(batches[0], unanswerable, NOW - 100 * LEASE)
    other = SqlLedger(path)
    assert other.release_dead(1e6) == 0
    assert other.release_dead(1e6 + 120) == 1
    other.close()


def test_whoever_takes_over_what_a_dead_owner_sent_may_adopt(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...], me: str
) -> None:
    sent(ledger, batches[0], f"{HERE}-99999-dead")
    assert ledger.release_dead(0) == 1
    unconfirmed = ledger.batches(job)[0]
    assert (unconfirmed.state, unconfirmed.unconfirmed) == (State.SUBMITTING, Unconfirmed.UNKNOWN)
    assert ledger.claim(unconfirmed, me, NOW)
    assert ledger.record_adopted(unconfirmed, a_message_batch(), me, NOW, identified=False)
