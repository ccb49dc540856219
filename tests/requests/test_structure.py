"""Params held against the SDK's types: no false alarm for what the API takes, and plain words for what it does not."""

import copy
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.faults import Severity
from batchctl.requests import structure
from batchctl.requests.structure import structure_faults

PARAMS: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hello"}],
}
CACHED = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
PNG = {"type": "base64", "media_type": "image/png", "data": "aGk="}


def content(*blocks, role="user"):
    return {"messages": [{"role": role, "content": list(blocks)}]}


def text(words="Hello", **more):
    return {"type": "text", "text": words, **more}


SEARCH_RESULT = {"type": "search_result", "source": "https://e.org", "title": "T", "content": [text()]}
WEB_RESULT = {
    "type": "web_search_result",
    "url": "https://e.org",
    "title": "T",
    "encrypted_content": "x",
    "page_age": None,
}
CITATION = {
    "type": "char_location",
    "cited_text": "x",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 1,
}

# What is added to good params: all of it is good.
GOOD = {
    "system as text": {"system": "Be brief."},
    "system as blocks": {"system": [text("Be brief.", **CACHED), text(cache_control={"type": "ephemeral"})]},
    "no cache": content(text(cache_control=None, citations=None)),
    "cache on top": {"cache_control": {"type": "ephemeral"}},
    "a system message": {"messages": [*PARAMS["messages"], {"role": "system", "content": "Be brief."}]},
    "turns": {"messages": [{"role": role, "content": [text()]} for role in ("user", "assistant", "user")]},
    "image as base64": content({"type": "image", "source": PNG, **CACHED}, text()),
    "image by url": content({"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}}),
    "image by file": content({"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
    "pdf": content({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}}),
    "pdf by url": content({"type": "document", "source": {"type": "url", "url": "https://e.org/a.pdf"}, "title": "A"}),
    "document by file": content({"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
    "plain document": content(
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "x"},
            "title": None,
            "context": "c",
            "citations": {"enabled": True},
        }
    ),
    "document of blocks": content({"type": "document", "source": {"type": "content", "content": [text()]}}),
    "search result": content(SEARCH_RESULT),
    "citations": content(text(citations=[CITATION]), role="assistant"),
    "tool": {"tools": [{"name": "t", "description": "d", "input_schema": {"type": "object", "properties": {"a": {}}}}]},
    "custom tool": {
        "tools": [{"type": "custom", "name": "t", "input_schema": {"type": "object"}, "strict": True, **CACHED}]
    },
    "tool with a rich schema": {
        "tools": [
            {
                "name": "t",
                "input_schema": {
                    "type": "object",
                    "$defs": {"a": {"enum": [1, None, "x"]}},
                    "properties": {"type": {"type": ["string", "null"]}, "b": {"$ref": "#/$defs/a"}},
                    "required": ["type"],
                    "additionalProperties": False,
                },
                "input_examples": [{"type": "x"}],
            }
        ]
    },
    "server tools": {
        "tools": [
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5, "allowed_domains": ["e.org"]},
            {"type": "web_fetch_20250910", "name": "web_fetch"},
            {"type": "code_execution_20250825", "name": "code_execution"},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
            {"type": "memory_20250818", "name": "memory"},
            {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"},
        ]
    },
    "tool choice auto": {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    "tool choice tool": {"tool_choice": {"type": "tool", "name": "t"}},
    "tool choice any": {"tool_choice": {"type": "any"}},
    "tool choice none": {"tool_choice": {"type": "none"}},
    "tool turns": {
        "messages": [
            *PARAMS["messages"],
            {
                "role": "assistant",
                "content": [text(), {"type": "tool_use", "id": "t1", "name": "t", "input": {"a": [1]}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "done"}]},
        ]
    },
    "tool result of blocks": content(
        {
            "type": "tool_result",
            "tool_use_id": "t1",
            "is_error": False,
            "content": [text(), {"type": "image", "source": PNG}, SEARCH_RESULT],
        }
    ),
    "tool result without content": content({"type": "tool_result", "tool_use_id": "t1"}),
    "tool use with its caller": content(
        {"type": "tool_use", "id": "t1", "name": "t", "input": {}, "caller": {"type": "direct"}}, role="assistant"
    ),
    "server tool turns": content(
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [WEB_RESULT]},
        role="assistant",
    ),
    "thinking turns": content(
        {"type": "thinking", "thinking": "x", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        role="assistant",
    ),
    "thinking enabled": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "thinking disabled": {"thinking": {"type": "disabled"}},
    "thinking adaptive": {"thinking": {"type": "adaptive"}},
    "effort": {"output_config": {"effort": "low"}},
    "structured output": {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
    "metadata": {"metadata": {"user_id": "u"}},
    "no user": {"metadata": {"user_id": None}},
    "longest user": {"metadata": {"user_id": "u" * 512}},
    "stop sequences": {"stop_sequences": ["END"]},
    "tier": {"service_tier": "standard_only"},
    "geo": {"inference_geo": "us"},
    "container": {"container": "container_1"},
    "sampling, as the older API version has it": {"temperature": 0.5, "top_p": 0.9, "top_k": 5},
    "what another check judges": {
        "stream": True,
        "speed": 5,
        "max_tokens": "x",
        "betas": [],
        "store": 1,
        "messages": "x",
    },
    "an older model": {"model": "claude-3-5-haiku-20241022"},
    "a model to come": {"model": "claude-opus-9"},
    "a family to come": {"model": "claude-epic-1"},
    "empty texts": {**content(text("")), "system": ""},
}

MESSAGE = "params.messages.0"
BLOCK = "params.messages.0.content.0"

# What is added to good params, the fault's code and path, and words its message must hold.
ERRORS = [
    (
        {"messages": [{"role": "sytem", "content": "x"}]},
        "not_a_choice",
        f"{MESSAGE}.role",
        '"user", "assistant", "system"',
    ),
    ({"messages": [{"role": "sytem", "content": "x"}]}, "not_a_choice", f"{MESSAGE}.role", 'did you mean "system"?'),
    ({"messages": [{"role": "tool", "content": "x"}]}, "not_a_choice", f"{MESSAGE}.role", '"tool" is none of'),
    ({"messages": [{"role": 5, "content": "x"}]}, "wrong_type", f"{MESSAGE}.role", "must be text, not the number 5"),
    ({"messages": [{"content": "x"}]}, "key_missing", MESSAGE, 'this message needs "role"'),
    ({"messages": [{"role": "user"}]}, "key_missing", MESSAGE, 'a "user" message needs "content"'),
    ({"messages": ["x"]}, "wrong_type", MESSAGE, 'must be an object, not "x"'),
    (
        {"messages": [{"role": "user", "content": 5}]},
        "wrong_type",
        f"{MESSAGE}.content",
        "text or a list of blocks, not the num",
    ),
    ({"messages": [{"role": "user", "content": None}]}, "wrong_type", f"{MESSAGE}.content", "not null"),
    ({"messages": [{"role": "user", "content": text()}]}, "wrong_type", f"{MESSAGE}.content", "not an object"),
    (content({"type": "text"}), "key_missing", BLOCK, 'a "text" block needs "text"'),
    (content({"type": "image"}), "key_missing", BLOCK, 'an "image" block needs "source"'),
    (content({"text": "x"}), "key_missing", BLOCK, 'this block needs "type"'),
    (content("x"), "wrong_type", BLOCK, 'must be an object, not "x"'),
    (content({"type": 5}), "wrong_type", f"{BLOCK}.type", "must be text"),
    (content(text(5)), "wrong_type", f"{BLOCK}.text", "must be text, not the number 5"),
    (content(PNG), "not_a_choice", f"{BLOCK}.type", '"base64" is none of "text", "image"'),
    (content({"type": "image_url", "image_url": {}}), "openai_type", f"{BLOCK}.type", "OpenAI"),
    (
        content({"type": "image", "source": {**PNG, "media_type": "image/bmp"}}),
        "not_a_choice",
        f"{BLOCK}.source.media_type",
        "image/png",
    ),
    (
        content({"type": "image", "source": {"type": "base64", "data": "x"}}),
        "key_missing",
        f"{BLOCK}.source",
        'type "base64" needs "media_type"',
    ),
    (
        content({"type": "tool_result", "tool_use_id": "t", "content": [text(), {"type": "tool_use"}]}),
        "not_a_choice",
        f"{BLOCK}.content.1.type",
        '"tool_use" is none of "text", "image"',
    ),
    (
        content({"type": "document", "source": {"type": "content", "content": [{"type": "text"}]}}),
        "key_missing",
        f"{BLOCK}.source.content.0",
        'a "text" block needs "text"',
    ),
    ({"system": 5}, "wrong_type", "params.system", "must be text or a list of blocks, not the number 5"),
    ({"system": [{"type": "image", "source": PNG}]}, "not_a_choice", "params.system.0.type", '"image" is not "text"'),
    (
        {"system": [text(cache_control={"type": "ephemeral", "ttl": "2h"})]},
        "not_a_choice",
        "params.system.0.cache_control.ttl",
        '"2h" is none of "5m", "1h"',
    ),
    ({"tools": {}}, "wrong_type", "params.tools", "must be a list, not an empty object"),
    ({"tools": [{"name": "t"}]}, "key_missing", "params.tools.0", 'this tool needs "input_schema"'),
    (
        {"tools": [{"name": "t" * 129, "input_schema": {}}]},
        "too_long",
        "params.tools.0.name",
        "129 characters; at most 128",
    ),
    ({"tools": [{"type": "function", "function": {}}]}, "openai_type", "params.tools.0.type", "OpenAI"),
    ({"tool_choice": "auto"}, "wrong_type", "params.tool_choice", 'must be an object, not "auto"'),
    ({"tool_choice": {"type": "tool"}}, "key_missing", "params.tool_choice", 'type "tool" needs "name"'),
    ({"thinking": {"type": "enabled"}}, "key_missing", "params.thinking", '"budget_tokens"'),
    (
        {"thinking": {"type": "enabled", "budget_tokens": True}},
        "wrong_type",
        "params.thinking.budget_tokens",
        "an integer, not true",
    ),
    ({"thinking": {}}, "key_missing", "params.thinking", 'this needs "type"'),
    ({"output_config": {"effort": "extreme"}}, "not_a_choice", "params.output_config.effort", '"low", "medium"'),
    (
        {"metadata": {"user_id": "u" * 513}},
        "too_long",
        "params.metadata.user_id",
        "513 characters; at most 512 are allowed",
    ),
    ({"metadata": []}, "wrong_type", "params.metadata", "must be an object, not an empty list"),
    ({"stop_sequences": "END"}, "wrong_type", "params.stop_sequences", 'must be a list, not "END"'),
    ({"stop_sequences": [1]}, "wrong_type", "params.stop_sequences.0", "must be text"),
    ({"service_tier": "batch"}, "not_a_choice", "params.service_tier", '"auto", "standard_only"'),
]

WARNINGS = [
    ({"max_token": 5}, "unknown_key", "params.max_token", 'sent as it is) (did you mean "max_tokens"?)'),
    ({"a\nb": 5}, "unknown_key", r'params."a\nb"', "unknown key"),
    ({"mcp_servers": []}, "unknown_key", "params.mcp_servers", "--beta NAME"),
    (
        {"tools": [{"name": "t", "input_schema": {}, "foo": 1}]},
        "unknown_key",
        "params.tools.0.foo",
        "unknown key (sent as it is)",
    ),
    (content(text(cache_contrl=None)), "unknown_key", f"{BLOCK}.cache_contrl", 'did you mean "cache_control"?'),
    (content({"type": "hologram", "x": 1}), "unknown_type", f"{BLOCK}.type", 'unknown type "hologram" (sent as it is)'),
    (content({"type": "txt"}), "unknown_type", f"{BLOCK}.type", 'did you mean "text"?'),
    ({"tools": [{"type": "web_search_20990101", "name": "w"}]}, "unknown_type", "params.tools.0.type", "sent as it is"),
    ({"thinking": {"type": "dreaming"}}, "unknown_type", "params.thinking.type", '"dreaming"'),
    ({"system": [{"type": "rule", "x": 1}]}, "unknown_type", "params.system.0.type", "unknown type"),
    (
        content(text(citations=[{key: value for key, value in CITATION.items() if value is not None}])),
        "key_missing",
        f"{BLOCK}.citations.0",
        'needs "document_title"',
    ),
    ({"model": "claude-sonet-5"}, "model_name_odd", "params.model", 'did you mean "sonnet"?'),
    ({"model": "anthropic/claude-sonnet-4.6"}, "model_name_odd", "params.model", 'did you mean "claude-sonnet-4-6"?'),
    ({"model": "claude-haiku-5-5 "}, "model_name_odd", "params.model", 'did you mean "claude-haiku-5-5"?'),
    ({"model": "gpt-4o"}, "model_name_odd", "params.model", "they look like claude-"),
]


def nested(levels):
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD.keys())
def test_good_params_raise_no_alarm(changes):
    assert structure_faults({**PARAMS, **changes}) == []


@pytest.mark.parametrize("levels", [100, 300, 900])
def test_free_form_parts_may_be_nested_deeper_than_the_engine_goes(levels):
    block = {"type": "tool_use", "id": "t", "name": "t", "input": nested(levels)}
    assert structure_faults({**PARAMS, **content(block, role="assistant")}) == []


@pytest.mark.parametrize("params", [None, 5, "x", [], {}, {"messages": []}])
def test_what_is_no_request_at_all_is_left_to_the_cheap_checks(params):
    assert structure_faults(params) == []


@pytest.mark.parametrize(("changes", "code", "path", "words"), ERRORS)
def test_a_wrong_structure_is_an_error_a_person_can_read(changes, code, path, words):
    (fault,) = [fault for fault in structure_faults({**PARAMS, **changes}) if fault.severity is Severity.ERROR]
    assert (fault.code, fault.path) == (code, path)
    assert words in fault.message
    assert fault.message.isprintable()


@pytest.mark.parametrize(("changes", "code", "path", "words"), WARNINGS)
def test_what_may_well_work_is_a_warning(changes, code, path, words):
    (fault,) = structure_faults({**PARAMS, **changes})
    assert (fault.code, fault.path, fault.severity) == (code, path, Severity.WARNING)
    assert words in fault.message


def test_a_misspelt_key_is_named_on_both_sides():
    faults = structure_faults({**PARAMS, "messages": [{"role": "user", "contents": "x"}]})
    assert [str(fault) for fault in faults] == [
        'params.messages.0: a "user" message needs "content"; did you mean "contents"?',
        'params.messages.0.contents: unknown key (sent as it is) (did you mean "content"?)',
    ]


def test_at_most_five_faults_are_told_and_errors_come_first():
    many = [{"role": "user", "content": [text(foo=1)]}] * 40
    faults = structure_faults({**PARAMS, "messages": [*many, {"role": "user", "content": 5}], "model": "gpt-4o"})
    assert [fault.code for fault in faults] == ["wrong_type", "model_name_odd"] + ["unknown_key"] * 3


# ---------------------------------------------------------------- the walk and the engine must agree

WHOLE = [{**PARAMS, **changes} for name, changes in GOOD.items() if name != "what another check judges"]


def places(value, path=()):
    """Every place in a JSON value, as the keys that lead to it."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


@st.composite
def damaged(draw):
    params = copy.deepcopy(draw(st.sampled_from(WHOLE)))
    *way, last = draw(st.sampled_from(list(places(params))))
    inner = params
    for key in way:
        inner = inner[key]
    if draw(st.booleans()):
        del inner[last]
    else:
        inner[last] = draw(
            st.sampled_from([None, True, 0, 1.5, 2.0, "", "x", "text", "ephemeral", [], {}, [5], {"type": "text"}])
        )
    return params


@pytest.mark.generated
@given(damaged())
def test_the_walk_finds_a_fault_exactly_where_the_engine_says_no(params):
    engine = jsonschema_rs.Draft202012Validator(structure._schema(), validate_formats=False)
    found = [fault for fault in structure_faults(params) if fault.code != "model_name_odd"]
    assert bool(found) is not engine.is_valid(params)
