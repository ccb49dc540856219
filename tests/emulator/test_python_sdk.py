"""The real SDK against the emulator, its answers held against the SDK's own types."""

import json

import anthropic
import pytest
from anthropic.types import Message, ModelInfo
from anthropic.types.messages import DeletedMessageBatch, MessageBatch, MessageBatchIndividualResponse
from pydantic import TypeAdapter


def strictly(kind, value, extra="forbid"):
    return TypeAdapter(kind).validate_python(value, strict=False, extra=extra)


@pytest.fixture
def client(emulator, sdk):
    return sdk(emulator)


def test_create_answers_a_batch_in_progress_with_all_ten_keys(ask, batch_of):
    wire = ask.create(batch_of(3)).json()
    assert set(wire) == set(MessageBatch.model_fields)
    batch = strictly(MessageBatch, wire)
    assert (batch.processing_status, batch.request_counts.processing, batch.results_url) == ("in_progress", 3, None)
    assert (batch.expires_at - batch.created_at).total_seconds() == 86400


def test_an_ended_batch_has_counts_that_add_up_and_results_on_our_own_host(emulator, client, batch_of):
    batch_id = client.messages.batches.create(**batch_of(5)).id
    batch = client.messages.batches.retrieve(batch_id)
    assert batch.processing_status == "ended"
    assert batch.request_counts.to_dict() == {
        "processing": 0,
        "succeeded": 5,
        "errored": 0,
        "canceled": 0,
        "expired": 0,
    }
    assert batch.results_url == f"{emulator.base_url}/v1/messages/batches/{batch_id}/results"


def test_results_hold_every_request_once_and_fit_the_sdks_types(client, ask, batch_of):
    batch_id = client.messages.batches.create(**batch_of(40)).id
    assert sorted(line.custom_id for line in client.messages.batches.results(batch_id)) == sorted(
        f"r-{number}" for number in range(40)
    )
    for line in ask.results(batch_id):
        strictly(MessageBatchIndividualResponse, line)


@pytest.mark.parametrize(
    "kind",
    ["overloaded_error", "invalid_request_error", "out_of_credit", "expired", "canceled", "refusal", "max_tokens"],
)
def test_every_kind_of_line_fits_the_sdks_types(emulate, asking, batch_of, kind):
    ask = asking(emulate({"outcomes": {kind: 1.0}}))
    for line in ask.results(ask.create(batch_of(3)).json()["id"]):
        # The API was seen to send `details`, which the SDK's types do not have.
        strictly(MessageBatchIndividualResponse, line, extra="ignore")


def test_list_walks_all_pages_newest_first(client, batch_of):
    made = [client.messages.batches.create(**batch_of(1)).id for _ in range(7)]
    assert [batch.id for batch in client.messages.batches.list(limit=3)] == made[::-1]


def test_list_walks_towards_newer_batches(client, batch_of):
    made = [client.messages.batches.create(**batch_of(1)).id for _ in range(5)]
    page = client.messages.batches.list(limit=2, before_id=made[0])
    assert [batch.id for batch in page.data] == [made[2], made[1]]
    assert page.has_more
    assert {batch.id for batch in page} == set(made[1:])


def test_cancel_leads_to_ended_with_canceled_lines(emulate, sdk, batch_of):
    client = sdk(emulate({"batch_seconds": 60, "finished_at_cancel": 0.5}))
    batch_id = client.messages.batches.create(**batch_of(4)).id
    canceled = client.messages.batches.cancel(batch_id)
    assert (canceled.processing_status, canceled.cancel_initiated_at is None) == ("canceling", False)
    batch = client.messages.batches.retrieve(batch_id)
    assert (batch.processing_status, batch.request_counts.canceled, batch.request_counts.succeeded) == ("ended", 2, 2)
    assert [line.result.type for line in client.messages.batches.results(batch_id)].count("canceled") == 2


def test_delete_removes_an_ended_batch(client, batch_of):
    batch_id = client.messages.batches.create(**batch_of(1)).id
    strictly(DeletedMessageBatch, client.messages.batches.delete(batch_id).to_dict())
    with pytest.raises(anthropic.NotFoundError, match="not found"):
        client.messages.batches.retrieve(batch_id)


def test_models_are_listed_with_batch_support_and_found_by_alias(client, ask):
    listed = ask("GET", "/v1/models?limit=1000").json()["data"]
    for each in listed:
        assert strictly(ModelInfo, each).capabilities.batch.supported
    assert client.models.retrieve("claude-haiku-4-5").id == "claude-haiku-4-5-20251001"
    assert "claude-opus-4-1-20250805" not in {each["id"] for each in listed}
    assert [model.lifecycle for model in client.models.list(lifecycle=["retired"])] == ["retired"] * 4


def test_tokens_counted_are_the_input_tokens_of_the_answer(client, ask, request_of):
    params = request_of()["params"]
    counted = client.messages.count_tokens(model=params["model"], messages=params["messages"]).input_tokens
    (line,) = ask.results(ask.create({"requests": [request_of()]}).json()["id"])
    assert line["result"]["message"]["usage"]["input_tokens"] == counted > 0


def test_messages_answer_plain_and_streamed_alike(client, ask, request_of):
    params = request_of()["params"]
    whole = strictly(Message, ask("POST", "/v1/messages", params).json())
    with client.messages.stream(**params) as stream:
        streamed = stream.get_final_message()
    assert whole.content[0].text == streamed.content[0].text
    assert (streamed.stop_reason, streamed.model) == ("end_turn", "claude-haiku-4-5-20251001")


def test_a_forced_tool_is_used_with_an_input_of_its_schema(client, request_of):
    schema = {"type": "object", "properties": {"label": {"enum": ["good", "bad"]}, "score": {"type": "integer"}}}
    tool = {"name": "judge", "input_schema": schema}
    choice = {"type": "tool", "name": "judge"}
    answer = client.messages.create(**request_of(tools=[tool], tool_choice=choice)["params"])
    assert (answer.stop_reason, answer.content[0].input) == ("tool_use", {"label": "good", "score": 1})


def test_a_schema_for_the_output_is_followed(client, request_of):
    names = {"type": "array", "items": {"type": "string"}}
    schema = {"type": "object", "properties": {"names": names}, "additionalProperties": False}
    config = {"format": {"type": "json_schema", "schema": schema}}
    answer = client.messages.create(**request_of(output_config=config)["params"])
    assert json.loads(answer.content[0].text) == {"names": ["emulated"]}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"fault": "status", "status": 429, "retry_after": 7}, anthropic.RateLimitError),
        ({"fault": "spend_limit_429"}, anthropic.RateLimitError),
        ({"fault": "spend_limit_400"}, anthropic.BadRequestError),
        ({"fault": "on_hold"}, anthropic.BadRequestError),
        ({"fault": "status", "status": 402}, anthropic.APIStatusError),
        ({"fault": "status", "status": 529}, anthropic.InternalServerError),
        ({"fault": "drop_after_accept"}, anthropic.APIConnectionError),
        ({"fault": "garbage_answer"}, json.JSONDecodeError),
    ],
)
def test_the_sdk_names_each_failure_of_create(emulate, sdk, batch_of, fault, error):
    emulator = emulate({"faults": [{"on": "create", **fault}]})
    with pytest.raises(error):
        sdk(emulator).messages.batches.create(**batch_of(1))
    assert emulator.unfired() == []


def test_the_code_of_a_spend_cap_reaches_the_sdk(emulate, sdk, batch_of):
    emulator = emulate({"faults": [{"on": "create", "fault": "spend_limit_429"}]})
    with pytest.raises(anthropic.RateLimitError) as caught:
        sdk(emulator).messages.batches.create(**batch_of(1))
    assert caught.value.error_code == "enforced_spend_limit_reached"
    assert "retry-after" not in caught.value.response.headers
