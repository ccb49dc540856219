"""Which answers can be compared with their requests, and what the comparisons say of a batch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from builders import succeeded

from batchctl.engine.match_rules import (
    Comparison,
    Match,
    NotComparable,
    check_request,
    describe_obstacles,
    is_model_of,
    is_text,
    judge,
    read_answer,
    spread,
)

HAIKU = "claude-haiku-4-5"
DATED = "claude-haiku-4-5-20251001"
OTHER = "claude-opus-5-5"
USAGE = {"input_tokens": 8, "output_tokens": 3}


def compared(custom_id: str = "row-0", counted: int = 40, billed: int = 40, answered: str = DATED) -> Comparison:
    return Comparison(custom_id=custom_id, counted=counted, billed=billed, requested=HAIKU, answered=answered)


def never(name: str) -> str | None:
    raise AssertionError(f"{name} was asked for")


# ---------------------------------------------------------------- one answer

TOLERANCE = [(10, 10), (10, 12), (10, 8), (100, 104), (100, 96), (149, 153), (150, 155), (1000, 1022), (1000, 978)]
TOO_FAR = [(10, 13), (10, 7), (49, 52), (100, 105), (100, 95), (1000, 1023), (1000, 977), (41, 12)]


@pytest.mark.parametrize(("counted", "billed"), TOLERANCE)
def test_counts_agree_within_two_tokens_and_two_percent(counted: int, billed: int) -> None:
    assert compared(counted=counted, billed=billed).tokens_agree


@pytest.mark.parametrize(("counted", "billed"), TOO_FAR)
def test_a_count_that_is_further_off_differs(counted: int, billed: int) -> None:
    assert not compared(counted=counted, billed=billed).tokens_agree


@pytest.mark.parametrize(
    ("requested", "answered", "known", "expected"),
    [
        (OTHER, OTHER, OTHER, True),
        (HAIKU, DATED, None, True),
        ("claude-opus-4-0", "claude-opus-4-20250514", "claude-opus-4-20250514", True),
        ("claude-haiku-latest", DATED, HAIKU, True),
        (HAIKU, OTHER, DATED, False),
        ("claude-opus-5", "claude-opus-5-5", "claude-opus-5", False),
        (HAIKU, f"{HAIKU}-2025100", HAIKU, False),
        (HAIKU, f"{HAIKU}-20251001-x", HAIKU, False),
        (HAIKU, f"{HAIKU}20251001", HAIKU, False),
        (DATED, HAIKU, DATED, False),
        (HAIKU, OTHER, None, None),
    ],
)
def test_an_answer_is_of_the_model_that_was_named_or_of_what_the_name_stands_for(
    requested: str, answered: str, known: str | None, expected: object
) -> None:
    assert is_model_of(requested, answered, lambda _: known) is expected


def test_the_api_is_not_asked_for_a_name_that_explains_the_answer() -> None:
    assert is_model_of(HAIKU, HAIKU, never)
    assert is_model_of(HAIKU, DATED, never)


# ---------------------------------------------------------------- what can be compared


def asked(content: Any = "Hello", **more: Any) -> dict[str, Any]:
    return {"model": HAIKU, "max_tokens": 8, "messages": [{"role": "user", "content": content}], **more}


def block(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, **more}


PICTURE = block("image", source={"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="})
BY_URL = block("image", source={"type": "url", "url": "https://example.com/a.png"})
BY_ID = block("document", source={"type": "file", "file_id": "file_1"})
CUSTOM = {"name": "look_up", "input_schema": {"type": "object"}}

COMPARABLE = [
    asked(),
    asked(system="Answer briefly."),
    asked(system=[block("text", text="Answer.", cache_control={"type": "ephemeral"})]),
    asked(cache_control={"type": "ephemeral", "ttl": "1h"}),
    asked([block("text", text="What is this?"), PICTURE]),
    asked([block("document", source={"type": "text", "media_type": "text/plain", "data": "Hi"})]),
    asked([block("document", source={"type": "content", "content": [block("text", text="Hi"), PICTURE]})]),
    asked([block("document", source={"type": "content", "content": "Hi"})]),
    asked([block("search_result", source="https://example.com", title="a", content=[block("text", text="Hi")])]),
    asked([block("tool_result", tool_use_id="toolu_1", content=[PICTURE])]),
    asked([block("tool_use", id="toolu_1", name="look_up", input={"type": "url", "content": [BY_URL]})]),
    asked([block("thinking", thinking="Hm.", signature="x"), block("redacted_thinking", data="x")]),
    asked(tools=[CUSTOM, {**CUSTOM, "type": "custom"}, {**CUSTOM, "type": None}], tool_choice={"type": "any"}),
    asked(thinking={"type": "adaptive"}, output_config={"format": {"type": "json_schema", "schema": {}}}),
    asked(container=None, mcp_servers=[], context_management=None),
    asked(stop_sequences=["x"], metadata={"user_id": "u"}, temperature=0.5, service_tier="auto"),
    asked(brand_new_param={"type": "url"}),
]
ELSEWHERE = [
    (asked(mcp_servers=[{"type": "url", "url": "https://example.com", "name": "a"}]), "MCP servers"),
    (asked(container="container_1"), "a container"),
    (asked(context_management={"edits": [{"type": "clear_tool_uses_20250919"}]}), "context management"),
    (asked(compaction={"type": "auto"}), "compaction"),
    (asked(thread={"id": "thread_1"}), "a thread"),
    (asked(fallbacks=[{"model": OTHER}]), "fallback models"),
    *[
        (asked(tools=[CUSTOM, {"type": kind, "name": "x"}]), "tools of the API")
        for kind in (
            "web_search_20250305",
            "web_fetch_20250910",
            "code_execution_20250825",
            "mcp_toolset",
            "advisor_20260301",
            "tool_search_tool_regex_20251119",
            "bash_20250124",
            "brand_new_tool",
        )
    ],
    (asked(tools=[{**CUSTOM, "type": ["custom"]}]), "tools of the API"),
    (asked(tools=[{**CUSTOM, "defer_loading": True}]), "tools that are loaded later"),
    (asked([BY_URL]), "files by URL or file id"),
    (asked([block("text", text="Read this."), BY_ID]), "files by URL or file id"),
    (asked([block("tool_result", tool_use_id="toolu_1", content=[BY_URL])]), "files by URL or file id"),
    (
        asked([block("document", source={"type": "content", "content": [block("tool_result", content=[BY_ID])]})]),
        "files by URL or file id",
    ),
    (asked([block("image")]), "files by URL or file id"),
    (asked([block("container_upload", file_id="file_1")]), "blocks whose token count may differ from the bill"),
    (asked([block("server_tool_use", id="x", name="web_search", input={})]), "blocks whose token count may differ"),
    (asked([block("brand_new_block")]), "blocks whose token count may differ from the bill"),
    (asked([{"text": "no type"}]), "blocks whose token count may differ from the bill"),
    (asked(system=[BY_ID]), "files by URL or file id"),
]


@pytest.mark.parametrize("params", COMPARABLE)
def test_a_request_is_comparable_where_its_prompt_alone_decides_its_tokens(params: dict[str, Any]) -> None:
    check_request(params)


@pytest.mark.parametrize(("params", "why"), ELSEWHERE)
def test_a_request_is_not_comparable_where_more_than_its_prompt_is_billed(params: dict[str, Any], why: str) -> None:
    with pytest.raises(NotComparable, match=why):
        check_request(params)


@pytest.mark.parametrize(
    "params", [{}, asked(None), asked(messages=None), asked(messages=["Hello"]), asked(tools={}), asked(system=5)]
)
def test_a_request_of_no_known_shape_is_left_to_the_api(params: dict[str, Any]) -> None:
    check_request(params)


def test_blocks_within_blocks_are_looked_at_however_deep_they_are() -> None:
    nested = BY_URL
    for _ in range(20_000):
        nested = block("tool_result", content=[nested])
    with pytest.raises(NotComparable, match="files by URL"):
        check_request(asked([nested]))


TEXTS = [
    asked(),
    asked(system="Answer briefly."),
    asked([block("text", text="Hi"), block("text", text="there")], system=[block("text", text="Answer.")]),
    asked(tools=[], output_config=None, thinking={}),
    asked(stop_sequences=["x"], temperature=0.5, brand_new_param={"type": "url"}),
    {},
]
MORE_THAN_TEXT = [
    asked(tools=[CUSTOM]),
    asked(output_config={"format": {"type": "json_schema", "schema": {}}}),
    asked(output_config={"effort": "low"}),
    asked(thinking={"type": "adaptive"}),
    asked([block("text", text="What is this?"), PICTURE]),
    asked([block("document", source={"type": "text", "media_type": "text/plain", "data": "Hi"})]),
    asked([block("tool_result", tool_use_id="toolu_1", content="Hi")]),
    asked([{"text": "no type"}]),
    asked(system=[PICTURE]),
]


@pytest.mark.parametrize("params", TEXTS)
def test_a_prompt_of_text_alone_is_counted_as_it_is_billed(params: dict[str, Any]) -> None:
    assert is_text(params)


@pytest.mark.parametrize("params", MORE_THAN_TEXT)
def test_to_tools_formats_and_files_the_api_may_add_tokens_that_it_does_not_count(params: dict[str, Any]) -> None:
    assert not is_text(params)


def message(stop_reason: str = "end_turn", **usage: Any) -> Any:
    return succeeded(stop_reason, model=DATED, usage={**USAGE, **usage})["message"]


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({}, 8),
        ({"cache_creation_input_tokens": 30, "cache_read_input_tokens": 0}, 38),
        ({"cache_creation_input_tokens": 0, "cache_read_input_tokens": 30}, 38),
        ({"cache_creation_input_tokens": 30, "cache_creation": {"ephemeral_1h_input_tokens": 30}}, 38),
        ({"cache_creation_input_tokens": None, "cache_read_input_tokens": None, "server_tool_use": None}, 8),
        ({"server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0}}, 8),
        ({"input_tokens": 0, "cache_read_input_tokens": 30}, 30),
        ({"cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_1y_input_tokens": 5}}, 13),
    ],
)
def test_a_prompt_is_billed_in_three_parts(usage: dict[str, Any], tokens: int) -> None:
    assert read_answer(message(**usage)) == (DATED, tokens)


@pytest.mark.parametrize("stop_reason", ["end_turn", "tool_use", "max_tokens", "refusal", "brand_new_reason"])
def test_an_answer_is_comparable_however_it_ended(stop_reason: str) -> None:
    assert read_answer(message(stop_reason)) == (DATED, 8)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "usage that cannot be read"),
        ("text", "usage that cannot be read"),
        ({}, "usage that cannot be read"),
        ({"model": DATED, "usage": None}, "usage that cannot be read"),
        ({"model": None, "usage": USAGE}, "usage that cannot be read"),
        (message(input_tokens="8"), "usage that cannot be read"),
        (message(iterations=[{"type": "compaction"}]), "usage that cannot be read"),
        (message("pause_turn"), "a paused turn"),
        (message("compaction"), "a paused turn"),
        (message(server_tool_use={"web_search_requests": 1}), "tools of the API"),
        (message(server_tool_use={"brand_new_requests": 1}), "tools of the API"),
        (message("refusal", input_tokens=0), "usage without input tokens"),
    ],
)
def test_an_answer_is_not_comparable_where_its_usage_is_not_that_of_the_prompt(answer: Any, why: str) -> None:
    with pytest.raises(NotComparable, match=why):
        read_answer(answer)


# ---------------------------------------------------------------- which of them

SIZES = [0, 1, 2, 3, 4, 5, 19, 20, 21, 100, 1000, 4181, 10_000]


@pytest.mark.parametrize("count", SIZES)
def test_every_request_has_its_turn_once(count: int) -> None:
    assert sorted(spread(count)) == list(range(count))


@pytest.mark.parametrize("count", [size for size in SIZES if size >= 100])
@pytest.mark.parametrize("first", [20, 40])
def test_the_first_of_them_are_spread_over_the_batch(count: int, first: int) -> None:
    chosen = sorted([*spread(count)][:first])
    gaps = [after - before for before, after in zip([0, *chosen], [*chosen, count], strict=True)]
    assert max(gaps) <= 3 * count / first


# ---------------------------------------------------------------- the conclusion

GOOD, LONG, STRANGE = compared(), compared("row-3", counted=41, billed=12), compared("row-5", answered=OTHER)

CASES = [
    ([GOOD], Match.OURS, ""),
    ([GOOD] * 20, Match.OURS, ""),
    ([LONG], Match.FOREIGN, "custom_id row-3: 41 tokens counted, 12 billed"),
    ([STRANGE], Match.FOREIGN, f"custom_id row-5: {HAIKU} requested, {OTHER} answered"),
    ([LONG, GOOD], Match.UNDECIDED, "custom_id row-3: 41 tokens counted, 12 billed (1 of 2 answers differ)"),
    ([GOOD] * 10 + [LONG] * 10, Match.UNDECIDED, "custom_id row-3: 41 tokens counted, 12 billed (10 of 20 answers differ)"),
    ([GOOD] * 9 + [LONG] * 11, Match.FOREIGN, "custom_id row-3: 41 tokens counted, 12 billed (11 of 20 answers differ)"),
    ([GOOD] * 19 + [STRANGE], Match.UNDECIDED, f"custom_id row-5: {HAIKU} requested, {OTHER} answered (1 of 20 answers differ)"),
    ([GOOD] * 9 + [STRANGE] * 11, Match.FOREIGN, f"custom_id row-5: {HAIKU} requested, {OTHER} answered (11 of 20 answers differ)"),
    ([GOOD, GOOD, LONG, LONG, STRANGE], Match.FOREIGN, "custom_id row-3: 41 tokens counted, 12 billed (3 of 5 answers differ)"),
]  # fmt: skip


@pytest.mark.parametrize(("comparisons", "match", "problem"), CASES)
def test_a_batch_is_ours_where_all_agree_and_foreign_where_most_differ(
    comparisons: Sequence[Comparison], match: Match, problem: str
) -> None:
    evidence = judge(comparisons, lambda _: DATED, succeeded=len(comparisons))
    assert (evidence.match, evidence.problem) == (match, problem)
    answers = f"{len(comparisons)} answers" if len(comparisons) > 1 else "1 answer"
    assert evidence.basis == f"size, ids, model and token counts of {answers}"


MORE = replace(LONG, is_text=False)
TOLD = "custom_id row-3: 41 tokens counted, 12 billed"
ADDED = [
    # What the API adds to tools, formats and files may be billed and not counted: that alone condemns nobody.
    ([MORE], Match.UNDECIDED, TOLD),
    ([MORE] * 20, Match.UNDECIDED, f"{TOLD} (20 of 20 answers differ)"),
    ([MORE] * 10 + [LONG] * 10, Match.UNDECIDED, f"{TOLD} (20 of 20 answers differ)"),
    ([MORE] * 9 + [LONG] * 11, Match.FOREIGN, f"{TOLD} (20 of 20 answers differ)"),
    ([MORE] * 9 + [LONG] * 6 + [STRANGE] * 5, Match.FOREIGN, f"{TOLD} (20 of 20 answers differ)"),
    ([MORE] * 5 + [GOOD] * 6 + [LONG] * 5, Match.UNDECIDED, f"{TOLD} (10 of 16 answers differ)"),
    # Another model is another request, whatever else it holds.
    ([replace(STRANGE, is_text=False)], Match.FOREIGN, f"custom_id row-5: {HAIKU} requested, {OTHER} answered"),
    ([replace(GOOD, is_text=False)] * 20, Match.OURS, ""),
]


@pytest.mark.parametrize(("comparisons", "match", "problem"), ADDED)
def test_a_batch_is_foreign_only_where_most_lines_that_differ_are_text_or_of_another_model(
    comparisons: Sequence[Comparison], match: Match, problem: str
) -> None:
    evidence = judge(comparisons, lambda _: DATED, succeeded=len(comparisons))
    assert (evidence.match, evidence.problem) == (match, problem)


def test_a_model_that_nobody_can_tell_is_not_another_one() -> None:
    unknown = judge([STRANGE] * 3, lambda _: None, succeeded=3)
    assert (unknown.match, unknown.basis) == (Match.OURS, "size, ids and token counts of 3 answers")
    some = judge([GOOD, STRANGE], lambda _: None, succeeded=2)
    assert (some.match, some.basis) == (Match.OURS, "size, ids and token counts of 2 answers, model of 1")
    wrong = judge([compared(counted=41, billed=12, answered=OTHER)], lambda _: None, succeeded=1)
    assert (wrong.match, wrong.problem) == (Match.FOREIGN, "custom_id row-0: 41 tokens counted, 12 billed")


def test_where_no_request_succeeded_there_is_nothing_to_be_wrong() -> None:
    evidence = judge([], never, succeeded=0)
    assert (evidence.match, evidence.problem) == (Match.OURS, "")
    assert evidence.basis == "size and ids (no request succeeded, so that there is nothing to compare)"


def test_where_nothing_can_be_counted_a_person_decides() -> None:
    evidence = judge([], never, succeeded=5, why_not=describe_obstacles({"tools of the API": 5}, 5))
    assert (evidence.match, evidence.basis) == (Match.UNDECIDED, "size and ids")
    assert evidence.problem == "no answer can be compared: tools of the API (all)"


def test_the_most_frequent_obstacle_is_named_first() -> None:
    said = describe_obstacles({"a paused turn": 1, "tools of the API": 1_200}, 5_000)
    assert said == "tools of the API (1,200), a paused turn (1)"


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        # Another tokenizer: one ratio over prompts of different lengths.
        ([(100, 112), (200, 224), (400, 449)], Match.UNDECIDED),
        # A gateway that counts the same for all.
        ([(10, 100), (10, 240), (10, 31)], Match.UNDECIDED),
        # Tokens that the API adds, counted and not billed; and a few that are billed and not counted.
        ([(28, 20), (38, 30), (58, 50)], Match.UNDECIDED),
        ([(20, 24), (30, 34), (50, 54)], Match.UNDECIDED),
        # Other prompts differ without a rule, or by more.
        ([(20, 35), (31, 20), (50, 90)], Match.FOREIGN),
        ([(12, 18), (12, 18), (12, 18)], Match.FOREIGN),
    ],
)
def test_counts_that_differ_in_one_way_throughout_condemn_nobody(pairs: list[tuple[int, int]], expected: Match) -> None:
    comparisons = [
        Comparison(custom_id=f"r-{n}", counted=counted, billed=billed, requested="m-1", answered="m-1")
        for n, (counted, billed) in enumerate(pairs)
    ]
    assert judge(comparisons, lambda name: name, succeeded=len(comparisons)).match is expected


@pytest.mark.parametrize(
    ("requested", "answered", "known", "expected"),
    [
        ("claude-haiku-latest", "claude-haiku-4-5-20251001", "claude-haiku-5-5", None),
        ("claude-haiku-latest", "claude-opus-5", "claude-haiku-5-5", False),
        ("claude-opus-5", "claude-opus-5-5", "claude-opus-5", False),
        ("claude-opus-5", "anthropic/claude-opus-5", None, True),
    ],
)
def test_an_alias_that_has_moved_since_says_nothing(
    requested: str, answered: str, known: str | None, *, expected: bool | None
) -> None:
    assert is_model_of(requested, answered, lambda _: known) is expected
