"""What is sent of a file: its own bytes, spliced; and a batch cut in two."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builders import a_batch, a_job, cuts_of, lines, request_id, request_line, written
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.errors import InputProblem
from batchctl.domain.model import Cut, PresumedNotCreated, Settings
from batchctl.requests.cut_builders import CleanCopy, CopiedCuts
from batchctl.requests.request_file import (
    HELD_BYTES,
    PIECE_BYTES,
    LinesInOrder,
    body_pieces,
    custom_id_of,
    halves,
    ids_of_range,
    lines_of_range,
    request_file,
    single_request_body,
    split_lines,
    starts_of_range,
    whole_lines,
)
from batchctl.store.workspace import Workspace

# ---------------------------------------------------------------- splice


@pytest.mark.parametrize(("count", "per_batch"), [(1, 1), (7, 3), (3000, 1500)])
def test_a_body_is_one_json_object_around_the_files_own_bytes(tmp_path: Path, count: int, per_batch: int) -> None:
    data = lines(count)
    path = written(tmp_path / "in.jsonl", data)
    sent: list[str] = []
    for cut in cuts_of(data, per_batch):
        body = b"".join(body_pieces(path, cut))
        assert len(body) == cut.body_bytes
        assert body == b'{"requests":[' + data[cut.start : cut.end].replace(b"\n", b",") + b"]}"
        sent += [request["custom_id"] for request in json.loads(body)["requests"]]
    assert sent == [request_id(n) for n in range(count)]


def test_odd_spacing_numbers_and_escapes_travel_untouched(tmp_path: Path) -> None:
    odd = rb' { "params" : {"a":1.0e5,"b":1E400,"c":"\u00e9\/","a":2} ,"custom_id":"x" } '
    data = odd + b"\r\n" + odd + b"\n"
    (cut,) = cuts_of(data, 2)
    assert b"".join(body_pieces(written(tmp_path / "in", data), cut)) == b'{"requests":[' + odd + b"\r," + odd + b"]}"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"Hello", b"Hullo", 1),
        lambda data: data[:-40],
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda data: data[::-1],
    ],
)
def test_a_file_that_changed_never_becomes_a_whole_body(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    data = lines(2000)
    (cut,) = cuts_of(data, 2000)
    path = written(tmp_path / "in.jsonl", change(data))
    sent = bytearray()
    with pytest.raises(InputProblem) as raised:
        sent.extend(itertools.chain.from_iterable(body_pieces(path, cut)))
    assert len(sent) < cut.body_bytes
    assert not sent.endswith(b"]}")
    assert "changed since it was planned" in raised.value.message
    assert "--input" in raised.value.hint


def test_a_file_that_grew_behind_the_cut_has_not_changed(tmp_path: Path) -> None:
    data = lines(5)
    (cut,) = cuts_of(data, 5)
    assert len(b"".join(body_pieces(written(tmp_path / "in", data + lines(3, 5)), cut))) == cut.body_bytes


def test_one_request_can_be_shown_as_it_would_be_sent(tmp_path: Path) -> None:
    data = lines(3000)
    path, cuts = written(tmp_path / "in", data), cuts_of(data, 1000)
    for position in (0, 1, 999, 1000, 2500, 2999):
        (request,) = json.loads(single_request_body(path, cuts, position))["requests"]
        assert request["custom_id"] == request_id(position)


@given(st.lists(st.sampled_from([b"", b"a", b"\n", b"bc\n", b"\n\nd", b"e\nf\ng"]), max_size=8))
def test_lines_are_the_same_wherever_the_pieces_end(pieces: list[bytes]) -> None:
    assert [line for lines in split_lines(pieces) for line in lines] == b"".join(pieces).split(b"\n")


# ---------------------------------------------------------------- a batch's lines and ids


@pytest.mark.parametrize("held", [HELD_BYTES, 0])
def test_a_batch_is_read_back_by_line_and_by_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr("batchctl.requests.request_file.HELD_BYTES", held)
    data = lines(3000)
    path = written(tmp_path / "in", data)
    for cut in cuts_of(data, 1300):
        batch = a_batch(cut=cut)
        assert list(lines_of_range(path, batch)) == data.splitlines()[cut.first : cut.first + cut.count]
        ids = ids_of_range(path, batch)
        assert ids == {request_id(cut.first + n).encode(): n for n in range(cut.count)}
        asked = LinesInOrder(path, batch)
        for position in (0, 1, 700, cut.count - 1)[: 2 if cut.count < 701 else 4]:
            assert custom_id_of(asked.line(position)) == request_id(cut.first + position).encode()


@pytest.mark.parametrize("data", [lines(1) * 2, lines(1), b"{}\n{}\n", b"nonsense\nmore\n", b""])
def test_a_range_that_no_longer_holds_its_ids_has_changed(tmp_path: Path, data: bytes) -> None:
    (cut,) = cuts_of(lines(2), 2)
    with pytest.raises(InputProblem, match="changed"):
        ids_of_range(written(tmp_path / "in", data), a_batch(cut=cut))


@pytest.mark.parametrize("held", [HELD_BYTES, 0])
@pytest.mark.parametrize("position", [0, 1500, 2999])
def test_a_range_that_changed_gives_no_line_not_even_one_before_the_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, position: int, held: int
) -> None:
    """A line that is given is sent again: it must be one of those that were checked."""
    monkeypatch.setattr("batchctl.requests.request_file.HELD_BYTES", held)
    data = lines(3000)
    (cut,) = cuts_of(data, 3000)
    path = written(tmp_path / "in", data[:-40] + data[-40:].replace(b"Hello", b"Hullo"))
    assert path.read_bytes() != data
    with pytest.raises(InputProblem, match="changed"):
        LinesInOrder(path, a_batch(cut=cut)).line(position)


@pytest.mark.parametrize(
    ("line", "custom_id"),
    [
        (request_line("a-1"), b"a-1"),
        (b' {"custom_id" : "b" , "params":{}}\r', b"b"),
        (b'{"params":{"custom_id":"no"},"custom_id":"yes"}', b"yes"),
        (b'{"custom_id":"yes","params":{"custom_id":"no"}}', b"yes"),
        (rb'{"custom_id":"a\u002db","params":{}}', b"a-b"),
        (b'{"custom_id":"yes","params":{"text":"\\"custom_id\\""}}', b"yes"),
        (b"", b""),
        (b"[1]", b""),
        (b'{"custom_id":', b""),
    ],
)
def test_the_id_of_a_line_is_read_wherever_it_stands(line: bytes, custom_id: bytes) -> None:
    assert custom_id_of(line) == custom_id


# ---------------------------------------------------------------- halves


@given(st.lists(st.text("abcü ", max_size=12), min_size=2, max_size=12), st.integers(0, 3))
def test_two_halves_hold_the_same_lines_as_the_whole(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], before: int
) -> None:
    head = lines(before, 90)
    data = head + b"".join(request_line(request_id(n), text) + b"\n" for n, text in enumerate(texts))
    path = written(tmp_path_factory.mktemp("halves") / "in", data + lines(2, 95))
    whole = cuts_of(data[len(head) :], len(texts))[0]
    cut = Cut(
        first=before,
        count=whole.count,
        start=whole.start + len(head),
        end=whole.end + len(head),
        sha256=whole.sha256,
    )
    first, second = halves(path, a_batch(cut=cut))
    assert (first.first, second.first) == (before, before + first.count)
    assert first.count + second.count == cut.count
    assert abs(first.count - second.count) <= 1
    assert (first.start, second.end, second.start) == (cut.start, cut.end, first.end + 1)
    sent = [json.loads(b"".join(body_pieces(path, half)))["requests"] for half in (first, second)]
    assert [r["custom_id"] for half in sent for r in half] == [request_id(n) for n in range(len(texts))]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12))
def test_cut_in_two_again_and_again_it_ends_as_its_lines(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    data = b"".join(request_line(request_id(n), "x" * size) + b"\n" for n, size in enumerate(sizes))
    path = written(tmp_path_factory.mktemp("halves") / "in", data)
    (whole,) = cuts_of(data, len(sizes))
    assert tuple(_halved(path, whole)) == cuts_of(data, 1)


def _halved(path: Path, cut: Cut) -> Iterator[Cut]:
    if cut.count == 1:
        yield cut
        return
    for half in halves(path, a_batch(cut=cut)):
        yield from _halved(path, half)


def test_halves_of_a_range_longer_than_a_piece(tmp_path: Path) -> None:
    data = lines(3 * PIECE_BYTES // 120)
    path, (cut,) = written(tmp_path / "in", data), cuts_of(data, 10**6)
    for half in halves(path, a_batch(cut=cut)):
        assert len(b"".join(body_pieces(path, half))) == half.body_bytes


# ---------------------------------------------------------------- the request file of a round


def test_the_request_file_of_a_round_is_found_and_missed(workspace: Workspace) -> None:
    job = a_job()
    with pytest.raises(InputProblem) as raised:
        request_file(workspace, job, 1)
    assert "--input" in raised.value.hint
    path = written(workspace.requests(job.name, 1), b"")
    assert request_file(workspace, job, 1) == path


def test_whole_lines_are_numbered_as_a_person_counts(tmp_path: Path) -> None:
    path = written(tmp_path / "in", b"\xef\xbb\xbfone\n\n \t\ntwo\r\nthree")
    assert list(whole_lines(path)) == [(1, b"one"), (4, b"two\r"), (5, b"three")]


# ---------------------------------------------------------------- where lines begin, and cuts of a copy


@pytest.mark.parametrize(("count", "per_batch"), [(1, 1), (7, 3), (3000, 1500)])
def test_the_lines_of_a_batch_are_found_by_where_they_begin(tmp_path: Path, count: int, per_batch: int) -> None:
    data = lines(count)
    path = written(tmp_path / "in.jsonl", data)
    for cut in cuts_of(data, per_batch):
        starts = starts_of_range(path, a_batch(cut=cut))
        assert len(starts) == cut.count + 1
        found = [data[start : end - 1] for start, end in itertools.pairwise(starts)]
        assert found == data[cut.start : cut.end].split(b"\n")


def test_where_lines_begin_is_not_said_of_a_file_that_changed(tmp_path: Path) -> None:
    data = lines(50)
    (cut,) = cuts_of(data, 50)
    path = written(tmp_path / "in.jsonl", data.replace(b"Hello", b"Hullo", 1))
    with pytest.raises(InputProblem):
        starts_of_range(path, a_batch(cut=cut))


def test_the_ids_of_a_create_that_was_presumed_lost_are_read_from_its_own_cut(tmp_path: Path) -> None:
    """The batch may have been cut in two since."""
    data = lines(10)
    first, second = cuts_of(data, 5)
    path = written(tmp_path / "in.jsonl", data)
    for cut, numbers in ((first, range(5)), (second, range(5, 10))):
        one = PresumedNotCreated(batch_id=1, job_id=1, round=1, cut=cut, created_after=None)
        assert list(ids_of_range(path, one)) == [request_id(n).encode() for n in numbers]


@pytest.mark.parametrize(
    ("first", "size_start", "sizes"),
    [
        (0, None, [1000, 1000, 1000]),
        (7, None, [1000, 1000, 1000]),
        (0, 0, [1000, 999, 998, 3]),
        (7, 0, [993, 992, 991, 24]),
        (48, 0, [952, 951, 1000, 97]),
        (0, 49, [951, 1000, 999, 50]),
    ],
)
def test_the_batches_of_a_later_round_go_on_with_the_sizes_of_the_job(
    tmp_path: Path, first: int, size_start: int | None, sizes: list[int]
) -> None:
    data = lines(3_000).split(b"\n")[:-1]
    with (tmp_path / "requests").open("w+b") as requests, (tmp_path / "numbers").open("wb") as numbers:
        settings = Settings(max_requests=1_000, size_start=size_start)
        copied = CopiedCuts(settings, CleanCopy(requests=requests, numbers=numbers), first)
        for number, line in enumerate(data):
            copied.add(line, 0, number)
        cuts = copied.close()
        requests.seek(0)
        text = requests.read()
    assert [cut.count for cut in cuts] == sizes
    assert [text[cut.start : cut.end].count(b"\n") + 1 for cut in cuts] == sizes
    assert b"\n".join(text[cut.start : cut.end] for cut in cuts) == b"\n".join(data)
