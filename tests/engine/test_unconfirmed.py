"""What a person may decide about an unconfirmed batch, and what they are warned of."""

from dataclasses import replace
from typing import Any

import pytest
from builders import a_batch, a_message_batch

from batchctl.domain.model import State, Unconfirmed
from batchctl.engine.unconfirmed import (
    Candidate,
    UnconfirmedBatch,
    adopting_problem,
    possible_batches,
    resending_problem,
    resending_risks,
)


def an_unconfirmed_batch(
    *candidates: Candidate,
    number: int = 2,
    count: int = 10,
    is_lost: bool = False,
    is_early: bool = False,
    is_list_whole: bool = True,
    is_other_key: bool = False,
    **more: Any,
) -> UnconfirmedBatch:
    """`more` of its batch."""
    state = State.ENDED if "held" in more else State.IN_PROGRESS if is_lost else State.SUBMITTING
    batch = a_batch(state, count=count, **more)
    return UnconfirmedBatch(
        batch=batch,
        number=number,
        total=3,
        is_lost=is_lost,
        is_early=is_early,
        is_list_whole=is_list_whole,
        is_other_key=is_other_key,
        candidates=candidates,
    )


def a_candidate(share: float | None, count: int | None = 10, name: str = "msgbatch_1") -> Candidate:
    seen = a_message_batch(name, count or 0)
    return Candidate(seen=seen if count is not None else replace(seen, counts=None), share=share)


@pytest.mark.parametrize(
    ("candidate", "problem"),
    [
        (a_candidate(None), ""),
        (a_candidate(1.0), ""),
        (a_candidate(0.0), "other custom_ids"),
        (a_candidate(0.95), "other custom_ids"),
        (a_candidate(None, count=9), "holds 9 requests, but batch 2 has 10"),
        (a_candidate(1.0, count=9), "holds 9 requests"),
        # Its size cannot be read: that excludes nothing, and its ids may.
        (a_candidate(None, count=None), ""),
        (a_candidate(1.0, count=None), ""),
        (a_candidate(0.5, count=None), "other custom_ids"),
    ],
)
def test_only_what_can_be_it_is_adopted(candidate: Candidate, problem: str) -> None:
    assert problem in adopting_problem(an_unconfirmed_batch(), candidate)
    assert bool(adopting_problem(an_unconfirmed_batch(), candidate)) == bool(problem)
    assert possible_batches([an_unconfirmed_batch()], candidate) == ([] if problem else [an_unconfirmed_batch()])


def test_what_is_not_known_any_more_adopts_nothing() -> None:
    assert possible_batches([an_unconfirmed_batch(is_lost=True)], a_candidate(None)) == []


def test_what_is_surely_there_is_not_sent_again() -> None:
    assert "msgbatch_1 is batch 2" in resending_problem(
        an_unconfirmed_batch(a_candidate(0.0, name="other"), a_candidate(1.0))
    )
    assert resending_problem(an_unconfirmed_batch(a_candidate(None), a_candidate(0.0))) == ""


def test_one_whose_results_may_be_another_jobs_may_be_sent_again_although_its_ids_are_ours() -> None:
    """Two jobs with the same ids: that is why a person is asked."""
    held = an_unconfirmed_batch(a_candidate(1.0), held="msgbatch_1: custom_id r-1: 41 tokens counted, 12 billed")
    assert resending_problem(held) == ""
    assert resending_risks([held]) == [
        "batch 2 may already exist: msgbatch_1: custom_id r-1: 41 tokens counted, 12 billed"
    ]


@pytest.mark.parametrize(
    ("unconfirmed_batch", "risk"),
    [
        (an_unconfirmed_batch(), ""),
        (an_unconfirmed_batch(a_candidate(0.0)), ""),
        (an_unconfirmed_batch(a_candidate(None)), "batch 2 may be msgbatch_1"),
        (an_unconfirmed_batch(is_early=True), "may not show batch 2 yet"),
        (an_unconfirmed_batch(is_list_whole=False), "batch 2 may be in the missing part"),
        (an_unconfirmed_batch(a_candidate(0.0), is_list_whole=False), "batch 2 may be in the missing part"),
        (an_unconfirmed_batch(is_other_key=True), "sent with another key, and this key may not see"),
        (an_unconfirmed_batch(is_lost=True), "batch 2 was msgbatch_1, which this key can no longer see"),
        (
            an_unconfirmed_batch(held="msgbatch_1: its model differs"),
            "batch 2 may already exist: msgbatch_1: its model differs",
        ),
        (an_unconfirmed_batch(unconfirmed=Unconfirmed.ACCEPTED), "the API accepted batch 2 without naming a batch"),
        (an_unconfirmed_batch(unknown_creates=1), "an earlier create request of batch 2 got no answer"),
        (an_unconfirmed_batch(unconfirmed=Unconfirmed.REFUSED), ""),
        (an_unconfirmed_batch(unconfirmed=Unconfirmed.COPIED), ""),
        # The gravest of several is told.
        (
            an_unconfirmed_batch(a_candidate(None), is_early=True, unconfirmed=Unconfirmed.ACCEPTED),
            "the API accepted batch 2",
        ),
        (an_unconfirmed_batch(a_candidate(None), is_early=True, unknown_creates=2), "got no answer"),
        (an_unconfirmed_batch(a_candidate(None), is_early=True), "batch 2 may be msgbatch_1"),
    ],
)
def test_a_person_is_told_how_sending_again_could_pay_twice(unconfirmed_batch: UnconfirmedBatch, risk: str) -> None:
    (*said,) = resending_risks([unconfirmed_batch])
    assert [risk in one for one in said] == ([True] if risk else [])
