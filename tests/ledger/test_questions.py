"""A ledger that is only read: every column stands where it belongs, whatever state the file is in."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from builders import MINUTE, NOW, WITHHELD, a_cut, a_job, a_round
from ledger.making import upgraded

from batchctl.domain.errors import LedgerProblem
from batchctl.domain.model import (
    Batch,
    FailureClass,
    Failures,
    IfAbsent,
    Job,
    Merged,
    Outcome,
    RequestCounts,
    State,
    Unconfirmed,
    Verified,
)
from batchctl.ledger import rows, schema
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.opening import for_reading
from batchctl.ledger.reading import SqlReadLedger
from batchctl.ledger.schema import HEAD
from batchctl.ledger.sqlite import journal_mode

FAILED = Failures(
    round=1,
    outcome=Outcome.ERRORED,
    error_type="overloaded_error",
    failure_class=FailureClass.RETRY,
    count=3,
    sample_ids=("r-1", "r-2"),
    sample_message="Überlastet",
)


@pytest.fixture
def light(ledger: SqlLedger, path: Path) -> Iterator[SqlReadLedger]:
    asked = for_reading(path)
    assert not isinstance(asked, SqlLedger)
    yield asked
    asked.close()


# ---------------------------------------------------------------- every column


@pytest.mark.parametrize(
    ("table", "read"),
    [
        (schema.job_table, rows.JOB),
        (schema.round_table, rows.ROUND),
        (schema.batch_table, (*rows.BATCH, *rows.UNREAD)),
        (schema.failure_table, rows.FAILURE),
        # When it was presumed is for people alone.
        (schema.presumed_table, ("id", *rows.PRESUMED, "at")),
    ],
    ids=str,
)
def test_no_column_is_forgotten(table: sa.Table, read: tuple[str, ...]) -> None:
    assert sorted(read) == sorted(table.columns.keys())


def _fill(ledger: SqlLedger, table: sa.Table) -> list[dict[str, Any]]:
    """Every column that is no key gets a value that no other has; the rows as SQLAlchemy reads them then."""
    numbers = count(1000)
    values: dict[str, Callable[[int], object]] = {
        "Integer": int,
        "BigInteger": int,
        "Boolean": lambda _: True,
        "String": lambda n: f"text {n}",
        "Text": lambda n: f"text {n}",
        "Instant": lambda n: NOW + timedelta(minutes=n, microseconds=n),
    }
    keyed = {"id", "job_id", "batch_id", "number", "round", "first", "merged", "max_cost"}
    with ledger._database.write() as db:
        for row in db.execute(sa.select(table)).mappings().all():
            new = {
                c.name: values[type(c.type).__name__](next(numbers))
                for c in table.columns
                if c.name not in keyed and type(c.type).__name__ in values
            }
            new |= {name: word for name, word in WORDS.items() if name in new}
            same = sa.and_(*(c == row[c.name] for c in table.primary_key))
            db.execute(sa.update(table).where(same).values(new))
        return [dict(row) for row in db.execute(sa.select(table)).mappings()]


WORDS = {
    "purpose": "first",
    "state": State.CANCELING.value,
    "unconfirmed": Unconfirmed.COPIED.value,
    "if_absent": IfAbsent.REFUSE.value,
    "outcome": "expired",
    "failure_class": "policy",
}


@pytest.fixture
def filled(ledger: SqlLedger, batches: tuple[Batch, ...], job: Job) -> Job:
    """A job with everything that a job can have."""
    assert ledger.record_round(job, a_round(2, count=5), [a_cut(5)])
    verified = Verified(
        bytes=9, sha256="a", counts=RequestCounts(), unknown=0, truncated=0, refusals=0, paused_turns=0, failures=()
    )
    assert ledger.claim(batches[0], "me", NOW)
    with ledger._database.write() as db:
        db.execute(
            sa.update(schema.batch_table)
            .where(schema.batch_table.c.id == batches[0].id)
            .values(state=State.ENDED.value)
        )
    assert ledger.record_fetched(batches[0], "me", replaced(verified, failures=(FAILED,)), NOW)
    ledger.record_merged(job, Merged(at=NOW, batches=1, errored=3, failures=(FAILED,)))
    ledger.record_duplicate_batch(job.id, "msgbatch_late", NOW + MINUTE)
    ledger.record_duplicate_batch(job.id, "msgbatch_early", NOW)
    return job


def replaced(verified: Verified, **more: Any) -> Verified:
    return Verified(**{name: getattr(verified, name) for name in Verified.__slots__} | more)


def test_every_column_of_a_batch_stands_where_it_belongs(ledger: SqlLedger, light: SqlReadLedger, filled: Job) -> None:
    stored = {row["id"]: row for row in _fill(ledger, schema.batch_table)}
    found = light.batches(filled)
    assert len(found) == len(stored) == 4
    for batch in found:
        of = asdict(batch)
        claim = of.pop("claim")
        flat = {**of.pop("cut"), **of.pop("counts"), **of, "owner": claim["owner"], "lease_until": claim["until"]}
        assert flat == {name: value for name, value in stored[batch.id].items() if name not in rows.UNREAD}
        assert isinstance(batch.state, State)
        assert batch.provisional is batch.identified is batch.counts_unread is True
        assert isinstance(batch.unconfirmed, Unconfirmed)
        assert isinstance(batch.if_absent, IfAbsent)


def test_every_column_of_a_job_and_its_rounds_stands_where_it_belongs(
    ledger: SqlLedger, light: SqlReadLedger, filled: Job
) -> None:
    with ledger._database.write() as db:
        db.execute(sa.update(schema.round_table).values(changes=["max_tokens=9", "top_k="]))
    rounds = _fill(ledger, schema.round_table)
    with ledger._database.write() as db:
        values = {"betas": ["b-1", "b-2"], "labels": {"team": "ünï"}, "withheld": [asdict(WITHHELD)]}
        db.execute(sa.update(schema.job_table).values(values))
    (stored,) = _fill(ledger, schema.job_table)
    with ledger._database.write() as db:
        db.execute(sa.update(schema.job_table).values(max_cost="12.50"))
    stored["max_cost"] = Decimal("12.50")
    (found,) = light.jobs()
    of = asdict(found)
    settings, merged = of.pop("settings"), of.pop("merged")
    expected = [{**one, "changes": tuple(one["changes"])} for one in rounds]
    assert [{"job_id": filled.id, **one} for one in of.pop("rounds")] == expected
    assert (of.pop("duplicate_batches"), of.pop("paid_twice")) == (("msgbatch_early", "msgbatch_late"), ())
    of["withheld"] = [*of["withheld"]]
    flat = {**of, **settings, "betas": list(settings["betas"])}
    assert flat == {name: value for name, value in stored.items() if name != "merged"}
    assert merged == asdict(Merged(at=NOW, batches=1, errored=3, failures=(FAILED,)))
    assert light.job(found.name) == light.job_of(light.batches(found)[0]) == found


def test_every_column_of_a_failure_stands_where_it_belongs(
    ledger: SqlLedger, light: SqlReadLedger, filled: Job
) -> None:
    assert light.failures(filled) == [FAILED]
    (stored,) = _fill(ledger, schema.failure_table)
    (found,) = light.failures(filled)
    flat = {**asdict(found), "sample_ids": list(found.sample_ids), "batch_id": stored["batch_id"]}
    assert flat == {**stored, "round": 1}


def test_what_is_not_known_is_none(light: SqlReadLedger, job: Job) -> None:
    (found,) = light.jobs()
    batch = light.batches(job)[0]
    assert {found.hold_until, found.canceled_at, found.window, found.window_at, found.max_cost, found.merged} == {None}
    assert {batch.message_batch_id, batch.claim, batch.intent_at, batch.results_bytes} == {None}
    assert (batch.provisional, batch.identified) == (False, False)


# ---------------------------------------------------------------- one and the same


def test_the_ledger_that_records_answers_with_the_same_methods() -> None:
    questions = {name for name in vars(SqlReadLedger) if not name.startswith("_")} - {"close"}
    assert {"jobs", "batches", "failures", "place"} <= questions
    assert all(getattr(SqlLedger, name) is getattr(SqlReadLedger, name) for name in questions)


def test_what_was_recorded_is_answered_at_once_by_both(ledger: SqlLedger, light: SqlReadLedger, job: Job) -> None:
    ledger.record_pause(job, "no credit")
    assert ledger.job(job.name).paused == light.job(job.name).paused == "no credit"


def test_asking_goes_on_while_another_is_about_to_write(light: SqlReadLedger, job: Job, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE job SET paused = 'half-way'")
    assert light.job(job.name).paused == ""
    other.execute("ROLLBACK")
    other.close()


@pytest.mark.slow
def test_many_threads_ask_one_ledger(ledger: SqlLedger, job: Job) -> None:
    def asked(n: int) -> object:
        if n % 7 == 0:
            ledger.record_window(job, n, NOW)
        return len(ledger.batches(job)), ledger.job(job.name).id, ledger.place(ledger.batches(job)[n % 3])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(asked, range(200))) == [(3, job.id, (n % 3 + 1, 3)) for n in range(200)]


def test_a_question_that_ends_badly_leaves_nothing_open(light: SqlReadLedger, job: Job) -> None:
    with pytest.raises(LedgerProblem, match="no such table"), light._database.read() as db:
        db.exec_driver_sql("SELECT * FROM nowhere")
    assert "Current Checked out connections: 0" in light._database.engine.pool.status()
    assert light.jobs() == [job]


def test_what_is_asked_at_every_event_reads_no_other_job(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        asked.append((statement, given))

    sa.event.listen(ledger._database.engine, "before_cursor_execute", note)
    ledger.job(job.name)
    ledger.job_of(batches[0])
    ledger.place(batches[0])
    ledger.batches(job)
    ledger.failures(job)
    sa.event.remove(ledger._database.engine, "before_cursor_execute", note)
    assert len(asked) == 9
    with ledger._database.read() as db:
        plans = [row[3] for one, given in asked for row in db.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}", given)]
    assert plans
    assert not [step for step in plans if step.startswith("SCAN")]


# ---------------------------------------------------------------- ledgers in other states


def test_a_ledger_of_an_older_program_is_brought_up_to_date_and_then_answers(path: Path) -> None:
    upgraded(path, "0001")
    asked = for_reading(path)
    assert asked.jobs() == []
    assert asked.revision == HEAD
    asked.close()
    light = for_reading(path)
    assert type(light) is SqlReadLedger
    light.close()


@pytest.mark.parametrize("is_made", [True, False])
def test_a_ledger_that_is_not_made_yet_is_made(path: Path, *, is_made: bool) -> None:
    if is_made:
        path.touch()
    asked = for_reading(path)
    assert (asked.jobs(), asked.revision) == ([], HEAD)
    asked.close()


@pytest.mark.parametrize("opens", [for_reading, SqlReadLedger, SqlLedger])
def test_a_ledger_of_a_newer_program_is_refused_in_the_same_words(
    path: Path, opens: Callable[[Path], SqlReadLedger]
) -> None:
    SqlLedger(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '0099'")
    db.close()
    with pytest.raises(LedgerProblem, match=r"written by a newer batchctl \(schema 0099, this one knows") as raised:
        opens(path)
    assert raised.value.hint == "upgrade batchctl; nothing was changed"


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"this is no database, and long enough to be looked at" * 50, "damaged"),
        (b"SQLite format 3\0" + bytes(2000), "damaged"),
        (None, "permissions of the file"),
    ],
)
def test_what_is_no_ledger_is_named(tmp_path: Path, content: bytes | None, hint: str) -> None:
    path = tmp_path / "folder" / "ledger.db"
    if content is not None:
        path.parent.mkdir()
        path.write_bytes(content)
    with pytest.raises(LedgerProblem, match="cannot be used") as raised:
        for_reading(path)
    assert hint in raised.value.hint


# As in a crash: the pages are in the file, the commit is not.
LEFT_HALF_WAY = """
import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for said in ("PRAGMA cache_size=1", "PRAGMA synchronous=FULL", "BEGIN IMMEDIATE"):
    db.execute(said)
db.execute("UPDATE batch SET note = hex(zeroblob(2000)), state = 'refused'")
os.kill(os.getpid(), signal.SIGKILL)
"""


def left_half_way(path: Path) -> None:
    before = path.read_bytes()
    ran = subprocess.run([sys.executable, "-c", LEFT_HALF_WAY, str(path)], check=False, timeout=30)
    assert ran.returncode == -signal.SIGKILL
    assert path.read_bytes() != before
    assert path.with_name("ledger.db-journal").stat().st_size > 0


def test_what_a_crash_left_half_way_is_not_believed(path: Path, ledger: SqlLedger) -> None:
    job = ledger.record_job(a_job(), [a_cut(1, n) for n in range(200)])
    before = ledger.batches(job)
    ledger.close()
    left_half_way(path)
    light = for_reading(path)
    assert type(light) is SqlReadLedger
    assert light.batches(job) == before
    light.close()


def test_a_ledger_that_another_sqlite_left_with_a_log_of_writes_is_read_with_it(path: Path, ledger: SqlLedger) -> None:
    job = ledger.record_job(a_job(), [a_cut()])
    ledger.close()
    writer = sqlite3.connect(path, isolation_level=None)
    assert writer.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
    writer.execute("UPDATE job SET paused = 'in the log'")
    assert path.with_name("ledger.db-wal").stat().st_size > 0
    light = SqlReadLedger(path)
    assert light.job(job.name).paused == "in the log"
    light.close()
    writer.close()


def test_whoever_writes_brings_the_journal_back_that_is_safe_here(path: Path, ledger: SqlLedger, job: Job) -> None:
    ledger.close()
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("UPDATE job SET paused = 'in the log'")
    writer.close()
    again = SqlLedger(path)
    assert again.job(job.name).paused == "in the log"
    again.record_pause(job, "")
    assert again.job(job.name) == job
    with again._database.read() as db:
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar() == journal_mode().lower()
    again.close()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everything")
def test_a_ledger_in_a_folder_that_may_only_be_read_answers(path: Path, ledger: SqlLedger, job: Job) -> None:
    ledger.close()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    light = for_reading(path)
    assert light.jobs() == [job]
    light.close()
    path.parent.chmod(0o700)


def test_instants_are_read_to_the_microsecond() -> None:
    at = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=NOW.tzinfo)
    stored = schema.Instant()
    assert stored.process_result_value(stored.process_bind_param(at, None), None) == at
    assert stored.process_result_value(None, None) is None
