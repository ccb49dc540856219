"""A job as it is drawn, and as a program reads it."""

import io
import time

import pytest
from builders import HOUR, NOW, a_batch, a_cut, a_job, a_round
from render.drawing import drawn, written
from rich.cells import cell_len
from rich.console import Console

from batchctl.domain.job_report import JobReport, Stage, report
from batchctl.domain.model import (
    Batch,
    Claim,
    FailureClass,
    Failures,
    Headers,
    Job,
    Merged,
    Outcome,
    RequestCounts,
    Settings,
    State,
)
from batchctl.engine.retry_choice import Chosen
from batchctl.render import job_report, retry

S = State
EVIL = "[red]\x1b[31m[/]\u202e [link=file:///etc/passwd]x[/link] :boom: [/nothing]"


def failures(message: str = "Overloaded", count: int = 3) -> tuple[Failures, ...]:
    one = Failures(
        round=1,
        outcome=Outcome.ERRORED,
        error_type="overloaded_error",
        failure_class=FailureClass.RETRY,
        count=count,
        sample_ids=("r-00001", "r-00002", "r-00003"),
        sample_message=message,
    )
    return (one,)


MERGED = Merged(at=NOW, batches=1, succeeded=10, truncated=2, refusals=1)
BAD_MERGE = Merged(at=NOW, batches=1, succeeded=4, errored=3, expired=1, canceled=1, unanswered=1, failures=failures())
CLAIM = Claim(owner="1-aa", until=NOW)

STAGES: dict[Stage, tuple[Job, list[Batch]]] = {
    Stage.SENDING: (
        a_job(hold_until=NOW + HOUR, hold_reason="the queue is full"),
        [a_batch(S.PLANNED), a_batch(S.SUBMITTING, claim=CLAIM)],
    ),
    Stage.UNCONFIRMED: (
        a_job(),
        [a_batch(S.SUBMITTING, note="unconfirmed: the connection broke"), a_batch(S.IN_PROGRESS)],
    ),
    Stage.LOST: (a_job(), [a_batch(S.IN_PROGRESS, missing_since=NOW - HOUR), a_batch(S.FETCHED)]),
    Stage.PAUSED: (a_job(paused="HTTP 400 Your credit balance is too low"), [a_batch(S.PLANNED), a_batch(S.FETCHED)]),
    Stage.RUNNING: (a_job(), [a_batch(S.IN_PROGRESS), a_batch(S.ENDED), a_batch(S.CANCELING)]),
    Stage.TO_FETCH: (a_job(), [a_batch(S.ENDED), a_batch(S.FETCHED)]),
    Stage.DONE: (a_job(merged=MERGED), [a_batch(S.FETCHED)]),
    Stage.INCOMPLETE: (
        a_job(merged=BAD_MERGE, left_out=2, line_count=12),
        [a_batch(S.FETCHED), a_batch(S.REFUSED, note="no")],
    ),
    Stage.CANCELED: (a_job(canceled_at=NOW, merged=BAD_MERGE), [a_batch(S.FETCHED), a_batch(S.PLANNED)]),
}
# A stage that `--json` names with another word.


def seen(stage: Stage) -> JobReport:
    job, batches = STAGES[stage]
    found = report(job, batches, failures(), NOW + HOUR)
    assert found.stage is stage
    return found


# ---------------------------------------------------------------- drawn


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("stage", list(Stage))
def test_a_job_at_every_stage_fits_a_terminal(stage: Stage, *, wide: bool) -> None:
    text = drawn(job_report.draw(seen(stage), wide=wide))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert stage.shown in text.splitlines()[0]
    assert "reviews-7f3a" in text.splitlines()[0]


def test_a_job_that_is_done_is_drawn_like_this() -> None:
    text = drawn(job_report.draw(seen(Stage.INCOMPLETE)), 100)
    assert [line.rstrip() for line in text.splitlines()] == [
        "reviews-7f3a  failed",
        "  input    /data/reviews.jsonl: 10 requests, 2 lines left out",
        "  started  2026-11-21 12:00 UTC, elapsed 1 h 0 m",
        "  batches  ████████████············  1 of 2 ended, 1 fetched",
        "",
        "  round  requests  batches  in progress  succeeded  errored  expired  canceled",
        "      1        10        2            0         10        0        0         0",
        "",
        "  answers  4 succeeded, 3 errored, 1 expired, 1 canceled, 1 unanswered, 2 left out",
        "",
        "  type              class  requests  for example",
        "  overloaded_error  retry         3  r-00001, r-00002, r-00003",
        "                                     Overloaded",
        "  ! 1 batch was rejected by the API: no",
        "",
        "next: batchctl retry reviews-7f3a",
    ]


@pytest.mark.parametrize("requests", [1_234_567, 100_000_000])
def test_no_count_is_cut_however_large(requests: int) -> None:
    """A number with its end missing is another number."""
    merged = Merged(at=NOW, batches=1, succeeded=requests - 5, errored=5, failures=failures(count=requests))
    job = a_job(rounds=[a_round(n, requests) for n in (1, 2)], merged=merged, line_count=requests)
    counts = RequestCounts(succeeded=requests - requests // 50, errored=requests // 60, expired=7)
    name = "msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d"
    found = report(job, [a_batch(S.FETCHED, cut=a_cut(100_000), counts=counts, message_batch_id=name)], (), NOW + HOUR)
    for what in (job_report.draw(found, wide=True), job_report.draw_all([found, seen(Stage.DONE)])):
        text = drawn(what)
        words = text.split()
        assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
        assert f"{requests:,}" in words
        assert not [word for word in words if word.endswith("…")]
        assert "reviews-7f3a" in words
    assert name in drawn(job_report.draw(found, wide=True)).split()
    counted = drawn(job_report.draw(found)).split()
    for number in (requests, counts.succeeded, counts.errored):
        assert f"{number:,}" in counted


@pytest.mark.parametrize("wide", [True, False])
def test_markup_and_codes_from_outside_are_shown_and_not_obeyed(*, wide: bool) -> None:
    job = a_job(
        input_path=EVIL,
        paused=EVIL,
        settings=Settings(labels={"who": EVIL}),
        merged=Merged(at=NOW, batches=1, errored=3, failures=failures(EVIL)),
    )
    batches = [a_batch(S.FETCHED, message_batch_id=EVIL), a_batch(S.PLANNED, note=EVIL), a_batch(S.REFUSED, note=EVIL)]
    text = drawn(job_report.draw(report(job, batches, (), NOW), wide=wide), 1000)
    assert text.replace("\n", "").isprintable()
    assert text.count("[red]") == text.count("[/nothing]")
    assert text.count("[red]") == (8 if wide else 5)


@pytest.mark.parametrize("console_reads_markup", [True, False])
def test_text_from_outside_is_literal_on_any_console(*, console_reads_markup: bool) -> None:
    odd = Failures(
        round=1,
        outcome=Outcome.ERRORED,
        error_type="[/odd]",
        failure_class=FailureClass.FIX,
        count=1,
        sample_ids=("[i]",),
        sample_message="[/]",
    )
    found = Chosen(sent={("[/odd]", "retry"): 3}, left={("[/even]", "fix", "[why]"): 2}, requests=3, bytes=300)
    batch = a_batch(S.IN_PROGRESS, message_batch_id="[/msgbatch]")
    console = Console(file=io.StringIO(), width=200, color_system=None, markup=console_reads_markup)
    with console.capture() as capture:
        console.print(job_report.failures([odd]))
        console.print(retry.draw(found))
        console.print(job_report.draw(report(a_job(), [batch], (), NOW), wide=True))
    for text in ("[/odd]", "[i]", "[/]", "[/even]", "[why]", "[/msgbatch]"):
        assert text in capture.get()


BASIS = "size, ids, model and token counts of 20 answers"
RESTS_ON = f"1 of 3 batches found in the API's list and identified by {BASIS}; the API itself did not confirm it"
FOUND = [a_batch(S.FETCHED, evidence=BASIS), a_batch(S.IN_PROGRESS, provisional=True), a_batch(S.FETCHED)]


def test_what_was_found_in_the_list_is_told_from_what_the_api_answered() -> None:
    rows = [line.strip() for line in drawn(job_report.draw(report(a_job(), FOUND, (), NOW)), 160).splitlines()]
    assert f"found    {RESTS_ON}" in rows
    assert any(row.endswith("2 of 3 ended, 2 fetched, 1 matched provisionally") for row in rows)
    plain = drawn(job_report.draw(report(a_job(), [a_batch(S.FETCHED)] * 3, (), NOW)), 160)
    assert "found" not in plain
    assert "matched" not in plain


def test_all_jobs_stand_in_one_table() -> None:
    text = drawn(job_report.draw_all([seen(stage) for stage in Stage]), 120)
    assert len(text.splitlines()) == 1 + len(Stage)
    for stage in Stage:
        assert stage.shown in text


# ---------------------------------------------------------------- for programs


JOB_KEYS = [
    "type",
    "job",
    "stage",
    "input",
    "input_sha256",
    "labels",
    "cache_system",
    "api_version",
    "betas",
    "max_cost_usd",
    "requests",
    "left_out",
    "in_no_batch",
    "created_at",
    "elapsed_seconds",
    "eta",
    "expires_at",
    "retained_until",
    "batches",
    "rests_on",
    "rounds",
    "answers",
    "cost",
    "failures",
    "warnings",
    "next_command",
]


@pytest.mark.parametrize("stage", list(Stage))
def test_a_job_is_json_with_every_key_at_every_stage(stage: Stage) -> None:
    found = written(job_report.to_json(seen(stage), with_batches=True))
    assert list(found) == ["schema_version", *JOB_KEYS, "message_batches"]
    assert (found["type"], found["stage"]) == ("job", stage.value)
    assert found["created_at"] == "2026-11-21T12:00:00+00:00"
    assert found["elapsed_seconds"] >= 0
    assert len(found["message_batches"]) == found["batches"]["total"]


def test_what_rests_on_evidence_is_told_to_programs() -> None:
    found = written(job_report.to_json(report(a_job(), FOUND, (), NOW), with_batches=True))
    assert found["batches"] == {"total": 3, "ended": 2, "fetched": 2, "provisional": 1}
    assert found["rests_on"] == RESTS_ON
    keys = ("provisional", "evidence", "held")
    assert [[one[key] for key in keys] for one in found["message_batches"]] == [
        [False, BASIS, None],
        [True, None, None],
        [False, None, None],
    ]
    held = written(
        job_report.to_json(
            report(a_job(), [a_batch(S.ENDED, held="msgbatch_1: its model differs")], (), NOW), with_batches=True
        )
    )
    assert (held["stage"], held["next_command"]) == ("in doubt", "batchctl resolve reviews-7f3a")
    assert held["message_batches"][0]["held"] == "msgbatch_1: its model differs"
    assert (held["rests_on"], held["batches"]["provisional"]) == (None, 0)


def test_a_round_names_the_headers_of_its_batches_and_how_many_have_each() -> None:
    old, new = Headers(betas=("gone-1", "kept-1")), Headers(api_version="2023-06-01", betas=("kept-1",))
    job = a_job(settings=Settings(api_version=new.api_version, betas=new.betas))
    batches = [
        a_batch(State.FETCHED, headers=old),
        # Its outcome is not known: it may exist, with the headers that it was sent with.
        a_batch(State.SUBMITTING, headers=old),
        a_batch(State.IN_PROGRESS),
        # Planned again after a create that made nothing: the next one has the headers of the job.
        a_batch(State.PLANNED, headers=old),
        a_batch(State.PLANNED),
    ]
    found = written(job_report.to_json(report(job, batches, (), NOW), with_batches=True))
    assert (found["api_version"], found["betas"]) == ("2023-06-01", ["kept-1"])
    assert found["rounds"][0]["headers"] == [
        {"api_version": old.api_version, "betas": ["gone-1", "kept-1"], "batches": 2},
        {"api_version": None, "betas": None, "batches": 1},
        {"api_version": "2023-06-01", "betas": ["kept-1"], "batches": 2},
    ]
    assert [one["betas"] for one in found["message_batches"]] == [[*old.betas], [*old.betas], None, *[["kept-1"]] * 2]


def test_an_unknown_number_is_null_and_never_zero() -> None:
    found = written(job_report.to_json(seen(Stage.SENDING)))
    assert (found["answers"], found["eta"], found["expires_at"]) == (None, None, None)


def test_a_job_in_numbers_is_what_the_report_says() -> None:
    found = written(job_report.to_json(seen(Stage.INCOMPLETE)))
    assert found["answers"] == {
        "succeeded": 4,
        "errored": 3,
        "canceled": 1,
        "expired": 1,
        "unknown": 0,
        "unanswered": 1,
        "truncated": 0,
        "refusals": 0,
        "paused_turns": 0,
        "in_no_batch": 0,
    }
    (kind,) = found["failures"]
    assert kind == {
        "outcome": "errored",
        "type": "overloaded_error",
        "class": "retry",
        "requests": 3,
        "sample_ids": ["r-00001", "r-00002", "r-00003"],
        "sample_message": "Overloaded",
    }
    assert found["rounds"][0]["states"] == {"fetched": 1, "refused": 1}
    assert found["next_command"] == "batchctl retry reviews-7f3a"


def test_text_from_outside_is_data_in_json() -> None:
    job = a_job(input_path=EVIL, paused=EVIL)
    found = written(job_report.to_json(report(job, [a_batch(S.PLANNED)], failures(EVIL), NOW)))
    assert (found["input"], found["failures"][0]["sample_message"]) == (EVIL, EVIL)


def test_of_many_types_of_failures_some_are_shown_and_the_rest_is_counted() -> None:
    many = [
        Failures(
            round=1,
            outcome=Outcome.ERRORED,
            error_type=f"strange_{n}",
            failure_class=FailureClass.RETRY,
            count=n,
            sample_ids=("r-1",),
            sample_message="",
        )
        for n in range(1, 52)
    ]
    text = " ".join(drawn(job_report.failures(many), 80).split())
    assert f"39 more, of {sum(range(13, 52)):,} requests: --json shows all of them" in text
    assert "strange_13" not in text


def test_what_was_fetched_is_json_with_its_files() -> None:
    fetched = written(job_report.fetched_to_json(seen(Stage.DONE), MERGED, "-", "errors.jsonl"))
    assert (fetched["type"], fetched["results_file"], fetched["answers"]["succeeded"]) == ("fetch", "-", 10)
    assert fetched["errors_file"] == "errors.jsonl"


# ---------------------------------------------------------------- on narrow, wide and old terminals


@pytest.mark.parametrize(
    ("counts", "total", "width", "cells"),
    [
        ((0, 0, 5), 5, 24, [0, 0, 24, 0]),
        ((5, 0, 0), 5, 24, [24, 0, 0, 0]),
        ((0, 0, 0), 5, 24, [0, 0, 0, 24]),
        ((4, 0, 1), 5, 24, [19, 0, 5, 0]),
        ((999, 0, 1), 1_000, 24, [23, 0, 1, 0]),
        ((1, 1, 1), 1_000, 24, [1, 1, 1, 21]),
        ((1, 0, 0), 3, 4, [1, 0, 0, 3]),
        ((0, 0, 0), 0, 24, [0, 0, 0, 24]),
    ],
)
def test_a_strip_never_shows_more_as_done_than_is(
    counts: tuple[int, ...], total: int, width: int, cells: list[int]
) -> None:
    assert job_report.strip_cells(counts, total, width) == cells


@pytest.mark.parametrize("stage", Stage)
def test_a_stage_is_one_word(stage: Stage) -> None:
    words = {"sending", "running", "fetching", "done", "failed", "canceled", "unconfirmed", "paused"}
    assert stage.shown in words
    assert job_report.STAGE_STYLES[stage]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("stage", Stage)
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(stage: Stage, width: int) -> None:
    found = seen(stage)
    for what in (job_report.draw(found, wide=True), job_report.draw_all([found])):
        lines = drawn(what, width).splitlines()
        assert all(cell_len(line) <= width for line in lines)
        assert not any("…" in line for line in lines)
    table = drawn(job_report.draw_all([found]), width).split()
    assert {found.job.name, stage.shown, str(found.job.count)} <= set(table)


def test_wide_letters_take_two_columns_each() -> None:
    kinds = failures("过载".ljust(60, "过"))
    assert all(cell_len(line) <= 80 for line in drawn(job_report.failures(kinds), 80).splitlines())


def test_a_job_whose_first_batch_is_not_planned_yet_has_a_report() -> None:
    job = a_job(settings=Settings(canary=True))
    text = drawn(job_report.draw(report(job, [a_batch(State.IN_NO_BATCH)], [], NOW, 10)), 80)
    assert "reviews-7f3a  sending" in text
    assert "10 requests wait for the first batch" in text


def test_failures_keep_type_class_and_count_where_there_is_no_room_beside_them() -> None:
    lines = [line.rstrip() for line in drawn(job_report.failures(failures()), 40).splitlines()]
    assert lines == [
        "type              class  requests",
        "overloaded_error  retry         3",
        "  r-00001, r-00002, r-00003",
        "  Overloaded",
    ]


def test_where_only_ascii_can_be_shown_the_strip_is_ascii() -> None:
    console = Console(file=io.TextIOWrapper(io.BytesIO(), encoding="ascii"), width=80, color_system=None)
    with console.capture() as capture:
        console.print(job_report.draw(seen(Stage.TO_FETCH)))
    assert "############============  2 of 2 ended, 1 fetched" in capture.get()


def test_the_note_of_an_unconfirmed_batch_is_not_cut() -> None:
    note = "unconfirmed: the API accepted it without naming a batch, and its list shows no batch of this size"
    job, batches = a_job(), [a_batch(State.SUBMITTING, message_batch_id=None, note=note)]
    text = drawn(job_report.draw(report(job, batches, (), NOW), wide=True))
    assert set(note.split()) <= set(text.split())


@pytest.mark.parametrize(("width", "blanks"), [(80, 1), (120, 2)])
def test_columns_stand_as_far_apart_as_there_is_room(width: int, blanks: int) -> None:
    job, batch = a_job(), a_batch(State.IN_PROGRESS, message_batch_id="msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d")
    text = drawn(job_report.draw(report(job, [batch], (), NOW + HOUR), wide=True), width)
    assert f"message batch{' ' * (len(batch.message_batch_id or '') - 13 + blanks)}" in text
    assert f"round{' ' * blanks}from" in text


def test_a_screen_of_many_batches_and_jobs_is_drawn_at_once() -> None:
    job, many = a_job(), [a_batch(State.IN_PROGRESS) for _ in range(10_000)]
    found = report(job, many, (), NOW)
    console = Console(file=io.StringIO(), width=80)
    # A second of CPU where a fifth of one is meant: the machine may be slow, and this is no benchmark.
    began = time.process_time()
    console.print(job_report.draw(found, wide=True))
    console.print(job_report.draw_all([found] * 500))
    assert time.process_time() - began < 1
    assert isinstance(console.file, io.StringIO)
    assert "0 of 10,000 ended" in console.file.getvalue()
