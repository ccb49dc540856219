"""Every record says what has happened: the state, what came with it, and when."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from builders import API, HOUR, MINUTE, NOW, a_cut, a_job, a_message_batch, a_round

from batchctl.domain.model import (
    Batch,
    Claim,
    Cut,
    FailureClass,
    Failures,
    IfAbsent,
    Job,
    Merged,
    MessageBatch,
    Outcome,
    PresumedNotCreated,
    ProcessingStatus,
    RequestCounts,
    Settings,
    State,
    Unconfirmed,
    Verified,
)
from batchctl.domain.prices import CacheUse, TotalCost, Usage, UsageTotals
from batchctl.ledger.ledger import SqlLedger
from batchctl.ledger.liveness import LEASE
from batchctl.ledger.writing import advance

S = State
LATER = NOW + MINUTE


def now_of(ledger: SqlLedger, batch: Batch) -> Batch:
    """The batch as the ledger has it by now."""
    job = next(job for job in ledger.jobs() if job.id == batch.job_id)
    return next(b for b in ledger.batches(job) if b.id == batch.id)


def named(name: str, count: int = 10, **more: Any) -> MessageBatch:
    return a_message_batch(name, count, **more)


def ended(name: str, counts: RequestCounts) -> MessageBatch:
    return a_message_batch(name, counts.total, counts=counts, ended_at=NOW + HOUR)


def sending(ledger: SqlLedger, batch: Batch, at: datetime = NOW) -> Batch:
    assert ledger.claim_send(batch, "1-aa", at, created_after=None, api=API)
    return now_of(ledger, batch)


def lost(ledger: SqlLedger, batch: Batch, at: datetime = NOW, **more: Any) -> Batch:
    """Sent, and no answer came."""
    given = {"not_before": NOW, "note": "timeout", **more}
    ledger.record_unconfirmed(sending(ledger, batch, at), "1-aa", at, **given)
    return now_of(ledger, batch)


def adopted(ledger: SqlLedger, batch: Batch, name: str = "msgbatch_1", *, identified: bool = False) -> Batch:
    found = sending(ledger, batch)
    assert ledger.record_adopted(found, named(name, batch.count), "1-aa", NOW, identified=identified)
    return now_of(ledger, batch)


def running(ledger: SqlLedger, batch: Batch, name: str = "msgbatch_1") -> Batch:
    ledger.record_created(sending(ledger, batch), named(name, batch.count), NOW)
    return now_of(ledger, batch)


def over(ledger: SqlLedger, batch: Batch, name: str = "msgbatch_1") -> Batch:
    started = running(ledger, batch, name)
    ledger.record_polled([(started, ended(name, RequestCounts(succeeded=batch.count)))], NOW)
    return now_of(ledger, batch)


VERIFIED = Verified(
    bytes=1234,
    sha256="a" * 64,
    counts=RequestCounts(succeeded=8, errored=1),
    unknown=1,
    truncated=2,
    refusals=1,
    paused_turns=1,
    failures=(
        Failures(
            round=1,
            outcome=Outcome.ERRORED,
            error_type="overloaded_error",
            failure_class=FailureClass.RETRY,
            count=1,
            sample_ids=("r-1",),
            sample_message="Overloaded “now”",
        ),
    ),
)

# ---------------------------------------------------------------- jobs


def test_a_job_is_read_back_as_it_was_recorded(ledger: SqlLedger) -> None:
    settings = Settings(
        api_version="2023-06-01",
        betas=("b-1", "b-2"),
        max_requests=5,
        max_bytes=5000,
        labels={"k": "ü"},
        size_start=137,
        depth="full",
    )
    given = a_job("weird-7f3a", [a_round(count=3)], settings=settings, left_out=2, line_count=5, may_be_copied=True)
    recorded = ledger.record_job(given, [a_cut(2), a_cut(1, 2)])
    assert recorded == ledger.job("weird-7f3a") == ledger.jobs()[0]
    assert recorded == a_job(**{**_fields(given), "id": recorded.id})
    assert [(b.cut, b.state, b.round, b.claim) for b in ledger.batches(recorded)] == [
        (a_cut(2), S.PLANNED, 1, None),
        (a_cut(1, 2), S.PLANNED, 1, None),
    ]


def _fields(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in job.__dataclass_fields__}


def test_a_job_is_recorded_whole_or_not_at_all(ledger: SqlLedger) -> None:
    with pytest.raises(Exception, match="UNIQUE"):
        ledger.record_job(a_job(), [a_cut(1), a_cut(1)])
    assert ledger.jobs() == []


def test_two_jobs_cannot_share_a_name(ledger: SqlLedger, job: Job) -> None:
    with pytest.raises(Exception, match="UNIQUE"):
        ledger.record_job(a_job(job.name), [a_cut()])


def test_jobs_come_oldest_first_and_their_batches_in_input_order(ledger: SqlLedger, job: Job) -> None:
    ledger.record_job(a_job("other-1111"), [a_cut(1, 1), a_cut(1)])
    assert [j.name for j in ledger.jobs()] == [job.name, "other-1111"]
    assert [b.cut.first for b in ledger.batches(ledger.job("other-1111"))] == [0, 1]


def test_a_round_is_added_once_by_whoever_is_first(ledger: SqlLedger, job: Job) -> None:
    assert ledger.record_round(job, a_round(2, 3), [a_cut(3)])
    assert not ledger.record_round(job, a_round(2, 3), [a_cut(3)])
    assert not ledger.record_round(job, a_round(4, 3), [a_cut(3)])
    known = ledger.job(job.name)
    assert [r.number for r in known.rounds] == [1, 2]
    assert [(b.round, b.count) for b in ledger.batches(known)] == [(1, 10), (1, 10), (1, 7), (2, 3)]


def test_a_batch_knows_its_place_in_its_round(ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]) -> None:
    ledger.record_round(job, a_round(2, 3), [a_cut(3)])
    assert [ledger.place(b) for b in ledger.batches(ledger.job(job.name))] == [(1, 3), (2, 3), (3, 3), (1, 1)]
    assert ledger.place(batches[2]) == (3, 3)


@pytest.mark.parametrize(
    ("record", "field", "value"),
    [
        (lambda ledger, job: ledger.record_pause(job, "no credit"), "paused", "no credit"),
        (lambda ledger, job: ledger.record_hold(job, LATER, "queue", NOW), "hold_until", LATER),
        (lambda ledger, job: ledger.record_hold(job, LATER, "queue", NOW), "hold_at", NOW),
        (lambda ledger, job: ledger.record_hold(job, LATER, "queue", NOW), "hold_reason", "queue"),
    ],
)
def test_a_pause_and_a_hold_are_kept_until_they_are_taken_back(
    ledger: SqlLedger, job: Job, record: Any, field: str, value: object
) -> None:
    record(ledger, job)
    assert getattr(ledger.job(job.name), field) == value
    ledger.record_pause(job, "")
    ledger.record_hold(job, None, "", LATER)
    assert ledger.job(job.name) == replace(job, hold_at=LATER)


def test_the_place_of_a_rounds_bytes_may_move(ledger: SqlLedger, job: Job) -> None:
    ledger.record_round(job, a_round(2, 3), [a_cut(3)])
    ledger.record_request_file(job, 1, "/moved/in.jsonl", 77)
    first, second = ledger.job(job.name).rounds
    assert (first.request_file, first.mtime_ns) == ("/moved/in.jsonl", 77)
    assert second == a_round(2, 3)


@pytest.mark.parametrize("saved", [Decimal("-0.0000000000000000001"), None])
def test_a_merge_is_read_back_with_its_types(ledger: SqlLedger, job: Job, saved: Decimal | None) -> None:
    merged = Merged(
        at=NOW,
        batches=3,
        succeeded=20,
        errored=1,
        unanswered=6,
        truncated=2,
        failures=VERIFIED.failures,
        cost=TotalCost(
            batch=Decimal("0.0000000000000000001"),
            real_time=Decimal(2),
            unknown=("why",),
            beyond=("what", "else"),
            sources=("a list",),
            days=(NOW.date(),),
            cache=CacheUse(tokens=7, read_tokens=3, saved=saved),
        ),
    )
    ledger.record_merged(job, merged)
    known = ledger.job(job.name).merged
    assert known == merged
    assert known is not None
    assert isinstance(known.failures[0].outcome, Outcome)
    assert isinstance(known.failures[0].failure_class, FailureClass)


# ---------------------------------------------------------------- sending


def test_the_intent_is_on_record_before_anything_is_sent(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    assert ledger.claim_send(batches[0], "1-aa", LATER, created_after=NOW, api=API)
    sent = now_of(ledger, batches[0])
    assert (sent.state, sent.attempt, sent.intent_at, sent.created_after, sent.api) == (
        S.SUBMITTING,
        1,
        LATER,
        NOW,
        API,
    )
    assert (sent.unconfirmed, sent.if_absent) == (Unconfirmed.UNKNOWN, IfAbsent.PLAN)
    assert (sent.list_reads, sent.provisional, sent.identified) == (0, False, False)
    assert sent.claim == Claim(owner="1-aa", until=LATER + LEASE)


def test_a_new_intent_forgets_what_the_last_one_met_and_counts_on(
    ledger: SqlLedger, batches: tuple[Batch, ...]
) -> None:
    first = lost(
        ledger, batches[0], not_before=LATER, list_reads=3, unconfirmed=Unconfirmed.REFUSED, if_absent=IfAbsent.SPLIT
    )
    assert ledger.record_presumed_not_created(first, "2-bb", NOW, note="")
    planned = now_of(ledger, batches[0])
    assert ledger.claim_send(planned, "2-bb", LATER, created_after=NOW, api="http://other org_2")
    again = now_of(ledger, batches[0])
    assert (again.attempt, again.intent_at, again.created_after, again.api) == (2, LATER, NOW, "http://other org_2")
    assert (again.list_reads, again.not_before, again.put_off_at) == (0, None, None)
    assert (again.unconfirmed, again.if_absent) == (Unconfirmed.UNKNOWN, IfAbsent.PLAN)
    assert again.unproven_refusals == 1, "what was presumed of earlier creates is not forgotten"


def test_a_batch_that_was_created_has_its_name_and_is_free(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    known = running(ledger, batches[0])
    assert (known.state, known.message_batch_id, known.provisional, known.claim) == (
        S.IN_PROGRESS,
        "msgbatch_1",
        False,
        None,
    )
    assert (known.created_at, known.expires_at, known.polled_at) == (NOW, NOW + timedelta(hours=24), NOW)
    assert known.counts == RequestCounts(processing=10)
    assert ledger.job_id_of_message_batch("msgbatch_1") == batches[0].job_id
    assert ledger.job_id_of_message_batch("msgbatch_2") is None


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (ProcessingStatus.IN_PROGRESS, S.IN_PROGRESS),
        (ProcessingStatus.CANCELING, S.CANCELING),
        (ProcessingStatus.ENDED, S.ENDED),
    ],
)
def test_what_is_created_or_adopted_takes_the_state_the_api_names(
    ledger: SqlLedger, batches: tuple[Batch, ...], status: ProcessingStatus, state: State
) -> None:
    seen = named("msgbatch_1", processing_status=status)
    other = named("msgbatch_2", processing_status=status)
    ledger.record_created(sending(ledger, batches[0]), seen, NOW)
    assert ledger.record_adopted(sending(ledger, batches[1]), other, "1-aa", NOW, identified=False)
    assert [now_of(ledger, b).state for b in batches[:2]] == [state, state]


def test_a_definite_no_plans_it_again_with_its_time_and_reason(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    assert ledger.record_not_created(sending(ledger, batches[0]), "1-aa", NOW, not_before=LATER, note="HTTP 429")
    known = now_of(ledger, batches[0])
    assert (known.state, known.claim, known.tries, known.not_before, known.put_off_at, known.note) == (
        S.PLANNED,
        None,
        1,
        LATER,
        NOW,
        "HTTP 429",
    )
    assert (known.intent_at, known.unconfirmed) == (None, Unconfirmed.NOTHING)
    assert (known.unknown_creates, known.unproven_refusals, ledger.presumed_not_created(job)) == (0, 0, [])
    assert ledger.record_not_created(sending(ledger, known), "1-aa", NOW, not_before=None, note="again")
    assert now_of(ledger, batches[0]).tries == 2


def test_what_is_unconfirmed_stays_submitting_without_a_claim(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    known = lost(ledger, batches[0], LATER, not_before=LATER + MINUTE, note="timeout", list_reads=2)
    assert (known.state, known.claim, known.not_before, known.put_off_at, known.note, known.list_reads) == (
        S.SUBMITTING,
        None,
        LATER + MINUTE,
        LATER,
        "timeout",
        2,
    )
    assert (known.intent_at, known.api, known.attempt) == (LATER, API, 1)
    assert (known.unconfirmed, known.if_absent) == (Unconfirmed.UNKNOWN, IfAbsent.PLAN)


@pytest.mark.parametrize("if_absent", list(IfAbsent))
@pytest.mark.parametrize("why", [Unconfirmed.ACCEPTED, Unconfirmed.REFUSED])
def test_why_it_is_unconfirmed_is_kept_however_often_it_is_looked_for(
    ledger: SqlLedger, batches: tuple[Batch, ...], why: Unconfirmed, if_absent: IfAbsent
) -> None:
    lost(ledger, batches[0], unconfirmed=why, if_absent=if_absent)
    for looks in (1, 2):
        ledger.record_unconfirmed(
            now_of(ledger, batches[0]), "2-bb", LATER, not_before=LATER, note="not there", list_reads=looks
        )
        known = now_of(ledger, batches[0])
        assert (known.unconfirmed, known.if_absent, known.list_reads, known.note) == (
            why,
            if_absent,
            looks,
            "not there",
        )


def test_what_the_api_refused_is_refused_for_good(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    assert ledger.record_refused(sending(ledger, batches[0]), "1-aa", NOW, "requests: too long")
    known = now_of(ledger, batches[0])
    assert (known.state, known.claim, known.note) == (S.REFUSED, None, "requests: too long")
    assert known.unconfirmed is Unconfirmed.NOTHING


HALVES = [
    Cut(first=10, count=5, start=1000, end=1499, sha256="1" * 64),
    Cut(first=15, count=5, start=1500, end=1999, sha256="2" * 64),
]


def test_two_halves_take_the_place_of_one(ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]) -> None:
    assert ledger.record_split(sending(ledger, batches[1]), "1-aa", HALVES, NOW, "too large")
    known = ledger.batches(job)
    assert [(b.cut.first, b.count) for b in known] == [(0, 10), (10, 5), (15, 5), (20, 7)]
    assert [b.cut for b in known[1:3]] == HALVES
    assert {(b.state, b.claim, b.tries, b.note, b.intent_at, b.unconfirmed) for b in known[1:3]} == {
        (S.PLANNED, None, 0, "too large", None, Unconfirmed.NOTHING)
    }
    assert ledger.presumed_not_created(job) == [], "the API itself said that it made nothing"


def test_halves_inherit_what_is_not_known_of_the_whole(ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]) -> None:
    """A create of the whole may have made a batch that nobody has seen: a third for a half needs a person as well."""
    assert ledger.record_presumed_not_created(lost(ledger, batches[1]), "1-aa", NOW, note="")
    again = lost(ledger, now_of(ledger, batches[1]), unconfirmed=Unconfirmed.REFUSED, if_absent=IfAbsent.SPLIT)
    assert ledger.record_split(again, "1-aa", HALVES, NOW, "too large")
    halves = ledger.batches(job)[1:3]
    assert [(b.unknown_creates, b.attempt) for b in halves] == [(1, 2), (1, 2)]
    assert [(one.batch_id, one.cut) for one in ledger.presumed_not_created(job)] == [(again.id, again.cut)] * 2


# ---------------------------------------------------------------- presumed to have made nothing


PRESUMPTIONS = [
    (Unconfirmed.UNKNOWN, 1, 0, True),
    (Unconfirmed.ACCEPTED, 1, 0, True),
    (Unconfirmed.NOTHING, 1, 0, True),
    (Unconfirmed.REFUSED, 0, 1, True),
    # The copy's creates are the copy's: this ledger made none.
    (Unconfirmed.COPIED, 0, 0, False),
]


@pytest.mark.parametrize(("why", "unknown", "unproven", "is_remembered"), PRESUMPTIONS)
def test_a_create_that_is_presumed_to_have_made_nothing_is_planned_again_counted_and_remembered(
    ledger: SqlLedger,
    job: Job,
    batches: tuple[Batch, ...],
    why: Unconfirmed,
    unknown: int,
    unproven: int,
    *,
    is_remembered: bool,
) -> None:
    one = ledger.claim_send(batches[0], "1-aa", NOW, created_after=NOW - HOUR, api=API)
    assert one is not None
    ledger.record_unconfirmed(one, "1-aa", NOW, not_before=LATER, note="lost", list_reads=3, unconfirmed=why)
    assert ledger.record_presumed_not_created(now_of(ledger, one), "2-bb", LATER, note="the API does not have it")
    planned = now_of(ledger, one)
    assert (planned.state, planned.intent_at, planned.unconfirmed) == (S.PLANNED, None, Unconfirmed.NOTHING)
    assert (planned.not_before, planned.claim, planned.note) == (None, None, "the API does not have it")
    assert (planned.unknown_creates, planned.unproven_refusals, planned.tries) == (unknown, unproven, 1)
    expected = PresumedNotCreated(batch_id=one.id, job_id=job.id, round=1, cut=one.cut, created_after=NOW - HOUR)
    assert ledger.presumed_not_created(job) == ([expected] if is_remembered else [])


def test_creates_of_one_cut_are_counted_over_all_attempts(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    counted = []
    for why in (Unconfirmed.UNKNOWN, Unconfirmed.REFUSED, Unconfirmed.REFUSED, Unconfirmed.UNKNOWN):
        ledger.record_presumed_not_created(
            lost(ledger, now_of(ledger, batches[0]), unconfirmed=why), "1-aa", NOW, note=""
        )
        known = now_of(ledger, batches[0])
        counted.append((known.attempt, known.unknown_creates, known.unproven_refusals))
    assert counted == [(1, 1, 0), (2, 1, 1), (3, 1, 2), (4, 2, 2)]
    assert len(ledger.presumed_not_created(job)) == 4
    running(ledger, now_of(ledger, batches[0]))
    assert now_of(ledger, batches[0]).unknown_creates == 2


def test_a_copy_may_have_sent_what_is_planned_here(ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]) -> None:
    ledger.record_copied(batches[:2], NOW, "a copy may have sent it", api="http://there org_2")
    for known in ledger.batches(job)[:2]:
        assert (known.state, known.claim, known.unconfirmed) == (S.SUBMITTING, None, Unconfirmed.COPIED)
        assert (known.intent_at, known.created_after, known.api, known.attempt) == (NOW, None, "http://there org_2", 0)
    assert ledger.batches(job)[2] == batches[2]
    assert [b.id for b in ledger.unconfirmed_batches()] == [b.id for b in batches[:2]]


# ---------------------------------------------------------------- whose it is


@pytest.mark.parametrize("identified", [True, False])
def test_what_was_found_by_looking_is_provisional_until_its_results_are_verified(
    ledger: SqlLedger, batches: tuple[Batch, ...], *, identified: bool
) -> None:
    guess = adopted(ledger, batches[0], identified=identified)
    assert (guess.state, guess.message_batch_id, guess.claim) == (S.IN_PROGRESS, "msgbatch_1", None)
    assert (guess.provisional, guess.identified) == (True, identified)
    ledger.record_polled([(guess, ended("msgbatch_1", RequestCounts(succeeded=10)))], NOW)
    known = now_of(ledger, guess)
    assert (known.state, known.provisional, known.identified) == (S.ENDED, True, identified)
    assert ledger.claim(known, "1-aa", NOW)
    assert ledger.record_fetched(known, "1-aa", VERIFIED, NOW)
    fetched = now_of(ledger, guess)
    assert (fetched.state, fetched.provisional) == (S.FETCHED, False)


def test_the_creates_own_answer_leaves_nothing_provisional(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    known = running(ledger, batches[0])
    assert (known.provisional, known.identified) == (False, False)


@pytest.mark.parametrize("identified", [True, False])
def test_an_id_that_is_taken_is_not_adopted_by_another(
    ledger: SqlLedger, batches: tuple[Batch, ...], *, identified: bool
) -> None:
    running(ledger, batches[0])
    unconfirmed_batch = sending(ledger, batches[1])
    assert not ledger.record_adopted(unconfirmed_batch, named("msgbatch_1"), "1-aa", NOW, identified=identified)
    assert now_of(ledger, batches[1]) == unconfirmed_batch


def test_a_doubt_that_is_gone_adopts_nothing(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    known = running(ledger, batches[0])
    for identified in (True, False):
        assert not ledger.record_adopted(known, named("msgbatch_2"), "1-aa", NOW, identified=identified)
        assert not ledger.record_adopted(batches[1], named("msgbatch_2"), "1-aa", NOW, identified=identified)
    assert ledger.job_id_of_message_batch("msgbatch_2") is None


@pytest.mark.parametrize("identified", [True, False])
def test_the_creates_own_answer_takes_the_id_back_from_a_wrong_guess(
    ledger: SqlLedger, batches: tuple[Batch, ...], *, identified: bool
) -> None:
    """Even from one whose ids were read: two jobs of one input hold the same."""
    one, other = sending(ledger, batches[0]), sending(ledger, batches[1])
    assert ledger.record_adopted(other, named("msgbatch_1"), "1-aa", NOW, identified=identified)
    ledger.record_created(one, named("msgbatch_1"), LATER)
    right, wrong = now_of(ledger, one), now_of(ledger, other)
    assert (right.state, right.message_batch_id, right.provisional) == (S.IN_PROGRESS, "msgbatch_1", False)
    assert (wrong.state, wrong.message_batch_id, wrong.created_at) == (S.SUBMITTING, None, None)
    assert (wrong.provisional, wrong.identified) == (False, False)
    assert (wrong.counts, wrong.intent_at, wrong.api) == (RequestCounts(), NOW, API)
    assert (right.unconfirmed, wrong.unconfirmed) == (Unconfirmed.NOTHING, Unconfirmed.UNKNOWN)


def test_an_answer_that_comes_after_its_batch_was_taken_back_binds_it_all_the_same(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    """It was created and is paid for: planned, it would be sent and paid for a second time."""
    sent = sending(ledger, batches[0])
    ledger.record_unconfirmed(sent, "1-aa", NOW, not_before=NOW, note="taken for dead")
    assert ledger.record_presumed_not_created(now_of(ledger, sent), "2-bb", NOW, note="the API does not have it")
    planned = now_of(ledger, sent)
    assert planned.state is S.PLANNED
    assert ledger.record_created(sent, named("msgbatch_1"), LATER)
    assert ledger.presumed_not_created(job) == [], "there is nothing left to look for"
    known = now_of(ledger, sent)
    assert (known.state, known.message_batch_id, known.provisional) == (S.IN_PROGRESS, "msgbatch_1", False)
    assert (known.claim, known.tries, known.not_before) == (None, 0, None)
    assert not ledger.claim_send(planned, "2-bb", LATER, created_after=None, api=API)
    assert ledger.moves(job)[-2:] == [
        (sent.id, LATER, "planned", "submitting", "the answer came late"),
        (sent.id, LATER, "submitting", "in_progress", "msgbatch_1"),
    ]


@pytest.mark.parametrize("has_ended", [True, False])
@pytest.mark.parametrize("identified", [True, False])
def test_a_wrong_guess_is_in_doubt_again_and_its_id_may_be_anothers(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...], *, has_ended: bool, identified: bool
) -> None:
    one, other = adopted(ledger, batches[0], identified=identified), sending(ledger, batches[1])
    if has_ended:
        ledger.record_polled([(one, ended("msgbatch_1", RequestCounts(succeeded=10)))], NOW)
    ledger.record_wrong_adoption(now_of(ledger, one), "1-aa", NOW)
    known = now_of(ledger, one)
    assert (known.state, known.message_batch_id, known.ended_at, known.counts) == (
        S.SUBMITTING,
        None,
        None,
        RequestCounts(),
    )
    assert (known.provisional, known.identified, known.claim) == (False, False, None)
    assert (known.intent_at, known.api) == (NOW, API)
    assert ledger.provisional_matches() == []
    assert "msgbatch_1" not in ledger.known_message_batches(job)
    assert known.unconfirmed is Unconfirmed.UNKNOWN
    assert ledger.record_adopted(other, named("msgbatch_1"), "1-aa", NOW, identified=True)


def test_a_wrong_guess_is_taken_back_once_however_late_another_finds_it(
    ledger: SqlLedger, batches: tuple[Batch, ...]
) -> None:
    guess = adopted(ledger, batches[0])
    ledger.record_wrong_adoption(guess, "1-aa", NOW)
    in_doubt = now_of(ledger, guess)
    ledger.record_wrong_adoption(guess, "1-aa", LATER)
    ledger.record_identified(guess)
    assert now_of(ledger, guess) == in_doubt
    assert ledger.record_presumed_not_created(in_doubt, "1-aa", NOW, note="")
    planned = now_of(ledger, guess)
    ledger.record_wrong_adoption(guess, "1-aa", LATER)
    assert now_of(ledger, guess) == planned
    adopted(ledger, planned, "msgbatch_2")
    ledger.record_wrong_adoption(guess, "1-aa", LATER)
    ledger.record_identified(guess)
    known = now_of(ledger, guess)
    assert (known.message_batch_id, known.provisional, known.identified) == ("msgbatch_2", True, False)


def test_a_guess_is_a_guess_until_some_of_its_ids_were_read(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    guess = adopted(ledger, batches[0])
    assert ledger.provisional_matches() == [guess]
    assert "msgbatch_1" not in ledger.known_message_batches(job)
    ledger.record_identified(guess)
    known = now_of(ledger, guess)
    assert (known.provisional, known.identified) == (True, True)
    assert ledger.provisional_matches() == []
    assert "msgbatch_1" in ledger.known_message_batches(job)


def test_what_was_adopted_by_its_ids_was_never_a_guess(ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]) -> None:
    adopted(ledger, batches[0], identified=True)
    assert ledger.provisional_matches() == []
    assert ledger.known_message_batches(job) == {"msgbatch_1"}


def test_a_guess_whose_results_were_verified_is_known(ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]) -> None:
    guess = adopted(ledger, batches[0])
    ledger.record_polled([(guess, ended("msgbatch_1", RequestCounts(succeeded=10)))], NOW)
    assert ledger.provisional_matches() == [now_of(ledger, guess)]
    assert ledger.known_message_batches(job) == set()
    assert ledger.claim(now_of(ledger, guess), "1-aa", NOW)
    assert ledger.record_fetched(guess, "1-aa", VERIFIED, NOW)
    assert ledger.provisional_matches() == []
    assert ledger.known_message_batches(job) == {"msgbatch_1"}


def test_whose_a_found_batch_may_be_is_asked_of_every_job_by_size_and_in_the_order_of_intents(
    ledger: SqlLedger, job: Job
) -> None:
    """Doubts, batches being sent, and all that were found by looking; not those that have their name from the create."""
    other = ledger.record_job(a_job("other-1111"), [a_cut(10, 10 * n) for n in range(7)])
    unconfirmed_batch, guess, by_ids, sent, named_by_create, refused, fetched = ledger.batches(other)
    mine, planned, small = ledger.batches(job)
    lost(ledger, unconfirmed_batch, NOW + 4 * MINUTE)
    for of, at, name in ((guess, 3, "msgbatch_3"), (by_ids, 2, "msgbatch_4"), (fetched, 6, "msgbatch_5")):
        found = named(name) if of is not fetched else ended(name, RequestCounts(succeeded=10))
        doubtful = sending(ledger, of, NOW + at * MINUTE)
        assert ledger.record_adopted(doubtful, found, "1-aa", NOW, identified=of is by_ids)
    assert ledger.claim(now_of(ledger, fetched), "1-aa", NOW)
    assert ledger.record_fetched(now_of(ledger, fetched), "1-aa", VERIFIED, NOW)
    sending(ledger, sent, NOW + MINUTE)
    running(ledger, named_by_create, "msgbatch_1")
    ledger.record_refused(sending(ledger, refused), "1-aa", NOW, "no")
    lost(ledger, mine, NOW + 5 * MINUTE)
    sending(ledger, small)
    assert now_of(ledger, planned).state is S.PLANNED
    expected = [sent, by_ids, guess, unconfirmed_batch, mine]
    assert ledger.contenders(10) == [now_of(ledger, b) for b in expected]
    assert [b.id for b in ledger.contenders(7)] == [small.id]
    assert ledger.contenders(11) == []


def test_a_stranger_is_one_for_the_job_that_read_its_ids(ledger: SqlLedger, job: Job) -> None:
    other = ledger.record_job(a_job("other-1111"), [a_cut()])
    for _ in range(2):
        ledger.record_foreign_batch(job.id, "msgbatch_9", NOW)
    assert ledger.known_message_batches(job) == {"msgbatch_9"}
    assert ledger.known_message_batches(other) == set()


def test_ids_of_other_jobs_are_known_too(ledger: SqlLedger, job: Job) -> None:
    other = ledger.record_job(a_job("other-1111"), [a_cut()])
    running(ledger, ledger.batches(other)[0], "msgbatch_5")
    assert ledger.known_message_batches(job) == {"msgbatch_5"}


def test_sizes_being_sent_are_those_of_claimed_batches_of_other_jobs(ledger: SqlLedger, job: Job) -> None:
    other = ledger.record_job(a_job("other-1111"), [a_cut(4), a_cut(5, 4), a_cut(6, 9)])
    sent, unconfirmed_batch, _ = ledger.batches(other)
    sending(ledger, sent)
    lost(ledger, unconfirmed_batch)
    assert ledger.counts_being_sent(job) == {4}
    assert ledger.counts_being_sent(other) == set()


# ---------------------------------------------------------------- looking


def test_a_look_moves_states_and_tells_which(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    one, other = running(ledger, batches[0], "msgbatch_1"), running(ledger, batches[1], "msgbatch_2")
    counts = RequestCounts(succeeded=9, errored=1)
    moved = ledger.record_polled([(one, ended("msgbatch_1", counts)), (other, named("msgbatch_2"))], LATER)
    assert [(b.id, state) for b, state in moved] == [(one.id, S.ENDED)]
    known = now_of(ledger, one)
    assert (known.state, known.counts, known.ended_at, known.polled_at) == (S.ENDED, counts, NOW + HOUR, LATER)
    assert now_of(ledger, other).polled_at == LATER


def test_late_news_takes_nothing_back(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    """Two processes look: the list that was read first may be recorded last."""
    known = over(ledger, batches[0])
    assert ledger.record_polled([(known, named("msgbatch_1"))], LATER) == []
    assert now_of(ledger, batches[0]) == known


def test_news_of_a_name_the_batch_has_lost_is_not_its_own(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    looked = adopted(ledger, batches[0])
    ledger.record_wrong_adoption(looked, "1-aa", NOW)
    assert ledger.record_adopted(now_of(ledger, looked), named("msgbatch_2"), "1-aa", NOW, identified=False)
    assert ledger.record_polled([(looked, ended("msgbatch_1", RequestCounts(succeeded=10)))], LATER) == []
    assert now_of(ledger, batches[0]).state is S.IN_PROGRESS


def test_a_cancel_is_seen_on_its_way(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    known = running(ledger, batches[0])
    canceling = named("msgbatch_1", processing_status=ProcessingStatus.CANCELING)
    assert [s for _, s in ledger.record_polled([(known, canceling)], NOW)] == [S.CANCELING]
    ledger.record_polled([(known, named("msgbatch_1"))], NOW)
    assert now_of(ledger, known).state is S.CANCELING
    assert [s for _, s in ledger.record_polled([(known, ended("msgbatch_1", RequestCounts(canceled=10)))], NOW)] == [
        S.ENDED
    ]


def test_what_could_not_be_read_takes_nothing_away_that_is_known(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    known = running(ledger, batches[0])
    bare = MessageBatch(id="msgbatch_1", unread=("created_at", "expires_at", "processing_status", "request_counts"))
    assert ledger.record_polled([(known, bare)], LATER) == []
    assert now_of(ledger, known) == replace(known, polled_at=LATER, counts_unread=True)
    over_ = replace(bare, processing_status=ProcessingStatus.ENDED, ended_at=NOW + HOUR)
    assert [state for _, state in ledger.record_polled([(known, over_)], LATER)] == [S.ENDED]
    unread = now_of(ledger, known)
    assert (unread.counts, unread.counts_unread) == (RequestCounts(processing=10), True)
    assert (unread.created_at, unread.expires_at, unread.ended_at) == (known.created_at, known.expires_at, NOW + HOUR)
    ledger.record_polled([(known, ended("msgbatch_1", RequestCounts(succeeded=10)))], LATER)
    read = now_of(ledger, known)
    assert (read.counts, read.counts_unread) == (RequestCounts(succeeded=10), False)


def test_a_batch_that_was_created_and_could_not_be_read_has_all_of_its_requests_under_way(
    ledger: SqlLedger, batches: tuple[Batch, ...]
) -> None:
    assert ledger.record_created(sending(ledger, batches[2]), MessageBatch(id="msgbatch_1"), NOW)
    known = now_of(ledger, batches[2])
    assert (known.state, known.message_batch_id, known.counts) == (
        S.IN_PROGRESS,
        "msgbatch_1",
        RequestCounts(processing=7),
    )
    assert (known.created_at, known.counts_unread, known.unconfirmed) == (None, True, Unconfirmed.NOTHING)


def test_missing_is_counted_from_the_first_time_and_forgotten_when_seen(
    ledger: SqlLedger, batches: tuple[Batch, ...]
) -> None:
    known = running(ledger, batches[0])
    ledger.record_missing(known, NOW)
    ledger.record_missing(known, LATER)
    missing = now_of(ledger, known)
    assert (missing.missing_since, missing.polled_at, missing.state) == (NOW, LATER, S.IN_PROGRESS)
    ledger.record_polled([(known, named("msgbatch_1"))], LATER)
    assert now_of(ledger, known).missing_since is None


# ---------------------------------------------------------------- downloading


def test_a_verified_download_is_counted_by_its_lines(ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]) -> None:
    known = over(ledger, batches[0])
    assert ledger.claim(known, "1-aa", NOW)
    assert ledger.record_fetched(known, "1-aa", VERIFIED, NOW)
    fetched = now_of(ledger, known)
    assert (fetched.state, fetched.claim, fetched.counts) == (S.FETCHED, None, VERIFIED.counts)
    assert (fetched.results_bytes, fetched.results_sha256) == (VERIFIED.bytes, VERIFIED.sha256)
    (kind,) = ledger.failures(job)
    assert kind == VERIFIED.failures[0]
    assert isinstance(kind.failure_class, FailureClass)


def test_what_it_rests_on_is_kept_with_a_download(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    known = adopted(ledger, batches[0])
    ledger.record_polled([(known, ended("msgbatch_1", RequestCounts(succeeded=10)))], NOW)
    ledger.claim(now_of(ledger, known), "1-aa", NOW)
    ledger.record_held(now_of(ledger, known), "1-aa", "msgbatch_1: its model differs")
    held = now_of(ledger, known)
    assert (held.state, held.claim, held.held, held.evidence) == (S.ENDED, None, "msgbatch_1: its model differs", "")
    assert ledger.record_vouched(held, "a person's word")
    vouched = now_of(ledger, known)
    assert (vouched.held, vouched.evidence, vouched.provisional) == ("", "a person's word", True)
    assert ledger.claim(vouched, "1-aa", NOW)
    assert ledger.record_fetched(vouched, "1-aa", VERIFIED, NOW, evidence="a person's word")
    fetched = now_of(ledger, known)
    assert (fetched.evidence, fetched.held, fetched.provisional) == ("a person's word", "", False)
    assert fetched.unconfirmed is Unconfirmed.NOTHING


def test_two_kinds_of_one_long_type_do_not_collide(ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]) -> None:
    known = over(ledger, batches[0])
    ledger.claim(known, "1-aa", NOW)
    kinds = [Failures(**{**_kind(), "outcome": outcome}) for outcome in (Outcome.ERRORED, Outcome.UNKNOWN)]
    verified = Verified(
        **{**{n: getattr(VERIFIED, n) for n in VERIFIED.__dataclass_fields__}, "failures": tuple(kinds)}
    )
    assert ledger.record_fetched(known, "1-aa", verified, NOW)
    assert len(ledger.failures(job)) == 2


def _kind() -> dict[str, Any]:
    kind = VERIFIED.failures[0]
    return {name: getattr(kind, name) for name in kind.__dataclass_fields__} | {"error_type": "x" * 80}


def test_a_download_whose_claim_was_lost_is_not_recorded(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    known = over(ledger, batches[0])
    assert not ledger.record_fetched(known, "1-aa", VERIFIED, NOW)
    ledger.claim(known, "2-bb", NOW)
    assert not ledger.record_fetched(known, "1-aa", VERIFIED, NOW)
    assert now_of(ledger, known).state is S.ENDED
    assert ledger.failures(job) == []


def fetched_once(ledger: SqlLedger, batch: Batch) -> Batch:
    known = over(ledger, batch)
    assert ledger.claim(known, "1-aa", NOW)
    assert ledger.record_fetched(known, "1-aa", VERIFIED, NOW)
    return now_of(ledger, batch)


def test_a_download_whose_files_are_gone_is_had_once_more_and_counted_once(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    ledger.record_files_missing(fetched_once(ledger, batches[0]), LATER)
    known = now_of(ledger, batches[0])
    assert (known.state, known.message_batch_id, known.counts, known.claim) == (
        S.ENDED,
        "msgbatch_1",
        VERIFIED.counts,
        None,
    )
    assert (known.tries, known.not_before) == (0, None)
    assert ledger.moves(job)[-1] == (known.id, LATER, "fetched", "ended", "its files are gone")
    assert ledger.claim(known, "1-aa", LATER)
    assert ledger.record_fetched(known, "1-aa", VERIFIED, LATER)
    assert now_of(ledger, known).state is S.FETCHED
    assert ledger.failures(job) == [VERIFIED.failures[0]]


def usage_totals(requests: int, model: str = "claude-haiku-4-5", over: int = 0, geo: str = "") -> UsageTotals:
    used = Usage(
        input_tokens=1,
        write_5m_tokens=2,
        write_1h_tokens=3,
        read_tokens=(1 << 40) * 100_000,
        output_tokens=5,
        web_searches=6,
    )
    return UsageTotals(model=model, prompt_over=over, inference_geo=geo, requests=requests, usage=used)


def test_what_answers_used_is_kept_by_batch_and_price_and_replaced_by_the_next_download(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    several = (
        usage_totals(1),
        usage_totals(2, over=100_000),
        usage_totals(3, geo="us"),
        usage_totals(4, "claude-opus-5"),
    )
    known = over(ledger, batches[0])
    for used, unread in ((several, 3), ((usage_totals(9),), 0)):
        ledger.claim(known, "1-aa", NOW)
        assert ledger.record_fetched(known, "1-aa", replace(VERIFIED, usage_totals=used, usage_unread=unread), NOW)
        assert set(ledger.usage_totals(job)[known.id]) == set(used)
        assert now_of(ledger, known).usage_unread == unread
        ledger.record_files_missing(known, NOW)
    assert set(ledger.usage_totals(job)) == {known.id}


def test_what_an_older_version_did_not_sum_up_is_recorded_once(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    known = fetched_once(ledger, batches[0])
    assert known.usage_unread is None
    ledger.record_usage(known, replace(VERIFIED, sha256="b" * 64, usage_totals=(usage_totals(7),), usage_unread=0))
    assert ledger.usage_totals(job) == {}, "they are other bytes by now"
    ledger.record_usage(known, replace(VERIFIED, usage_totals=(usage_totals(1),), usage_unread=2))
    ledger.record_usage(known, replace(VERIFIED, usage_totals=(usage_totals(5),), usage_unread=5))
    assert (ledger.usage_totals(job), now_of(ledger, known).usage_unread) == ({known.id: [usage_totals(1)]}, 2)


def test_a_merge_of_an_older_version_has_no_cost(ledger: SqlLedger, job: Job) -> None:
    ledger.record_merged(job, Merged(at=NOW, batches=1, succeeded=3))
    with ledger._database.write() as db:
        db.exec_driver_sql("UPDATE job SET merged = json_remove(merged, '$.cost')")
    assert ledger.job(job.name).merged == Merged(at=NOW, batches=1, succeeded=3)


def test_files_that_two_processes_miss_are_gone_once(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    once = fetched_once(ledger, batches[0])
    ledger.record_files_missing(once, NOW)
    known = now_of(ledger, once)
    ledger.record_files_missing(once, LATER)
    assert now_of(ledger, once) == known


def test_a_download_that_was_not_whole_is_tried_later(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    known = over(ledger, batches[0])
    for tries in (1, 2):
        ledger.claim(known, "1-aa", NOW)
        ledger.record_download_failed(known, "1-aa", NOW, not_before=LATER, note="7 of 10")
        tried = now_of(ledger, known)
        assert (tried.state, tried.claim, tried.tries, tried.not_before, tried.put_off_at, tried.note) == (
            S.ENDED,
            None,
            tries,
            LATER,
            NOW,
            "7 of 10",
        )


# ---------------------------------------------------------------- moves


def test_every_move_is_kept_with_its_time(ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]) -> None:
    first = batches[0]
    sent = sending(ledger, first)
    ledger.record_not_created(sent, "1-aa", NOW, not_before=None, note="refused")
    known = over(ledger, now_of(ledger, first))
    ledger.claim(known, "1-aa", LATER)
    ledger.record_fetched(known, "1-aa", VERIFIED, LATER)
    assert ledger.moves(job) == [
        (first.id, NOW, "planned", "submitting", ""),
        (first.id, NOW, "submitting", "planned", "refused"),
        (first.id, NOW, "planned", "submitting", ""),
        (first.id, NOW, "submitting", "in_progress", "msgbatch_1"),
        (first.id, NOW, "in_progress", "ended", ""),
        (first.id, LATER, "ended", "fetched", ""),
    ]


@pytest.mark.parametrize("after", [s for s in S if s is not S.SUBMITTING])
def test_a_move_that_is_no_arrow_raises_and_changes_nothing(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...], after: State
) -> None:
    before, moves = ledger.batches(job), ledger.moves(job)
    with pytest.raises(AssertionError, match="cannot go from planned"), ledger._database.write() as db:
        advance(db, batches[0].id, after, NOW, "")
    assert (ledger.batches(job), ledger.moves(job)) == (before, moves)


def test_a_batch_that_has_its_name_is_not_created_once_more(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    for known in (running(ledger, batches[0]), over(ledger, batches[1], "msgbatch_2")):
        assert not ledger.record_created(known, named("msgbatch_9"), NOW)
        assert now_of(ledger, known) == known


def test_times_are_kept_to_the_microsecond_and_in_utc(ledger: SqlLedger, job: Job) -> None:
    until = NOW + timedelta(microseconds=123_456)
    east = until.astimezone(timezone(timedelta(hours=9)))
    ledger.record_hold(job, east, "queue", NOW)
    known = ledger.job(job.name).hold_until
    assert known == until
    assert known is not None
    assert known.utcoffset() == timedelta()


def test_an_answer_whose_place_was_taken_is_told_and_never_adopted(ledger: SqlLedger) -> None:
    """It takes a clock or a drive without locks; what was paid for twice must at least be said."""
    job = ledger.record_job(a_job(), [a_cut()])
    batch = ledger.batches(job)[0]
    sent = sending(ledger, batch)
    assert ledger.record_created(sent, a_message_batch("msgbatch_1", batch.count), NOW)
    assert not ledger.record_created(sent, a_message_batch("msgbatch_2", batch.count), NOW)
    assert ledger.record_created(sent, a_message_batch("msgbatch_1", batch.count), NOW)
    assert ledger.batches(job)[0].message_batch_id == "msgbatch_1"
    assert "msgbatch_2" in ledger.known_message_batches(job)


# ---------------------------------------------------------------- a person's decisions, a full queue, a batch too many


def test_a_canceled_job_is_not_sent_not_even_by_who_has_not_heard_of_it(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    ledger.record_canceled(job, NOW)
    assert ledger.job(job.name).canceled_at == NOW
    assert ledger.claim_send(batches[0], "1-aa", NOW, created_after=None, api=API) is None
    assert now_of(ledger, batches[0]) == batches[0]
    ledger.record_canceled(job, None)
    sending(ledger, batches[0])


def test_what_the_queue_took_is_kept_with_its_time(ledger: SqlLedger, job: Job) -> None:
    ledger.record_window(job, 20_000, NOW)
    assert (ledger.job(job.name).window, ledger.job(job.name).window_at) == (20_000, NOW)


def test_a_batch_the_api_forgot_is_planned_again_and_its_old_name_never_adopted(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    gone = running(ledger, batches[0])
    ledger.record_missing(gone, NOW)
    assert ledger.record_presumed_not_created(now_of(ledger, gone), "1-aa", LATER, note="a person's word")
    planned = now_of(ledger, gone)
    assert (planned.state, planned.message_batch_id, planned.missing_since) == (S.PLANNED, None, None)
    assert (planned.created_at, planned.counts) == (None, RequestCounts())
    assert "msgbatch_1" in ledger.known_message_batches(job)
    assert ledger.presumed_not_created(job) == [], "its name is known: there is nothing to look for"
    assert [(one.batch_id, one.cut) for one in ledger.possibly_paid_creates(job)] == [(gone.id, gone.cut)], (
        "but it may be paid for"
    )


def test_a_batch_too_many_is_told_with_its_job_until_it_is_gone(ledger: SqlLedger, job: Job) -> None:
    ledger.record_duplicate_batch(job.id, "msgbatch_2", NOW)
    ledger.record_duplicate_batch(job.id, "msgbatch_2", LATER)
    assert ledger.job(job.name).duplicate_batches == ("msgbatch_2",)
    assert "msgbatch_2" in ledger.known_message_batches(job)
    ledger.record_duplicate_ended(job.id, "msgbatch_2", LATER, is_free=False)
    assert (ledger.job(job.name).duplicate_batches, ledger.job(job.name).paid_twice) == ((), ("msgbatch_2",))
    ledger.record_duplicate_batch(job.id, "msgbatch_2", LATER)
    assert ledger.job(job.name).paid_twice == ("msgbatch_2",), "seen again, it is settled all the same"
    ledger.record_duplicate_ended(job.id, "msgbatch_2", LATER, is_free=True)
    assert (ledger.job(job.name).duplicate_batches, ledger.job(job.name).paid_twice) == ((), ())


def test_an_answer_whose_place_was_taken_is_a_batch_too_many(
    ledger: SqlLedger, job: Job, batches: tuple[Batch, ...]
) -> None:
    sent = sending(ledger, batches[0])
    assert ledger.record_adopted(sent, named("msgbatch_1"), "1-aa", NOW, identified=True)
    assert not ledger.record_created(sent, named("msgbatch_2"), NOW)
    assert ledger.job(job.name).duplicate_batches == ("msgbatch_2",)


def test_what_was_deleted_at_the_api_is_not_downloaded_again(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    fetched = over(ledger, batches[0])
    assert ledger.claim(fetched, "1-aa", NOW)
    assert ledger.record_fetched(fetched, "1-aa", VERIFIED, NOW)
    ledger.record_deleted(fetched, LATER)
    ledger.record_files_missing(now_of(ledger, fetched), LATER)
    assert (now_of(ledger, fetched).state, now_of(ledger, fetched).deleted_at) == (S.FETCHED, LATER)


def test_a_rest_changes_nothing_but_the_time(ledger: SqlLedger, batches: tuple[Batch, ...]) -> None:
    sent = running(ledger, batches[0])
    ledger.record_postponed(sent, NOW, not_before=LATER, note="HTTP 529")
    rested = now_of(ledger, sent)
    assert rested == replace(sent, not_before=LATER, put_off_at=NOW, note="HTTP 529", tries=1)


@pytest.mark.parametrize("became", [S.IN_PROGRESS, S.ENDED, S.FETCHED])
def test_a_batch_that_the_api_knows_again_is_not_planned_again_by_who_saw_it_missing(
    ledger: SqlLedger, batches: tuple[Batch, ...], became: State, me: str
) -> None:
    known = running(ledger, batches[0])
    ledger.record_missing(known, NOW)
    missing = now_of(ledger, known)
    seen = named("msgbatch_1") if became is S.IN_PROGRESS else ended("msgbatch_1", RequestCounts(succeeded=10))
    ledger.record_polled([(known, seen)], LATER)
    if became is S.FETCHED:
        assert ledger.claim(now_of(ledger, known), me, LATER)
        assert ledger.record_fetched(known, me, VERIFIED, LATER)
    before = now_of(ledger, known)
    assert not ledger.record_presumed_not_created(missing, "2-bb", LATER, note="a person's word")
    assert now_of(ledger, known) == before
    assert before.state is became
