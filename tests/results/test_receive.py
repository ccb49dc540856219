"""A download is whole or it is refused, whatever its pieces; and what lies on the disk is read back by position."""

import hashlib
import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import CANCELED, EXPIRED, a_batch, errored, request_id, result_line, succeeded
from hypothesis import given, settings
from hypothesis import strategies as st

from batchctl.domain.errors import ApiFailure, DiskProblem
from batchctl.domain.model import Batch, Cut, FailureClass, Outcome, OutcomeCode, RequestCounts, State, Verified
from batchctl.domain.outcomes import MAX_TYPES, OTHER_TYPES
from batchctl.results import downloaded
from batchctl.results import receive as results
from batchctl.results.downloaded import Answers, is_on_disk
from batchctl.results.index import OrderOfArrival
from batchctl.results.receive import ForeignResults, keep_unverified, receive, reindex, take_kept, unverified_path
from batchctl.results.result_lines import IncompleteResults, first_ids

IDS = [request_id(n) for n in range(8)]
POSITIONS = {custom_id.encode(): n for n, custom_id in enumerate(IDS)}
GOOD = [result_line(custom_id, succeeded(text=f"Answer {custom_id}")) for custom_id in reversed(IDS)]
COUNTS = RequestCounts(succeeded=8)

KEPT = unverified_path(Path("raw.jsonl"), a_batch(State.ENDED, 8)).name

IndexBuilder = list[bytes]


def joined(lines: Iterable[bytes], end: bytes = b"\n") -> bytes:
    return b"".join(line + end for line in lines)


def ended(counts: RequestCounts = COUNTS, **more: Any) -> Batch:
    return a_batch(State.ENDED, counts.total, counts=counts, **more)


def fetched(verified: Verified, counts: RequestCounts = COUNTS) -> Batch:
    sizes = {"results_bytes": verified.bytes, "results_sha256": verified.sha256}
    return a_batch(State.FETCHED, counts.total, counts=counts, **sizes)


def received(
    folder: Path, data: bytes | Iterable[bytes], counts: RequestCounts = COUNTS, *, is_patient: bool = True, **more: Any
) -> tuple[Verified, Answers]:
    pieces = [data] if isinstance(data, bytes) else data
    raw, index = folder / "raw.jsonl", folder / "raw.index"
    positions = {request_id(n).encode(): n for n in range(counts.total)}
    verified = receive(pieces, positions, ended(counts, **more), raw, index, is_patient=is_patient)
    return verified, Answers(raw, index, fetched(verified, counts))


def codes(answers: Answers) -> list[OutcomeCode]:
    answers.close()
    return [OutcomeCode(code) for code in answers.codes]


def refused(folder: Path, data: bytes | Iterable[bytes], counts: RequestCounts = COUNTS, **more: Any) -> str:
    """Why; and nothing is left that could be taken for a result: what may be ours is kept under a name nobody reads."""
    for left in folder.iterdir():
        left.unlink()
    with pytest.raises((IncompleteResults, ForeignResults)) as raised:
        received(folder, data, counts, **more)
    whole = data if isinstance(data, bytes) else b"".join(data)
    kept = {} if raised.type is ForeignResults else {KEPT: whole}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
    return f"{type(raised.value).__name__}: {raised.value}"


# ---------------------------------------------------------------- whole


@pytest.mark.parametrize(
    "data",
    [
        joined(GOOD),
        joined(GOOD)[:-1],
        joined(GOOD, b"\r\n"),
        joined(GOOD, b"\r\n")[:-2],
        joined(GOOD) + b"\n",
        joined(GOOD) + b"\n\r\n \n",
        b"\n" + joined(GOOD, b"\n\n"),
        joined(line + b" " for line in GOOD),
        joined(line.replace(b'"custom_id":', b' "custom_id" : ', 1) for line in GOOD),
        joined(json.dumps(json.loads(line), indent=None).encode() for line in GOOD),
        joined(json.dumps(dict(reversed(json.loads(line).items()))).encode() for line in GOOD),
        joined(json.dumps({"new": {"custom_id": "no"}, **json.loads(line), "more": 1}).encode() for line in GOOD),
        joined(line.replace(b"r-", rb"r\u002d", 1) for line in GOOD),
        joined(GOOD).replace(b"Answer", "\u2028\u0085\x7f".encode()),
        joined(line.replace(b"Answer", rb"half a pair: \ud83d; \"refusal\"") for line in GOOD),
    ],
)
def test_lines_in_any_dress_are_taken_and_land_byte_for_byte(tmp_path: Path, data: bytes) -> None:
    verified, answers = received(tmp_path, data)
    assert (tmp_path / "raw.jsonl").read_bytes() == data
    assert (verified.bytes, verified.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (verified.counts, verified.failures) == (COUNTS, ())
    lines = [answers.line(position) for position in range(8)]
    assert [json.loads(line)["custom_id"] for line in lines] == IDS
    assert all(line + b"\n" in data + b"\n" for line in lines)
    assert codes(answers) == [OutcomeCode.SUCCEEDED] * 8
    assert sorted(p.name for p in tmp_path.iterdir()) == ["raw.index", "raw.jsonl"]
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o600}


MIXED: list[tuple[Any, OutcomeCode]] = [
    (succeeded(), OutcomeCode.SUCCEEDED),
    (succeeded("max_tokens"), OutcomeCode.TRUNCATED),
    (succeeded("model_context_window_exceeded"), OutcomeCode.TRUNCATED),
    (succeeded("refusal"), OutcomeCode.REFUSAL),
    (succeeded("pause_turn"), OutcomeCode.PAUSED),
    (errored("overloaded_error"), OutcomeCode.ERRORED_RETRY),
    (errored("api_error"), OutcomeCode.ERRORED_RETRY),
    (errored("invalid_request_error", "model: no"), OutcomeCode.ERRORED_FIX),
    (errored("invalid_request_error", "Your credit balance is too low"), OutcomeCode.ERRORED_ACCOUNT),
    (EXPIRED, OutcomeCode.EXPIRED),
    (CANCELED, OutcomeCode.CANCELED),
]


def test_every_outcome_is_counted_and_failures_keep_a_few_samples(tmp_path: Path) -> None:
    shapes = MIXED + [(errored("overloaded_error"), OutcomeCode.ERRORED_RETRY)] * 5
    lines = [result_line(request_id(n), shape) for n, (shape, _) in enumerate(shapes)]
    random.Random(3).shuffle(lines)
    counts = RequestCounts(succeeded=5, errored=9, expired=1, canceled=1)
    verified, answers = received(tmp_path, joined(lines), counts)
    assert verified.counts == counts
    assert (verified.truncated, verified.refusals, verified.paused_turns, verified.unknown) == (2, 1, 1, 0)
    assert [answers.read(n)[1].code for n in range(len(shapes))] == [code for _, code in shapes]
    assert codes(answers) == [code for _, code in shapes]
    kinds = {(f.outcome, f.error_type, f.failure_class): f for f in verified.failures}
    assert {kind: f.count for kind, f in kinds.items()} == {
        (Outcome.ERRORED, "overloaded_error", FailureClass.RETRY): 6,
        (Outcome.ERRORED, "api_error", FailureClass.RETRY): 1,
        (Outcome.ERRORED, "invalid_request_error", FailureClass.FIX): 1,
        (Outcome.ERRORED, "invalid_request_error", FailureClass.ACCOUNT): 1,
        (Outcome.EXPIRED, "expired", FailureClass.RETRY): 1,
        (Outcome.CANCELED, "canceled", FailureClass.FIX): 1,
    }
    assert all(1 <= len(f.sample_ids) <= 3 for f in verified.failures)
    assert kinds[Outcome.ERRORED, "invalid_request_error", FailureClass.FIX].sample_message == "model: no"


@pytest.mark.parametrize("word", ["max_tokens", "refusal", "pause_turn", "model_context_window_exceeded", "expired"])
def test_a_success_that_only_speaks_of_a_stop_reason_is_a_plain_success(tmp_path: Path, word: str) -> None:
    asked = {"type": "tool_use", "id": "t", "name": "report", "input": {word: word, "stop_reason": word}}
    said = {"type": "text", "text": f'"stop_reason":"{word}" and "type":"errored"'}
    shape = succeeded("tool_use", content=[said, asked])
    assert f'"{word}"'.encode() in result_line("x", shape)
    _, answers = received(tmp_path, joined([result_line(IDS[0], shape)]), RequestCounts(succeeded=1))
    assert codes(answers) == [OutcomeCode.SUCCEEDED]


def test_a_line_of_ten_megabytes_is_one_line(tmp_path: Path) -> None:
    long = result_line(IDS[0], succeeded(text="x" * 10_000_000))
    data = joined([GOOD[0], long, *GOOD[1:-1]])
    pieces = (data[at : at + (1 << 18)] for at in range(0, len(data), 1 << 18))
    _, answers = received(tmp_path, pieces)
    assert answers.line(0) == long
    answers.close()


# ---------------------------------------------------------------- refused

NOT_WHOLE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "8 of 8 requests have no result"),
    "the first line is missing": (joined(GOOD[1:]), "1 of 8 requests have no result"),
    "the last line is missing": (joined(GOOD[:-1]), "7 succeeded, the API counted 8"),
    "another line for the same id": (joined([*GOOD, GOOD[3].replace(b"Answer", b"Unswer")]), "1 result came twice"),
    "the same text written otherwise": (joined([*GOOD, GOOD[3].replace(b"A", rb"\u0041")]), "1 result came twice"),
    "another for the same id instead": (joined([*GOOD[:-1], result_line(IDS[7], EXPIRED)]), "1 result came twice"),
    "a line comes twice instead of another": (joined([*GOOD[:-1], GOOD[3]]), "1 of 8 requests have no result"),
    "NUL": (joined([*GOOD[:-1], GOOD[-1].replace(b"Answer", b"Ans\0er")]), "a line is not a result"),
    "not UTF-8 within an answer": (joined([*GOOD[:-1], GOOD[-1].replace(b"Answer", b"Ans\xffer")]), "not a result"),
    "an id nobody sent": (joined([*GOOD, result_line("foreign", succeeded())]), "a custom_id that was not sent"),
    "an id that is another's": (joined([*GOOD[:-1], result_line("r-1", EXPIRED)]), "a custom_id that was not sent"),
    "counts disagree": (joined([*GOOD[:-1], result_line(IDS[0], EXPIRED)]), "1 expired, the API counted 0"),
    "no JSON": (joined([*GOOD[:-1], b"<html>"]), "a line is not a result: <html>"),
    "a list": (joined([*GOOD, b"[]"]), "a line is not a result"),
    "no result": (joined([*GOOD[:-1], b'{"custom_id":"r-00000"}']), "a line is not a result"),
    "no id": (joined([*GOOD[:-1], b'{"result":{"type":"expired"}}']), "a line is not a result"),
    "not UTF-8": (joined([*GOOD[:-1], GOOD[-1].replace(b'"succeeded"', b'"\xff"')]), "a line is not a result"),
}


@pytest.mark.parametrize(("data", "why"), NOT_WHOLE.values(), ids=NOT_WHOLE.keys())
def test_what_is_not_whole_is_refused_and_kept_where_nobody_reads_it(tmp_path: Path, data: bytes, why: str) -> None:
    assert why in refused(tmp_path, data)


@pytest.mark.parametrize(
    ("cut", "end"), [(1, b""), (2, b""), (3, b""), (40, b""), (len(GOOD[-1]) - 1, b""), (3, b"\n"), (40, b"\r\n")]
)
def test_a_download_that_ends_within_its_last_line_is_not_whole(tmp_path: Path, cut: int, end: bytes) -> None:
    """The head of the line is there, its id and its type are right: only the end shows that it was cut."""
    data = joined(GOOD[:-1]) + GOOD[-1][:-cut] + end
    assert refused(tmp_path, data).startswith("IncompleteResults")


@given(st.integers(0, len(joined(GOOD)) - 2))
def test_no_beginning_of_a_download_passes_for_the_whole(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    refused(tmp_path_factory.mktemp("cut"), joined(GOOD)[:length])


def test_a_wrong_guess_answers_other_requests(tmp_path: Path) -> None:
    others = joined(result_line(f"other-{n}", succeeded()) for n in range(8))
    assert refused(tmp_path, others, provisional=True).startswith("ForeignResults: 8 of 8")
    assert refused(tmp_path, others).startswith("IncompleteResults")


def test_a_right_guess_with_one_odd_line_is_still_ours(tmp_path: Path) -> None:
    """It was paid for: were it taken for a stranger's, its requests would be sent and paid for again."""
    data = joined([result_line("foreign-id", succeeded()), *GOOD[1:]])
    assert refused(tmp_path, data, provisional=True, identified=True).startswith("IncompleteResults")
    # A guess by size alone is in doubt again at the first id that is not ours: then its ids are read.
    assert refused(tmp_path, data, provisional=True).startswith("ForeignResults")


@pytest.mark.parametrize("counts", [RequestCounts(processing=8), RequestCounts(errored=8)])
def test_counters_that_could_not_be_read_are_held_against_nothing(tmp_path: Path, counts: RequestCounts) -> None:
    """What the ledger has of them is from before."""
    assert "succeeded, the API counted 0" in refused(tmp_path, joined(GOOD), counts)
    verified, answers = received(tmp_path, joined(GOOD), counts, counts_unread=True)
    answers.close()
    assert verified.counts == COUNTS


@pytest.mark.parametrize("data", [joined(GOOD[:-1]), joined([*GOOD[:-1], GOOD[0]]), joined(GOOD)[:-20]])
def test_without_the_apis_counters_every_request_must_have_its_result_all_the_same(tmp_path: Path, data: bytes) -> None:
    assert refused(tmp_path, data, counts_unread=True).startswith("IncompleteResults: ")


def test_counts_of_a_type_nobody_heard_of_may_be_any_of_the_apis(tmp_path: Path) -> None:
    new = result_line(IDS[0], {"type": "postponed"})
    verified, answers = received(tmp_path, joined([*GOOD[:-1], new]), RequestCounts(succeeded=7, errored=1))
    assert (verified.counts, verified.unknown) == (RequestCounts(succeeded=7), 1)
    assert [(f.outcome, f.error_type, f.failure_class) for f in verified.failures] == [
        (Outcome.UNKNOWN, "postponed", FailureClass.FIX)
    ]
    assert codes(answers)[0] is OutcomeCode.UNKNOWN


def test_a_type_nobody_heard_of_excuses_no_other_count(tmp_path: Path) -> None:
    data = joined([*GOOD[:-2], result_line(IDS[0], {"type": "new"}), result_line(IDS[1], EXPIRED)])
    assert "1 expired, the API counted 0" in refused(tmp_path, data, RequestCounts(succeeded=7, errored=1))


class Broken(Exception):
    pass


@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt, ApiFailure])
def test_what_stops_the_stream_goes_through_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def pieces() -> Iterator[bytes]:
        yield joined(GOOD[:4])
        raise error("the connection broke")

    with pytest.raises(error):
        received(tmp_path, pieces())
    assert list(tmp_path.iterdir()) == []


def test_a_refused_download_leaves_the_one_that_was_whole(tmp_path: Path) -> None:
    received(tmp_path, joined(GOOD))[1].close()
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(IncompleteResults):
        received(tmp_path, joined(GOOD[1:]))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {**before, KEPT: joined(GOOD[1:])}
    received(tmp_path, joined(GOOD))[1].close()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


# ---------------------------------------------------------------- one odd line, and the others


def deep(custom_id: str, levels: int, **more: Any) -> bytes:
    """A success with arrays within arrays."""
    line = result_line(custom_id, succeeded(**more))
    return line.replace(b'"content":', b'"more":%b1%b,"content":' % (b"[" * levels, b"]" * levels), 1)


@pytest.mark.parametrize("levels", [90, 900, 3_000, 100_000])
@pytest.mark.parametrize(("stop", "code"), [("end_turn", OutcomeCode.SUCCEEDED), ("max_tokens", OutcomeCode.TRUNCATED)])
def test_an_answer_nested_however_deep_is_the_answer_that_it_is(
    tmp_path: Path, levels: int, stop: str, code: OutcomeCode
) -> None:
    line = deep(IDS[0], levels, stop_reason=stop)
    verified, answers = received(tmp_path, joined([*GOOD[:-1], line]))
    assert (answers.line(0), answers.read(0)[1].code) == (line, code)
    assert codes(answers) == [code, *[OutcomeCode.SUCCEEDED] * 7]
    assert (verified.usage_unread, sum(usage_totals.requests for usage_totals in verified.usage_totals)) == (0, 8)


@pytest.mark.parametrize("end", [b"[" * 3_000, b"]" * 3_000, b"[" * 3_000 + b"," + b"]" * 3_000])
def test_a_deep_line_that_is_no_json_is_none(tmp_path: Path, end: bytes) -> None:
    line = GOOD[-1].replace(b'"end_turn"', b'"max_tokens","more":%b' % end)
    assert "a line is not a result" in refused(tmp_path, joined([*GOOD[:-1], line]))


NOT_READABLE = {
    "not UTF-8": GOOD[-1].replace(b"Answer", b"Ans\xffer"),
    "NUL": GOOD[-1].replace(b"Answer", b"Ans\0er"),
    "no JSON": GOOD[-1].replace(b'"result":', b'"result"'),
    "without its end": GOOD[-1][:-20],
    "a type that is none": GOOD[-1].replace(b'"succeeded"', b'"succ\xffeded"'),
}


@pytest.mark.parametrize("line", NOT_READABLE.values(), ids=NOT_READABLE.keys())
@pytest.mark.parametrize("place", [0, 3, 7])
def test_a_line_that_stays_unreadable_is_an_unknown_result_and_costs_no_other(
    tmp_path: Path, line: bytes, place: int
) -> None:
    data = joined([*GOOD[:place], line, *GOOD[place:-1]])
    assert "a line is not a result" in refused(tmp_path, data)
    verified, answers = received(tmp_path, data, is_patient=False)
    assert (verified.counts, verified.unknown) == (RequestCounts(succeeded=7), 1)
    (failures,) = verified.failures
    assert (failures.outcome, failures.error_type, failures.failure_class) == (
        Outcome.UNKNOWN,
        "unreadable",
        FailureClass.FIX,
    )
    custom_id, reading = answers.read(0)
    assert (custom_id, answers.line(0)) == (IDS[0].encode(), line)
    assert str(tmp_path / "raw.jsonl") in reading.message
    assert (tmp_path / "raw.jsonl").read_bytes() == data
    assert codes(answers) == [OutcomeCode.UNREADABLE, *[OutcomeCode.SUCCEEDED] * 7]


@pytest.mark.parametrize("line", [b"\xff\xfe\x00", b"<html>", b"{}", GOOD[-1].replace(IDS[0].encode(), b"r-0\xff000")])
def test_a_line_that_does_not_even_say_whose_it_is_belongs_to_the_request_without_a_result(
    tmp_path: Path, line: bytes
) -> None:
    verified, answers = received(tmp_path, joined([*GOOD[:3], line, *GOOD[3:-1]]), is_patient=False)
    assert (verified.unknown, answers.read(0)[0]) == (1, b"")
    assert codes(answers)[0] is OutcomeCode.UNREADABLE


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        ([b"<html>"], RequestCounts(succeeded=1)),
        ([b"<html>", b"<body>"], RequestCounts(succeeded=2)),
        ([*GOOD[4:], b"<html>"], COUNTS),
        ([*GOOD, b"<html>"], COUNTS),
        ([*GOOD[:3], *[b"<html>"] * 5], COUNTS),
    ],
    ids=["a page", "a page of two lines", "fewer", "one more", "most of it"],
)
def test_a_bad_download_is_no_download_with_bad_lines(
    tmp_path: Path, lines: IndexBuilder, counts: RequestCounts
) -> None:
    assert refused(tmp_path, joined(lines), counts, is_patient=False).startswith("IncompleteResults")


def test_text_that_is_not_ascii_is_a_plain_answer_wherever_its_pieces_end(tmp_path: Path) -> None:
    data = joined(GOOD).replace(b"Answer", "“日本語” 🎉".encode())
    for size in (1, 7, 64, len(data)):
        _, answers = received(tmp_path, [data[at : at + size] for at in range(0, len(data), size)])
        assert codes(answers) == [OutcomeCode.SUCCEEDED] * 8


@pytest.mark.parametrize("byte", [b"", b"\xff", b"\0"])
def test_a_long_text_that_is_not_ascii_is_looked_through_in_pieces(tmp_path: Path, byte: bytes) -> None:
    long = result_line(IDS[0], succeeded(text="@@")).replace(b"@@", "é🎉x".encode() * 300_000 + byte)
    verified, answers = received(tmp_path, joined([*GOOD[:-1], long]), is_patient=False)
    assert verified.unknown == len(byte)
    assert codes(answers)[0] is (OutcomeCode.UNREADABLE if byte else OutcomeCode.SUCCEEDED)


@pytest.mark.parametrize("last", [b"", b"\n"])
@pytest.mark.parametrize("again", [[3], [7], [0, 0, 5], [*range(8)]])
def test_a_line_that_comes_twice_the_same_counts_once(tmp_path: Path, again: list[int], last: bytes) -> None:
    once, answers = received(tmp_path, joined(GOOD))
    answers.close()
    data = joined([*GOOD, *(GOOD[n] for n in again)])[:-1] + last
    twice, answers = received(tmp_path, data)
    assert (twice.counts, twice.twins, twice.usage_totals) == (once.counts, len(again), once.usage_totals)
    assert twice.usage_unread == once.usage_unread
    assert codes(answers) == [OutcomeCode.SUCCEEDED] * 8
    assert (tmp_path / "raw.jsonl").read_bytes() == data


def test_what_twins_used_is_summed_up_once_in_blocks_of_many_lines_too(tmp_path: Path) -> None:
    lines = [result_line(request_id(n), succeeded(text="x" * 200)) for n in range(2000)]
    counts = RequestCounts(succeeded=2000)
    once, answers = received(tmp_path, joined(lines), counts)
    answers.close()
    twice, answers = received(tmp_path, joined([*lines[:1500], *lines[700:720], *lines[1500:], lines[0]]), counts)
    answers.close()
    assert (twice.counts, twice.usage_totals, twice.twins) == (once.counts, once.usage_totals, 21)


class Bug(Exception):
    pass


def test_whatever_a_check_stumbles_over_the_bytes_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise Bug

    monkeypatch.setattr(results._VerifyingIndex, "take", stumble)
    with pytest.raises(Bug):
        received(tmp_path, [joined(GOOD[:4]), joined(GOOD[4:])])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {KEPT: joined(GOOD)}


def test_what_was_kept_is_taken_once_it_can_be_verified(tmp_path: Path) -> None:
    raw, index = tmp_path / "raw.jsonl", tmp_path / "raw.index"
    assert take_kept(POSITIONS, ended(), raw, index) is None
    assert keep_unverified([joined(GOOD)], ended(), raw) == tmp_path / KEPT
    assert take_kept({b"other": 0}, ended(), raw, index) is None
    assert take_kept(POSITIONS, ended(message_batch_id="msgbatch_other"), raw, index) is None
    assert [path.name for path in tmp_path.iterdir()] == [KEPT]
    verified = take_kept(POSITIONS, ended(), raw, index)
    assert verified is not None
    assert (verified.counts, sorted(path.name for path in tmp_path.iterdir())) == (COUNTS, ["raw.index", "raw.jsonl"])
    Answers(raw, index, fetched(verified)).close()


# ---------------------------------------------------------------- pieces of any size


def in_pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    at = sorted({0, len(data), *cuts})
    return [data[one:other] for one, other in itertools.pairwise(at)]


SHAPES = st.sampled_from([shape for shape, _ in MIXED])


@settings(max_examples=30)
@given(st.data())
def test_where_the_pieces_end_never_matters(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    shapes = data.draw(st.lists(SHAPES, min_size=1, max_size=6))
    end = data.draw(st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
    lines = [result_line(request_id(n), shape) for n, shape in enumerate(shapes)]
    whole = joined(data.draw(st.permutations(lines)), end)
    whole = whole[: len(whole) - data.draw(st.sampled_from([0, len(end)]))]
    kinds = [shape["type"] for shape in shapes]
    counts = RequestCounts(**{kind: kinds.count(kind) for kind in set(kinds)})
    cuts = data.draw(st.sets(st.integers(0, len(whole)), max_size=12))
    folder = tmp_path_factory.mktemp("pieces")
    at_once, first = received(folder, whole, counts)
    expected = [first.line(n) for n in range(len(lines))], codes(first)
    in_parts, second = received(folder, in_pieces(whole, cuts), counts)
    assert in_parts == at_once
    assert ([second.line(n) for n in range(len(lines))], codes(second)) == expected
    assert expected[0] == lines or end == b"\r\n"


def test_a_byte_at_a_time_is_the_same_as_all_at_once(tmp_path: Path) -> None:
    data = joined(GOOD)
    verified, answers = received(tmp_path, (data[n : n + 1] for n in range(len(data))))
    assert verified.sha256 == hashlib.sha256(data).hexdigest()
    assert answers.line(7) == GOOD[0]
    answers.close()


# ---------------------------------------------------------------- read back


@pytest.mark.parametrize("in_memory_up_to", [1 << 20, 0])
def test_large_files_are_read_by_position_as_small_ones_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory_up_to: int
) -> None:
    monkeypatch.setattr(downloaded, "IN_MEMORY_BYTES", in_memory_up_to)
    _, answers = received(tmp_path, joined(GOOD))
    assert [answers.line(n) for n in (5, 0, 7)] == [GOOD[2], GOOD[7], GOOD[0]]
    assert answers.read(3)[1].code is OutcomeCode.SUCCEEDED
    answers.close()


def test_a_line_that_is_no_result_any_more_once_its_file_is_open_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file is held against its hash when it is opened, and its lines are read later."""
    monkeypatch.setattr(downloaded, "IN_MEMORY_BYTES", 0)
    _, answers = received(tmp_path, joined(GOOD))
    raw = tmp_path / "raw.jsonl"
    raw.write_bytes(joined(GOOD).replace(b'{"custom_id":"r-00003"', b'{"custom_id:"r-000003"'))
    assert answers.read(2)[0] == b"r-00002"
    with pytest.raises(DiskProblem, match="a line is not a result") as raised:
        answers.read(3)
    answers.close()
    assert str(raw) in raised.value.message
    assert "fetch" in raised.value.hint


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b[:-1],
        lambda b: b + b"\0",
        lambda _: b"",
        lambda b: b[:-1] + b"\xff",
        lambda b: b[: 12 * 8] + b"\x05" + b[12 * 8 + 1 :],
    ],
    ids=["shorter", "longer", "empty", "no mark at the end", "no mark at the start"],
)
def test_an_index_of_another_size_or_with_marks_that_are_none_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    verified, answers = received(tmp_path, joined(GOOD))
    answers.close()
    index = tmp_path / "raw.index"
    index.write_bytes(change(index.read_bytes()))
    with pytest.raises(DiskProblem, match="not the index") as raised:
        Answers(tmp_path / "raw.jsonl", index, fetched(verified))
    assert str(index) in raised.value.message
    assert "fetch" in raised.value.hint


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.replace(b"Answer", b"Unswer", 1),
        lambda b: b[:-1],
        lambda b: b + b"\n",
        lambda _: b"",
        lambda b: bytes(len(b)),
    ],
    ids=["a letter", "shorter", "longer", "empty", "zeros"],
)
@pytest.mark.parametrize("in_memory_up_to", [1 << 20, 0])
def test_answers_that_are_not_the_bytes_that_came_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory_up_to: int, change: Callable[[bytes], bytes]
) -> None:
    """Also where they are too large to be held: a letter within an answer would be merged without a word."""
    monkeypatch.setattr(downloaded, "IN_MEMORY_BYTES", in_memory_up_to)
    verified, answers = received(tmp_path, joined(GOOD))
    answers.close()
    raw = tmp_path / "raw.jsonl"
    raw.write_bytes(change(raw.read_bytes()))
    with pytest.raises(DiskProblem, match="differs from the bytes that were verified") as raised:
        Answers(raw, tmp_path / "raw.index", fetched(verified))
    assert str(raw) in raised.value.message
    assert "fetch" in raised.value.hint


@pytest.mark.parametrize("name", ["raw.jsonl", "raw.index"])
def test_answers_that_were_deleted_are_a_problem_with_a_path(tmp_path: Path, name: str) -> None:
    verified, answers = received(tmp_path, joined(GOOD))
    answers.close()
    (tmp_path / name).unlink()
    with pytest.raises(DiskProblem, match=name):
        Answers(tmp_path / "raw.jsonl", tmp_path / "raw.index", fetched(verified))


@pytest.mark.parametrize("name", ["raw.jsonl", "raw.index"])
@pytest.mark.parametrize("change", [lambda _: None, lambda b: b[:-1], lambda b: b + b"\n"])
def test_files_that_are_gone_or_of_another_length_are_not_on_the_disk(
    tmp_path: Path, name: str, change: Callable[[bytes], bytes | None]
) -> None:
    verified, answers = received(tmp_path, joined(GOOD))
    answers.close()
    raw, index = tmp_path / "raw.jsonl", tmp_path / "raw.index"
    assert is_on_disk(raw, index, fetched(verified))
    path = tmp_path / name
    content = change(path.read_bytes())
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert not is_on_disk(raw, index, fetched(verified))


# ---------------------------------------------------------------- the first ids


def ids_at(*places: int) -> list[bytes]:
    """Of the results, which come in the opposite order of their requests."""
    return [IDS[::-1][n].encode() for n in places]


@pytest.mark.parametrize("most", [1, 3, 7, 8])
def test_as_many_of_the_first_ids_as_were_asked_for_come_in_the_order_of_the_stream(most: int) -> None:
    assert first_ids([joined(GOOD)], most) == ids_at(*range(most))


@pytest.mark.parametrize("end", [b"\n", b""])
def test_where_fewer_lines_come_than_were_asked_for_all_of_them_are_given(end: bytes) -> None:
    """The last line of a file may have no newline."""
    assert first_ids([joined(GOOD[:3])[:-1] + end], 20) == ids_at(0, 1, 2)
    assert first_ids([GOOD[0] + end], 20) == ids_at(0)


@pytest.mark.parametrize("shape", [shape for shape, _ in MIXED])
def test_the_id_of_every_kind_of_result_is_read(shape: Any) -> None:
    assert first_ids([joined([result_line("r-7", shape)])], 20) == [b"r-7"]


@pytest.mark.parametrize(
    "data",
    [
        b"\n\n" + joined(GOOD),
        joined(GOOD, b"\r\n"),
        joined(GOOD, b"\n \n\r\n\t\n"),
        joined(GOOD) + b"\n \r\n",
        joined(json.dumps(dict(reversed(json.loads(line).items()))).encode() for line in GOOD),
    ],
    ids=["first", "crlf", "between", "last", "another order of keys"],
)
@pytest.mark.parametrize("most", [3, 20])
def test_blank_lines_are_no_results_and_no_faults(data: bytes, most: int) -> None:
    assert first_ids([data], most) == ids_at(*range(8))[:most]


@pytest.mark.parametrize("data", [[], [b""], [b"", b""], [b"\n"], [b"\n \r\n", b"\t\n", b"  "]])
def test_where_no_result_comes_nobody_can_say_whose_it_is(data: list[bytes]) -> None:
    with pytest.raises(IncompleteResults, match="no result came"):
        first_ids(data, 20)


@pytest.mark.parametrize(
    "odd",
    [
        b"<html><body>Sign in</body></html>",
        b"<html>\n<body>\n",
        b"{}",
        b"[]\n",
        b"null\n",
        b'{"custom_id":"r-00000"}\n',
        b'{"result":{"type":"expired"}}\n',
        b"\xff\xfe\n",
    ],
)
@pytest.mark.parametrize("before", [0, 2])
def test_what_is_no_result_is_no_sample_however_many_ids_came_before(odd: bytes, before: int) -> None:
    with pytest.raises(IncompleteResults, match="a line is not a result"):
        first_ids([joined(GOOD[:before]) + odd], 20)


@pytest.mark.parametrize("cut", [1, 2, 40, len(GOOD[2]) - 1])
def test_a_last_line_that_was_cut_off_is_no_sample(cut: int) -> None:
    """Its head may name an id: but what came is no whole result."""
    with pytest.raises(IncompleteResults, match="a line is not a result"):
        first_ids([joined(GOOD[:2]), GOOD[2][:-cut]], 20)


def test_no_more_is_read_than_was_asked_for() -> None:
    def pieces() -> Iterator[bytes]:
        yield joined(GOOD[:2])
        yield joined(GOOD[2:4]) + GOOD[4][:30]
        pytest.fail("the rest may be a gigabyte")

    assert first_ids(pieces(), 4) == ids_at(0, 1, 2, 3)
    assert first_ids(pieces(), 3) == ids_at(0, 1, 2)


@pytest.mark.parametrize("error", [Broken, ApiFailure])
def test_a_break_before_enough_came_goes_through(error: type[Exception]) -> None:
    def pieces() -> Iterator[bytes]:
        yield joined(GOOD[:2])
        raise error("the connection broke")

    assert first_ids(pieces(), 2) == ids_at(0, 1)
    with pytest.raises(error):
        first_ids(pieces(), 3)


@given(st.data())
def test_the_first_ids_are_the_same_wherever_the_pieces_end(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    end = data.draw(st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
    whole = joined(GOOD[:count], end)
    whole = whole[: len(whole) - data.draw(st.sampled_from([0, len(end)]))]
    most = data.draw(st.integers(1, 10))
    cuts = data.draw(st.sets(st.integers(0, len(whole)), max_size=12))
    assert first_ids(in_pieces(whole, cuts), most) == ids_at(*range(min(most, count)))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_line_in_many_pieces_is_one_line(size: int) -> None:
    whole = joined([*GOOD[:2], result_line("long", succeeded(text="x" * 5000)), GOOD[3]])
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert first_ids(pieces, 20) == [*ids_at(0, 1), b"long", *ids_at(3)]


# ---------------------------------------------------------------- requests that are not known


def unknown(counts: RequestCounts = COUNTS, **more: Any) -> Batch:
    return ended(counts, cut=Cut(first=0, count=counts.total, start=0, end=0, sha256=""), **more)


def arrived(folder: Path, data: bytes, counts: RequestCounts = COUNTS) -> tuple[Verified, Answers]:
    raw, index = folder / "raw.jsonl", folder / "raw.index"
    verified = receive([data], OrderOfArrival(counts.total), unknown(counts), raw, index)
    return verified, Answers(raw, index, fetched(verified, counts))


def test_without_requests_results_stand_in_the_order_of_arrival(tmp_path: Path) -> None:
    _, answers = arrived(tmp_path, joined(GOOD))
    assert [answers.line(n) for n in range(8)] == GOOD
    assert [answers.read(n)[0].decode() for n in range(8)] == list(reversed(IDS))
    answers.close()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (joined(GOOD[:7]), "1 of 8 requests have no result"),
        (joined([*GOOD[:7], GOOD[0]]), "1 of 8 requests have no result"),
        (joined([*GOOD[:7], GOOD[0].replace(b"Answer", b"Unswer")]), "1 result came twice"),
        (joined([*GOOD, result_line("more", succeeded())]), "exceeds the number of requests"),
        (joined([*GOOD[:7], result_line(IDS[0], EXPIRED)]), "7 succeeded, the API counted 8"),
        (joined(GOOD)[:-5], "a line is not a result"),
    ],
)
def test_without_requests_it_is_whole_or_refused_all_the_same(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(IncompleteResults, match=said):
        arrived(tmp_path, data)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {KEPT: data}


def test_ids_that_never_end_take_no_memory() -> None:
    positions = OrderOfArrival(2)
    assert [positions.get(custom_id) for custom_id in (b"a", b"b", b"c", b"a", b"c")] == [0, 1, None, 0, None]


def test_results_are_given_the_places_of_their_requests(tmp_path: Path) -> None:
    verified, answers = arrived(tmp_path, joined(GOOD))
    answers.close()
    known = fetched(verified)
    reindex(POSITIONS, known, tmp_path / "raw.jsonl", tmp_path / "raw.index")
    answers = Answers(tmp_path / "raw.jsonl", tmp_path / "raw.index", known)
    assert [answers.read(n)[0].decode() for n in range(8)] == IDS
    answers.close()


@pytest.mark.parametrize(
    "change",
    [
        (b"r-00003", b"r-00099"),
        (b"Answer r-00003", b"Answer r-00004"),
        (b'"custom_id":"r-00003"', b'"custom_id:"r-000003"'),
    ],
    ids=["an id", "a text", "no result"],
)
def test_results_that_are_not_what_came_are_given_no_places(tmp_path: Path, change: tuple[bytes, bytes]) -> None:
    verified, answers = arrived(tmp_path, joined(GOOD))
    answers.close()
    before = (tmp_path / "raw.index").read_bytes()
    (tmp_path / "raw.jsonl").write_bytes(joined(GOOD).replace(*change))
    with pytest.raises(DiskProblem, match=r"raw\.jsonl"):
        reindex(POSITIONS, fetched(verified), tmp_path / "raw.jsonl", tmp_path / "raw.index")
    assert (tmp_path / "raw.index").read_bytes() == before


def test_of_failures_of_more_types_than_anybody_reads_the_rest_is_counted_by_class(tmp_path: Path) -> None:
    types = [f"strange_{n}_error" for n in range(3 * MAX_TYPES)] + ["overloaded_error"]
    counts = RequestCounts(errored=len(types))
    lines = [result_line(request_id(n), errored(each)) for n, each in enumerate(types)]
    verified, answers = received(tmp_path, joined(lines), counts)
    answers.close()
    told = {kind.error_type: kind.count for kind in verified.failures}
    assert told.pop("overloaded_error") == 1
    assert told.pop(OTHER_TYPES) == 2 * MAX_TYPES
    assert told == dict.fromkeys(types[:MAX_TYPES], 1)
