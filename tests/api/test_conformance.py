"""What every implementation of `MessageBatches` does, held against the emulator over loopback.

`conftest.IMPLEMENTATIONS` names them. What only a server of another kind can say stands in `test_odd_answers.py`.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from api.calls import body_bytes, body_of, created, downloaded, failure_of
from builders import request_id, request_line

from batchctl.api.protocol import Body, MessageBatches
from batchctl.domain.api_failures import AfterCreate, AfterRead, after_create, after_read, is_proven
from batchctl.domain.errors import ApiFailure, InputProblem, Stopped
from batchctl.domain.model import EXPIRY, ProcessingStatus, RequestCounts
from batchctl.domain.model_catalog import Model
from batchctl.emulator.clock import DAY
from batchctl.emulator.running import Running

Connect = Callable[..., MessageBatches]
CREATES = "POST /v1/messages/batches"
AGAIN, UNCONFIRMED, ACCEPTED, PAUSE, REFUSE, SPLIT = (
    AfterCreate.AGAIN,
    AfterCreate.UNCONFIRMED,
    AfterCreate.ACCEPTED,
    AfterCreate.PAUSE,
    AfterCreate.REFUSE,
    AfterCreate.SPLIT,
)


# ---------------------------------------------------------------- create


@pytest.mark.parametrize("piece", [100, 1 << 10, 1 << 20])
def test_the_bytes_arrive_as_they_were_given(emulator: Running, message_batches: MessageBatches, piece: int) -> None:
    odd = body_bytes(3, "é\u2028").replace(b'"max_tokens": 64', b'"max_tokens" :  64')
    seen = message_batches.create(body_of(odd, piece))
    (batch,) = emulator.batches()
    assert emulator.body(batch["id"]) == odd
    assert (seen.batch.id, seen.batch.size) == (batch["id"], 3)
    assert emulator.requests() == {CREATES: 1}


def test_a_large_body_arrives_whole(emulator: Running, message_batches: MessageBatches) -> None:
    data = body_bytes(2000, "x" * 1000)
    created(message_batches, data)
    assert emulator.body(emulator.batches()[0]["id"]) == data


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
@pytest.mark.parametrize(
    "betas", [(), ("output-300k-2026-03-24",), ("output-300k-2026-03-24", "context-1m-2025-08-07")]
)
def test_version_and_betas_are_those_of_the_job(
    emulator: Running, message_batches: MessageBatches, version: str, betas: tuple[str, ...]
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "betas": list(betas)})
    created(message_batches, api_version=version, betas=betas)
    (batch,) = emulator.batches()
    assert (batch["api_version"], tuple(batch["betas"])) == (version, betas)


# the fault, what follows, and how many batches the API has then
FAULTS: list[tuple[dict[str, Any], AfterCreate, int]] = [
    ({"fault": "drop_after_accept"}, UNCONFIRMED, 1),
    ({"fault": "garbage_answer"}, ACCEPTED, 1),
    ({"fault": "html_answer"}, ACCEPTED, 1),
    ({"fault": "error_after_accept"}, UNCONFIRMED, 1),
    ({"fault": "error_after_accept", "status": 502, "html": True}, UNCONFIRMED, 1),
    ({"fault": "error_after_accept", "status": 504}, UNCONFIRMED, 1),
    ({"fault": "error_after_accept", "status": 529}, UNCONFIRMED, 1),
    ({"fault": "error_after_accept", "status": 408}, UNCONFIRMED, 1),
    ({"fault": "error_after_accept", "status": 409}, UNCONFIRMED, 1),
    ({"fault": "error_after_accept", "status": 400, "html": True}, UNCONFIRMED, 1),
    ({"fault": "status", "status": 500}, UNCONFIRMED, 0),
    ({"fault": "status", "status": 529}, UNCONFIRMED, 0),
    ({"fault": "html_status"}, UNCONFIRMED, 0),
    ({"fault": "html_status", "status": 502}, UNCONFIRMED, 0),
    ({"fault": "html_status", "status": 403}, REFUSE, 0),
    ({"fault": "status", "status": 400}, PAUSE, 0),
    ({"fault": "status", "status": 404}, PAUSE, 0),
    ({"fault": "status", "status": 401}, PAUSE, 0),
    ({"fault": "status", "status": 402}, PAUSE, 0),
    ({"fault": "status", "status": 403}, PAUSE, 0),
    ({"fault": "spend_limit_400"}, PAUSE, 0),
    ({"fault": "spend_limit_429"}, PAUSE, 0),
    ({"fault": "on_hold"}, PAUSE, 0),
    ({"fault": "queue_full"}, AGAIN, 0),
    ({"fault": "status", "status": 429, "retry_after": 7}, AGAIN, 0),
    ({"fault": "status", "status": 429}, AGAIN, 0),
    ({"fault": "invalid_json_400"}, AGAIN, 0),
    ({"fault": "html_413"}, SPLIT, 0),
    ({"fault": "status", "status": 413}, SPLIT, 0),
]


@pytest.mark.parametrize(
    ("fault", "follows", "count"), FAULTS, ids=[" ".join(map(str, f.values())) for f, _, _ in FAULTS]
)
def test_every_failure_is_posted_once_and_judged_by_what_may_exist(
    emulator: Running, message_batches: MessageBatches, fault: dict[str, Any], follows: AfterCreate, count: int
) -> None:
    emulator.add_fault({"on": "create", **fault})
    failure = failure_of(lambda: created(message_batches))
    assert after_create(failure) is follows
    assert len(emulator.batches()) == count
    assert emulator.requests() == {CREATES: 1}


@pytest.mark.parametrize("framing", ["content-length", "close"])
def test_an_answer_that_is_cut_after_the_id_is_that_batch(
    emulator: Running, message_batches: MessageBatches, framing: str
) -> None:
    emulator.add_fault({"on": "create", "fault": "truncated_answer", "framing": framing})
    seen = created(message_batches)
    (batch,) = emulator.batches()
    assert (seen.batch.id, emulator.requests()) == (batch["id"], {CREATES: 1})
    assert seen.batch.processing_status is ProcessingStatus.IN_PROGRESS
    assert "request_counts" in seen.batch.unread


PROVEN: list[tuple[dict[str, Any], bool]] = [
    ({"fault": "status", "status": 400}, True),
    ({"fault": "status", "status": 413}, True),
    ({"fault": "status", "status": 429, "retry_after": 7}, True),
    ({"fault": "spend_limit_400"}, True),
    ({"fault": "on_hold"}, True),
    ({"fault": "queue_full"}, True),
    ({"fault": "invalid_json_400"}, True),
    # A page of the edge: it may have come after the batch was made.
    ({"fault": "html_status", "status": 403}, False),
    ({"fault": "html_413"}, False),
]


@pytest.mark.parametrize(("fault", "proven"), PROVEN, ids=[" ".join(map(str, f.values())) for f, _ in PROVEN])
def test_a_refusal_proves_something_where_the_api_itself_said_it(
    emulator: Running, message_batches: MessageBatches, fault: dict[str, Any], *, proven: bool
) -> None:
    emulator.add_fault({"on": "create", **fault})
    failure = failure_of(lambda: created(message_batches))
    assert (failure.is_from_api, is_proven(failure)) == (proven, proven)
    assert after_create(failure) not in {UNCONFIRMED, ACCEPTED}


@pytest.mark.parametrize("size", [2, 20_000])
def test_a_connection_dropped_before_accept_is_sent_again_only_if_the_body_had_not_left(
    emulator: Running, message_batches: MessageBatches, size: int
) -> None:
    emulator.add_fault({"on": "create", "fault": "drop_before_accept", "bytes": 100})
    failure = failure_of(lambda: created(message_batches, body_bytes(size, "x" * 500)))
    assert failure.status is None
    assert after_create(failure) is (AGAIN if size > 2 else UNCONFIRMED)
    assert (emulator.batches(), emulator.requests()) == ([], {CREATES: 1})


def test_a_failure_carries_the_facts_of_the_answer(emulator: Running, message_batches: MessageBatches) -> None:
    fault = {
        "fault": "status",
        "status": 429,
        "retry_after": 7,
        "message": "slow\ndown",
        "error_code": "ramp_limit_exceeded",
    }
    emulator.add_fault({"on": "create", **fault})
    failure = failure_of(lambda: created(message_batches))
    assert (failure.status, failure.error_type, failure.error_code) == (429, "rate_limit_error", "ramp_limit_exceeded")
    assert (failure.retry_after, failure.has_envelope, failure.is_from_api) == (7.0, True, True)
    assert failure.request_id.startswith("req_")
    assert "slow down" in str(failure)


def test_the_envelope_of_a_refusal_names_the_line(message_batches: MessageBatches) -> None:
    failure = failure_of(
        lambda: created(message_batches, b'{"requests":[' + request_line("r-0") + b"," + request_line("r-0") + b"]}")
    )
    assert (after_create(failure), failure.status) == (REFUSE, 400)


@pytest.mark.parametrize("at", [0, 1, 5])
def test_a_body_that_fails_half_way_says_why_and_creates_nothing(
    emulator: Running, message_batches: MessageBatches, at: int
) -> None:
    data = body_bytes(500)
    changed = InputProblem("in.jsonl changed since it was planned", hint="put it back")

    def pieces() -> Iterator[bytes]:
        for number, start in enumerate(range(0, len(data), 10_000)):
            if number == at:
                raise changed
            yield data[start : start + 10_000]

    with pytest.raises(InputProblem) as raised:
        message_batches.create(Body(pieces(), len(data)))
    assert raised.value is changed
    assert emulator.batches() == []
    assert created(message_batches).batch.id, "the way is still good"


def test_an_answer_is_read_into_our_words(emulator: Running, message_batches: MessageBatches) -> None:
    emulator.set_scenario({"batch_seconds": 60})
    seen = created(message_batches)
    assert seen.batch.processing_status is ProcessingStatus.IN_PROGRESS
    assert seen.batch.counts == RequestCounts(processing=2)
    assert seen.batch.created_at is not None
    assert seen.batch.expires_at == seen.batch.created_at + EXPIRY
    assert seen.batch.created_at.tzinfo is not None
    assert seen.batch.unread == ()


# ---------------------------------------------------------------- retrieve


def test_a_batch_is_seen_on_its_way_and_at_its_end(emulator: Running, message_batches: MessageBatches) -> None:
    emulator.set_scenario({"batch_seconds": 100, "retry_after": 17})
    name = created(message_batches).batch.id
    seen = message_batches.retrieve(name)
    assert (seen.batch.processing_status, seen.retry_after) == (ProcessingStatus.IN_PROGRESS, 17.0)
    emulator.advance(200)
    over = message_batches.retrieve(name)
    assert (over.batch.processing_status, over.retry_after) == (ProcessingStatus.ENDED, None)
    assert over.batch.counts == RequestCounts(succeeded=2)
    assert over.batch.ended_at is not None


def test_the_servers_clock_is_read_from_a_page_of_the_list(emulator: Running, message_batches: MessageBatches) -> None:
    emulator.set_scenario({"batch_seconds": 0, "clock": {"skew_seconds": 420}})
    created(message_batches)
    page = message_batches.page()
    assert page.server_time is not None
    assert abs(page.server_time.timestamp() - emulator.now()) < 3


@pytest.mark.parametrize("name", ["msgbatch_nobody", "../../models", "a b/c?d#e"])
def test_a_batch_the_api_does_not_know_is_gone_whatever_it_is_called(
    message_batches: MessageBatches, name: str
) -> None:
    failure = failure_of(lambda: message_batches.retrieve(name))
    assert (failure.status, after_read(failure)) == (404, AfterRead.GONE)


@pytest.mark.parametrize(
    ("fault", "follows"),
    [
        ({"fault": "not_found"}, AfterRead.GONE),
        ({"fault": "status", "status": 500}, AfterRead.AGAIN),
        ({"fault": "status", "status": 529}, AfterRead.AGAIN),
        ({"fault": "status", "status": 429, "retry_after": 3}, AfterRead.AGAIN),
        ({"fault": "html_status"}, AfterRead.AGAIN),
        ({"fault": "html_answer"}, AfterRead.AGAIN),
        ({"fault": "garbage_answer"}, AfterRead.AGAIN),
        ({"fault": "truncated_answer"}, AfterRead.AGAIN),
        ({"fault": "drop_before_accept"}, AfterRead.AGAIN),
        ({"fault": "drop_after_accept"}, AfterRead.AGAIN),
        ({"fault": "status", "status": 401}, AfterRead.PAUSE),
        ({"fault": "spend_limit_429"}, AfterRead.PAUSE),
        ({"fault": "on_hold"}, AfterRead.PAUSE),
        ({"fault": "status", "status": 400}, AfterRead.FAIL),
        ({"fault": "html_status", "status": 404}, AfterRead.FAIL),
    ],
)
@pytest.mark.parametrize("on", ["retrieve", "list"])
def test_a_failed_poll_is_asked_once_and_judged(
    emulator: Running, message_batches: MessageBatches, on: str, fault: dict[str, Any], follows: AfterRead
) -> None:
    if on == "list" and fault["fault"] == "not_found":
        pytest.skip("a list is always there")
    name = created(message_batches).batch.id
    emulator.add_fault({"on": on, **fault})
    failure = failure_of(lambda: message_batches.retrieve(name) if on == "retrieve" else message_batches.page())
    assert after_read(failure) is follows
    assert sum(emulator.requests().values()) == 2
    message_batches.retrieve(name)


# ---------------------------------------------------------------- list


def test_pages_follow_one_another_newest_first(emulator: Running, message_batches: MessageBatches) -> None:
    names = [created(message_batches).batch.id for _ in range(5)]
    seen, after, pages = [], "", 0
    while True:
        page = message_batches.page(after, limit=2)
        seen += [b.id for b in page.batches]
        pages += 1
        after = page.after
        if not after:
            break
    assert seen == names[::-1]
    assert pages == 3
    assert emulator.requests()["GET /v1/messages/batches"] == 3


def test_one_page_is_enough_for_a_thousand_batches(emulator: Running, message_batches: MessageBatches) -> None:
    for _ in range(25):
        created(message_batches, body_bytes(1))
    page = message_batches.page()
    assert (len(page.batches), page.after, page.is_whole) == (25, "", True)
    assert page.server_time is not None


def test_an_empty_workspace_is_an_empty_page(message_batches: MessageBatches) -> None:
    page = message_batches.page()
    assert (page.batches, page.after, page.is_whole) == ((), "", True)


def test_a_page_names_the_organization_and_the_workspace_of_its_key(
    emulator: Running, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, same = connect(emulator.base_url).page(), connect(emulator.base_url).page(limit=1)
    organization, workspace = one.account.split(" ")
    assert organization
    assert workspace
    assert same.account == one.account
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-of-another-workspace")
    other = connect(emulator.base_url).page()
    assert other.account != one.account


# ---------------------------------------------------------------- results


@pytest.mark.parametrize("framing", ["chunked", "content-length"])
@pytest.mark.parametrize("gzip", [True, False])
def test_results_arrive_as_the_api_sent_them(
    emulator: Running, message_batches: MessageBatches, framing: str, *, gzip: bool
) -> None:
    emulator.set_scenario({"batch_seconds": 0, "results": {"framing": framing, "gzip": gzip}})
    data = downloaded(message_batches, created(message_batches, body_bytes(300)).batch.id)
    lines = data.split(b"\n")
    assert lines.pop() == b""
    assert {json.loads(line)["custom_id"] for line in lines} == {request_id(n) for n in range(300)}


def test_the_results_of_a_batch_under_way_are_not_there_yet(emulator: Running, message_batches: MessageBatches) -> None:
    emulator.set_scenario({"batch_seconds": 100})
    name = created(message_batches).batch.id
    failure = failure_of(lambda: downloaded(message_batches, name))
    assert after_read(failure) is AfterRead.GONE


@pytest.mark.parametrize("fault", ["reset", "short_content_length"])
@pytest.mark.parametrize("size", [-1, 0, 1000])
def test_a_download_that_breaks_is_a_failure_that_passes(
    emulator: Running, message_batches: MessageBatches, fault: str, size: int
) -> None:
    name = created(message_batches, body_bytes(300)).batch.id
    emulator.add_fault({"on": "results", "fault": fault, "bytes": size})
    failure = failure_of(lambda: downloaded(message_batches, name))
    assert (failure.status, after_read(failure)) == (None, AfterRead.AGAIN)
    assert downloaded(message_batches, name)


def test_a_download_that_is_left_early_gives_its_connection_back(message_batches: MessageBatches) -> None:
    name = created(message_batches, body_bytes(2000)).batch.id
    for _ in range(3):
        with message_batches.results(name) as pieces:
            assert next(pieces)
    assert downloaded(message_batches, name).count(b"\n") == 2000


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_refused_download_is_judged_like_any_read(
    emulator: Running, message_batches: MessageBatches, status: int
) -> None:
    name = created(message_batches).batch.id
    emulator.add_fault({"on": "results", "fault": "status", "status": status})
    assert failure_of(lambda: downloaded(message_batches, name)).status == status


# ---------------------------------------------------------------- cancel and delete


def test_a_cancel_is_asked_once_and_may_be_repeated(emulator: Running, message_batches: MessageBatches) -> None:
    emulator.set_scenario({"batch_seconds": 100})
    name = created(message_batches).batch.id
    for _ in range(2):
        assert message_batches.cancel(name).batch.processing_status is ProcessingStatus.CANCELING
    assert emulator.requests()["POST /v1/messages/batches/{id}/cancel"] == 2
    emulator.advance(200)
    assert message_batches.retrieve(name).batch.processing_status is ProcessingStatus.ENDED


def test_a_deleted_batch_is_gone_with_its_results(emulator: Running, message_batches: MessageBatches) -> None:
    name = created(message_batches).batch.id
    message_batches.delete(name)
    assert emulator.requests()["DELETE /v1/messages/batches/{id}"] == 1
    for call in (
        lambda: message_batches.delete(name),
        lambda: message_batches.retrieve(name),
        lambda: downloaded(message_batches, name),
    ):
        assert failure_of(call).status == 404
    assert message_batches.page().batches == ()


def test_a_batch_under_way_cannot_be_deleted(emulator: Running, message_batches: MessageBatches) -> None:
    emulator.set_scenario({"batch_seconds": 100})
    name = created(message_batches).batch.id
    failure = failure_of(lambda: message_batches.delete(name))
    assert (failure.has_envelope, after_read(failure)) == (True, AfterRead.FAIL)
    assert message_batches.retrieve(name).batch.id == name


# ---------------------------------------------------------------- count_tokens

ASKED = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "x" * 40}]}


def count_body(**more: Any) -> bytes:
    return json.dumps({**ASKED, **more}).encode()


def test_the_api_says_how_many_tokens_a_request_has(emulator: Running, message_batches: MessageBatches) -> None:
    assert message_batches.count_tokens(count_body()) == 17
    assert emulator.requests() == {"POST /v1/messages/count_tokens": 1}


def test_the_version_and_the_betas_of_the_job_govern_the_count(message_batches: MessageBatches) -> None:
    with pytest.raises(ApiFailure) as raised:
        message_batches.count_tokens(count_body(top_k=5))
    assert raised.value.status == 400
    assert message_batches.count_tokens(count_body(top_k=5), api_version="2023-06-01") == 17
    with pytest.raises(ApiFailure, match="beta"):
        message_batches.count_tokens(count_body(), betas=("no-such-beta",))


# ---------------------------------------------------------------- models


def test_all_models_are_listed_retired_ones_too(emulator: Running, message_batches: MessageBatches) -> None:
    found = message_batches.models()
    by_id = {model.id: model for model in found.models}
    assert found.account
    assert by_id["claude-haiku-4-5-20251001"] == Model(
        id="claude-haiku-4-5-20251001",
        lifecycle="active",
        max_input_tokens=200_000,
        max_tokens=64_000,
        is_in_batches=True,
    )
    retires_at = by_id["claude-sonnet-4-5-20250929"].retires_at
    assert retires_at is not None
    assert 59 * DAY < retires_at.timestamp() - emulator.now() <= 60 * DAY
    assert by_id["claude-opus-4-1-20250805"].lifecycle == "retired"
    assert emulator.requests() == {"GET /v1/models": 1}


def test_an_alias_says_whose_it_is_and_a_name_nobody_has_is_a_404(message_batches: MessageBatches) -> None:
    assert message_batches.model("claude-haiku-4-5").id == "claude-haiku-4-5-20251001"
    for name in ("claude-no", "../messages/batches", "a b/c?d#e"):
        with pytest.raises(ApiFailure) as raised:
            message_batches.model(name)
        assert raised.value.status == 404


# ---------------------------------------------------------------- every method


CALLS: dict[str, Callable[[MessageBatches, str], object]] = {
    "create": lambda way, _: created(way),
    "retrieve": lambda way, name: way.retrieve(name),
    "list": lambda way, _: way.page(),
    "results": downloaded,
    "cancel": lambda way, name: way.cancel(name),
    "delete": lambda way, name: way.delete(name),
    "count_tokens": lambda way, _: way.count_tokens(count_body()),
    "models": lambda way, _: way.models(),
}
# The fault, and the facts of its failure: status, whether it is an error body of the API, and whether the API itself said it.
FACTS: list[tuple[dict[str, Any], tuple[int | None, bool, bool]]] = [
    *(
        ({"fault": "status", "status": status}, (status, True, True))
        for status in (400, 401, 403, 404, 413, 429, 500, 529)
    ),
    ({"fault": "html_status", "status": 502}, (502, False, False)),
    ({"fault": "html_status", "status": 404}, (404, False, False)),
    ({"fault": "drop_before_accept"}, (None, False, False)),
    ({"fault": "drop_after_accept"}, (None, False, False)),
]


@pytest.mark.parametrize(("fault", "facts"), FACTS, ids=[" ".join(map(str, f.values())) for f, _ in FACTS])
@pytest.mark.parametrize("on", CALLS)
def test_a_call_that_fails_says_in_facts_why_and_is_not_repeated(
    emulator: Running,
    message_batches: MessageBatches,
    on: str,
    fault: dict[str, Any],
    facts: tuple[int | None, bool, bool],
) -> None:
    name = created(message_batches).batch.id
    asked_before = sum(emulator.requests().values())
    retry_after = {"retry_after": 7} if fault.get("status") == 429 else {}
    emulator.add_fault({"on": on, **fault, **retry_after})
    failure = failure_of(lambda: CALLS[on](message_batches, name))
    assert (failure.status, failure.has_envelope, failure.is_from_api) == facts
    assert failure.retry_after == (7.0 if retry_after else None)
    assert failure.request_id.startswith("req_") == (failure.status is not None)
    assert sum(emulator.requests().values()) == asked_before + 1


@pytest.mark.parametrize("on", [name for name in CALLS if name not in {"create", "results"}])
def test_half_an_answer_is_a_failure(emulator: Running, message_batches: MessageBatches, on: str) -> None:
    name = created(message_batches).batch.id
    emulator.add_fault({"on": on, "fault": "truncated_answer"})
    assert after_read(failure_of(lambda: CALLS[on](message_batches, name))) is AfterRead.AGAIN


@pytest.mark.parametrize("on", CALLS)
def test_a_stop_ends_every_call_but_a_create(emulator: Running, connect: Connect, on: str) -> None:
    name = created(connect(emulator.base_url)).batch.id
    stopped = connect(emulator.base_url, is_stopped=lambda: True)
    if on == "create":
        assert created(stopped).batch.id
        return
    with pytest.raises(Stopped):
        CALLS[on](stopped, name)


def test_nothing_is_opened_before_the_first_call_and_closing_twice_is_fine(emulator: Running, connect: Connect) -> None:
    message_batches = connect(emulator.base_url)
    assert message_batches.base_url == emulator.base_url
    message_batches.close()
    message_batches.close()
    assert emulator.requests() == {}


def test_a_fingerprint_tells_two_keys_apart_and_shows_neither(
    emulator: Running, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again = (connect(emulator.base_url).fingerprint("salt") for _ in range(2))
    other_salt = connect(emulator.base_url).fingerprint("pepper")
    assert connect(emulator.base_url).credential().source == "ANTHROPIC_API_KEY"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-other")
    assert len({first, again, other_salt, connect(emulator.base_url).fingerprint("salt")}) == 3
    assert "ant" not in first
    assert emulator.requests() == {}
