"""In doubt: when a batch of the API's list is taken for ours, and when nothing was created."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from builders import HOUR, MINUTE, NOW, a_batch, a_message_batch
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.model import Batch, MessageBatch, State
from batchctl.domain.reconciling import CLOCK_MARGIN, GRACE, MIN_LOOKS, Listing, Verdict, settle

SECOND = timedelta(seconds=1)
OVER = NOW + GRACE


def doubt(number: int = 1, at: datetime = NOW, count: int = 10, looks: int = MIN_LOOKS) -> Batch:
    return a_batch(State.SUBMITTING, id=number, first=number * 100, count=count, intent_at=at, looks=looks)


def theirs(number: int = 1, at: datetime = NOW + SECOND, count: int = 10, **more: Any) -> MessageBatch:
    return a_message_batch(f"msgbatch_{number}", count, created_at=at, **more)


def judged(doubts: list[Batch], batches: list[MessageBatch], now: datetime = NOW, **more: Any) -> Verdict:
    newest_first = sorted(batches, key=lambda b: b.created_at, reverse=True)
    return settle(doubts, Listing(**{"batches": newest_first, "known": set(), **more}), now=now)


def pairs(verdict: Verdict) -> list[tuple[int, str]]:
    return [(batch.id, seen.id) for batch, seen in verdict.adopt]


def test_as_many_candidates_as_doubts_are_adopted_in_the_order_they_were_made() -> None:
    doubts = [doubt(2, NOW + SECOND), doubt(1, NOW)]
    verdict = judged(doubts, [theirs(1, NOW + SECOND), theirs(2, NOW + 2 * SECOND)])
    assert pairs(verdict) == [(1, "msgbatch_1"), (2, "msgbatch_2")]
    assert not (verdict.replan)
    assert not (verdict.wait)
    assert not (verdict.identify)


@pytest.mark.parametrize(
    ("after", "looks", "is_over"),
    [
        (GRACE, MIN_LOOKS, True),
        (GRACE - SECOND, MIN_LOOKS, False),
        (GRACE, MIN_LOOKS - 1, False),
        (HOUR, 0, False),
        (HOUR, MIN_LOOKS, True),
    ],
)
def test_without_a_candidate_it_is_planned_again_only_after_the_grace_and_several_looks(
    after: timedelta, looks: int, *, is_over: bool
) -> None:
    verdict = judged([doubt(looks=looks)], [], NOW + after)
    assert bool(verdict.replan) is is_over
    assert bool(verdict.wait) is not is_over


def test_one_young_doubt_keeps_the_others_of_its_size_waiting() -> None:
    verdict = judged([doubt(1), doubt(2, OVER)], [], OVER)
    assert [b.id for b in verdict.wait] == [1, 2]
    assert not verdict.replan


@pytest.mark.parametrize("now", [NOW, OVER])
def test_fewer_or_more_candidates_than_doubts_wait(now: datetime) -> None:
    fewer = judged([doubt(1), doubt(2)], [theirs(1)], now)
    more = judged([doubt(1)], [theirs(1), theirs(2)], now)
    for verdict in (fewer, more):
        assert verdict.wait
        assert not (verdict.adopt)
        assert not (verdict.replan)


@pytest.mark.parametrize("ended", [1, 2])
def test_a_candidate_that_has_ended_is_identified_by_its_ids_and_never_guessed(ended: int) -> None:
    candidates = [theirs(n, ended_at=NOW + MINUTE if n == ended else None) for n in (1, 2)]
    verdict = judged([doubt(1), doubt(2)], candidates, NOW + 2 * MINUTE)
    assert not (verdict.adopt)
    assert not (verdict.replan)
    assert [c.id for c in verdict.identify] == [f"msgbatch_{ended}"]


def test_a_candidate_that_was_guessed_for_another_keeps_the_doubt_open() -> None:
    verdict = judged([doubt()], [theirs(1)], OVER + HOUR, guessed={"msgbatch_1"})
    assert not (verdict.adopt)
    assert not (verdict.replan)
    assert verdict.wait


def test_ids_known_by_now_and_other_sizes_are_no_candidates() -> None:
    verdict = judged([doubt()], [theirs(1), theirs(2, count=11), theirs(3, count=9)], OVER, known={"msgbatch_1"})
    assert [b.id for b in verdict.replan] == [1]


def test_sizes_are_judged_apart() -> None:
    verdict = judged([doubt(1), doubt(2, count=7)], [theirs(1)], OVER)
    assert pairs(verdict) == [(1, "msgbatch_1")]
    assert [b.id for b in verdict.replan] == [2]


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(minutes=7), timedelta(minutes=-7)])
@pytest.mark.parametrize(
    ("created", "is_candidate"),
    [
        (SECOND, True),
        (timedelta(), True),
        (-CLOCK_MARGIN, True),
        (-CLOCK_MARGIN - SECOND, False),
        (-HOUR, False),
    ],
)
def test_only_what_was_created_since_the_intent_counts_by_the_servers_clock(
    ahead: timedelta, created: timedelta, *, is_candidate: bool
) -> None:
    verdict = judged([doubt()], [theirs(1, NOW + ahead + created)], ahead=ahead)
    assert bool(verdict.adopt) is is_candidate


def test_without_doubts_there_is_nothing_to_judge() -> None:
    assert judged([], [theirs()]) == Verdict()


SECONDS = st.integers(-600, 600).map(lambda n: timedelta(seconds=n))
COUNTS = st.integers(1, 3)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Batch], Listing, datetime]:
    doubts = [
        doubt(n, NOW + at, count, looks)
        for n, (at, count, looks) in enumerate(
            draw(st.lists(st.tuples(SECONDS, COUNTS, st.integers(0, 5)), max_size=5))
        )
    ]
    listed = [
        theirs(n, NOW + at, count, ended_at=NOW + HOUR if has_ended else None)
        for n, (at, count, has_ended) in enumerate(
            draw(st.lists(st.tuples(SECONDS, COUNTS, st.booleans()), max_size=6))
        )
    ]
    names = [b.id for b in listed] or ["none"]
    some = st.sets(st.sampled_from(names))
    listing = Listing(batches=listed, known=draw(some), guessed=draw(some), ahead=draw(SECONDS))
    return doubts, listing, NOW + draw(SECONDS)


@given(situations())
def test_whatever_the_list_says_nothing_is_adopted_twice_and_nothing_sent_again_too_early(
    situation: tuple[list[Batch], Listing, datetime],
) -> None:
    doubts, listing, now = situation
    verdict = settle(doubts, listing, now=now)
    told = [*(b.id for b, _ in verdict.adopt), *(b.id for b in verdict.replan), *(b.id for b in verdict.wait)]
    assert sorted(told) == [b.id for b in doubts], "each doubt has exactly one verdict"
    adopted = [seen.id for _, seen in verdict.adopt]
    assert len(set(adopted)) == len(adopted)
    assert not set(adopted) & {*listing.known, *listing.guessed}
    assert all(batch.count == seen.counts.total for batch, seen in verdict.adopt)
    assert not any(seen.ended_at for _, seen in verdict.adopt)
    for batch in verdict.replan:
        assert batch.intent_at is not None
        assert now - batch.intent_at >= GRACE
        assert batch.looks >= MIN_LOOKS
        fits = [
            seen
            for seen in listing.batches
            if seen.counts.total == batch.count
            and seen.created_at >= batch.intent_at + listing.ahead - CLOCK_MARGIN
            and seen.id not in listing.known
        ]
        assert not fits, "a batch that fits is never ignored"
