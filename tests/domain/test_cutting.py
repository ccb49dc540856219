"""Where batches begin and end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.cutting import Cutter, Extent, limits_problem
from batchctl.domain.limits import CEILING_MAX_BYTES, CEILING_MAX_REQUESTS
from batchctl.domain.model import ENVELOPE_BYTES


def cut(sizes: list[int], max_requests: int, max_bytes: int, *, start: int = 0) -> list[Extent]:
    """All cuts of lines of these sizes, one newline after each."""
    cutter, found = Cutter(max_requests, max_bytes), []
    for size in sizes:
        found.append(cutter.add(start, start + size))
        start += size + 1
    return [extent for extent in (*found, cutter.close()) if extent is not None]


@given(
    st.lists(st.integers(2, 80), max_size=60),
    st.integers(1, 12),
    st.integers(80 + ENVELOPE_BYTES, 400),
    st.integers(0, 5),
)
def test_cuts_cover_every_line_once_in_order_and_within_both_limits(
    sizes: list[int], max_requests: int, max_bytes: int, start: int
) -> None:
    ends, at = [], start
    for size in sizes:
        ends.append((at, at + size))
        at += size + 1
    position = 0
    for extent in cut(sizes, max_requests, max_bytes, start=start):
        held = ends[position : position + extent.count]
        assert extent == Extent(position, len(held), held[0][0], held[-1][1])
        assert 1 <= extent.count <= max_requests
        assert extent.end - extent.start + ENVELOPE_BYTES <= max_bytes
        position += extent.count
    assert position == len(sizes)


@given(st.lists(st.integers(2, 80), min_size=1, max_size=60), st.integers(1, 12), st.integers(95, 400))
def test_no_cut_could_have_taken_the_next_line_too(sizes: list[int], max_requests: int, max_bytes: int) -> None:
    found = cut(sizes, max_requests, max_bytes)
    for one, following in itertools.pairwise(found):
        first_of_next = sizes[following.first]
        is_full = one.count == max_requests
        assert is_full or one.end + 1 + first_of_next - one.start + ENVELOPE_BYTES > max_bytes


@given(st.lists(st.integers(2, 300), min_size=1, max_size=40), st.integers(1, 12), st.integers(20, 200))
def test_lines_that_fit_alone_are_cut_within_the_limit_and_no_other_line_could_be(
    sizes: list[int], max_requests: int, max_bytes: int
) -> None:
    cutter = Cutter(max_requests, max_bytes)
    fitting = [size for size in sizes if cutter.fits_alone(size)]
    assert all(e.end - e.start + ENVELOPE_BYTES <= max_bytes for e in cut(fitting, max_requests, max_bytes))
    for size in set(sizes) - set(fitting):
        (alone,) = cut([size], max_requests, max_bytes)
        assert alone.end - alone.start + ENVELOPE_BYTES > max_bytes


@given(st.lists(st.integers(2, 80), max_size=40), st.integers(1, 12), st.integers(95, 400))
def test_a_cut_does_not_depend_on_what_comes_after_it(sizes: list[int], max_requests: int, max_bytes: int) -> None:
    """So an input may be cut while it is read, and the same beginning is cut the same."""
    whole = cut(sizes, max_requests, max_bytes)
    for known in range(1, len(sizes)):
        *closed, _ = cut(sizes[:known], max_requests, max_bytes)
        assert closed == whole[: len(closed)]


def test_a_body_of_exactly_the_limit_is_one_batch() -> None:
    assert len(cut([10, 10], 100, 21 + ENVELOPE_BYTES)) == 1
    assert len(cut([10, 10], 100, 20 + ENVELOPE_BYTES)) == 2


def test_nothing_is_cut_from_nothing() -> None:
    assert cut([], 10, 1000) == []


@pytest.mark.parametrize(("spare", "fits"), [(1, True), (0, True), (-1, False)])
def test_a_line_fits_alone_only_with_its_envelope(spare: int, *, fits: bool) -> None:
    assert Cutter(1, 1000).fits_alone(1000 - ENVELOPE_BYTES - spare) is fits


@pytest.mark.parametrize(
    ("max_requests", "max_bytes", "word"),
    [
        (1, 1_000, ""),
        (CEILING_MAX_REQUESTS, CEILING_MAX_BYTES, ""),
        (0, 1_000, "--max-requests"),
        (-1, 1_000, "--max-requests"),
        (CEILING_MAX_REQUESTS + 1, 1_000, "100,000"),
        (1, 999, "--max-bytes"),
        (1, CEILING_MAX_BYTES + 1, "250MB"),
    ],
)
def test_limits_that_cannot_be_used_are_named(max_requests: int, max_bytes: int, word: str) -> None:
    problem = limits_problem(max_requests, max_bytes)
    assert bool(problem) == bool(word)
    assert word in problem
