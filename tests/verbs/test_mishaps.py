"""What people, editors and disks do to the files; what a shell does to the streams; what a secret must not do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cases import few
from program import Cli, ids, request, requests, wrong_request

from batchctl.emulator.running import Running

CREATE = "POST /v1/messages/batches"


def _failed_job(cli: Cli, emulator: Running) -> str:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    job = cli.submitted("in.jsonl", requests(20))
    assert cli.run("fetch").status == 3
    return job


def _shell(cli: Cli, line: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **cli.variables, "PYTHON": sys.executable}
    command = ["bash", "-c", line.replace("batchctl", "$PYTHON -m batchctl")]
    return subprocess.run(
        command, cwd=cli.folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.slow
def test_an_input_rewritten_in_place_changes_nothing_that_was_planned(cli: Cli, emulator: Running) -> None:
    job = _failed_job(cli, emulator)
    cli.write("in.jsonl", [line.replace(b"r-0", b"x-0") for line in requests(20)])
    assert cli.run("retry").status == 0
    assert cli.run("fetch").status == 0
    assert ids(cli.results(job)) == [f"r-{n:05d}" for n in range(20)]


def test_a_retry_never_sends_bytes_that_were_not_checked(cli: Cli, emulator: Running) -> None:
    job = _failed_job(cli, emulator)
    kept = cli.folder / ".batchctl" / "jobs" / job / "round-1.requests.jsonl"
    kept.write_bytes(kept.read_bytes().replace(b"r-0", b"x-0"))
    creates = emulator.requests()[CREATE]
    ran = cli.run("retry")
    assert ran.status == 5
    assert "changed since it was planned" in ran.err
    assert emulator.requests()[CREATE] == creates


@pytest.mark.parametrize("harm", few(["cut", "gone", "index gone"], 0, 2))
def test_results_that_a_disk_lost_are_downloaded_again(cli: Cli, emulator: Running, harm: str) -> None:
    job = cli.submitted("in.jsonl", requests(6))
    assert cli.run("fetch").status == 0
    before = (cli.folder / f"{job}.results.jsonl").read_bytes()
    raw = cli.folder / ".batchctl" / "jobs" / job / "raw" / "round-1.000000000.jsonl"
    match harm:
        case "cut":
            raw.write_bytes(raw.read_bytes()[:500])
        case "gone":
            raw.unlink()
        case _:
            raw.with_suffix(".index").unlink()
    assert cli.run("fetch").status == 0
    assert (cli.folder / f"{job}.results.jsonl").read_bytes() == before


@pytest.mark.parametrize("file", [".jsonl", ".index"])
def test_results_that_a_disk_changed_are_never_merged(cli: Cli, file: str) -> None:
    job = cli.submitted("in.jsonl", requests(6))
    assert cli.run("fetch").status == 0
    raw = cli.folder / ".batchctl" / "jobs" / job / "raw" / "round-1.000000000.jsonl"
    harmed = raw.with_suffix(file)
    harmed.write_bytes(b"\xee" * harmed.stat().st_size)
    ran = cli.run("fetch")
    assert ran.status == 1
    assert "delete it" in ran.err
    harmed.unlink()
    assert cli.run("fetch").status == 0


def _flip_a_byte_of_a_head(raw: Path, head: bytes) -> None:
    """The second letter of it, where it stands first."""
    harmed = bytearray(raw.read_bytes())
    harmed[harmed.index(head) + 1] ^= 0x40
    raw.write_bytes(harmed)


@pytest.mark.parametrize("verb", few(["fetch", "retry"], 0))
def test_a_large_file_of_results_that_a_disk_changed_is_one_message(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr("batchctl.results.downloaded.IN_MEMORY_BYTES", 100)
    job = _failed_job(cli, emulator)
    raw = cli.folder / ".batchctl" / "jobs" / job / "raw" / "round-1.000000000.jsonl"
    _flip_a_byte_of_a_head(raw, b'"result":{"type":"errored"')
    ran = cli.run(verb)
    assert ran.status == 1
    assert f"{raw}: differs from the bytes that were verified after the download" in ran.err
    assert "delete it" in ran.err
    assert "Traceback" not in ran.err
    raw.unlink()
    assert cli.run("fetch").status == 3
    assert cli.run("retry").status == 0


def test_an_input_is_not_paired_with_a_large_file_of_results_that_a_disk_changed(
    cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchctl.results.downloaded.IN_MEMORY_BYTES", 100)
    cli.submitted("in.jsonl", requests(6), "--workspace", "elsewhere")
    job = cli.run("attach", emulator.batches()[0]["id"]).job
    assert cli.run("fetch").status == 0
    raw = cli.folder / ".batchctl" / "jobs" / job / "raw" / "round-1.000000000.jsonl"
    _flip_a_byte_of_a_head(raw, b'"custom_id":"r-00003"')
    ran = cli.run("attach", job, "--input", "in.jsonl")
    assert ran.status == 1
    assert f"{raw}: differs from the bytes that were verified after the download" in ran.err
    assert "Traceback" not in ran.err
    raw.unlink()
    assert cli.run("attach", job, "--input", "in.jsonl").status == 0
    assert cli.run("fetch").status == 0


def test_a_key_with_a_newline_is_named_as_the_cause_and_never_shown(cli: Cli, emulator: Running) -> None:
    cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-SECRET\n"
    ran = cli.run("submit", cli.write("in.jsonl", requests(2)))
    assert ran.status == 4
    assert "newline" in ran.err
    assert "SECRET" not in ran.err
    ledger = (cli.folder / ".batchctl" / "ledger.db").read_bytes()
    assert b"SECRET" not in ledger
    assert emulator.batches() == []


def test_results_never_take_the_place_of_a_device_a_pipe_or_the_input(cli: Cli) -> None:
    job = cli.submitted("b.errors.jsonl", requests(2))
    os.mkfifo(cli.folder / "pipe")
    for output in ("pipe", "/dev/null", "b.errors.jsonl", "b.jsonl"):
        assert cli.run("fetch", job, "-o", output).status == 6, output
    assert (cli.folder / "b.errors.jsonl").read_bytes().count(b"\n") == 2
    (cli.folder / "real.jsonl").write_text("old")
    (cli.folder / "link.jsonl").symlink_to("real.jsonl")
    assert cli.run("fetch", job, "-o", "link.jsonl").status == 6
    assert (cli.folder / "real.jsonl").read_text() == "old"
    assert cli.run("fetch", job, "-o", "link.jsonl", "--force").status == 0
    assert (cli.folder / "link.jsonl").is_symlink()
    assert (cli.folder / "real.jsonl").read_bytes().count(b"\n") == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("batchctl submit in.jsonl --yes <&-", 0, "planned"),
        ("batchctl submit - <&-", 5, "stdin is closed"),
        ("batchctl submit <(cat in.jsonl) --yes", 0, "planned"),
        ("batchctl status >/dev/full", 1, "No space left"),
        ("batchctl submit in.jsonl --max-bytes inf", 2, "not a size"),
        ("BATCHCTL_UNCONFIRMED_GRACE=nan batchctl submit in.jsonl", 2, "BATCHCTL_UNCONFIRMED_GRACE"),
        # The name that earlier versions read.
        ("BATCHCTL_DOUBT_GRACE=nan batchctl submit in.jsonl", 2, "BATCHCTL_DOUBT_GRACE"),
        ("BATCHCTL_DOUBT_GRACE=nan BATCHCTL_UNCONFIRMED_GRACE=1 batchctl submit in.jsonl --yes", 0, "planned"),
        ("batchctl submit in.jsonl --workspace '~nosuchuser/x'", 2, "no such user"),
        ("batchctl submit in.jsonl --base-url http://127.0.0.1:abc", 2, "not a URL"),
        ("batchctl submit in.jsonl --base-url 'http://[::1'", 2, "not a URL"),
        ("batchctl submit in.jsonl --beta $'a\\nb'", 2, "--beta"),
        ("batchctl submit $(printf 'n%.0s' {1..300})", 1, "too long"),
        ("batchctl submit $'\\xff.jsonl'", 5, "UTF-8"),
        ("mkdir d; cd d; rmdir ../d; batchctl status", 1, "No such file"),
        ("batchctl fetch -o - >&-", 2, "stdout is closed"),
        ("batchctl retry --from -", 2, "uncompressed file"),
        ("batchctl submit .", 5, "is a folder"),
        ("batchctl submit in.jsonl --yes -q; batchctl cancel $'\\xff'", 2, "no such"),
        ("batchctl submit in.jsonl --yes -q; batchctl run $'\\xff'", 2, "no such"),
        ("batchctl submit in.jsonl --yes -q; batchctl verify -o $'\\xff'", 3, ""),
    ],
)
def test_an_odd_command_line_is_one_message_and_no_traceback(cli: Cli, line: str, status: int, said: str) -> None:
    if "retry" in line or "fetch" in line or line == "batchctl status >/dev/full":
        cli.submitted("first.jsonl", requests(2, "f"))
        cli.run("fetch")
    cli.write("in.jsonl", requests(2))
    (cli.folder / os.fsdecode(b"\xff.jsonl")).write_bytes(requests(1)[0])
    ran = _shell(cli, line)
    assert "Traceback" not in ran.stderr
    assert ran.returncode == status, ran.stderr
    assert said in ran.stderr


def test_a_mistyped_file_is_not_taken_for_a_job(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "create", "fault": "queue_full", "nth": 2, "retry_after": 30})
    path = cli.write("customers.jsonl", requests(20))
    assert cli.run("submit", path, "--max-requests", "10", "--parallel", "1", "--no-wait").status == 8
    creates = emulator.requests()[CREATE]
    assert cli.run("submit", "c").status == 5
    assert emulator.requests()[CREATE] == creates


def test_a_retry_that_finds_nothing_to_send_still_says_that_some_failed(cli: Cli, emulator: Running) -> None:
    job = cli.submitted("in.jsonl", [wrong_request("bad"), request("good")])
    assert cli.run("fetch").status == 3
    Path(cli.folder / f"{job}.results.jsonl").unlink()
    ran = cli.run("retry")
    assert ran.status == 3
    assert "nothing to send again" in ran.err


@pytest.mark.parametrize("options", few([["--dry-run"], ["--edit"], ["--only", "expired"], ["--from", "in.jsonl"]], 0))
def test_an_unfinished_round_is_finished_before_another_is_made(
    cli: Cli, emulator: Running, options: list[str]
) -> None:
    _failed_job(cli, emulator)
    emulator.add_fault(
        {"on": "create", "fault": "status", "status": 401, "type": "authentication_error", "message": "no"}
    )
    assert cli.run("retry").status == 4
    creates = emulator.requests()[CREATE]
    ran = cli.run("retry", *options)
    assert ran.status == 6
    assert "still has batches to send" in ran.err
    assert emulator.requests()[CREATE] == creates


@pytest.mark.slow
def test_an_edited_file_can_be_rehearsed(cli: Cli, emulator: Running) -> None:
    job = _failed_job(cli, emulator)
    assert cli.run("retry", "--edit").status == 0
    creates = emulator.requests()[CREATE]
    path = f"{job}.round-2.requests.jsonl"
    assert cli.run("retry", "--from", path, "--dry-run").status == 0
    assert emulator.requests()[CREATE] == creates
    assert cli.run("retry", "--from", path).status == 0
    assert cli.run("fetch").status == 0
