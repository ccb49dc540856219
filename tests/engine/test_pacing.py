"""How much of a job is sent into a queue that has been full."""

from datetime import timedelta

import pytest
from builders import MINUTE, NOW, a_batch, a_job
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.errors import ApiFailure
from batchctl.domain.model import State
from batchctl.engine.pacing import TRY_MORE_AFTER, admitted, is_queue_full, under_way

S = State
PLANNED = [a_batch(S.PLANNED, id=n, count=10) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("failure", "tries", "is_full"),
    [
        (ApiFailure("requests in the processing queue would exceed your limit", status=429), 0, True),
        (ApiFailure("Number of request tokens has exceeded", status=429), 0, False),
        # Its wait is over and it is refused again: no burst lasts that long.
        (ApiFailure("Number of request tokens has exceeded", status=429), 1, True),
        (ApiFailure("queue", status=429, error_code="ramp_limit_exceeded"), 3, False),
        (ApiFailure("queue", status=529), 3, False),
        (ApiFailure("queue"), 3, False),
    ],
)
def test_which_refusals_teach_the_window(failure: ApiFailure, tries: int, *, is_full: bool) -> None:
    assert is_queue_full(failure, tries) is is_full


def test_what_was_sent_and_has_not_ended_is_under_way() -> None:
    states = {state: a_batch(state, count=1) for state in S}
    assert {state for state, one in states.items() if under_way([one])} == {S.SUBMITTING, S.IN_PROGRESS, S.CANCELING}
    assert under_way(list(states.values())) == 3


@pytest.mark.parametrize(
    ("window", "taken", "since", "chosen"),
    [
        (None, 0, 0, [1, 2, 3]),
        (None, 90, 0, [1, 2, 3]),
        (30, 0, 0, [1, 2, 3]),
        (25, 0, 0, [1, 2]),
        (25, 10, 0, [1]),
        (25, 20, 0, []),
        (25, 20, 9, []),
        (25, 20, 10, [1]),
        # The clock was put back since: by less than the pause it makes none longer than twice, by more it is over.
        (25, 20, -9, []),
        (25, 20, -10, [1]),
        (25, 20, -100_000, [1]),
        # With nothing under way there is nothing to wait for: one is tried.
        (0, 0, 0, [1]),
        (5, 0, 0, [1]),
    ],
)
def test_as_many_as_fit_and_now_and_then_one_more(
    window: int | None, taken: int, since: int, chosen: list[int]
) -> None:
    job = a_job(window=window, window_at=NOW - since * MINUTE)
    running = [a_batch(S.IN_PROGRESS, count=taken)] if taken else []
    assert [b.id for b in admitted(job, PLANNED, [*PLANNED, *running], NOW)] == chosen


def test_the_order_is_kept_and_a_small_one_does_not_overtake() -> None:
    planned = [a_batch(S.PLANNED, id=1, count=20), a_batch(S.PLANNED, id=2, count=1)]
    running = a_batch(S.IN_PROGRESS, count=10)
    assert admitted(a_job(window=15, window_at=NOW), planned, [*planned, running], NOW) == []


@given(
    st.lists(st.integers(1, 12), max_size=6),
    st.lists(st.tuples(st.sampled_from(S), st.integers(1, 12)), max_size=6),
    st.integers(0, 40),
    st.sampled_from([timedelta(), TRY_MORE_AFTER - MINUTE, TRY_MORE_AFTER, -TRY_MORE_AFTER, MINUTE - TRY_MORE_AFTER]),
)
def test_the_window_is_never_passed_but_by_one_that_is_tried(
    counts: list[int], others: list[tuple[State, int]], window: int, since: timedelta
) -> None:
    planned = [a_batch(S.PLANNED, count, id=n) for n, count in enumerate(counts)]
    batches = [*planned, *(a_batch(state, count) for state, count in others)]
    chosen = admitted(a_job(window=window, window_at=NOW - since), planned, batches, NOW)
    assert chosen == planned[: len(chosen)], "in order, and none is passed over"
    taken = under_way(batches)
    room = window - taken
    if chosen and sum(b.count for b in chosen) > room:
        assert len(chosen) == 1
        assert abs(since) >= TRY_MORE_AFTER or not taken
    rest = planned[len(chosen) :]
    assert not rest or sum(b.count for b in chosen) + rest[0].count > room, "what there is room for is sent"
