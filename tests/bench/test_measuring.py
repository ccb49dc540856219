import sys
from pathlib import Path

import pytest

from benchmarks import machine
from benchmarks.__main__ import CLOSING, DOCUMENT, OPENING
from benchmarks.measuring import Failed, cloned, measured, surroundings
from benchmarks.report import between

pytestmark = pytest.mark.slow

MB = 1_000_000


def test_a_command_is_measured_by_itself(tmp_path: Path) -> None:
    """Whatever this process has taken: a child's peak would begin with it."""
    ours = b"x" * (200 * MB)
    small, said = measured([sys.executable, "-c", "print('done')"], tmp_path, surroundings(tmp_path))
    assert said == "done\n"
    assert 0 < small.cpu < 5
    assert small.wall > 0
    assert small.peak_bytes < 100 * MB
    large, _ = measured([sys.executable, "-c", "b'x' * 100_000_000"], tmp_path, surroundings(tmp_path))
    assert large.peak_bytes - small.peak_bytes > 80 * MB
    del ours


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is summed up from /proc")
def test_memory_is_summed_over_the_processes_of_a_command(tmp_path: Path) -> None:
    held = "import time; held = b'x' * 50_000_000; time.sleep(0.5)"
    starts = f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {held!r}]); {held}; child.wait()"
    taken, _ = measured([sys.executable, "-c", starts], tmp_path, surroundings(tmp_path))
    assert taken.processes == 2
    assert 100 * MB < taken.held_bytes < 150 * MB
    assert taken.peak_bytes < 90 * MB


def test_what_ends_otherwise_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="exit status 3, expected 0\nbroken"):
        measured([sys.executable, "-c", "import sys; print('broken'); sys.exit(3)"], tmp_path, surroundings(tmp_path))
    with pytest.raises(Failed, match="exit status 127"):
        measured(["no-such-command"], tmp_path, surroundings(tmp_path))


def test_nothing_of_the_person_who_measures_reaches_what_is_measured(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as environment:
        for name in ("ANTHROPIC_API_KEY", "BATCHCTL_WORKSPACE", "PYTHONDONTWRITEBYTECODE"):
            environment.setenv(name, "theirs")
        env = surroundings(tmp_path, "http://127.0.0.1:9", key=False)
    assert "theirs" not in env.values()
    assert env["HOME"] == str(tmp_path)
    assert surroundings(tmp_path)["ANTHROPIC_API_KEY"] != "theirs"


def test_a_clone_shares_what_is_only_ever_replaced_and_copies_the_rest(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "raw").mkdir(parents=True)
    (source / "raw" / "results.jsonl").write_text("{}\n")
    (source / "ledger.db").write_text("ledger")
    target = cloned(source, tmp_path / "target")
    assert (source / "raw" / "results.jsonl").samefile(target / "raw" / "results.jsonl")
    (target / "ledger.db").write_text("changed")
    assert (source / "ledger.db").read_text() == "ledger"


def test_the_document_has_a_place_for_what_was_measured() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert OPENING + "new" + CLOSING in between(text, OPENING, CLOSING, "new")


def test_the_machine_is_described_by_what_a_reader_needs(tmp_path: Path) -> None:
    told = dict(machine.described(tmp_path))
    assert set(told) == {"date", "machine", "system", "Python", "packages", "batchctl"}
    assert all(told.values())
