"""The requests of an input in groups: what they have in common, how many they are, and how long.

Requests that differ only in `messages`, `max_tokens` and `metadata` are one group. An estimate rests on the groups. They
take the same memory however many requests there are: a few groups, a few strata of length in each, a few sampled lines in
each stratum. `requests.grouping` makes them while an input is checked.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

# What may differ within a group: what is asked, how long the answer may be, and on whose behalf.
APART = frozenset({"messages", "max_tokens", "metadata"})
# Requests of further groups are put together by model: an input may have another system prompt on every line.
MAX_GROUPS = 64
# The most lines that are sampled of a stratum, spread over the whole file; at least half as many are.
MAX_SAMPLED = 32
# All lines of an input with no more requests than this are sampled.
ALL_SAMPLED = 400


@dataclass(frozen=True, slots=True)
class SampledLine:
    """A line of a file that can be read again: its number from 1, its first byte, its length without the newline."""

    line: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Requests of one group and of like length: their lines have at least `least` bytes, and fewer than twice as many."""

    least: int
    requests: int
    bytes: int
    sampled: tuple[SampledLine, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestGroup:
    """Requests that differ only in `messages`, `max_tokens` and `metadata`.

    Attributes:
        digest: Of what they have in common; empty for the requests of one model that are in no group of their own.
        first_line: Number of the first line that belongs to it.
        bytes: Bytes of its whole lines, ids included; `longest` is the longest of them.
        max_tokens: The sum of all `max_tokens`; `most_max_tokens` is the greatest.
        prefix_bytes: Bytes of `system` and `tools` as JSON, at most what they take in a line.
        ttl: How long the longest-lived `cache_control` of the first request keeps a cache, empty without any.
        breakpoints: `cache_control` marks of the first request.
        marks_messages: A mark stands behind what is shared, so that more than that is written to a cache.
        beyond_text: There are blocks other than text (images, documents, tool calls), whose tokens bytes do not tell.
        adds_prompt: There are tools or a format for answers, to which the API adds a prompt of its own.
        calls_servers: There are tools that the API runs, sources that it reads, or params that are not known here. Nobody can
            foresee how many tokens these add.
        is_primed: A first batch caches what they share, so that the others read it.
        strata: The requests by the length of their lines.
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
    is_primed: bool = False
    strata: tuple[Stratum, ...] = ()

    @property
    def is_shared(self) -> bool:
        """Whether several requests begin with the same text."""
        return bool(self.digest and self.prefix_bytes) and self.requests > 1


def stratum_floor(size: int) -> int:
    """Return the lower end of the stratum of a line of `size` bytes (1 or more): the power of two at or below it."""
    return 1 << (size.bit_length() - 1)


def shape_digest(request_groups: Sequence[RequestGroup]) -> str:
    """Return a digest of what the requests of a round have in common, empty where there are none.

    Rounds with the same digest have answers of like length.
    """
    names = sorted(
        request_group.digest or f"others {request_group.model} {request_group.inference_geo}"
        for request_group in request_groups
    )
    return hashlib.blake2b("\n".join(names).encode(), digest_size=16).hexdigest() if names else ""
