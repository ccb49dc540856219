"""A ledger whose schema somebody else has written is refused before anything of it is read or changed."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from ledger.making import WAYS, upgraded

from batchctl.domain.errors import LedgerProblem
from batchctl.ledger import checkup
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.opening import for_reading
from batchctl.ledger.reading import SqlReadLedger
from batchctl.ledger.sqlite import TABLES, digests, journal_mode

ADDS = "INSERT INTO batch SELECT * FROM batch"
REBUILT = """
CREATE TABLE other AS SELECT * FROM duplicate_batch;
DROP TABLE duplicate_batch;
CREATE TABLE duplicate_batch (
    job_id INTEGER NOT NULL, message_batch_id VARCHAR(128) NOT NULL, at VARCHAR(27) NOT NULL,
    is_over BOOLEAN DEFAULT 0 NOT NULL, {0}
    FOREIGN KEY(job_id) REFERENCES job (id) {1}
);
DROP TABLE other;
"""
KEY = "PRIMARY KEY (job_id, message_batch_id),"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (f"CREATE TRIGGER more AFTER UPDATE ON batch BEGIN {ADDS}; END", "the trigger 'more' on 'batch'"),
        ("CREATE VIEW seen AS SELECT * FROM job", "the view 'seen'"),
        ("CREATE TABLE extra (x)", "the table 'extra'"),
        ('CREATE TABLE "a\x1b[31m\nb" (x)', r"the table 'a\x1b[31m\nb'"),
        ("CREATE INDEX quick ON job (name)", "the index 'quick' on 'job'"),
        ("DROP INDEX ix_batch_state; CREATE INDEX ix_batch_state ON batch (job_id)", "the index 'ix_batch_state'"),
        ("ALTER TABLE job ADD COLUMN extra TEXT", "other columns or keys in the table job"),
        ("ALTER TABLE job DROP COLUMN window_at", "other columns or keys in the table job"),
        ("DROP TABLE usage", "other columns or keys in the table usage"),
        ("ALTER TABLE job ADD COLUMN twice INTEGER AS (id * 2)", "AS in the table 'job'"),
        (REBUILT.format(KEY, ""), ""),
        (REBUILT.format("", ""), "other columns or keys in the table duplicate_batch"),
        (REBUILT.format(KEY.replace(")", ") ON CONFLICT REPLACE"), ""), "ON in the table 'duplicate_batch'"),
        (REBUILT.format(KEY, "ON DELETE CASCADE"), "ON in the table 'duplicate_batch'"),
        (REBUILT.format(f"{KEY} CHECK (is_over)", "").replace("CHECK (is_over)", "CHECK (is_over),"), "CHECK in the"),
        ("ANALYZE", ""),
    ],
)
def test_what_no_version_makes_is_named_and_left_as_it_is(path: Path, empty: Path, script: str, said: str) -> None:
    shutil.copy(empty, path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(script)
    before = path.read_bytes()
    opens = (SqlLedger, for_reading, lambda ledger: checkup.examine(ledger, ledger.parent / "owners"))
    for opened in opens:
        if not said:
            made = opened(path)
            if isinstance(made, SqlLedger | SqlReadLedger):
                made.close()
            continue
        with pytest.raises(LedgerProblem) as raised:
            opened(path)
        assert said in raised.value.message
        assert "--workspace" in raised.value.hint
        assert path.read_bytes() == before


def test_an_old_ledger_with_a_trigger_is_not_brought_up_to_date(path: Path, empty: Path) -> None:
    shutil.copy(empty, path)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '0003'")
        db.execute(f"CREATE TRIGGER more AFTER INSERT ON batch BEGIN {ADDS}; END")
    before = path.read_bytes()
    with pytest.raises(LedgerProblem, match="the trigger 'more'"):
        SqlLedger(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("revision", ["0001", "0003", "0005"])
def test_an_old_ledger_with_another_table_than_that_version_made_is_not_brought_up_to_date(
    path: Path, revision: str
) -> None:
    upgraded(path, revision)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("ALTER TABLE job ADD COLUMN extra TEXT")
    before = path.read_bytes()
    for opened in (SqlLedger, for_reading):
        with pytest.raises(LedgerProblem, match="other columns or keys in the table job"):
            opened(path)
        assert path.read_bytes() == before


def test_the_journal_of_a_strange_ledger_is_left_as_it_is(path: Path, empty: Path) -> None:
    shutil.copy(empty, path)
    other = "DELETE" if journal_mode() == "WAL" else "WAL"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode={other}")
        db.execute("CREATE TABLE extra (x)")
    before = path.read_bytes()
    with pytest.raises(LedgerProblem, match="the table 'extra'"):
        SqlLedger(path)
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_no_ledger(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE bookmarks (url)")
    with pytest.raises(LedgerProblem, match="the table 'bookmarks'"):
        SqlLedger(path)


def test_the_tables_that_are_known_are_those_that_are_made(tmp_path: Path) -> None:
    made: dict[str, set[str]] = {}
    for way, make in enumerate(WAYS):
        make(path := tmp_path / f"{way}.db")
        with contextlib.closing(sqlite3.connect(path)) as db:
            for table, digest in digests(db).items():
                made.setdefault(table, set()).add(digest)
    assert made == {table: set(known) for table, known in TABLES.items()}
