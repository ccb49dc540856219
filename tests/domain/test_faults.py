"""The cheap checks of every line: what passes, what does not, and whether a person learns what to do."""

import re
from pathlib import Path

import pytest

from batchctl.domain import faults as checking
from batchctl.domain import foreign_formats
from batchctl.domain.faults import Fault, Severity, envelope_faults, shown, shown_key
from batchctl.requests import decoding

PARAMS = {"model": "claude-haiku-5-5", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
GOOD = {"custom_id": "review-1", "params": PARAMS}

# what stands in the line, the fault's code and path, and words its message must hold
ENVELOPES = [
    (5, "not_an_object", "", "the number 5"),
    ([], "not_an_object", "", "an empty list"),
    (None, "not_an_object", "", "null"),
    ({"params": PARAMS}, "custom_id_missing", "custom_id", "unique in the input"),
    ({"custom_id": 7, "params": PARAMS}, "custom_id_not_text", "custom_id", "not the number 7"),
    ({"custom_id": None, "params": PARAMS}, "custom_id_not_text", "custom_id", "not null"),
    ({"custom_id": "", "params": PARAMS}, "custom_id_empty", "custom_id", "1 to 64 characters"),
    (
        {"custom_id": "a" * 65, "params": PARAMS},
        "custom_id_too_long",
        "custom_id",
        "65 characters; at most 64 are allowed",
    ),
    ({"custom_id": "a b", "params": PARAMS}, "custom_id_pattern", "custom_id", '" " at character 2'),
    ({"custom_id": "abc\n", "params": PARAMS}, "custom_id_pattern", "custom_id", r'"\n" at character 4'),
    ({"custom_id": "naïve", "params": PARAMS}, "custom_id_pattern", "custom_id", "only letters a-z"),
    ({"custom_id": "a", "body": {"messages": []}}, "foreign_format", "", "batchctl convert INPUT"),
    ({"key": "a", "request": {"contents": []}}, "foreign_format", "", "Gemini's batch format: write each as"),
    ({"custom_id": "a"}, "params_missing", "params", "the body of a Messages request"),
    ({"custom_id": "a", "params": "x"}, "params_not_an_object", "params", 'not "x"'),
    ({**GOOD, "custom-id": "a"}, "unknown_envelope_key", "custom-id", 'did you mean "custom_id"?'),
    ({**GOOD, "model": "m"}, "unknown_envelope_key", "model", 'move it into "params"'),
    ({**GOOD, "body": {}}, "unknown_envelope_key", "body", "OpenAI"),
    ({**GOOD, "result": {}}, "unknown_envelope_key", "result", "a line of results"),
]

# what is added to good params (None: left out), the fault's code, and words its message must hold
PARAM_CASES = [
    ({"model": ...}, "param_missing", "model", '"model" is required'),
    ({"max_tokens": ..., "max_token": 5}, "param_missing", "max_tokens", '"max_token"?'),
    ({"messages": ...}, "param_missing", "messages", "is required"),
    ({"model": ""}, "model_not_text", "model", "the name of a model"),
    ({"model": 5}, "model_not_text", "model", "not the number 5"),
    ({"max_tokens": "64"}, "max_tokens_not_an_integer", "max_tokens", 'must be an integer, not "64"'),
    ({"max_tokens": True}, "max_tokens_not_an_integer", "max_tokens", "not true"),
    ({"max_tokens": 64.5}, "max_tokens_not_an_integer", "max_tokens", "64.5"),
    ({"max_tokens": None}, "max_tokens_not_an_integer", "max_tokens", "not null"),
    ({"max_tokens": 0}, "max_tokens_below_1", "max_tokens", "warms the cache"),
    ({"max_tokens": -1}, "max_tokens_below_1", "max_tokens", "at least 1"),
    ({"max_tokens": 300_001}, "max_tokens_high", "max_tokens", "output-300k-2026-03-24"),
    ({"messages": "Hello"}, "messages_not_a_list", "messages", 'not "Hello"'),
    ({"messages": {}}, "messages_not_a_list", "messages", "an empty object"),
    ({"messages": []}, "messages_empty", "messages", "at least one message"),
    ({"stream": True}, "stream_not_supported", "stream", "cannot stream"),
    ({"stream": "true"}, "stream_not_supported", "stream", "remove it"),
    ({"speed": "fast"}, "param_not_supported", "speed", "not available in a batch"),
    ({"store": True}, "param_not_supported", "store", "remove it"),
    ({"previous_thread_event_id": "x"}, "param_not_supported", "previous_thread_event_id", "batch"),
    ({"cache_hint": {}}, "param_not_supported", "cache_hint", "batch"),
    ({"context_hint": {}}, "param_not_supported", "context_hint", "batch"),
    ({"research_preview_2026_02": "active"}, "param_not_supported", "research_preview_2026_02", "batch"),
    ({"fallbacks": []}, "param_not_supported", "fallbacks", "batch"),
    ({"fallback_credit_token": "x"}, "param_not_supported", "fallback_credit_token", "batch"),
    ({"thread": {}}, "param_not_supported", "thread", "batch"),
    ({"betas": []}, "client_param", "betas", "--beta NAME"),
    ({"extra_body": {}}, "client_param", "extra_body", "directly into params"),
    ({"extra_headers": {}}, "client_param", "extra_headers", "--beta NAME"),
    ({"extra_query": {}}, "client_param", "extra_query", "remove it"),
    ({"timeout": 60}, "client_param", "timeout", "its own timeouts"),
    ({"max_retries": 5}, "client_param", "max_retries", "retries by itself"),
    ({"anthropic-beta": "files-api-2025-04-14"}, "client_param", "anthropic-beta", "--beta NAME"),
    ({"anthropic_version": "bedrock-2023-05-31"}, "client_param", "anthropic_version", "--api-version"),
]


def with_params(changes):
    return {
        "custom_id": "a",
        "params": {key: value for key, value in {**PARAMS, **changes}.items() if value is not ...},
    }


@pytest.mark.parametrize(
    "request_",
    [
        GOOD,
        {"custom_id": "a", "params": PARAMS},
        {"custom_id": "_-aZ09" + "x" * 58, "params": PARAMS},
        with_params({"stream": False}),
        with_params({"stream": None, "speed": None, "fallbacks": None}),
        with_params({"research_preview_2026_02": "inactive"}),
        with_params({"max_tokens": 300_000}),
        with_params({"anything_new": 1}),
    ],
)
def test_a_good_request_has_no_fault(request_):
    assert envelope_faults(request_) == []


@pytest.mark.parametrize(("request_", "code", "path", "words"), ENVELOPES)
def test_a_fault_of_the_envelope_is_named_with_its_place(request_, code, path, words):
    (fault,) = envelope_faults(request_)
    assert (fault.code, fault.path, fault.severity) == (code, path, Severity.ERROR)
    assert words in fault.message


@pytest.mark.parametrize(("changes", "code", "name", "words"), PARAM_CASES)
def test_a_fault_of_the_params_is_named_with_its_place(changes, code, name, words):
    (fault,) = envelope_faults(with_params(changes))
    assert (fault.code, fault.path) == (code, f"params.{name}")
    assert words in fault.message
    assert fault.severity is (Severity.WARNING if code == "max_tokens_high" else Severity.ERROR)


def test_every_fault_of_a_line_is_told_at_once():
    request = {"custom_id": "a b", "params": {"model": "", "messages": [], "stream": True}, "url": "x"}
    codes = [fault.code for fault in envelope_faults(request)]
    assert codes == [
        "custom_id_pattern",
        "unknown_envelope_key",
        "param_missing",
        "model_not_text",
        "messages_empty",
        "stream_not_supported",
    ]


def test_a_fault_reads_with_its_place_first():
    assert str(Fault("x", "is wrong", path="params.model")) == "params.model: is wrong"
    assert str(Fault("x", "is wrong")) == "is wrong"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a" * 100, '"' + "a" * 59 + '…"'),
        ("a\x1b[31m\n", r'"a\u001b[31m\n"'),
        ("\u202eabc", r'"\u202eabc"'),
        ("naïve", '"naïve"'),
        (10**100, "the number 1" + "0" * 59),
        ({"a": 1}, "an object"),
    ],
)
def test_what_a_message_shows_is_one_short_line_without_terminal_codes(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(("key", "text"), [("custom-id", "custom-id"), ("a b\x1b", r'"a b\u001b"'), ("", '""')])
def test_a_strange_key_is_quoted_in_a_path(key, text):
    assert shown_key(key) == text


# ---------------------------------------------------------------- the list of codes

ROOT = Path(checking.__file__).parents[2]
CHECKS = [
    "batchctl/domain/caching.py",
    "batchctl/domain/model_catalog.py",
    "batchctl/domain/faults.py",
    "batchctl/requests/decoding.py",
    "batchctl/requests/structure.py",
]


def all_codes():
    called = re.findall(
        r'ault\(\s*"([a-z0-9_]+)"', "".join((ROOT / path).read_text(encoding="utf-8") for path in CHECKS)
    )
    foreign = {each.code for each in vars(foreign_formats).values() if isinstance(each, foreign_formats.ForeignFormat)}
    listed = (*decoding.KNOWN_CAUSES, *decoding.MAGIC, *decoding.OTHER_SHAPES)
    return {*called, *foreign, *(code for _, code, _ in listed)}


def test_every_fault_code_stands_in_the_users_document():
    documented = set(
        re.findall(r"`([a-z0-9_]+)`", (ROOT / "docs/reference/input-format.md").read_text(encoding="utf-8"))
    )
    assert len(all_codes()) > 40
    assert all_codes() - documented == set()


def test_every_fault_code_has_a_case_in_a_test():
    tests = "".join(
        (ROOT / "tests" / name).read_text(encoding="utf-8")
        for name in (
            "requests/test_decoding.py",
            "requests/test_structure.py",
            "domain/test_caching.py",
            "domain/test_model_catalog.py",
        )
    )
    cases = {code for _, code, *_ in (*ENVELOPES, *PARAM_CASES)} | set(re.findall(r'"([a-z0-9_]+)"', tests))
    assert all_codes() - cases == set()
