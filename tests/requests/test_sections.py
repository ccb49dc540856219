"""An input that several processes check is what one process finds it to be."""

import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import request_id, request_line, written

from batchctl.domain.check_report import Depth, Scan
from batchctl.domain.errors import InputProblem
from batchctl.domain.faults import Fault, Severity
from batchctl.domain.groups import MAX_SAMPLED, RequestGroup
from batchctl.domain.model import Settings
from batchctl.requests import check, sections
from batchctl.requests.check import scan
from batchctl.requests.problem_file import ProblemFile
from batchctl.requests.scanner import CheckOptions, Scanner

LINES = 3_000
Change = Callable[[list[bytes]], bytes]


@pytest.fixture(autouse=True)
def small_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "MIN_REQUESTS", 1_000)
    monkeypatch.setattr(sections, "SECTION_BYTES", 8 << 10)


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each section that was asked for was reported on; the last one is False where one process took over."""
    found: list[bool] = []
    real = sections.section_reports

    def watched(*arguments: Any) -> Iterator[Any]:
        with contextlib.closing(real(*arguments)) as each:
            for report in each:
                found.append(report is not None)
                yield report

    monkeypatch.setattr(check, "section_reports", watched)
    return found


def checked(
    folder: Path, data: bytes, processes: int, emit: Callable[[int], None] = lambda _: None, **options: Any
) -> tuple[Scan, set[int], list[bytes]]:
    path = folder / "in.jsonl"
    if not path.exists() or path.read_bytes() != data:
        written(path, data)
    problems = ProblemFile(folder / "problems.jsonl")
    options = {"settings": Settings(max_requests=700), "depth": Depth.FULL, **options}
    found, hashes = scan(path, CheckOptions(scratch=folder, processes=processes, **options), problems, emit)
    problems.close()
    told = problems.path.read_bytes().splitlines() if problems.path.exists() else []
    return found, hashes, told


def without_sample(group: RequestGroup) -> RequestGroup:
    return replace(group, strata=tuple(replace(stratum, sampled=()) for stratum in group.strata))


def good(n: int, text: str = "x" * 90) -> bytes:
    return request_line(request_id(n), text)


def many(count: int = LINES) -> list[bytes]:
    # Of different lengths, some of them not ASCII.
    return [good(n, ("x" if n % 3 else "ü") * (60 + n % 200)) for n in range(count)]


def joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def with_line(at: int, line: bytes) -> Change:
    return lambda lines: joined([*lines[:at], line, *lines[at:]])


PARAMS: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 16, "messages": [{"role": "user", "content": "x"}]}


def a_request(n: int, **params: Any) -> bytes:
    return json.dumps({"custom_id": request_id(n), "params": {**PARAMS, **params}}).encode()


WHOLE: dict[str, Change] = {
    "plain": joined,
    "no newline at the end": lambda lines: joined(lines)[:-1],
    "ids in any order": lambda lines: joined([*lines[1500:], *lines[:1500]]),
    "carriage returns": lambda lines: joined([line + b"\r" for line in lines]),
    "two groups": lambda lines: joined([*lines, *(a_request(LINES + n, system="You are kind.") for n in range(900))]),
    "pictures late": lambda lines: joined([
        *lines,
        a_request(LINES, messages=[{"role": "user", "content": [
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]}]),
    ]),
}  # fmt: skip
ODD: dict[str, Change] = {
    "a fault": with_line(2_000, b'{"custom_id": "new", "params": {}}'),
    "a broken line": with_line(1_999, b'{"custom_id": "new", "par'),
    "a warning": with_line(2_500, a_request(9_999, temperature=0.5, top_p=0.5, unheard_of=1)),
    "a blank line": with_line(1_200, b""),
    "blank lines at the end": lambda lines: joined(lines) + b"\n\n",
    "a byte order mark": lambda lines: b"\xef\xbb\xbf" + joined(lines),
    "a long line": with_line(1_000, good(9_999, "x" * 200_000)),
    "the same id in another section": with_line(2_900, good(3)),
    "the same id on the next line": with_line(4, good(3)),
    "more system prompts than groups": lambda lines: joined(
        [*lines, *(a_request(LINES + n, system=f"You are number {n}.") for n in range(300))]
    ),
    "bytes that are no UTF-8": with_line(2_200, good(9_998).replace(b"xxx", b"x\xffx")),
}


def assert_same(folder: Path, data: bytes, **options: Any) -> Scan:
    one, hashes, told = checked(folder, data, 1, **options)
    several, hashes_of_several, told_of_several = checked(folder, data, 2, **options)
    assert replace(several, request_groups=()) == replace(one, request_groups=())
    assert list(map(without_sample, several.request_groups)) == list(map(without_sample, one.request_groups))
    assert told_of_several == told
    assert hashes_of_several == hashes
    return several


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "plain" else pytest.mark.slow) for name in WHOLE]
)
def test_what_is_plainly_good_is_checked_in_sections(tmp_path: Path, reports: list[bool], name: str) -> None:
    found = assert_same(tmp_path, WHOLE[name](many()))
    assert len(reports) > MAX_SAMPLED
    assert all(reports)
    # The sample is of lines that are where it says, from all over the file.
    data = (tmp_path / "in.jsonl").read_bytes()
    lines = data.split(b"\n")
    for group in found.request_groups:
        for stratum in group.strata:
            # Of many requests a sample is kept of no more than can be read, however many sections they come from.
            assert min(stratum.requests, MAX_SAMPLED // 4) <= len(stratum.sampled) <= MAX_SAMPLED
            assert len(set(stratum.sampled)) == len(stratum.sampled)
            for sampled in stratum.sampled:
                assert data[sampled.offset : sampled.offset + sampled.size] == lines[sampled.line - 1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
def test_whatever_else_there_is_is_left_to_one_process(tmp_path: Path, reports: list[bool], name: str) -> None:
    assert_same(tmp_path, ODD[name](many()))
    # Ids that repeat and groups that are too many show only once all of it was read.
    assert reports
    if name not in {
        "the same id in another section",
        "the same id on the next line",
        "more system prompts than groups",
    }:
        assert not reports[-1]


@pytest.mark.slow
def test_a_limit_in_bytes_and_a_sampled_depth_cut_and_check_alike(tmp_path: Path, reports: list[bool]) -> None:
    data = joined(many())
    assert len(assert_same(tmp_path, data, settings=Settings(max_bytes=70_000), depth=Depth.AUTO).cuts) > 5
    assert len(assert_same(tmp_path, data, settings=Settings(max_requests=1_000, size_start=7)).cuts) > 2
    assert all(reports)


@pytest.mark.slow
def test_models_are_judged_by_whoever_knows_those_of_the_account(tmp_path: Path, reports: list[bool]) -> None:
    fault = Fault("model_unknown", "no such model", path="params.model", severity=Severity.ERROR)
    data = joined([*many(), a_request(LINES, model="claude-nobody-1")])

    def judge(model: str, _: int) -> tuple[Fault, ...]:
        return (fault,) if model == "claude-nobody-1" else ()

    assert assert_same(tmp_path, data, judge=judge).errors == 1
    assert all(reports)


def test_a_small_input_starts_no_process(tmp_path: Path, reports: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "MIN_REQUESTS", 2 * LINES)
    before = set(multiprocessing.active_children())
    checked(tmp_path, joined(many()), 2, lambda _: _assert_no_process_since(before))
    assert reports == [False]


def _assert_no_process_since(before: set[Any]) -> None:
    assert set(multiprocessing.active_children()) == before


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_the_check_to_one(tmp_path: Path, reports: list[bool]) -> None:
    data = joined(many(40_000))
    one, _, _ = checked(tmp_path, data, 1)
    killed = threading.Event()

    def kill() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not killed.is_set():
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGKILL)
                killed.set()

    killer = threading.Thread(target=kill)
    killer.start()
    several, _, _ = checked(tmp_path, data, 2)
    killer.join()
    assert killed.is_set()
    assert not reports[-1]
    assert replace(several, request_groups=()) == replace(one, request_groups=())
    assert multiprocessing.active_children() == []


@pytest.mark.slow
@pytest.mark.parametrize("change", ["grows", "is another file"])
def test_an_input_that_changes_while_processes_read_it_is_refused(
    tmp_path: Path, reports: list[bool], change: str
) -> None:
    data = joined(many(20_000))
    path = tmp_path / "in.jsonl"
    changed: list[int] = []

    def emit(size: int) -> None:
        if changed:
            return
        changed.append(size)
        if change == "grows":
            with path.open("ab") as file:
                file.write(good(99_999) + b"\n")
        else:
            path.unlink()
            written(path, joined(many(10_000)))

    if change == "grows":
        with pytest.raises(InputProblem, match="changed while it was read"):
            checked(tmp_path, data, 2, emit)
    else:
        # The file that was opened is still there, whatever has its name now.
        found, _, _ = checked(tmp_path, data, 2, emit)
        assert found.count == 20_000
        assert not reports[-1]
    assert changed


def test_an_input_that_changes_once_all_its_lines_were_checked_is_refused(
    tmp_path: Path, reports: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes are still hashed then."""
    finish = Scanner.finish

    def changed(scanner: Scanner, sha256: str) -> Scan:
        (tmp_path / "in.jsonl").write_bytes(joined(many())[::-1])
        return finish(scanner, sha256)

    monkeypatch.setattr(Scanner, "finish", changed)
    with pytest.raises(InputProblem, match="changed while it was read"):
        checked(tmp_path, joined(many()), 2)
    assert all(reports)


@pytest.mark.slow
def test_whoever_is_interrupted_leaves_no_process_behind(tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checked(tmp_path, joined(many()), 2, interrupt)
    assert multiprocessing.active_children() == []
