"""An input in every wrapping, and a hold on it that outlives its name."""

import gzip
import hashlib
import io
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd
from builders import lines, written

from batchctl.domain.errors import BatchctlError, InputProblem
from batchctl.requests.inputs import input_name, is_spooled, keep_input, opened, sha256_of, spool, stat

DATA = lines(50)
LONG = random.Random(1).randbytes(1 << 20)


def spooled(path: Path | str, target: Path, stdin: bytes = b"") -> bytes:
    spool(str(path), target, io.BytesIO(stdin), lambda _: None)
    return target.read_bytes()


@pytest.mark.parametrize(
    ("path", "expected"),
    [("-", True), ("a.jsonl.gz", True), ("a.zst", True), ("a.jsonl", False), ("gz", False), ("a.gzip", False)],
)
def test_what_cannot_be_read_by_range_is_copied_first(path: str, *, expected: bool) -> None:
    assert is_spooled(path) is expected


def test_a_pipe_is_copied_first_and_a_name_that_leads_nowhere_is_not(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "link.jsonl").symlink_to("pipe.jsonl")
    assert is_spooled(str(tmp_path / "pipe.jsonl"))
    assert is_spooled(str(tmp_path / "link.jsonl"))
    assert not is_spooled(str(written(tmp_path / "in.jsonl", DATA)))
    assert not is_spooled(str(tmp_path / "none.jsonl"))


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".zst", zstd.compress)])
@pytest.mark.parametrize("data", [DATA, LONG, b""])
def test_a_packed_input_is_unpacked_whole(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes], data: bytes
) -> None:
    path = written(tmp_path / f"in.jsonl{ending}", pack(data))
    assert spooled(path, tmp_path / "copy") == data
    assert sha256_of(path) == hashlib.sha256(data).hexdigest()


def test_several_members_one_after_the_other_are_one_input(tmp_path: Path) -> None:
    packed = written(tmp_path / "in.gz", [gzip.compress(DATA), gzip.compress(DATA)])
    frames = written(tmp_path / "in.zst", [zstd.compress(DATA), zstd.compress(DATA)])
    for path in (packed, frames):
        assert spooled(path, tmp_path / "copy") == DATA * 2


def test_stdin_is_copied_and_told_of(tmp_path: Path) -> None:
    told: list[int] = []
    spool("-", tmp_path / "copy", io.BytesIO(LONG), told.append)
    assert (tmp_path / "copy").read_bytes() == LONG
    assert told == sorted(told)
    assert told[-1] == len(LONG)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cut.gz", gzip.compress(LONG)[:-100], "the gzip file ends early"),
        ("cut.zst", zstd.compress(LONG)[:-100], "the zstd file ends early"),
        ("plain.gz", DATA, "not a complete gzip file"),
        ("plain.zst", DATA, "not a complete zstd file"),
        ("zstd.gz", zstd.compress(DATA), "not a complete gzip file"),
        ("gzip.zst", gzip.compress(DATA), "not a complete zstd file"),
        ("broken.gz", gzip.compress(LONG)[:5000] + bytes(50) + gzip.compress(LONG)[5050:], "not a complete gzip file"),
        ("broken.zst", zstd.compress(DATA)[:20] + bytes(20) + zstd.compress(DATA)[40:], "not a complete zstd file"),
        ("tail.gz", gzip.compress(DATA) + b"tail", "not a complete gzip file"),
    ],
)
def test_a_packed_input_that_is_not_whole_is_named_and_leaves_no_copy(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = written(tmp_path / name, content)
    with pytest.raises(InputProblem) as raised:
        spooled(path, tmp_path / "copy")
    assert words in raised.value.message
    assert str(path) in raised.value.message
    assert raised.value.hint
    assert [p.name for p in tmp_path.iterdir()] == [name]
    with pytest.raises(InputProblem):
        sha256_of(path)


@pytest.mark.parametrize("name", ["none.jsonl", "none.gz", "folder", "folder.gz"])
def test_nothing_to_read_says_what_is_there_instead(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.startswith("folder"):
        path.mkdir()
    for read in (lambda: opened(path).__enter__(), lambda: spooled(path, tmp_path / "copy")):
        with pytest.raises(InputProblem, match=r"no such file|is a folder") as raised:
            read()
        assert raised.value.hint
    if not path.exists():
        with pytest.raises(InputProblem):
            stat(path)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "in.jsonl", DATA)
    path.chmod(0)
    with pytest.raises(InputProblem, match="permission denied"), opened(path):
        pytest.fail("it could be read")


@pytest.mark.parametrize("path", ["file/under/a/file", "x" * 300])
def test_a_path_that_cannot_be_is_a_problem_and_no_crash(tmp_path: Path, path: str) -> None:
    written(tmp_path / "file", b"")
    with pytest.raises(BatchctlError):
        stat(tmp_path / path)
    with pytest.raises(BatchctlError), opened(tmp_path / path):
        pytest.fail("it could be read")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("-", "stdin"),
        ("/data/reviews.jsonl", "reviews"),
        ("reviews.jsonl.gz", "reviews"),
        ("reviews.ndjson.zst", "reviews"),
        ("my file (2).json", "my-file--2"),
        ("../..", "job"),
        ("naïve.jsonl", "na-ve"),
        ("日本.jsonl", "job"),
        ("--yes.jsonl", "yes"),
        ("x" * 100 + ".jsonl", "x" * 40),
        (".jsonl", "job"),
    ],
)
def test_the_name_of_an_input_becomes_part_of_a_folders(path: str, name: str) -> None:
    assert input_name(path) == name


# ---------------------------------------------------------------- a hold on the input


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_the_bytes_survive_their_name(tmp_path: Path, how: str) -> None:
    source, target = written(tmp_path / "in.jsonl", DATA), tmp_path / "held"
    assert keep_input(source, target)
    source.unlink()
    if how == "replaced":
        written(source, b"other")
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("change", [b"other", b""])
def test_a_small_input_that_is_changed_in_place_does_not_change_what_is_held(tmp_path: Path, change: bytes) -> None:
    source, target = written(tmp_path / "in.jsonl", DATA), tmp_path / "held"
    assert keep_input(source, target)
    with source.open("r+b") as file:
        file.truncate(len(change))
        file.write(change)
    assert target.read_bytes() == DATA
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["held", "in.jsonl"]


def test_a_hold_is_taken_anew_where_an_earlier_one_lies(tmp_path: Path) -> None:
    target = written(tmp_path / "held", b"what an earlier try left")
    assert keep_input(written(tmp_path / "in.jsonl", DATA), target)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("is_absolute", [True, False])
def test_a_hold_on_a_symbolic_link_is_one_on_its_file(tmp_path: Path, *, is_absolute: bool) -> None:
    source = written(tmp_path / "data.jsonl", DATA)
    link = tmp_path / "in.jsonl"
    link.symlink_to(source if is_absolute else source.name)
    folder = tmp_path / "job"
    folder.mkdir()
    assert keep_input(link, folder / "held")
    source.unlink()
    assert (folder / "held").read_bytes() == DATA


def test_where_no_hold_can_be_had_the_answer_is_no(tmp_path: Path) -> None:
    assert not keep_input(written(tmp_path / "in.jsonl", DATA), tmp_path / "no folder" / "held")
    assert not keep_input(tmp_path / "none", tmp_path / "held")
