"""A file is replaced whole or not at all, and the disk's errors say what to do."""

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from batchctl.domain.errors import DiskProblem, UsageProblem
from batchctl.store.local import LocalStore, disk, place, replacing, sync_folder


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["results.jsonl"]


def _write_and_fail(file: BinaryIO, error: BaseException) -> None:
    file.write(b"half of the n")
    raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, DiskProblem])
def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"old")
    with pytest.raises(error), replacing(path) as file:
        _write_and_fail(file, error("stop"))
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["results.jsonl"]


def test_what_an_earlier_stop_left_beside_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl.part").write_bytes(b"a long part of what was being written once")
    with replacing(tmp_path / "results.jsonl") as file:
        file.write(b"new")
    assert (tmp_path / "results.jsonl").read_bytes() == b"new"


@pytest.mark.parametrize(("mode", "expected"), [(None, 0o600), (0o644, 0o644)])
def test_files_are_private_unless_they_are_a_persons(tmp_path: Path, mode: int | None, expected: int) -> None:
    path = tmp_path / "answers"
    with replacing(path) if mode is None else replacing(path, mode=mode):
        pass
    assert path.stat().st_mode & 0o777 == expected


def test_a_file_that_is_whole_gets_its_name(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"whole")
    place(tmp_path / "a", tmp_path / "b")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("b", b"whole")]


@pytest.fixture
def small_files_only() -> Iterator[None]:
    """No file of this process may pass 64 KB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.usefixtures("small_files_only")
def test_a_file_that_passes_a_limit_is_a_problem_with_a_hint_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DiskProblem) as raised, replacing(tmp_path / "big") as file:
        file.write(bytes(1 << 17))
    assert "ulimit -f" in raised.value.hint
    assert list(tmp_path.iterdir()) == []


ON_A_FULL_DISK = """
import sys
from pathlib import Path
from batchctl.domain.errors import DiskProblem
from batchctl.store.local import replacing
folder = Path(sys.argv[1])
try:
    with replacing(folder / "big") as file:
        file.write(bytes(1 << 20))
except DiskProblem as problem:
    print(problem.message, "|", problem.hint, "|", sorted(p.name for p in folder.iterdir()))
"""


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="mounts a file system")
def test_a_full_disk_is_a_problem_with_a_hint_and_leaves_nothing(tmp_path: Path) -> None:
    # In a mount namespace of its own: it is gone with the process, whatever happens.
    mounted = 'mount -t tmpfs -o size=64k none "$1" && exec "$2" -c "$3" "$1"'
    words = ["unshare", "--mount", "sh", "-c", mounted, "sh", str(tmp_path), sys.executable, ON_A_FULL_DISK]
    try:
        ran = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    assert "No space left on device | free some disk space" in ran.stdout
    assert ran.stdout.rstrip().endswith("| []")


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOSPC, "free some disk space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "--workspace"),
        (errno.EACCES, "ls -l"),
        (errno.ENOENT, "path"),
        (errno.EISDIR, "folder"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "run the same command again"),
    ],
)
def test_every_error_of_the_disk_names_the_file_and_what_to_do(tmp_path: Path, number: int, word: str) -> None:
    with pytest.raises(DiskProblem) as raised, disk(tmp_path / "results"):
        raise OSError(number, os.strerror(number))
    assert raised.value.message == f"{tmp_path / 'results'}: {os.strerror(number)}"
    assert word in raised.value.hint


def test_a_reader_that_went_away_is_no_problem_of_the_disk() -> None:
    with pytest.raises(BrokenPipeError), disk(Path("-")):
        raise BrokenPipeError


def test_a_folder_that_is_not_there_or_a_file_in_its_place_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "none" / "x", tmp_path / "file" / "x"):
        with pytest.raises(DiskProblem), replacing(path):
            pytest.fail("nothing to write to")
    with pytest.raises(OSError, match="none"):
        sync_folder(tmp_path / "none")


WRITES = """
import sys
from pathlib import Path
from batchctl.domain.errors import DiskProblem
from batchctl.store.local import replacing
try:
    with replacing(Path(sys.argv[1])) as file:
        file.write(b"theirs")
    print("written")
except DiskProblem as problem:
    print(problem.message)
"""


def test_two_processes_never_mix_what_they_write(tmp_path: Path) -> None:
    """Both write beside under the same name: the second must not cut off what the first has written so far."""
    path = tmp_path / "results.jsonl"
    with replacing(path) as file:
        file.write(b"a" * 1000)
        file.flush()
        words = [sys.executable, "-c", WRITES, str(path)]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
        file.write(b"b" * 1000)
    assert "another process" in ran.stdout
    assert path.read_bytes() == b"a" * 1000 + b"b" * 1000


# ---------------------------------------------------------------- LocalStore: what a folder has and other stores have not


def test_files_and_folders_of_a_store_are_private(tmp_path: Path) -> None:
    LocalStore(tmp_path / "store").put("jobs/one/file", b"x")
    modes = {str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"store": 0o700, "store/jobs": 0o700, "store/jobs/one": 0o700, "store/jobs/one/file": 0o600}


def test_a_link_that_leads_out_of_a_store_is_refused_and_one_within_it_is_not(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    store.put("inner/file", b"x")
    (tmp_path / "secret").write_bytes(b"s")
    (tmp_path / "store" / "file").symlink_to(tmp_path / "secret")
    (tmp_path / "store" / "folder").symlink_to(tmp_path)
    (tmp_path / "store" / "within").symlink_to("inner")
    for name in ("file", "folder/secret"):
        with pytest.raises(UsageProblem):
            store.read(name)
        with pytest.raises(UsageProblem):
            store.put(name, b"x")
    assert (tmp_path / "secret").read_bytes() == b"s"
    assert store.read("within/file") == b"x"
    assert list(store.list()) == ["inner/file"]


def test_the_part_that_a_stop_left_is_not_listed_and_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"left")
    store = LocalStore(tmp_path)
    assert list(store.list()) == []
    assert store.put_if_absent("file", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_conditional_put_is_refused_where_nothing_can_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    store = LocalStore(tmp_path)
    store.put("file", b"x")
    with pytest.raises(DiskProblem, match="locks"):
        store.put_if_absent("other", b"x")
    assert list(store.list()) == ["file"]


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_not_empty(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("folder/file", b"x")
    (tmp_path / "folder").chmod(0)
    with pytest.raises(DiskProblem):
        list(store.list())
    (tmp_path / "folder").chmod(0o700)
