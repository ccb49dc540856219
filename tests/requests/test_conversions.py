"""One line of another vendor's batch file: what becomes of it, and what cannot."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.faults import Severity
from batchctl.domain.model import Headers
from batchctl.requests.conversions import ConvertOptions, convert_line
from batchctl.requests.rules import Rules
from batchctl.requests.structure import structure_faults

HAIKU = "claude-haiku-5-5"
OPTIONS = ConvertOptions(model=HAIKU, max_tokens=64)
USER = {"role": "user", "content": "Hi"}
PNG = "iVBORw0KGgoAAAANSUhEUgAA"
FUNCTION = {"name": "look", "description": "Looks", "parameters": {"type": "object", "properties": {"a": {}}}}
TOOL = {"type": "function", "function": FUNCTION}
TOOLS = [{"name": "look", "description": "Looks", "input_schema": FUNCTION["parameters"]}]
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}
USE = {"type": "tool_use", "id": "c1", "name": "look", "input": {"a": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "5"}
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}


def chat(**body: Any) -> dict[str, Any]:
    whole = {"model": "gpt-4o-mini", "messages": [USER], **body}
    return {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": whole}


def responses(**body: Any) -> dict[str, Any]:
    return {"custom_id": "a", "url": "/v1/responses", "body": {"model": "gpt-4o-mini", "input": "Hi", **body}}


def said(*messages: Any) -> dict[str, Any]:
    return chat(messages=list(messages))


def parts(*content: Any) -> dict[str, Any]:
    return said({"role": "user", "content": list(content)})


def becomes(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(messages) or [USER], **more}


# The line, and the params that it becomes, but for the model and `max_tokens`.
CONVERTED: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
    (chat(), becomes()),
    (said({"role": "system", "content": "Be brief."}, USER), becomes(system="Be brief.")),
    (said({"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, USER), becomes(system="Be brief.")),
    (said({"role": "system", "content": "A"}, {"role": "developer", "content": "B"}, USER), becomes(system=[{"type": "text", "text": "A"}, {"type": "text", "text": "B"}])),
    (said(USER, {"role": "assistant", "content": "Ho", "refusal": None, "annotations": []}, USER), becomes(USER, {"role": "assistant", "content": "Ho"}, USER)),
    (said(USER, {"role": "assistant", "content": None, "refusal": "No"}, USER), becomes(USER, {"role": "assistant", "content": "No"}, USER)),
    (parts({"type": "text", "text": "Hi"}), becomes({"role": "user", "content": [{"type": "text", "text": "Hi"}]})),
    (parts({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "auto"}}), becomes({"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}]})),
    (parts({"type": "image_url", "image_url": {"url": "https://x/a.png"}}), becomes({"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x/a.png"}}]})),
    (parts({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}}), becomes({"role": "user", "content": [{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}, "title": "a.pdf"}]})),
    (chat(tools=[TOOL]), becomes(tools=TOOLS)),
    (chat(tools=[{"type": "function", "function": {"name": "now", "strict": True}}]), becomes(tools=[{"name": "now", "input_schema": {"type": "object", "properties": {}, "additionalProperties": False}, "strict": True}])),
    (chat(tools=[TOOL], tool_choice="auto"), becomes(tools=TOOLS, tool_choice={"type": "auto"})),
    (chat(tools=[TOOL], tool_choice="required"), becomes(tools=TOOLS, tool_choice={"type": "any"})),
    (chat(tools=[TOOL], tool_choice="none", parallel_tool_calls=False), becomes(tools=TOOLS, tool_choice={"type": "none"})),
    (chat(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "look"}}), becomes(tools=TOOLS, tool_choice={"type": "tool", "name": "look"})),
    (chat(tools=[TOOL], parallel_tool_calls=False), becomes(tools=TOOLS, tool_choice={"type": "auto", "disable_parallel_tool_use": True})),
    (chat(tools=[TOOL], parallel_tool_calls=True), becomes(tools=TOOLS)),
    (chat(tools=[], tool_choice="auto"), becomes()),
    (said(USER, {"role": "assistant", "content": "I look.", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c1", "content": "5"}), becomes(USER, {"role": "assistant", "content": [{"type": "text", "text": "I look."}, USE]}, {"role": "user", "content": [RESULT]})),
    (said(USER, {"role": "assistant", "tool_calls": [CALL, {**CALL, "id": "c2"}]}, {"role": "tool", "tool_call_id": "c1", "content": "5"}, {"role": "tool", "tool_call_id": "c2", "content": "6"}, USER), becomes(USER, {"role": "assistant", "content": [USE, {**USE, "id": "c2"}]}, {"role": "user", "content": [RESULT, {**RESULT, "tool_use_id": "c2", "content": "6"}]}, USER)),
    (said(USER, {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "look", "arguments": ""}}]}, {"role": "tool", "tool_call_id": "c1", "content": "5"}), becomes(USER, {"role": "assistant", "content": [{**USE, "input": {}}]}, {"role": "user", "content": [RESULT]})),
    (chat(stop="END"), becomes(stop_sequences=["END"])),
    (chat(stop=["A", "B"]), becomes(stop_sequences=["A", "B"])),
    (chat(temperature=0, top_p=0.5), becomes(temperature=0, top_p=0.5)),
    (chat(user="u-1"), becomes(metadata={"user_id": "u-1"})),
    (chat(safety_identifier="s-1"), becomes(metadata={"user_id": "s-1"})),
    (chat(response_format={"type": "text"}), becomes()),
    (chat(response_format={"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}, reasoning_effort="low"), becomes(output_config={"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"})),
    (chat(response_format={"type": "json_schema", "json_schema": {"description": "An answer", "schema": SCHEMA}}), becomes(output_config={"format": {"type": "json_schema", "schema": {"description": "An answer", **SCHEMA}}})),
    (chat(n=1, presence_penalty=0, frequency_penalty=0.0, logprobs=False, stream=False, store=False, seed=None, service_tier="auto", logit_bias={}), becomes()),
    (responses(), becomes()),
    (responses(instructions="Be brief.", input=[USER]), becomes(system="Be brief.")),
    (responses(input=[{"role": "user", "content": [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": "https://x/a.png", "detail": "auto"}]}]), becomes({"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}}]})),
    (responses(input=[{"role": "user", "content": [{"type": "input_file", "file_url": "https://x/a.pdf"}]}]), becomes({"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}}]})),
    (responses(input=[USER, {"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]}, {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"a": 1}'}, {"type": "function_call_output", "call_id": "c1", "output": "5"}]), becomes(USER, {"role": "assistant", "content": [{"type": "text", "text": "I look."}, USE]}, {"role": "user", "content": [RESULT]})),
    (responses(tools=[{"type": "function", **FUNCTION}], tool_choice={"type": "function", "name": "look"}), becomes(tools=TOOLS, tool_choice={"type": "tool", "name": "look"})),
    (responses(text={"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}, "verbosity": "medium"}, reasoning={"effort": "high"}), becomes(output_config={"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "high"})),
    ({"recordId": "a", "modelInput": {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, **becomes(temperature=0.5)}}, becomes(temperature=0.5)),
    ({"custom_id": "a", "request": {"anthropic_version": "vertex-2023-10-16", **becomes()}}, becomes()),
]  # fmt: skip


@pytest.mark.parametrize(("line", "params"), CONVERTED)
def test_a_line_becomes_a_request(line: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    converted = convert_line(line, OPTIONS)
    assert [str(fault) for fault in converted.faults] == []
    assert converted.custom_id == "a"
    assert converted.params == {"model": HAIKU, "max_tokens": 64, **params}


@pytest.mark.parametrize(("line", "params"), CONVERTED)
def test_what_is_converted_has_the_structure_of_a_request(line: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    converted = convert_line(line, OPTIONS)
    assert structure_faults(converted.params) == []
    refused = {fault.code for fault in Rules(Headers(api_version="2023-06-01")).faults(converted.params, [64])}
    # What this model does not take is for the check to say.
    assert refused <= {"sampling_not_supported", "sampling_both"}, params


# The line, the code and the place of the one error, and words that its message must hold.
REFUSED: Sequence[tuple[Mapping[str, Any], str, str, str]] = [
    ({**chat(), "custom_id": "a b"}, "custom_id_pattern", "custom_id", 'for example "a_b"'),
    ({**chat(), "custom_id": "x" * 65}, "custom_id_too_long", "custom_id", "for example"),
    ({"modelInput": {"anthropic_version": "bedrock-2023-05-31", **becomes()}}, "custom_id_not_text", "recordId", "must be text, not null"),
    ({"custom_id": "a", "params": {}}, "nothing_to_convert", "", "submit it as it is"),
    ({"custom_id": "a"}, "format_unknown", "", "in no batch format"),
    ({"key": "a", "request": {"contents": []}}, "foreign_format", "", "Gemini's batch format: write each"),
    ({"custom_id": "a", "url": "/v1/embeddings", "body": {"input": "Hi"}}, "foreign_format", "", "no embeddings"),
    (chat(messages=None), "key_missing", "body.messages", "needs messages"),
    (chat(messages="Hi"), "wrong_type", "body.messages", 'must be a list, not "Hi"'),
    (said(None), "wrong_type", "body.messages.0", "must be an object, not null"),
    (said({}), "cannot_convert", "body.messages.0.role", "null: the roles"),
    (chat(tools=[{}]), "cannot_convert", "body.tools.0.type", "only functions"),
    (said(5), "wrong_type", "body.messages.0", "must be an object"),
    (said(USER, {"role": "system", "content": "B"}), "cannot_convert", "body.messages.1.role", "in the middle of the conversation"),
    (said({"role": "function", "content": "B"}), "cannot_convert", "body.messages.0.role", '"function": the roles'),
    (said({"role": "user", "content": 5}), "wrong_type", "body.messages.0.content", "must be a list or text"),
    (said({**USER, "audio": {"id": "x"}}), "cannot_convert", "body.messages.0.audio", "remove it"),
    (parts({"type": "input_audio", "input_audio": {}}), "cannot_convert", "body.messages.0.content.0.type", '"input_audio" cannot'),
    (parts({"type": "image_url", "image_url": {"url": "gs://x/a.png"}}), "cannot_convert", "body.messages.0.content.0.image_url", "data: URL"),
    (parts({"type": "file", "file": {"file_id": "file-1"}}), "cannot_convert", "body.messages.0.content.0.file", "stored elsewhere"),
    (parts({"type": "file", "file": {"file_data": "data:text/csv;base64,YQ=="}}), "cannot_convert", "body.messages.0.content.0.file", "only PDF"),
    (said(USER, {"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "look", "arguments": "{a}"}}]}), "cannot_convert", "body.messages.1.tool_calls.0.arguments", "a JSON object"),
    (said(USER, {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}), "cannot_convert", "body.messages.1.tool_calls.0", "functions"),
    (said(USER, {"role": "tool", "content": "5"}), "key_missing", "body.messages.1.content", "the id of its call"),
    (chat(tools=[{"type": "custom", "custom": {}}]), "cannot_convert", "body.tools.0.type", "only functions"),
    (chat(tools=[{"type": "function", "function": {}}]), "key_missing", "body.tools.0", "needs a name"),
    (chat(tools=[TOOL], tool_choice={"type": "allowed_tools"}), "cannot_convert", "body.tool_choice", "--drop tool_choice"),
    (chat(temperature=1.5), "cannot_convert", "body.temperature", "--drop temperature"),
    (chat(temperature="hot"), "wrong_type", "body.temperature", 'must be a number, not "hot"'),
    (chat(max_tokens=True), "wrong_type", "body.max_tokens", "must be an integer, not true"),
    (chat(response_format={"type": "json_object"}), "cannot_convert", "body.response_format", "give a schema"),
    (chat(response_format={"type": "json_schema", "json_schema": {}}), "key_missing", "body.response_format", "a schema"),
    (chat(reasoning_effort="minimal"), "cannot_convert", "body.reasoning_effort", "--drop reasoning_effort"),
    (chat(n=2), "cannot_convert", "body.n", "a line of its own for each"),
    (chat(seed=7), "cannot_convert", "body.seed", "--drop seed"),
    (chat(presence_penalty=0.5), "cannot_convert", "body.presence_penalty", "no penalties"),
    (chat(logprobs=True), "cannot_convert", "body.logprobs", "probabilities"),
    (chat(audio={"voice": "x"}), "cannot_convert", "body.audio", "text alone"),
    (chat(sotp=["a"]), "cannot_convert", "body.sotp", 'did you mean "stop"?'),
    (responses(input=None), "key_missing", "body.input", "needs input"),
    (responses(input=[{"type": "reasoning", "summary": []}]), "cannot_convert", "body.input.0.type", "remove it"),
    (responses(previous_response_id="r-1"), "cannot_convert", "body.previous_response_id", "stored at OpenAI"),
    (responses(text={"verbosity": "low"}), "cannot_convert", "body.text.verbosity", "--drop text"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "path", "words"), REFUSED)
def test_what_has_no_counterpart_is_named_with_its_place(
    line: Mapping[str, Any], code: str, path: str, words: str
) -> None:
    converted = convert_line(line, OPTIONS)
    assert not converted.is_good
    assert [(fault.code, fault.path) for fault in converted.faults] == [(code, path)]
    assert words in converted.faults[0].message


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (chat(store=True), "body.store"),
        (chat(metadata={"a": "b"}), "body.metadata"),
        (responses(reasoning={"summary": "auto"}), "body.reasoning.summary"),
        (chat(prompt_cache_key="x"), "body.prompt_cache_key"),
        (said({**USER, "name": "ann"}), "body.messages.0.name"),
        (
            parts({"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}}),
            "body.messages.0.content.0.detail",
        ),
        (
            {"recordId": "a", "modelInput": {"anthropic_version": "x", "anthropic_beta": ["b-1"], **becomes()}},
            "modelInput.anthropic_beta",
        ),
    ],
)
def test_what_changes_no_answer_is_left_out_with_a_warning(line: Mapping[str, Any], path: str) -> None:
    converted = convert_line(line, OPTIONS)
    assert [(fault.code, fault.path, fault.severity) for fault in converted.faults] == [
        ("left_out", path, Severity.WARNING)
    ]


def test_a_key_that_is_dropped_by_name_is_not_judged() -> None:
    options = ConvertOptions(model=HAIKU, max_tokens=64, drop=frozenset({"seed", "temperature", "sotp"}))
    converted = convert_line(chat(seed=7, temperature=2, sotp=1), options)
    assert converted == ("a", {"model": HAIKU, "max_tokens": 64, **becomes()}, [])


@pytest.mark.parametrize(
    ("options", "named", "model"),
    [
        (ConvertOptions(), "claude-opus-5-5", "claude-opus-5-5"),
        (ConvertOptions(model=HAIKU), "claude-opus-5-5", HAIKU),
        (ConvertOptions(model=HAIKU), None, HAIKU),
        (ConvertOptions(model=HAIKU, models={"gpt-4o": "claude-opus-5-5"}), "gpt-4o", "claude-opus-5-5"),
        (ConvertOptions(model=HAIKU, models={"gpt-4o": "claude-opus-5-5"}), "gpt-4o-mini", HAIKU),
        (ConvertOptions(models={"gpt-4o": HAIKU}), "gpt-4o-mini", "--model gpt-4o-mini=MODEL"),
        (ConvertOptions(), None, "pass --model MODEL"),
    ],
)
def test_the_model_is_the_one_that_a_person_names(options: ConvertOptions, named: str | None, model: str) -> None:
    converted = convert_line(chat(model=named, max_tokens=5), options)
    if converted.is_good:
        assert converted.params["model"] == model
    else:
        (fault,) = converted.faults
        assert (fault.code, fault.path) == ("model_needed", "body.model")
        assert model in fault.message


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({"max_completion_tokens": 9, "max_tokens": 8}, 9),
        ({"max_tokens": 8}, 8),
        ({}, 64),
    ],
)
def test_the_limit_of_an_answer_comes_from_the_request_first(body: dict[str, int], limit: int) -> None:
    assert convert_line(chat(**body), OPTIONS).params["max_tokens"] == limit
    without = convert_line(chat(**body), ConvertOptions(model=HAIKU))
    assert [fault.code for fault in without.faults] == ([] if body else ["max_tokens_needed"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "text", "user", "assistant", "tool", "{}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "function", "tool_calls", "name", "image_url", "file", "id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KEYS = ["messages", "tools", "tool_choice", "stop", "response_format", "user", "input", "text", "reasoning", "model"]


@pytest.mark.generated
@given(st.dictionaries(st.sampled_from(KEYS), JSON | st.lists(JSON, max_size=3)), st.sampled_from([chat, responses]))
def test_whatever_a_body_holds_the_answer_is_a_request_or_a_fault(body: dict[str, Any], line: Any) -> None:
    converted = convert_line(line(**body), OPTIONS)
    json.dumps(converted.params)
    for fault in converted.faults:
        assert fault.message.isprintable()
        assert fault.path
