"""`--cache-system`: the one change that is made to what a person wrote, at a person's wish."""

import json
from pathlib import Path
from typing import Any

import pytest
from cases import few
from program import Cli, request, requests, sent_lines

from batchctl.emulator.running import Running

CREATE = "POST /v1/messages/batches"
SYSTEM = "You sort the mail of a small shop. " * 600
MARK = {"type": "ephemeral", "ttl": "1h"}
LONG = b',"cache_control":{"type":"ephemeral","ttl":"1h"}'


def lines(count: int = 20, system: Any = SYSTEM) -> list[bytes]:
    return [request(f"r-{n:03d}", f"letter {n}", system=system) for n in range(count)]


def marked(line: bytes, mark: bytes = LONG) -> bytes:
    """As it is to be sent, of a line whose system prompt is the last text in it."""
    text = json.dumps(SYSTEM).encode()
    assert line.count(text) == 1
    return line.replace(text, b'[{"type":"text","text":%b%b}]' % (text, mark))


def used(cli: Cli, job: str) -> dict[str, int]:
    """Tokens written to caches and read from them, over all answers."""
    found = [one["result"]["message"]["usage"] for one in cli.results(job)]
    return {
        "1h": sum(one["cache_creation"]["ephemeral_1h_input_tokens"] for one in found),
        "5m": sum(one["cache_creation"]["ephemeral_5m_input_tokens"] for one in found),
        "read": sum(one["cache_read_input_tokens"] for one in found),
    }


def test_without_the_option_nothing_is_cached_and_with_it_prompts_are_written_and_read(
    cli: Cli, emulator: Running
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "cache": {"cold_hit_rate": 0.8}})
    plain = cli.submitted("in.jsonl", lines())
    assert cli.run("fetch").status == 0
    assert used(cli, plain) == {"1h": 0, "5m": 0, "read": 0}
    for ttl, other in (("1h", "5m"), ("5m", "1h")):
        job = cli.submitted("in.jsonl", lines(), "--again", "--cache-system", ttl)
        assert cli.run("fetch").status == 0
        found = used(cli, job)
        assert found[ttl] > 0
        assert found["read"] > found[ttl]
        assert found[other] == 0


def test_what_is_sent_differs_from_what_was_written_by_nothing_else(cli: Cli, emulator: Running) -> None:
    written = lines(7)
    written[2] = written[2].replace(b'"max_tokens": 64', b'"max_tokens"  :\t64').replace(b"letter", rb"l\u0065tter")
    ran = cli.run(
        "submit",
        cli.write("in.jsonl", written),
        *("--cache-system", "1h", "--max-requests", "3", "--parallel", "1"),
    )
    assert ran.status == 0, ran.err
    assert "cached     cache_control for 1h added to 7 system prompts\n" in ran.err
    assert [line for batch in sent_lines(emulator) for line in batch] == [marked(line) for line in written]
    assert (cli.folder / "in.jsonl").read_bytes() == b"".join(line + b"\n" for line in written)
    assert not list((cli.folder / ".batchctl" / "tmp").iterdir())


def test_a_dry_run_shows_the_changed_request_and_sends_nothing(cli: Cli, emulator: Running) -> None:
    written = lines(3)
    path = cli.write("in.jsonl", written)
    shown = cli.run("submit", path, "--cache-system", "1h", "--show", "2")
    assert shown.out.encode() == b'{"requests":[' + marked(written[1]) + b"]}\n"
    told = cli.run("submit", path, "--cache-system", "1h", "--dry-run")
    size = sum(len(marked(line)) + 1 for line in written) + 14
    assert told.out.splitlines()[0] == f"batch 1 of 1: 3 requests, {size:,} bytes"
    shape = cli.run("submit", path, "--cache-system", "1h", "--dry-run", "--json").json
    assert shape["cache_system"] == {"ttl": "1h", "requests": 3, "seen_before": 2, "left": [], "too_short": []}
    assert shape["bytes"] == path.stat().st_size
    plain = cli.run("submit", path, "--dry-run", "--json").json
    assert (plain["cache_system"], plain["sha256"]) == (None, shape["sha256"])
    assert CREATE not in emulator.requests()
    assert not list((cli.folder / ".batchctl" / "tmp").iterdir())


def test_what_is_left_as_it_was_is_counted(cli: Cli, emulator: Running) -> None:
    block = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    written = [
        *lines(4),
        request("none"),
        request("own", system=[{"type": "text", "text": SYSTEM, "cache_control": MARK}]),
        request("full", system=SYSTEM, tools=[{"name": f"t{n}", "input_schema": {}, **block_} for n, block_ in four()]),
        request("late", system=[block, {"type": "text", "text": SYSTEM}]),
    ]
    ran = cli.run("submit", cli.write("in.jsonl", written), "--cache-system", "1h", "--yes")
    assert ran.status == 0, ran.err
    for said in (
        "added to 4 system prompts",
        "1 request left without a system prompt",
        "1 request left with cache_control on it already",
        "1 request left with 4 breakpoints, which is the most",
        "1 request left with a breakpoint for 5m before one for 1h, which the API refuses",
    ):
        assert said in ran.err
    assert sent_lines(emulator) == [[*map(marked, written[:4]), *written[4:]]]


def four() -> list[tuple[int, dict[str, Any]]]:
    return [(n, {"cache_control": MARK}) for n in range(4)]


def test_a_prompt_too_short_for_the_model_is_said_and_asks_nothing(cli: Cli) -> None:
    ran = cli.run("submit", cli.write("in.jsonl", lines(3, "Be brief.")), "--cache-system", "1h")
    assert ran.status == 0, ran.err
    assert (
        "3 prompts too short to be cached: claude-haiku-4-5 caches 4,096 tokens or more, the longest has about 2"
        in (ran.err)
    )
    assert "at 4 bytes a token" in ran.err


def test_prompts_that_nobody_shares_need_a_yes(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", [request(f"r-{n}", system=f"{n} {SYSTEM}") for n in range(10)])
    ran = cli.run("submit", path, "--cache-system", "1h")
    assert ran.status == 6
    assert "at most 0% of 10 system prompts repeat an earlier one" in ran.err
    assert CREATE not in emulator.requests()
    assert cli.run("submit", path, "--cache-system", "1h", "--yes").status == 0


def test_a_line_that_grows_beyond_a_batch_is_a_fault(cli: Cli, emulator: Running) -> None:
    written = lines(2)
    most = str(len(written[1]) + 40)
    path = cli.write("in.jsonl", written)
    ran = cli.run("submit", path, "--cache-system", "1h", "--max-bytes", most)
    assert ran.status == 5
    assert "2 lines, first 1 (r-000): the request has" in ran.err
    assert CREATE not in emulator.requests()
    assert cli.run("submit", path, "--max-bytes", most).status == 0


@pytest.mark.slow
def test_the_input_is_known_again_and_a_job_keeps_its_own_settings(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", lines(6))
    emulator.add_fault({"on": "create", "fault": "status", "status": 429, "retry_after": 1, "nth": 2})
    begun = cli.run("submit", path, "--cache-system", "1h", "--max-requests", "2", "--parallel", "1", "--no-wait")
    assert begun.status == 8, begun.err
    for verb in ("submit", "run"):
        refused = cli.run(verb, path, "--cache-system", "5m")
        assert refused.status == 6
        assert "was planned with --cache-system 1h; this cannot change" in refused.err
    Path(path).touch()
    assert "was planned with --cache-system 1h" in cli.run("submit", path, "--cache-system", "5m").err
    assert cli.run("submit", path, "--parallel", "1").status == 0
    assert [line for batch in sent_lines(emulator) for line in batch] == [marked(line) for line in lines(6)]
    again = cli.run("submit", path, "--cache-system", "1h")
    assert again.status == 6
    assert "all of it was already sent" in again.err


def test_a_job_that_was_planned_without_is_not_changed_on_its_way(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", lines(6))
    emulator.add_fault({"on": "create", "fault": "status", "status": 429, "retry_after": 1, "nth": 2})
    begun = cli.run("submit", path, "--max-requests", "2", "--parallel", "1", "--no-wait")
    refused = cli.run("submit", path, "--cache-system", "1h")
    assert refused.status == 6
    assert "was planned without --cache-system; this cannot change" in refused.err
    job = begun.job
    assert cli.run("run", job, "--cache-system", "1h").status == 6


@pytest.mark.slow
def test_status_says_what_was_added(cli: Cli) -> None:
    cli.submitted("in.jsonl", lines(3), "--cache-system", "1h")
    assert "cache_control for 1h was added to system prompts" in cli.run("status", "@last").out
    assert cli.run("status", "@last", "--json").json["cache_system"] == "1h"
    cli.submitted("plain.jsonl", requests(3))
    assert "cache_control" not in cli.run("status", "@last").out
    assert cli.run("status", "@last", "--json").json["cache_system"] is None


@pytest.mark.slow
def test_what_goes_again_goes_as_it_went_the_first_time(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    written = lines(12)
    job = cli.submitted("in.jsonl", written, "--cache-system", "1h")
    assert cli.run("fetch").status == 3
    failed = {one["line"] for one in cli.errors(job)}
    assert cli.run("retry").status == 0
    assert sent_lines(emulator)[-1] == [marked(line) for n, line in enumerate(written, 1) if n in failed]
    assert cli.run("fetch").status == 0
    shape = cli.run("verify", "--json").json
    assert (shape["holds"], shape["complete"]) == (True, True)
    assert [one["held_against_input"] for one in shape["rounds"]] == [True, None]


@pytest.mark.slow
@pytest.mark.parametrize("kind", few(["plain", "stdin", "left out"], 0))
def test_the_change_is_proved_against_the_input_where_it_is_there(cli: Cli, kind: str) -> None:
    written = [*lines(4), b"", *([b"no request"] if kind == "left out" else []), request("more", system=SYSTEM)]
    path = cli.write("in.jsonl", written)
    options = ["--cache-system", "1h", "--skip-bad"]
    given, stdin = ("-", path.read_bytes()) if kind == "stdin" else (str(path), b"")
    assert cli.run("submit", given, *options, stdin=stdin).status == 0
    cli.run("fetch")
    shape = cli.run("verify", "--json").json
    assert shape["holds"] is True
    assert shape["rounds"][0]["held_against_input"] is (None if kind == "stdin" else True)
    if kind != "stdin":
        assert "the input's own lines but for cache_control" in cli.run("verify").out
        path.write_bytes(path.read_bytes().replace(b"letter 0", b"LETTER 0"))
        changed = cli.run("verify", "--json").json
        assert (changed["holds"], changed["rounds"][0]["held_against_input"]) == (True, None)


def test_a_request_file_that_is_not_the_input_with_that_change_does_not_hold(cli: Cli) -> None:
    job = cli.submitted("in.jsonl", lines(4), "--cache-system", "1h")
    assert cli.run("fetch").status == 0
    path = cli.folder / ".batchctl" / "jobs" / job / "round-1.requests.jsonl"
    path.write_bytes(path.read_bytes().replace(b"letter 2", b"LETTER 2"))
    ran = cli.run("verify", "--json")
    assert ran.status == 3
    said = [one["message"] for one in ran.json["first_flaws"]]
    assert "not line 3 of the input with cache_control added" in said


@pytest.mark.slow
def test_an_edited_retry_is_sent_as_it_was_edited(cli: Cli, emulator: Running) -> None:
    bad = request("bad", system=SYSTEM, model="claude-haiku-5-5", inference_geo="eu")
    job = cli.submitted("in.jsonl", [*lines(3), bad], "--cache-system", "1h", "--yes")
    assert cli.run("fetch").status == 3
    assert cli.run("retry", "--include-invalid", "--edit").status == 0
    path = cli.folder / f"{job}.round-2.requests.jsonl"
    assert path.read_bytes() == marked(bad) + b"\n"
    edited = request("bad", "mended", system=SYSTEM)
    path.write_bytes(edited + b"\n")
    ran = cli.run("retry", "--from", path)
    assert ran.status == 0, ran.err
    assert sent_lines(emulator)[-1] == [edited]


def test_a_copy_of_ours_needs_no_input_named(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", lines(3))
    emulator.set_scenario({"batch_seconds": 0})
    job = cli.submitted("in.jsonl", lines(3), "--cache-system", "1h")
    path.unlink()
    assert cli.run("fetch", job).status == 0
    moved = cli.write("moved.jsonl", lines(3))
    assert "sends from its own copy" in cli.run("fetch", job, "--input", moved).err


def test_another_time_is_usage(cli: Cli) -> None:
    ran = cli.run("submit", cli.write("in.jsonl", lines(1)), "--cache-system", "2h")
    assert ran.status == 2
    assert "1h or 5m" in ran.err
