"""What is read quickly of a result is what a full parse of its line says."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from builders import CANCELED, EXPIRED, errored, result_line, succeeded
from cases import few
from hypothesis import given, settings
from hypothesis import strategies as st

from batchctl.domain.model import OutcomeCode
from batchctl.domain.outcomes import read_result
from batchctl.results import index, result_lines
from batchctl.results.index import IndexBuilder, IndexRebuilder
from batchctl.results.result_lines import IncompleteResults, ResultLine, first_ids, parse_line, read_line

IDS = [b"id-%d" % n for n in range(6)]
POSITIONS = {custom_id: n for n, custom_id in enumerate(IDS)}


class Closely:
    """The same positions, asked for line by line only."""

    def get(self, custom_id: bytes, /) -> int | None:
        return POSITIONS.get(custom_id)


def tool_use(**given_input: Any) -> dict[str, Any]:
    block = {"type": "tool_use", "id": "t", "name": "n", "input": given_input}
    return {"type": "succeeded", "message": {"content": [block], "stop_reason": "tool_use", "usage": {}}}


SHAPES: list[Any] = [
    succeeded(),
    succeeded("max_tokens"),
    succeeded("refusal"),
    succeeded("pause_turn"),
    succeeded("stop_sequence"),
    succeeded("something_new"),
    succeeded(text='"stop_reason":"max_tokens" and "custom_id":"id-1"'),
    succeeded(text='","result":{"type":"succeeded","message":{}}}\n'),
    succeeded(text="日本 \U0001f600 \u2028"),
    tool_use(stop_reason="max_tokens", custom_id="id-2", result={"type": "errored"}),
    tool_use(a=[[[[[]]]]], n=10**30, f=1e-300),
    {"type": "succeeded", "message": {"stop_reason": None}},
    {"type": "succeeded", "message": {}},
    {"type": "succeeded"},
    {"message": {"stop_reason": "refusal"}, "type": "succeeded"},
    errored("overloaded_error"),
    errored("invalid_request_error", '","result":{"type":"succeeded",'),
    EXPIRED,
    CANCELED,
    {"type": "new_in_2027"},
    None,
]


def dressed(custom_id: bytes, shape: Any, dress: int) -> bytes:
    of = {"custom_id": custom_id.decode(), "result": shape}
    match dress:
        case 0:
            return result_line(custom_id.decode(), shape)
        case 1:
            return json.dumps(of).encode()
        case 2:
            return json.dumps(of, ensure_ascii=False, separators=(",", ":")).encode() + b"\r"
        case 3:
            return json.dumps(dict(reversed(of.items())), separators=(",", ":")).encode()
        case 4:
            return json.dumps({**of, "more": {"custom_id": "id-0"}}, separators=(",", ":")).encode()
        case _:
            return result_line(custom_id.decode(), shape).replace(b"id-", rb"\u0069d-", 1)


result_data = st.builds(
    dressed, st.sampled_from([*IDS, b"stranger", b"id-1 "]), st.sampled_from(SHAPES), st.integers(0, 5)
)
odd_data = st.one_of(
    st.sampled_from([b"", b" ", b"{}", b"null", b'{"custom_id":"id-1"', b'"id-1"']),
    st.builds(lambda line, at: line[:at], result_data, st.integers(0, 60)),
    st.builds(lambda line: line[:-1], result_data),
)


def told(positions: Any, data: bytes) -> tuple[Any, ...]:
    odd: list[tuple[str, int, str]] = []
    found = IndexRebuilder(positions, len(IDS), lambda *what: odd.append(what))
    for at in range(0, len(data), 97):
        found.take(data[at : at + 97])
    found.end()
    return found.index(), found.number, found.lines, found.foreign, found.repeated, found.counts(), odd


@pytest.mark.parametrize("block_bytes", few([1, 300, 1 << 17], 1))
@given(st.lists(st.one_of(result_data, odd_data), max_size=8))
def test_lines_read_quickly_tell_what_they_tell_one_by_one(block_bytes: int, given_lines: list[bytes]) -> None:
    data = b"\n".join(given_lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "BLOCK_BYTES", block_bytes)
        assert told(POSITIONS, data) == told(Closely(), data)


@given(result_data)
def test_a_line_says_what_a_plain_parse_of_it_says(line: bytes) -> None:
    parsed = orjson.loads(line)
    assert read_line(line)[:2] == (parsed["custom_id"].encode(), read_result(parsed["result"]))


FULL = {
    "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": "é"}],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 8,
        "output_tokens": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 0},
        "iterations": [{"type": "message"}],
    },
}
WHOLE = [
    result_line("id-1", {"type": "succeeded", "message": FULL}),
    json.dumps({"result": {"message": FULL, "type": "succeeded"}, "custom_id": "id-2"}).encode(),
    result_line("id-3", errored("overloaded_error")),
]
# What is put into a line, or over a byte of it.
ODDITIES = [
    b"\n", b"}\n{", b"}{", b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\ud800", b"\\udc00", b"\\u0000", b"\xff",
    b"\xc3", b"\xed\xa0\x80", b"1e999", b"-0", b"NaN", b"\0", b"\x01", b" ", b"\t", b"\r", b"01", b"1.5", b"9" * 330,
    b"null,", b"true", b'"custom_id":"x",', b',"custom_id":"y"', b'"type":"errored",', b',"type":"succeeded"',
    b'"message":{},', b',"message":null', b'"model":"m",', b'"usage":{},', b'"usage":{"input_tokens":1,"output_tokens":2},',
    b'"stop_reason":"max_tokens",', b'"stop_reason":5,', b'"input_tokens":7,', b'"result":{"type":"expired"},', b"\xef\xbb\xbf",
    b"[" * 1100 + b"]" * 1100, b'"\\u0074ype":"errored",', b'"inference_geo":"us",', b'"iterations":[{"type":"x"}],',
]  # fmt: skip


@st.composite
def changed_line(draw: st.DrawFn) -> bytes:
    line = draw(st.sampled_from(WHOLE))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(line)))
        if draw(st.booleans()):
            # Most oddities matter only where a key or a value begins.
            at = max(line.find(draw(st.sampled_from([b'"', b"{", b"}", b',"'])), at), 0)
        line = line[:at] + draw(st.sampled_from([*ODDITIES, b""])) + line[at + draw(st.sampled_from([0, 0, 0, 1, 5])) :]
    return line


@pytest.mark.generated
@given(changed_line())
@settings(max_examples=settings().max_examples * 10)
def test_whatever_is_wrong_with_a_line_the_typed_decoder_takes_no_other_line_than_a_parse(line: bytes) -> None:
    def said(read: Callable[[bytes], ResultLine]) -> ResultLine | str:
        try:
            return read(line)
        except IncompleteResults as odd:
            return str(odd)

    assert said(read_line) == said(parse_line)


@pytest.mark.parametrize("broken", [b"\xff", b'"', b"\n", b"\\x", b"\x00"])
def test_an_answer_that_is_no_json_is_no_result_wherever_it_breaks(broken: bytes) -> None:
    line = WHOLE[0].replace("é".encode(), broken)
    found = IndexBuilder(POSITIONS, 6)
    with pytest.raises(IncompleteResults):
        found.take(line + b"\n" + b" " * index.BLOCK_BYTES + b"\n")
    assert found.codes[1] == OutcomeCode.UNANSWERED


def test_what_is_odd_is_told_with_its_line_however_many_stand_before_it() -> None:
    good = [result_line(f"id-{n}", succeeded()) for n in range(6)]
    odd: list[tuple[str, int, str]] = []
    found = IndexRebuilder(POSITIONS, 6, lambda *what: odd.append(what))
    again = result_line("id-3", succeeded(text="Ho"))
    data = b"\n".join([*good[:4], b"{}", again, good[3], *good[4:], b"", result_line("other", EXPIRED)])
    found.take(data)
    found.end()
    found.drop_twins(lambda offset, size: data[offset : offset + size])
    assert [(number, custom_id) for _, number, custom_id in odd] == [(5, ""), (11, "other"), (6, "id-3")]
    assert (found.lines, found.foreign, found.repeated, found.twins) == (9, 1, 1, 1)


@pytest.mark.parametrize("stop", ["end_turn", "max_tokens"])
def test_a_line_that_is_cut_is_no_result_whatever_its_head_says(stop: str) -> None:
    line = result_line("id-1", succeeded(stop))
    found = IndexBuilder(POSITIONS, 6)
    with pytest.raises(IncompleteResults):
        found.take(line[:-40] + b"\n" + b" " * index.BLOCK_BYTES + b"\n")
    assert found.codes[1] == OutcomeCode.UNANSWERED


def test_a_line_without_end_is_held_no_longer_than_a_line_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_lines, "MAX_LINE_BYTES", 1000)
    endless = itertools.repeat(b" " * 100)
    with pytest.raises(IncompleteResults, match="a line of more than"):
        list(map(IndexBuilder(POSITIONS, len(POSITIONS)).take, endless))
    with pytest.raises(IncompleteResults, match="a line of more than"):
        first_ids(endless, 1)


def test_first_ids_are_read_wherever_their_pieces_end() -> None:
    whole = b"".join(result_line(custom_id.decode(), succeeded()) + b"\n" for custom_id in IDS[:3])
    for size in (1, 7, len(whole)):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        assert first_ids(pieces, 2) == IDS[:2]
        assert first_ids(pieces, 9) == IDS[:3]
