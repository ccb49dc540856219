"""Lines and ids, in whatever order: each line finds its batch, or the reason why it has none."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import a_cut, lines, request_id, request_line, written
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.errors import DiskProblem, InputProblem
from batchctl.files.elsewhere import lay_down, read
from batchctl.files.pairing import Line, Odd, Pairing
from batchctl.files.sides import Numbers


@pytest.fixture
def pairing(tmp_path: Path) -> Iterator[Pairing]:
    with Pairing(tmp_path / "scratch") as pairing:
        yield pairing
    assert not (tmp_path / "scratch").exists()


def line(number: int, custom_id: str) -> Line:
    return Line(number, custom_id, number * 10, 9)


@given(st.lists(st.integers(0, 4), max_size=40), st.randoms())
def test_every_line_is_in_its_batch_or_left(tmp_path_factory: pytest.TempPathFactory, dealt: list[int], chance) -> None:
    """Batch 4 is the one that was not attached."""
    with Pairing(tmp_path_factory.mktemp("pairing") / "scratch") as pairing:
        pairing.add_lines(line(number, request_id(number)) for number in range(1, len(dealt) + 1))
        for batch in range(4):
            mine = [request_id(n) for n, dealt_to in enumerate(dealt, 1) if dealt_to == batch]
            chance.shuffle(mine)
            pairing.add_batch(batch, mine)
        pairing.finish()
        assert not any(odd.count for odd in (pairing.held_twice(), pairing.without_line(), pairing.on_two_lines()))
        for batch in range(4):
            told = [one.number for one in pairing.lines_of(batch)]
            assert told == [n for n, dealt_to in enumerate(dealt, 1) if dealt_to == batch]
        assert [one.number for one in pairing.left()] == [n for n, dealt_to in enumerate(dealt, 1) if dealt_to == 4]


def test_what_does_not_fit_is_counted_and_a_few_are_named(pairing: Pairing) -> None:
    pairing.add_lines([line(1, "a"), line(2, "b"), line(3, "a"), line(4, "c"), line(5, "c")])
    pairing.add_batch(0, ["a", "b", "x1"])
    pairing.add_batch(1, ["b", "x2", "x3", "x4"])
    pairing.finish()
    assert pairing.held_twice() == Odd(1, (("b", 0, 1),))
    assert pairing.without_line() == Odd(4, (("x1", 0, 0), ("x2", 1, 0), ("x3", 1, 0)))
    assert pairing.on_two_lines() == Odd(1, (("a", 1, 3),))


def test_its_scratch_file_is_private(pairing: Pairing, tmp_path: Path) -> None:
    assert not (tmp_path / "scratch").stat().st_mode & 0o077


def test_a_disk_that_takes_no_more_is_a_problem_with_a_hint(pairing: Pairing, tmp_path: Path) -> None:
    pairing.finish()
    with pytest.raises(DiskProblem) as raised:
        pairing.finish()
    assert str(tmp_path / "scratch") in raised.value.message
    assert "150 bytes" in raised.value.hint


def test_lines_are_laid_down_by_batch_with_their_numbers_and_hashes(pairing: Pairing, tmp_path: Path) -> None:
    whole = [request_line(request_id(n), "x" * n) for n in range(6)]
    path = written(tmp_path / "in.jsonl", b"\xef\xbb\xbf" + b"\n\n".join(whole))
    found = read("in.jsonl", path, pairing, lambda _: None)
    assert found.lines == 6
    pairing.add_batch(0, [request_id(5), request_id(1)])
    pairing.add_batch(1, [request_id(3), request_id(0), request_id(4)])
    pairing.finish()
    target, numbers = tmp_path / "requests.jsonl", tmp_path / "lines"
    cuts = lay_down(found, pairing, [a_cut(2), a_cut(3, 2)], target, numbers, lambda _: None)
    assert target.read_bytes().splitlines() == [whole[n] for n in (1, 5, 0, 3, 4)]
    assert [target.read_bytes()[c.start : c.end].splitlines() for c in cuts] == [
        [whole[n] for n in one] for one in ((1, 5), (0, 3, 4))
    ]
    kept = Numbers(numbers)
    assert list(kept.run(0, 5)) == [3, 11, 1, 7, 9]
    kept.close()


def test_an_input_that_changes_while_it_is_read_is_refused(pairing: Pairing, tmp_path: Path) -> None:
    path = written(tmp_path / "in.jsonl", lines(3))
    found = read("in.jsonl", path, pairing, lambda _: None)
    pairing.add_batch(0, [request_id(n) for n in range(3)])
    pairing.finish()
    path.write_bytes(lines(4))
    with pytest.raises(InputProblem, match="changed while it was read"):
        lay_down(found, pairing, [a_cut(3)], tmp_path / "requests.jsonl", tmp_path / "lines", lambda _: None)
