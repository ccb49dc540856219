"""What requests have in common and how long they are: the same whether a block is read at once or line by line."""

import json
from pathlib import Path
from typing import Any

import pytest
from builders import request_id, written
from cases import few
from hypothesis import given
from hypothesis import strategies as st
from scans import scanned

from batchctl.domain.check_report import Depth
from batchctl.domain.groups import (
    ALL_SAMPLED,
    APART,
    MAX_GROUPS,
    MAX_SAMPLED,
    RequestGroup,
    shape_digest,
    stratum_floor,
)
from batchctl.requests.grouping import LineBlock, RequestGrouper, group_requests
from batchctl.requests.request_lines import block_of

TOOL = {"name": "look", "input_schema": {"type": "object"}}
SYSTEMS: list[Any] = ["a", "b", "a" * 300, [{"type": "text", "text": "a"}], [{"type": "text", "text": "b"}]]


def line(n: int, /, text: Any = "hi", **params: Any) -> bytes:
    asked: dict[str, Any] = {
        "model": "claude-haiku-4-5",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": text}],
    }
    return json.dumps({"custom_id": request_id(n), "params": {**asked, **params}}).encode()


def file_of(lines: list[bytes]) -> bytes:
    return b"".join(one + b"\n" for one in lines)


def plain(lines: list[bytes]) -> list[Any]:
    """The same, said as simply as can be: requests, bytes, longest, max_tokens, first line, and each length's own."""
    groups: dict[str, list[tuple[int, int, int]]] = {}
    for number, one in enumerate(lines, 1):
        params = json.loads(one)["params"]
        rest = {name: value for name, value in params.items() if name not in APART}
        groups.setdefault(json.dumps(rest, sort_keys=True), []).append((number, len(one), params["max_tokens"]))
    found = []
    for of in groups.values():
        strata: dict[int, tuple[int, int]] = {}
        for _, size, _ in of:
            before = strata.get(stratum_floor(size), (0, 0))
            strata[stratum_floor(size)] = before[0] + 1, before[1] + size
        numbers, sizes, limits = zip(*of, strict=True)
        found.append((len(of), sum(sizes), max(sizes), sum(limits), min(numbers), strata))
    return found


def told(request_groups: tuple[RequestGroup, ...]) -> list[Any]:
    return [
        (t.requests, t.bytes, t.longest, t.max_tokens, t.first_line, {s.least: (s.requests, s.bytes) for s in t.strata})
        for t in request_groups
    ]


@st.composite
def params(draw: st.DrawFn) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if draw(st.booleans()):
        more["system"] = draw(st.sampled_from(SYSTEMS))
    if draw(st.booleans()):
        more["tools"] = [TOOL]
    if draw(st.booleans()):
        more["metadata"] = {"user_id": draw(st.text(max_size=3))}
    more["model"] = draw(st.sampled_from(["claude-haiku-4-5", "claude-opus-5"]))
    more["max_tokens"] = draw(st.sampled_from([9, 10]))
    more["text"] = draw(st.sampled_from(["é", "x" * 90, "x" * 400]))
    order = draw(st.permutations(["model", "max_tokens", "system", "tools", "metadata", "text"]))
    return {name: more[name] for name in order if name in more}


@pytest.mark.parametrize("depth", few([Depth.FULL, Depth.ENVELOPE], 0))
@given(many=st.lists(st.tuples(params(), st.integers(1, 3)), min_size=1, max_size=6))
def test_however_a_block_is_read_its_groups_are_what_each_line_says(
    tmp_path_factory: pytest.TempPathFactory, depth: Depth, many: list[tuple[dict[str, Any], int]]
) -> None:
    lines = [line(n, **one) for n, one in enumerate(one for one, times in many for _ in range(times))]
    folder = tmp_path_factory.mktemp("tally")
    found = scanned(folder, file_of(lines), depth=depth).scan.request_groups
    assert told(found) == plain(lines)
    assert group_requests(folder / "in.jsonl") == found
    for request_group in found:
        for stratum in request_group.strata:
            for one in stratum.sampled:
                assert lines[one.line - 1] == file_of(lines)[one.offset : one.offset + one.size]
                assert stratum_floor(one.size) == stratum.least


@pytest.mark.parametrize("where", ["system", "tools"])
def test_what_differs_behind_the_messages_makes_groups_too(tmp_path: Path, where: str) -> None:
    """As far as the text in which they differ, the lines are one: what it stands in decides."""
    values = [[{"type": "text", "name": "n", "text": f"{n % 2}"}] for n in range(40)]
    lines = [line(n, "hi", **{where: value}) for n, value in enumerate(values)]
    found = scanned(tmp_path, file_of(lines), depth=Depth.ENVELOPE).scan.request_groups
    assert [request_group.requests for request_group in found] == [20, 20]


@pytest.mark.parametrize("depth", Depth)
def test_as_many_params_of_other_names_are_another_group(tmp_path: Path, depth: Depth) -> None:
    lines = [line(0, metadata={"user_id": "a"}), line(1, tools=[TOOL]), line(2, metadata={"user_id": "b"})]
    found = scanned(tmp_path, file_of(lines), depth=depth).scan.request_groups
    assert told(found) == plain(lines)
    assert [request_group.requests for request_group in found] == [2, 1]


def test_bad_lines_and_blank_ones_are_in_no_group(tmp_path: Path) -> None:
    lines = [line(0), b"", b"{", line(1), line(2, max_tokens=0), line(3)]
    found = scanned(tmp_path, file_of(lines)).scan.request_groups
    assert [(request_group.requests, request_group.bytes) for request_group in found] == [(3, 3 * len(lines[0]))]
    assert [one.line for one in found[0].strata[0].sampled] == [1, 4, 6]
    again = group_requests(written(tmp_path / "b", b"\xef\xbb\xbf" + file_of(lines)), without={3, 5})
    assert [one.offset - 3 for one in again[0].strata[0].sampled] == [one.offset for one in found[0].strata[0].sampled]


def test_a_system_prompt_of_its_own_on_every_line_makes_a_few_groups_and_the_rest(tmp_path: Path) -> None:
    lines = [line(n, system=f"You are {n}.", model=f"claude-{'ab'[n % 2]}") for n in range(1000)]
    found = scanned(tmp_path, file_of(lines)).scan.request_groups
    assert len(found) == MAX_GROUPS + 2
    assert sum(request_group.requests for request_group in found) == 1000
    assert [(request_group.model, request_group.digest) for request_group in found[-2:]] == [
        ("claude-a", ""),
        ("claude-b", ""),
    ]
    assert not found[-1].is_shared
    models = [line(n, model=f"claude-{n}", inference_geo="us") for n in range(1000)]
    found = scanned(tmp_path, file_of(models)).scan.request_groups
    assert len(found) == 2 * MAX_GROUPS + 1
    assert found[-1].model == "", "so many models are none"


def test_the_sample_is_spread_over_the_whole_file_whatever_its_length(tmp_path: Path) -> None:
    lines = [line(n, "x" * (900 if n % 500 == 7 else 40 + n % 9)) for n in range(20_000)]
    (request_group,) = scanned(tmp_path, file_of(lines)).scan.request_groups
    assert request_group.longest == len(lines[7])
    for stratum in request_group.strata:
        numbers = [one.line for one in stratum.sampled]
        assert len(numbers) <= MAX_SAMPLED
        assert numbers == sorted(set(numbers))
    rare = min(request_group.strata, key=lambda stratum: stratum.requests)
    assert (rare.requests, len(rare.sampled) >= 3) == (40, True)
    common = [one.line for one in max(request_group.strata, key=lambda stratum: stratum.requests).sampled]
    assert len(common) >= MAX_SAMPLED // 3
    assert max(b - a for a, b in zip([0, *common], [*common, 20_000], strict=True)) <= 8 * 20_000 / len(common)


@pytest.mark.parametrize(("count", "is_all"), [(ALL_SAMPLED, True), (ALL_SAMPLED + 1, False)])
def test_all_lines_of_a_small_input_are_remembered(tmp_path: Path, count: int, *, is_all: bool) -> None:
    lines = [line(n, "x" * (40 + n % 9), system="ab"[n % 2]) for n in range(count)]
    request_groups = scanned(tmp_path, file_of(lines)).scan.request_groups
    found = sorted(
        one.line for request_group in request_groups for stratum in request_group.strata for one in stratum.sampled
    )
    assert (found == list(range(1, count + 1))) is is_all
    assert is_all or all(
        len(stratum.sampled) <= MAX_SAMPLED for request_group in request_groups for stratum in request_group.strata
    )


def test_a_rule_that_repeats_does_not_decide_what_is_sampled(tmp_path: Path) -> None:
    lines = [line(n, "x" * (900 if n % 2 else 40)) for n in range(600)]
    (request_group,) = scanned(tmp_path, file_of(lines)).scan.request_groups
    assert all(len(stratum.sampled) >= MAX_SAMPLED // 3 for stratum in request_group.strata), request_group.strata


def test_what_stands_before_the_messages_is_weighed_and_its_marks_counted(tmp_path: Path) -> None:
    system = [
        {"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "more", "cache_control": {"type": "ephemeral"}},
    ]
    searching = {"type": "web_search_20250305", "name": "web_search"}
    lines = [line(n, system=system, tools=[TOOL, searching]) for n in range(2)]
    (request_group,) = scanned(tmp_path, file_of([*lines])).scan.request_groups
    assert (request_group.breakpoints, request_group.ttl, request_group.calls_servers, request_group.is_shared) == (
        2,
        "1h",
        True,
        True,
    )
    assert request_group.prefix_bytes == len(json.dumps(system, separators=(",", ":"))) + len(
        json.dumps([TOOL, searching], separators=(",", ":"))
    )


@pytest.mark.parametrize(
    ("params", "calls"),
    [
        ({}, False),
        ({"mcp_servers": [{"type": "url"}]}, True),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, False),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}, {"type": "compact_20260112"}]}}, True),
        ({"context_management": {"edits": ["compact_20260112"]}}, False),
        ({"context_management": "compact_20260112"}, False),
        ({"compaction": {"type": "enabled"}}, True),
        ({"compaction": None}, False),
    ],
)
def test_what_the_api_may_do_by_itself_is_noticed(params: dict[str, Any], *, calls: bool) -> None:
    grouper = RequestGrouper()
    request = {"custom_id": "a", "params": {"model": "m", "max_tokens": 1, "messages": [], **params}}
    grouper.add(block_of({0: request}, 1), LineBlock([b"x" * 50], 0, 1))
    assert [request_group.calls_servers for request_group in grouper.finish()] == [calls]


PICTURE = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
FILED = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
ENCODED = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aaaa"}}
PLAIN_DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "aaaa"}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "fine"}
NESTED = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [PICTURE]}
NEW = {"type": "of tomorrow", "text": "as short as can be"}


def escaped(block: dict[str, Any]) -> str:
    """As JSON may have it, too: each character of each text by its number."""

    def text(value: str) -> str:
        return '"' + "".join(f"\\u{ord(c):04x}" for c in value) + '"'

    def of(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{text(name)}: {of(one)}" for name, one in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(of, value)) + "]"
        return text(value) if isinstance(value, str) else json.dumps(value)

    return of(block)


@pytest.mark.parametrize(
    ("odd", "is_read"),
    [
        (PICTURE, True), (FILED, False), (ENCODED, False), (PLAIN_DOCUMENT, False), (CALL, False), (RESULT, False),
        (NESTED, True), (NEW, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("system", ["one for all", None], ids=["shared_prefix", "each its own"])
@pytest.mark.parametrize("is_escaped", [True, False])
def test_a_single_block_that_is_no_text_is_noticed_wherever_it_stands(
    tmp_path: Path, odd: dict[str, Any], system: str | None, *, is_read: bool, is_escaped: bool
) -> None:
    def lines(content: Any) -> list[bytes]:
        texts = ["hi", '{"type": "url"}', "a file"] * 40
        return [
            line(n, content if n == 77 else text, system=system or f"number {n % 9}") for n, text in enumerate(texts)
        ]

    many = lines([{"type": "text", "text": "see"}, "ODD"])
    many[77] = many[77].replace(b'"ODD"', (escaped(odd) if is_escaped else json.dumps(odd)).encode())
    request_groups = scanned(tmp_path, file_of(many), depth=Depth.ENVELOPE).scan.request_groups
    assert sum(request_group.beyond_text for request_group in request_groups) == 1
    assert sum(request_group.calls_servers for request_group in request_groups) == is_read
    plain = scanned(
        tmp_path, file_of(lines([{"type": "text", "text": "see"}])), depth=Depth.ENVELOPE
    ).scan.request_groups
    assert not any(request_group.beyond_text or request_group.calls_servers for request_group in plain)


@pytest.mark.parametrize("key", ["type", "\\u0074ype"])
def test_a_kind_of_block_that_alone_differs_is_noticed(tmp_path: Path, key: str) -> None:
    """All that differs is what the lines are opened at: what follows it is text in each of them."""
    blocks = ['{"KEY": "text", "text": "a file"}', '{"KEY": "container_upload", "text": "a file"}']
    lines = [
        line(n, "BLOCKS").replace(b'"BLOCKS"', f"[{blocks[n == 7]}]".replace("KEY", key).encode()) for n in range(20)
    ]
    (request_group,) = scanned(tmp_path, file_of(lines), depth=Depth.ENVELOPE).scan.request_groups
    assert request_group.beyond_text


@pytest.mark.parametrize(
    ("params", "adds", "calls"),
    [
        ({"tools": []}, False, False),
        ({"tools": [TOOL]}, True, False),
        ({"tools": [{"type": "custom", **TOOL}]}, True, False),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, True, False),
        ({"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, True, True),
        ({"tools": [TOOL, {"type": "of_tomorrow_20270101", "name": "x"}]}, True, True),
        ({"output_config": {"effort": "low"}}, False, False),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, True, False),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, False, False),
        ({"container": "container_1"}, False, True),
        ({"of_tomorrow": True}, False, True),
        ({"of_tomorrow": None}, False, False),
        ({"stop_sequences": ["x"], "temperature": 1, "service_tier": "auto"}, False, False),
    ],
)
def test_what_the_api_adds_or_may_do_is_told_by_params_and_what_is_not_known_is_not_for_nothing(
    params: dict[str, Any], *, adds: bool, calls: bool
) -> None:
    grouper = RequestGrouper()
    request = {"custom_id": "a", "params": {"model": "m", "max_tokens": 1, "messages": [], **params}}
    grouper.add(block_of({0: request}, 1), LineBlock([b"x" * 50], 0, 1))
    assert [(request_group.adds_prompt, request_group.calls_servers) for request_group in grouper.finish()] == [
        (adds, calls)
    ]


def test_a_beginning_is_not_taken_for_longer_than_it_is_in_its_line(tmp_path: Path) -> None:
    """A float of four characters would be written anew with nineteen."""
    schema = {"type": "object", "properties": {"n": {"enum": ["FLOATS"]}}}
    one = line(0, tools=[{"name": "look", "input_schema": schema}]).replace(b'"FLOATS"', b",".join([b"1e15"] * 100))
    (request_group,) = scanned(tmp_path, file_of([one]), depth=Depth.ENVELOPE).scan.request_groups
    assert 100 < request_group.prefix_bytes < len(one)


@pytest.mark.parametrize("ttl", [{}, {"ttl": "1h"}])
def test_marks_in_messages_are_noticed_though_the_first_has_none(tmp_path: Path, ttl: dict[str, str]) -> None:
    marked = [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral", **ttl}}]
    lines = [line(n, marked if n > 5 else "hi") for n in range(10)]
    (request_group,) = scanned(tmp_path, file_of(lines)).scan.request_groups
    assert (request_group.marks_messages, request_group.ttl) == (True, ttl.get("ttl", "5m"))
    (plain,) = scanned(tmp_path, file_of(lines[:5])).scan.request_groups
    assert (plain.marks_messages, plain.ttl) == (False, "")


def test_marks_of_what_is_left_over_are_noticed_though_the_first_has_none(tmp_path: Path) -> None:
    marked = [{"type": "text", "text": "its own", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    lines = [line(n, system=marked if n == 90 else f"number {n}") for n in range(100)]
    *groups, others = scanned(tmp_path, file_of(lines)).scan.request_groups
    assert (others.digest, others.ttl) == ("", "1h")
    assert {request_group.ttl for request_group in groups} == {""}


def test_tools_of_what_is_left_over_are_noticed_though_the_first_has_none(tmp_path: Path) -> None:
    search = [{"type": "web_search_20250305", "name": "web_search"}]
    lines = [line(n, system=f"number {n}", **({"tools": search} if n == 90 else {})) for n in range(100)]
    *groups, others = scanned(tmp_path, file_of(lines)).scan.request_groups
    assert len(groups) == MAX_GROUPS
    assert (others.digest, others.adds_prompt, others.calls_servers) == ("", True, True)
    assert not any(request_group.adds_prompt for request_group in groups)


def test_rounds_have_one_shape_where_they_ask_the_same_of_the_same_models(tmp_path: Path) -> None:
    one, two = line(0, system="a"), line(1, system="b")

    def shape(*lines: bytes) -> str:
        return shape_digest(scanned(tmp_path, file_of([*lines])).scan.request_groups)

    assert shape(one, two) == shape(
        line(5, "other", system="b", max_tokens=99), line(6, system="a"), line(7, system="a")
    )
    assert shape(one) != shape(two)
    assert shape_digest(()) == ""


@pytest.mark.parametrize("message", ['"x"', "5", "null", "[1]", '{"role":"user"}'])
def test_a_message_that_is_no_object_is_beyond_text_and_no_traceback(tmp_path: Path, message: str) -> None:
    """Without a deep check it goes to the API as it stands."""
    path = tmp_path / "in.jsonl"
    path.write_text(f'{{"custom_id":"a","params":{{"model":"m","max_tokens":1,"messages":[{message}]}}}}\n', "utf-8")
    (group,) = group_requests(path)
    assert group.requests == 1
    assert group.beyond_text is (message != '{"role":"user"}')
