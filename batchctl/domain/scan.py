"""What checking and cutting an input found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from batchctl.domain.caching import Caching
from batchctl.domain.faults import Fault
from batchctl.domain.groups import RequestGroup
from batchctl.domain.model import Cut

# Above this many requests the deep check of `params` is sampled; the cheap checks are made on every line.
DEEP_CHECK_ALL_BELOW = 100_000
DEEP_CHECK_EVERY = 20


class Depth(StrEnum):
    """Which requests have their `params` checked in depth; `envelope` is for an API newer than the SDK's types."""

    AUTO = "auto"
    FULL = "full"
    ENVELOPE = "envelope"


def deep_checked(first: int, count: int, depth: Depth) -> Sequence[int]:
    """Which of `count` lines from `first` on: by line number, which stays the same however many lines are left out."""
    every = range(first, first + count)
    if depth is Depth.AUTO and every[-1] > DEEP_CHECK_ALL_BELOW:
        return [line for line in every if line <= DEEP_CHECK_ALL_BELOW or line % DEEP_CHECK_EVERY == 0]
    return every[:0] if depth is Depth.ENVELOPE else every


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault, with its place. `custom_id` is empty where the line has none that can be read."""

    line: int
    custom_id: str
    fault: Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """An input, read whole. `lines` counts lines that hold something; `left_out` those of them that have an error.

    `is_clean`: every byte from the first to the last request may travel as it stands (no blank line between, no BOM).
    `request_groups`: its requests by what they have in common.
    `caching`: where `cache_control` was added; the cuts are of what came of it, `size` and `sha256` of the input as it is.
    `models_unchecked`: why the models it names were not all held against those of the account; empty where they were.
    """

    cuts: tuple[Cut, ...]
    count: int
    lines: int
    blank: int
    left_out: int
    size: int
    sha256: str
    deep_checked: int
    is_clean: bool
    has_bom: bool
    errors: int
    warnings: int
    models_unchecked: str = ""
    caching: Caching | None = None
    by_code: dict[str, int] = field(default_factory=dict)
    first_problems: tuple[Problem, ...] = ()
    request_groups: tuple[RequestGroup, ...] = ()
