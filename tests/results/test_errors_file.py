"""The errors file."""

import json
from pathlib import Path

from batchctl.domain.check_report import Problem
from batchctl.domain.faults import Fault, Severity
from batchctl.requests.problem_file import ProblemFile
from batchctl.results.errors_file import ErrorLine, encode_error_line, in_line_order, left_out_lines


def failed(line: int, **more: str) -> ErrorLine:
    given = {
        "custom_id": "r-1",
        "outcome": "errored",
        "failure_class": "retry",
        "error_type": "api_error",
        "message": "Oh",
    }
    return ErrorLine(line=line, round=2, **{**given, **more})


def test_a_line_of_the_errors_file_has_these_keys_in_this_order() -> None:
    line = encode_error_line(failed(7, message="two\nlines “quoted”"))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert list(json.loads(line).items()) == [
        ("line", 7),
        ("custom_id", "r-1"),
        ("round", 2),
        ("outcome", "errored"),
        ("class", "retry"),
        ("type", "api_error"),
        ("message", "two\nlines “quoted”"),
    ]


def test_a_line_that_had_no_id_has_null() -> None:
    assert json.loads(encode_error_line(failed(7, custom_id="")))["custom_id"] is None


def test_streams_are_put_in_the_order_of_the_input() -> None:
    merged = in_line_order([failed(1), failed(5)], iter([failed(2), failed(4)]), [])
    assert [of.line for of in merged] == [1, 2, 4, 5]


def test_each_line_that_was_left_out_comes_once_in_order_with_its_first_error(tmp_path: Path) -> None:
    problems = ProblemFile(tmp_path / "left-out.jsonl")
    for line, custom_id, code, severity in [
        (9, "", "not_json", Severity.ERROR),
        (3, "r-3", "max_tokens_high", Severity.WARNING),
        (3, "r-3", "params_missing", Severity.ERROR),
        (3, "r-3", "unknown_envelope_key", Severity.ERROR),
        (4, "r-4", "max_tokens_high", Severity.WARNING),
    ]:
        problems.add(Problem(line, custom_id, Fault(code, f"it is {code}", severity)))
    problems.close()
    found = list(left_out_lines(tmp_path / "left-out.jsonl"))
    assert [(of.line, of.custom_id, of.error_type, of.message) for of in found] == [
        (3, "r-3", "params_missing", "it is params_missing"),
        (9, "", "not_json", "it is not_json"),
    ]
    assert {(of.outcome, of.failure_class, of.round) for of in found} == {("unanswered", "fix", 0)}


def test_lines_that_were_left_out_are_never_all_in_hand(tmp_path: Path) -> None:
    problems = ProblemFile(tmp_path / "left-out.jsonl")
    for line in (*range(1, 3_000, 2), *range(2, 3_000, 2)):
        problems.add(Problem(line, f"r-{line}", Fault("in_no_batch", "it is in none")))
    problems.close()
    told = left_out_lines(tmp_path / "left-out.jsonl")
    assert next(told).line == 1
    assert [of.line for of in told] == list(range(2, 3_000))


def test_where_nothing_was_left_out_there_is_nothing(tmp_path: Path) -> None:
    assert list(left_out_lines(tmp_path / "left-out.jsonl")) == []
