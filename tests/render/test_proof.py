"""A proof as it is drawn, and as a program reads it."""

from typing import Any

import pytest
from builders import NOW, a_job, a_round
from render.drawing import drawn, written

from batchctl.domain.model import Merged
from batchctl.render import proof as form
from batchctl.results.proof import Fix, Flaw, OutputProof, Part, Proof, RoundProof

EVIL = "[red]\x1b[31m[/]\u202e [/nothing]"
ROUNDS = (
    RoundProof(number=1, requests=10, batches=2, requests_known=True, fetched=2, results=10),
    RoundProof(number=2, requests=3, batches=1, requests_known=True, fetched=1, results=3),
)
FLAW = Flaw(
    part=Part.RESULTS,
    message="this request has no result",
    fix=Fix.FETCH_ANEW,
    path="raw/round-1.000000000.jsonl",
    round=1,
    batch=2,
    line=1_234,
    custom_id="r-00017",
    index="raw/round-1.000000000.index",
)


def a_proof(**more: Any) -> Proof:
    given: dict[str, Any] = {
        "job": a_job(rounds=[a_round(), a_round(2, 3)], left_out=more.pop("left_out", 0)),
        "rounds": ROUNDS,
        "waiting": 0,
        "answers": Merged(at=NOW, batches=3, succeeded=9, errored=1),
        "output": OutputProof(path="reviews-7f3a.results.jsonl", is_there=True, lines=10, sha256="ab12" * 16),
        "flaws": 0,
        "fetch_command": "batchctl fetch reviews-7f3a",
    }
    return Proof(**{**given, **more})


def wrong(flaw: Flaw = FLAW) -> Proof:
    output = OutputProof(path="reviews-7f3a.results.jsonl", is_there=None)
    answers = Merged(at=NOW, batches=2, succeeded=4, unanswered=6)
    by_part = {flaw.part: 30}
    return a_proof(
        output=output, answers=answers, flaws=30, by_part=by_part, first_flaws=(flaw,), next_command="rm x && y"
    )


def rows(proof: Proof, width: int = 200) -> list[str]:
    return [line.rstrip() for line in drawn(form.draw(proof), width).splitlines()]


def test_a_proof_that_holds_is_drawn_like_this() -> None:
    assert rows(a_proof()) == [
        "reviews-7f3a  every line of the input has its one answer on the disk",
        "  ok  requests  round 1: 10 requests in 2 batches; round 2: 3 requests in 1 batch",
        "  ok  origins   round 2: only lines of round 1, in order",
        "  ok  left out  no line left out",
        "  ok  results   3 of 3 batches on the disk, 13 lines",
        "  ok  sum       9 succeeded, 1 errored = 10 lines of the input",
        ("  ok  output    reviews-7f3a.results.jsonl: 10 lines, identical to a fresh merge (sha256 ab12ab12ab12...)"),
    ]


def test_a_proof_that_does_not_hold_says_where_and_what_to_type() -> None:
    assert rows(wrong()) == [
        "reviews-7f3a  the proof does not hold: 30 flaws",
        "  ok        requests  round 1: 10 requests in 2 batches; round 2: 3 requests in 1 batch",
        "  ok        origins   round 2: only lines of round 1, in order",
        "  ok        left out  no line left out",
        "  wrong     results   3 of 3 batches on the disk, 13 lines; a batch that is wrong counts as unanswered below",
        "  open      sum       4 succeeded, 6 unanswered = 10 lines of the input",
        "  not told  output    reviews-7f3a.results.jsonl: not held against results that are wrong",
        "",
        ("  results: round 1 batch 2 raw/round-1.000000000.jsonl line 1,234 (r-00017): this request has no result"),
        "    try: rm raw/round-1.000000000.index && batchctl fetch reviews-7f3a",
        "  and 29 more",
        "",
        "next: rm x && y",
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"waiting": 2}, "; 2 batches not fetched yet"),
        ({"rests_on": "1 of 3 found in the API's list"}, "13 lines; 1 of 3 found in the API's list"),
        ({"left_out": 3}, "3 lines left out"),
        ({"answers": None}, "not summed"),
        ({"output": OutputProof(path="x.jsonl", is_there=False)}, "x.jsonl: not there; a fetch writes it"),
        ({"output": OutputProof(path="x.jsonl", is_there=True, lines=4)}, "x.jsonl: differs from line 5 on"),
        (
            {"rounds": (RoundProof(number=1, requests=9, batches=1, requests_known=False, fetched=1, results=9),)},
            "made elsewhere: their requests are not known here",
        ),
        ({"rounds": ROUNDS[:1]}, "one round only"),
    ],
)
def test_what_is_not_there_is_said(more: dict[str, Any], said: str) -> None:
    assert any(said in line for line in rows(a_proof(**more)))


@pytest.mark.parametrize("proof", [a_proof(), wrong()], ids=["holds", "wrong"])
def test_a_proof_fits_a_terminal(proof: Proof) -> None:
    assert max(map(len, rows(proof, 80))) <= 80


def test_text_from_outside_moves_nothing() -> None:
    flaw = Flaw(part=Part.OUTPUT, message=EVIL, fix=Fix.FETCH, path=EVIL, line=1, custom_id=EVIL)
    text = "".join(rows(wrong(flaw), 1000))
    assert text.isprintable()
    assert text.count("[/nothing]") == 2


def test_a_proof_is_json_with_every_key() -> None:
    found = written(form.to_json(wrong()))
    assert list(found) == [
        "schema_version",
        "type",
        "job",
        "holds",
        "complete",
        "requests",
        "left_out",
        "lines",
        "verdicts",
        "rounds",
        "waiting",
        "rests_on",
        "answers",
        "results_file",
        "results_file_lines",
        "results_file_sha256",
        "flaws",
        "first_flaws",
        "next_command",
    ]
    assert (found["type"], found["holds"], found["complete"], found["flaws"]) == ("verify", False, False, 30)
    assert found["first_flaws"] == [
        {
            "part": "results",
            "message": "this request has no result",
            "round": 1,
            "batch": 2,
            "line": 1234,
            "custom_id": "r-00017",
            "path": "raw/round-1.000000000.jsonl",
            "hint": "rm raw/round-1.000000000.index && batchctl fetch reviews-7f3a",
        }
    ]
    assert form.to_json(a_proof(answers=None))["answers"] is None
    assert found["rests_on"] is None
    assert form.to_json(a_proof(rests_on="1 of 3"))["rests_on"] == "1 of 3"
