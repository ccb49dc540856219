"""What the API would refuse hours later is refused before anything is sent: its line, its id, its place and its cure."""

import json
from pathlib import Path
from typing import Any

import pytest
from program import Cli, request

from batchctl.emulator.running import Running

CREATE = "POST /v1/messages/batches"


def line(custom_id: str, **params: Any) -> bytes:
    plain = json.loads(request(custom_id, "Good or bad?"))
    return json.dumps({**plain, "params": {**plain["params"], **params}}).encode()


FORCED = line("bad-1", model="claude-opus-5-5", tools=[{"name": "a", "input_schema": {}}], tool_choice={"type": "any"})
BLANK = line("odd-1", messages=[{"role": "user", "content": " "}])
GOOD = [line(f"good-{n}") for n in range(3)]


def test_a_refused_line_is_named_with_its_place_and_cure(cli: Cli, emulator: Running) -> None:
    ran = cli.run("submit", cli.write("in.jsonl", [*GOOD, FORCED]))
    assert ran.status == 5
    assert "line 4 (bad-1) params.tool_choice.type: " in ran.err
    assert "output_config.format" in ran.err
    assert CREATE not in emulator.requests()


def test_skipped_lines_are_left_out_and_the_others_are_answered(cli: Cli, emulator: Running) -> None:
    ran = cli.run("run", cli.write("in.jsonl", [*GOOD, FORCED]), "--skip-bad", "--poll", "50ms")
    assert ran.status == 3, ran.err
    assert {json.loads(each)["result"]["type"] for each in _results(cli)} == {"succeeded"}
    assert len(_results(cli)) == 3


def test_with_the_least_check_a_rule_only_warns_and_the_api_has_the_last_word(cli: Cli) -> None:
    ran = cli.run("run", cli.write("in.jsonl", [*GOOD, FORCED]), "--check", "envelope", "--yes", "--poll", "50ms")
    assert "1 warning" in ran.err
    assert ran.status == 3, ran.err
    (failed,) = [json.loads(each) for each in (cli.folder / _only(cli, "*.errors.jsonl")).read_text().splitlines()]
    assert (failed["custom_id"], failed["class"]) == ("bad-1", "fix")


@pytest.mark.parametrize("verb", ["submit", "run", "estimate"])
def test_strict_makes_errors_of_warnings(cli: Cli, emulator: Running, verb: str) -> None:
    path = cli.write("in.jsonl", [*GOOD, BLANK])
    ran = cli.run(verb, path, "--strict")
    assert ran.status == 5, ran.err
    assert "line 4 (odd-1)" in ran.err
    assert CREATE not in emulator.requests()
    assert cli.run("estimate", path).status == 0


def test_a_rule_holds_on_every_line_however_few_are_checked_in_depth(cli: Cli) -> None:
    prefilled = line(
        "last",
        model="claude-opus-4-6",
        messages=[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    )
    for check in ("auto", "full"):
        ran = cli.run("submit", cli.write("in.jsonl", [*GOOD, prefilled]), "--check", check)
        assert ran.status == 5
        assert "line 4 (last) params.messages.1.role" in ran.err


def test_what_needs_a_beta_is_refused_without_it_by_its_name(cli: Cli) -> None:
    servers = [{"type": "url", "name": "a", "url": "https://example.com/mcp"}]
    path = cli.write("in.jsonl", [*GOOD, line("mcp", mcp_servers=servers)])
    ran = cli.run("submit", path, "--dry-run")
    assert ran.status == 5
    assert "line 4 (mcp) params.mcp_servers: servers of MCP need a beta: pass --beta mcp-client-2025-11-20" in ran.err
    ran = cli.run("submit", path, "--dry-run", "--beta", "mcp-client-2025-11-20", "--strict")
    assert ran.status == 0, ran.err
    assert "warning" not in ran.err


def _only(cli: Cli, pattern: str) -> Path:
    (path,) = cli.folder.glob(pattern)
    return path


def _results(cli: Cli) -> list[str]:
    return _only(cli, "*.results.jsonl").read_text().splitlines()
