"""`cache_control`, spliced into a line: that change, and not a byte more."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from builders import written
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.caching import SkipReason, skip_reason
from batchctl.domain.errors import InputProblem
from batchctl.requests.caching import CachingPlan, line_that_differs, with_cache_control, write_with_cache_control

MARKS: dict[str, dict[str, str]] = {"5m": {"type": "ephemeral"}, "1h": {"type": "ephemeral", "ttl": "1h"}}
LONG = b',"cache_control":{"type":"ephemeral","ttl":"1h"}'


def changed(line: bytes, ttl: str = "1h") -> bytes:
    found = with_cache_control(line, ttl)
    assert found is not None
    assert found.left is None
    return found.line


# ---------------------------------------------------------------- one line


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"params":{"system":"x"}}', b'{"params":{"system":[{"type":"text","text":"x"%b}]}}' % LONG),
        (
            rb' { "params" : { "system" :  "a\u0041\"}{\\" , "model":"m"} , "custom_id":"c" } ',
            rb' { "params" : { "system" :  [{"type":"text","text":"a\u0041\"}{\\"%b}] , "model":"m"} , "custom_id":"c" } '
            % LONG,
        ),
        (b'{"params":{"system":[{"text":"x"}]}}', b'{"params":{"system":[{"text":"x"%b}]}}' % LONG),
        (
            b'{"params":{"system" : [ {"text":"}]"} , {"text":"y", "a":[{}] } ] ,"z":1}}',
            b'{"params":{"system" : [ {"text":"}]"} , {"text":"y", "a":[{}] %b} ] ,"z":1}}' % LONG,
        ),
        (b'{"params":{"system":"x","a":1,"a":2}}', b'{"params":{"system":[{"type":"text","text":"x"%b}],"a":1,"a":2}}' % LONG),
        # The same key, written with an escape; and texts and objects that only look like it.
        (rb'{"params":{"sys\u0074em":"x"}}', rb'{"params":{"sys\u0074em":[{"type":"text","text":"x"%b}]}}' % LONG),
        (
            b'{"system":"no","params":{"messages":[{"system":"no"}],"a":{"system":"no"},"b":"\\"system\\":\\"no\\"","system":"x"}}',
            b'{"system":"no","params":{"messages":[{"system":"no"}],"a":{"system":"no"},"b":"\\"system\\":\\"no\\"","system":'
            b'[{"type":"text","text":"x"%b}]}}' % LONG,
        ),
        (b'{"params":{"n":-1.5E+7,"t":true,"system":"x"}}\r', b'{"params":{"n":-1.5E+7,"t":true,"system":[{"type":"text","text":"x"%b}]}}\r' % LONG),
    ],
)  # fmt: skip
def test_the_change_is_where_it_belongs_and_all_else_stays(before: bytes, after: bytes) -> None:
    assert changed(before) == after


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (b'{"params":{"system":"a","system":"b"}}', SkipReason.ODD),
        (rb'{"params":{"system":"a","sys\u0074em":"b"}}', SkipReason.ODD),
        (b'{"params":{"system":"a"},"params":{"system":"b"}}', SkipReason.ODD),
        (b'{"params":{"system":[{"text":"x","cache_control":null}]}}', SkipReason.ODD),
        (b'{"params":{"system":[{"text":"x","cache_control":{"type":"ephemeral"}}]}}', SkipReason.HAS_ONE),
        (b'{"params":{"model":"m"}}', SkipReason.NO_SYSTEM),
    ],
)
def test_a_line_that_cannot_be_changed_is_left_as_it_is(line: bytes, left: SkipReason) -> None:
    found = with_cache_control(line, "1h")
    assert found is not None
    assert (found.line, found.left) == (line, left)


@pytest.mark.parametrize(
    "line",
    [b"", b" ", b"{", b"[]", b"5", b"{}", b'{"params":5}', b'{"params":null}', b'{"params":["system"]}', b"\xff"],
)
def test_what_is_no_request_is_left_to_the_check(line: bytes) -> None:
    assert with_cache_control(line, "1h") is None


TEXTS = st.text(st.sampled_from('ab\\"{}[]:, \u2028é\n\x00') | st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | TEXTS | st.just('"system":"no"'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.just("system"), inner, max_size=3),
    max_leaves=6,
)
CONTROLS = st.sampled_from([None, {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}, {"ttl": "5m"}])
BLOCKS = st.fixed_dictionaries(
    {"type": st.just("text"), "text": TEXTS}, optional={"cache_control": CONTROLS, "citations": VALUES}
)
SYSTEMS = TEXTS | st.lists(BLOCKS, max_size=3) | VALUES
PARAMS = st.fixed_dictionaries(
    {"model": TEXTS},
    optional={
        "system": SYSTEMS,
        "tools": st.lists(BLOCKS, max_size=2),
        "messages": st.lists(st.fixed_dictionaries({"content": TEXTS | st.lists(BLOCKS, max_size=3)}), max_size=2),
        "cache_control": CONTROLS,
        "metadata": VALUES,
        'a"b\\': VALUES,
    },
)
SPACES = st.sampled_from(["", " ", "  ", "\t", " \r"])


def _encoded(value: Any, draw: Any, *, ascii_only: bool) -> str:
    """As JSON, in any order of keys and with white space wherever it may stand."""
    gap = draw(SPACES)
    if isinstance(value, dict):
        members = draw(st.permutations(list(value.items())))
        inside = f"{gap},{gap}".join(
            f"{json.dumps(key, ensure_ascii=ascii_only)}{gap}:{gap}{_encoded(one, draw, ascii_only=ascii_only)}"
            for key, one in members
        )
        return f"{{{gap}{inside}{gap}}}"
    if isinstance(value, list):
        return f"[{gap}{f'{gap},'.join(_encoded(one, draw, ascii_only=ascii_only) for one in value)}{gap}]"
    return json.dumps(value, ensure_ascii=ascii_only)


def _expected(params: dict[str, Any], ttl: str) -> dict[str, Any]:
    system = params["system"]
    blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
    return {**params, "system": [*blocks[:-1], {**blocks[-1], "cache_control": MARKS[ttl]}]}


@pytest.mark.generated
@given(params=PARAMS, ttl=st.sampled_from(["5m", "1h"]), ascii_only=st.booleans(), data=st.data())
def test_what_is_read_of_a_changed_line_is_what_was_written_with_that_one_change(
    *, params: dict[str, Any], ttl: str, ascii_only: bool, data: st.DataObject
) -> None:
    line = _encoded({"custom_id": "a", "params": params}, data.draw, ascii_only=ascii_only).encode()
    found = with_cache_control(line, ttl)
    assert found is not None
    left = skip_reason(params, ttl)
    assert found.left == left
    if left is not None:
        assert found.line == line
        return
    request = json.loads(found.line)
    assert request == {"custom_id": "a", "params": _expected(params, ttl)}
    # Taken out again, what was spliced in leaves the bytes that were there.
    mark = b',"cache_control":%b' % json.dumps(MARKS[ttl], separators=(",", ":")).encode()
    assert len(found.line) - len(line) == len(mark) + (
        len(b'[{"type":"text","text":}]') if isinstance(params["system"], str) else 0
    )
    assert _is_subsequence(line, found.line)
    again = with_cache_control(found.line, ttl)
    assert again is not None
    assert (again.line, again.left) == (found.line, SkipReason.HAS_ONE)


def _is_subsequence(line: bytes, of: bytes) -> bool:
    rest = iter(of)
    return all(byte in rest for byte in line)


# ---------------------------------------------------------------- a whole input


def request(custom_id: str, system: Any = "x" * 9000, model: str = "claude-haiku-4-5") -> bytes:
    return json.dumps({"custom_id": custom_id, "params": {"model": model, "system": system}}).encode()


def laid(folder: Path, data: bytes, ttl: str = "1h", longest: int = 100_000) -> tuple[Any, Any, bytes]:
    path, target = written(folder / "in.jsonl", data), folder / "out.jsonl"
    caching, original = write_with_cache_control(path, target, ttl, longest, lambda _: None)
    return caching, original, target.read_bytes()


def test_every_line_stays_on_its_line_and_what_was_before_is_known(tmp_path: Path) -> None:
    lines = [request("a"), b"", b"no request", request("b", system=""), request("a"), request("c", "short"), b"last"]
    data = b"\xef\xbb\xbf" + b"\r\n".join(lines)
    caching, original, copy = laid(tmp_path, data)
    expected = [changed(lines[0]), b"", b"no request", lines[3], changed(lines[4]), changed(lines[5]), b"last"]
    assert copy == b"\xef\xbb\xbf" + b"\r\n".join(expected)
    assert (original.size, original.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (caching.requests, caching.first_line, caching.repeats) == (3, 1, 1)
    assert caching.left == {SkipReason.NO_SYSTEM: 1}
    (short,) = caching.short.values()
    assert (short.requests, short.tokens, short.least) == (1, 1, 4096)


def test_a_prompt_counts_as_seen_before_with_the_same_tools_and_model_only(tmp_path: Path) -> None:
    tools = json.dumps([{"name": "t"}]).encode()
    lines = [
        request("a"),
        request("b", model="claude-opus-5-5"),
        request("c").replace(b'"system"', b'"tools": %b, "system"' % tools),
        request("d"),
    ]
    caching, _, _ = laid(tmp_path, b"\n".join(lines))
    assert (caching.requests, caching.repeats) == (4, 1)


def test_a_line_without_an_end_is_not_read_into_memory_and_not_changed(tmp_path: Path) -> None:
    inside = request("b", "y")
    data = request("a", "x") + b"\n" + b"z" * 1000 + inside + b"\n" + request("c", "x")
    _, original, copy = laid(tmp_path, data, longest=1000 + len(inside) // 2)
    assert copy == changed(request("a", "x")) + b"\n" + b"z" * 1000 + inside + b"\n" + changed(request("c", "x"))
    assert original.size == len(data)


def test_an_input_of_another_kind_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    with pytest.raises(InputProblem):
        laid(tmp_path, b"a,b,c\n1,2,3\n")
    assert not (tmp_path / "out.jsonl").exists()


def test_the_change_can_be_made_again_and_compared(tmp_path: Path) -> None:
    data = b"\n".join([request("a"), b"", request("b", system=None), request("c")])
    planned = CachingPlan(ttl="1h", count=4, longest=100_000)
    _, _, copy = laid(tmp_path, data)
    path, sent, numbers = tmp_path / "in.jsonl", tmp_path / "sent.jsonl", tmp_path / "numbers"
    lines = copy.split(b"\n")
    written(sent, b"\n".join([lines[0], lines[2], lines[3]]) + b"\n")
    three = CachingPlan(ttl="1h", count=3, longest=100_000)
    written(numbers, b"".join(n.to_bytes(8, "little") for n in (1, 3, 4)))
    assert line_that_differs(path, sent, numbers, three) == 0
    written(sent, b"\n".join([lines[0], lines[2], request("c")]) + b"\n")
    assert line_that_differs(path, sent, numbers, three) == 4
    written(sent, copy)
    assert line_that_differs(path, sent, tmp_path / "none", planned) == 2
