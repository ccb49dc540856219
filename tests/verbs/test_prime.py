"""`--prime`: a first batch writes what the others share to a cache; the others go once it is read."""

import json
import re
from collections import Counter
from typing import Any

import pytest
from program import Cli, ids, request, sent_lines

from batchctl.emulator.running import Running

POLL = ("--poll", "50ms")
LONG_PROMPT = "Sort the text into one of the labels that follow. " + "label " * 1_000


@pytest.fixture(autouse=True)
def _at_once(emulator: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator.set_scenario({"batch_seconds": 0, "cache": {"warm_hit_rate": 1.0}})
    _measure(monkeypatch, 4)


def _measure(monkeypatch: pytest.MonkeyPatch, requests: int) -> None:
    """As few as a test can send quickly."""
    for room in ("verbs.first_batch", "engine.prime_rules"):
        monkeypatch.setattr(f"batchctl.{room}.MEASURED", requests)


def lines(count: int, **more: Any) -> list[bytes]:
    """Two of three share a long prompt."""
    shared = [{"system": LONG_PROMPT}, {"system": LONG_PROMPT}, {}]
    return [request(f"r-{n}", f"Text {n}", model="claude-haiku-5-5", **shared[n % 3], **more) for n in range(count)]


def sent(emulator: Running) -> list[list[dict[str, Any]]]:
    return [[json.loads(line) for line in batch] for batch in sent_lines(emulator)]


def has_breakpoint(line: dict[str, Any]) -> bool:
    system = line["params"].get("system")
    return isinstance(system, list) and system[-1].get("cache_control") == {"type": "ephemeral", "ttl": "1h"}


def assert_sent_once(emulator: Running, count: int) -> None:
    times = Counter(line["custom_id"] for batch in sent(emulator) for line in batch)
    assert times == {f"r-{n}": 1 for n in range(count)}


def job_of(cli: Cli) -> str:
    (job,) = json.loads(cli.run("status", "--json").out)["jobs"]
    return str(job["job"])


def test_the_others_read_what_the_first_batch_wrote(cli: Cli, emulator: Running) -> None:
    ran = cli.run("run", cli.write("in.jsonl", lines(30)), "--prime", *POLL)
    assert ran.status == 0, ran.err
    batches = sent(emulator)
    assert [len(batch) for batch in batches] == [1, 4, 25]
    assert all(has_breakpoint(line) for batch in batches[:2] for line in batch)
    # Who shares nothing is sent as it was written.
    assert Counter(has_breakpoint(line) for line in batches[2]) == {True: 15, False: 10}
    assert_sent_once(emulator, 30)
    assert "a prompt, shared by 20 requests, is cached first; 10 other requests are sent unchanged" in ran.err
    assert "100 % of the shared prompts were read from the cache" in ran.err
    job = job_of(cli)
    assert ids(cli.results(job)) == [f"r-{n}" for n in range(30)]
    assert cli.run("verify", job).status == 0
    written = [r["result"]["message"]["usage"]["cache_creation_input_tokens"] for r in cli.results(job)]
    assert sum(tokens > 0 for tokens in written) == 1


def test_too_few_hits_hold_the_rest_and_say_what_it_costs_to_go_on(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "cache": {"warm_hit_rate": 0.0}})
    path = cli.write("in.jsonl", lines(30))
    assert cli.run("run", path, "--prime", *POLL).status == 6
    ran = cli.run("run", path, *POLL)
    assert ran.status == 6, ran.err
    assert len(emulator.batches()) == 2
    assert "of the first 4 requests" in ran.err
    assert "0 % of the shared prompts were read from the cache, less than the 50 % of --prime-min-hit" in ran.err
    assert re.search(r"15 requests are held; at the cost of those they would cost about \$0\.\d+", ran.err)
    job = job_of(cli)
    assert f"try: send them all the same: batchctl submit {job} --prime-min-hit 0" in ran.err
    # What was answered is in the files.
    assert len(cli.results(job)) == 5
    assert cli.run("submit", job, "--prime-min-hit", "0").status == 0
    assert cli.run("run", job, *POLL).status == 0
    assert_sent_once(emulator, 30)


def test_the_limit_of_hits_may_be_lowered(cli: Cli, emulator: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    _measure(monkeypatch, 20)
    emulator.set_scenario({"batch_seconds": 0, "cache": {"warm_hit_rate": 0.5}})
    path = cli.write("in.jsonl", lines(60))
    first = cli.run("run", path, "--prime", "--prime-min-hit", "99%", *POLL)
    assert first.status == 6, first.err
    assert cli.run("run", path, "--prime-min-hit", "1%", *POLL).status == 0
    assert_sent_once(emulator, 60)


def test_a_cache_of_which_too_little_is_left_is_written_once_more(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 3300, "cache": {"warm_hit_rate": 1.0}})
    path = cli.write("in.jsonl", lines(30))
    assert cli.run("submit", path, "--prime", "--no-wait").status == 8
    emulator.advance(3300)
    emulator.set_scenario({"batch_seconds": 0, "cache": {"warm_hit_rate": 1.0}})
    ran = cli.run("run", path, *POLL)
    assert ran.status == 0, ran.err
    assert "is cached first, again: what was cached expires in" in ran.err
    assert [len(batch) for batch in sent(emulator)] == [1, 1, 4, 24]
    assert_sent_once(emulator, 30)


def test_a_cache_that_never_lives_long_enough_holds_the_rest(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 3300})
    path = cli.write("in.jsonl", lines(30))
    for batches in (1, 2, 3):
        assert cli.run("submit", path, "--prime", "--no-wait").status == 8
        assert len(emulator.batches()) == batches
        emulator.advance(3300)
    ran = cli.run("submit", path, "--no-wait")
    assert ran.status == 6, ran.err
    assert "17 requests might not read it in time, and are held" in ran.err
    emulator.set_scenario({"batch_seconds": 0})
    assert cli.run("run", path, "--prime-min-hit", "0", *POLL).status == 0
    assert_sent_once(emulator, 30)


def test_a_prompt_that_got_no_answer_is_tried_again_and_else_sent_as_it_was_written(
    cli: Cli, emulator: Running
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"expired": 1.0}})
    ran = cli.run("run", cli.write("in.jsonl", lines(12)), "--prime", "--max-rounds", "1", *POLL)
    assert ran.status == 3, ran.err
    batches = sent(emulator)
    assert [len(batch) for batch in batches] == [1, 1, 1, 9]
    assert not any(map(has_breakpoint, batches[-1]))
    assert_sent_once(emulator, 12)


def test_where_nothing_is_worth_it_nothing_is_changed_and_that_is_said(cli: Cli, emulator: Running) -> None:
    written = [request(f"r-{n}", system="Be brief.") for n in range(5)]
    ran = cli.run("run", cli.write("in.jsonl", written), "--prime", *POLL)
    assert ran.status == 0, ran.err
    assert "no prompt is long enough and shared by 3 requests; nothing is cached" in ran.err
    assert sent_lines(emulator) == [written]


def test_many_different_prompts_are_sent_as_they_were_written(cli: Cli, emulator: Running) -> None:
    written = [request(f"r-{n}", model="claude-haiku-5-5", system=f"{n} {LONG_PROMPT}") for n in range(100)]
    ran = cli.run("run", cli.write("in.jsonl", written), "--prime", *POLL)
    assert ran.status == 0, ran.err
    assert sent_lines(emulator) == [written]


def test_with_a_canary_both_are_one_batch(cli: Cli, emulator: Running) -> None:
    written = [*lines(12), *(request(f"w-{n}", model="claude-haiku-5-5", inference_geo="eu") for n in range(6))]
    ran = cli.run("run", cli.write("in.jsonl", written), "--prime", "--canary", *POLL)
    assert ran.status == 3, ran.err
    batches = sent(emulator)
    assert [len(batch) for batch in batches] == [3, 4, 6]
    assert [has_breakpoint(line) for line in batches[0]] == [True, False, False]
    assert "withheld: 5 requests like line" in ran.err


def test_the_options_that_contradict_it_are_refused(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", lines(6))
    ran = cli.run("run", path, "--prime", "--cache-system", "5m")
    assert ran.status == 2
    assert "--prime caches for 1 hour, and --cache-system 5m for 5 minutes" in ran.err
    for wrong in ("101%", "half", "-1", ""):
        assert cli.run("run", path, f"--prime-min-hit={wrong}").status == (2 if wrong else 0)
    assert not emulator.batches() or len(emulator.batches()) == 1
    ran = cli.run("run", path, "--prime-min-hit", "10%")
    assert ran.status == 6
    assert "was planned without --prime" in ran.err


def test_the_payload_that_is_shown_is_the_one_that_is_sent(cli: Cli, emulator: Running) -> None:
    path = cli.write("in.jsonl", lines(6))
    shown = [json.loads(cli.run("submit", path, "--prime", "--show", str(n)).out)["requests"][0] for n in range(1, 7)]
    assert cli.run("run", path, "--prime", *POLL).status == 0
    assert sorted((line for batch in sent(emulator) for line in batch), key=lambda line: line["custom_id"]) == shown
