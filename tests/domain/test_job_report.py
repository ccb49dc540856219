"""What is shown of a job: where it stands, when it may be done, what to type next."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from builders import HOUR, MINUTE, NOW, a_batch, a_job, a_round

from batchctl.domain.job_report import Stage, current_merge, eta, joined, next_command, report, stage_of
from batchctl.domain.model import (
    EXPIRY,
    RETENTION,
    Batch,
    Claim,
    FailureClass,
    Failures,
    Job,
    Merged,
    Outcome,
    RequestCounts,
    State,
)
from batchctl.domain.outcomes import MAX_TYPES, OTHER_TYPES

S = State
PLANNED, UNCONFIRMED = a_batch(S.PLANNED), a_batch(S.SUBMITTING)
SENDING = a_batch(S.SUBMITTING, claim=Claim(owner="1-aa", until=NOW))
RUNNING, CANCELING = a_batch(S.IN_PROGRESS), a_batch(S.CANCELING)
ENDED, FETCHED, REFUSED = a_batch(S.ENDED), a_batch(S.FETCHED), a_batch(S.REFUSED, note="requests: too long")

HELD = a_batch(S.ENDED, held="msgbatch_1: custom_id r-1: 41 tokens counted, 12 billed")

LOST = a_batch(S.IN_PROGRESS, missing_since=NOW - 5 * MINUTE)
REMOVED = a_batch(S.ENDED, deleted_at=NOW - HOUR)
LOST_RESULTS = a_batch(S.ENDED, missing_since=NOW - HOUR)
ASKED_ONCE = a_batch(S.IN_PROGRESS, missing_since=NOW - HOUR, polled_at=NOW - HOUR)

ALL_GOOD = Merged(at=NOW, batches=1, succeeded=10)
SOME_BAD = Merged(at=NOW, batches=1, succeeded=9, errored=1)


def kind(failure_class: FailureClass, count: int = 1, error_type: str = "api_error", **more: object) -> Failures:
    given = {"round": 1, "outcome": Outcome.ERRORED, "sample_ids": ("r-1",), "sample_message": "Oh", **more}
    return Failures(error_type=error_type, failure_class=failure_class, count=count, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("batches", "job", "stage"),
    [
        ([PLANNED], a_job(), Stage.SENDING),
        ([SENDING], a_job(), Stage.SENDING),
        ([PLANNED, RUNNING, ENDED, FETCHED], a_job(), Stage.SENDING),
        ([PLANNED, RUNNING], a_job(paused="no credit"), Stage.PAUSED),
        ([PLANNED, UNCONFIRMED], a_job(paused="no credit"), Stage.PAUSED),
        ([RUNNING], a_job(paused="no credit"), Stage.RUNNING),
        ([UNCONFIRMED, PLANNED, RUNNING], a_job(), Stage.UNCONFIRMED),
        ([RUNNING, ENDED, FETCHED], a_job(), Stage.RUNNING),
        ([CANCELING], a_job(), Stage.RUNNING),
        ([ENDED, FETCHED], a_job(), Stage.TO_FETCH),
        ([FETCHED], a_job(), Stage.TO_FETCH),
        ([FETCHED, FETCHED], a_job(merged=ALL_GOOD), Stage.TO_FETCH),
        ([FETCHED], a_job(merged=ALL_GOOD), Stage.DONE),
        ([FETCHED], a_job(merged=ALL_GOOD, left_out=1), Stage.INCOMPLETE),
        ([FETCHED], a_job(merged=SOME_BAD), Stage.INCOMPLETE),
        ([FETCHED], a_job(merged=replace(ALL_GOOD, paused_turns=1)), Stage.INCOMPLETE),
        ([FETCHED, REFUSED], a_job(merged=SOME_BAD), Stage.INCOMPLETE),
        ([REFUSED], a_job(), Stage.INCOMPLETE),
        ([LOST, RUNNING], a_job(), Stage.RUNNING),
        ([LOST, FETCHED], a_job(merged=ALL_GOOD), Stage.LOST),
        ([LOST_RESULTS], a_job(), Stage.LOST),
        ([ASKED_ONCE], a_job(), Stage.RUNNING),
        ([PLANNED, RUNNING], a_job(canceled_at=NOW), Stage.RUNNING),
        ([PLANNED, FETCHED], a_job(canceled_at=NOW, merged=SOME_BAD), Stage.CANCELED),
        ([PLANNED], a_job(canceled_at=NOW), Stage.CANCELED),
        ([FETCHED], a_job(canceled_at=NOW, merged=ALL_GOOD), Stage.DONE),
        ([FETCHED], a_job(canceled_at=NOW), Stage.TO_FETCH),
        ([REMOVED], a_job(), Stage.INCOMPLETE),
        ([REMOVED, RUNNING], a_job(), Stage.RUNNING),
        ([REMOVED, ENDED], a_job(), Stage.TO_FETCH),
        ([REMOVED, FETCHED], a_job(merged=SOME_BAD), Stage.INCOMPLETE),
        ([HELD], a_job(), Stage.UNCONFIRMED),
        ([HELD, FETCHED], a_job(merged=ALL_GOOD), Stage.UNCONFIRMED),
        ([HELD, ENDED], a_job(), Stage.UNCONFIRMED),
        ([HELD, LOST], a_job(), Stage.UNCONFIRMED),
        # While the rest of the job goes on, that is what it does.
        ([HELD, RUNNING], a_job(), Stage.RUNNING),
        ([HELD, PLANNED], a_job(), Stage.SENDING),
        ([HELD, SENDING], a_job(), Stage.SENDING),
        ([HELD, PLANNED], a_job(paused="no credit"), Stage.PAUSED),
        ([HELD, PLANNED], a_job(canceled_at=NOW), Stage.UNCONFIRMED),
    ],
)
def test_where_a_job_stands_is_said_by_what_is_left_to_do(batches: list[Batch], job: Job, stage: Stage) -> None:
    assert stage_of(job, batches, NOW) is stage


@pytest.mark.parametrize(
    ("stage", "command", "canceled"),
    [
        (Stage.SENDING, "submit reviews-7f3a", "cancel reviews-7f3a"),
        (Stage.UNCONFIRMED, "submit reviews-7f3a", "cancel reviews-7f3a"),
        (Stage.RUNNING, "status reviews-7f3a --watch", "cancel reviews-7f3a"),
        (Stage.PAUSED, "submit reviews-7f3a", "submit reviews-7f3a"),
        (Stage.LOST, "resolve reviews-7f3a", "resolve reviews-7f3a"),
        (Stage.TO_FETCH, "fetch reviews-7f3a", "fetch reviews-7f3a"),
    ],
)
def test_the_next_command_does_what_is_left(stage: Stage, command: str, canceled: str) -> None:
    assert next_command(a_job(), stage, []) == f"batchctl {command}"
    assert next_command(a_job(canceled_at=NOW), stage, []) == f"batchctl {canceled}"


def test_what_was_never_sent_is_no_batch_and_goes_before_the_last_fetch() -> None:
    rest = a_batch(S.IN_NO_BATCH, 5, first=10)
    told = report(a_job(rounds=[a_round(1, 15)]), [FETCHED, rest], (), NOW, 5)
    assert (told.stage, told.next_command) == (Stage.TO_FETCH, "batchctl retry reviews-7f3a")
    assert (told.batches, told.rounds[0].batches, told.rounds[0].requests) == ((FETCHED,), 1, 15)
    (warning,) = told.warnings
    assert warning.startswith("5 requests are in none of the attached batches; to send the rest")
    # What is on its way comes home first: a retry waits for it.
    assert report(a_job(), [ENDED, rest], (), NOW, 5).next_command == "batchctl fetch reviews-7f3a"
    assert report(a_job(), [FETCHED, rest], (), NOW, 0).next_command == "batchctl fetch reviews-7f3a"
    assert report(a_job(), [FETCHED, rest], (), NOW, 1).warnings[0].startswith("1 request is in none")
    done = report(a_job(merged=ALL_GOOD), [FETCHED, rest], (), NOW, 0)
    assert (done.stage, done.warnings) == (Stage.DONE, ())


def test_where_nothing_is_left_no_command_is_named() -> None:
    failures = [kind(FailureClass.RETRY), kind(FailureClass.FIX)]
    assert next_command(a_job(), Stage.DONE, []) == ""
    assert next_command(a_job(), Stage.INCOMPLETE, []) == ""
    # What a person canceled goes again at their word only.
    assert next_command(a_job(canceled_at=NOW), Stage.CANCELED, failures) == ""


RETRY, FIX, ACCOUNT = kind(FailureClass.RETRY), kind(FailureClass.FIX), kind(FailureClass.ACCOUNT)
UNREAD_PDF = replace(RETRY, error_type="invalid_request_error")
CANCELED = replace(FIX, outcome=Outcome.CANCELED, error_type="canceled")
UNKNOWN = replace(FIX, outcome=Outcome.UNKNOWN, error_type="postponed")


@pytest.mark.parametrize(
    ("failures", "first", "later"),
    [
        ([FIX, RETRY], "", ""),
        ([RETRY, CANCELED, UNKNOWN], "", ""),
        ([FIX, ACCOUNT], " --only account", " --only account"),
        ([FIX, ACCOUNT, RETRY], " --only account --only retry", " --only account --only retry"),
        ([FIX], " --include-invalid --edit", " --include-invalid --edit"),
        ([FIX, CANCELED, UNKNOWN], " --include-invalid --edit", " --include-invalid --edit"),
        # It may pass on a second try, and not on every one.
        ([UNREAD_PDF], "", " --include-invalid --edit"),
        ([UNREAD_PDF, RETRY], "", ""),
        ([CANCELED, UNKNOWN], " --include-canceled", " --include-canceled"),
        ([UNKNOWN], " --only unknown --dry-run", " --only unknown --dry-run"),
    ],
)
def test_what_failed_goes_again_as_it_can(failures: list[Failures], first: str, later: str) -> None:
    for rounds, options in ((1, first), (2, later)):
        job = a_job(rounds=[a_round(number=n) for n in range(1, rounds + 1)])
        assert next_command(job, Stage.INCOMPLETE, failures) == f"batchctl retry reviews-7f3a{options}"


def test_what_the_model_refused_does_not_go_again() -> None:
    assert next_command(a_job(), Stage.INCOMPLETE, [kind(FailureClass.POLICY)]) == ""


@pytest.mark.parametrize(
    ("batches", "command"),
    [
        ([UNCONFIRMED], "batchctl submit reviews-7f3a"),
        ([HELD], "batchctl resolve reviews-7f3a"),
        ([HELD, UNCONFIRMED], "batchctl resolve reviews-7f3a"),
        ([HELD, FETCHED], "batchctl resolve reviews-7f3a"),
        ([HELD, RUNNING], "batchctl status reviews-7f3a --watch"),
        ([HELD, PLANNED], "batchctl submit reviews-7f3a"),
    ],
)
def test_what_only_a_person_can_say_is_asked_for_once_the_rest_is_done(batches: list[Batch], command: str) -> None:
    assert report(a_job(), batches, (), NOW).next_command == command


# ---------------------------------------------------------------- what it rests on

BASIS = "size, ids, model and token counts of 20 answers"


def found_in_list(state: State = S.FETCHED, **more: Any) -> Batch:
    return a_batch(state, **{"evidence": BASIS, **more})


@pytest.mark.parametrize(
    ("batches", "expected"),
    [
        ([], ""),
        ([FETCHED, RUNNING, PLANNED], ""),
        (
            [found_in_list(), FETCHED],
            f"1 of 2 batches found in the API's list and identified by {BASIS}; the API itself did not confirm it",
        ),
        (
            [found_in_list(), found_in_list(), FETCHED],
            f"2 of 3 batches found in the API's list and identified by {BASIS}; the API itself did not confirm it",
        ),
        (
            [found_in_list(evidence="a person's word"), found_in_list(), found_in_list(evidence="size and ids")],
            "3 of 3 batches found in the API's list and identified by a person's word (and 2 more); the API itself did not confirm it",
        ),
        # Its results were not verified yet: it rests on nothing so far.
        ([found_in_list(S.ENDED, provisional=True), FETCHED], ""),
    ],
)
def test_what_it_rests_on_that_batches_are_ours_is_said(batches: list[Batch], expected: str) -> None:
    assert report(a_job(), batches, (), NOW).rests_on == expected


def test_provisional_matches_are_counted_until_some_of_their_ids_were_read() -> None:
    match = a_batch(S.IN_PROGRESS, provisional=True)
    read = a_batch(S.IN_PROGRESS, provisional=True, identified=True)
    assert report(a_job(), [match, match, read, RUNNING, PLANNED], (), NOW).matched == 2


# ---------------------------------------------------------------- time


def test_the_guess_is_made_from_what_ended_batches_took() -> None:
    running = a_batch(S.IN_PROGRESS, created_at=NOW - 4 * MINUTE)
    assert eta([ENDED, running], NOW) == NOW + 6 * MINUTE


@pytest.mark.parametrize(
    "batches",
    [
        [RUNNING],
        [ENDED],
        [ENDED, RUNNING, PLANNED],
        [ENDED, a_batch(S.IN_PROGRESS, created_at=NOW - HOUR)],
        [],
    ],
)
def test_no_guess_is_better_than_a_wrong_one(batches: list[Batch]) -> None:
    assert eta(batches, NOW) is None


def test_a_job_under_way_is_as_old_as_the_clock_says_and_one_that_is_over_stays_so() -> None:
    later = NOW + HOUR
    assert report(a_job(), [RUNNING, ENDED], (), later).elapsed == HOUR
    assert report(a_job(), [ENDED, FETCHED], (), later).elapsed == 10 * MINUTE


def test_the_two_clocks_are_the_earliest_of_those_that_still_matter() -> None:
    old = a_batch(S.IN_PROGRESS, created_at=NOW - HOUR, expires_at=NOW - HOUR + EXPIRY)
    gone = a_batch(S.FETCHED, created_at=NOW - 10 * HOUR)
    seen = report(a_job(), [RUNNING, old, gone], (), NOW)
    assert seen.expires_at == NOW - HOUR + EXPIRY
    assert seen.retained_until == NOW - HOUR + RETENTION
    assert report(a_job(), [gone], (), NOW).retained_until is None


# ---------------------------------------------------------------- warnings


def warnings(*batches: Batch, job: Job | None = None, after: timedelta = timedelta()) -> str:
    return "\n".join(report(job or a_job(), batches, (), NOW + after).warnings)


@pytest.mark.parametrize(
    ("batch", "job", "after", "words"),
    [
        (PLANNED, a_job(paused="no credit"), timedelta(), "paused: no credit"),
        (
            PLANNED,
            a_job(hold_until=NOW + HOUR, hold_reason="queue"),
            timedelta(),
            "sending waits until 13:00:00 UTC: queue",
        ),
        (RUNNING, a_job(), 21 * HOUR, "1 batch expires within 4 h"),
        (ENDED, a_job(), RETENTION - 24 * HOUR, "the API deletes results from 2026-12-20 12:00 UTC on"),
        (a_batch(S.IN_PROGRESS, missing_since=NOW), a_job(), timedelta(), "1 batch is not known"),
        (REFUSED, a_job(), timedelta(), "1 batch was rejected by the API: requests: too long"),
        (
            a_batch(S.IN_PROGRESS, provisional=True),
            a_job(),
            timedelta(),
            "1 of 1 batch is a provisional match by size",
        ),
        (
            a_batch(S.IN_PROGRESS, provisional=True),
            a_job(canceled_at=NOW),
            timedelta(),
            "is not canceled; to cancel it, if it is yours: batchctl resolve reviews-7f3a --cancel msgbatch_1",
        ),
        (
            HELD,
            a_job(),
            timedelta(),
            "1 of 1 batch may belong to another job: msgbatch_1: custom_id r-1: 41 tokens counted, 12 billed",
        ),
        (
            a_batch(S.FETCHED, counts_unread=True),
            a_job(),
            timedelta(),
            "the API's counts of 1 fetched batch could not",
        ),
    ],
)
def test_what_a_person_must_know_is_said(batch: Batch, job: Job, after: timedelta, words: str) -> None:
    assert words in warnings(batch, job=job, after=after)


@pytest.mark.parametrize(
    ("batch", "job", "after"),
    [
        (RUNNING, a_job(hold_until=NOW + HOUR, hold_reason="queue"), timedelta()),
        (RUNNING, a_job(), 19 * HOUR),
        (ENDED, a_job(), RETENTION - 8 * 24 * HOUR),
        (FETCHED, a_job(), RETENTION),
        (a_batch(S.FETCHED, missing_since=NOW), a_job(), timedelta()),
        (a_batch(S.IN_PROGRESS, provisional=True, identified=True), a_job(), timedelta()),
        (a_batch(S.IN_PROGRESS, counts_unread=True), a_job(), timedelta()),
        (found_in_list(), a_job(), timedelta()),
    ],
)
def test_what_no_longer_matters_is_not_said(batch: Batch, job: Job, after: timedelta) -> None:
    assert warnings(batch, job=job, after=after) == ""


# ---------------------------------------------------------------- counts and failures


def test_rounds_are_counted_apart_and_sums_are_the_apis() -> None:
    job = a_job(rounds=[a_round(1, 20), a_round(2, 5)])
    batches = [
        a_batch(S.FETCHED, counts=RequestCounts(succeeded=8, errored=2)),
        a_batch(S.ENDED, counts=RequestCounts(succeeded=7, expired=3)),
        a_batch(S.IN_PROGRESS, 5, round=2),
    ]
    first, second = report(job, batches, (), NOW).rounds
    assert (first.requests, first.batches, first.by_state) == (20, 2, {S.FETCHED: 1, S.ENDED: 1})
    assert first.counts == RequestCounts(succeeded=15, errored=2, expired=3)
    assert (second.number, second.counts.processing, second.by_state) == (2, 5, {S.IN_PROGRESS: 1})


def test_only_the_last_merge_of_all_that_is_on_the_disk_is_believed() -> None:
    job = a_job(merged=ALL_GOOD)
    assert current_merge(job, [FETCHED]) == ALL_GOOD
    assert current_merge(job, [FETCHED, RUNNING]) == ALL_GOOD
    assert current_merge(job, [FETCHED, FETCHED]) is None
    assert current_merge(job, [RUNNING]) is None
    assert current_merge(a_job(), [FETCHED]) is None


def test_failures_are_those_of_the_newest_round_until_a_merge_knows_better() -> None:
    found = [kind(FailureClass.RETRY, round=1), kind(FailureClass.FIX, round=2)]
    job = a_job(rounds=[a_round(1), a_round(2)])
    assert [f.failure_class for f in report(job, [RUNNING], found, NOW).failures] == [FailureClass.FIX]
    merged = Merged(at=NOW, batches=1, errored=1, failures=(kind(FailureClass.ACCOUNT),))
    known = report(a_job(rounds=job.rounds, merged=merged), [FETCHED], found, NOW)
    assert [f.failure_class for f in known.failures] == [FailureClass.ACCOUNT]


def test_failures_of_one_kind_are_joined_the_most_frequent_first() -> None:
    found = joined(
        [
            kind(FailureClass.RETRY, 1, sample_ids=("a", "b")),
            kind(FailureClass.FIX, 5, "invalid_request_error"),
            kind(FailureClass.RETRY, 2, sample_ids=("c", "d")),
            kind(FailureClass.RETRY, 1, "overloaded_error"),
        ]
    )
    assert [(f.error_type, f.count) for f in found] == [
        ("invalid_request_error", 5),
        ("api_error", 3),
        ("overloaded_error", 1),
    ]
    assert found[1].sample_ids == ("a", "b", "c")


def test_one_type_of_two_classes_stays_two_kinds() -> None:
    found = joined([kind(FailureClass.FIX, 2), kind(FailureClass.ACCOUNT, 1)])
    assert [(f.failure_class, f.count) for f in found] == [(FailureClass.FIX, 2), (FailureClass.ACCOUNT, 1)]


def test_of_failures_of_many_types_in_many_batches_the_rest_is_one_row_for_each_class() -> None:
    many = [kind(FailureClass.RETRY, 1, f"strange_{n}") for n in range(1000)]
    found = joined([*many, kind(FailureClass.FIX, 2, "strange_999"), kind(FailureClass.RETRY, 3, "overloaded_error")])
    rows = {(one.error_type, one.failure_class): one.count for one in found}
    assert len(rows) == MAX_TYPES + 3
    assert rows[OTHER_TYPES, FailureClass.RETRY] == 1000 - MAX_TYPES
    assert rows[OTHER_TYPES, FailureClass.FIX] == 2
    assert rows["overloaded_error", FailureClass.RETRY] == 3
