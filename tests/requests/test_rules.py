"""The API's own rules: each refuses what it is about, and passes what only looks like it."""

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from program import Cli

from batchctl.domain.faults import Severity
from batchctl.domain.model import Headers
from batchctl.emulator.models import MODELS
from batchctl.emulator.validation import Rules as EmulatedRules
from batchctl.emulator.validation import flaw_in
from batchctl.requests import rules
from batchctl.requests.rules import CHECKS, Rules, RuleTableProblem, contradictions, read_table, rule_table

OLD, NEW = "2023-06-01", "2026-10-21"
NOW = Headers(api_version=NEW)
PLAIN: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 4_096,
    "messages": [{"role": "user", "content": "Good or bad?"}],
}
HAIKU = {"model": "claude-haiku-4-5"}
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
USE = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "5"}
TEXT = {"type": "text", "text": "hello"}
CACHED = {**TEXT, "cache_control": {"type": "ephemeral"}}
PNG, JPEG = "iVBORw0KGgoAAAANSUhEUgAA", "/9j/4AAQSkZJRgABAQAAAQAB"


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def said(*contents: Any) -> dict[str, Any]:
    """Messages of user and assistant in turn."""
    return {
        "messages": [{"role": ("user", "assistant")[n % 2], "content": content} for n, content in enumerate(contents)]
    }


def image(data: str, media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def png(width: int, height: int) -> str:
    return base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)).decode()


def answer(**schema: Any) -> dict[str, Any]:
    whole = {"type": "object", "properties": {}, "additionalProperties": False, **schema}
    return {"output_config": {"format": {"type": "json_schema", "schema": whole}}}


def some(count: int, kind: Any) -> dict[str, Any]:
    return {f"p{n}": kind for n in range(count)}


TEXTUAL = {"type": "string"}
# The code, the place, what is refused, and what only looks like it; both are changes of PLAIN.
PAIRS: Sequence[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]] = [
    ("tool_choice_forced", "tool_choice.type", {"tools": [TOOL], "tool_choice": {"type": "any"}}, {"tools": [TOOL], "tool_choice": {"type": "auto"}}),
    ("tool_choice_forced", "tool_choice.type", {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "look"}}, {**HAIKU, "tools": [TOOL], "tool_choice": {"type": "tool", "name": "look"}}),
    ("tool_choice_with_thinking", "tool_choice.type", {**HAIKU, "tools": [TOOL], "tool_choice": {"type": "any"}, "thinking": {"type": "enabled", "budget_tokens": 2_000}}, {"model": "claude-opus-4-6", "tools": [TOOL], "tool_choice": {"type": "any"}, "thinking": {"type": "adaptive"}}),
    ("tool_choice_unknown_tool", "tool_choice.name", {**HAIKU, "tools": [TOOL], "tool_choice": {"type": "tool", "name": "lok"}}, {**HAIKU, "tools": [TOOL, {"type": "mcp_toolset"}], "tool_choice": {"type": "tool", "name": "lok"}}),
    ("tool_choice_without_tools", "tool_choice", {"tool_choice": {"type": "auto"}}, {"tool_choice": {"type": "none"}}),
    ("thinking_budget_refused", "thinking.type", {"thinking": {"type": "enabled", "budget_tokens": 2_000}}, {**HAIKU, "thinking": {"type": "enabled", "budget_tokens": 2_000}}),
    ("thinking_always_on", "thinking.type", {"thinking": {"type": "disabled"}}, {"model": "claude-opus-5", "thinking": {"type": "disabled"}}),
    ("thinking_always_on", "thinking.type", {"model": "claude-sonnet-5-5", "thinking": {"type": "disabled"}}, {"model": "claude-sonnet-5-5", "thinking": {"type": "between_tools"}}),
    ("thinking_off_at_high_effort", "output_config.effort", {"model": "claude-opus-5", "thinking": {"type": "disabled"}, "output_config": {"effort": "max"}}, {"model": "claude-opus-5", "thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}),
    ("thinking_adaptive_unknown", "thinking.type", {**HAIKU, "thinking": {"type": "adaptive"}}, {"thinking": {"type": "adaptive"}}),
    ("thinking_budget_small", "thinking.budget_tokens", {**HAIKU, "thinking": {"type": "enabled", "budget_tokens": 1_023}}, {**HAIKU, "thinking": {"type": "enabled", "budget_tokens": 1_024}}),
    ("thinking_budget_above_max_tokens", "thinking.budget_tokens", {**HAIKU, "thinking": {"type": "enabled", "budget_tokens": 4_096}}, {**HAIKU, "thinking": {"type": "enabled", "budget_tokens": 4_096}, "tools": [TOOL]}),
    ("sampling_not_supported", "temperature", {**HAIKU, "temperature": 1}, {**HAIKU, "temperature": None}),
    ("sampling_not_supported", "top_k", {"top_k": 5}, {"max_tokens": 5}),
    ("prefill_refused", "messages.1.role", said("hi", "{"), said("hi", "ho", "go on")),
    ("prefill_refused", "messages.1.role", said("hi", [TEXT]), said("hi", [{"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}])),
    ("prefill_with_thinking", "messages.1.role", {**HAIKU, **said("hi", "{"), "thinking": {"type": "enabled", "budget_tokens": 2_000}}, {**HAIKU, **said("hi", "{")}),
    ("prefill_ends_blank", "messages.1.content", {**HAIKU, **said("hi", "{ ")}, {**HAIKU, **said("hi ", "{")}),
    ("text_empty", "messages.0.content.1.text", said([TEXT, {"type": "text", "text": ""}]), said([USE | {"type": "tool_result", "tool_use_id": "x", "content": ""}])),
    ("content_empty", "messages.0.content", said(""), {**HAIKU, **said("hi", "")}),
    ("content_empty", "messages.2.content", said("hi", "ho", []), said("hi", "ho", [TEXT])),
    ("text_blank", "messages.0.content", said(" \n"), said(" a\n")),
    ("role_system", "messages.1.role", {**HAIKU, "messages": [*said("hi")["messages"], {"role": "system", "content": "Be brief."}]}, {"messages": [*said("hi")["messages"], {"role": "system", "content": "Be brief."}]}),
    ("tool_result_missing", "messages.1.content.0", said("hi", [USE], "and?"), said("hi", [USE], [RESULT])),
    ("tool_result_unasked", "messages.0.content.0", said([RESULT]), said("hi", [USE], [RESULT])),
    ("tool_use_id_repeated", "messages.3.content.0.id", said("hi", [USE], [RESULT], [USE], [RESULT]), said("hi", [USE], [RESULT], [{**USE, "id": "t2"}], [{**RESULT, "tool_use_id": "t2"}])),
    ("tool_result_not_first", "messages.2.content", said("hi", [USE], [TEXT, RESULT]), said("hi", [USE], [RESULT, TEXT])),
    ("document_of_assistant", "messages.1.content.0", said("hi", [{"type": "document", "source": {"type": "url", "url": "https://x"}}], "and?"), said([{"type": "document", "source": {"type": "url", "url": "https://x"}}])),
    ("base64_data_url", "messages.0.content.0.source.data", said([image(f"data:image/png;base64,{PNG}")]), said([image(PNG)])),
    ("media_type_wrong", "messages.0.content.0.source.media_type", said([image(JPEG)]), said([image(JPEG, "image/jpeg")])),
    ("media_type_unknown", "messages.0.content.0.source.media_type", said([image(PNG, "image/jpg")]), said([{"type": "image", "source": {"type": "url", "url": "https://x/image.jpg"}}])),
    ("image_too_large", "messages.0.content.0.source.data", said([image(PNG + "A" * 10_485_760)]), said([image(PNG + "A" * 1_000)])),
    ("too_many_images", "messages", said([image(PNG)] * 601), said([image(PNG)] * 600)),
    ("cache_breakpoints", "messages.0.content.4.cache_control", said([CACHED] * 5), said([*[CACHED] * 4, TEXT])),
    ("cache_breakpoints", "cache_control", {**said([CACHED] * 4), "cache_control": {"type": "ephemeral"}}, {**said([CACHED] * 3), "cache_control": {"type": "ephemeral"}}),
    ("cache_ttl_order", "messages.0.content.0.cache_control.ttl", {"system": [CACHED], **said([{**TEXT, "cache_control": {"type": "ephemeral", "ttl": "1h"}}])}, {"system": [{**TEXT, "cache_control": {"type": "ephemeral", "ttl": "1h"}}], **said([CACHED])}),
    ("cache_on_thinking", "messages.1.content.0.cache_control", said("hi", [{"type": "thinking", "thinking": "", "signature": "s", "cache_control": {"type": "ephemeral"}}, TEXT], "and?"), said("hi", [{"type": "thinking", "thinking": "", "signature": "s"}, CACHED], "and?")),
    ("tool_name", "tools.0.name", {"tools": [{**TOOL, "name": "look up"}]}, {"tools": [{**TOOL, "name": "look-up_" + "x" * 120}]}),
    ("tool_name_repeated", "tools.1.name", {"tools": [TOOL, TOOL]}, {"tools": [TOOL, {**TOOL, "name": "Look"}]}),
    ("tool_schema_top_level", "tools.0.input_schema.anyOf", {"tools": [{**TOOL, "input_schema": {"type": "object", "anyOf": []}}]}, {"tools": [{**TOOL, "input_schema": {"type": "object", "properties": {"a": {"anyOf": [TEXTUAL]}}}}]}),
    ("tool_computer_too_old", "tools.0.type", {"tools": [{"type": "computer_20251124", "name": "computer"}]}, {"model": "claude-opus-4-8", "tools": [{"type": "computer_20251124", "name": "computer"}]}),
    ("tool_of_openai", "tools.0.function", {"tools": [{"type": "function", "function": {"name": "x"}}]}, {"tools": [{**TOOL, "name": "function"}]}),
    ("strict_tools", "tools.20", {"tools": [{**TOOL, "name": f"t{n}", "strict": True, "input_schema": {"type": "object", "additionalProperties": False}} for n in range(21)]}, {"tools": [{**TOOL, "name": f"t{n}"} for n in range(21)]}),
    ("schema_recursive", "output_config.format.schema", answer(properties={"a": {"$ref": "#/$defs/a"}}, **{"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"items": {"$ref": "#/$defs/a"}}}}), answer(properties={"a": {"$ref": "#/$defs/a"}, "b": {"$ref": "#/$defs/a"}}, required=["a", "b"], **{"$defs": {"a": TEXTUAL}})),
    ("schema_reference", "output_config.format.schema.properties.a.$ref", answer(properties={"a": {"$ref": "https://x/schema.json"}}), answer(properties={"a": {"$ref": "#/$defs/a"}}, **{"$defs": {"a": TEXTUAL}})),
    ("schema_additional_properties", "output_config.format.schema.properties.a", answer(properties={"a": {"type": "object", "properties": {}}}), answer(properties={"additionalProperties": TEXTUAL})),
    ("schema_bound", "output_config.format.schema.properties.a.minimum", answer(properties={"a": {"type": "integer", "minimum": 1}}), answer(properties={"minimum": {"type": "integer"}})),
    ("schema_bound", "output_config.format.schema.properties.a.minItems", answer(properties={"a": {"type": "array", "items": TEXTUAL, "minItems": 2}}), answer(properties={"a": {"type": "array", "items": TEXTUAL, "minItems": 1}})),
    ("schema_optional", "output_config.format.schema", answer(properties=some(25, TEXTUAL)), answer(properties=some(25, TEXTUAL), required=["p0"])),
    ("schema_unions", "output_config.format.schema", answer(properties=some(17, {"type": ["string", "null"]})), answer(properties=some(16, {"type": ["string", "null"]}))),
    ("schema_one_of", "output_config.format.schema.properties.a.oneOf", answer(properties={"a": {"oneOf": [TEXTUAL]}}), answer(properties={"a": {"anyOf": [TEXTUAL]}})),
    ("format_with_citations", "messages.0.content.0.citations", {**answer(), **said([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "citations": {"enabled": True}}])}, {**answer(), **said([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "citations": {"enabled": False}}])}),
    ("effort_not_supported", "output_config.effort", {**HAIKU, "output_config": {"effort": "low"}}, {"output_config": {"effort": "low"}}),
    ("effort_not_supported", "output_config.effort", {"model": "claude-opus-4-6", "output_config": {"effort": "xhigh"}}, {"model": "claude-opus-4-6", "output_config": {"effort": "max"}}),
    ("inference_geo_not_supported", "inference_geo", {**HAIKU, "inference_geo": "us"}, {"inference_geo": "us"}),
    ("stop_sequence_blank", "stop_sequences.0", {"stop_sequences": ["\n\n"]}, {"stop_sequences": ["\n\nHuman:"]}),
    ("user_id_personal", "metadata.user_id", {"metadata": {"user_id": "ann@example.org"}}, {"metadata": {"user_id": "ann@home"}}),
    ("beta_missing", "mcp_servers", {"mcp_servers": [{"type": "url", "name": "a", "url": "https://x"}]}, {"mcp_servers": None}),
    ("beta_missing", "context_management.edits.0.type", {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, {"context_management": {"edits": []}}),
    ("beta_missing", "context_management.edits.1.type", {"context_management": {"edits": [{"type": "other"}, {"type": "compact_20260112"}]}}, {"context_management": {"edits": [{"type": "other"}]}}),
    ("beta_missing", "tools.0.type", {**HAIKU, "tools": [{"type": "computer_20250124", "name": "computer"}]}, {"tools": [{"type": "computer_20250124", "name": "computer"}]}),
    ("beta_missing", "tools.0.type", {"model": "claude-opus-4-8", "tools": [{"type": "computer_20251124", "name": "computer"}]}, {"model": "claude-opus-4-8", "tools": [{"type": "computer_toolset_20260801"}]}),
    ("image_pixels", "messages.0.content.0.source.data", said([image(png(8_001, 1))]), said([image(png(8_000, 8_000))])),
    ("image_pixels_of_many", "messages.0.content.20.source.data", said([*[image(PNG)] * 20, image(png(1, 2_001))]), said([*[image(PNG)] * 19, image(png(1, 2_001))])),
    ("key_of_openai", "response_format", {"response_format": {"type": "json_object"}}, {"output_config": {"effort": "low"}}),
    ("key_of_openai", "seed", {"seed": 7}, {"metadata": {"user_id": "seed"}}),
]  # fmt: skip


SAMPLE = Path(__file__).parents[2] / "samples" / "api-rules.jsonl"
# Of longer lines nobody reads anything.
LONGEST_SAMPLE = 2_000


def sample() -> bytes:
    """The pairs as request lines: one that its rule refuses, and beside it the one that passes."""
    lines = []
    for number, (code, _, *pair) in enumerate(PAIRS, 1):
        requests = [
            {"custom_id": f"{number:02}-{word}-{code}", "params": {**PLAIN, **change}}
            for word, change in zip(("refused", "passes"), pair, strict=True)
        ]
        if max(len(json.dumps(request)) for request in requests) <= LONGEST_SAMPLE:
            lines += [json.dumps(request, ensure_ascii=False) + "\n" for request in requests]
    return "".join(lines).encode()


def test_the_sample_has_every_pair_of_short_lines() -> None:
    assert SAMPLE.read_bytes() == sample(), "write it anew: PYTHONPATH=tests python -m requests.test_rules"


def test_each_line_of_the_sample_is_refused_by_its_own_rule_or_passes(tmp_path: Path) -> None:
    ran = Cli(tmp_path, "http://127.0.0.1:9").run("submit", SAMPLE, "--dry-run", "--check", "envelope", "--strict")
    assert ran.status == 5
    problems = tmp_path / ".batchctl" / "problems" / SAMPLE.name
    faults: dict[str, set[str]] = {}
    for problem in map(json.loads, problems.read_bytes().splitlines()):
        assert problem["line"]
        faults.setdefault(problem["custom_id"], set()).add(problem["code"])
        assert problem["message"]
    lines = [json.loads(line)["custom_id"] for line in SAMPLE.read_bytes().splitlines()]
    assert len(lines) >= 2 * 38
    for custom_id in lines:
        _, word, code = custom_id.split("-", 2)
        assert (code in faults.get(custom_id, set())) is (word == "refused"), (custom_id, faults.get(custom_id))


def found(change: Mapping[str, Any], api_version: str = NEW) -> list[tuple[str, str]]:
    params = {**PLAIN, **change}
    faults = Rules(Headers(api_version=api_version)).faults(params, [params["max_tokens"]])
    return [(fault.code, fault.path.removeprefix("params").removeprefix(".")) for fault in faults]


@pytest.mark.parametrize(
    ("code", "path", "refused", "passes"), PAIRS, ids=[f"{n}-{code}" for n, (code, *_) in enumerate(PAIRS)]
)
def test_what_is_refused_is_named_and_what_looks_like_it_passes(
    code: str, path: str, refused: Mapping[str, Any], passes: Mapping[str, Any]
) -> None:
    assert (code, path) in found(refused)
    assert code not in {fault for fault, _ in found(passes)}


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({"temperature": 0.5}, ["sampling_not_supported"]),
        ({"temperature": 1}, []),
        ({"top_p": 0.9}, ["sampling_not_supported"]),
        ({"top_k": 1}, ["sampling_not_supported"]),
        ({**HAIKU, "temperature": 0}, []),
        ({**HAIKU, "temperature": 0, "top_p": 0.9}, ["sampling_both"]),
        ({**HAIKU, "temperature": 1.5}, ["temperature_range"]),
        ({**HAIKU, "temperature": "hot"}, ["temperature_range"]),
        ({"model": "claude-quartz-9", "temperature": 0.5}, []),
    ],
)
def test_the_older_version_samples_as_far_as_the_model_does(change: Mapping[str, Any], codes: list[str]) -> None:
    assert [code for code, _ in found(change, OLD)] == codes


@pytest.mark.parametrize(
    ("change", "beta", "other"),
    [
        ({"mcp_servers": [{}]}, "mcp-client-2025-11-20", "context-management-2025-06-27"),
        ({"mcp_servers": [{}]}, "mcp-client-2025-04-04", "mcp"),
        (
            {"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}},
            "context-management-2025-06-27",
            "compact-2026-01-12",
        ),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, "compact-2026-01-12", "context-management"),
        (
            {**HAIKU, "tools": [{"type": "computer_20250124", "name": "computer"}]},
            "computer-use-2025-01-24",
            "computer-use-2025-11-24",
        ),
    ],
)
def test_what_needs_a_beta_passes_with_it_and_with_no_other(change: Mapping[str, Any], beta: str, other: str) -> None:
    def codes(*betas: str) -> list[str]:
        rules = Rules(Headers(api_version=NEW, betas=betas))
        return [fault.code for fault in rules.faults({**PLAIN, **change}, [5])]

    assert (codes(), codes(other)) == (["beta_missing"], ["beta_missing"])
    assert codes(beta) == codes(other, beta) == []


def test_the_cure_of_a_missing_beta_is_what_makes_it_pass() -> None:
    for rule in rule_table():
        if rule.unless_betas:
            assert rule.cure.startswith("pass --beta ")
            assert not rule.holds_with(Headers(api_version=NEW, betas=(rule.cure.removeprefix("pass --beta "),)))


def test_the_cure_for_sampling_does_not_lead_into_the_next_refusal() -> None:
    for model, has_way_out in (("claude-opus-5-5", False), ("claude-haiku-4-5", True)):
        (fault,) = Rules(NOW).faults({**PLAIN, "model": model, "temperature": 0.5}, [5])
        assert ("--api-version" in fault.message) is has_way_out


def test_an_unknown_model_has_only_the_rules_of_all_models() -> None:
    change = {"model": "claude-quartz-9", "tools": [TOOL, TOOL], "tool_choice": {"type": "any"}}
    assert found(change) == [("tool_name_repeated", "tools.1.name")]
    assert found({"model": "claude-haiku-4-5-20251001", "output_config": {"effort": "low"}}), (
        "a dated form is the model"
    )


def test_every_rule_is_tried_and_every_check_is_used() -> None:
    codes = {code for code, *_ in PAIRS} | {"sampling_both", "temperature_range", "cache_on_empty_text"}
    assert {rule.code for rule in rule_table()} == codes
    assert {rule.check for rule in rule_table() if rule.check} == set(CHECKS)


def test_the_rules_name_their_sources_and_do_not_contradict_each_other() -> None:
    assert contradictions(rule_table()) == []
    for rule in rule_table():
        assert rule.sources, rule.code
        assert rule.cure, rule.code
        assert rule.severity is (Severity.WARNING if rule.evidence == "one report" else Severity.ERROR)


def test_nothing_odd_in_params_stops_a_check() -> None:
    odd: list[Any] = [
        None,
        5,
        "x",
        [],
        {},
        [5],
        [None],
        [[]],
        [{}],
        {"type": 5},
        [{"type": 5, "content": [5]}],
        [{"content": [{}]}],
    ]
    names = {name for rule in rule_table() for name in (*rule.about, rule.path.partition(".")[0])}
    for name in sorted(names):
        for value in odd:
            for version in (OLD, NEW):
                Rules(Headers(api_version=version)).faults({"model": "claude-haiku-4-5", name: value}, [])


RULE = """
[[rule]]
code = "x"
path = "a.b"
message = "no"
cure = "yes"
evidence = "documentation"
sources = ["doc:x"]
seen = 2026-12-01
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{RULE}vlaues = [1]\n", "x: unknown key 'vlaues' (did you mean \"values\"?)"),
        (RULE.replace('path = "a.b"\n', ""), "x: needs 'path'"),
        (RULE.replace("documentation", "hearsay"), "evidence is one of"),
        (RULE.replace("2026-12-01", '"today"'), "seen is a date"),
        (f'{RULE}check = "smal_budget"\n', "no check is called 'smal_budget' (did you mean \"small_budget\"?)"),
        ("[rules]\n", "unknown key 'rules'"),
        ("[[rule]\n", "at line 1"),
    ],
)
def test_a_slip_in_the_table_is_refused_by_its_key(text: str, words: str) -> None:
    with pytest.raises(RuleTableProblem) as raised:
        read_table(text)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [
        ("values = [1]", "values = [1, 2]", True),
        ("values = [1]", "values = [2]", False),
        ('models = ["m"]\nvalues = [1]', "", True),
        ('models = ["m"]', 'models = ["n"]', False),
        ('models = ["m"]', 'not_models = ["m", "n"]', False),
        ('models = ["m", "o"]', 'not_models = ["m", "n"]', True),
        ('api_versions = ["2023-06-01"]', 'api_versions = ["2026-10-21"]', False),
    ],
)
def test_two_rules_about_the_same_values_are_told(first: str, second: str, *, meet: bool) -> None:
    other = RULE.replace('"x"', '"y"')
    table = read_table(f"{RULE}{first}\n{other}{second}\n")
    assert bool(contradictions(table)) is meet
    both = read_table(f"{RULE}{first}\n{RULE.replace('documentation', 'one report')}{second}\n")
    assert bool(contradictions(both)) is meet


def test_a_rule_is_past_on_its_day() -> None:
    (rule,) = read_table(f"{RULE}until = 2027-06-01\n")
    assert not rule.is_past(date(2027, 5, 31))
    assert rule.is_past(date(2027, 6, 1))
    assert rules.TABLE == "rules.toml"


# ---------------------------------------------------------------- held against the emulator, which judges on its own

# What it does not look at, or leaves as a guess.
NOT_JUDGED = {
    "beta_missing", "image_pixels", "image_pixels_of_many", "cache_on_empty_text", "document_of_assistant", "format_with_citations", "image_too_large", "prefill_with_thinking",
    "role_system", "schema_one_of", "schema_recursive", "schema_unions", "strict_tools", "text_blank", "too_many_images",
    "tool_choice_without_tools", "tool_computer_too_old", "tool_of_openai", "tool_choice_forced",
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "refused", "passes"),
    [(code, refused, passes) for code, _, refused, passes in PAIRS if code not in NOT_JUDGED],
    ids=[f"{n}-{code}" for n, (code, *_) in enumerate(PAIRS) if code not in NOT_JUDGED],
)
def test_the_emulator_refuses_the_same(code: str, refused: Mapping[str, Any], passes: Mapping[str, Any]) -> None:
    assert flaw_in({**PLAIN, **refused}, EmulatedRules(NEW)) is not None
    if not found(passes):
        assert flaw_in({**PLAIN, **{k: v for k, v in passes.items() if v is not None}}, EmulatedRules(NEW)) is None


@pytest.mark.parametrize("kind", ["any", "tool"])
@pytest.mark.parametrize("model", [model.id for model in MODELS if model.lifecycle != "retired"])
def test_both_know_the_same_models_that_cannot_be_forced(model: str, kind: str) -> None:
    change = {"model": model, "tools": [TOOL], "tool_choice": {"type": kind, "name": "look"}}
    is_error = "tool_choice_forced" in {
        fault.code for fault in Rules(NOW).faults({**PLAIN, **change}, [5]) if fault.severity is Severity.ERROR
    }
    flaw = flaw_in({**PLAIN, **change}, EmulatedRules(NEW))
    assert (flaw is not None and "not supported for this model" in flaw.message) is is_error


if __name__ == "__main__":
    SAMPLE.write_bytes(sample())
