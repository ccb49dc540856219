"""Counting tokens: the headers of the job, a body as it is, and nothing but a number taken for one."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from loopback import always, answering, as_json

from batchctl.api.client import SdkMessageBatches
from batchctl.domain.errors import ApiFailure
from batchctl.emulator.running import Running

ASKED = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "x" * 40}]}


def body(**more: Any) -> bytes:
    return json.dumps({**ASKED, **more}).encode()


def test_the_api_says_how_many_tokens_a_request_has(emulator: Running, message_batches: SdkMessageBatches) -> None:
    assert message_batches.count_tokens(body()) == 17
    assert emulator.requests() == {"POST /v1/messages/count_tokens": 1}


def test_the_version_and_the_betas_of_the_job_govern_the_count(message_batches: SdkMessageBatches) -> None:
    with pytest.raises(ApiFailure) as raised:
        message_batches.count_tokens(body(top_k=5))
    assert raised.value.status == 400
    assert message_batches.count_tokens(body(top_k=5), api_version="2023-06-01") == 17
    with pytest.raises(ApiFailure, match="beta"):
        message_batches.count_tokens(body(), betas=("no-such-beta",))


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"input_tokens": None},
        {"input_tokens": 0},
        {"input_tokens": -1},
        {"input_tokens": True},
        {"input_tokens": 10**12},
    ],
)
def test_what_is_no_number_of_tokens_is_a_failure(
    connect: Callable[..., SdkMessageBatches], said: dict[str, Any]
) -> None:
    with answering(always(as_json(said))) as server, pytest.raises(ApiFailure, match="counts no tokens"):
        connect(server.url).count_tokens(body())
