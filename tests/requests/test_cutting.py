"""Where batches begin and end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.limits import CEILING_MAX_BYTES, CEILING_MAX_REQUESTS, DEFAULT_MAX_REQUESTS
from batchctl.domain.model import ENVELOPE_BYTES, Settings
from batchctl.requests.cutting import MAX_SIZES, MIN_FOR_SIZES, SIZES_SHARE, Cutter, Extent, limits_problem, size_of


def limits(max_requests: int, max_bytes: int = CEILING_MAX_BYTES, size_start: int | None = None) -> Settings:
    return Settings(max_requests=max_requests, max_bytes=max_bytes, size_start=size_start)


def cut(sizes: list[int], settings: Settings, *, start: int = 0, first: int = 0) -> list[Extent]:
    """All cuts of lines of these sizes, one newline after each."""
    cutter, found = Cutter(settings, first), []
    for size in sizes:
        found.append(cutter.add(start, start + size))
        start += size + 1
    return [extent for extent in (*found, cutter.close()) if extent is not None]


def check_cover(sizes: list[int], settings: Settings, start: int, first: int = 0) -> None:
    """Every line once, in order, within both limits."""
    ends, at = [], start
    for size in sizes:
        ends.append((at, at + size))
        at += size + 1
    position = 0
    for number, extent in enumerate(cut(sizes, settings, start=start, first=first), first):
        held = ends[position : position + extent.count]
        assert extent == Extent(position, len(held), held[0][0], held[-1][1])
        assert 1 <= extent.count <= size_of(number, settings.max_requests, settings.size_start)
        assert extent.end - extent.start + ENVELOPE_BYTES <= settings.max_bytes
        position += extent.count
    assert position == len(sizes)


@given(
    st.lists(st.integers(2, 80), max_size=60),
    st.integers(1, 12),
    st.integers(80 + ENVELOPE_BYTES, 400),
    st.integers(0, 5),
)
def test_cuts_cover_every_line_once_in_order_and_within_both_limits(
    sizes: list[int], max_requests: int, max_bytes: int, start: int
) -> None:
    check_cover(sizes, limits(max_requests, max_bytes), start)


@given(
    st.integers(0, 12_000),
    st.integers(MIN_FOR_SIZES, MIN_FOR_SIZES + 200),
    st.sampled_from([4_000, 30_000, CEILING_MAX_BYTES]),
    st.none() | st.integers(0, MAX_SIZES - 1),
    st.sampled_from([0, 1, 49, 700]),
)
def test_cuts_of_sizes_of_their_own_cover_every_line_once_too(
    count: int, max_requests: int, max_bytes: int, size_start: int | None, first: int
) -> None:
    """Whether a batch is full by its requests or by its bytes."""
    sizes = [2 + n % 7 for n in range(count)]
    check_cover(sizes, limits(max_requests, max_bytes, size_start), start=3, first=first)


@given(st.lists(st.integers(2, 80), min_size=1, max_size=60), st.integers(1, 12), st.integers(95, 400))
def test_no_cut_could_have_taken_the_next_line_too(sizes: list[int], max_requests: int, max_bytes: int) -> None:
    found = cut(sizes, limits(max_requests, max_bytes))
    for one, following in itertools.pairwise(found):
        first_of_next = sizes[following.first]
        is_full = one.count == max_requests
        assert is_full or one.end + 1 + first_of_next - one.start + ENVELOPE_BYTES > max_bytes


@given(st.lists(st.integers(2, 300), min_size=1, max_size=40), st.integers(1, 12), st.integers(20, 200))
def test_lines_that_fit_alone_are_cut_within_the_limit_and_no_other_line_could_be(
    sizes: list[int], max_requests: int, max_bytes: int
) -> None:
    settings = limits(max_requests, max_bytes)
    cutter = Cutter(settings)
    fitting = [size for size in sizes if cutter.fits_alone(size)]
    assert all(e.end - e.start + ENVELOPE_BYTES <= max_bytes for e in cut(fitting, settings))
    for size in set(sizes) - set(fitting):
        (alone,) = cut([size], settings)
        assert alone.end - alone.start + ENVELOPE_BYTES > max_bytes


@given(st.lists(st.integers(2, 80), max_size=40), st.integers(1, 12), st.integers(95, 400))
def test_a_cut_does_not_depend_on_what_comes_after_it(sizes: list[int], max_requests: int, max_bytes: int) -> None:
    """So an input may be cut while it is read, and the same beginning is cut the same."""
    settings = limits(max_requests, max_bytes)
    whole = cut(sizes, settings)
    for known in range(1, len(sizes)):
        *closed, _ = cut(sizes[:known], settings)
        assert closed == whole[: len(closed)]


def test_a_body_of_exactly_the_limit_is_one_batch() -> None:
    assert len(cut([10, 10], limits(100, 21 + ENVELOPE_BYTES))) == 1
    assert len(cut([10, 10], limits(100, 20 + ENVELOPE_BYTES))) == 2


def test_nothing_is_cut_from_nothing() -> None:
    assert cut([], limits(10, 1000)) == []


@pytest.mark.parametrize(("spare", "fits"), [(1, True), (0, True), (-1, False)])
def test_a_line_fits_alone_only_with_its_envelope(spare: int, *, fits: bool) -> None:
    assert Cutter(limits(1, 1000)).fits_alone(1000 - ENVELOPE_BYTES - spare) is fits


# ---------------------------------------------------------------- sizes of their own

LIMITS = [MIN_FOR_SIZES, 1_001, 5_000, DEFAULT_MAX_REQUESTS, CEILING_MAX_REQUESTS]


@pytest.mark.parametrize("size_start", [0, 1, 49, 137, MAX_SIZES - 1])
@pytest.mark.parametrize("max_requests", LIMITS)
def test_the_first_batches_of_a_job_all_differ_in_size_and_a_little_from_the_limit(
    max_requests: int, size_start: int
) -> None:
    """So many as the twentieth part of the limit, and 500 at most; after these, sizes come again in the same order."""
    most = min(500, max_requests // 20)
    assert most == min(MAX_SIZES, max_requests // SIZES_SHARE)
    sizes = [size_of(number, max_requests, size_start) for number in range(2 * most)]
    assert sorted(sizes[:most]) == list(range(max_requests - most + 1, max_requests + 1))
    assert sizes[most:] == sizes[:most]


def test_with_the_limit_of_old_five_hundred_batches_differ() -> None:
    assert len({size_of(number, DEFAULT_MAX_REQUESTS, 77) for number in range(500)}) == 500


@pytest.mark.parametrize("number", [0, 1, 7, 5_000])
@pytest.mark.parametrize(
    ("max_requests", "size_start"),
    [(1, 0), (20, 3), (MIN_FOR_SIZES - 1, 137), (MIN_FOR_SIZES, None), (DEFAULT_MAX_REQUESTS, None)],
)
def test_small_batches_and_those_of_a_job_that_wants_it_are_of_one_size(
    max_requests: int, size_start: int | None, number: int
) -> None:
    assert size_of(number, max_requests, size_start) == max_requests


@given(st.integers(0, 10**6), st.integers(1, CEILING_MAX_REQUESTS), st.none() | st.integers(0, 10**6))
def test_no_batch_is_larger_than_the_limit_or_less_than_nineteen_twentieths_of_it(
    number: int, max_requests: int, size_start: int | None
) -> None:
    size = size_of(number, max_requests, size_start)
    assert max_requests - max(1, max_requests // 20) < size <= max_requests


@pytest.mark.parametrize("first", [0, 3, 49, 50, 123])
def test_a_later_round_goes_on_where_the_sizes_of_the_job_stopped(first: int) -> None:
    settings = limits(1_000, size_start=17)
    found = cut([2] * 2_900, settings, first=first)
    *full, _ = [extent.count for extent in found]
    assert full == [size_of(first + number, 1_000, 17) for number in range(len(full))]
    assert len(full) >= 2


@given(st.lists(st.integers(1, 700), max_size=12), st.none() | st.integers(0, 49))
def test_lines_that_are_taken_in_runs_are_cut_as_one_by_one(runs: list[int], size_start: int | None) -> None:
    """A run that does not fit into the cut under way is taken line by line."""
    settings = limits(1_000, size_start=size_start)
    cutter, found, at = Cutter(settings), [], 0
    for count in runs:
        end = at + 3 * count - 1
        if not cutter.add_run(count, at, end):
            found += [cutter.add(at + 3 * n, at + 3 * n + 2) for n in range(count)]
        at = end + 1
    assert [extent for extent in (*found, cutter.close()) if extent] == cut([2] * sum(runs), settings)


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
