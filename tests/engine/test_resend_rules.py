"""Unconfirmed batches: when one of the API's list is taken for ours, when nothing was created, and when a person says so."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from builders import HOUR, MINUTE, NOW, a_batch, a_cut, a_message_batch
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.limits import API_CLOCK_SLACK
from batchctl.domain.model import Batch, Cut, MessageBatch, PresumedNotCreated, State, Unconfirmed
from batchctl.engine.resend_rules import (
    GRACE,
    GRACE_BYTES,
    MAX_UNKNOWN,
    MAX_UNPROVEN,
    MIN_LIST_READS,
    Listing,
    Verdict,
    candidates_of,
    created_bound,
    grace_of,
    is_past,
    is_search_complete,
    judge_list,
    may_be_duplicate,
    needs_person,
    why_person_decides,
)

SECOND = timedelta(seconds=1)
U = Unconfirmed


def unconfirmed(
    number: int = 1, at: datetime = NOW, count: int = 10, looks: int = MIN_LIST_READS, **more: Any
) -> Batch:
    """It was looked for often enough, and nothing bounds what its create may have made."""
    return a_batch(State.SUBMITTING, count, id=number, first=number * 100, intent_at=at, list_reads=looks, **more)


def theirs(
    number: int = 1, at: datetime | None = NOW + SECOND, count: int | None = 10, *, has_ended: bool = False
) -> MessageBatch:
    """`at` and `count` are None where they could not be read."""
    seen = a_message_batch(f"msgbatch_{number}", count or 0, ended_at=NOW + HOUR if has_ended else None)
    return replace(seen, created_at=at, counts=None if count is None else seen.counts)


def listing(batches: Sequence[MessageBatch], **more: Any) -> Listing:
    """Newest first, as the API lists them; what has no time that can be read stands at the end."""
    newest_first = sorted(batches, key=lambda b: (b.created_at is not None, b.created_at), reverse=True)
    return Listing(**{"batches": newest_first, "known": set(), **more})


def judged(sought: Sequence[Batch], batches: Sequence[MessageBatch], **more: Any) -> Verdict:
    return judge_list(sought, listing(batches, **more))


def pairs(verdict: Verdict) -> list[tuple[int, str]]:
    return [(batch.id, seen.id) for batch, seen in verdict.adopt]


def ids(batches: Sequence[Batch]) -> list[int]:
    return [b.id for b in batches]


def names(batches: Sequence[MessageBatch]) -> list[str]:
    return [b.id for b in batches]


# ---------------------------------------------------------------- provisional matches


def test_as_many_candidates_as_unconfirmed_batches_are_matched_in_the_order_they_were_made() -> None:
    sought = [unconfirmed(2, NOW + SECOND), unconfirmed(1, NOW)]
    candidates = [theirs(1, NOW + SECOND), theirs(2, NOW + 2 * SECOND)]
    verdict = judged(sought, candidates)
    assert pairs(verdict) == [(1, "msgbatch_1"), (2, "msgbatch_2")]
    assert verdict == Verdict(adopt=verdict.adopt, candidates=tuple(candidates))


@pytest.mark.parametrize("looks", [0, MIN_LIST_READS, 99])
def test_fewer_or_more_candidates_than_unconfirmed_batches_wait_however_often_they_were_looked_for(looks: int) -> None:
    fewer = judged([unconfirmed(1, looks=looks), unconfirmed(2, looks=looks)], [theirs(1)])
    more = judged([unconfirmed(1, looks=looks)], [theirs(1), theirs(2)])
    for verdict, waiting in ((fewer, [1, 2]), (more, [1])):
        assert verdict == Verdict(wait=verdict.wait, candidates=verdict.candidates)
        assert ids(verdict.wait) == waiting


@pytest.mark.parametrize("ended", [{1}, {2}, {1, 2}])
def test_a_candidate_that_has_ended_is_identified_by_its_ids_and_never_matched_by_its_size(ended: set[int]) -> None:
    """Not even where there are as many candidates as unconfirmed batches exclude each other may be another job's."""
    candidates = [theirs(n, has_ended=n in ended) for n in (1, 2)]
    verdict = judged([unconfirmed(1), unconfirmed(2)], candidates)
    assert (verdict.adopt, verdict.absent, verdict.decide) == ((), (), ())
    assert ids(verdict.wait) == [1, 2]
    assert set(names(verdict.identify)) == {f"msgbatch_{n}" for n in ended}
    assert set(names(verdict.candidates)) == {"msgbatch_1", "msgbatch_2"}


@pytest.mark.parametrize("matched", [set[str](), {"msgbatch_1"}])
def test_the_only_candidate_that_has_ended_is_asked_whoever_it_was_matched_with(matched: set[str]) -> None:
    verdict = judged([unconfirmed()], [theirs(1, has_ended=True)], matched=matched)
    assert names(verdict.identify) == ["msgbatch_1"]
    assert (ids(verdict.wait), verdict.adopt, verdict.absent) == ([1], (), ())


@pytest.mark.parametrize(
    "more",
    [{"matched": {"msgbatch_1"}}, {"matched": {"msgbatch_2"}}, {"contested": {10}}],
    ids=["the older is another's", "the newer is another's", "another job lacks one of this size"],
)
def test_where_the_numbers_fit_and_the_size_tells_nothing_nobody_is_matched(more: dict[str, Any]) -> None:
    verdict = judged([unconfirmed(1), unconfirmed(2)], [theirs(1), theirs(2)], **more)
    assert verdict == Verdict(wait=verdict.wait, candidates=verdict.candidates)
    assert ids(verdict.wait) == [1, 2]


def test_what_is_said_of_another_size_is_in_nobodys_way() -> None:
    listed = [theirs(1), theirs(2, count=7)]
    assert pairs(judged([unconfirmed()], listed, matched={"msgbatch_2"}, contested={7})) == [(1, "msgbatch_1")]


def test_sizes_are_judged_apart() -> None:
    verdict = judged([unconfirmed(1), unconfirmed(2, count=7)], [theirs(1)])
    assert pairs(verdict) == [(1, "msgbatch_1")]
    assert ids(verdict.absent) == [2]


def test_a_size_that_cannot_be_read_fits_every_size_and_is_matched_with_none() -> None:
    sought = [unconfirmed(1), unconfirmed(2, count=7)]
    running = judged(sought, [theirs(1, count=None)])
    assert running == Verdict(wait=running.wait, candidates=(theirs(1, count=None),))
    assert sorted(ids(running.wait)) == [1, 2]
    over = theirs(1, count=None, has_ended=True)
    assert judged(sought, [over]).identify == (over,), "it is asked once, not once for each size"
    beside = judged([unconfirmed()], [theirs(1), theirs(2, count=None)])
    assert (beside.adopt, ids(beside.wait)) == ((), [1])


def test_without_unconfirmed_batches_there_is_nothing_to_judge() -> None:
    assert judged([], [theirs()]) == Verdict()


# ---------------------------------------------------------------- nothing was created


@pytest.mark.parametrize(
    ("looks", "more", "is_absent"),
    [
        (MIN_LIST_READS, {}, True),
        (MIN_LIST_READS + 1, {}, True),
        (MIN_LIST_READS - 1, {}, False),
        (0, {}, False),
        (MIN_LIST_READS, {"is_whole": False}, False),
        (99, {"is_whole": False}, False),
        (MIN_LIST_READS, {"contested": {10}}, True),
        (MIN_LIST_READS, {"matched": {"msgbatch_9"}}, True),
    ],
)
def test_absence_takes_several_looks_and_a_list_that_could_be_read_whole(
    looks: int, more: dict[str, Any], *, is_absent: bool
) -> None:
    verdict = judged([unconfirmed(looks=looks)], [], **more)
    assert (ids(verdict.absent), ids(verdict.wait)) == (([1], []) if is_absent else ([], [1]))
    assert (verdict.decide, verdict.adopt, verdict.candidates) == ((), (), ())


def test_one_that_was_not_looked_for_enough_keeps_the_others_of_its_size_waiting() -> None:
    verdict = judged([unconfirmed(1), unconfirmed(2, looks=MIN_LIST_READS - 1), unconfirmed(3, count=7)], [])
    assert ids(verdict.wait) == [1, 2]
    assert ids(verdict.absent) == [3]


def test_ids_known_by_now_and_other_sizes_are_no_candidates() -> None:
    listed = [theirs(1), theirs(2, count=11), theirs(3, count=9), theirs(4, count=None)]
    verdict = judged([unconfirmed()], listed, known={"msgbatch_1", "msgbatch_4"})
    assert ids(verdict.absent) == [1]


def test_a_candidate_that_was_matched_with_another_keeps_it_unconfirmed() -> None:
    verdict = judged([unconfirmed(looks=99)], [theirs(1)], matched={"msgbatch_1"})
    assert (verdict.adopt, verdict.absent, ids(verdict.wait)) == ((), (), [1])


# ---------------------------------------------------------------- what a person decides


@pytest.mark.parametrize(
    ("looks", "is_sought"),
    [(0, False), (MIN_LIST_READS - 1, False), (MIN_LIST_READS, True), (MIN_LIST_READS + 1, True)],
)
@pytest.mark.parametrize("why", list(U))
def test_a_refusal_takes_one_list_and_everything_else_several(why: Unconfirmed, looks: int, *, is_sought: bool) -> None:
    expected = is_sought or why is U.REFUSED
    assert is_search_complete(unconfirmed(looks=looks, unconfirmed=why)) is expected


PERSONS = [
    (U.UNKNOWN, 0, 0, False),
    (U.UNKNOWN, MAX_UNKNOWN - 1, 0, True),
    (U.UNKNOWN, 7, 0, True),
    (U.UNKNOWN, 0, 99, False),
    (U.NOTHING, 0, 0, False),
    (U.NOTHING, MAX_UNKNOWN - 1, 0, True),
    (U.ACCEPTED, 0, 0, True),
    (U.ACCEPTED, 9, 9, True),
    (U.REFUSED, 0, 0, False),
    (U.REFUSED, 99, MAX_UNPROVEN - 2, False),
    (U.REFUSED, 0, MAX_UNPROVEN - 1, True),
    (U.REFUSED, 0, MAX_UNPROVEN + 3, True),
    (U.COPIED, 0, 0, False),
    (U.COPIED, 99, 99, False),
]


@pytest.mark.parametrize(("why", "unknown", "unproven", "needs"), PERSONS)
def test_what_may_be_sent_once_more_without_a_persons_word(
    why: Unconfirmed, unknown: int, unproven: int, *, needs: bool
) -> None:
    one = unconfirmed(unconfirmed=why, unknown_creates=unknown, unproven_refusals=unproven)
    assert needs_person(one) is needs
    verdict = judged([one], [])
    assert (ids(verdict.decide), ids(verdict.absent)) == (([1], []) if needs else ([], [1]))
    assert verdict.wait == ()


def test_after_two_creates_of_unknown_outcome_a_third_needs_a_person() -> None:
    """The first is presumed to have made nothing, the second is not."""
    assert MAX_UNKNOWN == 2
    first = unconfirmed()
    assert judged([first], []).absent == (first,)
    second = unconfirmed(unknown_creates=1)
    assert judged([second], []).decide == (second,)


@pytest.mark.parametrize(("why", "unknown"), [(U.ACCEPTED, 0), (U.UNKNOWN, 1)])
@pytest.mark.parametrize(("looks", "is_whole"), [(MIN_LIST_READS - 1, True), (MIN_LIST_READS, False)])
def test_a_persons_word_is_not_asked_for_before_the_looks_are_done(
    why: Unconfirmed, unknown: int, looks: int, *, is_whole: bool
) -> None:
    one = unconfirmed(looks=looks, unconfirmed=why, unknown_creates=unknown)
    verdict = judged([one], [], is_whole=is_whole)
    assert (ids(verdict.wait), verdict.decide) == ([1], ())


def test_of_one_size_each_is_decided_by_its_own_history() -> None:
    sought = [unconfirmed(1), unconfirmed(2, unknown_creates=1), unconfirmed(3, unconfirmed=U.ACCEPTED)]
    verdict = judged(sought, [])
    assert (ids(verdict.absent), ids(verdict.decide), verdict.wait) == ([1], [2, 3], ())


def test_what_needs_a_person_is_matched_like_any_other_where_it_shows_up() -> None:
    assert pairs(judged([unconfirmed(unconfirmed=U.ACCEPTED, unknown_creates=3)], [theirs(1)])) == [(1, "msgbatch_1")]


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (U.ACCEPTED, "accepted it without naming a batch"),
        (U.REFUSED, "5 rejections did not come from the API itself"),
        (U.UNKNOWN, "2 create requests of this batch had no clear answer"),
    ],
)
def test_why_a_person_must_decide_is_said(why: Unconfirmed, words: str) -> None:
    assert words in why_person_decides(unconfirmed(unconfirmed=why))
    assert why_person_decides(unconfirmed(unconfirmed=why)).startswith("unconfirmed: ")


# ---------------------------------------------------------------- by the API's own clock

OLD = NOW - HOUR


@pytest.mark.parametrize(
    ("bounds", "listed", "expected"),
    [
        ([], [OLD], None),
        ([None], [OLD], None),
        ([OLD], [OLD, NOW], OLD - API_CLOCK_SLACK),
        ([OLD], [NOW, None, OLD], OLD - API_CLOCK_SLACK),
        # The API does not show that batch any more, or says another time of it: its clock bounds nothing.
        ([OLD], [], None),
        ([OLD], [NOW], None),
        ([OLD], [OLD + timedelta(microseconds=1)], None),
        ([OLD], [None], None),
        # The first create of several; where one has no bound, none has.
        ([NOW, OLD], [NOW, OLD], OLD - API_CLOCK_SLACK),
        ([NOW, OLD], [NOW], None),
        ([OLD, NOW], [OLD], OLD - API_CLOCK_SLACK),
        ([OLD, None], [OLD], None),
    ],
)
def test_what_the_api_had_shown_before_the_create_bounds_it_while_the_api_says_the_same(
    bounds: list[datetime | None], listed: list[datetime | None], expected: datetime | None
) -> None:
    shown = [theirs(n, at) for n, at in enumerate(listed)]
    sought = [unconfirmed(n, created_after=bound) for n, bound in enumerate(bounds)]
    assert created_bound(sought, shown) == expected
    presumed = [a_presumed(created_after=bound) for bound in bounds]
    assert created_bound(presumed, shown) == expected


@pytest.mark.parametrize(
    ("created", "is_candidate"),
    [
        (OLD + SECOND, True),
        (OLD, True),
        (OLD - API_CLOCK_SLACK, True),
        (OLD - API_CLOCK_SLACK - SECOND, False),
        (OLD - HOUR, False),
        (NOW + 100 * HOUR, True),
        (None, True),
    ],
)
def test_only_what_is_no_older_than_that_is_a_candidate(created: datetime | None, *, is_candidate: bool) -> None:
    bound = theirs(9, OLD, count=77)
    one = unconfirmed(created_after=OLD)
    verdict = judged([one], [theirs(1, created), bound])
    assert names(verdict.candidates) == (["msgbatch_1"] if is_candidate else [])
    assert bool(verdict.absent) is not is_candidate
    unbound = judged([one], [theirs(1, created)])
    assert (names(unbound.candidates), unbound.absent) == (["msgbatch_1"], ())


def test_no_time_of_ours_excludes_a_batch() -> None:
    """Our clock may be wrong by any amount: neither the intent nor what was put off says anything of the API's times."""
    one = unconfirmed(at=NOW + 1000 * HOUR, put_off_at=NOW, created_after=None)
    assert pairs(judged([one], [theirs(1, NOW - 1000 * HOUR)])) == [(1, "msgbatch_1")]


def test_candidates_come_oldest_first_and_before_them_what_has_no_time() -> None:
    listed = [theirs(1, NOW + MINUTE), theirs(2, NOW), theirs(3, None), theirs(4, NOW, count=9)]
    assert names(candidates_of([unconfirmed()], listing(listed))) == ["msgbatch_3", "msgbatch_2", "msgbatch_1"]


EDGE = NOW - API_CLOCK_SLACK


@pytest.mark.parametrize(
    ("times", "since", "expected"),
    [
        ([NOW + HOUR, EDGE - SECOND], NOW, True),
        ([EDGE - SECOND], NOW, True),
        ([NOW + HOUR, EDGE], NOW, False),
        ([NOW + HOUR, NOW], NOW, False),
        ([NOW + HOUR, EDGE - SECOND], None, False),
        ([], NOW, False),
        ([None], NOW, False),
        # A time that cannot be read, or an order that is not the list's: nothing is known of the pages that follow.
        ([NOW + HOUR, None, EDGE - SECOND], NOW, False),
        ([NOW + HOUR, EDGE - SECOND, None], NOW, False),
        ([EDGE - HOUR, NOW + HOUR, EDGE - SECOND], NOW, False),
        ([NOW, NOW, EDGE - SECOND, EDGE - SECOND], NOW, True),
    ],
)
def test_when_the_pages_that_follow_are_older(
    times: list[datetime | None], since: datetime | None, *, expected: bool
) -> None:
    assert is_past([theirs(n, at) for n, at in enumerate(times)], since) is expected


# ---------------------------------------------------------------- how long, and what shows up later


@pytest.mark.parametrize(
    ("size", "times"), [(0, 1.0), (GRACE_BYTES, 2.0), (GRACE_BYTES * 4, 5.0), (GRACE_BYTES // 2, 1.5)]
)
def test_a_large_body_is_looked_for_longer(size: int, times: float) -> None:
    empty = a_batch(State.SUBMITTING).cut.body_bytes - (a_cut().end - a_cut().start)
    cut = Cut(first=0, count=10, start=5, end=5 + size - empty, sha256="0" * 64)
    one = a_batch(State.SUBMITTING, cut=cut)
    assert grace_of(one, GRACE) == GRACE * times
    assert grace_of(one, timedelta()) == timedelta()


def a_presumed(count: int = 10, created_after: datetime | None = None) -> PresumedNotCreated:
    return PresumedNotCreated(batch_id=1, job_id=1, round=1, cut=a_cut(count), created_after=created_after)


@pytest.mark.parametrize(
    ("seen", "known", "since", "expected"),
    [
        (theirs(1), set(), None, True),
        (theirs(1), set(), NOW, True),
        (theirs(1, NOW), set(), NOW, True),
        (theirs(1, NOW - SECOND), set(), NOW, False),
        (theirs(1, None), set(), NOW, True),
        (theirs(1, count=None), set(), NOW, True),
        (theirs(1, count=9), set(), None, False),
        (theirs(1), {"msgbatch_1"}, None, False),
        (theirs(1, count=None), {"msgbatch_1"}, None, False),
        (theirs(1, has_ended=True), set(), NOW, True),
    ],
)
def test_what_may_be_a_create_that_was_presumed_to_have_made_nothing(
    seen: MessageBatch, known: set[str], since: datetime | None, *, expected: bool
) -> None:
    assert may_be_duplicate(a_presumed(), seen, known, since) is expected


# ---------------------------------------------------------------- whatever the list says

# Few of them, and some nearer to each other than the API's clocks agree: so that bounds are met, and just missed.
TIMES = st.sampled_from([-21, -11, -10, 0, 5, 10, 20, 30]).map(lambda n: NOW + timedelta(seconds=n))
COUNTS = st.integers(1, 3)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Batch], Listing]:
    sought = [
        unconfirmed(
            number,
            draw(TIMES),
            draw(COUNTS),
            draw(st.sampled_from([0, MIN_LIST_READS - 1, MIN_LIST_READS, 9])),
            unconfirmed=draw(st.sampled_from(U)),
            created_after=draw(st.none() | TIMES),
            unknown_creates=draw(st.integers(0, 2)),
            unproven_refusals=draw(st.sampled_from([0, MAX_UNPROVEN - 1])),
        )
        for number in range(draw(st.integers(0, 5)))
    ]
    listed = [
        theirs(number, draw(st.none() | TIMES), draw(st.none() | COUNTS), has_ended=draw(st.booleans()))
        for number in range(draw(st.integers(0, 6)))
    ]
    some = st.sets(st.sampled_from(names(listed) or ["none"]))
    shown = listing(
        listed,
        known=draw(some),
        matched=draw(some),
        contested=draw(st.sets(COUNTS, max_size=1)),
        is_whole=draw(st.sampled_from([True, True, False])),
    )
    return sought, shown


def fits(seen: MessageBatch, one: Batch, sought: list[Batch], shown: Listing) -> bool:
    """Whether a listed batch can be this one: by its size, the ids that are another's, and the API's own times."""
    if seen.id in shown.known or (seen.counts is not None and seen.counts.total != one.count):
        return False
    bounds = [b.created_after for b in sought if b.count == one.count]
    known = [bound for bound in bounds if bound is not None]
    if len(known) < len(bounds) or seen.created_at is None:
        return True
    is_shown = any(b.created_at == min(known) for b in shown.batches)
    return not is_shown or seen.created_at >= min(known) - API_CLOCK_SLACK


@pytest.mark.generated
@given(situations())
def test_whatever_the_list_says_each_has_one_verdict_and_nothing_is_matched_twice(
    situation: tuple[list[Batch], Listing],
) -> None:
    sought, shown = situation
    verdict = judge_list(sought, shown)
    told = [b for b, _ in verdict.adopt] + [*verdict.absent, *verdict.decide, *verdict.wait]
    assert sorted(ids(told)) == ids(sought)
    adopted = [seen.id for _, seen in verdict.adopt]
    assert len(set(adopted)) == len(adopted)
    assert not set(adopted) & {*shown.known, *shown.matched}
    assert all(seen.size == one.count and one.count not in shown.contested for one, seen in verdict.adopt)
    assert not any(seen.ended_at for _, seen in verdict.adopt)
    assert all(fits(seen, one, sought, shown) for one, seen in verdict.adopt)


@pytest.mark.generated
@given(situations())
def test_whatever_the_list_says_nothing_is_absent_while_something_fits_or_too_little_was_read(
    situation: tuple[list[Batch], Listing],
) -> None:
    """A batch that fits, matched with another or not, of a size or a time that can be read or not, is never ignored."""
    sought, shown = situation
    verdict = judge_list(sought, shown)
    for one in (*verdict.absent, *verdict.decide):
        assert shown.is_whole
        assert one.list_reads >= MIN_LIST_READS or one.unconfirmed is U.REFUSED
        assert not [seen for seen in shown.batches if fits(seen, one, sought, shown)]
    assert all(needs_person(one) for one in verdict.decide)
    assert not any(needs_person(one) for one in verdict.absent)
    assert not any(one.unconfirmed is U.ACCEPTED for one in verdict.absent)
    assert not any(one.unconfirmed is U.UNKNOWN and one.unknown_creates for one in verdict.absent)


@pytest.mark.generated
@given(situations())
def test_whatever_the_list_says_every_ended_batch_that_fits_is_asked_for_its_ids_and_its_size_waits_for_it(
    situation: tuple[list[Batch], Listing],
) -> None:
    sought, shown = situation
    verdict = judge_list(sought, shown)
    fitting = [seen for seen in shown.batches if any(fits(seen, one, sought, shown) for one in sought)]
    assert sorted(names(verdict.identify)) == sorted(seen.id for seen in fitting if seen.ended_at)
    assert set(names(verdict.candidates)) == set(names(fitting))
    for one in sought:
        if any(seen.ended_at and fits(seen, one, sought, shown) for seen in shown.batches):
            assert one in verdict.wait
