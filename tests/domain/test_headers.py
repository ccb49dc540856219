"""What a person changes of a job's headers, and what the API's words about a header say is to be changed."""

from collections.abc import Sequence

import pytest
from builders import NOW, a_batch, a_job

from batchctl.domain.errors import UsageProblem
from batchctl.domain.headers import HeaderChange, changed_headers, no_beta_options
from batchctl.domain.job_report import report
from batchctl.domain.model import FailureClass, Failures, Headers, Outcome, Settings, State

SAID = "Unexpected value(s) `{}` for the `anthropic-beta` header. Please consult our documentation."


@pytest.mark.parametrize(
    ("text", "betas", "expected"),
    [
        (SAID.format("gone-1"), ["gone-1", "b-2"], "--no-beta gone-1"),
        (SAID.format("gone-1`, `b-2"), ["gone-1", "b-2"], "--no-beta gone-1 --no-beta b-2"),
        (SAID.format("gone-1"), [], ""),
        # From ANTHROPIC_CUSTOM_HEADERS: the job's own is not at fault.
        (SAID.format("other-1"), ["b-2"], ""),
        (SAID.format("gone-1"), ["gone", "one-1"], ""),
        ("anthropic-beta: gone-1 is no longer supported", ["gone-1"], "--no-beta gone-1"),
        ("HTTP 400 invalid_request_error anthropic-beta: gone-1 is gone (req_1)", ["gone-1"], "--no-beta gone-1"),
        ("HTTP 400 anthropic-beta: gone-1 is gone", ["gone-1"], "--no-beta gone-1"),
        ("anthropic-beta: gone-1.", ["gone-1", "gone-1.5"], "--no-beta gone-1"),
        # It names none, and the job has one.
        ("The `anthropic-beta` header is not valid", ["b-2"], "--no-beta b-2"),
        ("The `anthropic-beta` header is not valid", ["b-1", "b-2"], ""),
        ('anthropic-version: "b-2" is not a valid version', ["b-2"], ""),
        ("requests.0.params: gone-1 is not permitted", ["gone-1"], ""),
        ("", ["b-2"], ""),
        # A ledger may have come from somebody else.
        (SAID.format("x; rm -r y"), ["x; rm -r y"], "--no-beta 'x; rm -r y'"),
    ],
)
def test_the_betas_that_the_api_names_are_those_to_take_off(text: str, betas: Sequence[str], expected: str) -> None:
    assert no_beta_options(text, betas) == expected


JOB = a_job(settings=Settings(betas=("a-1", "b-2"), api_version="2026-10-21"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (HeaderChange(), Headers(betas=("a-1", "b-2"))),
        (HeaderChange(add=("c-3",)), Headers(betas=("a-1", "b-2", "c-3"))),
        (HeaderChange(add=("b-2", "b-2")), Headers(betas=("a-1", "b-2"))),
        (HeaderChange(drop=("a-1",)), Headers(betas=("b-2",))),
        (HeaderChange(drop=("a-1", "b-2")), Headers()),
        (HeaderChange(add=("c-3",), drop=("a-1",)), Headers(betas=("b-2", "c-3"))),
        # It was sent once, and is off by now.
        (HeaderChange(drop=("once-1",)), Headers(betas=("a-1", "b-2"))),
        (HeaderChange(api_version="2023-06-01"), Headers(betas=("a-1", "b-2"), api_version="2023-06-01")),
    ],
)
def test_a_change_is_of_what_the_job_has(change: HeaderChange, expected: Headers) -> None:
    assert changed_headers(JOB, change, [None, Headers(betas=("once-1",))]) == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (HeaderChange(drop=("never-1",)), "--no-beta never-1"),
        (HeaderChange(add=("a-1",), drop=("a-1",)), "exclude each other"),
        (HeaderChange(add=("a b",)), "letters"),
    ],
)
def test_what_cannot_be_meant_is_refused(change: HeaderChange, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        changed_headers(JOB, change)


def failed(message: str, kind: FailureClass = FailureClass.FIX) -> Failures:
    return Failures(
        round=1,
        outcome=Outcome.ERRORED,
        error_type="invalid_request_error" if kind is FailureClass.FIX else "api_error",
        failure_class=kind,
        count=1,
        sample_ids=("r-1",),
        sample_message=message,
    )


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([failed(SAID.format("a-1"))], "--include-invalid --no-beta a-1"),
        ([failed(SAID.format("other-1"))], "--include-invalid --edit"),
        ([failed("tools: too many")], "--include-invalid --edit"),
    ],
)
def test_requests_that_failed_by_a_header_have_nothing_to_be_edited(failures: list[Failures], expected: str) -> None:
    """The API refuses the create as a whole; whoever stands between may say it of each request."""
    batch = a_batch(State.REFUSED)
    assert report(JOB, [batch], failures, NOW).next_command == f"batchctl retry {JOB.name} {expected}"


def test_a_pause_for_a_header_names_what_ends_it() -> None:
    paused = a_job(settings=JOB.settings, paused=f"HTTP 400: {SAID.format('a-1')}")
    told = report(paused, [a_batch(State.PLANNED)], [], NOW)
    assert told.next_command == f"batchctl submit {paused.name} --no-beta a-1"
    other = a_job(settings=JOB.settings, paused="HTTP 401: no such key")
    assert report(other, [a_batch(State.PLANNED)], [], NOW).next_command == f"batchctl submit {other.name}"
