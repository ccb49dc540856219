"""The small rules: names, plans, merging, choosing, polling."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchctl.domain.check_report import DEEP_CHECK_ALL_BELOW, DEEP_CHECK_EVERY, Depth, deep_checked
from batchctl.domain.model import OutcomeCode
from batchctl.domain.names import NAME_PATTERN, job_name, name_problem
from batchctl.domain.outcomes import CLASS_OF_CODE, KNOWN_TYPES, replaces
from batchctl.engine.pacing import (
    BACKOFF_SECONDS,
    FIRST_POLL_SECONDS,
    LAST_POLL_SECONDS,
    backoff,
    poll_pause,
)
from batchctl.engine.retry_choice import CLASS_WORDS, CODE_WORDS, Choice, is_chosen, unknown_words, why_left

# ---------------------------------------------------------------- names


def test_a_job_is_called_like_its_input_and_four_digits_of_its_hash() -> None:
    assert job_name("reviews", "7f3ab0", ()) == "reviews-7f3a"
    assert job_name("reviews", "7f3ab0", {"reviews-7f3a"}) == "reviews-7f3a-2"
    assert job_name("reviews", "7f3ab0", {"reviews-7f3a", "reviews-7f3a-2"}) == "reviews-7f3a-3"


@pytest.mark.parametrize("name", ["", "a", "A.b_c-d", "7", "x" * 64])
def test_a_name_that_can_be_a_folder_is_taken(name: str) -> None:
    assert name_problem(name) == ""


@pytest.mark.parametrize("name", [".", "..", ".hidden", "-q", "_x", "a/b", "a b", "a\n", "x" * 65, "naïve", "@last"])
def test_a_name_that_could_be_a_path_or_an_option_is_refused(name: str) -> None:
    assert repr(name) in name_problem(name)
    assert not re.fullmatch(NAME_PATTERN, name)


# ---------------------------------------------------------------- plans


@pytest.mark.parametrize(
    ("first", "count", "checked"),
    [
        (1, 4, [1, 2, 3, 4]),
        (DEEP_CHECK_ALL_BELOW - 1, 2, [DEEP_CHECK_ALL_BELOW - 1, DEEP_CHECK_ALL_BELOW]),
        (DEEP_CHECK_ALL_BELOW, 22, [DEEP_CHECK_ALL_BELOW, DEEP_CHECK_ALL_BELOW + DEEP_CHECK_EVERY]),
        (DEEP_CHECK_ALL_BELOW + 1, 1, []),
        (DEEP_CHECK_ALL_BELOW + DEEP_CHECK_EVERY, 1, [DEEP_CHECK_ALL_BELOW + DEEP_CHECK_EVERY]),
    ],
)
def test_small_inputs_are_checked_in_depth_whole_and_large_ones_by_sample(
    first: int, count: int, checked: list[int]
) -> None:
    assert list(deep_checked(first, count, Depth.AUTO)) == checked
    assert list(deep_checked(first, count, Depth.FULL)) == list(range(first, first + count))
    assert not deep_checked(first, count, Depth.ENVELOPE)


# ---------------------------------------------------------------- merging

SUCCESSES = [mark for mark in OutcomeCode if mark.is_success]
FAILURES = [mark for mark in OutcomeCode if not mark.is_success and mark is not OutcomeCode.UNANSWERED]


@pytest.mark.parametrize("older", list(OutcomeCode))
def test_no_answer_takes_the_place_of_nothing(older: OutcomeCode) -> None:
    assert not replaces(OutcomeCode.UNANSWERED, older)


@pytest.mark.parametrize("older", SUCCESSES)
def test_a_success_is_replaced_by_a_newer_success_only(older: OutcomeCode) -> None:
    assert all(replaces(newer, older) for newer in SUCCESSES)
    assert not any(replaces(newer, older) for newer in FAILURES)


@pytest.mark.parametrize("older", [OutcomeCode.UNANSWERED, *FAILURES])
def test_a_failure_is_replaced_by_any_newer_answer(older: OutcomeCode) -> None:
    assert all(replaces(newer, older) for newer in (*SUCCESSES, *FAILURES))


# ---------------------------------------------------------------- choosing

TYPE_OF = {
    OutcomeCode.ERRORED_RETRY: "overloaded_error",
    OutcomeCode.ERRORED_FIX: "invalid_request_error",
    OutcomeCode.ERRORED_ACCOUNT: "billing_error",
    OutcomeCode.EXPIRED: "expired",
    OutcomeCode.CANCELED: "canceled",
    OutcomeCode.UNKNOWN: "paused",
    OutcomeCode.UNANSWERED: "unanswered",
}


# What the API refused, and what was not sent because of that.
INVALID = {OutcomeCode.ERRORED_FIX, OutcomeCode.WITHHELD}


def chosen(**choice: object) -> set[OutcomeCode]:
    given = Choice(**choice)  # type: ignore[arg-type]  # a table's words
    return {mark for mark in OutcomeCode if is_chosen(mark, TYPE_OF.get(mark, ""), given)}


def test_without_a_word_what_may_pass_goes_again_and_what_was_answered_never() -> None:
    assert chosen() == {OutcomeCode.UNANSWERED, OutcomeCode.ERRORED_RETRY, OutcomeCode.EXPIRED, OutcomeCode.IN_NO_BATCH}


def test_what_was_never_sent_does_not_go_where_nobody_agrees_to_its_price() -> None:
    assert chosen(in_no_batch=False) == chosen() - {OutcomeCode.IN_NO_BATCH}


@pytest.mark.parametrize(
    ("choice", "more"),
    [
        ({"include_invalid": True}, INVALID),
        ({"include_canceled": True}, {OutcomeCode.CANCELED}),
        ({"include_invalid": True, "include_canceled": True}, {*INVALID, OutcomeCode.CANCELED}),
    ],
)
def test_flags_add_what_is_left_out_otherwise(choice: dict[str, bool], more: set[OutcomeCode]) -> None:
    assert chosen(**choice) == chosen() | more


@pytest.mark.parametrize(
    ("word", "marks"),
    [
        ("retry", {OutcomeCode.UNANSWERED, OutcomeCode.ERRORED_RETRY, OutcomeCode.EXPIRED, OutcomeCode.IN_NO_BATCH}),
        ("in_no_batch", {OutcomeCode.IN_NO_BATCH}),
        ("fix", INVALID),
        ("withheld", {OutcomeCode.WITHHELD}),
        ("account", {OutcomeCode.ERRORED_ACCOUNT}),
        ("policy", {OutcomeCode.REFUSAL}),
        ("expired", {OutcomeCode.EXPIRED}),
        ("canceled", {OutcomeCode.CANCELED}),
        ("unknown", {OutcomeCode.UNKNOWN}),
        ("truncated", {OutcomeCode.TRUNCATED}),
        ("refusal", {OutcomeCode.REFUSAL}),
        ("pause_turn", {OutcomeCode.PAUSED}),
        ("overloaded_error", {OutcomeCode.ERRORED_RETRY}),
        ("invalid_request_error", {OutcomeCode.ERRORED_FIX}),
        ("api_error", set()),
    ],
)
def test_only_means_only(word: str, marks: set[OutcomeCode]) -> None:
    assert chosen(only=frozenset({word})) == marks


@pytest.mark.parametrize(
    ("mark", "own"),
    [
        (OutcomeCode.CANCELED, [{"only": frozenset({"canceled"})}, {"include_canceled": True}]),
        (OutcomeCode.UNKNOWN, [{"only": frozenset({"unknown"})}]),
    ],
)
def test_what_was_canceled_or_is_of_an_unknown_kind_goes_again_by_its_own_word_alone(
    mark: OutcomeCode, own: list[dict[str, object]]
) -> None:
    """A person took it back, or it may be a success of a kind yet to come: paid for, and nobody asked for it."""
    assert all(mark in chosen(**choice) for choice in own)
    others = frozenset({*CLASS_WORDS, *CODE_WORDS, *KNOWN_TYPES}) - {TYPE_OF[mark], mark.name.lower()}
    flags = {"include_invalid": True, "include_canceled": mark is not OutcomeCode.CANCELED}
    assert mark not in chosen(only=others, **flags)
    assert mark not in chosen(**flags)


def test_no_word_sends_a_plain_success_again() -> None:
    words = {
        "retry",
        "fix",
        "account",
        "policy",
        "expired",
        "canceled",
        "unknown",
        "truncated",
        "refusal",
        *KNOWN_TYPES,
    }
    assert OutcomeCode.SUCCEEDED not in chosen(only=frozenset(words), include_invalid=True, include_canceled=True)


def test_words_that_mean_nothing_are_named() -> None:
    assert unknown_words({"retry", "expired", "api_error", "expierd", "all"}, KNOWN_TYPES) == ["all", "expierd"]


@pytest.mark.parametrize("mark", sorted(set(CLASS_OF_CODE) - {OutcomeCode.UNANSWERED}))
def test_what_stays_says_why(mark: OutcomeCode) -> None:
    assert why_left(mark)


# ---------------------------------------------------------------- polling

DRAWS = st.floats(0, 1)


@given(st.integers(0, 10**6), DRAWS)
def test_looks_start_at_ten_seconds_and_grow_to_a_minute_however_long_a_job_lasts(looks: int, draw: float) -> None:
    assert FIRST_POLL_SECONDS <= poll_pause(looks, 0, None, draw) <= LAST_POLL_SECONDS * 1.1
    assert poll_pause(looks, 0, None, draw) <= poll_pause(looks + 1, 0, None, draw)


# The API says 10 where a batch is asked for by itself, which is done for two of them at most; a list says nothing.
@pytest.mark.parametrize(("hint", "requests_a_look"), [(10.0, 2), (10.0, 1), (None, 2), (300.0, 2)])
def test_a_watch_of_a_day_costs_fewer_than_two_thousand_requests(hint: float | None, requests_a_look: int) -> None:
    watched, looks = 0.0, 0
    while watched < 24 * 3600:
        looks += 1
        watched += poll_pause(looks, watched, hint, 0.0)
    assert looks * requests_a_look < 2_000


@given(st.floats(0.1, 10_000), DRAWS)
def test_a_servers_hint_is_never_shortened(hint: float, draw: float) -> None:
    assert hint <= poll_pause(3, 0, hint, draw) <= hint * 1.2
    assert hint <= backoff(3, hint, draw) <= hint + 1


@given(st.integers(0, 10**6), DRAWS)
def test_tries_back_off_to_a_minute_however_many_there_were(failures: int, draw: float) -> None:
    assert 0.75 <= backoff(failures, None, draw) <= BACKOFF_SECONDS * 1.25


def test_the_first_try_comes_soon() -> None:
    assert backoff(1, None, 0.5) == 1.0
    assert [backoff(n, None, 0.5) for n in (2, 3, 4)] == [2.0, 4.0, 8.0]
