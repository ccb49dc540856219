"""`estimate` on the emulator: what it says before is held against what is counted, and spent, after."""

import json
import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import request_id, request_line
from cases import few
from program import Cli

from batchctl.emulator.running import Running
from batchctl.emulator.tokens import count_tokens

SAMPLES = Path(__file__).parents[2] / "samples"
COUNTING = "POST /v1/messages/count_tokens"
# All of it free: the models, whose account it is, and what prompts weigh.
FREE = {COUNTING, "GET /v1/models", "GET /v1/models/{id}", "GET /v1/messages/batches"}


def mixed(count: int = 120) -> list[bytes]:
    """Two models, three system prompts, short and long, some of it no ASCII."""
    systems = ["Answer briefly. " * 200, [{"type": "text", "text": "Sort this. " * 300}], "x"]
    models = ["claude-haiku-4-5", "claude-sonnet-5-5"]
    texts = ["What is this?", "Wörter, die länger sind. " * 30, "a long story " * 400, "日本語" * 20]
    return [
        request_line(request_id(n), texts[n % 4] + "z" * (n % 50), system=systems[n % 3], model=models[n % 2])
        for n in range(count)
    ]


def tokens_of(lines: list[bytes]) -> int:
    return sum(count_tokens(json.loads(line)["params"]) for line in lines)


def told(cli: Cli, *words: str | Path) -> Any:
    ran = cli.run("estimate", *words, "--json")
    assert ran.status == 0, ran.err
    return ran.json


def input_tokens(found: Any, which: str) -> int:
    return sum(int(one["input_tokens"][which]) for one in found["models"])


def contains(found: Any, tokens: int) -> bool:
    return input_tokens(found, "low") <= tokens <= input_tokens(found, "high")


@pytest.fixture(params=few(["banking77", "gsm8k", "mixed"], 2))
def lines(request: pytest.FixtureRequest) -> list[bytes]:
    if request.param == "mixed":
        return mixed()
    return (SAMPLES / f"{request.param}.jsonl").read_bytes().splitlines()


@pytest.mark.parametrize("sample", ["3", "40"])
def test_the_range_of_input_tokens_contains_what_every_line_weighs(
    cli: Cli, emulator: Running, lines: list[bytes], sample: str
) -> None:
    found = told(cli, cli.write("in.jsonl", lines), "--sample", sample)
    assert contains(found, tokens_of(lines))
    assert 1 <= found["requests_counted"] <= int(sample)
    assert emulator.requests()[COUNTING] <= int(sample)
    assert COUNTING in emulator.requests()
    assert set(emulator.requests()) <= FREE, "nothing else is asked, and nothing is sent"


def test_a_few_that_are_denser_than_all_that_were_counted_stay_below_high(cli: Cli) -> None:
    """Of one length in bytes, and next to each other: no sample need meet them."""
    texts = ["\\u0416" * 100] * 400
    texts[200:210] = ["word " * 120] * 10
    lines = [request_line(request_id(n), "TEXT").replace(b"TEXT", text.encode()) for n, text in enumerate(texts)]
    found = told(cli, cli.write("in.jsonl", lines))
    assert found["requests_counted"] < 100
    assert contains(found, tokens_of(lines))


@pytest.mark.slow
def test_the_more_is_counted_the_narrower_it_is(cli: Cli, lines: list[bytes]) -> None:
    path = cli.write("in.jsonl", lines)

    def width(*words: str) -> int:
        found = told(cli, path, *words)
        return input_tokens(found, "high") - input_tokens(found, "low")

    assert width("--sample", "80") < width("--sample", "8") < width("--offline")


def test_the_range_from_bytes_contains_it_too_and_nobody_is_asked(
    cli: Cli, emulator: Running, lines: list[bytes]
) -> None:
    path = cli.write("in.jsonl", lines)
    found = told(cli, path, "--offline")
    assert contains(found, tokens_of(lines))
    assert (found["requests_counted"], emulator.requests()) == (0, {})
    rehearsed = cli.run("submit", path, "--dry-run", "--json")
    assert rehearsed.json["estimate"] == {key: value for key, value in found.items() if key != "schema_version"}
    assert emulator.requests() == {}


def hand_cost(results: list[dict[str, Any]]) -> Decimal:
    """By the list prices of the two models, halved; these prompts reach no step and are in no cache."""
    million = Decimal(1_000_000)
    of = {
        "claude-haiku-4-5-20251001": ("0.5", "2.5"),
        "claude-sonnet-5-5": ("1", "5"),
        "claude-haiku-5-5": ("0.05", "0.25"),
    }
    total = Decimal(0)
    for one in results:
        message = one["result"]["message"]
        used, (read, write) = message["usage"], map(Decimal, of[message["model"]])
        assert used["cache_read_input_tokens"] == used["cache_creation_input_tokens"] == 0
        total += (used["input_tokens"] * read + used["output_tokens"] * write) / million
    return total


@pytest.mark.parametrize("words", [(), ("--offline",)])
def test_the_forecast_contains_what_it_came_to(cli: Cli, lines: list[bytes], words: tuple[str, ...]) -> None:
    path = cli.write("in.jsonl", lines)
    found = told(cli, path, *words)
    job = cli.submitted("in.jsonl", lines)
    assert cli.run("fetch").status == 0
    cost = hand_cost(cli.results(job))
    assert Decimal(found["batch_usd"]["low"]) <= cost <= Decimal(found["batch_usd"]["high"])
    assert all(
        Decimal(found["real_time_usd"][one]) == 2 * Decimal(found["batch_usd"][one])
        for one in ("low", "expected", "high")
    )


@pytest.mark.parametrize("hit_rate", few([0.0, 0.9, 1.0], 1))
@pytest.mark.parametrize("ttls", few(["1h 5m", "1h 1h", "5m 5m"], 0))
def test_two_marks_of_a_cache_come_to_no_less_than_low_and_no_more_than_high(
    cli: Cli, emulator: Running, ttls: str, hit_rate: float
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "cache": {"cold_hit_rate": hit_rate}})
    system, asked = (
        [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": ttl}}]
        for text, ttl in zip(("Sort this. " * 2000, "What is it? " * 3000), ttls.split(), strict=True)
    )
    lines = [
        request_line(request_id(n), system=system, messages=[{"role": "user", "content": asked}], max_tokens=1)
        for n in range(20)
    ]
    found = told(cli, cli.write("in.jsonl", lines))
    job = cli.submitted("in.jsonl", lines)
    assert cli.run("fetch", job).status == 0
    cost = Decimal(cli.run("cost", job, "--json").json["total"]["batch_usd"])
    assert Decimal(found["batch_usd"]["low"]) <= cost <= Decimal(found["batch_usd"]["high"])
    assert found["high_is_bound"]


# ---------------------------------------------------------------- earlier answers


def test_earlier_answers_of_the_same_prompts_say_what_to_expect(cli: Cli) -> None:
    asked = [request_line(request_id(n), f"question {n}", system="You sort mail.") for n in range(30)]
    cli.submitted("old.jsonl", asked)
    assert cli.run("fetch").status == 0
    with closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db, db:
        db.execute("update usage set requests = 30, output = 210")
    new = [request_line(f"new-{n}", f"another {n}", system="You sort mail.") for n in range(10)]
    found = told(cli, cli.write("new.jsonl", new), "--offline")
    assert found["models"][0]["output_tokens"]["expected"] == 70
    assert "output: like 30 earlier answers, 7 tokens each; high is max_tokens" in found["how"]
    other = [request_line(f"new-{n}", f"another {n}", system="You sell mail.") for n in range(10)]
    assert "no earlier answers" in " ".join(told(cli, cli.write("new.jsonl", other), "--offline")["how"])


def test_every_round_has_its_shape(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    cli.submitted("in.jsonl", [request_line(request_id(n)) for n in range(20)])
    assert cli.run("fetch").status == 3
    assert cli.run("retry").status == 0
    with closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db:
        shapes = [row[0] for row in db.execute("select shape from round")]
    assert len(shapes) == 2
    assert len(set(shapes)) == 1
    assert all(shapes)


# ---------------------------------------------------------------- when counting fails


@pytest.mark.parametrize(
    ("fault", "said"),
    few(
        [
            ({"fault": "status", "status": 500}, "HTTP 500"),
            ({"fault": "status", "status": 429, "retry_after": 600}, "HTTP 429"),
            ({"fault": "status", "status": 429, "retry_after": 1}, "HTTP 429"),
            ({"fault": "status", "status": 401}, "HTTP 401"),
            ({"fault": "status", "status": 404}, "HTTP 404"),
            ({"fault": "drop_before_accept"}, "connection"),
            ({"fault": "garbage_answer"}, "cannot be read"),
            ({"fault": "html_status"}, "a proxy answered"),
            ({"fault": "on_hold"}, "on hold"),
        ],
        0,
    ),
    ids=str,
)
def test_what_cannot_be_counted_is_estimated_from_bytes_and_the_reason_said(
    cli: Cli, emulator: Running, fault: dict[str, Any], said: str
) -> None:
    emulator.add_fault({"on": "count_tokens", "times": 0, **fault})
    found = told(cli, cli.write("in.jsonl", mixed()))
    assert found["requests_counted"] == 0
    assert contains(found, tokens_of(mixed()))
    assert any(one.startswith("not counted: ") and said in one for one in found["how"]), found["how"]
    assert emulator.requests()[COUNTING] <= 12, "one that answers so is not asked forty times"


@pytest.mark.slow
def test_a_limit_that_passes_is_waited_for(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "count_tokens", "fault": "status", "status": 429, "retry_after": 1, "nth": 3, "times": 2})
    found = told(cli, cli.write("in.jsonl", mixed()))
    assert found["requests_counted"] > 20
    assert not any(one.startswith("not counted") for one in found["how"])


@pytest.mark.slow
def test_what_was_counted_before_it_failed_is_used(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "count_tokens", "fault": "status", "status": 529, "nth": 20, "times": 0})
    found = told(cli, cli.write("in.jsonl", mixed()))
    assert 10 <= found["requests_counted"] <= 19
    assert contains(found, tokens_of(mixed()))
    assert any("HTTP 529" in one for one in found["how"])


def test_without_a_key_it_is_from_bytes(cli: Cli) -> None:
    del cli.variables["ANTHROPIC_API_KEY"]
    found = told(cli, cli.write("in.jsonl", mixed(4)))
    assert found["requests_counted"] == 0
    assert any(one.startswith("not counted: the credentials cannot be used") for one in found["how"])


# ---------------------------------------------------------------- what a person reads


def test_one_screen_says_all_of_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = cli.run("estimate", cli.write("in.jsonl", mixed()))
    assert ran.err.splitlines()[-1].startswith("next: batchctl submit ")
    for word in (
        "claude-haiku-4-5",
        "claude-sonnet-5-5",
        "all together",
        "low",
        "in real time",
        "pays from",
        "genai-prices",
    ):
        assert word in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_a_model_that_has_no_price_costs_nobody_knows_what(cli: Cli) -> None:
    lines = [request_line("a", model="claude-haiku-4-5"), request_line("b", model="claude-mythos-5")]
    path = cli.write("in.jsonl", lines)
    ran = cli.run("estimate", path, "--offline")
    assert "unknown" in ran.out
    assert "no price is known for claude-mythos-5" in ran.out
    found = told(cli, path)
    assert (found["batch_usd"], found["unpriced"]) == (None, ["claude-mythos-5"])
    assert found["models"][0]["batch_usd"] is not None


def test_a_model_that_the_account_does_not_have_is_a_fault_of_its_line(cli: Cli) -> None:
    lines = [request_line("a", model="claude-haiku-4-5"), request_line("b", model="claude-none-9")]
    ran = cli.run("estimate", cli.write("in.jsonl", lines))
    assert ran.status == 5
    assert "line 2 (b) params.model" in ran.err


def test_what_cannot_be_sent_has_no_estimate(cli: Cli, emulator: Running) -> None:
    ran = cli.run("estimate", cli.write("in.jsonl", [b"{", request_line("a")]))
    assert (ran.status, ran.out) == (5, "")
    assert told(cli, "in.jsonl", "--skip-bad")["requests"] == 1
    twice = cli.write("twice.jsonl", [request_line("a"), request_line("a"), request_line("b")])
    assert told(cli, twice, "--skip-bad")["requests"] == 2
    assert set(emulator.requests()) <= FREE


def test_it_leaves_nothing_behind(cli: Cli) -> None:
    shutil.copy(SAMPLES / "gsm8k.jsonl", cli.folder)
    for words in ((), ("--offline",)):
        ran = cli.run("estimate", "-", *words, stdin=(SAMPLES / "gsm8k.jsonl").read_bytes())
        assert ran.status == 0, ran.err
    left = [path for path in (cli.folder / ".batchctl").rglob("*") if path.is_file() and path.stat().st_size]
    assert sorted(path.name for path in left) == [".gitignore", "models.json"]


@pytest.mark.slow
def test_the_time_that_a_person_allows_ends_it(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "count_tokens", "fault": "status", "status": 429, "retry_after": 15, "times": 0})
    ran = cli.run("estimate", cli.write("in.jsonl", mixed()), "--timeout", "2s")
    assert (ran.status, ran.out) == (8, "")
    assert emulator.requests()[COUNTING] <= 4
