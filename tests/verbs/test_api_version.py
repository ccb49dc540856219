"""The version of the API that a person names is in every call of every verb; a job remembers its own."""

from collections.abc import Callable, Iterator

import pytest
from cases import few
from loopback import Forwarding, forwarding
from program import Cli, request, requests

from batchctl.emulator.running import Running

OLD, NEW = "2023-06-01", "2026-10-21"


@pytest.fixture
def gateway(emulator: Running) -> Iterator[Forwarding]:
    with forwarding(emulator.base_url) as server:
        yield server


@pytest.fixture
def cli(cli: Cli, gateway: Forwarding) -> Cli:
    cli.variables["ANTHROPIC_BASE_URL"] = gateway.url
    return cli


def asked(gateway: Forwarding) -> tuple[set[str], set[str]]:
    """Since it was asked last: what, without ids, and in which versions."""
    calls, gateway.asked = gateway.asked, []
    return {_plain(one.method, one.path) for one in calls}, {one.headers["anthropic-version"] for one in calls}


def _plain(method: str, path: str) -> str:
    parts = path.partition("?")[0].removeprefix("/v1/").split("/")
    return " ".join((method, *("ID" if "msgbatch_" in part or part.startswith("claude-") else part for part in parts)))


@pytest.mark.slow
def test_every_call_of_every_verb_has_the_version_of_the_job(cli: Cli, emulator: Running, gateway: Forwarding) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    # That only the older version has: a call in another would not even be sent.
    lines = [request(f"r-{n}", temperature=0.5) for n in range(20)]
    path = cli.write("in.jsonl", lines)
    every: set[str] = set()

    def seen(*words: str, status: int = 0) -> None:
        ran = cli.run(*words)
        assert ran.status == status, ran.err
        calls, versions = asked(gateway)
        assert versions == {OLD}, (words, calls)
        every.update(calls)

    seen("estimate", str(path), "--api-version", OLD)
    seen("submit", str(path), "--api-version", OLD, "--name", "first")
    seen("status", "first")
    seen("fetch", "first", status=3)
    emulator.set_scenario({"batch_seconds": 3600})
    seen("retry", "first")
    seen("status", "first")
    seen("cancel", "first", "--yes", "--no-wait", status=8)
    emulator.advance(7200)
    emulator.set_scenario({"batch_seconds": 0})
    seen("run", "first", "--yes", status=3)
    seen("delete", "first", "--yes")
    cli.left_in_doubt(cli.write("two.jsonl", [request("d-1", temperature=0.5)]), *_lost(emulator), "--name", "two")
    asked(gateway)
    seen("resolve", "two")
    assert every >= {
        "POST messages batches",
        "GET messages batches",
        "GET messages batches ID",
        "GET messages batches ID results",
        "POST messages batches ID cancel",
        "DELETE messages batches ID",
        "POST messages count_tokens",
        "GET models",
    }


def _lost(emulator: Running) -> list[str]:
    emulator.add_fault({"on": "create", "fault": "drop_after_accept"})
    return ["--api-version", OLD]


def _submit(cli: Cli) -> None:
    assert cli.run("submit", "in.jsonl", "--api-version", OLD).status == 0


def _run(cli: Cli) -> None:
    assert cli.run("run", "first", "--api-version", OLD).status == 0


@pytest.mark.parametrize("command", few([_submit, _run], 0))
def test_a_version_that_is_named_for_a_job_is_that_of_all_calls_from_then_on(
    cli: Cli, emulator: Running, gateway: Forwarding, command: Callable[[Cli], None]
) -> None:
    emulator.add_fault({"on": "create", "fault": "status", "status": 401, "message": "no"})
    assert cli.run("submit", cli.write("in.jsonl", requests(2)), "--name", "first").status == 4
    assert asked(gateway)[1] == {NEW}
    command(cli)
    assert asked(gateway)[1] == {OLD}
    assert cli.run("fetch", "first").status == 0
    assert asked(gateway)[1] <= {OLD}
    assert [batch["api_version"] for batch in emulator.batches()] == [OLD]


@pytest.mark.slow
def test_what_was_sent_keeps_the_version_it_was_sent_with(cli: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    job = cli.submitted("in.jsonl", requests(20))
    cli.run("fetch")
    emulator.set_scenario({"batch_seconds": 0})
    assert cli.run("retry", job, "--api-version", OLD).status == 0
    rounds = cli.run("status", job, "--json").json["rounds"]
    assert [[one["api_version"] for one in r["headers"]] for r in rounds] == [[NEW], [OLD]]


@pytest.mark.slow
def test_batches_made_elsewhere_are_asked_for_in_the_version_that_is_named(
    cli: Cli, emulator: Running, gateway: Forwarding
) -> None:
    cli.submitted("in.jsonl", requests(2))
    (batch,) = emulator.batches()
    asked(gateway)
    attached = cli.run("attach", batch["id"], "--api-version", OLD, "--workspace", "other")
    assert attached.status == 0, attached.err
    calls, versions = asked(gateway)
    assert (versions, "GET messages batches ID" in calls) == ({OLD}, True)
