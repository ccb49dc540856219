"""A ledger of an older version, with everything that it may hold, as today's version reads it."""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from builders import API, HOUR, MINUTE, NOW, a_cut, a_job, a_message_batch
from ledger.implementations import Crash
from ledger.making import upgraded

from batchctl.domain.model import Batch, IfAbsent, PresumedNotCreated, RequestCounts, State, Unconfirmed
from batchctl.domain.places import Place
from batchctl.engine.resend_rules import needs_person
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.schema import Instant
from batchctl.ledger.sqlite import SqliteDatabase

S = State
GIVEN_UP = NOW + 5 * MINUTE


def insert(db: sqlite3.Connection, table: str, **values: Any) -> None:
    """A row; a time as the ledger stores it."""
    stored = [Instant().process_bind_param(v, None) if hasattr(v, "tzinfo") else v for v in values.values()]
    names = ", ".join(f'"{name}"' for name in values)
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(values))})", stored)


def insert_batch(db: sqlite3.Connection, number: int, state: State, **more: Any) -> None:
    cut = a_cut(10, 10 * number)
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    given = {
        "id": number,
        "job_id": 1,
        "round": 1,
        "first": cut.first,
        "count": cut.count,
        "start": cut.start,
        "end": cut.end,
        "sha256": cut.sha256,
        "state": state.value,
        "provisional": False,
        "identified": False,
        "tries": 2,
        "looks": 1,
        "api": API,
        "note": f"note {number}",
        **counts,
        **dict.fromkeys(("unknown", "truncated", "refusals", "paused_turns"), 0),
    }
    insert(db, "batch", **{**given, **more})


@pytest.fixture
def old(path: Path) -> Path:
    """A ledger of the version before, with a batch of every kind."""
    upgraded(path, "0003")
    db = sqlite3.connect(path)
    job = a_job()
    plain = (
        "name",
        "input_path",
        "input_sha256",
        "input_size",
        "input_mtime_ns",
        "line_count",
        "left_out",
        "created_at",
    )
    values = {name: getattr(job, name) for name in plain}
    texts = {"paused": "", "hold_until": NOW + HOUR, "hold_reason": "queue", "cache_system": "1h", "window": 30}
    words = {
        "api_version": "2026-10-21",
        "betas": "[]",
        "max_requests": 10_000,
        "max_bytes": 250_000_000,
        "labels": "{}",
    }
    insert(db, "job", id=1, **values, **texts, **words)
    insert(db, "round", job_id=1, number=1, request_file="r", size=1, mtime_ns=1, count=70, created_at=NOW, shape="")
    lost = {"intent_at": NOW, "lost_at": NOW + MINUTE}
    insert_batch(db, 1, S.PLANNED)
    insert_batch(db, 2, S.SUBMITTING, **lost)
    insert_batch(db, 3, S.SUBMITTING, intent_at=NOW, owner="alpha-7-cc", lease_until=NOW + HOUR)
    insert_batch(db, 4, S.PLANNED, given_up_at=GIVEN_UP)
    insert_batch(db, 5, S.SUBMITTING, given_up_at=GIVEN_UP, **lost)
    insert_batch(db, 6, S.IN_PROGRESS, message_batch_id="msgbatch_6", provisional=True, processing=10, created_at=NOW,
                 looked_at=NOW + MINUTE)  # fmt: skip
    insert_batch(
        db, 7, S.FETCHED, message_batch_id="msgbatch_7", succeeded=9, errored=1, results_bytes=5, given_up_at=NOW
    )
    insert(db, "move", id=1, batch_id=2, at=NOW, before="planned", after="submitting", note="")
    insert(db, "stranger", job_id=1, message_batch_id="msgbatch_8", at=NOW)
    insert(db, "surplus", job_id=1, message_batch_id="msgbatch_9", at=NOW, settled=False)
    insert(db, "surplus", job_id=1, message_batch_id="msgbatch_10", at=NOW, settled=True)
    insert(db, "failure", batch_id=7, outcome="errored", error_type="api_error", failure_class="retry", count=1,
           sample_ids='["r-1"]', sample_message="Oh")  # fmt: skip
    db.commit()
    db.close()
    return path


@pytest.fixture
def migrated(old: Path) -> Iterator[SqlLedger]:
    ledger = SqlLedger(old)
    yield ledger
    ledger.close()


def batches(ledger: SqlLedger) -> dict[int, Batch]:
    return {b.id: b for b in ledger.batches(ledger.job("reviews-7f3a"))}


def test_every_batch_is_what_it_was(migrated: SqlLedger) -> None:
    found = batches(migrated)
    assert {number: b.state for number, b in found.items()} == {
        1: S.PLANNED,
        2: S.SUBMITTING,
        3: S.SUBMITTING,
        4: S.PLANNED,
        5: S.SUBMITTING,
        6: S.IN_PROGRESS,
        7: S.FETCHED,
    }
    assert {number: (b.cut, b.note, b.tries, b.list_reads, b.api) for number, b in found.items()} == {
        number: (a_cut(10, 10 * number), f"note {number}", 2, 1, API) for number in range(1, 8)
    }
    assert (found[6].message_batch_id, found[6].is_provisional_match, found[6].created_at) == ("msgbatch_6", True, NOW)
    assert (found[6].counts, found[6].polled_at) == (RequestCounts(processing=10), NOW + MINUTE)
    assert (found[7].counts, found[7].results_bytes) == (RequestCounts(succeeded=9, errored=1), 5)
    assert found[3].claim is not None
    assert found[3].claim.owner == "alpha-7-cc"
    for one in found.values():
        assert (one.attempt, one.created_after, one.unproven_refusals, one.put_off_at) == (0, None, 0, None)
        assert (one.if_absent, one.counts_unread, one.evidence, one.held) == (IfAbsent.PLAN, False, "", "")


def test_what_was_in_doubt_is_unconfirmed_and_nobody_knows_why(migrated: SqlLedger) -> None:
    found = batches(migrated)
    unconfirmed = {number for number, one in found.items() if one.unconfirmed is Unconfirmed.UNKNOWN}
    assert unconfirmed == {2, 3, 5}
    assert {one.unconfirmed for number, one in found.items() if number not in unconfirmed} == {Unconfirmed.NOTHING}
    assert {b.id for b in migrated.unconfirmed_batches()} == {2, 3, 5}
    assert found[2].intent_at == NOW


def test_what_was_given_up_once_is_remembered_and_counts_as_one_create_of_unknown_outcome(migrated: SqlLedger) -> None:
    found = batches(migrated)
    assert {number for number, one in found.items() if one.unknown_creates} == {4, 5, 7}
    assert {one.unknown_creates for one in found.values()} == {0, 1}
    job = migrated.job("reviews-7f3a")
    assert migrated.presumed_not_created(job) == [
        PresumedNotCreated(batch_id=number, job_id=1, round=1, cut=a_cut(10, 10 * number), created_after=None)
        for number in (4, 5, 7)
    ]
    assert needs_person(found[5]), "its first create was given up, its second is unconfirmed"
    assert not needs_person(found[2])


def test_when_it_was_given_up_is_kept(migrated: SqlLedger, old: Path) -> None:
    migrated.close()
    with contextlib.closing(sqlite3.connect(old)) as db, db:
        times = [at for (at,) in db.execute("SELECT at FROM presumed_not_created ORDER BY batch_id")]
    db.close()
    assert times == [Instant().process_bind_param(at, None) for at in (GIVEN_UP, GIVEN_UP, NOW)]


def test_a_job_is_what_it_was(migrated: SqlLedger) -> None:
    job = migrated.job("reviews-7f3a")
    assert (job.hold_until, job.hold_reason, job.hold_at) == (NOW + HOUR, "queue", None)
    assert (job.window, job.settings.cache_system) == (30, "1h")
    assert (job.duplicate_batches, job.paid_twice) == (("msgbatch_9",), ("msgbatch_10",))
    assert (job.may_be_copied, job.settings.size_start) == (True, None), "copies of an older ledger cannot be told"
    assert migrated.known_message_batches(job) == {"msgbatch_7", "msgbatch_8"}
    assert len(migrated.failures(job)) == len(migrated.moves(job)) == 1


def test_what_was_sent_has_the_headers_of_its_job_and_what_was_not_has_none(migrated: SqlLedger) -> None:
    found = batches(migrated)
    theirs = migrated.job("reviews-7f3a").settings.headers
    sent = {number for number, b in found.items() if b.headers == theirs}
    assert sent == {2, 3, 5}, "those whose create was begun, as the ledger says"
    assert all(found[number].headers is None for number in found.keys() - sent)
    assert migrated.job("reviews-7f3a").settings.depth == "auto"


@pytest.mark.slow
def test_a_migration_that_is_cut_off_anywhere_has_happened_whole_or_not_at_all(old: Path, tmp_path: Path) -> None:
    """From the version before; two words of the place are random where they are made, so they are made before."""
    upgraded(old, "0007")
    before = _dump(old)
    for at in range(1, 200):
        copy = tmp_path / f"{at}.db"
        shutil.copy(old, copy)
        with contextlib.closing(SqliteDatabase(copy)) as database:
            database.open(writes=True)
            left = iter(range(at - 1, -1, -1))

            def count(*_: Any, left: Iterator[int] = left) -> None:
                if next(left, -1) == 0:
                    raise Crash

            for event in ("before_cursor_execute", "commit"):
                sa.event.listen(database.engine, event, count)
            with contextlib.suppress(Crash):
                database.bring_up_to_date()
                break
        assert _dump(copy) == before
        SqlLedger(copy).close()
        assert _dump(copy) != before
    assert at > 6, "five renames and a commit, at least"


def _dump(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def test_where_it_lies_is_not_known_and_its_names_are_new(migrated: SqlLedger, old: Path) -> None:
    workspace_id, salt, place, generation = migrated.stored_place()
    assert (place, generation) == (Place(machine="", path="", device=0, inode=0), 0)
    assert len({workspace_id, salt, "0" * 32, ""}) == 4
    again = SqlLedger(old)
    assert again.stored_place() == migrated.stored_place(), "made once"
    again.close()


def test_every_row_still_belongs_to_one_that_is_there(migrated: SqlLedger) -> None:
    with migrated._database.read() as db:
        assert db.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        assert db.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        stored = "SELECT name || coalesce(sql, '') FROM sqlite_master"
        made = " ".join(db.exec_driver_sql(stored).scalars())
    assert not [
        name for name in ("_alembic_tmp", "stranger", "surplus", "presumed ", "looks", "looked") if name in made
    ]


def test_the_ledger_goes_on_from_there(migrated: SqlLedger) -> None:
    found = batches(migrated)
    sent = migrated.claim_send(found[1], "1-aa", NOW, created_after=NOW, api=API)
    assert sent is not None
    assert migrated.record_created(sent, a_message_batch("msgbatch_1"), NOW)
    assert migrated.record_presumed_not_created(found[2], "1-aa", NOW, note="")
    assert migrated.record_adopted(found[5], a_message_batch("msgbatch_5"), "1-aa", NOW, identified=True)
    now = batches(migrated)
    assert [(now[n].state, now[n].attempt, now[n].unknown_creates) for n in (1, 2, 5)] == [
        (S.IN_PROGRESS, 1, 0),
        (S.PLANNED, 0, 1),
        (S.IN_PROGRESS, 0, 1),
    ]
    assert migrated.stored_place()[3] == 1
    assert now[7] == replace(found[7])


@pytest.mark.parametrize("revision", ["0001", "0002", "0003"])
def test_an_empty_ledger_of_any_version_is_brought_up_to_date(path: Path, revision: str) -> None:
    upgraded(path, revision)
    ledger = SqlLedger(path)
    assert ledger.jobs() == []
    assert ledger.stored_place()[3] == 0
    ledger.close()
