"""Repeats are found over any number of ids, in memory and out of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchctl.requests.repeated_ids import SeenIds


def repeated(folder: Path, groups: list[list[str]], spill_after: int) -> set[int]:
    with SeenIds(folder, spill_after) as seen:
        for group in groups:
            seen.add_all([one.encode() for one in group])
        return seen.repeated()


@pytest.mark.parametrize("spill_after", [10**6, 1000, 1])
def test_different_ids_are_no_repeats_in_memory_or_spilled(tmp_path: Path, spill_after: int) -> None:
    groups = [[f"id-{n}" for n in range(start, start + 100)] for start in range(0, 5000, 100)]
    assert repeated(tmp_path, groups, spill_after) == set()


@pytest.mark.parametrize("spill_after", [10**6, 1000, 1])
def test_a_repeat_is_found_however_far_apart(tmp_path: Path, spill_after: int) -> None:
    groups = [
        ["first", "twice"],
        *([f"id-{n}" for n in range(k, k + 100)] for k in range(0, 3000, 100)),
        ["twice", "id-7"],
    ]
    assert repeated(tmp_path, groups, spill_after) == {hash(b"twice"), hash(b"id-7")}


@pytest.mark.parametrize("spill_after", [10**6, 1000, 1])
def test_a_repeat_is_found_where_the_ids_rose_until_then(tmp_path: Path, spill_after: int) -> None:
    groups = [[f"id-{n:06d}" for n in range(k, k + 100)] for k in range(0, 3000, 100)]
    assert repeated(tmp_path, groups, spill_after) == set()
    assert repeated(tmp_path, [*groups, ["id-001234"]], spill_after) == {hash(b"id-001234")}


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=5), max_size=6), st.integers(1, 8))
def test_exactly_the_repeats_are_found(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[str]], spill_after: int
) -> None:
    given_ids = [one for group in groups for one in group]
    expected = {hash(one.encode()) for one in given_ids if given_ids.count(one) > 1}
    assert repeated(tmp_path_factory.mktemp("seen"), groups, spill_after) == expected


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    repeated(tmp_path, [["a"], ["b"]], 1)
    assert list(tmp_path.iterdir()) == []
