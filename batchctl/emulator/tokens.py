"""How many tokens a prompt has, and which part of it a cache would hold: estimates, the same ones everywhere."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CHARACTERS_PER_TOKEN = 4
# What a picture or a document weighs, whatever is in it.
_ATTACHMENT = 1_500 * CHARACTERS_PER_TOKEN
_OVERHEAD = 7


@dataclass(frozen=True)
class Weight:
    """A prompt in tokens: all of it, and the prefix up to the last cache breakpoint (0: none) with its name and ttl."""

    tokens: int
    prefix_tokens: int = 0
    prefix: bytes = b""
    ttl: str = "5m"


def _blocks(params: dict[str, Any]) -> Iterator[Any]:
    """All blocks in the order the cache sees them: tools, system, messages."""
    yield from params.get("tools") or ()
    system = params.get("system") or ()
    yield from (system,) if isinstance(system, str) else system
    for message in params["messages"]:
        content = message["content"]
        if isinstance(content, str):
            yield content
        else:
            yield from content


def _characters(block: Any) -> int:
    if isinstance(block, str):
        return len(block)
    kind = block.get("type") if isinstance(block, dict) else None
    if kind == "text":
        return len(str(block.get("text", "")))
    if kind in ("image", "document"):
        return _ATTACHMENT
    return len(json.dumps(block))


def _mark(block: Any) -> Any:
    return block.get("cache_control") if isinstance(block, dict) else None


def in_tokens(characters: int) -> int:
    """Return how many tokens so many characters are."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def weigh(params: dict[str, Any]) -> Weight:
    """The weight of a sound Messages body."""
    characters, last, mark, upto = 0, 0, params.get("cache_control"), 0
    everything = bool(mark)
    for number, block in enumerate(_blocks(params), 1):
        characters += _characters(block)
        if everything or (found := _mark(block)):
            mark, last, upto = (mark if everything else found), number, characters
    total = in_tokens(characters) + _OVERHEAD
    if not last:
        return Weight(total)
    ttl = mark.get("ttl", "5m") if isinstance(mark, dict) else "5m"
    return Weight(total, in_tokens(upto), _digest(params, last), ttl)


def _digest(params: dict[str, Any], last: int) -> bytes:
    config = params.get("output_config")
    effort = config.get("effort") if isinstance(config, dict) else None
    # Thinking and effort change the prompt before its first block.
    before = json.dumps([params["model"], params.get("thinking"), effort])
    digest = hashlib.blake2b(before.encode(), digest_size=16)
    for _, block in zip(range(last), _blocks(params), strict=False):
        digest.update(json.dumps(block).encode())
    return digest.digest()


def count_tokens(params: dict[str, Any]) -> int:
    """Return the input tokens of a Messages body."""
    return weigh(params).tokens
