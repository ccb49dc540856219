"""What refused counts say about a request, and about all others of its shape."""

from typing import Any

import pytest

from batchctl.domain.errors import ApiFailure
from batchctl.domain.faults import Severity
from batchctl.domain.groups import RequestGroup, SampledLine, Stratum
from batchctl.engine.count_rules import TriedLine, line_to_try, refusals

ERROR, WARNING = Severity.ERROR, Severity.WARNING
TOOL = "tools.0.name: lookup is reserved"


def a_group(**more: Any) -> RequestGroup:
    given: dict[str, Any] = {"digest": "d", "model": "claude-haiku-5-5", "first_line": 1, "requests": 17_000}
    sizes = {"bytes": 9_000_000, "longest": 3_000, "max_tokens": 30, "most_max_tokens": 10}
    return RequestGroup(**{**given, **sizes, **more})


def refusal(message: str, status: int = 400) -> ApiFailure:
    return ApiFailure(
        message, status=status, error_type="request_too_large" if status == 413 else "invalid_request_error"
    )


def tried(*answers: str | ApiFailure | None) -> list[TriedLine]:
    """Lines 3, 4, 5, ...: refused with a message, or counted."""
    return [
        TriedLine(
            line=SampledLine(number, 0, 500),
            custom_id=f"r-{number}",
            refusal=refusal(answer) if isinstance(answer, str) else answer,
        )
        for number, answer in enumerate(answers, 3)
    ]


FAULT_OF_SHAPE = [(ERROR, 3, 17_000)]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((), []),
        ((None, None), []),
        # Two alike, and none that was counted.
        ((TOOL, TOOL), FAULT_OF_SHAPE),
        ((TOOL, TOOL, TOOL), FAULT_OF_SHAPE),
        ((TOOL, "system: no", TOOL), FAULT_OF_SHAPE),
        (("system: no", TOOL, TOOL), [(ERROR, 4, 17_000)]),
        (("tools.0: 5 > 4", "tools.12: 1,700 > 4"), FAULT_OF_SHAPE),
        (("tools.0: see req_011CS8a4kX9fQ2", "tools.0: see req_011CS8bZZZZfQ2"), FAULT_OF_SHAPE),
        (("thinking is not supported for this model", "thinking is not supported for this model"), FAULT_OF_SHAPE),
        # A field of the shared part, whatever its message speaks of.
        (("tools.0: no documents", "tools.0: no documents"), FAULT_OF_SHAPE),
        # One alone, or two that are not alike.
        ((TOOL,), [(WARNING, 3, 1)]),
        ((TOOL, "system: no"), [(WARNING, 3, 1), (WARNING, 4, 1)]),
        # One of the shape was counted: the others are not refused for what they share.
        ((TOOL, None, TOOL), [(WARNING, 3, 2)]),
        ((None, TOOL, "system: no"), [(WARNING, 4, 1), (WARNING, 5, 1)]),
        # What differs within a shape says nothing about the other requests.
        (("messages.0: no", "messages.0: no"), [(WARNING, 3, 2)]),
        (("messages.0.content.1: no", "messages.4.content.0: no"), [(WARNING, 3, 1), (WARNING, 4, 1)]),
        (("prompt is too long: 250 tokens > 200", "prompt is too long: 260 tokens > 200"), [(WARNING, 3, 1), (WARNING, 4, 1)]),
        (("Could not process image", "Could not process image"), [(WARNING, 3, 2)]),
        ((refusal("Request exceeds the maximum size", 413),) * 2, [(WARNING, 3, 2)]),
    ],
)  # fmt: skip
def test_a_shape_is_at_fault_where_all_that_were_tried_are_refused_alike(
    answers: tuple[str | ApiFailure | None, ...], expected: list[tuple[Severity, int, int]]
) -> None:
    kinds = refusals(a_group(), tried(*answers)[::-1])
    assert [(kind.first.fault.severity, kind.first.line, kind.lines) for kind in kinds] == expected
    assert all(kind.first.custom_id == f"r-{kind.first.line}" for kind in kinds)


def test_requests_that_were_put_together_have_no_shape() -> None:
    assert [kind.first.fault.severity for kind in refusals(a_group(digest=""), tried(TOOL, TOOL))] == [WARNING]


@pytest.mark.parametrize(
    ("answers", "options", "expected"),
    [
        ((TOOL, TOOL), {"strict": True}, ERROR),
        ((TOOL,), {"strict": True}, ERROR),
        # The first batch decides about the shape, and withholds it.
        ((TOOL, TOOL), {"canary": True}, WARNING),
        ((TOOL, TOOL), {"canary": True, "strict": True}, ERROR),
    ],
)
def test_a_person_makes_it_an_error_or_a_warning(
    answers: tuple[str, ...], options: dict[str, bool], expected: Severity
) -> None:
    (kind,) = refusals(a_group(), tried(*answers), **options)
    assert kind.first.fault.severity is expected
    assert kind.first.fault.message == TOOL


def test_a_second_request_is_tried_where_the_only_one_is_refused() -> None:
    first, second = (SampledLine(number, 0, 500) for number in (3, 9))
    group = a_group(strata=(Stratum(least=256, requests=2, bytes=1_000, sampled=(first, second)),))
    assert line_to_try(group, tried(TOOL)) == second
    alone = a_group(strata=(Stratum(least=256, requests=1, bytes=500, sampled=(first,)),))
    for none_left in (alone, a_group(digest="", strata=group.strata)):
        assert line_to_try(none_left, tried(TOOL)) is None
    for no_need in ((), (None,), (TOOL, TOOL), (TOOL, None)):
        assert line_to_try(group, tried(*no_need)) is None
