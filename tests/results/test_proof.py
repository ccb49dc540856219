"""When a proof holds, as cases."""

from collections.abc import Sequence
from typing import Any

import pytest
from builders import NOW, a_batch, a_cut, a_job, a_round

from batchctl.domain.model import Cut, Merged, State
from batchctl.results.proof import (
    PATHS_IN_A_COMMAND,
    Fix,
    Flaw,
    OutputProof,
    Part,
    Proof,
    Verdict,
    hint,
    next_command,
    places_of,
    reading_places,
    request_flaws,
    rising_flaw,
    sum_flaw,
    waiting,
)

FETCH = "batchctl fetch reviews-7f3a"
GOOD = (a_cut(10), a_cut(10, 10), a_cut(7, 20))


def cut(first: int, count: int, start: int, end: int) -> Cut:
    return Cut(first=first, count=count, start=start, end=end, sha256="")


@pytest.mark.parametrize(
    ("cuts", "planned", "lines", "said"),
    [
        (GOOD, 27, 27, []),
        (GOOD[:1], 10, 10, []),
        (
            GOOD[1:],
            27,
            27,
            ["batch 1 begins at request 11, not 1", "the batches hold 17 requests, but the round has 27"],
        ),
        (
            (GOOD[0], GOOD[2]),
            27,
            27,
            ["batch 2 begins at request 21, not 11", "the batches hold 17 requests, but the round has 27"],
        ),
        (GOOD[:2], 27, 27, ["the batches hold 20 requests, but the round has 27"]),
        ((), 27, 27, ["the batches hold 0 requests, but the round has 27"]),
        ((cut(0, 1, 3, 9),), 1, 1, ["batch 1 begins at byte 3, not 0"]),
        ((cut(0, 1, 0, 9), cut(1, 1, 9, 20)), 2, 2, ["batch 2 begins at byte 9, not 10"]),
        ((cut(0, 1, 0, 9), cut(1, 1, 12, 20)), 2, 2, ["batch 2 begins at byte 12, not 10"]),
        (GOOD, 27, 28, ["27 requests and 0 left out do not add up to the 28 lines of the input"]),
    ],
)
def test_the_batches_of_a_round_follow_each_other_and_hold_all_of_it(
    cuts: Sequence[Cut], planned: int, lines: int, said: list[str]
) -> None:
    job = a_job(rounds=[a_round(count=planned)], line_count=lines)
    assert list(request_flaws(job, 1, cuts)) == said


def test_batches_made_elsewhere_have_no_bytes_to_follow() -> None:
    job = a_job(rounds=[a_round(count=20, request_file="")], line_count=20)
    assert list(request_flaws(job, 1, [cut(0, 10, 0, 0), cut(10, 10, 0, 0)])) == []
    assert list(request_flaws(job, 1, [cut(0, 10, 0, 0), cut(11, 9, 0, 0)])) != []


def test_only_round_1_is_held_against_the_lines_of_the_input() -> None:
    job = a_job(rounds=[a_round(count=27), a_round(2, 10)], line_count=27)
    assert list(request_flaws(job, 2, GOOD[:1])) == []


@pytest.mark.parametrize(
    ("numbers", "after", "most", "said"),
    [
        ([0, 1, 5], -1, 5, ""),
        ([], 4, 5, ""),
        ([0, 1, 6], -1, 5, "6 is more than 5"),
        ([0, 0], -1, 5, "0 after 0: the numbers must rise"),
        ([3, 2], -1, 5, "2 after 3: the numbers must rise"),
        ([4], 4, 5, "4 after 4: the numbers must rise"),
    ],
)
def test_origins_rise_within_round_1(numbers: list[int], after: int, most: int, said: str) -> None:
    assert rising_flaw(numbers, after, most) == said


@pytest.mark.parametrize(
    ("batches", "origins", "places"),
    [
        ([(0, 4), (4, 4)], [0, 3, 4, 7], [0, 3, 4, 7]),
        ([(4, 4), (8, 2), (0, 4)], [4, 7, 8, 9, 0, 3], [0, 3, 4, 5, 6, 9]),
        ([(2, 1), (0, 2)], [2, 0, 1], [0, 1, 2]),
        # Beyond the last of them it stays beyond.
        ([(2, 1), (0, 2)], [2, 9], [0, 7]),
    ],
)
def test_origins_rise_in_the_order_in_which_round_1_is_read(
    batches: list[tuple[int, int]], origins: list[int], places: list[int]
) -> None:
    assert list(places_of(origins, reading_places(batches))) == places


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"succeeded": 10}, ""),
        ({"succeeded": 4, "errored": 2, "canceled": 1, "expired": 1, "unknown": 1, "unanswered": 1}, ""),
        ({"succeeded": 10, "truncated": 3, "refusals": 2}, ""),
        ({"succeeded": 9}, "9 requests are accounted for, but 10 were planned"),
        ({"succeeded": 10, "errored": 1}, "11 requests are accounted for, but 10 were planned"),
    ],
)
def test_the_outcomes_sum_to_the_requests(answers: dict[str, Any], said: str) -> None:
    assert sum_flaw(a_job(), Merged(at=NOW, batches=1, **answers)) == said


def test_whatever_may_still_bring_an_answer_is_waited_for() -> None:
    settled = {State.FETCHED, State.REFUSED, State.IN_NO_BATCH}
    assert {state for state in State if not waiting([a_batch(state)])} == settled
    assert waiting([a_batch(State.ENDED), a_batch(State.FETCHED), a_batch(State.PLANNED)]) == 2


def a_proof(**more: Any) -> Proof:
    given: dict[str, Any] = {
        "job": a_job(left_out=more.pop("left_out", 0)),
        "rounds": (),
        "waiting": 0,
        "answers": Merged(at=NOW, batches=1, succeeded=10),
        "output": OutputProof(path="x.jsonl", is_there=True),
        "flaws": sum(more.get("by_part", {}).values()),
    }
    return Proof(**{**given, **more})


UNANSWERED = Merged(at=NOW, batches=1, succeeded=9, unanswered=1)
FAILED = Merged(at=NOW, batches=1, errored=10)


@pytest.mark.parametrize(
    ("more", "complete", "odd"),
    [
        ({}, True, {}),
        ({"answers": FAILED}, True, {}),
        ({"output": OutputProof(path="x", is_there=False)}, True, {Part.OUTPUT: Verdict.NOT_TOLD}),
        ({"waiting": 1}, False, {Part.RESULTS: Verdict.OPEN}),
        ({"left_out": 1}, False, {Part.LEFT_OUT: Verdict.OPEN}),
        ({"answers": UNANSWERED}, False, {Part.SUM: Verdict.OPEN}),
        ({"answers": None}, False, {Part.SUM: Verdict.NOT_TOLD}),
        ({"by_part": {Part.OUTPUT: 1}}, False, {Part.OUTPUT: Verdict.WRONG}),
        (
            {"by_part": {Part.RESULTS: 2}, "answers": UNANSWERED, "output": OutputProof(path="x", is_there=None)},
            False,
            {Part.RESULTS: Verdict.WRONG, Part.SUM: Verdict.OPEN, Part.OUTPUT: Verdict.NOT_TOLD},
        ),
    ],
)
def test_a_proof_is_complete_when_nothing_is_wrong_and_nothing_is_open(
    more: dict[str, Any], odd: dict[Part, Verdict], *, complete: bool
) -> None:
    proof = a_proof(**more)
    assert proof.is_complete is complete
    assert {part: v for part in Part if (v := proof.verdict(part)) is not Verdict.OK} == odd


@pytest.mark.parametrize(
    ("fixes", "anew", "command"),
    [
        ({}, [], "batchctl retry reviews-7f3a"),
        ({Fix.FETCH: 1}, [], FETCH),
        ({Fix.FETCH: 1, Fix.PUT_BACK: 1}, [], FETCH),
        ({Fix.PUT_BACK: 1}, [], ""),
        ({Fix.FETCH_ANEW: 2, Fix.FETCH: 1}, ["a.index", "b c.index"], f"rm a.index 'b c.index' && {FETCH}"),
    ],
)
def test_the_next_command_mends_the_most_at_once(fixes: dict[Fix, int], anew: list[str], command: str) -> None:
    assert next_command(fixes, anew, FETCH, "batchctl retry reviews-7f3a") == command


def test_a_command_stays_readable_however_much_is_damaged() -> None:
    anew = [f"{n}.index" for n in range(1000)]
    assert len(next_command({Fix.FETCH_ANEW: 1000}, anew, FETCH, "").split()) == PATHS_IN_A_COMMAND + 5


@pytest.mark.parametrize(
    ("flaw", "said"),
    [
        (Flaw(part=Part.RESULTS, message="", fix=Fix.FETCH), FETCH),
        (Flaw(part=Part.RESULTS, message="", fix=Fix.FETCH_ANEW, index="it's"), f"""rm 'it'"'"'s' && {FETCH}"""),
        (Flaw(part=Part.ORIGINS, message="", fix=Fix.PUT_BACK, round=2), "restore a copy of the file"),
        (Flaw(part=Part.REQUESTS, message="", fix=Fix.PUT_BACK, round=2), "restore a copy of the file"),
        (
            Flaw(part=Part.REQUESTS, message="", fix=Fix.PUT_BACK, round=1),
            f"restore the file, or if the input was moved: {FETCH} --input PATH",
        ),
    ],
)
def test_every_flaw_says_what_brings_it_right(flaw: Flaw, said: str) -> None:
    assert hint(flaw, FETCH) == said
