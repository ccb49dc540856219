"""What is learned of an input while it is checked: how many requests have what in common, and how long they are.

Requests that say the same but for `messages`, `max_tokens` and `metadata` are one group. Nothing here grows with their
number: a few groups, a few lengths in each, a few lines of each length to look at.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

# More groups than these are summed up, by model: a system prompt of its own on every line makes no million of them.
MOST_GROUPS = 64
# Of each length so many lines are remembered at most, spread over the whole file, and half as many at least.
MOST_SAMPLED = 32
# Of an input of no more requests, all lines are remembered.
ALL_SAMPLED = 400


@dataclass(frozen=True, slots=True)
class SampledLine:
    """One line of a file, to be read again: its number from 1, its first byte, its bytes without the newline."""

    line: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Requests of like length: their lines have `least` bytes or more, and less than twice as many."""

    least: int
    requests: int
    bytes: int
    sampled: tuple[SampledLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestGroup:
    """One group of requests. `digest`: of what they have in common; empty for what is left over, of one model.

    `bytes`: of whole lines, ids and all. `max_tokens`: their sum.
    `prefix_bytes`: of `system` and `tools` as JSON, not more than they have in a line.
    `breakpoints`: `cache_control` marks of the first of them, `ttl` that of the longest-lived one, empty without any;
    `marks_messages`: one stands behind what is shared, so that more than this is written to a cache. `beyond_text`: there are blocks other than text (pictures, documents, tool calls), which may weigh more than their
    bytes; `adds_prompt`: there are tools or a format of answers, to which the API adds a prompt of its own.
    `calls_servers`: it has tools that the API runs itself, sources that it reads itself, or params that nobody knows here:
    nobody can foresee how much that comes to.
    """

    digest: str
    model: str
    inference_geo: str = ""
    first_line: int
    requests: int
    bytes: int
    longest: int
    max_tokens: int
    most_max_tokens: int
    prefix_bytes: int = 0
    ttl: str = ""
    breakpoints: int = 0
    marks_messages: bool = False
    beyond_text: bool = False
    adds_prompt: bool = False
    calls_servers: bool = False
    strata: tuple[Stratum, ...] = ()

    @property
    def is_shared(self) -> bool:
        """Whether several requests begin with one and the same text."""
        return bool(self.digest and self.prefix_bytes) and self.requests > 1


def stratum_floor(size: int) -> int:
    """The power of two that names the stratum of a line of `size` bytes, 1 or more."""
    return 1 << (size.bit_length() - 1)


def shape_digest(request_groups: Sequence[RequestGroup]) -> str:
    """One digest of what the requests of a round have in common: rounds of one shape have answers of like length."""
    names = sorted(
        request_group.digest or f"others {request_group.model} {request_group.inference_geo}"
        for request_group in request_groups
    )
    return hashlib.blake2b("\n".join(names).encode(), digest_size=16).hexdigest() if names else ""
