"""What a person may decide about a doubt, and what they are warned of."""

import pytest
from builders import a_batch, a_message_batch

from batchctl.domain.doubts import (
    Candidate,
    OpenDoubt,
    adopting_problem,
    meant,
    resending_problem,
    resending_risks,
)
from batchctl.domain.model import State


def a_doubt(*candidates: Candidate, number: int = 2, count: int = 10, **more: bool) -> OpenDoubt:
    given = {"is_lost": False, "is_early": False, **more}
    batch = a_batch(State.IN_PROGRESS if given["is_lost"] else State.SUBMITTING, count=count)
    return OpenDoubt(batch=batch, number=number, total=3, candidates=candidates, **given)


def a_candidate(share: float | None, count: int = 10, name: str = "msgbatch_1") -> Candidate:
    return Candidate(seen=a_message_batch(name, count), share=share)


@pytest.mark.parametrize(
    ("candidate", "problem"),
    [
        (a_candidate(None), ""),
        (a_candidate(1.0), ""),
        (a_candidate(0.0), "other requests"),
        (a_candidate(0.95), "other requests"),
        (a_candidate(None, count=9), "holds 9 requests, and batch 2 has 10"),
        (a_candidate(1.0, count=9), "holds 9 requests"),
    ],
)
def test_only_what_can_be_it_is_adopted(candidate: Candidate, problem: str) -> None:
    assert problem in adopting_problem(a_doubt(), candidate)
    assert bool(adopting_problem(a_doubt(), candidate)) == bool(problem)
    assert meant([a_doubt()], candidate) == ([] if problem else [a_doubt()])


def test_what_is_not_known_any_more_adopts_nothing() -> None:
    assert meant([a_doubt(is_lost=True)], a_candidate(None)) == []


def test_what_is_surely_there_is_not_sent_again() -> None:
    assert "msgbatch_1 is batch 2" in resending_problem(a_doubt(a_candidate(0.0, name="other"), a_candidate(1.0)))
    assert resending_problem(a_doubt(a_candidate(None), a_candidate(0.0))) == ""


@pytest.mark.parametrize(
    ("doubt", "risk"),
    [
        (a_doubt(), ""),
        (a_doubt(a_candidate(0.0)), ""),
        (a_doubt(a_candidate(None)), "batch 2 may be msgbatch_1"),
        (a_doubt(is_early=True), "may not show batch 2 yet"),
        (a_doubt(is_lost=True), "batch 2 was msgbatch_1, which this key does not see any more"),
    ],
)
def test_a_person_is_told_how_sending_again_could_pay_twice(doubt: OpenDoubt, risk: str) -> None:
    (*said,) = resending_risks([doubt])
    assert [risk in one for one in said] == ([True] if risk else [])
