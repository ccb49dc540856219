"""In doubt: when a batch of the API's list is taken for ours, and when nothing was created."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from builders import HOUR, MINUTE, NOW, a_batch, a_message_batch
from hypothesis import given, settings
from hypothesis import strategies as st

from batchctl.domain.model import Batch, MessageBatch, State
from batchctl.domain.reconciling import CLOCK_MARGIN, GRACE, LATE_MARGIN, MIN_LOOKS, Listing, Verdict, settle

SECOND = timedelta(seconds=1)
OVER = NOW + GRACE


def doubt(
    number: int = 1, at: datetime = NOW, count: int = 10, looks: int = MIN_LOOKS, lost_at: datetime | None = None
) -> Batch:
    seen = {"intent_at": at, "looks": looks, "lost_at": lost_at}
    return a_batch(State.SUBMITTING, count, id=number, first=number * 100, **seen)


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


@pytest.mark.parametrize(("after", "is_over"), [(GRACE, True), (GRACE - SECOND, False)])
def test_the_grace_begins_when_the_answer_was_missed_not_when_the_upload_began(
    after: timedelta, *, is_over: bool
) -> None:
    """An upload may take longer than the whole grace, and the batch is created at its end."""
    missed = NOW + HOUR
    verdict = judged([doubt(lost_at=missed)], [], missed + after)
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


@pytest.mark.parametrize("ended", [{1}, {2}, {1, 2}])
def test_a_candidate_that_has_ended_is_identified_by_its_ids_and_never_guessed(ended: set[int]) -> None:
    """Not even where there are as many candidates as doubts: one of them may be a stranger's."""
    candidates = [theirs(n, ended_at=NOW + MINUTE if n in ended else None) for n in (1, 2)]
    verdict = judged([doubt(1), doubt(2)], candidates, NOW + 2 * MINUTE)
    assert not (verdict.adopt)
    assert not (verdict.replan)
    assert [b.id for b in verdict.wait] == [1, 2]
    assert {c.id for c in verdict.identify} == {f"msgbatch_{n}" for n in ended}
    assert {c.id for c in verdict.candidates} == {"msgbatch_1", "msgbatch_2"}


@pytest.mark.parametrize("guessed", [set[str](), {"msgbatch_1"}])
def test_the_only_candidate_that_has_ended_is_asked_whoever_it_was_guessed_for(guessed: set[str]) -> None:
    verdict = judged([doubt()], [theirs(1, ended_at=NOW + MINUTE)], OVER + HOUR, guessed=guessed)
    assert not (verdict.adopt)
    assert not (verdict.replan)
    assert [c.id for c in verdict.identify] == ["msgbatch_1"]


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


def test_a_guess_for_another_is_not_adopted_where_the_numbers_would_fit() -> None:
    """Two candidates, two doubts: but one candidate has been given away, so which is whose is open."""
    verdict = judged([doubt(1), doubt(2)], [theirs(1), theirs(2)], OVER, guessed={"msgbatch_2"})
    assert not (verdict.adopt)
    assert not (verdict.replan)
    assert [b.id for b in verdict.wait] == [1, 2]
    assert not (verdict.identify)


def test_a_guess_of_another_size_is_in_nobodys_way() -> None:
    listed = [theirs(1), theirs(2, count=7)]
    assert pairs(judged([doubt()], listed, guessed={"msgbatch_2"})) == [(1, "msgbatch_1")]


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
def test_only_what_was_created_since_the_intent_counts(created: timedelta, *, is_candidate: bool) -> None:
    verdict = judged([doubt()], [theirs(1, NOW + created)], OVER)
    assert bool(verdict.adopt) is is_candidate
    assert bool(verdict.replan) is not is_candidate


LOST = NOW + 2 * MINUTE


@pytest.mark.parametrize(
    ("created", "is_candidate"),
    [
        (LOST, True),
        (LOST + LATE_MARGIN, True),
        (LOST + LATE_MARGIN + SECOND, False),
        (LOST + HOUR, False),
    ],
)
def test_what_was_created_long_after_the_answer_was_missed_is_not_ours(
    created: datetime, *, is_candidate: bool
) -> None:
    verdict = judged([doubt(lost_at=LOST)], [theirs(1, created)], NOW + 3 * HOUR)
    assert bool(verdict.adopt) is is_candidate
    assert bool(verdict.replan) is not is_candidate


def test_the_last_answer_that_was_missed_bounds_all_doubts_of_a_size() -> None:
    doubts = [doubt(1, lost_at=LOST), doubt(2, lost_at=LOST + HOUR)]
    just, late = LOST + HOUR + LATE_MARGIN, LOST + HOUR + LATE_MARGIN + SECOND
    found = judged(doubts, [theirs(1, NOW), theirs(2, just), theirs(3, late)], LOST + 2 * HOUR)
    assert pairs(found) == [(1, "msgbatch_1"), (2, "msgbatch_2")]


def test_where_one_died_over_its_create_no_time_is_too_late() -> None:
    """Nobody saw it fail: the server may have gone on with it for as long as it liked."""
    doubts = [doubt(1, lost_at=LOST), doubt(2, lost_at=None)]
    verdict = judged(doubts, [theirs(1, LOST), theirs(2, LOST + 10 * HOUR)], LOST + 11 * HOUR)
    assert pairs(verdict) == [(1, "msgbatch_1"), (2, "msgbatch_2")]


def test_a_doubt_of_another_size_bounds_nobody() -> None:
    doubts = [doubt(1, lost_at=LOST), doubt(2, count=7, lost_at=None)]
    verdict = judged(doubts, [theirs(1, LOST + HOUR), theirs(2, LOST + HOUR, count=7)], LOST + 2 * HOUR)
    assert pairs(verdict) == [(2, "msgbatch_2")]
    assert [b.id for b in verdict.replan] == [1]


def test_without_doubts_there_is_nothing_to_judge() -> None:
    assert judged([], [theirs()]) == Verdict()


SECONDS = st.integers(-600, 600).map(lambda n: timedelta(seconds=n))
COUNTS = st.integers(1, 3)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Batch], Listing, datetime]:
    """All times are the server's. An answer is missed after its intent, or nobody saw it fail."""
    lost = st.none() | st.integers(0, 600).map(lambda n: timedelta(seconds=n))
    doubts = [
        doubt(n, NOW + at, count, looks, None if later is None else NOW + at + later)
        for n, (at, count, looks, later) in enumerate(
            draw(st.lists(st.tuples(SECONDS, COUNTS, st.integers(0, 5), lost), max_size=5))
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
    listing = Listing(batches=listed, known=draw(some), guessed=draw(some))
    return doubts, listing, NOW + draw(SECONDS)


def may_be(seen: MessageBatch, batch: Batch, doubts: list[Batch], listing: Listing) -> bool:
    """Whether a listed batch can be this doubt's, by the size, the ids that are another's and the server's time."""
    missed = [d.lost_at for d in doubts if d.count == batch.count]
    at_the_latest = [at + LATE_MARGIN for at in missed if at is not None]
    assert batch.intent_at is not None
    return (
        seen.counts.total == batch.count
        and seen.id not in listing.known
        and seen.created_at >= batch.intent_at - CLOCK_MARGIN
        and (len(at_the_latest) < len(missed) or seen.created_at <= max(at_the_latest))
    )


@settings(max_examples=500)
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
        assert now - (batch.lost_at or batch.intent_at) >= GRACE
        assert batch.looks >= MIN_LOOKS
        fits = [seen for seen in listing.batches if may_be(seen, batch, doubts, listing)]
        assert not fits, "a batch that fits, guessed for another or not, is never ignored"


@settings(max_examples=500)
@given(situations())
def test_whatever_the_list_says_every_ended_batch_that_fits_is_asked_for_its_ids_and_its_size_waits_for_it(
    situation: tuple[list[Batch], Listing, datetime],
) -> None:
    doubts, listing, now = situation
    verdict = settle(doubts, listing, now=now)
    asked = {seen.id for seen in verdict.identify}
    assert all(seen.ended_at for seen in verdict.identify)
    fits = [seen for seen in listing.batches if any(may_be(seen, batch, doubts, listing) for batch in doubts)]
    assert asked == {seen.id for seen in fits if seen.ended_at}
    assert {seen.id for seen in verdict.candidates} == {seen.id for seen in fits}
    sizes = {seen.counts.total for seen in verdict.identify}
    assert all(batch in verdict.wait for batch in doubts if batch.count in sizes)
