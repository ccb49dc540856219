"""What a create is refused for at once, and what turns a single line into an errored one."""

import http.client
import json
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BATCHES = "/v1/messages/batches"
HEADERS = {"x-api-key": "sk-ant-a", "anthropic-version": "2026-10-21", "transfer-encoding": "chunked"}
LONG = "x" * 65
_KEYS = (
    "model", "max_tokens", "messages", "role", "content", "type", "text", "system", "tools", "tool_choice", "name", "format",
    "output_config", "schema", "properties", "enum", "items", "input_schema", "cache_control", "ttl", "thinking", "stream",
)  # fmt: skip


@pytest.fixture
def one(request_of):
    return {"requests": [request_of()]}


def _with(request, **changes):
    return {"requests": [{**request, **changes}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"custom_id": "a b"}, "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"),
        ({"custom_id": ""}, "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"),
        ({"custom_id": LONG}, "requests.0.custom_id: String should have at most 64 characters"),
        ({"params": []}, "requests.0.params: Input should be a valid dictionary"),
        ({"extra": 1}, "requests.0.extra: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_request_refuses_the_whole_create(emulator, ask, request_of, changes, message):
    reply = ask.create(_with(request_of(), **changes))
    assert (reply.status, reply.message) == (400, message)
    assert reply.json()["error"]["type"] == "invalid_request_error"
    assert emulator.batches() == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "requests: Field required"),
        ({"requests": []}, "requests: List should have at least 1 item after validation, not 0"),
        ({"requests": {}}, "requests: Input should be a valid list"),
        ([], "Input should be a valid dictionary or object to extract fields from"),
        ({"requests": [{"params": {}}]}, "requests.0.custom_id: Field required"),
        ({"requests": [{"custom_id": "a"}]}, "requests.0.params: Field required"),
        ({"requests": [7]}, "requests.0: Input should be a valid dictionary or object to extract fields from"),
    ],
)
def test_a_wrong_envelope_is_refused(ask, body, message):
    reply = ask.create(body)
    assert (reply.status, reply.message) == (400, message)


def test_the_first_duplicate_is_named(ask, batch_of, request_of):
    body = batch_of(3)
    body["requests"].append(request_of("r-1"))
    told = "requests: custom_id's must be unique within a batch. Duplicate custom_id found: r-1"
    assert ask.create(body).message == told


def test_an_unknown_key_beside_requests_is_refused(ask, batch_of):
    assert ask.create({**batch_of(1), "name": "x"}).message == "name: Extra inputs are not permitted"


def test_too_many_requests_are_refused(emulate, asking, batch_of):
    ask = asking(emulate({"limits": {"requests": 2}}))
    assert ask.create(batch_of(3)).message == "requests: List should have at most 2 items after validation, not 3"


@pytest.mark.parametrize("cut", [1, 12, 40, 90, -1])
def test_a_body_cut_short_is_said_to_end_unexpectedly(ask, one, cut):
    reply = ask.create(json.dumps(one).encode()[:cut])
    assert reply.status == 400
    assert reply.message.startswith("The request body is not valid JSON: unexpected end of data")


@pytest.mark.parametrize(
    "broken",
    [b'{"requests":[}', b"", b"{'a':1}", b'{"requests":[NaN]}', b'{"a":1} x', b'"\xff"', b"[" * 90_000, b"9" * 9_000],
)
def test_a_body_that_is_no_json_is_refused(ask, broken):
    reply = ask.create(broken)
    assert (reply.status, reply.message.startswith("The request body is not valid JSON: ")) == (400, True)


def test_a_chunked_body_is_taken_as_well(emulator, ask, batch_of):
    body = json.dumps(batch_of(3)).encode()
    with closing(http.client.HTTPConnection(ask.netloc, timeout=10)) as link:
        pieces = (body[at : at + 50] for at in range(0, len(body), 50))
        link.request("POST", BATCHES, pieces, HEADERS, encode_chunked=True)
        assert link.getresponse().status == 200
    assert emulator.batches()[0]["body_bytes"] == len(body)


def test_white_space_of_any_kind_is_json(emulator, ask, batch_of):
    pretty = json.dumps(batch_of(3), indent=4).replace("\n", "\r\n").encode()
    assert ask.create(b" \t" + pretty + b"\n\n").status == 200
    assert emulator.batches()[0]["body_bytes"] == len(pretty) + 4


def test_an_element_larger_than_the_reading_window_is_taken_whole(emulator, ask, request_of):
    said = [{"role": "user", "content": "é" * 900_000}]
    body = {"requests": [request_of("a", messages=said), request_of("b", messages=said)]}
    batch_id = ask.create(json.dumps(body, ensure_ascii=False).encode()).json()["id"]
    assert {line["result"]["type"] for line in ask.results(batch_id)} == {"succeeded"}


@pytest.mark.parametrize("form", ["json", "html", "reset"])
def test_a_body_above_the_limit_is_refused_by_the_edge(emulate, asking, batch_of, form):
    emulator = emulate({"limits": {"bytes": 200, "too_large": form}})
    ask = asking(emulator)
    if form == "reset":
        with pytest.raises(ConnectionError):
            ask.create(batch_of(20))
    else:
        reply = ask.create(batch_of(20))
        assert reply.status == 413
        assert reply.body.startswith(b"<!DOCTYPE html>" if form == "html" else b'{"error":{"type":"request_too_large"')
    assert emulator.batches() == []


@pytest.mark.parametrize(
    ("params", "kind", "message"),
    [
        ({"model": "claude-opus-4-1"}, "not_found_error", "model: claude-opus-4-1"),
        ({"model": "gpt-9"}, "not_found_error", "model: gpt-9"),
        (
            {"max_tokens": 9999999},
            "invalid_request_error",
            "max_tokens: 9999999 > 64000, which is the maximum allowed number of output tokens for claude-haiku-4-5-20251001",
        ),
        ({"max_tokens": 0}, "invalid_request_error", "max_tokens: must be greater than or equal to 1"),
        ({"stream": True}, "invalid_request_error", '"stream=True" is not supported in the Message Batches API'),
        ({"temperature": 1.0}, "invalid_request_error", "temperature: Extra inputs are not permitted"),
        ({"speed": "fast"}, "invalid_request_error", "speed: Extra inputs are not permitted"),
        ({"max_token": 5}, "invalid_request_error", "max_token: Extra inputs are not permitted"),
        ({"messages": []}, "invalid_request_error", "messages: at least one message is required"),
        (
            {"messages": [{"role": "system", "content": "x"}]},
            "invalid_request_error",
            "messages.0.role: Input should be 'user' or 'assistant'",
        ),
        ({"messages": [{"role": "user"}]}, "invalid_request_error", "messages.0.content: Field required"),
        (
            {"tool_choice": {"type": "tool", "name": "t"}},
            "invalid_request_error",
            "Tool 't' not found in provided tools",
        ),
    ],
)
def test_a_flaw_within_params_errs_its_line_alone(ask, request_of, params, kind, message):
    batch_id = ask.create({"requests": [request_of("bad", **params), request_of("good")]}).json()["id"]
    result = {line["custom_id"]: line["result"] for line in ask.results(batch_id)}
    assert result["good"]["type"] == "succeeded"
    assert result["bad"]["error"]["error"] == {
        "type": kind,
        "message": message,
        "details": {"error_visibility": "user_facing"},
    }
    assert result["bad"]["error"]["request_id"] is None


@pytest.mark.parametrize("missing", ["messages", "model", "max_tokens"])
def test_a_missing_param_errs_its_line(ask, request_of, missing):
    request = request_of()
    del request["params"][missing]
    (line,) = ask.results(ask.create({"requests": [request]}).json()["id"])
    assert line["result"]["error"]["error"]["message"] == f"{missing}: Field required"


def test_text_that_is_no_unicode_breaks_nothing(ask, request_of):
    odd = request_of("a", messages=[{"role": "user", "content": "\ud800"}])
    (line,) = ask.results(ask.create({"requests": [odd]}).json()["id"])
    assert line["result"]["type"] == "succeeded"
    assert ask.create({"requests": [odd], "\ud800": 1}).message == "?: Extra inputs are not permitted"
    assert ask("POST", "/v1/messages", odd["params"]).status == 400


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.dictionaries(st.sampled_from(_KEYS), _JSON, min_size=1, max_size=3), min_size=1, max_size=5))
def test_no_params_however_odd_break_more_than_their_own_line(ask, request_of, changes):
    requests = [request_of(f"r-{number}", **each) for number, each in enumerate(changes)]
    reply = ask.create({"requests": requests})
    assert (reply.status, reply.body) == (200, reply.body)
    lines = ask.results(reply.json()["id"])
    assert {line["result"]["type"] for line in lines} <= {"succeeded", "errored"}
    assert len(lines) == len(requests)
    assert ask("POST", "/v1/messages", requests[0]["params"]).status in (200, 400, 404)
    counted = {key: value for key, value in requests[0]["params"].items() if key != "max_tokens"}
    assert ask("POST", "/v1/messages/count_tokens", counted).status in (200, 400, 404)


def test_the_older_version_still_takes_sampling_params(ask, request_of):
    body = {"requests": [request_of(temperature=0.5, top_k=3)]}
    (line,) = ask.results(ask.create(body, anthropic_version="2023-06-01").json()["id"])
    assert line["result"]["type"] == "succeeded"


def test_a_beta_raises_the_ceiling_of_output_tokens(ask, request_of):
    body = {"requests": [request_of(model="claude-opus-5-5", max_tokens=300_000)]}
    plain = ask.results(ask.create(body).json()["id"])[0]["result"]["type"]
    raised = ask.results(ask.create(body, anthropic_beta="output-300k-2026-03-24").json()["id"])[0]["result"]["type"]
    assert (plain, raised) == ("errored", "succeeded")


def test_messages_refuses_at_once_what_a_batch_refuses_per_line(ask, request_of):
    assert ask("POST", "/v1/messages", request_of(model="nope")["params"]).status == 404
    assert ask("POST", "/v1/messages", request_of(temperature=1)["params"]).status == 400
    assert ask("POST", "/v1/messages", b"{").status == 400


# ---------------------------------------------------------------- what a scenario refuses

TOOL = {"name": "lookup", "input_schema": {"type": "object"}}
COUNT = "/v1/messages/count_tokens"


@pytest.mark.parametrize(
    ("rule", "is_refused"),
    [
        ({"path": "tools.0.name", "equals": "lookup"}, True),
        ({"path": "tools.0.name", "equals": "look"}, False),
        ({"path": "tools.0.name", "contains": "look"}, True),
        ({"path": "tools.1.name", "equals": "lookup"}, False),
        ({"path": "tools.name", "equals": "lookup"}, False),
        ({"path": "tools.0.name.0", "equals": "l"}, False),
        ({"path": "max_tokens", "equals": 64}, True),
        ({"path": "max_tokens", "equals": 64.0}, False),
        ({"path": "max_tokens", "contains": "64"}, False),
        ({"path": "messages.0.content", "contains": "Say r-"}, True),
    ],
)
def test_a_scenario_refuses_requests_by_a_value(emulate, asking, request_of, rule, is_refused):
    ask = asking(emulate({"refuse": [{**rule, "message": "tools.0: no"}]}))
    request = request_of(tools=[TOOL])
    (line,) = ask.results(ask.create({"requests": [request]}).json()["id"])
    counted = ask("POST", COUNT, request["params"])
    if not is_refused:
        assert (line["result"]["type"], counted.status) == ("succeeded", 200)
        return
    error = line["result"]["error"]["error"]
    assert (error["type"], error["message"]) == ("invalid_request_error", "tools.0: no")
    assert (counted.status, counted.message) == (400, "tools.0: no")
    assert ask("POST", "/v1/messages", request["params"]).status == 200


@pytest.mark.parametrize("place", ["count_tokens", "batch", "messages"])
def test_a_scenario_refuses_requests_where_it_says_so(emulate, asking, request_of, place):
    ask = asking(emulate({"refuse": [{"path": "max_tokens", "equals": 64, "message": "no", "on": [place]}]}))
    request = request_of()
    (line,) = ask.results(ask.create({"requests": [request]}).json()["id"])
    refused = {
        "count_tokens": ask("POST", COUNT, request["params"]).status == 400,
        "batch": line["result"]["type"] == "errored",
        "messages": ask("POST", "/v1/messages", request["params"]).status == 400,
    }
    assert refused == {each: each == place for each in refused}
