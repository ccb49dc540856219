"""Which files a job may replace."""

from typing import Any

import pytest

from batchctl.results.outputs import OutputPlace, objection

THERE = {"is_there": True}
WORKSPACE = {"workspace": "/home/ann/.batchctl"}

MAY_GO: list[tuple[dict[str, Any], bool, str]] = [
    # what stands there, whether a person insists, why it stays
    ({}, False, ""),
    (THERE, False, "was not written by this job"),
    (THERE, True, ""),
    ({**THERE, "is_own": True}, False, ""),
    ({**THERE, "is_empty": True}, False, ""),
    ({**THERE, "is_requests": True}, False, "request file"),
    ({**THERE, "is_requests": True, "is_own": True}, True, "request file"),
    ({**THERE, "is_regular": False, "is_empty": True}, True, "not a regular file"),
    (WORKSPACE, False, "workspace /home/ann/.batchctl"),
    ({**WORKSPACE, **THERE, "is_own": True}, True, "workspace /home/ann/.batchctl"),
]


@pytest.mark.parametrize(("place", "force", "why"), MAY_GO)
def test_a_file_is_replaced_by_the_job_that_wrote_it_or_at_a_persons_word(
    place: dict[str, Any], *, force: bool, why: str
) -> None:
    refused = objection(OutputPlace(path="out.jsonl", **place), force=force)
    assert bool(refused) == bool(why)
    assert refused is None or (why in refused.message and "out.jsonl" in refused.message)


def test_only_ways_that_the_command_has_are_named() -> None:
    refused = objection(OutputPlace(path="out.jsonl", is_there=True), elsewhere="name another folder", forcing="")
    assert refused is not None
    assert refused.hint == "move it away; name another folder"
