"""What is shown as cost is what the raw results say, times prices that stand in this file."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import CANCELED, EXPIRED, errored, request_line, result_line
from loopback import Answer, answering, as_json
from program import Cli, request, requests, session_of

from batchctl.emulator.running import Running
from batchctl.engine.job_cost import cost as look_up
from batchctl.engine.job_cost import total
from batchctl.engine.spending_limit import most_by_round
from batchctl.money.catalog import PriceCatalog

MILLION = Decimal(1_000_000)
# Input, write for 5 m, write for 1 h, read and output, per million tokens, in batch; then above which prompt (pricing page).
PRICES = {
    "claude-haiku-4-5-20251001": [(0, "0.5", "0.625", "1", "0.05", "2.5")],
    "claude-opus-5": [(0, "2.5", "3.125", "5", "0.25", "12.5")],
    "claude-sonnet-5-5": [(0, "1", "1.25", "2", "0.05", "5")],
    "claude-haiku-5-5": [
        (0, "0.05", "0.0625", "0.1", "0.005", "0.25"),
        (100_000, "0.25", "0.3125", "0.5", "0.025", "1.25"),
    ],
}
MIXED = {
    "batch_seconds": 0,
    "cache": {"cold_hit_rate": 0.7},
    "outcomes": {"overloaded_error": 0.1, "expired": 0.1, "canceled": 0.05, "refusal": 0.1, "max_tokens": 0.1},
}


def raw_lines(cli: Cli) -> list[dict[str, Any]]:
    raw = sorted((cli.folder / ".batchctl" / "jobs").glob("*/raw/*.jsonl"))
    return [json.loads(line) for path in raw for line in path.read_bytes().splitlines()]


def by_hand(results: list[dict[str, Any]]) -> Decimal:
    """In batch; of lines whose models have a price here."""
    total = Decimal(0)
    for each in results:
        if each["result"]["type"] != "succeeded" or each["result"]["message"]["model"] not in PRICES:
            continue
        message = each["result"]["message"]
        used = message["usage"]
        split = used["cache_creation"]
        tokens = (
            used["input_tokens"],
            split["ephemeral_5m_input_tokens"],
            split["ephemeral_1h_input_tokens"],
            used["cache_read_input_tokens"],
            used["output_tokens"],
        )
        prompt = sum(tokens[:4])
        prices = [step[1:] for step in PRICES[message["model"]] if not step[0] or prompt > step[0]][-1]
        total += sum((n * Decimal(price) for n, price in zip(tokens, prices, strict=True)), Decimal(0)) / MILLION
    return total


def a_mixed_job(count: int = 120, *more_models: str) -> Iterator[bytes]:
    models = ("claude-haiku-4-5", "claude-opus-5", "claude-sonnet-5-5", "claude-haiku-5-5", *more_models)
    for n in range(count):
        ttl = {"ttl": "1h"} if n % 3 else {}
        system = [{"type": "text", "text": f"Rules {n % 2}. " * 1500, "cache_control": {"type": "ephemeral", **ttl}}]
        text = "long " * 100_000 if n == 3 else f"say {n}"
        more = {"system": system} if n % 5 else {}
        yield request(f"r-{n:04d}", text, model=models[n % len(models)], **more)


def cost(cli: Cli, *words: str) -> dict[str, Any]:
    ran = cli.run("cost", *words, "--json")
    assert ran.status == 0, ran.err
    assert isinstance(ran.json, dict)
    return ran.json


def test_it_is_what_the_raw_results_say_to_the_last_digit(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario(MIXED)
    job = cli.submitted("in.jsonl", a_mixed_job(), "--max-requests", "50")
    assert cli.run("fetch").status == 3
    results = raw_lines(cli)
    found = cost(cli, job, "--batches")
    total, kinds = found["total"], [each["result"]["type"] for each in results]
    assert Decimal(total["batch_usd"]) == by_hand(results) > 0
    assert Decimal(total["real_time_usd"]) == 2 * by_hand(results)
    assert Decimal(total["saved_usd"]) == by_hand(results)
    assert (total["unknown"], total["beyond"], total["at_least"]) == ([], [], False)
    assert total["requests"] == kinds.count("succeeded")
    assert {kind: n for kind, n in found["free"].items() if n} == {
        kind: kinds.count(kind) for kind in ("errored", "expired", "canceled")
    }
    assert {model["model"] for model in found["models"]} == set(PRICES)
    for parts in (found["models"], found["rounds"], found["message_batches"]):
        assert sum(Decimal(part["batch_usd"]) for part in parts) == by_hand(results)
        assert sum(part["requests"] for part in parts) == total["requests"]
    long = [r for r in results if r["result"].get("message", {}).get("usage", {}).get("input_tokens", 0) > 100_000]
    assert len(long) == 1
    assert 0 < total["cache_hit_rate"] < 1


@pytest.mark.slow
def test_every_round_is_paid_for(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario(MIXED)
    cli.submitted("in.jsonl", a_mixed_job())
    assert cli.run("fetch").status == 3
    first = by_hand(raw_lines(cli))
    cli.run("retry", "--include-canceled")
    cli.run("fetch")
    found = cost(cli)
    whole = by_hand(raw_lines(cli))
    assert [Decimal(one["batch_usd"]) for one in found["rounds"]] == [first, whole - first]
    assert Decimal(found["total"]["batch_usd"]) == whole > first


@pytest.mark.slow
def test_a_model_without_a_price_makes_it_unknown_and_never_nothing(cli: Cli, emulator: Running) -> None:
    cli.submitted("in.jsonl", a_mixed_job(50, "claude-mythos-5"), "--yes")
    ran = cli.run("fetch")
    assert ran.status == 0
    assert "cost     unknown, no price is known for claude-mythos-5 (10 requests); all else $" in ran.err
    total = cost(cli)["total"]
    assert (total["batch_usd"], total["real_time_usd"], total["saved_usd"]) == (None, None, None)
    assert Decimal(total["known_batch_usd"]) == by_hand(raw_lines(cli))
    shown = cli.run("cost").out
    assert "unknown" in shown
    assert "! no price is known for claude-mythos-5 (10 requests)" in shown


def test_the_total_stands_at_the_end_of_a_fetch_and_in_the_status(cli: Cli) -> None:
    job = cli.submitted("in.jsonl", requests(3))
    fetched = cli.run("fetch", "--json").json["cost"]
    assert fetched["sources"] == ["genai-prices 0.2.3"]
    assert Decimal(fetched["batch_usd"]) == by_hand(raw_lines(cli))
    said = next(line for line in cli.run("fetch").err.splitlines() if line.startswith("cost "))
    assert said.startswith("cost     $0.00")
    assert "in real time), genai-prices 0.2.3, prices of 20" in said
    assert said in [line.strip() for line in cli.run("status", job, "--offline").out.splitlines()]
    assert cli.run("status", job, "--offline", "--json").json["cost"] == fetched


@pytest.mark.slow
def test_run_and_cancel_end_with_it_too(cli: Cli, emulator: Running) -> None:
    assert "\ncost     $0.00" in cli.run("run", cli.write("in.jsonl", requests(3))).err
    emulator.set_scenario({"batch_seconds": 600, "finished_at_cancel": 0.5})
    cli.submitted("other.jsonl", requests(20, "other"))
    assert "\ncost     $0.00" in cli.run("cancel", "--yes", "--poll", "0.1").err


def test_before_a_fetch_nothing_is_known_and_nothing_is_said_to_be_free(cli: Cli) -> None:
    cli.submitted("in.jsonl", requests(3))
    ran = cli.run("cost")
    assert "nothing of it is fetched yet" in ran.out
    assert "$" not in ran.out
    assert "next: batchctl status" in ran.out
    found = cost(cli)
    for one in (found["total"], *found["rounds"]):
        assert {one[name] for name in one if name.endswith("_usd")} == {None}
    assert (found["total"]["at_least"], found["total"]["unknown"]) == (False, [])
    assert cli.run("cost", "nobody").status == 2


def test_a_round_that_another_process_plans_meanwhile_is_a_round_like_all_others(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    name = cli.submitted("in.jsonl", requests(20))
    assert cli.run("fetch").status == 3
    with session_of(cli.folder / ".batchctl", emulator.base_url) as session:
        read_before = session.ledger.job(name)
        assert cli.run("retry", name).status == 0
        assert [one.number for one in look_up(session, read_before).rounds] == [1, 2]
        assert len(most_by_round(session, read_before)) == 2
        found = total(session, read_before, session.ledger.batches(read_before))
    assert found is not None
    assert (found.unknown, found.beyond) == ((), ("1 batch not fetched yet",))


@pytest.mark.slow
def test_ten_times_the_requests_take_no_more_room_in_the_ledger(cli: Cli) -> None:
    counts = []
    for n in (20, 200):
        cli.submitted(f"of-{n}.jsonl", requests(n, f"of-{n}"), "--max-requests", str(n // 2))
        assert cli.run("fetch").status == 0
        with closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db:
            counts.append(db.execute("SELECT count(*), sum(requests) FROM usage").fetchone())
    assert counts == [(2, 20), (4, 220)], "a row for each batch"


@pytest.mark.slow
def test_a_round_that_is_not_fetched_is_not_shown_as_one_for_nothing(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    job = cli.submitted("in.jsonl", requests(20))
    assert cli.run("fetch").status == 3
    emulator.set_scenario({"batch_seconds": 600})
    assert cli.run("retry", job).status == 0
    first, second = cost(cli)["rounds"]
    assert Decimal(first["batch_usd"]) > 0
    assert (second["batch_usd"], second["known_batch_usd"], second["batches_summed_up"]) == (None, None, 0)
    (line,) = (line for line in cli.run("cost").out.splitlines() if line.split()[:2] == ["2", "1"])
    assert "$0.00 " not in line


def test_where_nothing_has_a_price_there_is_no_amount_of_all_else(cli: Cli) -> None:
    cli.submitted("in.jsonl", [request_line("a", model="claude-mythos-5")], "--yes")
    ran = cli.run("fetch")
    assert "cost     unknown, no price is known for claude-mythos-5 (1 request)" in ran.err
    assert "$" not in cli.run("cost").out.split("estimated")[0]
    for said in (ran.err, cli.run("status", "@last", "--offline").out):
        assert "all else" not in said
    total = cost(cli)["total"]
    assert (total["batch_usd"], total["known_batch_usd"]) == (None, None)


@pytest.mark.slow
def test_what_is_left_at_the_api_makes_it_a_least_amount(cli: Cli, emulator: Running) -> None:
    emulator.add_fault({"on": "create", "fault": "queue_full", "nth": 2, "retry_after": 1})
    path = cli.write("in.jsonl", requests(20))
    cli.run("submit", path, "--max-requests", "10", "--parallel", "1", "--no-wait")
    cli.run("fetch")
    emulator.set_scenario({"batch_seconds": 600})
    cli.run("submit", path)
    ran = cli.run("fetch")
    assert ran.status == 8
    assert "cost     at least $0.00" in ran.err
    assert "; not in it: 1 batch not fetched yet" in ran.err
    assert cost(cli)["total"]["at_least"]


# ---------------------------------------------------------------- ledgers of older versions


def forget_usage(cli: Cli) -> None:
    """As a version left it that did not sum up."""
    with closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db, db:
        db.execute("delete from usage")
        db.execute("update batch set usage_unread = null")


@pytest.mark.slow
def test_what_an_older_version_downloaded_is_summed_up_from_the_disk_and_kept(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario(MIXED)
    cli.submitted("in.jsonl", a_mixed_job(), "--max-requests", "50")
    cli.run("fetch")
    expected = cost(cli, "--batches")
    forget_usage(cli)
    ran = cli.run("fetch")
    assert "cost     unknown, the usage of 3 batches is not known" in ran.err
    asked = emulator.requests()
    assert cost(cli, "--batches") == expected
    for raw in (cli.folder / ".batchctl" / "jobs").glob("*/raw/*"):
        raw.unlink()
    assert cost(cli, "--batches") == expected, "it was written down"
    assert emulator.requests() == asked


@pytest.mark.slow
@pytest.mark.parametrize("change", ["gone", "changed"])
def test_what_can_no_longer_be_summed_up_is_not_known(cli: Cli, change: str) -> None:
    cli.submitted("in.jsonl", requests(20), "--max-requests", "10")
    cli.run("fetch")
    forget_usage(cli)
    raw = sorted((cli.folder / ".batchctl" / "jobs").glob("*/raw/*.jsonl"))
    expected = by_hand([json.loads(line) for line in raw[1].read_bytes().splitlines()])
    if change == "gone":
        raw[0].unlink()
    else:
        raw[0].write_bytes(raw[0].read_bytes().replace(b'"input_tokens":', b'"input_tokens":1'))
    total = cost(cli)["total"]
    assert (total["batch_usd"], Decimal(total["known_batch_usd"])) == (None, expected)
    assert total["unknown"] == ["the usage of 1 batch is not known"]


def test_a_merge_of_an_older_version_shows_no_cost(cli: Cli) -> None:
    job = cli.submitted("in.jsonl", requests(3))
    cli.run("fetch")
    with closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db, db:
        db.execute("update job set merged = json_remove(merged, '$.cost')")
    ran = cli.run("status", job, "--offline")
    assert (ran.status, "cost" in ran.out) == (0, False)
    assert cli.run("status", job, "--offline", "--json").json["cost"] is None


# ---------------------------------------------------------------- odd usage, odd prices

USED = {
    "input_tokens": 1000,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 100,
    "service_tier": "batch",
    "inference_geo": "not_available",
}


def succeeded(used: Any, model: Any = "claude-opus-5", stop: str = "end_turn") -> dict[str, Any]:
    message: dict[str, Any] = {
        "model": model,
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [
            {"type": "tool_use", "id": "t", "name": "n", "input": {"usage": USED, "model": "claude-haiku-4-5"}}
        ],
        "stop_reason": stop,
        "stop_sequence": None,
    }
    return {"type": "succeeded", "message": message if used is ... else {**message, "usage": used}}


ODD: list[dict[str, Any]] = [
    succeeded(USED),
    succeeded(USED, stop="refusal"),
    succeeded(USED, stop="max_tokens"),
    succeeded(USED, stop="pause_turn"),
    succeeded({**USED, "inference_geo": "us"}),
    succeeded({**USED, "server_tool_use": {"web_search_requests": 3}, "new": {"input_tokens": 10**9}}),
    succeeded({**USED, "cache_creation": None, "cache_creation_input_tokens": 400}),
    succeeded({**USED, "cache_creation": {"ephemeral_1h_input_tokens": 400}, "cache_creation_input_tokens": 400}),
    succeeded(USED, "claude-opus-5-20991231"),
    succeeded({**USED, "input_tokens": -1}),
    succeeded({**USED, "output_tokens": None}),
    succeeded({**USED, "output_tokens": 1.5}),
    succeeded({**USED, "input_tokens": 10**30}),
    succeeded({**USED, "cache_creation_input_tokens": 5}),
    succeeded(None),
    succeeded(...),
    succeeded(USED, None),
    errored(),
    EXPIRED,
    CANCELED,
]
UNREAD = 8
# Opus 5 in batch: 1,000 tokens in and 100 out.
ONE = Decimal("0.00375")


@pytest.fixture
def odd_api() -> Iterator[str]:
    """Of one batch, made elsewhere, whose results are as they should not be."""
    shape = {
        "id": "msgbatch_odd",
        "type": "message_batch",
        "processing_status": "ended",
        "request_counts": {"processing": 0, "succeeded": len(ODD) - 3, "errored": 1, "canceled": 1, "expired": 1},
        "created_at": "2026-11-20T23:30:00+00:00",
        "expires_at": "2026-11-21T23:30:00+00:00",
        "ended_at": "2026-11-21T00:30:00+00:00",
        "cancel_initiated_at": None,
        "archived_at": None,
        "results_url": None,
    }
    lines = b"".join(result_line(f"r-{n}", one) + b"\n" for n, one in enumerate(ODD))

    def answer(_method: str, path: str) -> Answer:
        if path.endswith("/results"):
            return as_json(lines)
        return as_json(shape if "msgbatch_odd" in path else {"data": [shape], "has_more": False, "last_id": None})

    with answering(answer) as server:
        yield server.url


def test_usage_that_cannot_be_read_is_counted_and_never_guessed(odd_api: str, tmp_path: Path) -> None:
    cli = Cli(tmp_path, odd_api)
    attached = cli.run("attach", "msgbatch_odd")
    assert attached.status == 0, attached.err
    ran = cli.run("fetch")
    assert f"; not in it: {UNREAD} answers with unreadable usage" in ran.err
    assert "prices of 2026-11-20" in ran.err
    found = cost(cli)
    by_model = {one["model"]: one for one in found["models"]}
    opus = by_model["claude-opus-5"]
    expected = 7 * ONE + ONE * Decimal("1.1") + Decimal("0.03")
    # Written for 5 minutes at 3.125, and for an hour at 5, in place of nothing; one request ran in the US.
    expected += 400 * Decimal("3.125") / MILLION + 400 * Decimal(5) / MILLION
    assert (opus["requests"], Decimal(opus["batch_usd"])) == (8, expected)
    assert opus["usage"]["web_searches"] == 3
    assert found["free"] == {"errored": 1, "canceled": 1, "expired": 1}
    assert found["total"]["at_least"]
    assert "not in it: 8 answers with unreadable usage" in cli.run("cost").out


def test_prices_that_cannot_be_read_make_no_fetch_fail(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("input_mtok")

    job = cli.submitted("in.jsonl", requests(3))
    monkeypatch.setattr("batchctl.money.catalog.PriceCatalog.model_prices", broken)
    ran = cli.run("fetch")
    assert ran.status == 0, ran.err
    assert "cost     unknown, the prices cannot be read: KeyError: 'input_mtok'" in ran.err
    assert len(cli.results(job)) == 3


# ---------------------------------------------------------------- prices of their time

OWN = '[models."claude-haiku-4-5"]\ninput = {0}\noutput = {0}\n'


def _own_prices(cli: Cli, price: int) -> Path:
    path = cli.folder / ".batchctl" / "prices.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(OWN.format(price))
    return path


def _batch_usd(cli: Cli, *words: str | Path) -> Decimal:
    return Decimal(cli.run("cost", "@last", "--json", *words).json["total"]["batch_usd"])


def test_an_answer_is_priced_by_the_prices_of_its_time(cli: Cli) -> None:
    path = _own_prices(cli, 100)
    cli.submitted("in.jsonl", requests(3))
    assert cli.run("fetch").status == 0
    then = _batch_usd(cli)
    assert then > 0
    _own_prices(cli, 200)
    assert _batch_usd(cli) == then, "what was paid does not change"
    assert "200" not in cli.run("cost", "@last").out
    assert _batch_usd(cli, "--at", "today") == 2 * then
    assert _batch_usd(cli, "--at", "2026-11-20") == 2 * then, "private prices hold for every day"
    assert _batch_usd(cli, "--prices", path) == 2 * then, "what is named is used"
    path.unlink()
    assert _batch_usd(cli) == then
    assert _batch_usd(cli, "--at", "today") != then
    merged = cli.run("fetch", "--json").json["cost"]
    assert Decimal(merged["batch_usd"]) == then


@pytest.mark.parametrize("price", [50, 200])
def test_results_that_come_home_once_more_keep_their_prices(cli: Cli, price: int) -> None:
    _own_prices(cli, 100)
    job = cli.submitted("in.jsonl", requests(3))
    assert cli.run("fetch").status == 0
    then = _batch_usd(cli)
    _own_prices(cli, price)
    for path in (cli.folder / ".batchctl" / "jobs" / job / "raw").iterdir():
        path.unlink()
    assert cli.run("fetch").status == 0
    assert _batch_usd(cli) == then


def test_a_limit_counts_what_an_answer_cost_at_its_time_or_costs_now_whichever_is_more(cli: Cli) -> None:
    path = cli.folder / "own.toml"
    cli.variables["BATCHCTL_PRICES"] = str(path)
    path.write_text(OWN.format(100))
    job = cli.submitted("in.jsonl", requests(3))
    assert cli.run("fetch").status == 0
    found: list[Decimal] = []
    for price in (100, 1, 200):
        path.write_text(OWN.format(price))
        with session_of(cli.folder / ".batchctl", cli.variables["ANTHROPIC_BASE_URL"]) as session:
            bill = look_up(
                replace(session, price_catalog=PriceCatalog(path)), session.ledger.job(job), is_for_limit=True
            )
            assert bill.total is not None
            found.append(bill.total.batch)
    assert found[1] == found[0]
    assert found[2] == 2 * found[0]


def test_what_came_home_before_prices_were_recorded_is_priced_as_ever(cli: Cli) -> None:
    _own_prices(cli, 100)
    cli.submitted("in.jsonl", requests(3))
    assert cli.run("fetch").status == 0
    then = _batch_usd(cli)
    with closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db, db:
        db.execute("update usage set prices = null")
    assert _batch_usd(cli) == then
    _own_prices(cli, 200)
    assert _batch_usd(cli) == 2 * then


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "", " "])
def test_a_day_that_is_none_is_refused(cli: Cli, day: str) -> None:
    cli.submitted("in.jsonl", requests(1))
    ran = cli.run("cost", "@last", "--at", day)
    assert ran.status == 2
    assert "is not a day; use today or a date like" in ran.err
