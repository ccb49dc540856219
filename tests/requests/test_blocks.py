"""The quick reading of many lines says yes only to what a full reading of each would find, and finds the same."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from builders import request_line
from cases import few
from hypothesis import example, given
from hypothesis import strategies as st
from scans import scanned

from batchctl.domain.check_report import Depth
from batchctl.requests.blocks import read_requests, read_shared_prefix
from batchctl.requests.decoding import LineFault, decode_line

GOOD = [request_line(f"id-{n}", "a text") for n in range(3)]
HELLO = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hello"}]}'


def line(custom_id: bytes, params: bytes = HELLO) -> bytes:
    return b'{"custom_id":"%b","params":%b}' % (custom_id, params)


# Odd and legal, or odd and not: each is a whole line, or the beginning or the end of one.
ODD = [
    b"",
    b" ",
    b"\r",
    b"[]",
    b"null",
    b'"{}"',
    b"{}",
    b'{"params":%b,"custom_id":"last"}' % HELLO,
    b'{"custom_id": "spaced", "params": %b}' % HELLO,
    b' {"custom_id":"early","params":%b}' % HELLO,
    line(b"late") + b" \t",
    line(b"windows") + b"\r",
    line(b"escaped-\\u0061"),
    line(b"with space"),
    line(b""),
    line(b"x" * 64),
    line(b"x" * 65),
    line("é".encode()),
    line(b"no-object", b"[]"),
    line(b"no-value", b""),
    line(b"nul", b'{"a":"\0"}'),
    line(b"not-utf8", b'{"a":"\xff"}'),
    line(b"surrogate", b'{"a":"\\ud800"}'),
    line(b"huge", b'{"a":1e999}'),
    line(b"large", b'{"a":123456789012345678901234567890}'),
    line(b"nan", b'{"a":NaN}'),
    line(b"deep", b'{"a":' + b"[" * 1100 + b"]" * 1100 + b"}"),
    line(b"not-so-deep", b'{"a":' + b"[" * 900 + b"]" * 900 + b"}"),
    line(b"wide", "{“a”: “é”}".encode()),
    line(b"text", '{"a":"日本 \U0001f600","b":"\\u00e9"}'.encode()),
    line(b"decoy", b'{"custom_id":"inner","params":{}}'),
    line(b"decoy-text", b'{"a":"\\",\\"params\\":{}}\\n{\\"custom_id\\":\\"x\\""}'),
    line(b"twice")[:-1] + b',"custom_id":"second"}',
    line(b"twice")[:-1] + b',"params":{}}',
    line(b"twice")[:-1] + b',"params":{"model":"other"}}',
    line(b"twice")[:-1] + b',"p\\u0061rams":{}}',
    line(b"twice")[:-1] + b',"custom\\u005fid":"second"}',
    b'{"custom_id":"a","custom_id":"b","params":{}}',
    b'{"custom_id":"a","params":1,"params":{}}',
    line(b"third-key")[:-1] + b',"a":1}',
    line(b"empty-key")[:-1] + b',"":1}',
    line(b"two") + line(b"objects"),
    line(b"comma") + b",",
    line(b"two") + b"," + line(b"objects"),
    line(b"cut")[:-1],
    line(b"bracket") + b"}",
    # One object, or two, over two lines.
    b'{"custom_id":"a","params":{"messages":[{}',
    b"{}]}}",
    b'{"custom_id":"a","params":{"b":[{}}',
    b'{"custom_id":"b","params":{}}]}}',
    line(b"first") + b',{"custom_id":"a","params":{"b":[{}',
    b'{"custom_id":"a","params":{"b":"',
    b'"}}',
]
lines = st.lists(st.one_of(st.sampled_from(GOOD), st.sampled_from(ODD)), min_size=1, max_size=4)


@st.composite
def broken(draw: st.DrawFn) -> list[bytes]:
    """Good lines with a piece of them taken out, or put elsewhere."""
    text = bytearray(b"\n".join(draw(lines)))
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(text)))
        piece = bytes(text[start : start + draw(st.integers(0, 40))])
        if draw(st.booleans()):
            del text[start : start + len(piece)]
        at = draw(st.integers(0, len(text)))
        text[at:at] = draw(st.sampled_from([piece, b"\n", b'"', b"}", b"{", b",", b"\\", b'"custom_id":"x",']))
    return bytes(text).split(b"\n")


@given(st.one_of(lines, broken()))
@example([line(b"a", b'{"b":[{}'), b'{"c":{}}]}}'])
def test_what_is_read_quickly_is_what_a_full_parse_finds(given_lines: list[bytes]) -> None:
    found = read_requests(given_lines)
    if found is None:
        return
    for one, custom_id, params in zip(given_lines, *found, strict=True):
        keys = json.loads(one, object_pairs_hook=list)
        assert [key for key, _ in keys] == ["custom_id", "params"]
        assert orjson.loads(one) == {"custom_id": custom_id.decode(), "params": params}


# What stands before the text in which lines differ, and what follows it; whether the whole is one object is another matter.
BEFORE = [
    b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"',
    b'{"model": "m", "system": [{"a": "\\":\\"", "text": "}]", "b": {}}], "messages": [{"content": "x"}, {"content": "',
    b'{"model":"m","max_tokens":1,"tools":[{"input":{"a":[[1,2],{"b":"',
    b'{"max_tokens":1,"messages":["x"],"model":"',
    b'{"a":{"b":"]","c":"\\\\","d":"',
    b'[{"a":[{"b":"',
    b'{"a":[{"b":}],"c":[{"d":"',
    b'{"a":[{"b":"x" "y":"',
    b'{"a":1}],"b":[{"c":"',
]
AFTER = [
    b'"}]}',
    b'"}],"max_tokens":2}',
    b'"}],"messages":[]}',
    b'"},{"role":"user","content":"more"}]}',
    b'"}}]}',
    b'"}]}}',
    b'"}',
    b'","c":[1]}]}',
    b'"}]},"params":{}',
    b'"}],"":1}',
    b"",
]
differing = st.one_of(st.text(max_size=6).map(lambda text: json.dumps(text)[1:-1].encode()), st.just(b'","x":"'))


@st.composite
def shared_prefix(draw: st.DrawFn) -> list[bytes]:
    before = draw(st.sampled_from(BEFORE))
    afters = draw(st.lists(st.sampled_from(AFTER), min_size=1, max_size=2))
    ends = draw(st.lists(st.tuples(differing, st.sampled_from(afters)), min_size=1, max_size=4))
    return [line(b"id-%d" % n, before + text + after) for n, (text, after) in enumerate(ends)]


@given(shared_prefix())
def test_what_lines_have_in_common_is_read_once_and_found_in_each(given_lines: list[bytes]) -> None:
    found = read_shared_prefix(given_lines)
    if found is None:
        return
    first, others = found.params, set()
    for one, custom_id in zip(given_lines, found.ids, strict=True):
        pairs = json.loads(one, object_pairs_hook=list)
        assert [key for key, _ in pairs] == ["custom_id", "params"]
        assert pairs[0][1] == custom_id.decode()
        params = orjson.loads(one)["params"]
        assert params.keys() == first.keys()
        others |= {name for name in params if params[name] != first[name]}
        assert {type(params[name]) for name in others} <= {list, dict}
        assert containers(params) == containers(first) or not found.is_plain
    assert len(others) <= 1
    assert others <= {"messages", "metadata"} or not found.is_own


def containers(value: Any) -> int:
    """How many objects and lists there are in it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, dict | list) + sum(map(containers, inner))


@pytest.mark.parametrize(
    ("before", "after", "is_plain"),
    [
        (b'{"messages":[{"role":"user","content":"', b'"}]}', True),
        (b'{"messages":[{"content":"', b'","role":"user"}]}', True),
        (b'{"messages":[{"role":"user","content":[{"type":"text","text":"', b'"}]}]}', True),
        (b'{"messages":[{"content":[{"type":"text","text":"', b'"}],"role":"user"}]}', False),
        (b'{"messages":[{"role":"user","content":"', b'"},{"role":"assistant","content":"ok"}]}', False),
        (b'{"messages":[{"role":"user","content":[{"type":"text","text":"', b'"},{"type":"image"}]}]}', False),
        (b'{"messages":[{"role":"user","content":[{"text":"', b'","cache_control":{"type":"ephemeral"}}]}]}', False),
        (b'{"metadata":{"user_id":"', b'"}}', True),
    ],
)
def test_what_follows_the_text_is_plain_where_it_is_text_alone(before: bytes, after: bytes, *, is_plain: bool) -> None:
    found = read_shared_prefix([line(b"id-%d" % n, before + b"text %d" % n + after) for n in range(20)])
    assert found is not None
    assert found.is_plain is is_plain


@pytest.mark.parametrize("after", [b'"}]}', b'"}],"max_tokens":2}'])
def test_lines_that_differ_in_one_text_are_alike(after: bytes) -> None:
    given_lines = [line(b"id-%d" % n, BEFORE[0] + b"text %d" % n + after) for n in range(300)]
    found = read_shared_prefix(given_lines)
    if after == AFTER[0]:
        assert found is not None
        assert found.ids == [b"id-%d" % n for n in range(300)]
        assert (found.params, found.is_own) == (json.loads(given_lines[0])["params"], True)
    else:
        assert found is None, "what follows the text may differ, too"


@pytest.mark.parametrize("depth", few([Depth.FULL, Depth.ENVELOPE], 0))
@given(given_lines=st.one_of(lines, broken(), shared_prefix()))
def test_the_quick_look_and_the_close_look_tell_the_same(
    tmp_path_factory: pytest.TempPathFactory, depth: Depth, given_lines: list[bytes]
) -> None:
    data = GOOD[0] + b"\n" + b"\n".join(given_lines)
    # A line said to be a repeat, which does not exist: every line is looked at closely.
    quick, close = (
        scanned(tmp_path_factory.mktemp("scan"), data, repeats=r, depth=depth, max_requests=2) for r in ((), (99,))
    )
    assert (quick.scan, quick.hashes, quick.problems) == (close.scan, close.hashes, close.problems)


@pytest.mark.parametrize("odd", ODD)
def test_every_line_is_refused_or_read_as_a_full_parse_reads_it(odd: bytes) -> None:
    try:
        found: Any = decode_line(odd)
    except LineFault:
        return
    pairs = json.loads(odd, object_pairs_hook=list)
    assert found == orjson.loads(odd)
    assert len(pairs) == len(found)


@pytest.mark.parametrize("space", [b"", b" "])
@pytest.mark.parametrize("end", [b"", b"\r"])
def test_what_people_write_is_read_quickly(space: bytes, end: bytes) -> None:
    written = [b'{"custom_id":%b"id-%d",%b"params":%b%b}%b' % (space, n, space, space, HELLO, end) for n in range(300)]
    found = read_requests(written)
    assert found is not None
    assert found[0] == [b"id-%d" % n for n in range(300)]
    assert found[1] == [json.loads(HELLO)] * 300


@pytest.mark.slow
def test_a_file_of_many_blocks_is_cut_the_same_either_way(tmp_path: Path) -> None:
    data = b"".join(line(b"id-%d" % n, HELLO) + b"\n" for n in range(2000))
    choices: list[dict[str, Any]] = [{}, {"max_requests": 999}, {"max_bytes": 50_000}]
    for limits in choices:
        quick = scanned(tmp_path, data, **limits)
        close = scanned(tmp_path, data, repeats=(10**6,), **limits)
        copied = scanned(tmp_path, data, copy=True, **limits)
        assert quick.scan == close.scan == copied.scan
        assert (copied.copy, copied.numbers) == (data, list(range(1, 2001)))
