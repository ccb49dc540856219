"""What a command line says of a job that is there: the same is fine, another plan is refused, what is left out says nothing."""

from dataclasses import replace
from typing import Any

import pytest
from builders import a_job

from batchctl.domain.check_report import DEEP_CHECK_ALL_BELOW
from batchctl.domain.errors import Refused
from batchctl.domain.model import Settings
from batchctl.verbs.contradictions import refuse_other_plan

PLANNED = Settings(max_requests=10, max_bytes=5_000, labels={"team": "a", "run": "1"}, cache_system="1h", size_start=7)


def said(job: Any, named: str, asked: Settings = PLANNED, name: str = "") -> str:
    """Empty where nothing is refused."""
    try:
        refuse_other_plan(job, asked, {named}, name)
    except Refused as refused:
        return refused.message
    return ""


@pytest.mark.parametrize(
    ("parameter", "asked", "words"),
    [
        ("max_requests", {"max_requests": 10}, ""),
        ("max_requests", {"max_requests": 11}, "with --max-requests 10"),
        ("max_bytes", {"max_bytes": 5_000}, ""),
        ("max_bytes", {"max_bytes": 4_000}, "with --max-bytes 5000"),
        ("equal_sizes", {"size_start": None}, "without --equal-sizes"),
        ("equal_sizes", {"size_start": 3}, ""),
        ("label", {"labels": {"team": "a"}}, ""),
        ("label", {"labels": {"team": "b"}}, "with --label team=a --label run=1"),
        ("label", {"labels": {"other": "a"}}, "with --label team=a"),
        ("cache_system", {"cache_system": "1h"}, ""),
        ("cache_system", {"cache_system": ""}, ""),
        ("cache_system", {"cache_system": "5m"}, "with --cache-system 1h"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(parameter: str, asked: dict[str, Any], words: str) -> None:
    job = a_job(settings=PLANNED)
    found = said(job, parameter, replace(PLANNED, **asked))
    assert bool(found) is bool(words)
    assert words in found
    assert said(job, "parallel", replace(PLANNED, **asked)) == "", (
        "what the command line leaves out contradicts nothing"
    )


def test_a_job_that_was_planned_without_is_told_so() -> None:
    job = a_job(settings=Settings())
    assert "without --label" in said(job, "label", replace(Settings(), labels={"a": "b"}))
    assert "without --cache-system" in said(job, "cache_system", replace(Settings(), cache_system="1h"))
    assert said(job, "equal_sizes", Settings()) == ""


def test_a_job_keeps_its_name() -> None:
    job = a_job()
    assert said(job, "name", name=job.name) == ""
    assert f"with --name {job.name}" in said(job, "name", name="another")


@pytest.mark.parametrize(
    ("planned", "asked", "lines", "is_fine"),
    [
        ("auto", "auto", 10, True),
        ("auto", "full", DEEP_CHECK_ALL_BELOW, True),
        ("auto", "full", DEEP_CHECK_ALL_BELOW + 1, False),
        ("auto", "envelope", 10, True),
        ("full", "auto", 10, True),
        ("full", "full", DEEP_CHECK_ALL_BELOW + 1, True),
        ("envelope", "envelope", 10, True),
        ("envelope", "auto", 10, False),
        ("envelope", "full", 10, False),
    ],
)
def test_what_was_checked_in_less_depth_is_not_checked_now(
    planned: str, asked: str, lines: int, *, is_fine: bool
) -> None:
    job = a_job(settings=Settings(depth=planned), line_count=lines)
    found = said(job, "check", Settings(depth=asked))
    assert bool(found) is not is_fine
    assert is_fine or f"--check {planned}" in found
