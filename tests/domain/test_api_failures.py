"""What follows from every answer a create or a read can get."""

from typing import Any

import pytest

from batchctl.domain.api_failures import (
    ACCOUNT_CODES,
    AfterCreate,
    AfterRead,
    after_create,
    after_read,
    is_about_account,
    is_about_counted_request,
    is_proven,
    is_truncated_upload,
    why_paused,
)
from batchctl.domain.errors import ApiFailure
from batchctl.domain.model import Headers

SPEND_400 = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
SPEND_429 = "You have reached your API usage limits: you will regain access on 2026-12-01 at 00:00 UTC."
CREDIT_400 = "Your credit balance is too low to access the Anthropic API."
EARLY_END = "The request body is not valid JSON: unexpected end of data: line 1 column 84 (char 83)"

AGAIN, PAUSE, HEADER, SPLIT, REFUSE, UNCONFIRMED, ACCEPTED = (
    AfterCreate.AGAIN,
    AfterCreate.PAUSE,
    AfterCreate.HEADER,
    AfterCreate.SPLIT,
    AfterCreate.REFUSE,
    AfterCreate.UNCONFIRMED,
    AfterCreate.ACCEPTED,
)

# the status, what follows with the API's error body, and what without one (a page of a proxy or of the edge)
CREATES = [
    (199, UNCONFIRMED, UNCONFIRMED),
    (200, ACCEPTED, ACCEPTED),
    (201, ACCEPTED, ACCEPTED),
    (202, ACCEPTED, ACCEPTED),
    (204, ACCEPTED, ACCEPTED),
    (299, ACCEPTED, ACCEPTED),
    (300, UNCONFIRMED, UNCONFIRMED),
    (301, UNCONFIRMED, UNCONFIRMED),
    (307, UNCONFIRMED, UNCONFIRMED),
    (308, UNCONFIRMED, UNCONFIRMED),
    (400, PAUSE, UNCONFIRMED),
    (401, PAUSE, PAUSE),
    (402, PAUSE, PAUSE),
    (403, PAUSE, REFUSE),
    (404, PAUSE, UNCONFIRMED),
    (407, PAUSE, UNCONFIRMED),
    (408, UNCONFIRMED, UNCONFIRMED),
    (409, UNCONFIRMED, UNCONFIRMED),
    (413, SPLIT, SPLIT),
    (422, PAUSE, UNCONFIRMED),
    (429, AGAIN, AGAIN),
    (499, UNCONFIRMED, UNCONFIRMED),
    (500, UNCONFIRMED, UNCONFIRMED),
    (502, UNCONFIRMED, UNCONFIRMED),
    (503, UNCONFIRMED, UNCONFIRMED),
    (504, UNCONFIRMED, UNCONFIRMED),
    (520, UNCONFIRMED, UNCONFIRMED),
    (529, UNCONFIRMED, UNCONFIRMED),
]


@pytest.mark.parametrize("sent_whole", [True, False])
@pytest.mark.parametrize(("status", "with_envelope", "without"), CREATES)
def test_a_create_is_judged_by_its_status_and_by_who_answered(
    status: int, with_envelope: AfterCreate, without: AfterCreate, *, sent_whole: bool
) -> None:
    for has_envelope, expected in ((True, with_envelope), (False, without)):
        failure = ApiFailure("said", status=status, has_envelope=has_envelope, sent_whole=sent_whole)
        assert after_create(failure) is expected


@pytest.mark.parametrize(("sent_whole", "expected"), [(False, AGAIN), (True, UNCONFIRMED)])
def test_without_an_answer_all_depends_on_whether_the_whole_body_had_left(
    expected: AfterCreate, *, sent_whole: bool
) -> None:
    assert after_create(ApiFailure("the connection broke", sent_whole=sent_whole)) is expected


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (ApiFailure(SPEND_400, status=400, has_envelope=True), PAUSE),
        (ApiFailure(SPEND_400.replace("API", "workspace API"), status=400, has_envelope=True), PAUSE),
        (ApiFailure(CREDIT_400, status=400, has_envelope=True), PAUSE),
        (ApiFailure(SPEND_429, status=429, has_envelope=True), PAUSE),
        (ApiFailure(SPEND_429, status=429, has_envelope=True, retry_after=5.0), AGAIN),
        (ApiFailure("too many", status=429, has_envelope=True, retry_after=5.0), AGAIN),
        (ApiFailure("too many", status=429, has_envelope=True), AGAIN),
        (ApiFailure("ramp", status=429, has_envelope=True, retry_after=5.0, error_code="ramp_limit_exceeded"), AGAIN),
        (ApiFailure(EARLY_END, status=400, has_envelope=True), AGAIN),
        (ApiFailure("requests.3.custom_id: too long", status=400, has_envelope=True), REFUSE),
    ],
)
def test_the_text_tells_money_from_a_wrong_request(failure: ApiFailure, expected: AfterCreate) -> None:
    assert after_create(failure) is expected


BETA = "Unexpected value(s) `gone-2025-01-01` for the `anthropic-beta` header. Please consult our documentation."


@pytest.mark.parametrize("status", [400, 404, 422])
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        # What names the requests is about them, and nothing else is.
        ("requests.3.custom_id: String should match pattern", REFUSE),
        ("requests.0.params: Field required", REFUSE),
        ("requests[7].custom_id: Field required", REFUSE),
        ("`requests`: List should have at least 1 item after validation, not 0", REFUSE),
        ("requests: custom_id's must be unique within a batch. Duplicate custom_id found: anthropic-beta", REFUSE),
        ("requests: custom_id's must be unique within a batch. Duplicate custom_id found: your organization", REFUSE),
        ("Requests of this organization are disabled.", PAUSE),
        ("requests are not taken at the moment", PAUSE),
        ("This organization has been disabled.", PAUSE),
        ("This credential is only authorized for use with another program.", PAUSE),
        ("You're out of extra usage. Add more and keep going.", PAUSE),
        ("Something that nobody has read before", PAUSE),
        ("", PAUSE),
        (BETA, HEADER),
        ("anthropic-version: header is required", HEADER),
        ('anthropic-version: "2030-01-01" is not a valid version', HEADER),
        ("The header anthropic-workspace-id must match the key.", HEADER),
        ("messages: the text 'anthropic-beta' is not a header", PAUSE),
    ],
)
def test_a_refusal_is_about_the_batch_only_where_it_names_the_requests(
    message: str, expected: AfterCreate, status: int
) -> None:
    failure = ApiFailure(message, status=status, has_envelope=True, is_from_api=True)
    assert after_create(failure) is expected


def test_a_code_is_believed_before_the_text() -> None:
    text = "requests.3.params: at least one of the image dimensions exceeds the maximum"
    for code, expected in (("image_dimensions_too_large", REFUSE), ("workspace_human_review_disabled", PAUSE)):
        for message in ("at least one of the image dimensions exceeds the maximum", text):
            assert after_create(ApiFailure(message, status=400, error_code=code, has_envelope=True)) is expected


@pytest.mark.parametrize(
    ("message", "headers", "says"),
    [
        (BETA, Headers(betas=("gone-2025-01-01", "other")), ("a header", "--beta gone-2025-01-01, other", "CUSTOM")),
        (BETA, Headers(), ("a header", "no --beta", "--api-version")),
        ("This organization has been disabled.", Headers(), ("account problem", "fix the cause")),
        ("Something else", Headers(), ("names no request", "nothing was created")),
    ],
)
def test_what_stops_a_job_is_said_with_what_there_is_to_fix(
    message: str, headers: Headers, says: tuple[str, ...]
) -> None:
    said = " ".join(why_paused(ApiFailure(message, status=400, has_envelope=True), headers))
    assert all(part in said for part in says)
    assert "edit" not in said


@pytest.mark.parametrize("status", [400, 403, 429])
@pytest.mark.parametrize("code", sorted(ACCOUNT_CODES))
def test_a_code_of_the_account_pauses_whatever_the_status(code: str, status: int) -> None:
    failure = ApiFailure("on hold", status=status, has_envelope=True, error_code=code)
    assert (after_create(failure), after_read(failure)) == (PAUSE, AfterRead.PAUSE)


def test_a_service_error_with_a_code_of_the_account_still_leaves_a_create_unconfirmed() -> None:
    failure = ApiFailure("the key is disabled", status=503, has_envelope=True, error_code="cmek_key_disabled")
    assert (after_create(failure), after_read(failure)) == (UNCONFIRMED, AfterRead.PAUSE)


@pytest.mark.parametrize(
    ("status", "with_envelope", "without"),
    [
        (None, AfterRead.AGAIN, AfterRead.AGAIN),
        (200, AfterRead.AGAIN, AfterRead.AGAIN),
        (302, AfterRead.FAIL, AfterRead.FAIL),
        (307, AfterRead.FAIL, AfterRead.FAIL),
        (400, AfterRead.FAIL, AfterRead.FAIL),
        (401, AfterRead.PAUSE, AfterRead.PAUSE),
        (402, AfterRead.PAUSE, AfterRead.PAUSE),
        (403, AfterRead.PAUSE, AfterRead.FAIL),
        (404, AfterRead.GONE, AfterRead.FAIL),
        (405, AfterRead.FAIL, AfterRead.FAIL),
        (408, AfterRead.AGAIN, AfterRead.AGAIN),
        (409, AfterRead.AGAIN, AfterRead.AGAIN),
        (425, AfterRead.AGAIN, AfterRead.AGAIN),
        (429, AfterRead.AGAIN, AfterRead.AGAIN),
        (499, AfterRead.AGAIN, AfterRead.AGAIN),
        (500, AfterRead.AGAIN, AfterRead.AGAIN),
        (520, AfterRead.AGAIN, AfterRead.AGAIN),
        (529, AfterRead.AGAIN, AfterRead.AGAIN),
    ],
)
def test_a_read_is_asked_again_unless_that_cannot_help(
    status: int | None, with_envelope: AfterRead, without: AfterRead
) -> None:
    for has_envelope, expected in ((True, with_envelope), (False, without)):
        assert after_read(ApiFailure("said", status=status, has_envelope=has_envelope)) is expected


@pytest.mark.parametrize(
    ("message", "status", "expected"),
    [
        (EARLY_END, 400, True),
        ("not valid JSON: EOF while parsing a value", 400, True),
        ("not valid JSON: expected a comma", 400, False),
        (EARLY_END, 500, False),
    ],
)
def test_a_body_that_ended_early_is_told_from_a_wrong_one(message: str, status: int, *, expected: bool) -> None:
    assert is_truncated_upload(ApiFailure(message, status=status)) is expected


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        # Whatever it says: where the API itself says it, it knows.
        (ApiFailure("no", status=400, has_envelope=True, is_from_api=True), True),
        (ApiFailure("no", status=429, has_envelope=True, is_from_api=True, sent_whole=False), True),
        # A proxy may say the same after the batch was made.
        (ApiFailure("no", status=400, has_envelope=True), False),
        (ApiFailure("no", status=401), False),
        (ApiFailure("no", status=413), False),
        (ApiFailure("no", status=429, has_envelope=True, retry_after=5.0), False),
        (ApiFailure("no", status=403, sent_whole=False), False),
        # What never left whole made nothing, and nobody had to say so.
        (ApiFailure("cannot connect", sent_whole=False), True),
        (ApiFailure("the connection broke", sent_whole=True), False),
    ],
)
def test_a_refusal_is_proven_where_the_api_said_it_or_never_had_the_whole_body(
    failure: ApiFailure, *, expected: bool
) -> None:
    assert is_proven(failure) is expected


@pytest.mark.parametrize("status", [None, *(status for status, _, _ in CREATES)])
@pytest.mark.parametrize("sent_whole", [True, False])
def test_nothing_is_done_as_after_a_no_unless_it_may_be_proven(status: int | None, *, sent_whole: bool) -> None:
    """Only these two are kept apart from refusals by what follows from them: no word of a refusal makes them one."""
    failure = ApiFailure("said", status=status, has_envelope=True, is_from_api=True, sent_whole=sent_whole)
    if after_create(failure) in {UNCONFIRMED, ACCEPTED}:
        assert status is None or status < 400 or status >= 500 or status in {408, 409, 499}
    else:
        assert is_proven(failure)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("max_tokens: above the limit", False),
        ("no such version", False),
        ("This organization has been disabled.", True),
        ("Human Review is turned off for this workspace.", True),
        ("messages.0.content: the word organization is not allowed in your organization", False),
    ],
)
def test_a_400_of_a_read_is_about_the_account_where_its_text_is(message: str, *, expected: bool) -> None:
    failure = ApiFailure(message, status=400, has_envelope=True)
    assert is_about_account(failure) is expected
    assert after_read(failure) is (AfterRead.PAUSE if expected else AfterRead.FAIL)


def test_a_failure_reads_as_one_line_with_status_type_and_request_id() -> None:
    failure = ApiFailure("two\nlines", status=529, error_type="overloaded_error", request_id="req_1")
    assert str(failure) == "HTTP 529 overloaded_error two lines (req_1)"
    assert str(ApiFailure("cannot connect")) == "cannot connect"


# ---------------------------------------------------------------- a count of tokens that is refused

FAULTY = "tools.0.input_schema: JSON schema is invalid"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (FAULTY, True),
        ("messages.0.content: Input should be a valid list", True),
        ("prompt is too long: 250000 tokens > 200000 maximum", True),
        ('"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" instead.', True),
        ("tools.0.custom.strict: Extra inputs are not permitted", True),
        # The endpoint takes less than a batch, or is not there.
        ("output_config: Extra inputs are not permitted", False),
        ("`cache_control`: Extra inputs are not permitted", False),
        ("tools.0: server tools are not supported", False),
        ("tools.0: not yet supported by this endpoint", False),
        ("count_tokens: unknown model", False),
        ("Token counting is disabled", False),
        ("Counting tokens needs another plan", False),
        # The account, a header, an upload that was cut.
        (SPEND_400, False),
        (CREDIT_400, False),
        ("This organization has been disabled.", False),
        (BETA, False),
        ("anthropic-version: header is required", False),
        (EARLY_END, False),
    ],
)
def test_a_refused_count_is_about_the_request_where_nothing_else_is_named(message: str, *, expected: bool) -> None:
    failure = ApiFailure(message, status=400, error_type="invalid_request_error", has_envelope=True, is_from_api=True)
    assert is_about_counted_request(failure) is expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, True),
        ({"status": 413, "error_type": "request_too_large"}, True),
        ({"status": 413, "error_type": ""}, False),
        ({"is_from_api": False}, False),
        ({"has_envelope": False, "is_from_api": False}, False),
        ({"error_type": "billing_error"}, False),
        ({"error_type": ""}, False),
        ({"error_code": "organization_on_hold"}, False),
        *(({"status": status}, False) for status in (None, 200, 401, 402, 403, 404, 405, 408, 422, 429, 500, 529)),
    ],
)
def test_a_refused_count_is_about_the_request_where_the_api_itself_says_so(
    facts: dict[str, Any], *, expected: bool
) -> None:
    given = {"status": 400, "error_type": "invalid_request_error", "has_envelope": True, "is_from_api": True}
    assert is_about_counted_request(ApiFailure(FAULTY, **{**given, **facts})) is expected
