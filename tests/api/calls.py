"""Calls that the tests of the API make again and again."""

from collections.abc import Callable
from typing import Any

import pytest
from builders import request_id, request_line

from batchctl.api.protocol import Body, MessageBatches, Seen
from batchctl.domain.errors import ApiFailure


def body_bytes(count: int = 2, text: str = "Hello") -> bytes:
    """Return a create body of `count` requests."""
    return b'{"requests":[' + b",".join(request_line(request_id(n), text) for n in range(count)) + b"]}"


def body_of(data: bytes, piece: int = 1 << 16) -> Body:
    """Return a body that gives `data` in pieces of `piece` bytes."""
    return Body((data[at : at + piece] for at in range(0, len(data), piece)), len(data))


def created(message_batches: MessageBatches, data: bytes | None = None, **more: Any) -> Seen:
    """Create a batch of `data`, by default of two requests."""
    return message_batches.create(body_of(data if data is not None else body_bytes()), **more)


def downloaded(message_batches: MessageBatches, message_batch_id: str) -> bytes:
    """Return all results of a batch."""
    with message_batches.results(message_batch_id) as pieces:
        return b"".join(pieces)


def failure_of(call: Callable[[], object]) -> ApiFailure:
    """Return the ApiFailure that a call must raise."""
    with pytest.raises(ApiFailure) as raised:
        call()
    return raised.value
