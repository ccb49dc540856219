"""Numbers beside a file: written, read by position, missed when cut."""

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchctl.domain.errors import DiskProblem
from batchctl.store.line_maps import LineMap, pack, unpack

NUMBERS = [n * n for n in range(20_000)]


@contextmanager
def opened(path: Path, base: int = 0) -> Iterator[LineMap]:
    numbers = LineMap(path, base)
    try:
        yield numbers
    finally:
        numbers.close()


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "round-1.lines"
    path.write_bytes(pack(array("Q", NUMBERS)))
    return path


@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 20_000), (8191, 2), (19_999, 1), (5, 0)])
def test_any_run_of_numbers_is_read_back(stored: Path, first: int, count: int) -> None:
    with opened(stored) as numbers:
        assert list(numbers.numbers(first, count)) == NUMBERS[first : first + count]


def test_without_a_file_a_position_stands_for_itself(tmp_path: Path) -> None:
    with opened(tmp_path / "none", base=1) as numbers:
        assert list(numbers.numbers(5, 3)) == [6, 7, 8]


def test_a_file_that_was_cut_is_a_problem_and_not_a_shorter_answer(stored: Path) -> None:
    stored.write_bytes(stored.read_bytes()[: 8 * 100])
    with opened(stored) as numbers, pytest.raises(DiskProblem, match="shorter"):
        numbers.numbers(50, 51)


def test_bytes_are_little_endian_on_every_machine() -> None:
    numbers = unpack("Q", bytes([1, 2, 0, 0, 0, 0, 0, 0]))
    assert list(numbers) == [0x0201]
    assert pack(numbers) == bytes([1, 2, 0, 0, 0, 0, 0, 0])
