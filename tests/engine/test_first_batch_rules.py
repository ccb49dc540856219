"""What the outcomes of a first batch say about all other requests of the same shape."""

from typing import Any

import pytest
from builders import NOW, WITHHELD, a_batch, a_job, a_round

from batchctl.domain.model import OutcomeCode, Purpose, Settings, State
from batchctl.engine.first_batch_rules import (
    MAX_FIRST_BATCHES,
    FirstStep,
    Tried,
    Verdict,
    Withholding,
    first_step,
    to_try_again,
    verdicts,
)

CANARY = Settings(canary=True)
OK, BAD, EXPIRED = OutcomeCode.SUCCEEDED, OutcomeCode.ERRORED_FIX, OutcomeCode.EXPIRED


def tried(digest: str = "a", code: OutcomeCode = OK, position: int = 0, model: str = "m") -> Tried:
    return Tried(position=position, digest=digest, model=model, line=position + 1, custom_id=f"r-{position}", code=code)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (OutcomeCode.SUCCEEDED, Verdict.GOES),
        (OutcomeCode.TRUNCATED, Verdict.GOES),
        (OutcomeCode.REFUSAL, Verdict.GOES),
        (OutcomeCode.PAUSED, Verdict.GOES),
        (OutcomeCode.ERRORED_FIX, Verdict.REFUSED),
        (OutcomeCode.ERRORED_RETRY, Verdict.NONE),
        (OutcomeCode.ERRORED_ACCOUNT, Verdict.NONE),
        (OutcomeCode.EXPIRED, Verdict.NONE),
        (OutcomeCode.CANCELED, Verdict.NONE),
        (OutcomeCode.UNANSWERED, Verdict.NONE),
        # It may be a success that this program cannot read: nothing follows from it.
        (OutcomeCode.UNKNOWN, Verdict.NONE),
        (OutcomeCode.UNREADABLE, Verdict.NONE),
    ],
)
def test_only_what_the_api_says_of_the_request_itself_is_a_verdict(code: OutcomeCode, verdict: Verdict) -> None:
    assert tried(code=code).verdict is verdict


@pytest.mark.parametrize(
    ("job", "states", "step"),
    [
        ({}, [], FirstStep.NOTHING),
        ({"settings": CANARY, "withheld": ()}, [], FirstStep.NOTHING),
        ({"settings": CANARY, "withheld": (WITHHELD,)}, [State.PLANNED], FirstStep.NOTHING),
        ({"settings": CANARY}, [State.IN_NO_BATCH], FirstStep.PLAN),
        ({"settings": CANARY}, [State.IN_NO_BATCH, State.PLANNED], FirstStep.WAIT),
        ({"settings": CANARY}, [State.IN_NO_BATCH, State.SUBMITTING], FirstStep.WAIT),
        ({"settings": CANARY}, [State.IN_NO_BATCH, State.IN_PROGRESS], FirstStep.WAIT),
        ({"settings": CANARY}, [State.IN_NO_BATCH, State.ENDED], FirstStep.WAIT),
        ({"settings": CANARY}, [State.IN_NO_BATCH, State.FETCHED], FirstStep.PLAN),
        ({"settings": CANARY}, [State.IN_NO_BATCH, State.REFUSED], FirstStep.PLAN),
    ],
)
def test_the_next_step_follows_from_the_ledger_alone(job: dict[str, Any], states: list[State], step: FirstStep) -> None:
    assert first_step(a_job(**job), [a_batch(state) for state in states], NOW) is step


@pytest.mark.parametrize(
    ("codes", "decides"),
    [([EXPIRED, OK], OK), ([OK, EXPIRED], OK), ([EXPIRED, BAD, EXPIRED], BAD), ([BAD, OK], OK), ([EXPIRED], EXPIRED)],
)
def test_the_last_request_that_says_something_decides(codes: list[OutcomeCode], decides: OutcomeCode) -> None:
    deciding = verdicts(tried(code=code, position=n) for n, code in enumerate(codes))
    assert deciding["a"].code is decides


@pytest.mark.parametrize(
    ("rounds", "outcomes", "again"),
    [
        (1, {"a": OK, "b": BAD}, set()),
        (1, {"a": OK, "b": EXPIRED}, {"b"}),
        (MAX_FIRST_BATCHES - 1, {"b": EXPIRED}, {"b"}),
        (MAX_FIRST_BATCHES, {"b": EXPIRED}, set()),
    ],
)
def test_a_shape_without_a_verdict_is_tried_again_a_few_times(
    rounds: int, outcomes: dict[str, OutcomeCode], again: set[str]
) -> None:
    first = [a_round(n + 2, purpose=Purpose.FIRST) for n in range(rounds)]
    job = a_job(settings=CANARY, rounds=(a_round(), *first))
    assert to_try_again(job, [tried(digest, code) for digest, code in outcomes.items()]) == again


@pytest.mark.parametrize(
    ("outcomes", "digest", "model", "line"),
    [
        ({("a", "m"): OK}, "a", "m", None),
        ({("a", "m"): BAD}, "a", "m", 1),
        ({("a", "m"): EXPIRED}, "a", "m", None),
        ({("a", "m"): BAD}, "b", "m", None),
        ({("a", "m"): BAD, ("b", "m"): BAD}, "c", "m", 1),
        ({("a", "m"): BAD, ("b", "m"): BAD}, "c", "n", None),
        ({("a", "m"): BAD, ("b", "m"): OK}, "c", "m", None),
        ({("a", "m"): BAD, ("b", "m"): EXPIRED}, "c", "m", None),
    ],
)
def test_a_shape_is_withheld_for_its_own_refusal_or_for_those_of_all_that_were_tried_of_its_model(
    outcomes: dict[tuple[str, str], OutcomeCode], digest: str, model: str, line: int | None
) -> None:
    many = [tried(name, code, n, of) for n, ((name, of), code) in enumerate(outcomes.items())]
    refused = Withholding(many).refused(digest, model)
    assert (refused.line if refused else None) == line
