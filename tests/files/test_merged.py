"""The errors file, and what results are never written over."""

import io
import json
import os
import sys
from pathlib import Path

import pytest
from builders import written

from batchctl.domain.checking import Fault, Severity
from batchctl.domain.errors import Refused
from batchctl.domain.plans import Problem
from batchctl.files.merged import (
    Unsuccessful,
    error_line,
    in_line_order,
    left_out_lines,
    refuse_to_overwrite,
    results_file,
)
from batchctl.files.problems import ProblemFile


def failed(line: int, **more: str) -> Unsuccessful:
    given = {
        "custom_id": "r-1",
        "outcome": "errored",
        "failure_class": "retry",
        "error_type": "api_error",
        "message": "Oh",
    }
    return Unsuccessful(line=line, round=2, **{**given, **more})


def test_a_line_of_the_errors_file_has_these_keys_in_this_order() -> None:
    line = error_line(failed(7, message="two\nlines “quoted”"))
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
    assert json.loads(error_line(failed(7, custom_id="")))["custom_id"] is None


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


@pytest.mark.parametrize("how", ["itself", "a link", "a symbolic link"])
def test_results_never_take_the_place_of_the_requests(tmp_path: Path, how: str) -> None:
    requests, output = written(tmp_path / "in.jsonl", b"paid for"), tmp_path / "out.jsonl"
    match how:
        case "itself":
            output = tmp_path / "." / "in.jsonl"
        case "a link":
            os.link(requests, output)
        case _:
            output.symlink_to(requests)
    with pytest.raises(Refused) as raised:
        refuse_to_overwrite(output, [tmp_path / "none", requests])
    assert "--output" in raised.value.hint


@pytest.mark.parametrize("kind", ["a device", "a pipe", "a folder"])
def test_results_never_take_the_place_of_what_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    output = tmp_path / "out"
    if kind == "a device":
        output.symlink_to("/dev/null")
    elif kind == "a pipe":
        os.mkfifo(output)
    else:
        output.mkdir()
    with pytest.raises(Refused, match="no regular file"):
        refuse_to_overwrite(output, [])


def test_a_link_to_old_results_stays_a_link_and_its_file_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    written(folder / "results", b"old")
    link = tmp_path / "out"
    link.symlink_to(Path("elsewhere") / "results")
    with results_file(str(link)) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert (folder / "results").read_bytes() == b"new"
    assert sorted(p.name for p in folder.iterdir()) == ["results"]


def test_any_other_file_may_be_written_anew(tmp_path: Path) -> None:
    refuse_to_overwrite(written(tmp_path / "out", b"old results"), [written(tmp_path / "in", b"")])
    refuse_to_overwrite(tmp_path / "new", [tmp_path / "in"])


def test_results_are_an_ordinary_file_of_the_person(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        with results_file(str(tmp_path / "out")) as file:
            file.write(b"x")
    finally:
        os.umask(mask)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


def test_results_to_stdout_go_there_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    stream = io.TextIOWrapper(out)
    monkeypatch.setattr(sys, "stdout", stream)
    with results_file("-") as file:
        file.write(b"line\n")
    assert out.getvalue() == b"line\n"
