"""One pass over an input: every line checked, every cut found, and not a byte changed on the way."""

import gzip
import hashlib
from pathlib import Path

import pytest
from builders import request_id, request_line
from hypothesis import given
from hypothesis import strategies as st
from scans import scanned

from batchctl.domain.errors import InputProblem
from batchctl.domain.model import ENVELOPE_BYTES, Cut
from batchctl.requests.inputs import PIECE_BYTES
from batchctl.requests.repeated_ids import repeated_lines
from batchctl.requests.request_lines import LONG_BYTES

BOM = b"\xef\xbb\xbf"
GOOD = [request_line(request_id(n), "x" * (1 + 7 * n % 50)) for n in range(12)]
BAD = b'{"custom_id": "bad id", "params": 1}'


def held(data: bytes, cut: Cut) -> list[bytes]:
    """The lines of a cut, its hash checked."""
    run = data[cut.start : cut.end]
    assert hashlib.sha256(run).hexdigest() == cut.sha256
    return run.split(b"\n")


def joined(parts: list[bytes]) -> bytes:
    return b"".join(part + b"\n" for part in parts)


# ---------------------------------------------------------------- a clean run of requests


@pytest.mark.parametrize("newline_at_end", [True, False])
@pytest.mark.parametrize("per_batch", [1, 5, 12, 100])
def test_the_cuts_of_a_clean_file_hold_its_own_bytes(tmp_path: Path, per_batch: int, *, newline_at_end: bool) -> None:
    data = joined(GOOD) if newline_at_end else joined(GOOD)[:-1]
    found = scanned(tmp_path, data, max_requests=per_batch).scan
    assert found.is_clean
    assert (found.count, found.lines, found.blank, found.left_out, found.errors) == (12, 12, 0, 0, 0)
    assert (found.size, found.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert [line for cut in found.cuts for line in held(data, cut)] == GOOD
    assert [cut.first for cut in found.cuts] == list(range(0, 12, per_batch))
    assert all(cut.count <= per_batch for cut in found.cuts)


def test_cr_lf_travels_as_it_is(tmp_path: Path) -> None:
    data = b"".join(line + b"\r\n" for line in GOOD)
    found = scanned(tmp_path, data).scan
    assert found.is_clean
    assert [line.removesuffix(b"\r") for line in held(data, found.cuts[0])] == GOOD


def test_lines_that_cross_the_borders_of_blocks_stay_whole(tmp_path: Path) -> None:
    sizes = [PIECE_BYTES - 100, 200, PIECE_BYTES, 3 * PIECE_BYTES + 17, 50]
    long = [request_line(request_id(n), "é" * (size // 2)) for n, size in enumerate(sizes)]
    data = joined(long)
    found = scanned(tmp_path, data, max_requests=2).scan
    assert [line for cut in found.cuts for line in held(data, cut)] == long
    assert found.sha256 == hashlib.sha256(data).hexdigest()


LONG = [
    request_line(request_id(n), "x" * size)
    for n, size in enumerate([LONG_BYTES, LONG_BYTES + PIECE_BYTES, 2 * LONG_BYTES + 7])
]


@pytest.mark.parametrize("newline_at_end", [True, False])
@pytest.mark.parametrize("parts", [LONG, [*LONG, *GOOD[3:]], [*GOOD[3:5], *LONG, GOOD[5]]], ids=len)
def test_long_lines_are_whole_wherever_they_stand(tmp_path: Path, parts: list[bytes], *, newline_at_end: bool) -> None:
    data = joined(parts) if newline_at_end else joined(parts)[:-1]
    found = scanned(tmp_path, data, max_requests=2).scan
    assert found.is_clean
    assert (found.size, found.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert [line for cut in found.cuts for line in held(data, cut)] == parts


def test_a_copy_of_long_lines_leaves_out_what_stands_between(tmp_path: Path) -> None:
    data = BOM + joined([LONG[0], BAD, LONG[1], b"", GOOD[3], LONG[2], BAD])
    found = scanned(tmp_path, data, copy=True)
    assert found.copy == joined([*LONG[:2], GOOD[3], LONG[2]])
    assert found.numbers == [1, 3, 5, 6]


def test_of_a_line_longer_than_a_batch_the_rest_is_skipped(tmp_path: Path) -> None:
    data = joined([GOOD[3], LONG[2], GOOD[4], LONG[2]])
    found = scanned(tmp_path, data, max_bytes=LONG_BYTES + PIECE_BYTES)
    assert [(one["line"], one["code"]) for one in found.problems] == [
        (2, "request_too_large"),
        (4, "request_too_large"),
    ]
    assert (found.scan.size, found.scan.count, found.scan.lines) == (len(data), 2, 4)


# ---------------------------------------------------------------- what is no clean run

UNCLEAN = [
    ("a byte order mark", BOM + joined(GOOD), GOOD, [*range(1, 13)]),
    ("a blank line between", joined([*GOOD[:3], b"", *GOOD[3:]]), GOOD, [1, 2, 3, *range(5, 14)]),
    ("blank lines before", b"\n \n\t\r\n" + joined(GOOD), GOOD, [*range(4, 16)]),
    ("a bad line between", joined([*GOOD[:3], BAD, *GOOD[3:]]), GOOD, [1, 2, 3, *range(5, 14)]),
    ("a bad line first", joined([BAD, *GOOD]), GOOD, [*range(2, 14)]),
    ("all of it", BOM + joined([b"", BAD, *GOOD[:2], b"  ", b"", BAD, *GOOD[2:4]]), GOOD[:4], [3, 4, 8, 9]),
]


@pytest.mark.parametrize(("data", "good", "numbers"), [case[1:] for case in UNCLEAN], ids=[case[0] for case in UNCLEAN])
def test_the_clean_copy_holds_the_good_lines_alone_and_their_numbers(
    tmp_path: Path, data: bytes, good: list[bytes], numbers: list[int]
) -> None:
    first = scanned(tmp_path, data).scan
    assert not first.is_clean
    again = scanned(tmp_path, data, copy=True, max_requests=3)
    assert again.copy == joined(good)
    assert again.numbers == numbers
    assert [line for cut in again.scan.cuts for line in held(again.copy, cut)] == good
    assert (again.scan.sha256, again.scan.count) == (first.sha256, first.count)


@pytest.mark.parametrize("tail", [b"\n\n", b" \n", BAD + b"\n", BAD])
def test_what_stands_behind_the_last_request_needs_no_copy(tmp_path: Path, tail: bytes) -> None:
    data = joined(GOOD) + tail
    found = scanned(tmp_path, data).scan
    assert found.is_clean
    assert held(data, found.cuts[-1]) == GOOD


def test_blank_lines_count_as_lines_of_the_file_and_not_as_requests(tmp_path: Path) -> None:
    found = scanned(tmp_path, joined([b"", GOOD[0], b"\t", GOOD[1], b"\r"])).scan
    assert (found.lines, found.blank, found.count) == (2, 3, 2)


# ---------------------------------------------------------------- problems


def test_every_problem_is_written_with_its_line_and_id(tmp_path: Path) -> None:
    lines = [GOOD[0], b'{"custom_id": "x"}', b"{", request_line("hot", temperature=0.5), GOOD[1]]
    found = scanned(tmp_path, joined(lines))
    told = [(p["line"], p["custom_id"], p["severity"], p["code"]) for p in found.problems]
    assert (2, "x", "error", "params_missing") in told
    assert (3, None, "error", "pretty_printed") in told
    assert (4, "hot", "error", "sampling_not_supported") in told
    assert (found.scan.count, found.scan.left_out) == (2, 3)
    assert found.scan.errors == len([p for p in found.problems if p["severity"] == "error"])
    assert sum(found.scan.by_code.values()) == len(found.problems)
    assert len(found.scan.first_problems) == len(found.problems)


def test_only_the_first_problems_are_kept_for_showing_and_errors_before_warnings(tmp_path: Path) -> None:
    warned = [request_line(f"w-{n}", max_tokens=400_000) for n in range(30)]
    found = scanned(tmp_path, joined([*warned, BAD]))
    shown = found.scan.first_problems
    assert (len(shown), found.scan.warnings) == (20, 30)
    assert [p.line for p in shown if p.fault.severity.value == "error"] == [31] * found.scan.errors
    assert len(found.problems) == 30 + found.scan.errors


def test_the_problem_file_is_private(tmp_path: Path) -> None:
    scanned(tmp_path, joined([GOOD[0], BAD]))
    assert (tmp_path / "problems.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("extra", [1, 3 * PIECE_BYTES])
def test_a_line_longer_than_a_batch_is_its_own_fault_and_the_lines_after_it_are_read(
    tmp_path: Path, extra: int
) -> None:
    limit = 2 * PIECE_BYTES
    empty = len(request_line("long", ""))
    long = request_line("long", "x" * (limit - ENVELOPE_BYTES - empty + extra))
    data = joined([GOOD[0], long, GOOD[1]])
    found = scanned(tmp_path, data, copy=True, max_bytes=limit)
    assert [(p["line"], p["code"]) for p in found.problems] == [(2, "request_too_large")]
    assert (found.copy, found.numbers) == (joined(GOOD[:2]), [1, 3])
    assert (found.scan.size, found.scan.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_line_that_just_fits_is_a_batch_of_its_own(tmp_path: Path) -> None:
    limit = 2 * PIECE_BYTES
    empty = len(request_line("long", ""))
    long = request_line("long", "x" * (limit - ENVELOPE_BYTES - empty))
    found = scanned(tmp_path, joined([GOOD[0], long, GOOD[1]]), max_bytes=limit).scan
    assert [(cut.count, cut.body_bytes <= limit) for cut in found.cuts] == [(1, True)] * 3
    assert max(cut.body_bytes for cut in found.cuts) == limit


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "holds no request"),
        (b"\n \n", "holds no request"),
        (gzip.compress(joined(GOOD)), "gzip"),
        (joined(GOOD).decode().encode("utf-16"), "UTF-16"),
        (b"[" + b",\n".join(GOOD) + b"]", "JSON array"),
        (b"id,text\n1,hello\n2,you\n", "CSV"),
    ],
)
def test_a_file_that_is_no_jsonl_is_refused_as_a_whole(tmp_path: Path, data: bytes, word: str) -> None:
    with pytest.raises(InputProblem, match=word):
        scanned(tmp_path, data)


# ---------------------------------------------------------------- ids that repeat


def test_ids_that_repeat_are_named_with_their_first_line(tmp_path: Path) -> None:
    data = joined([*GOOD[:3], GOOD[1], b"", GOOD[0], GOOD[1]])
    found = scanned(tmp_path, data)
    repeated = list(repeated_lines(tmp_path / "in.jsonl", found.hashes, ()))
    assert repeated == [(4, "r-00001", 2), (6, "r-00000", 1), (7, "r-00001", 2)]


def test_a_first_line_behind_a_byte_order_mark_counts_too(tmp_path: Path) -> None:
    found = scanned(tmp_path, BOM + joined([GOOD[0], GOOD[1], GOOD[0]]))
    assert list(repeated_lines(tmp_path / "in.jsonl", found.hashes, ())) == [(3, "r-00000", 1)]


def test_an_id_that_is_spelled_with_escapes_is_the_same_id(tmp_path: Path) -> None:
    found = scanned(tmp_path, joined([GOOD[0], GOOD[0].replace(b"r-00000", rb"r\u002d00000")]))
    assert list(repeated_lines(tmp_path / "in.jsonl", found.hashes, ())) == [(2, "r-00000", 1)]


def test_without_repeats_nothing_is_suspected(tmp_path: Path) -> None:
    assert scanned(tmp_path, joined(GOOD)).hashes == set()


def test_known_repeats_are_left_out_of_the_copy(tmp_path: Path) -> None:
    found = scanned(tmp_path, joined([*GOOD[:2], GOOD[0], GOOD[2]]), copy=True, repeats=(3,))
    assert (found.copy, found.numbers) == (joined(GOOD[:3]), [1, 2, 4])
    assert [(p["line"], p["code"]) for p in found.problems] == [(3, "custom_id_repeated")]


# ---------------------------------------------------------------- whatever the lines are

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).filter(str.strip)
ENDS = st.sampled_from([b"\n", b"\r\n"])
PARTS = st.one_of(
    st.tuples(st.just("good"), TEXTS),
    st.tuples(st.just("good"), TEXTS),
    st.tuples(st.just("blank"), st.sampled_from(["", " ", "\t \r"])),
    st.tuples(st.just("bad"), st.sampled_from(["{}", "nonsense", "[1]", '{"custom_id":"a b","params":{}}'])),
)


@given(
    parts=st.lists(PARTS, min_size=1, max_size=14),
    end=ENDS,
    has_bom=st.booleans(),
    has_end=st.booleans(),
    per_batch=st.integers(1, 4),
)
def test_whatever_stands_between_them_the_good_lines_are_cut_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[str, str]],
    end: bytes,
    *,
    has_bom: bool,
    has_end: bool,
    per_batch: int,
) -> None:
    folder = tmp_path_factory.mktemp("scan")
    parts = [("good", "first"), *parts]
    lines = [
        request_line(request_id(n), text) if kind == "good" else text.encode() for n, (kind, text) in enumerate(parts)
    ]
    data = (BOM if has_bom else b"") + end.join(lines) + (end if has_end else b"")
    ends = [b"\r" if end == b"\r\n" and (has_end or n < len(parts) - 1) else b"" for n in range(len(parts))]
    good = [line + cr for (kind, _), line, cr in zip(parts, lines, ends, strict=True) if kind == "good"]
    numbers = [n for n, (kind, _) in enumerate(parts, 1) if kind == "good"]
    first = scanned(folder, data, max_requests=per_batch).scan
    again = scanned(folder, data, copy=True, max_requests=per_batch)
    if first.is_clean:
        assert [line for cut in first.cuts for line in held(data, cut)] == good
    assert again.copy == joined(good)
    assert again.numbers == numbers
    assert [line for cut in again.scan.cuts for line in held(again.copy, cut)] == good
    assert first.count == len(good)
    assert first.left_out == sum(kind == "bad" for kind, _ in parts)
    assert first.lines == sum(kind != "blank" for kind, _ in parts)
    assert first.sha256 == hashlib.sha256(data).hexdigest()
