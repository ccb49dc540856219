"""Hashes taken beside the reading are those of the bytes, whatever is asked for in which order."""

import hashlib
from pathlib import Path

import pytest
from builders import request_id, request_line, written
from cases import few
from hypothesis import given
from hypothesis import strategies as st
from scans import scanned

from batchctl.domain.errors import InputProblem
from batchctl.requests import cut_builders as hashing
from batchctl.requests import scanner as scanning
from batchctl.requests.cut_builders import RangeHashes

DATA = bytes(range(256)) * 40


@pytest.mark.parametrize("buffer_bytes", few([1, 1000, 1 << 21], 1))
@given(st.lists(st.tuples(st.integers(0, len(DATA)), st.integers(0, len(DATA))), max_size=5))
def test_every_range_and_the_whole_have_their_hash(
    tmp_path_factory: pytest.TempPathFactory, buffer_bytes: int, ranges: list[tuple[int, int]]
) -> None:
    path = written(tmp_path_factory.mktemp("hash") / "in", DATA)
    with pytest.MonkeyPatch.context() as patch, path.open("rb") as file:
        patch.setattr(hashing, "BUFFER_BYTES", buffer_bytes)
        with RangeHashes(file) as hashes:
            asked = []
            for start, end in ranges:
                hashes.go_on(end)
                asked.append(hashes.of_range(start, end))
            for (start, end), found in zip(ranges, asked, strict=True):
                assert found.result() == hashlib.sha256(DATA[start:end]).hexdigest()
            assert hashes.whole(len(DATA)) == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("change", ["grows", "shrinks", "is written anew"])
def test_an_input_that_somebody_writes_to_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    data = b"".join(request_line(request_id(n), "x" * 500) + b"\n" for n in range(2000))
    path = tmp_path / "in.jsonl"
    finish = scanning.Scanner.finish

    def changed(scanner: scanning.Scanner, sha256: str) -> object:
        match change:
            case "grows":
                path.write_bytes(data + data[:600])
            case "shrinks":
                path.write_bytes(data[: len(data) // 2])
            case _:
                path.write_bytes(data[::-1])
        return finish(scanner, sha256)

    monkeypatch.setattr(scanning.Scanner, "finish", changed)
    with pytest.raises(InputProblem, match="changed while it was read"):
        scanned(tmp_path, data)
