"""`delete`: nothing is deleted at the API that is not proved to be on the disk."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from cases import few
from gateway import gateway
from program import Cli, requests

from batchctl.emulator.running import Running

DELETE = "DELETE /v1/messages/batches/{id}"


def _left(emulator: Running) -> int:
    return sum(not b["deleted"] for b in emulator.batches())


def _fetched(cli: Cli, count: int = 9) -> str:
    job = cli.submitted("in.jsonl", requests(count), "--max-requests", "3")
    assert cli.run("fetch").status == 0
    return job


def test_a_job_that_is_on_the_disk_is_deleted_and_what_stays_is_said(cli: Cli, emulator: Running) -> None:
    job = _fetched(cli)
    ran = cli.run("delete", job, "--yes")
    assert ran.status == 0, ran.err
    assert _left(emulator) == 0
    assert "3 batches deleted at the API" in ran.err
    assert "what stays" in ran.err
    (cli.folder / f"{job}.results.jsonl").unlink()
    assert cli.run("fetch").status == 0
    assert len(cli.results(job)) == 9
    assert cli.run("verify").status == 0


def test_without_a_yes_nothing_is_deleted(cli: Cli, emulator: Running) -> None:
    _fetched(cli)
    ran = cli.run("delete")
    assert ran.status == 6
    assert "--yes" in ran.err
    assert _left(emulator) == 3


@pytest.mark.parametrize("state", ["running", "ended"])
def test_what_is_not_on_the_disk_is_not_deleted(cli: Cli, emulator: Running, state: str) -> None:
    emulator.set_scenario({"batch_seconds": 600 if state == "running" else 0})
    cli.submitted("in.jsonl", requests(3))
    ran = cli.run("delete", "--yes")
    assert ran.status == 6
    assert "not downloaded yet" in ran.err
    assert _left(emulator) == 1


def test_what_is_damaged_on_the_disk_is_not_deleted(cli: Cli, emulator: Running) -> None:
    job = _fetched(cli)
    raw = sorted((cli.folder / ".batchctl" / "jobs" / job / "raw").glob("*.jsonl"))[1]
    stored = bytearray(raw.read_bytes())
    stored[40] ^= 1
    raw.write_bytes(stored)
    ran = cli.run("delete", "--yes")
    assert ran.status == 6
    assert "batchctl verify" in ran.err
    assert _left(emulator) == 3


def test_with_another_key_nothing_is_taken_for_deleted(cli: Cli, emulator: Running) -> None:
    _fetched(cli)
    cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-another-workspace"
    ran = cli.run("delete", "--yes")
    assert ran.status == 6
    assert "this key and URL use" in ran.err
    assert _left(emulator) == 3


@pytest.mark.parametrize(
    "fault",
    few(
        [
            {"fault": "status", "status": 529},
            {"fault": "drop_before_accept"},
            {"fault": "drop_after_accept"},
            {"fault": "html_status"},
            {"fault": "not_found"},
        ],
        2,
    ),
    ids=lambda f: f["fault"],
)
def test_a_delete_without_an_answer_is_asked_again(cli: Cli, emulator: Running, fault: dict[str, Any]) -> None:
    _fetched(cli)
    emulator.add_fault({"on": "delete", "nth": 2, **fault})
    ran = cli.run("delete", "--yes", "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["batches"] == 3
    assert _left(emulator) == 0
    again = cli.run("delete")
    assert again.status == 0
    assert "nothing of it is left at the API" in again.err


@pytest.mark.slow
def test_a_stop_in_between_is_gone_on_with(cli: Cli, emulator: Running) -> None:
    _fetched(cli)
    emulator.add_fault({"on": "delete", "nth": 2, "fault": "status", "status": 401, "type": "authentication_error"})
    assert cli.run("delete", "--yes").status == 4
    assert _left(emulator) == 2
    assert cli.run("delete", "--yes").status == 0
    assert _left(emulator) == 0


def test_with_another_key_what_was_attached_is_not_taken_for_deleted(
    cli: Cli, emulator: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    Cli(tmp_path_factory.mktemp("elsewhere"), emulator.base_url).submitted("in.jsonl", requests(3))
    assert cli.run("attach", emulator.batches()[0]["id"]).status == 0
    assert cli.run("fetch").status == 0
    key = cli.variables["ANTHROPIC_API_KEY"]
    cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-another-workspace"
    ran = cli.run("delete", "--yes")
    assert ran.status == 6
    assert "this key and URL use" in ran.err
    cli.variables["ANTHROPIC_API_KEY"] = key
    assert cli.run("delete", "--yes").status == 0
    assert _left(emulator) == 0


@pytest.mark.parametrize("fingerprint", few([True, False], 1), ids=["key is known", "key is not known"])
@pytest.mark.parametrize("sees", few([True, False], 1), ids=["key of the same account", "key of another account"])
def test_behind_a_gateway_a_404_proves_a_deletion_only_with_the_key_of_the_batch(
    cli: Cli, emulator: Running, *, sees: bool, fingerprint: bool
) -> None:
    """A gateway that drops the names of the account; and a ledger of a version that stored no key."""
    emulator.set_scenario(
        {"batch_seconds": 0, "keys": {"sk-ant-tests": "one", "sk-ant-other": "one" if sees else "two"}}
    )
    mine = cli.variables["ANTHROPIC_API_KEY"]
    with gateway(emulator.base_url, drops=("anthropic-",)) as url:
        cli.variables["ANTHROPIC_BASE_URL"] = url
        _fetched(cli)
        with closing(sqlite3.connect(cli.folder / ".batchctl" / "ledger.db")) as db, db:
            if not fingerprint:
                db.execute("update batch set api = ?", (url,))
        cli.variables["ANTHROPIC_API_KEY"] = "sk-ant-other"
        ran = cli.run("delete", "--yes")
        assert ran.status == (0 if sees else 6), ran.err
        if not sees:
            assert "is unknown to this key" in ran.err
            assert "nothing of it is left" not in cli.run("delete", "--yes").err, "nothing was recorded"
            cli.variables["ANTHROPIC_API_KEY"] = mine
            assert cli.run("delete", "--yes").status == 0
    assert _left(emulator) == 0


@pytest.mark.slow
def test_what_was_deleted_by_hand_is_gone_with_the_key_of_the_batch(cli: Cli, emulator: Running) -> None:
    with gateway(emulator.base_url, drops=("anthropic-",)) as url:
        cli.variables["ANTHROPIC_BASE_URL"] = url
        _fetched(cli)
        emulator.reset()
        assert cli.run("delete", "--yes").status == 0
