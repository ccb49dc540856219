"""Attaching batches: their ids, their order in a job, and whose they may be instead."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from builders import HOUR, MINUTE, NOW, a_batch, a_cut, a_job, a_message_batch, a_round

from batchctl.domain.attaching import (
    cuts_without_requests,
    ids_problem,
    is_id,
    list_some,
    may_be,
    sorted_by_creation,
    stand_in_sha256,
)
from batchctl.domain.job_report import Stage, next_command
from batchctl.domain.limits import API_CLOCK_SLACK
from batchctl.domain.model import FailureClass, Failures, Outcome, State
from batchctl.domain.names import job_name


@pytest.mark.parametrize(
    ("word", "is_one"),
    [
        ("msgbatch_01EmuXk3vQ9fYt7RbW2sLc8D", True),
        ("msgbatch_a_b", True),
        (f"msgbatch_{'x' * 119}", True),
        (f"msgbatch_{'x' * 120}", False),
        ("msgbatch_", False),
        ("msgbatch_a-b", False),
        ("msgbatch_é", False),
        ("msgbatch_a\n", False),
        (" msgbatch_a", False),
        ("batch_a", False),
        ("", False),
    ],
)
def test_what_is_the_id_of_a_message_batch(word: str, *, is_one: bool) -> None:
    assert is_id(word) is is_one


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["msgbatch_1", "msgbatch_2"], ""),
        (["msgbatch_1", "reviews-7f3a"], "'reviews-7f3a' is not a batch id"),
        (["msgbatch_1", "msgbatch_2", "msgbatch_1", "msgbatch_1"], "given twice: msgbatch_1"),
    ],
)
def test_ids_are_ids_and_each_comes_once(words: list[str], said: str) -> None:
    assert said in ids_problem(words)
    assert bool(ids_problem(words)) is bool(said)


def test_of_many_names_a_few_are_told() -> None:
    assert list_some("abc") == "a, b, c"
    assert list_some([str(n) for n in range(1_003)]) == "0, 1, 2 and 1,000 more"


def test_batches_stand_as_they_were_created_and_then_as_they_were_named() -> None:
    late, early, same = (
        a_message_batch(name, created_at=at) for name, at in [("a", NOW + MINUTE), ("b", NOW), ("c", NOW)]
    )
    assert sorted_by_creation([late, early, same]) == [early, same, late]
    assert sorted_by_creation([late, same, early]) == [same, early, late]


def test_what_has_no_time_that_can_be_read_stands_first() -> None:
    early, unread = a_message_batch("a"), replace(a_message_batch("b"), created_at=None)
    assert sorted_by_creation([early, unread, replace(unread, id="c")]) == [unread, replace(unread, id="c"), early]


def test_each_has_its_place_and_no_requests() -> None:
    places = cuts_without_requests([a_message_batch(count=10), a_message_batch(count=7), a_message_batch(count=1)])
    assert [(place.first, place.count) for place in places] == [(0, 10), (10, 7), (17, 1)]
    assert not any(place.has_requests for place in places)
    assert a_cut().has_requests


def test_a_job_lacks_its_requests_as_long_as_its_first_round_has_no_file() -> None:
    assert a_job().has_requests
    assert not a_job(rounds=[a_round(request_file="")]).has_requests


def test_the_hash_that_stands_in_is_never_that_of_an_input() -> None:
    one = stand_in_sha256(["msgbatch_1", "msgbatch_2"])
    assert one == stand_in_sha256(["msgbatch_2", "msgbatch_1"]) != stand_in_sha256(["msgbatch_1"])
    assert len(one) <= 64
    assert set(one) - set("0123456789abcdef")
    assert job_name("attached", one, ()) == f"attached-{one[:4]}"


@pytest.mark.parametrize(
    ("count", "created_at", "created_after", "may"),
    [
        (10, NOW, NOW, True),
        (10, NOW + 500 * HOUR, NOW, True),
        (10, NOW - API_CLOCK_SLACK, NOW, True),
        (10, NOW - API_CLOCK_SLACK - timedelta(microseconds=1), NOW, False),
        (10, NOW - 500 * HOUR, NOW, False),
        # Nothing bounds it: our own clock, by which the create began, says nothing of the API's times.
        (10, NOW - 500 * HOUR, None, True),
        # What cannot be read excludes nothing.
        (10, None, NOW, True),
        (None, NOW, NOW, True),
        (None, None, None, True),
        (None, NOW - HOUR, NOW, False),
        (11, NOW, None, False),
        (11, None, None, False),
    ],
)
def test_what_may_be_the_batch_of_an_unconfirmed_create(
    count: int | None, created_at: datetime | None, created_after: datetime | None, *, may: bool
) -> None:
    unconfirmed = a_batch(State.SUBMITTING, created_after=created_after)
    seen = a_message_batch(count=count or 0)
    seen = replace(seen, created_at=created_at, counts=None if count is None else seen.counts)
    assert may_be(unconfirmed, seen) is may


@pytest.mark.parametrize(
    ("failure_class", "command"),
    [
        (FailureClass.RETRY, "batchctl attach reviews-7f3a --input FILE"),
        (FailureClass.FIX, "batchctl attach reviews-7f3a --input FILE"),
        (FailureClass.ACCOUNT, "batchctl attach reviews-7f3a --input FILE"),
        (FailureClass.POLICY, ""),
    ],
)
def test_what_cannot_be_sent_again_needs_its_input_first(failure_class: FailureClass, command: str) -> None:
    job = a_job(rounds=[a_round(request_file="")])
    failed = Failures(
        round=1,
        outcome=Outcome.ERRORED,
        error_type="api_error",
        failure_class=failure_class,
        count=1,
        sample_ids=(),
        sample_message="",
    )
    assert next_command(job, Stage.INCOMPLETE, [failed]) == command
    assert next_command(job, Stage.INCOMPLETE, []) == ""
