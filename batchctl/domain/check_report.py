"""What checking and cutting an input brought to light."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from batchctl.domain.caching import Caching
from batchctl.domain.faults import Fault
from batchctl.domain.groups import RequestGroup
from batchctl.domain.model import Cut

# Up to this line every request is checked in depth, beyond it every 20th one. The cheap checks are made on every line.
DEEP_CHECK_ALL_BELOW = 100_000
DEEP_CHECK_EVERY = 20


class Depth(StrEnum):
    """Which requests have their `params` checked in depth, against the schema of the SDK's types.

    `auto` checks all of a small input and samples a large one; `envelope` checks none, for an API newer than the schema.
    """

    AUTO = "auto"
    FULL = "full"
    ENVELOPE = "envelope"


def deep_checked(first: int, count: int, depth: Depth) -> Sequence[int]:
    """Return which of `count` lines from line `first` on are checked in depth.

    By line number, so that the choice does not depend on how many lines are left out.
    """
    stop = first + count
    if depth is not Depth.AUTO:
        return range(first, first if depth is Depth.ENVELOPE else stop)
    all_before = min(stop, DEEP_CHECK_ALL_BELOW + 1)
    sampled = max(first, all_before)
    return [*range(first, all_before), *range(sampled + -sampled % DEEP_CHECK_EVERY, stop, DEEP_CHECK_EVERY)]


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault and where it is. `custom_id` is empty where the line has none that can be read."""

    line: int
    custom_id: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """The same fault on `lines` lines, of which `first` is the first."""

    first: Problem
    lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What converting a batch file of another vendor brought to light.

    Attributes:
        requests: Requests that were converted.
        lines: Lines that hold something.
        blank: Lines that hold nothing.
        left_out: Lines that hold something and have an error.
        size: Bytes of the file, unpacked.
        errors: Number of errors; `warnings` counts those that keep no line from being converted.
        by_code: How often each code of a fault occurs.
        problem_kinds: The first kinds of faults, errors before warnings, to be shown.
    """

    requests: int
    lines: int
    blank: int
    left_out: int
    size: int
    errors: int
    warnings: int
    by_code: dict[str, int] = field(default_factory=dict)
    problem_kinds: tuple[ProblemKind, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """An input, read whole.

    Attributes:
        cuts: The cuts of its requests. They are ranges of the copy with `cache_control`, where `caching` says that it was added.
        count: Requests that were planned.
        lines: Lines that hold something.
        blank: Lines that hold nothing.
        left_out: Lines that hold something and have an error.
        size: Bytes of the input as it is; `sha256` is the hash of these.
        deep_checked: How many requests were checked in depth.
        is_clean: Every byte from the first request to the last can be sent as it is: no blank line between them, and no BOM.
        errors: Number of errors; `warnings` counts those that keep nothing from being sent.
        models_unchecked: Why its models were not all compared with those of the account, empty where they were.
        caching: What adding `cache_control` did, None where it was not asked for.
        by_code: How often each code of a fault occurs.
        first_problems: The first faults.
        problem_kinds: The first kinds of faults, errors before warnings, to be shown.
        request_groups: The requests by what they have in common.
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
    problem_kinds: tuple[ProblemKind, ...] = ()
    request_groups: tuple[RequestGroup, ...] = ()
