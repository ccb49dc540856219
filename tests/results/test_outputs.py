"""Files for a person: whose they are, what they never take the place of, and how they look."""

import io
import os
import sys
import threading
from pathlib import Path

import pytest
from builders import written

from batchctl.domain.errors import DiskProblem, Refused
from batchctl.results.outputs import WrittenFiles, output_file, refuse_to_replace, results_file


def nothing_written(folder: Path) -> WrittenFiles:
    return WrittenFiles(folder / "outputs")


@pytest.mark.parametrize("how", ["itself", "a link", "a symbolic link"])
def test_results_never_take_the_place_of_the_requests(tmp_path: Path, how: str) -> None:
    requests, output = written(tmp_path / "in.jsonl", b"paid for"), tmp_path / "out.jsonl"
    match how:
        case "itself":
            output = tmp_path / "." / "in.jsonl"
        case "a link":
            os.link(requests, output)
        case _:
            output.symlink_to(requests)
    with pytest.raises(Refused) as raised:
        refuse_to_replace(output, nothing_written(tmp_path), [tmp_path / "none", requests], force=True)
    assert "--output" in raised.value.hint


@pytest.mark.parametrize("kind", ["a device", "a pipe", "a folder"])
def test_results_never_take_the_place_of_what_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    output = tmp_path / "out"
    if kind == "a device":
        output.symlink_to("/dev/null")
    elif kind == "a pipe":
        os.mkfifo(output)
    else:
        output.mkdir()
    with pytest.raises(Refused, match="not a regular file"):
        refuse_to_replace(output, nothing_written(tmp_path), force=True)


def test_a_link_to_old_results_stays_a_link_and_its_file_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    written(folder / "results", b"old")
    link = tmp_path / "out"
    link.symlink_to(Path("elsewhere") / "results")
    with results_file(str(link), nothing_written(tmp_path)) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert (folder / "results").read_bytes() == b"new"
    assert sorted(p.name for p in folder.iterdir()) == ["results"]


def test_results_are_an_ordinary_file_of_the_person(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        with results_file(str(tmp_path / "out"), nothing_written(tmp_path)) as file:
            file.write(b"x")
    finally:
        os.umask(mask)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


def test_results_to_stdout_go_there_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    stream = io.TextIOWrapper(out)
    monkeypatch.setattr(sys, "stdout", stream)
    with results_file("-", nothing_written(tmp_path)) as file:
        file.write(b"line\n")
    assert out.getvalue() == b"line\n"


def output(path: Path, remembered: WrittenFiles, content: bytes) -> Path:
    with output_file(path, remembered) as file:
        file.write(content)
    return path


def test_what_the_job_wrote_is_known_again_under_any_name_and_nothing_else_is(tmp_path: Path) -> None:
    remembered = nothing_written(tmp_path)
    mine = output(tmp_path / "mine", remembered, b"answers")
    refuse_to_replace(mine, remembered)
    refuse_to_replace(mine.rename(tmp_path / "moved"), remembered)
    refuse_to_replace(tmp_path / "new", remembered)
    refuse_to_replace(written(tmp_path / "empty", b""), remembered)
    other = written(tmp_path / "other", b"a thesis")
    with pytest.raises(Refused, match="was not written by this job") as raised:
        refuse_to_replace(other, remembered)
    assert "--force" in raised.value.hint
    refuse_to_replace(other, remembered, force=True)


@pytest.mark.parametrize("change", [b"answers, and my notes", b"answer"])
def test_what_somebody_changed_since_is_theirs(tmp_path: Path, change: bytes) -> None:
    remembered = nothing_written(tmp_path)
    mine = output(tmp_path / "mine", remembered, b"answers")
    mine.write_bytes(change)
    with pytest.raises(Refused):
        refuse_to_replace(mine, remembered)
    with pytest.raises(Refused):
        refuse_to_replace(output(mine, WrittenFiles(tmp_path / "of another job"), b"theirs"), remembered)


@pytest.mark.parametrize(
    ("rounded_to", "later", "is_own"),
    [(1, 0, True), (1, 1001, False), (2_000_000_000, 0, True), (100, 0, True), (100, 5_000_000_000, False)],
)
def test_a_change_that_keeps_the_length_is_seen_by_its_time(
    tmp_path: Path, rounded_to: int, later: int, *, is_own: bool
) -> None:
    """As exactly as the file system keeps it."""
    remembered = nothing_written(tmp_path)
    mine = output(tmp_path / "mine", remembered, b"answers")
    time = mine.stat().st_mtime_ns
    # Whatever the clock says now: no multiple of 100 by chance.
    (tmp_path / "outputs").write_bytes(b"7 %d\n" % (time := time - time % 1000 + 1))
    time = time - time % rounded_to + later
    os.utime(mine, ns=(time, time))
    if is_own:
        refuse_to_replace(mine, remembered)
    else:
        with pytest.raises(Refused):
            refuse_to_replace(mine, remembered)


def test_a_stop_between_remembering_and_naming_leaves_both_files_known(tmp_path: Path) -> None:
    """What was remembered last may have got its name, or not."""
    remembered = nothing_written(tmp_path)
    mine = output(tmp_path / "mine", remembered, b"answers")
    with (tmp_path / "outputs").open("ab") as file:
        file.write(b"1234 5678\n12")
    refuse_to_replace(mine, remembered)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_a_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    remembered = nothing_written(tmp_path)
    mine = output(tmp_path / "mine", remembered, b"answers")
    mine.chmod(mode)
    (tmp_path / "mine.batchctl.part").write_bytes(b"left by a stop, open to everybody")
    with output_file(mine, remembered) as file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == mode
    assert mine.stat().st_mode & 0o777 == mode


def a_workspace(folder: Path) -> Path:
    (folder / "jobs").mkdir(parents=True)
    written(folder / "ledger.db", b"everything that is known")
    return folder


@pytest.mark.parametrize("name", [".batchctl", "named otherwise"])
@pytest.mark.parametrize("how", ["plainly", "around", "through a link", "through a folder", "to nothing", "deep"])
def test_nothing_is_written_into_a_workspace_by_whatever_way_and_whoever_insists(
    tmp_path: Path, name: str, how: str
) -> None:
    root = a_workspace(tmp_path / name)
    path = root / "ledger.db"
    match how:
        case "around":
            path = tmp_path / name / ".." / name / "jobs" / ".." / "ledger.db"
        case "through a link":
            path = tmp_path / "link.jsonl"
            path.symlink_to(root / "ledger.db")
        case "through a folder":
            (tmp_path / "folder").symlink_to(root, target_is_directory=True)
            path = tmp_path / "folder" / "ledger.db"
        case "to nothing":
            path = tmp_path / "link.jsonl"
            path.symlink_to(root / "ledger.db-wal")
        case _ if how == "deep":
            path = root / "jobs" / "mine" / "raw" / "new.jsonl"
        case _:
            assert how == "plainly"
    with pytest.raises(Refused, match="is in the workspace"):
        refuse_to_replace(path, nothing_written(tmp_path), force=True)


def test_a_second_name_of_a_file_in_a_workspace_is_another_file_afterwards(tmp_path: Path) -> None:
    ledger = a_workspace(tmp_path / ".batchctl") / "ledger.db"
    os.link(ledger, tmp_path / "out.jsonl")
    remembered = nothing_written(tmp_path)
    with pytest.raises(Refused):
        refuse_to_replace(tmp_path / "out.jsonl", remembered)
    refuse_to_replace(tmp_path / "out.jsonl", remembered, force=True)
    output(tmp_path / "out.jsonl", remembered, b"answers")
    assert ledger.read_bytes() == b"everything that is known"


@pytest.mark.parametrize("kind", ["a link", "a symbolic link", "a person's part"])
def test_what_lies_where_a_part_would_is_not_written_to(tmp_path: Path, kind: str) -> None:
    precious = written(tmp_path / "ledger.db", b"everything that is known")
    part = tmp_path / ("out.part" if kind == "a person's part" else "out.batchctl.part")
    match kind:
        case "a link":
            os.link(precious, part)
        case "a symbolic link":
            part.symlink_to(precious)
        case _:
            written(part, b"half of a download")
    remembered = nothing_written(tmp_path)
    if kind == "a symbolic link":
        with pytest.raises(DiskProblem, match=r"out\.batchctl\.part"):
            output(tmp_path / "out", remembered, b"answers")
    else:
        assert output(tmp_path / "out", remembered, b"answers").read_bytes() == b"answers"
    assert precious.read_bytes() == b"everything that is known"
    if kind == "a person's part":
        assert part.read_bytes() == b"half of a download"


def test_links_in_a_circle_are_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    with pytest.raises(DiskProblem):
        refuse_to_replace(tmp_path / "one", nothing_written(tmp_path))


def test_whoever_writes_the_same_file_is_waited_for(tmp_path: Path) -> None:
    path, notes = tmp_path / "out.jsonl", nothing_written(tmp_path)

    def write_later() -> None:
        with output_file(path, notes) as file:
            file.write(b"second")

    later = threading.Thread(target=write_later)
    with output_file(path, notes) as file:
        later.start()
        file.write(b"first")
        later.join(0.1)
        assert later.is_alive()
    later.join(10)
    assert path.read_bytes() == b"second"
    assert [left.name for left in tmp_path.glob("*.part")] == []
