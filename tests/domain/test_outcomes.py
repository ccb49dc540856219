"""What every kind of result line says about its request, and what may be done about it."""

from collections.abc import Callable
from typing import Any

import pytest
from builders import CANCELED, EXPIRED, errored, succeeded
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.api_failures import CREDIT_TEXT, SPEND_TEXT
from batchctl.domain.model import FailureClass, Outcome, OutcomeCode
from batchctl.domain.outcomes import CLASS_OF_CODE, FIX_TYPES, KNOWN_TYPES, RETRY_TYPES, failure_class, read_result

RETRY, FIX, ACCOUNT, POLICY = FailureClass.RETRY, FailureClass.FIX, FailureClass.ACCOUNT, FailureClass.POLICY

# the nested type, its message, its class
ERRORS = [
    ("api_error", "", RETRY),
    ("overloaded_error", "", RETRY),
    ("timeout_error", "", RETRY),
    ("rate_limit_error", "", RETRY),
    ("invalid_request_error", "messages: at least one message is required", FIX),
    ("invalid_request_error", "Unable to download the file. Please verify the URL and try again.", RETRY),
    ("invalid_request_error", "Your credit balance is too low to access the Anthropic API.", ACCOUNT),
    ("invalid_request_error", "You have reached your specified API usage limits.", ACCOUNT),
    ("invalid_request_error", "You have reached your specified workspace API usage limits.", ACCOUNT),
    ("invalid_request_error", "This organization has been disabled.", ACCOUNT),
    ("invalid_request_error", "This credential is only authorized for use with another program.", ACCOUNT),
    ("invalid_request_error", "You're out of extra usage. Add more and keep going.", ACCOUNT),
    ("invalid_request_error", "OAuth authentication is currently not allowed for this organization.", ACCOUNT),
    ("invalid_request_error", "web search is not enabled for your organization", ACCOUNT),
    ("invalid_request_error", "Tool 'your organization' not found in provided tools", FIX),
    ("invalid_request_error", "messages.0.content.0: image of this account is too large", FIX),
    ("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", FIX),
    ("invalid_request_error", "Could not process PDF", RETRY),
    ("invalid_request_error", "messages.0.content.1.image: Could not process image", RETRY),
    ("invalid_request_error", "The PDF specified was not valid.", FIX),
    ("not_found_error", "model: claude-no", FIX),
    ("not_found_error", "model: claude-no is not there for your organization", FIX),
    ("request_too_large", "", FIX),
    ("billing_error", "", ACCOUNT),
    ("authentication_error", "", ACCOUNT),
    ("permission_error", "", ACCOUNT),
    ("brand_new_error", "", RETRY),
    ("unknown", "", RETRY),
]
CODE_OF = {RETRY: OutcomeCode.ERRORED_RETRY, FIX: OutcomeCode.ERRORED_FIX, ACCOUNT: OutcomeCode.ERRORED_ACCOUNT}


@pytest.mark.parametrize(("error_type", "message", "expected"), ERRORS)
def test_an_error_is_classed_by_its_nested_type_and_by_text_only_where_money_hides(
    error_type: str, message: str, expected: FailureClass
) -> None:
    reading = read_result(errored(error_type, message))
    assert failure_class(error_type, message) is expected
    assert (reading.code, reading.outcome) == (CODE_OF[expected], Outcome.ERRORED)
    assert (reading.error_type, reading.message) == (error_type, message)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("workspace_human_review_disabled", OutcomeCode.ERRORED_ACCOUNT),
        ("contract_spend_limit_reached", OutcomeCode.ERRORED_ACCOUNT),
        ("image_dimensions_too_large", OutcomeCode.ERRORED_FIX),
        ("brand_new_code", OutcomeCode.ERRORED_RETRY),
        (5, OutcomeCode.ERRORED_RETRY),
    ],
)
def test_a_code_says_more_than_type_and_text(code: Any, expected: OutcomeCode) -> None:
    error = {"type": "api_error", "message": "no", "details": {"error_code": code}}
    assert read_result({"type": "errored", "error": {"type": "error", "error": error}}).code is expected


def test_every_documented_type_is_in_the_table() -> None:
    assert {error_type for error_type, _, _ in ERRORS} >= KNOWN_TYPES


def test_the_older_shape_with_one_level_less_is_read_too() -> None:
    reading = read_result({"type": "errored", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert (reading.error_type, reading.message) == ("overloaded_error", "Overloaded")


@pytest.mark.parametrize("error", [None, "text", 5, [], {}, {"error": None}, {"error": {}}, {"error": {"type": None}}])
def test_an_error_of_no_known_shape_may_be_tried_again(error: Any) -> None:
    reading = read_result({"type": "errored", "error": error})
    assert (reading.code, reading.outcome, reading.error_type) == (
        OutcomeCode.ERRORED_RETRY,
        Outcome.ERRORED,
        "unknown",
    )


@pytest.mark.parametrize(
    ("stop_reason", "code"),
    [
        ("end_turn", OutcomeCode.SUCCEEDED),
        ("stop_sequence", OutcomeCode.SUCCEEDED),
        ("tool_use", OutcomeCode.SUCCEEDED),
        ("brand_new_reason", OutcomeCode.SUCCEEDED),
        ("max_tokens", OutcomeCode.TRUNCATED),
        ("model_context_window_exceeded", OutcomeCode.TRUNCATED),
        ("refusal", OutcomeCode.REFUSAL),
        ("pause_turn", OutcomeCode.PAUSED),
    ],
)
def test_a_success_is_marked_by_its_stop_reason_and_stays_a_success(stop_reason: str, code: OutcomeCode) -> None:
    reading = read_result(succeeded(stop_reason))
    assert (reading.code, reading.outcome, reading.error_type) == (code, Outcome.SUCCEEDED, "")
    assert reading.code.is_success


@pytest.mark.parametrize("message", [None, [], "text", {}, {"stop_reason": None}, {"stop_reason": ["refusal"]}])
def test_a_success_without_a_readable_message_is_a_success(message: Any) -> None:
    assert read_result({"type": "succeeded", "message": message}).code is OutcomeCode.SUCCEEDED


@pytest.mark.parametrize(
    ("result", "code", "outcome"),
    [
        (EXPIRED, OutcomeCode.EXPIRED, Outcome.EXPIRED),
        (CANCELED, OutcomeCode.CANCELED, Outcome.CANCELED),
        ({"type": "paused"}, OutcomeCode.UNKNOWN, Outcome.UNKNOWN),
        ({}, OutcomeCode.UNKNOWN, Outcome.UNKNOWN),
        ([], OutcomeCode.UNKNOWN, Outcome.UNKNOWN),
        (None, OutcomeCode.UNKNOWN, Outcome.UNKNOWN),
        ("succeeded", OutcomeCode.UNKNOWN, Outcome.UNKNOWN),
    ],
)
def test_the_other_outcomes_and_the_ones_nobody_heard_of(result: Any, code: OutcomeCode, outcome: Outcome) -> None:
    reading = read_result(result)
    assert (reading.code, reading.outcome) == (code, outcome)
    assert reading.error_type


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(["succeeded", "errored", "expired", "canceled"])
RESULTS = JSON | st.builds(lambda t, m, e: {"type": t, "message": m, "error": e}, TYPES | JSON, JSON, JSON)


@given(RESULTS)
def test_no_result_whatever_its_shape_raises(result: Any) -> None:
    reading = read_result(result)
    assert reading.code is not OutcomeCode.UNANSWERED
    assert reading.code.is_success == (reading.outcome is Outcome.SUCCEEDED)
    assert reading.code.is_success or reading.error_type
    assert len(reading.error_type) <= 80


OUTCOME_OF = {
    **dict.fromkeys(
        [OutcomeCode.SUCCEEDED, OutcomeCode.TRUNCATED, OutcomeCode.REFUSAL, OutcomeCode.PAUSED], Outcome.SUCCEEDED
    ),
    **dict.fromkeys(CODE_OF.values(), Outcome.ERRORED),
    OutcomeCode.EXPIRED: Outcome.EXPIRED,
    OutcomeCode.CANCELED: Outcome.CANCELED,
    OutcomeCode.UNKNOWN: Outcome.UNKNOWN,
}


@given(RESULTS)
def test_a_result_has_the_outcome_of_its_type_and_one_mark_of_that_outcome(result: Any) -> None:
    reading = read_result(result)
    assert OUTCOME_OF[reading.code] is reading.outcome
    said = result.get("type") if isinstance(result, dict) else None
    known = [o for o in Outcome if o in OUTCOME_OF.values() and o is not Outcome.UNKNOWN]
    assert reading.outcome is (Outcome(said) if said in known else Outcome.UNKNOWN)


@given(
    st.sampled_from([*SPEND_TEXT, *CREDIT_TEXT]),
    st.sampled_from([str.lower, str.upper, str.title]),
    st.text(max_size=9),
    st.text(max_size=9),
)
def test_a_text_about_money_is_about_the_account_where_the_request_is_blamed_and_nowhere_else(
    text: str, written: Callable[[str], str], before: str, after: str
) -> None:
    message = f"{before}{written(text)}{after}"
    for error_type in FIX_TYPES:
        assert read_result(errored(error_type, message)).code is OutcomeCode.ERRORED_ACCOUNT
    for error_type in RETRY_TYPES:
        assert read_result(errored(error_type, message)).code is OutcomeCode.ERRORED_RETRY


def test_two_long_types_cannot_be_two_rows_of_one_name() -> None:
    long = "x" * 200
    assert read_result(errored(long)).error_type == read_result(errored(long + "y")).error_type


def test_every_mark_without_plain_success_has_a_class() -> None:
    without = {OutcomeCode.SUCCEEDED, OutcomeCode.TRUNCATED, OutcomeCode.PAUSED}
    assert set(CLASS_OF_CODE) == set(OutcomeCode) - without
    assert CLASS_OF_CODE[OutcomeCode.REFUSAL] is POLICY
