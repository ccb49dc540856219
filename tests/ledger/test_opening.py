"""Ledgers that are new, newer, damaged, locked, read-only, or at an odd place."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from builders import a_cut, a_job

from batchctl.domain.errors import LedgerProblem
from batchctl.ledger.ledger import SqlLedger


def opened(path: Path) -> SqlLedger:
    ledger = SqlLedger(path)
    ledger.jobs()
    return ledger


@pytest.mark.parametrize("is_made", [True, False])
def test_a_new_ledger_is_made_where_there_is_none_or_an_empty_file(path: Path, *, is_made: bool) -> None:
    if is_made:
        path.touch()
    ledger = opened(path)
    ledger.record_job(a_job(), [a_cut()])
    ledger.close()
    again = opened(path)
    assert [job.name for job in again.jobs()] == ["reviews-7f3a"]
    again.close()


@pytest.mark.parametrize(
    "name", ["a b", "50%25", "what?", "x?mode=memory", "#1", "ünï", "a&b=c", "per%cent", "new\nline"]
)
def test_the_folder_may_be_called_anything(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "ledger.db"
    path.parent.mkdir()
    opened(path).close()
    assert path.stat().st_size > 0
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_ledger_of_a_newer_program_is_refused_and_stays_as_it_is(path: Path) -> None:
    opened(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '0099'")
        db.execute("CREATE TABLE later (x)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(LedgerProblem, match="written by a newer batchctl") as raised:
        SqlLedger(path)
    assert "upgrade" in raised.value.hint
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"this is no database, and long enough to be looked at" * 50, b"SQLite format 3\0" + bytes(2000)]
)
def test_a_file_that_is_no_ledger_is_named_and_stays_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerProblem, match="cannot be used") as raised:
        opened(path)
    assert str(path) in raised.value.message
    assert raised.value.hint
    assert path.read_bytes() == content


def _read_all(path: Path) -> None:
    with contextlib.closing(SqlLedger(path)) as ledger:
        for job in ledger.jobs():
            ledger.batches(job)


def test_a_ledger_that_was_cut_is_called_damaged(path: Path) -> None:
    ledger = opened(path)
    ledger.record_job(a_job(), [a_cut(1, n) for n in range(500)])
    ledger.close()
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(LedgerProblem) as raised:
        _read_all(path)
    assert "damaged" in raised.value.hint


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everything")
def test_a_ledger_that_may_not_be_written_says_so(path: Path) -> None:
    ledger = opened(path)
    path.chmod(0o400)
    with pytest.raises(LedgerProblem) as raised:
        ledger.record_job(a_job(), [a_cut()])
    assert "writable" in raised.value.hint


def test_a_ledger_whose_folder_is_gone_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(LedgerProblem):
        SqlLedger(tmp_path / "none" / "ledger.db")


def test_a_writer_that_does_not_let_go_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = opened(path)
    with ledger._database.engine.connect() as waiting:
        waiting.exec_driver_sql("PRAGMA busy_timeout=1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerProblem, match="locked") as raised:
        ledger.record_job(a_job(), [a_cut()])
    other.execute("ROLLBACK")
    other.close()
    assert "another batchctl process is writing" in raised.value.hint
    ledger.close()


OPENS = """
import sys
from pathlib import Path
from batchctl.ledger.ledger import SqlLedger
sys.stdin.readline()
ledger = SqlLedger(Path(sys.argv[1]))
print(len(ledger.jobs()))
"""


@pytest.mark.slow
def test_two_processes_that_open_a_new_ledger_at_once_both_get_it(path: Path) -> None:
    words = [sys.executable, "-c", OPENS, str(path)]
    both = [subprocess.Popen(words, stdin=-1, stdout=-1, stderr=-1, text=True) for _ in range(2)]
    for one in both:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [one.communicate(timeout=30) for one in both]
    assert told == [("0\n", ""), ("0\n", "")]
