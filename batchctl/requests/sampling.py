"""Lines of a checked file, read again by their places: as bodies that the API counts, and as what can be seen of their bytes."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from batchctl.domain.groups import Sampled
from batchctl.requests.inputs import opened

# All that POST /v1/messages/count_tokens takes.
COUNTED = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control")
# The API takes four times as much for one request; of a sample, a few are in memory at once.
MOST_BYTES = 8_000_000

# A picture or a document inside a request: one long text of base64.
_ENCODED = re.compile(rb'"[A-Za-z0-9+/]{1000,}={0,2}"')
_SHORTEST = [{"role": "user", "content": "?"}]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledRequest:
    """One line: what to count of it, and how many of its bytes are base64 of something else."""

    params: dict[str, Any]
    body: bytes
    size: int
    encoded: int


def read_sampled(path: Path, one: Sampled) -> SampledRequest | None:
    """None where it is too long, or no request any more; whether it is the same one is found out where it is sent."""
    if one.size > MOST_BYTES:
        return None
    with opened(path) as file:
        file.seek(one.offset)
        line = file.read(one.size)
    try:
        params = orjson.loads(line)["params"]
        body = body_to_count(params)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return SampledRequest(
        params=params,
        body=body,
        size=one.size,
        encoded=sum(map(len, _ENCODED.findall(line))),
    )


def body_to_count(params: dict[str, Any], *more: str) -> bytes:
    """`more`: names of params to count beside those that are known to be counted.

    Raises TypeError for what is no object, or nested too deep to be written again.
    """
    return orjson.dumps({name: params[name] for name in (*COUNTED, *more) if name in params})


def prefix_bodies(params: dict[str, Any]) -> tuple[bytes, bytes]:
    """The shortest request with all that stands before the messages, and without: they differ by the tokens of that."""
    alone = {"model": params["model"], "messages": _SHORTEST}
    return body_to_count({**params, "messages": _SHORTEST}), body_to_count(alone)
