"""A proof and a check-up as they are drawn, and as a program reads them."""

import io
import json
from typing import Any

import pytest
from builders import NOW, a_job, a_round
from rich.console import Console, RenderableType

from batchctl.domain.health import Checkup, fail, ok, warn
from batchctl.domain.model import Merged
from batchctl.render import machine, proofs
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


def drawn(what: RenderableType, width: int = 200) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False, color_system=None)
    with console.capture() as capture:
        console.print(what)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_proof_that_holds_is_drawn_like_this() -> None:
    assert drawn(proofs.proof(a_proof())) == [
        "reviews-7f3a  every line of the input has its one answer on the disk",
        "  ok  requests  round 1: 10 requests in 2 batches; round 2: 3 requests in 1 batch",
        "  ok  origins   round 2: rising, within round 1",
        "  ok  left out  no line left out",
        "  ok  results   3 of 3 batches on the disk, 13 lines",
        "  ok  sum       9 succeeded, 1 errored = 10 lines of the input",
        (
            "  ok  output    reviews-7f3a.results.jsonl: 10 lines,"
            " byte for byte what a merge writes (sha256 ab12ab12ab12...)"
        ),
    ]


def test_a_proof_that_does_not_hold_says_where_and_what_to_type() -> None:
    assert drawn(proofs.proof(wrong())) == [
        "reviews-7f3a  the proof does not hold: 30 flaws",
        "  ok        requests  round 1: 10 requests in 2 batches; round 2: 3 requests in 1 batch",
        "  ok        origins   round 2: rising, within round 1",
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
        ({"rounds": ROUNDS[:1]}, "one round, no origins"),
    ],
)
def test_what_is_not_there_is_said(more: dict[str, Any], said: str) -> None:
    assert any(said in line for line in drawn(proofs.proof(a_proof(**more))))


@pytest.mark.parametrize("proof", [a_proof(), wrong()], ids=["holds", "wrong"])
def test_a_proof_fits_a_terminal(proof: Proof) -> None:
    assert max(map(len, drawn(proofs.proof(proof), 80))) <= 80


def test_text_from_outside_moves_nothing() -> None:
    flaw = Flaw(part=Part.OUTPUT, message=EVIL, fix=Fix.FETCH, path=EVIL, line=1, custom_id=EVIL)
    text = "".join(drawn(proofs.proof(wrong(flaw)), 1000))
    assert text.isprintable()
    assert text.count("[/nothing]") == 2


def test_a_proof_is_json_with_every_key() -> None:
    stream = io.StringIO()
    machine.write(stream, machine.proof_shape(wrong()))
    found = json.loads(stream.getvalue())
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
    assert machine.proof_shape(a_proof(answers=None))["answers"] is None
    assert found["rests_on"] is None
    assert machine.proof_shape(a_proof(rests_on="1 of 3"))["rests_on"] == "1 of 3"


CHECKUP = Checkup(
    findings=(
        ok("clock", "within 5 s of the server's"),
        warn("room", "60 MB free", "make room"),
        fail("api", EVIL, EVIL),
    ),
    next_command="batchctl doctor",
)


def test_a_checkup_is_a_line_for_each_finding_and_what_to_try() -> None:
    lines = drawn(proofs.checkup(CHECKUP))
    assert lines[:3] == [
        "ok    clock  within 5 s of the server's",
        "warn  room   60 MB free",
        "             try: make room",
    ]
    assert lines[-1] == "1 ok, 1 warn, 1 fail"
    assert "".join(lines).isprintable()


def test_a_checkup_is_json_with_every_key() -> None:
    stream = io.StringIO()
    machine.write(stream, machine.checkup_shape(CHECKUP))
    found = json.loads(stream.getvalue())
    assert list(found) == ["schema_version", "type", "ok", "warn", "fail", "findings", "next_command"]
    assert found["findings"][:2] == [
        {"subject": "clock", "health": "ok", "said": "within 5 s of the server's", "advice": None},
        {"subject": "room", "health": "warn", "said": "60 MB free", "advice": "make room"},
    ]
    assert found["findings"][2]["said"] == EVIL
