"""What every `Store` keeps: the same tests for each implementation."""

import multiprocessing
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from batchctl.domain.errors import DiskProblem, UsageProblem
from batchctl.store.local import LocalStore
from batchctl.store.protocol import NotStored, Store

NAME = "jobs/reviews-1/left-out.jsonl"
DATA = bytes(range(256)) * 4096

# Each gives the store of a folder: two calls give two ways to the same store.
STORES: dict[str, Callable[[Path], Store]] = {"local": LocalStore}


@pytest.fixture(params=STORES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    return lambda: STORES[request.param](tmp_path / "store")


@pytest.fixture
def store(opened: Callable[[], Store]) -> Store:
    return opened()


def test_what_is_put_is_read_and_replaced(store: Store, opened: Callable[[], Store]) -> None:
    store.put(NAME, b"old")
    store.put(NAME, DATA)
    assert opened().read(NAME) == DATA
    assert b"".join(opened().stream(NAME)) == DATA
    store.put(NAME, b"")
    assert store.read(NAME) == b""
    assert list(store.stream(NAME)) == []


@pytest.mark.parametrize(
    ("start", "end"), [(0, None), (5, None), (5, 5), (7, 3), (5, 300_000), (1_000_000, 9_999_999), (9_999_999, None)]
)
def test_a_range_is_the_slice_of_the_bytes(store: Store, start: int, end: int | None) -> None:
    store.put(NAME, DATA)
    assert store.read(NAME, start, end) == DATA[start:end]
    assert b"".join(store.stream(NAME, start, end)) == DATA[start:end]


def test_nothing_is_stored_until_it_is_put(store: Store) -> None:
    assert store.stat(NAME) is None
    assert list(store.list()) == []
    store.delete(NAME)
    for read in (store.read, store.read_versioned, lambda name: list(store.stream(name))):
        with pytest.raises(NotStored):
            read(NAME)
    assert issubclass(NotStored, DiskProblem)


def test_what_names_lie_in_is_not_stored_itself(store: Store) -> None:
    store.put(NAME, b"x")
    folder = NAME.rpartition("/")[0]
    assert store.stat(folder) is None
    store.delete(folder)
    with pytest.raises(NotStored):
        store.read(folder)
    assert store.read(NAME) == b"x"


def test_stat_says_size_and_time(store: Store) -> None:
    store.put(NAME, b"12345")
    first = store.stat(NAME)
    store.put(NAME, b"1234567")
    second = store.stat(NAME)
    assert first is not None
    assert second is not None
    assert (first.size, second.size) == (5, 7)
    assert timedelta() <= second.modified_at - first.modified_at < timedelta(minutes=5)
    assert second.modified_at.tzinfo is not None


def test_names_are_listed_by_prefix_in_order(store: Store) -> None:
    names = ["jobs-2", "jobs/a-b/c", "jobs/a/d", "jobs/b", "models.json"]
    for name in reversed(names):
        store.put(name, b"x")
    assert list(store.list()) == sorted(names)
    assert list(store.list("jobs")) == ["jobs-2", "jobs/a-b/c", "jobs/a/d", "jobs/b"]
    assert list(store.list("jobs/a")) == ["jobs/a-b/c", "jobs/a/d"]
    assert list(store.list("jobs/a/")) == ["jobs/a/d"]
    assert list(store.list("none/")) == list(store.list("jobs/b/")) == []


def test_a_deleted_name_is_gone_and_can_be_put_again(store: Store) -> None:
    store.put(NAME, b"old")
    store.delete(NAME)
    store.delete(NAME)
    assert store.stat(NAME) is None
    assert list(store.list()) == []
    assert store.put_if_absent(NAME, b"new")
    assert store.read(NAME) == b"new"


# ---------------------------------------------------------------- whole or not at all


def test_a_file_that_is_written_is_put_when_it_is_whole(store: Store) -> None:
    store.put(NAME, b"old")
    with store.writing(NAME) as file:
        for _ in range(100):
            file.write(DATA[:10_000])
        assert store.read(NAME) == b"old"
        assert list(store.list()) == [NAME]
    assert store.read(NAME) == DATA[:10_000] * 100
    assert list(store.list()) == [NAME]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_while_writing_changes_nothing(store: Store, error: type[BaseException]) -> None:
    store.put(NAME, b"old")
    for name in (NAME, "other"):
        with pytest.raises(error):
            _write_and_fail(store, name, error)
    assert store.read(NAME) == b"old"
    assert list(store.list()) == [NAME]


def _write_and_fail(store: Store, name: str, error: type[BaseException]) -> None:
    with store.writing(name) as file:
        file.write(DATA)
        raise error


def test_a_reader_goes_on_in_what_it_began_to_read(store: Store) -> None:
    store.put(NAME, DATA)
    pieces = store.stream(NAME)
    read = next(pieces)
    store.put(NAME, b"new")
    assert read + b"".join(pieces) == DATA


# ---------------------------------------------------------------- conditional puts


def test_put_if_absent_puts_once(store: Store) -> None:
    version = store.put_if_absent(NAME, b"first")
    assert version == store.read_versioned(NAME).version
    assert store.put_if_absent(NAME, b"second") is None
    assert store.put_if_absent(NAME, b"first") is None
    assert store.read_versioned(NAME) == (b"first", version)


def test_put_if_unchanged_puts_over_the_version_that_was_read(store: Store) -> None:
    first = store.put(NAME, b"first")
    assert store.read_versioned(NAME) == (b"first", first)
    second = store.put_if_unchanged(NAME, b"second", first)
    assert second not in {None, first}
    assert store.read_versioned(NAME) == (b"second", second)
    assert store.put_if_unchanged(NAME, b"third", first) is None
    assert store.read(NAME) == b"second"


def test_put_if_unchanged_never_makes_what_is_gone(store: Store) -> None:
    version = store.put(NAME, b"first")
    store.delete(NAME)
    assert store.put_if_unchanged(NAME, b"second", version) is None
    assert store.stat(NAME) is None
    assert list(store.list()) == []


def _count_up(store: Store, times: int) -> None:
    for _ in range(times):
        while True:
            data, version = store.read_versioned("count")
            if store.put_if_unchanged("count", b"%d" % (int(data) + 1), version):
                break


def test_of_many_who_count_up_none_is_lost(opened: Callable[[], Store]) -> None:
    opened().put("count", b"0")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_count_up, args=(opened(), 25)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert opened().read("count") == b"75"


def test_of_many_who_put_what_is_absent_one_does(opened: Callable[[], Store]) -> None:
    versions: list[str | None] = []
    gate = threading.Barrier(8)

    def put(number: int) -> None:
        store = opened()
        gate.wait(10)
        versions.append(store.put_if_absent("claim", b"%d" % number))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (won,) = filter(None, versions)
    assert len(versions) == 8
    assert opened().read_versioned("claim").version == won


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["", "/etc/passwd", "..", "a/../../b", "a/..", "./a", "a//b", "a/", "a\0b", "a.part"])
def test_a_name_that_would_leave_the_store_is_refused_by_every_method(store: Store, name: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.read(name),
        lambda: store.read_versioned(name),
        lambda: list(store.stream(name)),
        lambda: store.put(name, b"x"),
        lambda: store.put_if_absent(name, b"x"),
        lambda: store.put_if_unchanged(name, b"x", "v"),
        lambda: store.writing(name).__enter__(),
        lambda: store.stat(name),
        lambda: store.delete(name),
    ]
    for call in calls:
        with pytest.raises(UsageProblem):
            call()
    with pytest.raises(UsageProblem):
        list(store.list("../"))
    assert list(store.list()) == []
