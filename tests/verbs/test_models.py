"""The models of the account, held against an input before anything is sent."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cases import few
from program import Cli, Ran, request, requests

from batchctl.clock import Clock
from batchctl.emulator.running import Running

CREATE, LIST, LIST_OF_BATCHES = "POST /v1/messages/batches", "GET /v1/models", "GET /v1/messages/batches"
ONE = "GET /v1/models/{id}"


def kept(cli: Cli) -> Path:
    return cli.folder / ".batchctl" / "models.json"


def edit(cli: Cli, **changes: Any) -> None:
    path = kept(cli)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))


def submit(cli: Cli, lines: list[bytes], *options: str) -> Ran:
    return cli.run("submit", cli.write("in.jsonl", lines), *options)


def test_what_is_sure_to_fail_is_told_with_its_line_and_nothing_is_sent(cli: Cli, emulator: Running) -> None:
    lines = [
        *requests(3),
        request("typo", model="claude-haiku-5-6"),
        request("gone", model="claude-opus-4-1"),
        request("long", max_tokens=64_001),
        request("good", model="claude-opus-5-5", max_tokens=128_000),
    ]
    ran = submit(cli, lines)
    assert ran.status == 5
    assert 'line 4 (typo) params.model: "claude-haiku-5-6" is not available to this account (did you mean' in ran.err
    assert 'line 5 (gone) params.model: "claude-opus-4-1-20250805" is retired' in ran.err
    assert "line 6 (long) params.max_tokens: 64001 is above 64000" in ran.err
    assert "3 of 7 lines cannot be sent; nothing was sent" in ran.err
    assert CREATE not in emulator.requests()
    told = [json.loads(line) for line in (cli.folder / ".batchctl/problems/in.jsonl").read_bytes().splitlines()]
    assert [(one["line"], one["code"]) for one in told] == [
        (4, "model_unknown"),
        (5, "model_retired"),
        (6, "max_tokens_above_model"),
    ]


@pytest.mark.slow
def test_bad_lines_among_thousands_are_found_and_can_be_left_out(cli: Cli, emulator: Running) -> None:
    lines = [*requests(3000), request("typo", model="claude-no"), *requests(3000, "s")]
    assert submit(cli, lines).status == 5
    ran = submit(cli, lines, "--skip-bad")
    assert ran.status == 0, ran.err
    assert sum(batch["request_count"] for batch in emulator.batches()) == 6000
    assert cli.run("fetch").status == 3
    assert [(one["line"], one["type"]) for one in cli.errors(ran.job)] == [(3001, "model_unknown")]


def test_the_beta_for_long_outputs_lifts_the_ceiling(cli: Cli) -> None:
    lines = [request("long", model="claude-opus-5-5", max_tokens=300_000)]
    assert submit(cli, lines).status == 5
    assert submit(cli, lines, "--beta", "output-300k-2026-03-24").status == 0


def test_a_model_near_its_end_is_one_warning_and_a_deprecated_one_a_line(cli: Cli, emulator: Running) -> None:
    lines = [request(f"r-{n}", model="claude-sonnet-4-5") for n in range(5)]
    assert submit(cli, lines).status == 0
    retires_at = (Clock().now() + timedelta(hours=2)).isoformat()
    stored = json.loads(kept(cli).read_bytes())
    for model in stored["models"].values():
        model["retires_at"] = retires_at
    edit(cli, models=stored["models"])
    ran = submit(cli, [*lines, request("more", model="claude-sonnet-4-5")])
    assert ran.status == 6
    assert "1 warning" in ran.err
    assert "line 1 (r-0) params.model:" in ran.err
    assert ran.err.count("deprecated claude-sonnet-4-5-20250929: retires on") == 1


def test_the_list_is_asked_once_a_day_and_an_alias_once(cli: Cli, emulator: Running) -> None:
    for name in "abc":
        assert cli.run("submit", cli.write(f"{name}.jsonl", requests(2, name))).status == 0
    seen = emulator.requests()
    assert (seen[LIST], seen[ONE], seen[LIST_OF_BATCHES]) == (1, 1, 3)


@pytest.mark.parametrize(
    "change",
    few(
        [
            {"api": "https://elsewhere.example org_1 ws_1"},
            {"api": "default"},
            {"asked_at": "2020-01-01T00:00:00+00:00"},
            {"asked_at": "2999-01-01T00:00:00+00:00"},
            {"models": 5},
        ],
        0,
        2,
    ),
)
def test_a_list_of_elsewhere_or_of_another_day_is_asked_for_anew(
    cli: Cli, emulator: Running, change: dict[str, Any]
) -> None:
    assert submit(cli, requests(2)).status == 0
    edit(cli, **change)
    assert submit(cli, requests(3)).status == 0
    assert emulator.requests()[LIST] == 2
    assert json.loads(kept(cli).read_bytes())["api"].startswith(emulator.base_url)


def test_a_list_of_another_account_is_asked_for_anew(cli: Cli, emulator: Running) -> None:
    assert submit(cli, requests(2)).status == 0
    edit(cli, api=f"{emulator.base_url} org_other ws_other", models={})
    assert submit(cli, requests(3)).status == 0
    assert emulator.requests()[LIST] == 2


@pytest.mark.parametrize("status", [401, 404, 429, 500, 529])
def test_a_list_that_cannot_be_had_stops_nothing_and_is_said(cli: Cli, emulator: Running, status: int) -> None:
    emulator.add_fault({"on": "models", "fault": "status", "status": status, "nth": 1})
    ran = submit(cli, [*requests(2), request("long", max_tokens=64_001)])
    assert ran.status == 0, ran.err
    assert f"models not checked (HTTP {status}" in ran.err
    assert not kept(cli).exists()


def test_an_alias_that_cannot_be_asked_for_is_not_called_unknown(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "models", "fault": "status", "status": 529, "nth": 2})
    ran = submit(cli, requests(2))
    assert ran.status == 0, ran.err
    assert "models not checked (claude-haiku-4-5: HTTP 529" in ran.err


def test_without_a_key_the_models_are_left_unchecked_and_the_input_is_checked(cli: Cli) -> None:
    del cli.variables["ANTHROPIC_API_KEY"]
    ran = submit(cli, requests(2))
    assert ran.status == 4
    assert "models not checked (" in ran.err
    assert "checked    " in ran.err


def test_a_dry_run_asks_nobody_and_uses_what_is_known(cli: Cli, emulator: Running) -> None:
    lines = [*requests(2), request("long", max_tokens=64_001), request("typo", model="claude-no")]
    path = cli.write("in.jsonl", lines)
    blind = cli.run("submit", path, "--dry-run")
    assert blind.status == 0
    assert "models not checked (no model list of today is stored, and this command does not ask the API)" in blind.err
    assert cli.run("submit", path, "--dry-run", "--json").json["models_checked"] is False
    assert emulator.requests() == {}
    assert submit(cli, requests(2)).status == 0
    asked = emulator.requests()
    path = cli.write("in.jsonl", lines)
    seeing = cli.run("submit", path, "--dry-run")
    assert seeing.status == 5
    assert "line 3 (long) params.max_tokens" in seeing.err
    assert "models not checked (claude-no is not in the list, and was not asked for)" in seeing.err
    assert emulator.requests() == asked
    assert submit(cli, lines).status == 5
    assert "line 4 (typo) params.model" in cli.run("submit", path, "--dry-run").err


def test_whoever_says_that_the_api_is_newer_is_only_warned(cli: Cli, emulator: Running) -> None:
    lines = [request("a", model="claude-no"), request("b", max_tokens=64_001)]
    ran = submit(cli, lines, "--check", "envelope")
    assert ran.status == 6
    assert "2 warnings" in ran.err
    assert submit(cli, lines, "--check", "envelope", "--yes").status == 0


def test_a_name_that_looks_odd_and_is_known_is_no_warning(cli: Cli, emulator: Running) -> None:
    assert submit(cli, requests(1)).status == 0
    stored = json.loads(kept(cli).read_bytes())
    edit(cli, models={**stored["models"], "house/model": next(iter(stored["models"].values()))})
    ran = submit(cli, [request("a", model="house/model")], "--yes")
    assert ran.status == 0
    assert "warning" not in ran.err


def test_as_many_names_as_lines_are_not_all_asked_for(cli: Cli, emulator: Running) -> None:
    ran = submit(cli, [request(f"r-{n}", model=f"claude-no-{n}") for n in range(100)])
    assert ran.status == 5
    assert emulator.requests()[ONE] <= 21
    assert "was not asked for" in ran.err


def test_a_job_that_goes_on_does_not_ask(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "limits": {"queue": 2}})
    path = cli.write("in.jsonl", requests(6))
    assert cli.run("submit", path, "--max-requests", "2", "--no-wait").status in {0, 8}
    asked = emulator.requests()[LIST]
    cli.run("submit", path, "--no-wait")
    assert emulator.requests()[LIST] == asked
