"""Lines and ids, in whatever order: each line finds its batch, or the reason why it has none."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from builders import a_cut, lines, request_id, request_line, written
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.errors import DiskProblem, InputProblem
from batchctl.domain.model import Cut, Settings
from batchctl.requests.attached_input import (
    InputLine,
    LineMatching,
    UnmatchedIds,
    read_attached,
    write_attached_requests,
)
from batchctl.store.line_maps import LineMap


@pytest.fixture
def matching(tmp_path: Path) -> Iterator[LineMatching]:
    with LineMatching(tmp_path / "scratch") as matching:
        yield matching
    assert not (tmp_path / "scratch").exists()


def line(number: int, custom_id: str) -> InputLine:
    return InputLine(number, custom_id, number * 10, 9)


@given(st.lists(st.integers(0, 4), max_size=40), st.randoms())
def test_every_line_is_in_its_batch_or_left(tmp_path_factory: pytest.TempPathFactory, dealt: list[int], chance) -> None:
    """Batch 4 is the one that was not attached."""
    with LineMatching(tmp_path_factory.mktemp("pairing") / "scratch") as matching:
        matching.add_lines(line(number, request_id(number)) for number in range(1, len(dealt) + 1))
        for batch in range(4):
            mine = [request_id(n) for n, dealt_to in enumerate(dealt, 1) if dealt_to == batch]
            chance.shuffle(mine)
            matching.add_batch(batch, mine)
        matching.finish()
        assert not any(
            odd.count for odd in (matching.in_two_batches(), matching.without_line(), matching.on_two_lines())
        )
        for batch in range(4):
            told = [one.number for one in matching.lines_of(batch)]
            assert told == [n for n, dealt_to in enumerate(dealt, 1) if dealt_to == batch]
        assert [one.number for one in matching.left()] == [n for n, dealt_to in enumerate(dealt, 1) if dealt_to == 4]


def test_what_does_not_fit_is_counted_and_a_few_are_named(matching: LineMatching) -> None:
    matching.add_lines([line(1, "a"), line(2, "b"), line(3, "a"), line(4, "c"), line(5, "c")])
    matching.add_batch(0, ["a", "b", "x1"])
    matching.add_batch(1, ["b", "x2", "x3", "x4"])
    matching.finish()
    assert matching.in_two_batches() == UnmatchedIds(1, (("b", 0, 1),))
    assert matching.without_line() == UnmatchedIds(4, (("x1", 0, 0), ("x2", 1, 0), ("x3", 1, 0)))
    assert matching.on_two_lines() == UnmatchedIds(1, (("a", 1, 3),))


def test_its_scratch_file_is_private(matching: LineMatching, tmp_path: Path) -> None:
    assert not (tmp_path / "scratch").stat().st_mode & 0o077


def test_a_disk_that_takes_no_more_is_a_problem_with_a_hint(matching: LineMatching, tmp_path: Path) -> None:
    matching.finish()
    with pytest.raises(DiskProblem) as raised:
        matching.finish()
    assert str(tmp_path / "scratch") in raised.value.message
    assert "150 bytes" in raised.value.hint


def test_lines_are_laid_down_by_batch_with_their_numbers_and_hashes(matching: LineMatching, tmp_path: Path) -> None:
    whole = [request_line(request_id(n), "x" * n) for n in range(6)]
    path = written(tmp_path / "in.jsonl", b"\xef\xbb\xbf" + b"\n\n".join(whole))
    found = read_attached("in.jsonl", path, matching, lambda _: None)
    assert found.lines == 6
    matching.add_batch(0, [request_id(5), request_id(1)])
    matching.add_batch(1, [request_id(3), request_id(0), request_id(4)])
    matching.finish()
    target, numbers = tmp_path / "requests.jsonl", tmp_path / "lines"
    laid = write_attached_requests(
        found, matching, [a_cut(2), a_cut(3, 2)], Settings(), target, numbers, lambda _: None
    )
    assert target.read_bytes().splitlines() == [whole[n] for n in (1, 5, 0, 3, 4, 2)]
    cuts = (*laid.batches, *laid.rest)
    assert [target.read_bytes()[c.start : c.end].splitlines() for c in cuts] == [
        [whole[n] for n in one] for one in ((1, 5), (0, 3, 4), (2,))
    ]
    assert [(c.first, c.count) for c in laid.rest] == [(5, 1)]
    assert [sha256(target.read_bytes()[c.start : c.end]).hexdigest() for c in cuts] == [c.sha256 for c in cuts]
    kept = LineMap(numbers)
    assert list(kept.numbers(0, 6)) == [3, 11, 1, 7, 9, 5]
    kept.close()


@pytest.mark.parametrize(
    ("batches", "most", "rest"),
    [
        # The first part was sent: what is left is cut by the limit of a batch.
        ([(1, 2)], 10_000, [[3, 4, 5, 6, 7, 8]]),
        ([(1, 2)], 4, [[3, 4, 5, 6], [7, 8]]),
        # A batch begins between lines that are left: it is read between them.
        ([(1, 2), (5, 6)], 10_000, [[3, 4], [7, 8]]),
        ([(5, 6), (1, 2)], 10_000, [[3, 4], [7, 8]]),
        # Lines dealt out in turns make no cut of their own each.
        ([(1, 3, 5, 7)], 10_000, [[2, 4, 6, 8]]),
        ([(4, 8)], 10_000, [[1, 2, 3], [5, 6, 7]]),
    ],
)
def test_lines_in_no_batch_are_cut_where_a_batch_is_read_between_them(
    matching: LineMatching, tmp_path: Path, batches: list[tuple[int, ...]], most: int, rest: list[list[int]]
) -> None:
    whole = {n: request_line(request_id(n)) for n in range(1, 9)}
    found = read_attached(
        "in.jsonl", written(tmp_path / "in.jsonl", b"\n".join(whole.values())), matching, lambda _: None
    )
    places: list[Cut] = []
    for place, numbers in enumerate(batches):
        matching.add_batch(place, [request_id(n) for n in numbers])
        places.append(a_cut(len(numbers), sum(cut.count for cut in places)))
    matching.finish()
    target = tmp_path / "requests.jsonl"
    laid = write_attached_requests(
        found, matching, places, Settings(max_requests=most), target, tmp_path / "lines", lambda _: None
    )
    text = target.read_bytes()
    assert [text[c.start : c.end].split(b"\n") for c in laid.rest] == [[whole[n] for n in one] for one in rest]


def test_an_id_on_two_lines_in_no_batch_is_named_with_the_other_line(matching: LineMatching) -> None:
    matching.add_lines([line(1, "a"), line(2, "b"), line(3, "c"), line(4, "b")])
    matching.add_batch(0, ["a"])
    matching.finish()
    assert [one.number for one in matching.left()] == [3]
    assert [(one.number, twin) for one, twin in matching.left_with_twins()] == [(2, 4), (4, 2)]


def test_an_input_that_changes_while_it_is_read_is_refused(matching: LineMatching, tmp_path: Path) -> None:
    path = written(tmp_path / "in.jsonl", lines(3))
    found = read_attached("in.jsonl", path, matching, lambda _: None)
    matching.add_batch(0, [request_id(n) for n in range(3)])
    matching.finish()
    path.write_bytes(lines(4))
    with pytest.raises(InputProblem, match="changed while it was read"):
        write_attached_requests(
            found, matching, [a_cut(3)], Settings(), tmp_path / "requests.jsonl", tmp_path / "lines", lambda _: None
        )
