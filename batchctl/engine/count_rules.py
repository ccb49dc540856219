"""The rules of a refused count (pure): what it says about a request, and about all others of its shape.

::

    refused because of the request ──▶ the only one of its shape that was tried ──▶ try another ──┐
                                   ──▶ another one was counted, or refused for another reason ────┼──▶ a warning on its line
                                   ──▶ all that were tried are refused, and two of them alike ────┴──▶ a fault of the shape

`POST /v1/messages/count_tokens` is free and checks `params` at once. A batch checks them when a request runs, so that thousands
of requests may fail alike an hour later. `domain.api_failures.is_about_counted_request` says which refusals are meant.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from batchctl.domain.check_report import Problem, ProblemKind
from batchctl.domain.errors import ApiFailure
from batchctl.domain.faults import Fault, Severity
from batchctl.domain.groups import RequestGroup, SampledLine

# So many requests of a shape that are refused alike show that the shape is refused.
MIN_ALIKE = 2

# What differs between two messages about the same flaw: ids, and numbers, as those of blocks and of tokens.
_ID = re.compile(r"\b[a-z]+_[0-9A-Za-z]{10,}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# Messages about the part in which the requests of a shape differ: its field, or where no field is named, what can only be there.
_OWN_FIELD = re.compile(r"`?messages\b")
_OWN_CONTENT = re.compile(r"\bprompt is too long\b|\b(?:image|document|pdf|file)s?\b", re.IGNORECASE)
_FIELD = re.compile(r"`?[a-z_]+(?:\.[\w-]+)*`?: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedLine:
    """A request whose tokens the API was asked for.

    Attributes:
        line: Its place in the file.
        custom_id: Its id, empty where it cannot be read.
        refusal: What the API said of the request; None where it counted the tokens.
    """

    line: SampledLine
    custom_id: str
    refusal: ApiFailure | None = None


def line_to_try(group: RequestGroup, tried: Sequence[TriedLine]) -> SampledLine | None:
    """Return a second line of a shape of which the only one that was tried is refused; None where there is no need or none is left."""
    if not group.digest or len(tried) != 1 or tried[0].refusal is None:
        return None
    others = (line for stratum in group.strata for line in stratum.sampled if line != tried[0].line)
    return next(others, None)


def refusals(
    group: RequestGroup, tried: Iterable[TriedLine], *, strict: bool = False, canary: bool = False
) -> tuple[ProblemKind, ...]:
    """Return what is wrong with the requests of a group, in the API's words, as far as it refuses to count those that were tried.

    Args:
        group: The group.
        tried: Its requests that were counted or refused.
        strict: Whether a warning is an error.
        canary: Whether one request of each shape is sent first. That decides about a shape then, and its fault is a warning.
    """
    in_order = sorted(tried, key=lambda one: one.line.line)
    refused = [(one, one.refusal) for one in in_order if one.refusal is not None]
    severity = Severity.ERROR if strict else Severity.WARNING
    if len(refused) == len(in_order) and (cause := _fault_of_shape(group, refused)):
        one, refusal = cause
        fault = Fault("shape_refused", refusal.message, severity if canary else Severity.ERROR)
        return (ProblemKind(Problem(one.line.line, one.custom_id, fault), group.requests),)
    kinds: dict[Fault, ProblemKind] = {}
    for one, refusal in refused:
        fault = Fault("count_refused", refusal.message, severity)
        known = kinds.get(fault, ProblemKind(Problem(one.line.line, one.custom_id, fault), 0))
        kinds[fault] = replace(known, lines=known.lines + 1)
    return tuple(kinds.values())


def _fault_of_shape(
    group: RequestGroup, refused: Sequence[tuple[TriedLine, ApiFailure]]
) -> tuple[TriedLine, ApiFailure] | None:
    """The first request that stands for a shape which is refused; None where the shape may be good."""
    if not group.digest:
        return None
    alike = Counter(_flaw(refusal) for _, refusal in refused if not _is_about_own_part(refusal))
    return next((pair for pair in refused if alike[_flaw(pair[1])] >= MIN_ALIKE), None)


def _flaw(refusal: ApiFailure) -> tuple[str, str]:
    """What two refusals for the same reason have in common."""
    return refusal.error_type, _NUMBER.sub("0", _ID.sub("id", refusal.message))


def _is_about_own_part(refusal: ApiFailure) -> bool:
    """Whether other requests of the shape may be good: a length, or something in `messages`, is refused."""
    if refusal.status == 413 or _OWN_FIELD.match(refusal.message):
        return True
    return not _FIELD.match(refusal.message) and _OWN_CONTENT.search(refusal.message) is not None
