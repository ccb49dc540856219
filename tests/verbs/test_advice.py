"""Advice as a person meets it: with an estimate before, and what a cache really did after."""

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import request_id, request_line
from cases import few
from program import Cli

from batchctl.emulator.running import Running
from batchctl.emulator.tokens import in_tokens

SAMPLE = Path(__file__).parents[2] / "samples" / "banking77.jsonl"
LETTER = "A letter with many words in it. " * 300
MILLION = Decimal(1_000_000)
RATES = (Decimal(0), 1 - 1 / Decimal(500))
# Of claude-haiku-5-5 in batches, and the same for every prompt up to 100,000 tokens.
INPUT, WRITE_1H, READ, OUTPUT = map(Decimal, ("0.05", "0.1", "0.005", "0.25"))


def bank() -> list[bytes]:
    return SAMPLE.read_bytes().splitlines()


def told(cli: Cli, *words: str | Path) -> Any:
    ran = cli.run(*words, "--json")
    assert ran.status == 0, ran.err
    return ran.json


def lines(count: int = 40, **params: Any) -> list[bytes]:
    return [request_line(request_id(n), f"{LETTER}{n}", model="claude-sonnet-5", **params) for n in range(count)]


# ---------------------------------------------------------------- before


def test_the_bank_is_told_what_a_cache_may_save_and_lose(cli: Cli) -> None:
    found = told(cli, "estimate", cli.write("in.jsonl", bank()))
    (one,) = found["advice"]
    # A token less than it has: of what is counted with it and without, the rest is rounded up.
    tokens = 500 * (in_tokens(len(json.loads(bank()[0])["params"]["system"])) - 1)
    at = {rate: tokens * (INPUT - (1 - rate) * WRITE_1H - rate * READ) for rate in RATES}
    assert one["saves_usd"] == {
        which: str(at[rate] / MILLION) for which, rate in zip(("low", "high"), RATES, strict=True)
    }
    assert (one["code"], one["model"], one["requests"]) == ("prompt_not_cached", "claude-haiku-5-5", 500)
    assert "500 requests begin with the same 643 tokens" in one["text"]
    assert "--prime saves $0.014 if all others read what a first batch caches" in one["text"]
    assert "without --prime, a batch may read nothing, which costs $0.016 more than no cache" in one["text"]


def test_who_asked_for_a_cache_is_told_what_it_may_cost_unless_it_is_primed(cli: Cli) -> None:
    path = cli.write("in.jsonl", bank())
    (cold,) = told(cli, "submit", path, "--dry-run", "--cache-system", "1h")["estimate"]["advice"]
    assert cold["code"] == "cache_cold"
    assert "500 requests cache the same" in cold["text"]
    assert told(cli, "submit", path, "--dry-run", "--prime")["estimate"]["advice"] == []
    (brief,) = told(cli, "submit", path, "--dry-run", "--cache-system", "5m")["estimate"]["advice"]
    assert brief["code"] == "cache_too_brief"


def test_a_letter_in_every_message_is_told_to_stand_in_system(cli: Cli) -> None:
    (one,) = told(cli, "estimate", cli.write("in.jsonl", lines()), "--offline")["advice"]
    assert (one["code"], one["requests"]) == ("text_repeated", 40)
    assert re.search(r"in all \d\d sampled lines of 40 requests", one["text"])
    assert "moved into system, with --prime, it saves $" in one["text"]
    moved = [request_line(request_id(n), f"letter {n}", model="claude-sonnet-5", system=LETTER) for n in range(40)]
    (other,) = told(cli, "estimate", cli.write("moved.jsonl", moved), "--offline")["advice"]
    assert other["code"] == "prompt_not_cached"


@pytest.mark.slow
def test_a_letter_in_a_block_of_its_own_is_told_to_be_marked_there(cli: Cli) -> None:
    def asked(*blocks: dict[str, Any]) -> list[bytes]:
        said = [[{"type": "text", **one} for one in (*blocks, {"text": f"question {n}"})] for n in range(40)]
        messages = [[{"role": "user", "content": content}] for content in said]
        return [request_line(request_id(n), model="claude-sonnet-5", messages=one) for n, one in enumerate(messages)]

    (one,) = told(cli, "estimate", cli.write("in.jsonl", asked({"text": LETTER})))["advice"]
    assert "cache_control for 1h on the last block of it saves" in one["text"]
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert told(cli, "estimate", cli.write("in.jsonl", asked({"text": LETTER, **mark})))["advice"] == []


def test_a_mark_on_tools_alone_is_told_by_hand(cli: Cli) -> None:
    tools = [{"name": "sort", "description": LETTER, "input_schema": {"type": "object"}}]
    asked = [request_line(request_id(n), f"letter {n}", model="claude-sonnet-5", tools=tools) for n in range(40)]
    (one,) = told(cli, "estimate", cli.write("in.jsonl", asked))["advice"]
    assert "cache_control for 1h on the last tool, by hand, with --prime, saves" in one["text"]


def test_a_ceiling_far_above_earlier_answers_is_told(cli: Cli) -> None:
    def asked(kind: str) -> list[bytes]:
        return [request_line(f"{kind}-{n}", f"letter {n}", system="Sort.", max_tokens=9000) for n in range(20)]

    cli.submitted("old.jsonl", asked("old"))
    assert cli.run("fetch").status == 0
    (one,) = told(cli, "estimate", cli.write("new.jsonl", asked("new")), "--offline")["advice"]
    assert (one["code"], one["saves_usd"]) == ("max_tokens_far_above_use", None)
    assert "max_tokens is 9,000, but 20 earlier answers took " in one["text"]


def test_it_stands_under_the_estimate_and_asks_for_no_yes(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = cli.write("in.jsonl", bank())
    for words in (("estimate", path), ("estimate", path, "--offline"), ("submit", path, "--dry-run")):
        ran = cli.run(*words)
        assert ran.status == 0
        assert "\n  to save  500 requests begin with the same" in ran.out
        assert max(map(len, ran.out.splitlines())) <= 80
    assert told(cli, "submit", path, "--dry-run")["warnings"] == 0
    assert cli.run("submit", path).status == 0


# ---------------------------------------------------------------- after


def by_hand(results: Sequence[Any]) -> tuple[Decimal, Decimal]:
    """What the answers cost, and what they would have cost without a cache, from the raw results."""
    cost = plain = Decimal(0)
    for one in results:
        used = one["result"]["message"]["usage"]
        written, read = used["cache_creation"]["ephemeral_1h_input_tokens"], used["cache_read_input_tokens"]
        assert used["cache_creation_input_tokens"] == written
        cost += used["input_tokens"] * INPUT + written * WRITE_1H + read * READ + used["output_tokens"] * OUTPUT
        plain += (used["input_tokens"] + written + read) * INPUT + used["output_tokens"] * OUTPUT
    return cost / MILLION, plain / MILLION


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hit_rate", "options", "word"),
    few([(0.9, (), ""), (0.3, ("--cache-system", "1h"), "lost"), (0.9, ("--cache-system", "1h"), "saved")], 2),
)
def test_the_bank_before_and_after(
    cli: Cli, emulator: Running, hit_rate: float, options: tuple[str, ...], word: str
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "cache": {"cold_hit_rate": hit_rate}})
    path = cli.write("in.jsonl", bank())
    before = told(cli, "submit", path, "--dry-run", *options)["estimate"]["batch_usd"]
    job = cli.submitted("in.jsonl", bank(), *options)
    ran = cli.run("fetch")
    assert ran.status == 0, ran.err
    cost, plain = by_hand(cli.results(job))
    assert Decimal(before["low"]) <= cost <= Decimal(before["high"])
    found = told(cli, "cost", job)["total"]
    assert Decimal(found["batch_usd"]) == cost
    assert Decimal(found["real_time_usd"]) == 2 * cost
    if not options:
        assert (cost, found["cache_hit_rate"], found["cache_saved_usd"]) == (plain, None, None)
        assert "\ncache " not in ran.err
        return
    assert Decimal(found["cache_saved_usd"]) == plain - cost
    assert abs(found["cache_hit_rate"] - hit_rate) < 0.05
    assert (plain > cost) == (word == "saved")
    assert f" {word} against no cache" in next(line for line in ran.err.splitlines() if line.startswith("cache "))
    for verb in ("cost", "status"):
        assert f" {word} against no cache" in " ".join(cli.run(verb, job).out.split())
    assert told(cli, "fetch", job)["cost"]["cache_saved_usd"] == found["cache_saved_usd"]
    assert told(cli, "status", job, "--offline")["cost"]["cache_saved_usd"] == found["cache_saved_usd"]
