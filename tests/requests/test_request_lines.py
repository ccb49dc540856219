"""The typed reading of many lines accepts only what a full parse of each finds, and finds the same."""

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
from batchctl.domain.faults import envelope_faults, may_be_refused
from batchctl.domain.groups import APART
from batchctl.requests.decoding import LineFault, decode_line
from batchctl.requests.request_lines import MAX_NAMES, RequestReader, read_ids
from batchctl.requests.structure import structure_faults

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


def with_params(**params: bytes) -> bytes:
    """A line of which some params are spelled so; None leaves one out."""
    few = {"model": b'"m"', "max_tokens": b"1", "messages": b'[{"role":"user","content":"hi"}]', **params}
    return line(
        b"params", b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), value) for name, value in few.items() if value)
    )


NESTED = b"[" * 1100 + b"]" * 1100
# Params: each is a good line but for what is named, and some of them are good.
VALUES: dict[str, list[bytes]] = {
    "model": [b"", b'""', b"5", b"null", b'"\\ud800"', b'"\xff"', b'"\\u006d"'],
    "max_tokens": [b"", b"0", b"-0", b"1.0", b"1e2", b"true", b'"1"', b"01", b"300000", b"300001", b"9" * 40, b"1e999"],
    "messages": [
        b"", b"[]", b"{}", b"null", b"[1]", b"[{}]", b'[{"role":"user"}]', b'[{"content":"x"}]', b'[{"role":1,"content":"x"}]',
        b'[{"role":"tool","content":"x"}]', b'[{"role":"system","content":"x"}]',
        b'[{"role":"user","content":null}]', b'[{"role":"user","content":[]}]', b'[{"role":"user","content":["x",{"a":1}]}]',
        b'[{"role":"user","content":[{"type":"text","text":"x"}]}]', b'[{"role":"user","content":[{"a":"\\ud800"}]}]',
        b'[{"role":"user","content":[{"a":"\xff"}]}]', b'[{"role":"user","content":[1e999]}]', b'[{"role":"user","content":[01]}]',
        b'[{"role":"user","content":"x","name":"y"}]', b'[{"role":"user","content":"\\ud800"}]',
        b'[{"role":"user","content":"\xff"}]', b'[{"role":"user","content":"a\tb"}]', b'[{"role":"user","content":[%b]}]' % NESTED,
        b'[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"text","text":"y"}]}]',
        b'[{"role":"user","role":"assistant","content":[1],"content":"x"}]',
    ],
    "metadata": [
        b'{"user_id":"%b"}' % (b"x" * 512),
        b'{"user_id":"%b"}' % (b"x" * 513),
        b"null", b"{}", b'{"user_id":null}', b'{"user_id":"x"}', b'{"user_id":5}', b'{"user_id":"\\ud800"}', b'{"a":1}', NESTED,
    ],
    "system": [b'""', b"null", b'"a"', b'"\\u0061"', b'[{"type":"text","text":"a"}]', b'"\\ud800"', b'"\xff"', b"1e999", NESTED],
    "temperature": [b"0", b"0.0", b"1e999", b"null"],
    "of tomorrow": [b"null", b"{}", b'{"a":[1e999]}', NESTED],
    "": [b"1"],
    r"\n": [b"1"],
    r"a\"b": [b"1"],
    r"\u0073ystem": [b'"a"'],
    "é": [b"1"],
    "stream": [b"false", b"true"],
    "extra_body": [b"{}"],
}  # fmt: skip
ODD += [with_params(**{name: value}) for name, values in VALUES.items() for value in values]
ODD += [
    with_params(system=b'"a","system":"b"'),
    with_params(system=b'"a","system":null'),
    with_params(max_tokens=b'1,"max_tokens":0'),
    with_params(messages=b'[],"messages":[{"role":"user","content":"hi"}]'),
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


@given(given_lines=st.one_of(lines, broken()), knows_names=st.booleans())
@example(given_lines=[line(b"a", b'{"b":[{}'), b'{"c":{}}]}}'], knows_names=False)
@example(given_lines=GOOD, knows_names=True)
def test_what_is_read_at_once_is_what_a_full_parse_finds(given_lines: list[bytes], *, knows_names: bool) -> None:
    reader = RequestReader()
    if knows_names:
        for odd in ODD:
            reader.read([odd])
    found = reader.read(given_lines)
    if found is None:
        return
    pairs = [json.loads(one, object_pairs_hook=list) for one in given_lines]
    assert all(sorted(key for key, _ in of_line) == ["custom_id", "params"] for of_line in pairs)
    requests = list(map(orjson.loads, given_lines))
    assert found.ids == [request["custom_id"].encode() for request in requests] == read_ids(given_lines)
    many = [request["params"] for request in requests]
    for request in requests:
        if not may_be_refused(request["params"]):
            assert not envelope_faults(request)
        # A check in depth of what lines have in common is one of each line, but for blocks of content.
        params = request["params"]
        if all(type(message["content"]) is str for message in params["messages"]):
            common = {name: value for name, value in params.items() if name not in APART}
            assert structure_faults(params) == structure_faults(common)
    assert found.max_tokens == [params["max_tokens"] for params in many]
    shared = {n: params for params, at in found.shapes for n in at}
    assert [shared[n] for n in range(len(many))] == [
        {name: value for name, value in params.items() if name not in APART} for params in many
    ]
    assert [at[0] for _, at in found.shapes] == sorted(at[0] for _, at in found.shapes)
    has_text = [all(type(message["content"]) is str for message in params["messages"]) for params in many]
    assert found.looked_at == {n: params for n, params in enumerate(many) if not has_text[n]}


@pytest.mark.parametrize("others", [{}, {"system": b'"a"'}, {"a new param": b"1", "another": b"[]"}])
@pytest.mark.parametrize("more", [{}, {"metadata": b'{"user_id":"x"}'}, {"messages": VALUES["messages"][12]}])
def test_good_lines_are_read_at_once(others: dict[str, bytes], more: dict[str, bytes]) -> None:
    found = RequestReader().read([with_params(**others), with_params(**more, **others), *GOOD])
    assert found is not None
    assert len(found.shapes) == 2


def test_more_names_of_params_than_a_decoder_knows_are_read_one_by_one() -> None:
    reader = RequestReader()
    assert reader.read([with_params(**{f"p{n}": b"1"}) for n in range(MAX_NAMES)]) is not None
    assert reader.read([with_params(another=b"1")]) is None
    assert reader.read([with_params(p0=b"1")]) is not None


def test_a_param_that_stands_twice_counts_once() -> None:
    found = RequestReader().read([with_params(system=b'"a","system":"b"')])
    assert found is not None
    assert found.shapes[0].params["system"] == "b"


@pytest.mark.parametrize("depth", few([Depth.FULL, Depth.ENVELOPE], 0))
@given(given_lines=st.one_of(lines, broken()))
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
@pytest.mark.parametrize("is_id_last", [False, True])
def test_what_people_write_is_read_at_once(space: bytes, end: bytes, *, is_id_last: bool) -> None:
    form = b'{"params":%b%b,%b"custom_id":%b"id-%d"}%b' if is_id_last else b'{"custom_id":%b"id-%d",%b"params":%b%b}%b'
    written = [
        form % ((space, HELLO, space, space, n, end) if is_id_last else (space, n, space, space, HELLO, end))
        for n in range(300)
    ]
    found = RequestReader().read(written)
    assert found is not None
    assert found.ids == [b"id-%d" % n for n in range(300)]
    assert [list(at) for _, at in found.shapes] == [[*range(300)]]


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
