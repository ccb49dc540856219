import gzip
import json
from pathlib import Path

import pytest
from backports import zstd
from cases import few
from program import Cli, ids, request, requests, sent_lines

from batchctl.emulator.running import Running

CREATE = "POST /v1/messages/batches"


def test_every_batch_received_is_a_byte_identical_range_of_the_input(cli: Cli, emulator: Running) -> None:
    lines = requests(25)
    lines[3] = b'  {"custom_id" : "sp\\u0061ced",  "params":{"max_tokens":1,"model":"claude-haiku-4-5",' + (
        '"messages":[{"role":"user","content":"a\u2028b \\u00e9 \u00e9"}]}}'.encode()
    )
    cli.submitted("in.jsonl", lines, "--max-requests", "10", "--parallel", "1")
    assert [len(batch) for batch in sent_lines(emulator)] == [10, 10, 5]
    joined = b",".join(emulator.body(b["id"])[13:-2] for b in emulator.batches())
    assert joined == b",".join(lines)


def test_the_name_of_the_job_is_all_that_stands_on_stdout(cli: Cli) -> None:
    ran = cli.run("submit", cli.write("reviews.jsonl", requests(3)))
    assert ran.out.startswith("reviews-")
    assert ran.out.count("\n") == 1
    assert "sent       batch 1 of 1 (3 requests)" in ran.err
    assert f"next: batchctl status {ran.job} --watch" in ran.err


def test_the_same_input_again_is_refused_and_again_pays_again(cli: Cli, emulator: Running) -> None:
    job = cli.submitted("in.jsonl", requests(3))
    refused = cli.run("submit", "in.jsonl")
    assert refused.status == 6
    assert job in refused.err
    assert "--again" in refused.err
    again = cli.run("submit", "in.jsonl", "--again")
    assert (again.status, again.job) == (0, f"{job}-2")
    assert emulator.requests()[CREATE] == 2


def test_the_same_bytes_under_another_name_are_the_same_input(cli: Cli) -> None:
    cli.submitted("in.jsonl", requests(3))
    assert cli.run("submit", cli.write("copy.jsonl", requests(3))).status == 6


@pytest.mark.parametrize(
    "kind",
    few(["plain", "gzip", "zstd", "stdin", "byte order mark", "blank lines", "crlf", "no final newline"], 1),
)
def test_every_way_in_sends_the_same_requests(cli: Cli, emulator: Running, kind: str) -> None:
    lines = requests(7)
    text = b"".join(line + b"\n" for line in lines)
    path, stdin = cli.folder / "in.jsonl", b""
    match kind:
        case "gzip":
            path = cli.folder / "in.jsonl.gz"
            path.write_bytes(gzip.compress(text))
        case "zstd":
            path = cli.folder / "in.jsonl.zst"
            path.write_bytes(zstd.compress(text))
        case "stdin":
            path, stdin = Path("-"), text
        case "byte order mark":
            path.write_bytes(b"\xef\xbb\xbf" + text)
        case "blank lines":
            path.write_bytes(b"\n" + text.replace(b"\n", b"\n \n"))
        case "crlf":
            path.write_bytes(text.replace(b"\n", b"\r\n"))
        case "no final newline":
            path.write_bytes(text[:-1])
        case _:
            path.write_bytes(text)
    ran = cli.run("submit", path, "--max-requests", "3", "--parallel", "1", stdin=stdin)
    assert ran.status == 0, ran.err
    assert [line.strip() for batch in sent_lines(emulator) for line in batch] == lines
    fetched = cli.run("fetch")
    assert fetched.status == 0, fetched.err
    assert ids(cli.results(ran.job)) == [json.loads(line)["custom_id"] for line in lines]


def test_one_bad_line_sends_nothing_and_names_file_line_and_cause(cli: Cli, emulator: Running) -> None:
    lines = [*requests(5), request("bad id"), *requests(2, "s"), request("x", stream=True)]
    ran = cli.run("submit", cli.write("in.jsonl", lines))
    assert ran.status == 5
    assert "line 6" in ran.err
    assert "line 9 (x)" in ran.err
    assert "in.jsonl: 2 of 9 lines cannot be sent; nothing was sent" in ran.err
    assert CREATE not in emulator.requests()


def test_bad_lines_left_out_stay_accounted_for(cli: Cli, emulator: Running) -> None:
    lines = [request("a"), b"{broken", request("b"), request("a"), request("c")]
    ran = cli.run("submit", cli.write("in.jsonl", lines), "--skip-bad")
    assert ran.status == 0, ran.err
    assert sent_lines(emulator) == [[lines[0], lines[2], lines[4]]]
    assert cli.run("fetch").status == 3
    assert ids(cli.results(ran.job)) == ["a", "b", "c"]
    errors = cli.errors(ran.job)
    assert [(e["line"], e["outcome"], e["type"]) for e in errors] == [
        (2, "unanswered", errors[0]["type"]),
        (4, "unanswered", "custom_id_repeated"),
    ]


def test_a_repeated_id_names_both_lines(cli: Cli) -> None:
    lines = [*requests(30), request("r-00004")]
    ran = cli.run("submit", cli.write("in.jsonl", lines))
    assert ran.status == 5
    assert "line 31 (r-00004)" in ran.err
    assert "line 5" in ran.err


def test_a_warning_needs_a_yes_and_a_clean_file_none(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", [request("a", newer_parameter=1)])
    asked = cli.run("submit", path)
    assert asked.status == 6
    assert "newer_parameter" in asked.err
    assert "--yes" in asked.err
    assert CREATE not in emulator.requests()
    assert cli.run("submit", path, "--yes").status == 0


def test_a_dry_run_sends_nothing_and_shows_the_exact_payload(cli: Cli, emulator: Running) -> None:
    lines = requests(5)
    path = cli.write("in.jsonl", lines)
    ran = cli.run("submit", path, "--dry-run", "--max-requests", "2")
    assert ran.out.splitlines()[0] == f"batch 1 of 3: 2 requests, {len(lines[0]) + len(lines[1]) + 16} bytes"
    shown = cli.run("submit", path, "--dry-run", "--show", "4", "--max-requests", "2")
    assert shown.out == f'{{"requests":[{lines[3].decode()}]}}\n'
    assert CREATE not in emulator.requests()
    assert cli.run("submit", path).status == 0


def _partly_sent(cli: Cli, emulator: Running, lines: list[bytes]) -> str:
    """A job of which the first batch of two requests is sent."""
    emulator.add_fault({"on": "create", "nth": 2, "fault": "status", "status": 401, "message": "no"})
    path = cli.write("in.jsonl", lines)
    assert cli.run("submit", path, "--max-requests", "2", "--parallel", "1").status == 4
    (job,) = cli.run("status", "--json", "--offline").json["jobs"]
    return str(job["job"])


def test_the_last_job_is_sent_by_the_word_for_it(cli: Cli, emulator: Running) -> None:
    assert "has no job" in cli.run("submit", "@last").err
    lines = requests(5)
    job = _partly_sent(cli, emulator, lines)
    ran = cli.run("submit", "@last", "--dry-run")
    assert (ran.status, ran.err.splitlines()[-1]) == (0, f"next: batchctl submit {job}")
    assert cli.run("submit", "@last", "--show", "2").out == f'{{"requests":[{lines[3].decode()}]}}\n'
    ran = cli.run("submit", "@last", "--yes")
    assert (ran.status, ran.job) == (0, job), ran.err
    assert cli.run("submit", "@last").status == 6


def test_a_file_with_the_word_for_the_last_job_is_an_input(cli: Cli, emulator: Running) -> None:
    job = cli.submitted("in.jsonl", requests(2))
    assert cli.submitted("@last", requests(3, "x")) != job


@pytest.mark.slow
def test_a_dry_run_of_a_job_shows_what_is_left_of_it(cli: Cli, emulator: Running) -> None:
    lines = requests(5)
    job = _partly_sent(cli, emulator, lines)
    ran = cli.run("submit", job, "--dry-run")
    assert ran.status == 0, ran.err
    assert ran.out.splitlines()[:2] == [
        f"batch 2 of 3: 2 requests, {len(lines[2]) + len(lines[3]) + 16} bytes",
        f"batch 3 of 3: 1 request, {len(lines[4]) + 15} bytes",
    ]
    assert ran.err.splitlines()[-2:] == ["nothing was sent", f"next: batchctl submit {job}"]
    shape = cli.run("submit", job, "--dry-run", "--json").json
    assert (shape["type"], shape["requests"], shape["unconfirmed"]) == ("rest", 3, 0)
    assert (shape["estimate"]["requests"], len(shape["batches"])) == (3, 2)
    shown = cli.run("submit", job, "--show", "2")
    assert shown.out == f'{{"requests":[{lines[3].decode()}]}}\n'
    assert "3 requests" in cli.run("submit", job, "--show", "4").err
    assert cli.run("submit", job, "--dry-run", "--max-cost", "0.000001").status == 6
    assert cli.run("submit", job, "--dry-run", "--max-requests", "3").status == 6
    assert cli.run("submit", job, "--dry-run", "--input", cli.write("x.jsonl", requests(5, "x"))).status == 5
    assert emulator.requests()[CREATE] == 2
    assert cli.run("submit", job).status == 0
    ran = cli.run("submit", job, "--dry-run")
    assert (ran.status, "all of it was already sent" in ran.err) == (6, True)


def test_a_dry_run_of_what_is_neither_a_file_nor_a_job_says_so(cli: Cli) -> None:
    cli.submitted("in.jsonl", requests(2), "--name", "first")
    ran = cli.run("submit", "firs", "--dry-run")
    assert (ran.status, "firs: no such file" in ran.err) == (5, True)


def test_show_counts_requests_not_lines_when_lines_are_left_out(cli: Cli) -> None:
    lines = [request("a"), b"{broken", b"", request("b")]
    shown = cli.run("submit", cli.write("in.jsonl", lines), "--skip-bad", "--dry-run", "--show", "2")
    assert shown.out == f'{{"requests":[{lines[3].decode()}]}}\n'


def test_betas_and_version_travel_as_headers_of_the_batch(cli: Cli, emulator: Running) -> None:
    cli.submitted(
        "in.jsonl",
        [request("a", temperature=0.5)],
        *(
            "--beta",
            "output-300k-2026-03-24",
            "--api-version",
            "2023-06-01",
            "--label",
            "team=evals",
            "--name",
            "first",
        ),
    )
    batch = emulator.batches()[0]
    assert (batch["betas"], batch["api_version"]) == (["output-300k-2026-03-24"], "2023-06-01")
    shape = cli.run("status", "first", "--json").json
    assert (shape["job"], shape["labels"]) == ("first", {"team": "evals"})


def test_sampling_parameters_are_refused_under_the_version_that_dropped_them(cli: Cli) -> None:
    ran = cli.run("submit", cli.write("in.jsonl", [request("a", temperature=0.5)]))
    assert ran.status == 5
    assert "--api-version 2023-06-01" in ran.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--max-requests", "100001"], "100,000"),
        (["--max-bytes", "300MB"], "250MB"),
        (["--name", "../up"], "--name"),
        (["--base-url", "http://example.com"], "plain http"),
        (["--label", "novalue"], "--label"),
        (["--check", "some"], "--check"),
    ],
)
def test_an_option_that_cannot_be_meant_is_usage(cli: Cli, options: list[str], said: str) -> None:
    ran = cli.run("submit", cli.write("in.jsonl", requests(1)), *options)
    assert ran.status == 2
    assert said in ran.err


def test_json_is_one_object_on_stdout_and_errors_one_on_stderr(cli: Cli) -> None:
    path = cli.write("in.jsonl", requests(3))
    shape = cli.run("submit", path, "--json").json
    assert shape["schema_version"] == 1
    assert shape["batches"] == {"total": 1, "ended": 0, "fetched": 0, "provisional": 0}
    failed = cli.run("submit", path, "--json")
    assert json.loads(failed.err)["code"] == "refused"
    assert json.loads(failed.err)["exit_status"] == failed.status == 6


def test_a_body_never_passes_the_limit_in_bytes(cli: Cli, emulator: Running) -> None:
    cli.submitted("in.jsonl", requests(40), "--max-bytes", "2KB")
    sizes = [b["body_bytes"] for b in emulator.batches()]
    assert len(sizes) > 2
    assert max(sizes) <= 2000


def test_the_workspace_is_private_and_holds_no_key(cli: Cli) -> None:
    cli.submitted("in.jsonl", requests(3))
    root = cli.folder / ".batchctl"
    for path in [root, *root.rglob("*")]:
        kept = path.name == "round-1.requests.jsonl" and path.stat().st_nlink > 1
        assert kept or path.name == ".gitignore" or not path.stat().st_mode & 0o077, path
        assert path.is_dir() or b"sk-ant-tests" not in path.read_bytes()


def test_a_person_may_know_better_than_the_sdks_types(cli: Cli) -> None:
    path = cli.write("in.jsonl", [request("a", stop_sequences="unheard-of")])
    assert cli.run("submit", path).status == 5
    ran = cli.run("submit", path, "--check", "envelope")
    assert ran.status == 0, ran.err
    assert "none in depth" in ran.err
