"""The tables of today are what the migrations make, and say what they hold."""

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from ledger.making import WAYS

from batchctl.ledger import schema
from batchctl.ledger import sqlite as engine
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.schema import HEAD, REVISIONS
from batchctl.ledger.sqlite import journal_mode

SCRIPTS = ScriptDirectory(str(Path(engine.__file__).parent / "migrations"))


@pytest.mark.parametrize("make", WAYS)
def test_a_new_ledger_and_the_migrations_make_exactly_todays_tables(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    found = sa.create_engine(f"sqlite:///{path}")
    with found.connect() as db:
        context = MigrationContext.configure(db, opts={"compare_type": True, "render_as_batch": True})
        differences = compare_metadata(context, schema.metadata)
        unique = {
            t: {tuple(u["column_names"]) for u in sa.inspect(db).get_unique_constraints(t)}
            for t in schema.metadata.tables
        }
    found.dispose()
    assert differences == []
    assert ("message_batch_id",) in unique["batch"]
    assert ("job_id", "round", "first") in unique["batch"]
    assert ("name",) in unique["job"]


def test_a_new_ledger_is_what_the_migrations_make(tmp_path: Path) -> None:
    """Down to what SQLite says of each column; defaults are left out, which the migrations need for rows that were there."""
    described = []
    for make in WAYS:
        path = tmp_path / make.__name__
        make(path)
        with contextlib.closing(sqlite3.connect(path)) as db:
            tables = sorted(row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
            columns = {
                table: sorted((name, kind, required, key) for _, name, kind, required, _, key in columns_of(db, table))
                for table in tables
            }
            others = sorted(db.execute("SELECT type, tbl_name FROM sqlite_master WHERE type <> 'table'"))
            (revision,) = db.execute("SELECT version_num FROM alembic_version").fetchone()
            places = db.execute("SELECT count(*), max(length(salt)), max(length(workspace_id)) FROM place").fetchone()
            described.append((columns, others, revision, places))
    assert described[0] == described[1]


def columns_of(db: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    return db.execute(f"PRAGMA table_info({table})").fetchall()


def test_the_known_revisions_are_the_scripts_in_their_order() -> None:
    revisions = [script.revision for script in SCRIPTS.walk_revisions()]
    assert tuple(reversed(revisions)) == REVISIONS
    assert SCRIPTS.get_current_head() == HEAD


def test_no_column_could_hold_a_request_an_answer_or_a_key() -> None:
    names = {column.name for table in schema.metadata.sorted_tables for column in table.columns}
    assert not {
        name for name in names if any(word in name for word in ("key", "secret", "token", "params", "message_text"))
    }


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "PERSIST"),
        ((3, 51, 2), "PERSIST"),
        ((3, 51, 3), "WAL"),
        ((3, 52, 0), "WAL"),
        ((4, 0, 0), "WAL"),
    ],
)
def test_the_journal_is_the_one_this_sqlite_keeps_safe(version: tuple[int, ...], mode: str) -> None:
    assert journal_mode(version) == mode


def test_every_connection_is_opened_the_safe_way(ledger: SqlLedger) -> None:
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    safe = [journal_mode().lower(), 2, 1, 30_000]
    with ledger._database.read() as db:
        assert [db.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names] == safe
    with ledger._database.write() as db:
        assert [db.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names] == safe


@pytest.mark.slow
@pytest.mark.parametrize("is_new", [True, False])
def test_a_ledger_that_is_new_or_up_to_date_is_opened_without_alembic(path: Path, *, is_new: bool) -> None:
    if not is_new:
        SqlLedger(path).close()
    code = "import sys; from pathlib import Path; from batchctl.ledger.ledger import SqlLedger; SqlLedger(Path(sys.argv[1])).jobs(); print('alembic' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout == "False\n"
