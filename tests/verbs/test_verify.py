"""What the disk proves, and everything that can be wrong with it."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import few
from program import Cli, Ran, requests, wrong_request

from batchctl.emulator.running import Running, running

PARTS = ["requests", "origins", "left_out", "results", "sum", "output"]


@pytest.fixture(scope="module")
def kept() -> Iterator[Running]:
    """The API that has the batches of `job`."""
    with running({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.6, "recover_after": 2}}) as emulator:
        yield emulator
        assert emulator.unfired() == []


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture
def job(cli: Cli, kept: Running, shelf: Path) -> str:
    """Three rounds of 40 requests in 4 batches; all succeeded in the end, and merged. Made once, and copied."""
    if not (shelf / "in.jsonl").exists():
        _make(Cli(shelf, kept.base_url))
    shutil.copytree(shelf, cli.folder, dirs_exist_ok=True)
    cli.variables["ANTHROPIC_BASE_URL"] = kept.base_url
    (results,) = shelf.glob("*.results.jsonl")
    return results.name.removesuffix(".results.jsonl")


def _make(cli: Cli) -> None:
    cli.submitted("in.jsonl", requests(40), "--max-requests", "12")
    for status in (3, 3, 0):
        assert cli.run("fetch").status == status
        if status:
            assert cli.run("retry").status == 0


def folder_of(cli: Cli, job: str) -> Path:
    return cli.folder / ".batchctl" / "jobs" / job


def raw_of(cli: Cli, job: str, round_: int = 1, first: int = 12) -> Path:
    return folder_of(cli, job) / "raw" / f"round-{round_}.{first:09d}.jsonl"


def later(cli: Cli, job: str, ending: str, round_: int = 2) -> Path:
    return next(folder_of(cli, job).glob(f"round-{round_}.*.{ending}"))


def changed(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def flipped(data: bytes, at: int = 100) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def verified(cli: Cli, *words: str, status: int) -> Any:
    ran = cli.run("verify", *words, "--json")
    assert ran.status == status, ran.out + ran.err
    assert ran.err == ""
    return ran.json


def wrong(shape: Any) -> list[str]:
    return [part for part, verdict in shape["verdicts"].items() if verdict == "wrong"]


def mended(cli: Cli, job: str, command: str) -> Ran:
    """What a person gets who types what the report told them to."""
    *before, fetch = command.split(" && ")
    for words in map(str.split, before):
        assert words[0] == "rm"
        for path in words[1:]:
            (cli.folder / path).unlink()
    assert fetch.startswith(f"batchctl fetch {job}")
    return cli.run(*fetch.split()[1:])


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(folder.rglob("*"))}


# ---------------------------------------------------------------- it holds


def test_a_job_of_three_rounds_is_proved_from_the_disk_alone(cli: Cli, kept: Running, job: str) -> None:
    asked = kept.requests()
    before = everything(cli.folder)
    shape = verified(cli, status=0)
    assert everything(cli.folder) == before
    assert kept.requests() == asked
    assert (shape["holds"], shape["complete"], shape["flaws"]) == (True, True, 0)
    assert shape["verdicts"] == dict.fromkeys(PARTS, "ok")
    assert [r["round"] for r in shape["rounds"]] == [1, 2, 3]
    assert [r["results"] for r in shape["rounds"]] == [r["requests"] for r in shape["rounds"]]
    assert (shape["answers"]["succeeded"], shape["lines"], shape["next_command"]) == (40, 40, None)
    assert shape["results_file_lines"] == 40


def test_the_proof_is_a_line_for_each_part(cli: Cli, job: str) -> None:
    ran = cli.run("verify", job)
    assert ran.status == 0
    assert f"{job}  every line of the input has its one answer on the disk" in ran.out
    told = [re.split(r"  +", line.strip()) for line in ran.out.splitlines() if line.startswith("  ")]
    assert [(verdict, part) for verdict, part, _ in told] == [("ok", part.replace("_", " ")) for part in PARTS]
    assert "40 succeeded = 40 lines of the input" in ran.out
    assert "next:" not in ran.out


def test_a_request_without_success_has_its_answer_too(cli: Cli, emulator: Running) -> None:
    job = cli.submitted("in.jsonl", [*requests(5), wrong_request("bad")])
    assert cli.run("fetch").status == 3
    ran = cli.run("verify")
    assert ran.status == 0
    assert "5 succeeded, 1 errored = 6 lines of the input" in ran.out
    assert f"next: batchctl retry {job} --include-invalid --edit" in ran.out


@pytest.mark.slow
def test_results_with_a_blank_line_or_without_the_last_newline_are_read_as_they_were(cli: Cli) -> None:
    job = cli.submitted("in.jsonl", requests(3))
    assert cli.run("fetch").status == 0
    raw = raw_of(cli, job, first=0)
    assert raw.read_bytes().endswith(b"\n")
    _stored_anew(cli, raw, b"\n" + raw.read_bytes()[:-1])
    index = raw.with_suffix(".index").read_bytes()
    offsets = [at + 1 for at in struct.unpack("<3Q", index[:24])]
    raw.with_suffix(".index").write_bytes(struct.pack("<3Q", *offsets) + index[24:])
    assert verified(cli, status=0)["holds"]


def _stored_anew(cli: Cli, raw: Path, data: bytes) -> None:
    """As if these bytes had come."""
    raw.write_bytes(data)
    with contextlib.closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as ledger, ledger:
        values = (len(data), hashlib.sha256(data).hexdigest(), int(raw.name.split(".")[1]))
        ledger.execute("UPDATE batch SET results_bytes = ?, results_sha256 = ? WHERE first = ?", values)
    ledger.close()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_enough(cli: Cli, job: str) -> None:
    script = f"""
    mount --bind {cli.folder} {cli.folder} && mount -o remount,bind,ro {cli.folder} &&
    cd {cli.folder} && ! touch x 2>/dev/null && exec {sys.executable} -m batchctl verify {job}
    """
    words = ["unshare", "--mount", "--map-root-user", "sh", "-c", script]
    try:
        ran = subprocess.run(
            words, capture_output=True, text=True, timeout=60, env={**os.environ, **cli.variables}, check=False
        )
    except OSError:
        pytest.skip("no unshare here")
    if "unshare" in ran.stderr or "mount" in ran.stderr:
        pytest.skip(f"no mount of our own here: {ran.stderr.strip()}")
    assert ran.returncode == 0, ran.stderr
    assert "every line of the input has its one answer" in ran.stdout


# ---------------------------------------------------------------- not all there


def test_batches_that_are_not_fetched_leave_it_open(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 600})
    job = cli.submitted("in.jsonl", requests(6), "--max-requests", "2")
    shape = verified(cli, status=3)
    assert (shape["holds"], shape["complete"], shape["waiting"]) == (True, False, 3)
    assert shape["verdicts"]["results"] == shape["verdicts"]["sum"] == "open"
    assert (shape["answers"]["unanswered"], shape["verdicts"]["output"]) == (6, "not_told")
    assert shape["next_command"] == f"batchctl status {job} --watch"


@pytest.mark.slow
def test_what_has_ended_is_to_be_fetched(cli: Cli) -> None:
    job = cli.submitted("in.jsonl", requests(3))
    cli.run("status", job)
    assert verified(cli, status=3)["next_command"] == f"batchctl fetch {job}"


@pytest.mark.slow
def test_a_round_under_way_leaves_it_open_however_many_answers_there_are(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    cli.submitted("in.jsonl", requests(10))
    assert cli.run("fetch").status == 3
    assert verified(cli, status=0)["complete"]
    assert cli.run("retry").status == 0
    shape = verified(cli, status=3)
    assert (shape["waiting"], shape["answers"]["unanswered"], shape["flaws"]) == (1, 0, 0)


def test_lines_left_out_are_told_and_leave_it_open(cli: Cli) -> None:
    lines = requests(6)
    lines[2] = b'{"custom_id": 3}'
    cli.submitted("in.jsonl", lines, "--skip-bad")
    assert cli.run("fetch").status == 3
    shape = verified(cli, status=3)
    assert (shape["left_out"], shape["requests"], shape["lines"], shape["flaws"]) == (1, 5, 6, 0)
    assert shape["verdicts"]["left_out"] == "open"


@pytest.mark.slow
def test_requests_that_the_api_refused_are_unanswered(cli: Cli, emulator: Running) -> None:
    emulator.add_fault(
        {
            "on": "create",
            "fault": "status",
            "status": 400,
            "type": "invalid_request_error",
            "message": "requests.0.custom_id: odd",
        }
    )
    path = cli.write("in.jsonl", requests(20))
    assert cli.run("submit", path, "--max-requests", "10", "--parallel", "1").status == 1
    assert cli.run("submit", path).status == 3
    assert cli.run("fetch").status == 3
    shape = verified(cli, status=3)
    assert (shape["answers"]["unanswered"], shape["waiting"], shape["flaws"]) == (10, 0, 0)


# ---------------------------------------------------------------- results that are wrong


@pytest.mark.parametrize(
    "harm", few(["flipped", "cut", "gone", "index gone", "index flipped", "index of another batch"], 0, 2, 4)
)
def test_damaged_results_are_found_and_what_is_told_mends_them(cli: Cli, job: str, harm: str) -> None:
    raw = raw_of(cli, job)
    index = raw.with_suffix(".index")
    match harm:
        case "flipped":
            changed(raw, flipped)
        case "cut":
            changed(raw, lambda data: data[:500])
        case "gone":
            raw.unlink()
        case "index gone":
            index.unlink()
        case "index flipped":
            changed(index, lambda data: flipped(data, 3))
        case _:
            index.write_bytes(raw_of(cli, job, first=0).with_suffix(".index").read_bytes())
    shape = verified(cli, status=3)
    assert wrong(shape) == ["results"]
    assert shape["verdicts"]["output"] == "not_told"
    assert {(f["round"], f["batch"]) for f in shape["first_flaws"]} == {(1, 2)}
    assert shape["answers"]["unanswered"] > 0
    assert mended(cli, job, shape["first_flaws"][0]["hint"]).status == 0
    assert verified(cli, status=0)["complete"]


@pytest.mark.slow
def test_damage_in_a_large_raw_file_is_found_and_mended_too(
    cli: Cli, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch reads large files by position and would not see it."""
    monkeypatch.setattr("batchctl.results.downloaded.IN_MEMORY_BYTES", 100)
    changed(raw_of(cli, job), flipped)
    shape = verified(cli, status=3)
    assert mended(cli, job, shape["next_command"]).status == 0
    assert verified(cli, status=0)["complete"]


@pytest.mark.slow
def test_the_raw_file_stays_until_a_whole_download_takes_its_place(
    cli: Cli, kept: Running, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchctl.engine.download.GIVE_UP_AFTER", 1)
    raw = raw_of(cli, job)
    changed(raw, flipped)
    kept.add_fault({"on": "results", "fault": "missing_line"})
    before = raw.read_bytes()
    assert mended(cli, job, verified(cli, status=3)["next_command"]).status == 1
    assert raw.read_bytes() == before


def _otherwise(line: bytes) -> bytes:
    """The same result in other bytes: one of the same bytes is no second answer."""
    return line.replace(b"{", b"{ ", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[1:], ["this request has no result"]),
        (lambda lines: [*lines, _otherwise(lines[4])], ["a result whose custom_id occurs twice"]),
        (
            lambda lines: [lines[0].replace(b"r-000", b"x-000"), *lines[1:]],
            ["a result whose custom_id was not sent in this batch", "this request has no result"],
        ),
        (lambda lines: [b"{]", *lines[1:]], ["a line is not a result: {]", "this request has no result"]),
        (lambda lines: [*lines[:-1], lines[-1][:-4]], ["a line is not a result: "]),
    ],
    ids=["missing", "twice", "foreign", "no result", "cut"],
)
def test_lines_that_are_odd_are_named_one_by_one(
    cli: Cli, change: Callable[[list[bytes]], list[bytes]], said: list[str]
) -> None:
    """Even where the ledger was told of these bytes: a proof does not rest on a hash alone."""
    job = cli.submitted("in.jsonl", requests(12))
    assert cli.run("fetch").status == 0
    raw = raw_of(cli, job, first=0)
    _stored_anew(cli, raw, b"\n".join(change(raw.read_bytes().splitlines())))
    shape = verified(cli, status=3)
    told = [f["message"] for f in shape["first_flaws"]]
    for text in said:
        assert any(one.startswith(text) for one in told), told
    assert wrong(shape) == ["results"]


@pytest.mark.slow
def test_an_odd_line_is_told_with_its_number_and_id(cli: Cli) -> None:
    job = cli.submitted("in.jsonl", requests(12))
    assert cli.run("fetch").status == 0
    raw = raw_of(cli, job, first=0)
    lines = raw.read_bytes().splitlines()
    custom_id = json.loads(lines[4])["custom_id"]
    _stored_anew(cli, raw, b"\n".join([*lines, _otherwise(lines[4])]) + b"\n")
    flaw = next(f for f in verified(cli, status=3)["first_flaws"] if f["line"])
    assert (flaw["line"], flaw["custom_id"]) == (13, custom_id)
    assert f"round-1.000000000.jsonl line 13 ({custom_id}): a result whose custom_id occurs twice" in (
        cli.run("verify").out
    )


@pytest.mark.slow
def test_a_mark_that_the_line_does_not_bear_out_is_named_by_its_request(cli: Cli, job: str) -> None:
    index = raw_of(cli, job).with_suffix(".index")
    stored = bytearray(index.read_bytes())
    place = next(n for n in range(12) if stored[12 * 12 + n] == 1)
    stored[12 * 12 + place] = 10
    index.write_bytes(stored)
    shape = verified(cli, status=3)
    (flaw,) = shape["first_flaws"]
    assert flaw["custom_id"] == f"r-{12 + place:05d}"
    assert "state" in flaw["message"]


@pytest.mark.slow
def test_counts_that_are_not_the_ledgers_are_wrong(cli: Cli, job: str) -> None:
    with contextlib.closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE batch SET succeeded = succeeded + 1 WHERE round = 1 AND first = 12")
    ledger.close()
    shape = verified(cli, status=3)
    assert "the API counted" in shape["first_flaws"][0]["message"]


@pytest.mark.slow
def test_all_flaws_are_counted_and_the_first_are_shown(cli: Cli) -> None:
    job = cli.submitted("in.jsonl", requests(100))
    assert cli.run("fetch").status == 0
    index = raw_of(cli, job, first=0).with_suffix(".index")
    index.write_bytes(index.read_bytes()[:1200] + bytes(100))
    shape = verified(cli, status=3)
    assert (shape["flaws"], len(shape["first_flaws"])) == (100, 20)
    assert "and 80 more" in cli.run("verify").out


# ---------------------------------------------------------------- requests, origins, lines left out


@pytest.mark.slow
def test_requests_that_changed_are_named_and_the_answers_still_summed(cli: Cli, job: str) -> None:
    changed(folder_of(cli, job) / "round-1.requests.jsonl", lambda data: data.replace(b"What is 13 ", b"What is 99 "))
    shape = verified(cli, status=3)
    assert wrong(shape) == ["requests"]
    (flaw,) = shape["first_flaws"]
    assert (flaw["round"], flaw["batch"]) == (1, 2)
    assert "changed since it was planned: requests 13 to 24" in flaw["message"]
    assert shape["answers"]["succeeded"] == 40


@pytest.mark.slow
@pytest.mark.parametrize("round_", [1, 2])
def test_requests_that_are_gone_are_one_flaw_and_the_answers_still_summed(cli: Cli, job: str, round_: int) -> None:
    (folder_of(cli, job) / "round-1.requests.jsonl" if round_ == 1 else later(cli, job, "requests.jsonl")).unlink()
    shape = verified(cli, status=3)
    assert (wrong(shape), shape["flaws"], shape["answers"]["succeeded"]) == (["requests"], 1, 40)


@pytest.mark.slow
def test_an_input_that_is_elsewhere_can_be_named_and_mends_it(cli: Cli, job: str) -> None:
    (folder_of(cli, job) / "round-1.requests.jsonl").unlink()
    hint = verified(cli, status=3)["first_flaws"][0]["hint"]
    assert hint.endswith(f"batchctl fetch {job} --input PATH")
    assert cli.run("fetch", job, "--input", "in.jsonl").status == 0
    assert verified(cli, status=0)["complete"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [lambda data: data[:-8], lambda data: data + bytes(8), lambda data: bytes(len(data))]
)
def test_origins_that_are_short_long_or_not_rising_are_wrong(
    cli: Cli, job: str, change: Callable[[bytes], bytes]
) -> None:
    changed(later(cli, job, "origins"), change)
    shape = verified(cli, status=3)
    assert (wrong(shape), shape["flaws"]) == (["origins"], 1)
    assert shape["verdicts"]["output"] == "not_told"


@pytest.mark.slow
def test_origins_that_are_gone_are_wrong(cli: Cli, job: str) -> None:
    later(cli, job, "origins", 3).unlink()
    assert wrong(verified(cli, status=3)) == ["origins"]


@pytest.mark.slow
def test_origins_that_rise_and_lead_to_other_requests_are_found_by_the_ids(cli: Cli, job: str) -> None:
    path = later(cli, job, "origins", 3)
    count = len(path.read_bytes()) // 8
    origins = list(struct.unpack(f"<{count}Q", path.read_bytes()))
    free = next(n for n in range(40) if n not in origins)
    path.write_bytes(struct.pack(f"<{count}Q", *sorted([*origins[1:], free])))
    shape = verified(cli, status=3)
    assert wrong(shape)[0] == "origins"
    assert "is in the place of this request" in shape["first_flaws"][0]["message"]
    assert shape["first_flaws"][0]["line"] > 0


@pytest.mark.slow
def test_origins_beyond_round_1_are_wrong(cli: Cli, job: str) -> None:
    changed(later(cli, job, "origins"), lambda data: data[:-8] + struct.pack("<Q", 40))
    assert "more than 39" in verified(cli, status=3)["first_flaws"][0]["message"]


@pytest.mark.slow
@pytest.mark.parametrize("change", [lambda data: b"", lambda data: b"{]" + data, lambda data: b"[]\n"])
def test_a_file_of_left_out_lines_that_was_edited_is_wrong(cli: Cli, change: Callable[[bytes], bytes]) -> None:
    lines = requests(6)
    lines[2] = b'{"custom_id": 3}'
    job = cli.submitted("in.jsonl", lines, "--skip-bad")
    cli.run("fetch")
    changed(folder_of(cli, job) / "left-out.jsonl", change)
    assert wrong(verified(cli, status=3)) == ["left_out"]


@pytest.mark.slow
def test_line_numbers_that_were_lost_are_wrong(cli: Cli) -> None:
    job = cli.submitted("in.jsonl", [*requests(3), b"", *requests(3, "s")])
    assert cli.run("fetch").status == 0
    assert verified(cli, status=0)["complete"]
    changed(folder_of(cli, job) / "round-1.lines", lambda data: data[:-3])
    shape = verified(cli, status=3)
    assert (wrong(shape), shape["answers"]) == (["origins"], None)


@pytest.mark.slow
def test_a_ledger_whose_batches_leave_a_gap_is_no_proof(cli: Cli, job: str) -> None:
    with contextlib.closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as ledger, ledger:
        ledger.execute("PRAGMA foreign_keys=OFF")
        ledger.execute("DELETE FROM batch WHERE round = 1 AND first = 12")
    ledger.close()
    shape = verified(cli, status=3)
    assert {"requests", "sum"} <= set(wrong(shape))
    assert "batch 2 begins at request 25, not 13" in [f["message"] for f in shape["first_flaws"]]


# ---------------------------------------------------------------- the merged file


@pytest.mark.parametrize("harm", few(["edited", "cut", "longer", "empty", "two lines changed places"], 0, 4))
def test_merged_results_that_are_not_what_a_merge_writes_are_wrong(cli: Cli, job: str, harm: str) -> None:
    path = cli.folder / f"{job}.results.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    line, data = {
        "edited": (8, b"".join([*lines[:7], lines[7].replace(b"r-00007", b"r-0000x"), *lines[8:]])),
        "cut": (31, b"".join(lines[:30])),
        "longer": (41, b"".join([*lines, lines[0]])),
        "empty": (1, b""),
        "two lines changed places": (3, b"".join([*lines[:2], lines[3], lines[2], *lines[4:]])),
    }[harm]
    later = path.stat().st_mtime_ns + 1_000_000_000
    path.write_bytes(data)
    # Nobody edits within the tick of the clock in which it was written.
    os.utime(path, ns=(later, later))
    shape = verified(cli, status=3)
    (flaw,) = shape["first_flaws"]
    assert (wrong(shape), flaw["line"]) == (["output"], line)
    assert flaw["custom_id"] == (f"r-{line - 1:05d}" if line <= 40 else None)
    assert shape["next_command"] == f"batchctl fetch {job} --force"
    assert f"differs from line {line} on" in cli.run("verify").out
    # It may be a person's work by now.
    assert cli.run("fetch").status == (0 if harm == "empty" else 6)
    assert cli.run("fetch", "--force").status == 0
    assert path.read_bytes() == b"".join(lines)
    assert verified(cli, status=0)["complete"]


@pytest.mark.slow
def test_a_missing_file_is_no_flaw_unless_it_was_named(cli: Cli, job: str) -> None:
    (cli.folder / f"{job}.results.jsonl").unlink()
    assert verified(cli, status=0)["verdicts"]["output"] == "not_told"
    shape = verified(cli, "--output", "mine.jsonl", status=3)
    assert wrong(shape) == ["output"]
    assert shape["next_command"] == f"batchctl fetch {job} --output mine.jsonl"
    assert mended(cli, job, shape["next_command"]).status == 0
    assert verified(cli, "-o", "mine.jsonl", status=0)["verdicts"]["output"] == "ok"


@pytest.mark.slow
def test_the_output_is_looked_for_where_fetch_was_told_to_put_it(cli: Cli, job: str) -> None:
    (cli.folder / "out").mkdir()
    assert cli.run("fetch", "--output-dir", "out").status == 0
    shape = verified(cli, "--output-dir", "out", status=0)
    assert shape["results_file"] == f"out/{job}.results.jsonl"
    changed(cli.folder / "out" / f"{job}.results.jsonl", flipped)
    assert verified(cli, "--output-dir", "out", status=3)["next_command"].endswith(f"out/{job}.results.jsonl --force")
    assert cli.run("verify", "--output-dir", "nowhere").status == 2
    assert cli.run("verify", "-o", "-").status == 2


# ---------------------------------------------------------------- requests that nobody knows


def _made_elsewhere(cli: Cli) -> None:
    with contextlib.closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE round SET request_file = '' WHERE number = 1")
    ledger.close()


def test_batches_made_elsewhere_are_held_against_the_counts_alone(cli: Cli) -> None:
    job = cli.submitted("in.jsonl", requests(20), "--max-requests", "10")
    assert cli.run("fetch").status == 0
    _made_elsewhere(cli)
    shape = verified(cli, status=0)
    assert [r["requests_known"] for r in shape["rounds"]] == [False]
    assert "their requests are not known here" in cli.run("verify").out
    raw = raw_of(cli, job, first=10)
    lines = raw.read_bytes().splitlines(keepends=True)
    _stored_anew(cli, raw, b"".join([*lines[:-1], lines[0].replace(b'"msg_', b'"msh_', 1)]))
    shape = verified(cli, status=3)
    assert {f["message"] for f in shape["first_flaws"]} >= {
        "a result whose custom_id occurs twice",
        "1 of 10 requests have no result",
        "the index does not match the lines of the file",
    }


def test_an_unknown_job_is_usage_and_verify_asks_for_no_key(cli: Cli, job: str) -> None:
    assert cli.run("verify", "nosuch").status == 2
    cli.variables = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
    assert cli.run("verify", job).status == 0
