"""A job that version 0.1.0 has half sent is continued by this version: each request is sent once, and every answer is there."""

import json
import os
import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from cases import few
from program import KEY, Cli

from batchctl.api.client import SdkMessageBatches
from batchctl.api.protocol import Body
from batchctl.clock import Clock
from batchctl.emulator.running import Running
from batchctl.ledger.schema import HEAD

OLD = Path(__file__).parent / "old_workspace"
JOB = "in-9378"
LINES = (OLD / "in.jsonl").read_bytes().splitlines()


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHCTL_DOUBT_GRACE", "0.5")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def _created(emulator: Running, count: int) -> list[str]:
    """Create the first `count` batches as the old version did, and return their ids."""
    made = []
    with closing(SdkMessageBatches(emulator.base_url)) as api:
        for n in range(count):
            body = b'{"requests":[%b]}' % b",".join(LINES[3 * n : 3 * n + 3])
            made.append(api.create(Body(iter([body]), len(body)), api_version="2026-10-21", betas=()).batch.id)
    return made


def _laid_down(folder: Path, base_url: str, ids: list[str]) -> None:
    """Lay down the old workspace in `folder`, as if it was left a minute ago."""
    (folder / "in.jsonl").write_bytes((OLD / "in.jsonl").read_bytes())
    workspace = folder / ".batchctl"
    job = workspace / "jobs" / JOB
    (job / "raw").mkdir(parents=True)
    requests = job / "round-1.requests.jsonl"
    requests.write_bytes((OLD / "in.jsonl").read_bytes())
    for results in OLD.glob("round-1.000000000.*"):
        (job / "raw" / results.name).write_bytes(results.read_bytes())
    last = Clock().now() - timedelta(minutes=1)
    sql = (OLD / "ledger.sql").read_text(encoding="utf-8")
    for number, name in enumerate(ids, 1):
        sql = sql.replace(f"{{batch-{number}}}", name)
    sql = sql.replace("{folder}", str(folder)).replace("{base_url}", base_url)
    sql = re.sub(
        r"\{([+-][\d.]+)\}",
        lambda m: f"{last + timedelta(seconds=float(m.group(1))):%Y-%m-%dT%H:%M:%S.%fZ}",
        sql,
    )
    with closing(sqlite3.connect(workspace / "ledger.db")) as db:
        db.executescript(sql)
        (mtime_ns,) = db.execute("SELECT mtime_ns FROM round").fetchone()
    os.utime(requests, ns=(mtime_ns, mtime_ns))


@pytest.fixture
def old(cli: Cli, emulator: Running) -> Cli:
    _laid_down(cli.folder, emulator.base_url, _created(emulator, 3)[:2])
    return cli


def _assert_each_paid_for_once(cli: Cli, emulator: Running) -> None:
    sent = [r["custom_id"] for b in emulator.batches() for r in json.loads(emulator.body(b["id"]))["requests"]]
    assert sorted(sent) == [json.loads(line)["custom_id"] for line in LINES]
    answers = (cli.folder / f"{JOB}.results.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["custom_id"] for line in answers] == sorted(sent)
    assert cli.run("verify", JOB).status == 0


def test_its_ledger_is_brought_up_to_date_by_whoever_only_reads(old: Cli) -> None:
    status = old.run("status", JOB, "--offline")
    assert status.status == 0, status.err
    assert "3 succeeded" in status.out
    with closing(sqlite3.connect(old.folder / ".batchctl" / "ledger.db")) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)


@pytest.mark.parametrize("words", few([["run", JOB], ["run", "in.jsonl"]], 1))
def test_it_is_continued_and_each_request_is_paid_for_once(old: Cli, emulator: Running, words: list[str]) -> None:
    ran = old.run(*words, "--poll", "0.1s", "--yes")
    assert ran.status == 0, ran.err
    assert len(emulator.batches()) == 4
    _assert_each_paid_for_once(old, emulator)


@pytest.mark.slow
def test_what_the_api_never_created_is_sent_again_once(cli: Cli, emulator: Running) -> None:
    _laid_down(cli.folder, emulator.base_url, _created(emulator, 2))
    submitted = cli.run("submit", JOB, "--yes")
    assert submitted.status in {0, 8}, submitted.err
    fetched = cli.run("run", JOB, "--poll", "0.1s", "--yes")
    assert fetched.status == 0, fetched.err
    assert len(emulator.batches()) == 4
    _assert_each_paid_for_once(cli, emulator)
