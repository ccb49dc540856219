"""Where everything lies."""

from pathlib import Path

import pytest
from builders import a_batch, a_job

from batchctl.domain.errors import DiskProblem, UsageProblem
from batchctl.domain.model import State
from batchctl.ledger.liveness import FileLockLiveness, Owner
from batchctl.store.workspace import Workspace, find_workspace


def test_the_nearest_workspace_upwards_is_found(tmp_path: Path) -> None:
    outer, inner = tmp_path / ".batchctl", tmp_path / "a" / "b" / ".batchctl"
    deep = tmp_path / "a" / "b" / "c" / "d"
    deep.mkdir(parents=True)
    outer.mkdir()
    assert find_workspace(None, deep) == outer
    inner.mkdir()
    assert find_workspace(None, deep) == inner
    assert find_workspace(None, tmp_path / "a") == outer


def test_without_one_it_would_be_made_here(tmp_path: Path) -> None:
    assert find_workspace(None, tmp_path / "a") == tmp_path / "a" / ".batchctl"


def test_a_file_of_that_name_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / ".batchctl").write_bytes(b"")
    assert find_workspace(None, tmp_path / "a") == tmp_path / "a" / ".batchctl"


def test_the_named_one_wins_and_a_tilde_is_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".batchctl").mkdir()
    assert find_workspace(Path("~/w"), tmp_path) == Path("/home/ann/w")
    assert find_workspace(Path("w"), tmp_path) == tmp_path / "w"


def test_nobody_else_can_look_into_it(workspace: Workspace) -> None:
    workspace.job_folder("reviews-7f3a")
    for path in (workspace.root, *workspace.root.rglob("*")):
        if path.name != ".gitignore":
            assert path.stat().st_mode & 0o077 == 0, path


def test_it_is_kept_out_of_version_control_and_made_only_once(workspace: Workspace) -> None:
    ignore = workspace.root / ".gitignore"
    assert "*\n" in ignore.read_text()
    ignore.write_text("mine")
    workspace.ledger.write_bytes(b"ledger")
    workspace.make()
    assert (ignore.read_text(), workspace.ledger.read_bytes()) == ("mine", b"ledger")


def test_reading_where_there_is_nothing_names_the_two_ways_out(tmp_path: Path) -> None:
    nowhere = Workspace(tmp_path / ".batchctl")
    with pytest.raises(UsageProblem) as raised:
        nowhere.need()
    assert "submit" in raised.value.hint
    assert "--workspace" in raised.value.hint
    assert list(tmp_path.iterdir()) == []


def test_no_text_from_outside_becomes_a_path(workspace: Workspace) -> None:
    job, batch = a_job(), a_batch(State.ENDED, first=70, message_batch_id="../../etc/passwd")
    assert workspace.raw(job, batch) == workspace.root / "jobs/reviews-7f3a/raw/round-1.000000070.jsonl"
    assert workspace.index(job, batch).name == "round-1.000000070.index"


def test_raw_files_of_a_job_sort_as_the_input_does(workspace: Workspace) -> None:
    names = [workspace.raw(a_job(), a_batch(first=first)).name for first in (0, 9, 10, 99_999_999)]
    assert names == sorted(names)


def test_a_workspace_that_is_moved_still_finds_its_own_files(tmp_path: Path, workspace: Workspace) -> None:
    inside, outside = workspace.requests("reviews-7f3a", 1), tmp_path / "reviews.jsonl"
    moved = Workspace(tmp_path / "elsewhere")
    assert moved.resolve(workspace.stored_path(inside)) == moved.root / "jobs/reviews-7f3a/round-1.requests.jsonl"
    assert moved.resolve(workspace.stored_path(outside)) == outside


PARTS = (
    "jobs", "ledger.db", "ledger.db-wal", "owners", "tmp", "problems", "prices.toml", "prices.json", "models.json",
    "planning.lock", ".gitignore", "jobs/a", "jobs/a/raw", "jobs/a/round-1.requests.jsonl", "jobs/a/raw/round-1.000000000.jsonl",
)  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("target", "is_refused"),
    [
        ("/elsewhere/that/is/not/there", True),
        ("{outside}", True),
        ("{root}/missing/../../outside", True),
        ("{root}/prices.toml.old", False),
        ("{link}", True),
        ("{root}/models.json.old", False),
    ],
)
def test_no_part_of_a_workspace_may_be_a_link_that_leads_out_of_it(
    tmp_path: Path, part: str, target: str, *, is_refused: bool
) -> None:
    root, outside = tmp_path / ".batchctl", tmp_path / "outside"
    outside.mkdir()
    link = root / part
    link.parent.mkdir(parents=True)
    link.symlink_to(target.format(root=root, outside=outside, link=link))
    workspace = Workspace(root)
    if not is_refused:
        workspace.refuse_links_out()
        return
    with pytest.raises(UsageProblem, match="leads out of the workspace") as raised:
        workspace.refuse_links_out()
    assert raised.value.message.startswith(f"{link}: ")


def test_a_workspace_that_is_a_link_itself_and_one_that_is_not_there_lead_nowhere(tmp_path: Path) -> None:
    Workspace(tmp_path / "none").refuse_links_out()
    (tmp_path / "large disk" / "jobs").mkdir(parents=True)
    (tmp_path / ".batchctl").symlink_to("large disk")
    (tmp_path / "large disk" / "own").symlink_to("jobs")
    Workspace(tmp_path / ".batchctl").refuse_links_out()


def test_what_was_rebuilt_names_its_owner(tmp_path: Path) -> None:
    """As an owner is named today: with dots in it, which a file of somebody who lives must not be cut at."""
    workspace = Workspace(tmp_path / ".batchctl")
    workspace.make()
    with Owner(tmp_path / "owners") as owner:
        requests = workspace.requests("one", 2, owner.name)
        files = [requests, workspace.origins(requests), requests.with_name(f"{requests.name}.part")]
        for path in (*files, workspace.requests("one", 3, owner.name), workspace.requests("one", 2)):
            path.write_bytes(b"")
        found = dict(workspace.rebuilt("one", 2))
        assert found == dict.fromkeys(files, owner.name)
        assert FileLockLiveness(tmp_path / "owners").is_alive(owner.name)


# ---------------------------------------------------------------- one that holds nothing is removed


def test_a_folder_that_was_there_is_not_new(tmp_path: Path) -> None:
    first, second = Workspace(tmp_path / ".batchctl"), Workspace(tmp_path / ".batchctl")
    first.make()
    second.make()
    assert (first.is_new, second.is_new) == (True, False)


@pytest.mark.parametrize(
    ("name", "holds_nothing"),
    [
        ("models.json", True),
        ("ledger.db-journal", True),
        ("ledger.db.backup", False),
        ("owners/me.lock", True),
        ("owners/other.lock", False),
        ("prices.toml", False),
        ("notes.txt", False),
        ("problems/in.jsonl", False),
        ("jobs/reviews-7f3a", False),
    ],
)
def test_what_somebody_may_want_keeps_it(workspace: Workspace, name: str, *, holds_nothing: bool) -> None:
    assert workspace.holds_nothing("me")
    (workspace.root / name).parent.mkdir(exist_ok=True)
    (workspace.root / name).write_bytes(b"")
    assert workspace.holds_nothing("me") is holds_nothing


def test_while_another_process_plans_it_is_not_free(workspace: Workspace) -> None:
    other = Workspace(workspace.root)
    with workspace.planning(), other.planning_if_free() as is_free:
        assert not is_free
    with other.planning_if_free() as is_free:
        assert is_free


@pytest.mark.parametrize("is_made_again", [False, True])
def test_who_has_it_open_when_it_is_removed_does_not_plan(tmp_path: Path, *, is_made_again: bool) -> None:
    slow, refused = Workspace(tmp_path / ".batchctl"), Workspace(tmp_path / ".batchctl")
    refused.make()
    slow.make()
    with slow.ledger.open("rb"), refused.planning_if_free() as is_free:
        assert is_free
        refused.remove()
        if is_made_again:
            Workspace(tmp_path / ".batchctl").make()
        else:
            slow.root.mkdir()
        with pytest.raises(DiskProblem, match="another command removed this empty workspace"), slow.planning():
            pass


def test_half_of_a_removed_workspace_is_never_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes while it is being deleted finds none under its name, and a process that had it open does not plan."""
    refused, slow = Workspace(tmp_path / ".batchctl"), Workspace(tmp_path / ".batchctl")
    refused.make()
    slow.make()
    deleted: list[Path] = []

    def meanwhile(folder: Path) -> None:
        deleted.append(folder)
        assert not slow.exists()
        with pytest.raises(DiskProblem), slow.planning():
            pass

    monkeypatch.setattr("shutil.rmtree", meanwhile)
    with slow.ledger.open("rb"), refused.planning_if_free():
        refused.remove()
    assert [folder.parent for folder in deleted] == [tmp_path]
