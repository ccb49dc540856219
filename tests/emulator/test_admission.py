"""Keys, versions, betas, workspaces, limits of calls, and the headers around every answer."""

from email.utils import parsedate_to_datetime

import pytest

BATCHES = "/v1/messages/batches"
VERSION = {"anthropic-version": "2026-10-21"}


@pytest.mark.parametrize(
    "given", [{}, {"authorization": "Bearer "}, {"x-api-key": "nonsense"}, {"x-api-key": "sk-ant-wrong"}]
)
def test_a_missing_or_wrong_key_is_refused_without_naming_a_workspace(ask, given):
    reply = ask("GET", BATCHES, headers={**VERSION, **given})
    assert (reply.status, reply.message) == (401, "API key is invalid.")
    assert reply.headers["anthropic-workspace-id"] is None
    assert reply.headers["request-id"] == reply.json()["request_id"]


def test_of_two_keys_x_api_key_wins(ask):
    by_key = ask("GET", BATCHES, headers={**VERSION, "x-api-key": "sk-ant-a"})
    both = ask("GET", BATCHES, headers={**VERSION, "x-api-key": "sk-ant-a", "authorization": "Bearer sk-ant-b"})
    assert by_key.headers["anthropic-workspace-id"] == both.headers["anthropic-workspace-id"]


def test_a_workspace_sees_only_its_own_batches(ask):
    batch_id = ask.create(authorization="Bearer sk-ant-mine").json()["id"]
    assert ask("GET", BATCHES, authorization="Bearer sk-ant-theirs").json()["data"] == []
    for method, path in [("GET", ""), ("GET", "/results"), ("POST", "/cancel"), ("DELETE", "")]:
        reply = ask(method, f"{BATCHES}/{batch_id}{path}", authorization="Bearer sk-ant-theirs")
        assert (reply.status, reply.message) == (404, f"Message Batch {batch_id} not found.")


def test_a_scenario_puts_keys_into_workspaces_and_refuses_others(emulate, asking):
    ask = asking(emulate({"keys": {"sk-ant-1": "evals", "sk-ant-2": "evals"}}))
    batch_id = ask.create(authorization="Bearer sk-ant-1").json()["id"]
    assert ask("GET", f"{BATCHES}/{batch_id}", authorization="Bearer sk-ant-2").status == 200
    assert ask("GET", BATCHES, authorization="Bearer sk-ant-3").status == 401


def test_the_version_header_is_required_and_known(ask):
    reply = ask("GET", BATCHES, headers={"x-api-key": "sk-ant-a"})
    assert (reply.status, reply.message) == (400, "anthropic-version: header is required")
    assert ask("GET", BATCHES, anthropic_version="2023-06-01").status == 200
    assert ask("GET", BATCHES, anthropic_version="2024-01-01").status == 400


def test_unknown_betas_are_refused_and_known_ones_taken_comma_separated(emulate, asking):
    ask = asking(emulate({"betas": ["mine-2026-01-01"]}))
    reply = ask("GET", BATCHES, anthropic_beta="nope-1")
    assert reply.status == 400
    assert reply.message.startswith("Unexpected value(s) `nope-1` for the `anthropic-beta` header")
    assert ask("GET", BATCHES, anthropic_beta="message-batches-2024-09-24,mine-2026-01-01").status == 200


def test_answers_carry_ids_and_rate_limits(ask):
    headers = ask("GET", f"{BATCHES}?beta=true").headers
    for name in ("request-id", "anthropic-organization-id", "anthropic-workspace-id"):
        assert headers[name]
    for name in ("limit", "remaining", "reset"):
        assert headers[f"anthropic-ratelimit-requests-{name}"]


def test_unknown_paths_and_methods_get_an_envelope(ask):
    for method, path, status in [
        ("GET", "/v1/nowhere", 404),
        ("GET", "/", 404),
        ("PUT", BATCHES, 405),
        ("PATCH", f"{BATCHES}/x", 405),
    ]:
        reply = ask(method, path)
        assert (reply.status, reply.json()["type"]) == (status, "error")
        assert reply.headers["request-id"] == reply.json()["request_id"]


def test_calls_above_the_rate_wait_as_told_and_then_pass(emulate, asking):
    emulator = emulate({"limits": {"rpm": 2}})
    ask = asking(emulator)
    assert [ask("GET", BATCHES).status for _ in range(3)] == [200, 200, 429]
    refused = ask("GET", BATCHES)
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert refused.json()["error"]["type"] == "rate_limit_error"
    emulator.advance(30)
    assert ask("GET", BATCHES).status == 200


def test_a_full_queue_refuses_a_create_until_a_batch_has_ended(emulate, asking, batch_of):
    emulator = emulate({"batch_seconds": 60, "limits": {"queue": 5}})
    ask = asking(emulator)
    assert ask.create(batch_of(4)).status == 200
    refused = ask.create(batch_of(2))
    assert refused.status == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    emulator.advance(61)
    assert ask.create(batch_of(2)).status == 200
    assert len(emulator.batches()) == 2


def test_the_date_header_follows_the_virtual_clock_and_its_skew(emulate, asking):
    emulator = emulate({"clock": {"skew_seconds": 600}})
    emulator.advance(3600)
    reply = asking(emulator)("GET", BATCHES)
    assert abs(parsedate_to_datetime(reply.headers["date"]).timestamp() - emulator.now()) < 2


def test_unknown_headers_are_ignored(ask):
    assert ask("GET", BATCHES, x_stainless_retry_count="0", idempotency_key="a").status == 200
