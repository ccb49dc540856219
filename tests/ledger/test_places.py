"""Where a ledger lies, and what the user's state folder remembers of all copies of it."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from builders import API, NOW, a_cut, a_job

from batchctl.domain.model import Batch, Job
from batchctl.domain.places import Place, mismatch
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.machine import machine
from batchctl.ledger.places import Memory, state_folder

NOWHERE = Place(machine="", path="", device=0, inode=0)


# ---------------------------------------------------------------- the ledger


def test_a_new_ledger_has_a_name_and_a_salt_of_its_own_and_lies_nowhere(tmp_path: Path) -> None:
    stored = []
    for name in ("one.db", "other.db"):
        ledger = SqlLedger(tmp_path / name)
        stored.append(ledger.stored_place())
        ledger.close()
    for workspace_id, salt, place, generation in stored:
        assert (len(workspace_id), len(salt), place, generation) == (32, 32, NOWHERE, 0)
    assert len({text for workspace_id, salt, _, _ in stored for text in (workspace_id, salt)}) == 4


def test_here_is_this_machine_this_path_and_this_file(ledger: SqlLedger, path: Path, tmp_path: Path) -> None:
    found = path.stat()
    assert ledger.here() == Place(machine=machine(), path=str(path), device=found.st_dev, inode=found.st_ino)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    other = SqlLedger(link / path.name)
    assert other.here() == ledger.here(), "a link is another way to the same place"
    other.close()


def test_a_place_is_read_back_as_it_was_recorded(ledger: SqlLedger) -> None:
    workspace_id, salt, _, _ = ledger.stored_place()
    ledger.record_place(ledger.here(), 7, is_copy=False)
    assert ledger.stored_place() == (workspace_id, salt, ledger.here(), 7)


@pytest.mark.parametrize(("given", "kept"), [(0, 7), (6, 7), (7, 7), (8, 8)])
def test_the_generation_never_falls(ledger: SqlLedger, given: int, kept: int) -> None:
    ledger.record_place(ledger.here(), 7, is_copy=False)
    ledger.record_place(ledger.here(), given, is_copy=False)
    assert ledger.stored_place()[3] == kept


def test_a_copy_may_have_continued_every_job_that_there_is(ledger: SqlLedger, job: Job) -> None:
    other = ledger.record_job(a_job("other-1111"), [a_cut()])
    ledger.record_place(ledger.here(), 1, is_copy=False)
    assert [one.may_be_copied for one in ledger.jobs()] == [False, False]
    ledger.record_place(ledger.here(), 1, is_copy=True)
    assert [one.may_be_copied for one in ledger.jobs()] == [True, True]
    ledger.record_place(ledger.here(), 2, is_copy=False)
    assert ledger.job(job.name).may_be_copied, "nobody takes that back"
    assert ledger.job(other.name).may_be_copied
    assert ledger.record_job(a_job("new-2222"), [a_cut()]).may_be_copied, "it may have been forgotten"


def test_every_create_raises_the_generation_of_its_own_copy_alone(
    ledger: SqlLedger, path: Path, tmp_path: Path, batches: tuple[Batch, ...]
) -> None:
    ledger.record_place(ledger.here(), 0, is_copy=False)
    copy = tmp_path / "copy" / path.name
    copy.parent.mkdir()
    shutil.copy(path, copy)
    for batch in batches[:2]:
        assert ledger.claim_send(batch, "1-aa", NOW, created_after=None, api=API)
    other = SqlLedger(copy)
    workspace_id, salt, place, generation = other.stored_place()
    assert (workspace_id, salt) == ledger.stored_place()[:2], "by these, copies know each other"
    assert (ledger.stored_place()[3], generation) == (2, 0)
    assert "copied from" in mismatch(place, other.here(), generation, None)
    assert "continued elsewhere" in mismatch(place, other.here(), generation, 2)
    other.close()


# ---------------------------------------------------------------- the state folder


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"XDG_STATE_HOME": "/var/state", "HOME": "/home/ann"}, "/var/state/batchctl/workspaces"),
        ({"XDG_STATE_HOME": "", "HOME": "/home/ann"}, "/home/ann/.local/state/batchctl/workspaces"),
        ({"HOME": "/home/ann"}, "/home/ann/.local/state/batchctl/workspaces"),
    ],
)
def test_the_state_folder_is_the_users(environment: Mapping[str, str], folder: str) -> None:
    assert state_folder(environment) == Path(folder)


def test_without_a_home_in_the_environment_the_systems_is_taken() -> None:
    assert state_folder({}) == Path.home() / ".local" / "state" / "batchctl" / "workspaces"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "batchctl" / "workspaces"


def test_the_highest_generation_is_remembered(folder: Path) -> None:
    memory = Memory(folder, "one")
    assert memory.generation() is None
    assert [memory.keep(n) for n in (3, 1, 3, 10, 9, 0, 1_000_000)] == [3, 3, 3, 10, 10, 10, 1_000_000]
    assert Memory(folder, "one").generation() == 1_000_000
    assert Memory(folder, "other").generation() is None


def test_only_its_user_may_read_what_is_remembered(folder: Path) -> None:
    Memory(folder, "one").keep(3)
    assert (folder.stat().st_mode & 0o777, (folder / "one").stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("content", [b"", b"what?", b"-5", b"1.5", b"\xff\xfe", b"\x00" * 20, "٣".encode()])
def test_what_cannot_be_read_is_not_known_and_is_written_anew(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "one").write_bytes(content)
    memory = Memory(folder, "one")
    assert memory.generation() in {None, -5}
    assert memory.keep(7) == 7
    assert (memory.generation(), memory.keep(3)) == (7, 7)


def test_a_folder_in_place_of_the_file_is_no_memory_and_no_problem(folder: Path) -> None:
    (folder / "one").mkdir(parents=True)
    memory = Memory(folder, "one")
    assert (memory.generation(), memory.keep(7), memory.generation()) == (None, 7, None)


def test_a_file_in_place_of_the_folder_is_no_memory_and_no_problem(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_bytes(b"")
    memory = Memory(folder, "one")
    assert (memory.generation(), memory.keep(7), memory.generation()) == (None, 7, None)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("may_read", [True, False])
def test_a_folder_that_cannot_be_written_keeps_what_it_has(folder: Path, *, may_read: bool) -> None:
    memory = Memory(folder, "one")
    memory.keep(3)
    (folder / "one").chmod(0o400 if may_read else 0o000)
    folder.chmod(0o500)
    try:
        assert memory.keep(7) == 7
        assert memory.generation() == (3 if may_read else None)
    finally:
        folder.chmod(0o700)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written_is_no_problem(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    memory = Memory(state_folder({"HOME": str(home)}), "one")
    assert (memory.keep(7), memory.generation()) == (7, None)


def test_whoever_remembers_waits_for_whoever_is_at_it(folder: Path) -> None:
    memory = Memory(folder, "one")
    memory.keep(3)
    with (folder / "one").open("r+b") as held, ThreadPoolExecutor(1) as pool:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = pool.submit(memory.keep, 5)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        held.write(b"%020d" % 9)
        held.flush()
        fcntl.flock(held, fcntl.LOCK_UN)
        assert waiting.result(timeout=10) == 9
    assert memory.generation() == 9


KEEPS = """
import sys
from pathlib import Path
from batchctl.ledger.places import Memory
memory = Memory(Path(sys.argv[1]), "one")
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[2]), 400, 2):
    assert memory.keep(n) >= n
    assert memory.generation() >= n
"""


@pytest.mark.slow
def test_two_processes_that_remember_at_once_lose_nothing(folder: Path) -> None:
    words = [sys.executable, "-c", KEEPS, str(folder)]
    both = [subprocess.Popen([*words, str(n)], stdin=-1, stdout=-1, stderr=-1, text=True) for n in range(2)]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    told = [one.communicate("go\n", timeout=60) for one in both]
    assert told == [("", ""), ("", "")]
    assert Memory(folder, "one").generation() == 399
