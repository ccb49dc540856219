"""A workspace that came with somebody else's folder is found from the folders in it, and not obeyed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from program import Person, requests

from batchctl.emulator.running import Running

CREATE = "POST /v1/messages/batches"


@pytest.fixture
def guest(emulator: Running, tmp_path: Path) -> Person:
    """Somebody in a folder of a repository that has a workspace with a job in it."""
    owner = Person(tmp_path / "repository", emulator.base_url)
    owner.folder.mkdir()
    owner.submitted("in.jsonl", requests(3))
    assert owner.run("fetch").status == 0
    person = Person(owner.folder / "inner", emulator.base_url)
    person.folder.mkdir()
    return person


def _workspace(guest: Person) -> Path:
    return guest.folder.parent / ".batchctl"


@pytest.mark.parametrize("part", ["jobs", "ledger.db"])
def test_a_link_out_of_a_workspace_is_refused_by_every_verb(
    guest: Person, emulator: Running, tmp_path: Path, part: str
) -> None:
    path, elsewhere = _workspace(guest) / part, tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    new = guest.write("new.jsonl", requests(2))
    before, creates = sorted(tmp_path.rglob("*")), emulator.requests()[CREATE]
    for words in (("status",), ("submit", new), ("run", new), ("fetch",), ("retry",), ("prices",), ("cost",)):
        ran = guest.run(*words)
        assert ran.status == 2, (words, ran.err)
        assert f"{path}: a symbolic link that leads out of the workspace" in ran.err
        assert "--workspace DIR" in ran.err
    assert "leads out of the workspace" in guest.run("doctor", "--offline").out
    assert sorted(tmp_path.rglob("*")) == before
    assert emulator.requests()[CREATE] == creates


def test_a_workspace_that_was_moved_and_linked_as_a_whole_is_used(guest: Person, tmp_path: Path) -> None:
    _workspace(guest).rename(tmp_path / "large disk")
    _workspace(guest).symlink_to(tmp_path / "large disk")
    assert guest.run("status").status == 0


def test_a_ledger_that_adds_batches_by_itself_is_refused_by_every_verb(guest: Person, emulator: Running) -> None:
    ledger = _workspace(guest) / "ledger.db"
    with closing(sqlite3.connect(ledger)) as db, db:
        db.execute("CREATE TRIGGER more AFTER UPDATE ON job BEGIN UPDATE batch SET state = 'planned'; END")
    creates = emulator.requests()[CREATE]
    new = guest.write("new.jsonl", requests(2))
    for words in (("status",), ("submit", new, "--yes"), ("retry",), ("run", new, "--yes"), ("cost",)):
        ran = guest.run(*words)
        assert ran.status == 1, (words, ran.err)
        assert "the trigger 'more' on 'job'" in ran.err
        assert "--workspace DIR" in ran.err
    assert "the trigger 'more'" in guest.run("doctor", "--offline").out
    assert emulator.requests()[CREATE] == creates


@pytest.mark.parametrize("name", ["../../../elsewhere", "/tmp/elsewhere", "..", "", b"../elsewhere"])
def test_a_job_whose_name_is_a_path_is_refused(guest: Person, tmp_path: Path, name: object) -> None:
    with closing(sqlite3.connect(_workspace(guest) / "ledger.db")) as db, db:
        db.execute("UPDATE job SET name = ?", (name,))
    before = sorted(tmp_path.rglob("*"))
    for verb in ("status", "fetch"):
        ran = guest.run(verb)
        assert ran.status == 1, ran.err
        assert "batchctl names none" in ran.err
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == []
