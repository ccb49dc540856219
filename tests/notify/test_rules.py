"""What is told, when, and when it is tried again: tables of cases."""

from datetime import datetime, timedelta

import pytest
from builders import HOUR, MINUTE, NOW, a_batch

from batchctl.domain import errors
from batchctl.domain.job_report import Stage
from batchctl.domain.model import State
from batchctl.domain.notifications import Notification, NotifyEvent, NotifyTarget, TargetKind
from batchctl.notify import command, webhook
from batchctl.notify.rules import (
    ATTEMPT_LIMIT,
    Occasion,
    is_due,
    is_waited_for,
    next_attempt,
    occasion_key,
    occasion_of,
)

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
ENDED = Occasion(event=NotifyEvent.ENDED, reason="ended")


def person(reason: str) -> Occasion:
    return Occasion(event=NotifyEvent.NEEDS_PERSON, reason=reason)


S = Stage
LIMIT, ACCOUNT, UNCONFIRMED = errors.Refused(""), errors.AccountProblem(""), errors.UnconfirmedProblem("")
SERVICE, FAULTS, FULL = errors.ServiceProblem(""), errors.InputProblem(""), errors.DiskProblem("")
NOBODY_TOLD = (errors.TimedOut(""), errors.UsageProblem(""), errors.LedgerProblem(""))

# Stage, problem, whether anything was sent, whether the command waits for the end; and what is told.
CASES: list[tuple[Stage, errors.BatchctlError | None, bool, bool, Occasion | None]] = [
    *((stage, None, True, True, ENDED) for stage in (S.DONE, S.INCOMPLETE, S.CANCELED, S.TO_FETCH)),
    *((stage, None, True, True, None) for stage in (S.RUNNING, S.SENDING)),
    (S.UNCONFIRMED, None, True, True, person("unconfirmed")),
    (S.LOST, None, True, True, person("lost")),
    (S.PAUSED, None, True, True, person("paused")),
    # A command that only sends has seen no end.
    *((stage, None, True, False, None) for stage in Stage),
    # A job of which nothing was sent has not ended, however it is canceled.
    (S.CANCELED, None, False, True, None),
    # Unconfirmed batches and the account need a person, whatever was sent.
    *((S.UNCONFIRMED, UNCONFIRMED, sent, waits, person("in_doubt")) for sent in (True, False) for waits in (True, False)),
    *((S.PAUSED, ACCOUNT, sent, waits, person("account")) for sent in (True, False) for waits in (True, False)),
    (S.PAUSED, errors.CertificateProblem(""), True, True, person("certificate")),
    # A limit, also one that keeps the next round from being sent.
    (S.SENDING, LIMIT, True, False, person("refused")),
    (S.INCOMPLETE, LIMIT, True, True, person("refused")),
    (S.SENDING, LIMIT, False, True, None),
    (S.SENDING, FAULTS, True, True, person("input")),
    (S.SENDING, FAULTS, False, True, None),
    (S.TO_FETCH, FULL, True, True, person("disk")),
    # The API refused some batches for good; whether that is the end depends on the others.
    (S.INCOMPLETE, SERVICE, True, True, ENDED),
    (S.INCOMPLETE, SERVICE, True, False, None),
    (S.RUNNING, SERVICE, True, True, person("service")),
    (S.SENDING, SERVICE, False, True, None),
    *((S.RUNNING, problem, True, True, None) for problem in NOBODY_TOLD),
    *((S.DONE, problem, True, True, None) for problem in NOBODY_TOLD),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "problem", "was_sent", "waits_for_end", "told"), CASES)
def test_what_the_end_of_a_command_means(
    stage: Stage, problem: errors.BatchctlError | None, *, was_sent: bool, waits_for_end: bool, told: Occasion | None
) -> None:
    assert occasion_of(stage, problem, was_sent=was_sent, waits_for_end=waits_for_end) == told


def test_every_stage_and_every_problem_is_in_the_table() -> None:
    assert {case[0] for case in CASES} == set(Stage)
    assert {type(case[1]) for case in CASES if case[1]} == {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.BatchctlError) and kind is not errors.BatchctlError
    }


def test_a_target_is_told_again_only_once_the_job_moved_on() -> None:
    batches = [a_batch(State.IN_PROGRESS), a_batch(State.PLANNED)]
    key = occasion_key(ENDED, 1, batches)
    assert key == occasion_key(ENDED, 1, [a_batch(State.ENDED), a_batch(State.PLANNED, note="later")])
    others = {
        occasion_key(ENDED, 2, batches),
        occasion_key(ENDED, 1, [a_batch(State.IN_PROGRESS)] * 2),
        occasion_key(ENDED, 1, [a_batch(State.IN_PROGRESS), a_batch(State.PLANNED, unknown_creates=1)]),
        occasion_key(person("account"), 1, batches),
        occasion_key(person("refused"), 1, batches),
    }
    assert len(others - {key}) == 5


@pytest.mark.parametrize(
    ("attempts", "passed", "wait"),
    [
        (1, 0 * SECOND, SECOND),
        (2, SECOND, 4 * SECOND),
        (3, 5 * SECOND, MINUTE),
        (4, MINUTE, 5 * MINUTE),
        (5, 6 * MINUTE, 15 * MINUTE),
        (6, HOUR, HOUR),
        (7, 3 * HOUR, 2 * HOUR),
        (40, 3 * HOUR, 2 * HOUR),
        (9, DAY - 2 * HOUR, 2 * HOUR),
        (9, DAY - 2 * HOUR + SECOND, None),
        (1, DAY - SECOND, SECOND),
        (1, 2 * DAY, None),
    ],
)
def test_the_next_attempt_comes_later_each_time_and_none_after_a_day(
    attempts: int, passed: timedelta, wait: timedelta | None
) -> None:
    now = NOW + passed
    due = next_attempt(attempts, NOW, now)
    assert due == (None if wait is None else now + wait)
    assert due is None or is_waited_for(due, now) is (attempts < 3)


def test_a_receiver_that_fails_for_an_hour_is_told_by_a_later_command() -> None:
    """Commands that run every minute: some attempts in the hour, and one within an hour of its end."""
    attempts, due, now, begun = 0, NOW, NOW, []
    while now <= NOW + 2 * HOUR:
        if due is not None and now >= due:
            attempts += 1
            begun.append(now)
            due_next = next_attempt(attempts, NOW, now)
            assert due_next is not None
            due = due_next
        now += MINUTE
    assert 5 <= sum(at <= NOW + HOUR for at in begun) <= 7
    assert any(NOW + HOUR < at <= NOW + 2 * HOUR for at in begun)


@pytest.mark.parametrize(
    ("attempted", "not_before", "due"),
    [
        (None, None, True),
        (NOW - MINUTE, NOW, True),
        (NOW - MINUTE, NOW + SECOND, False),
        # The clock was set back since: what was said of the time does not hold.
        (NOW + HOUR, NOW + 2 * HOUR, True),
    ],
)
def test_when_an_attempt_is_due(attempted: datetime | None, not_before: datetime | None, *, due: bool) -> None:
    notification = Notification(
        id=1,
        target=NotifyTarget(id="a", kind=TargetKind.URL, label=""),
        message_id="msg_1",
        job="job",
        event=NotifyEvent.ENDED,
        body="{}",
        attempts=1,
        created_at=NOW,
        attempted_at=attempted,
        not_before=not_before,
    )
    assert is_due(notification, NOW) is due


def test_an_attempt_is_held_for_longer_than_it_may_take() -> None:
    longest = max(command.TIME_LIMIT + command.TERM_SECONDS, webhook.TIME_LIMIT)
    assert ATTEMPT_LIMIT.total_seconds() > longest + 30
