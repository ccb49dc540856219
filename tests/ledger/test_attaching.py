"""Batches made elsewhere: bound from the first, without requests until those are given, or gone again without a trace."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from builders import API, HOUR, MINUTE, NOW, a_cut, a_job, a_message_batch, a_round

from batchctl.domain.attaching import cuts_without_requests
from batchctl.domain.model import Cut, Job, Merged, MessageBatch, RequestCounts, State, Verified
from batchctl.ledger import schema
from batchctl.ledger.ledger import SqlLedger

FOUND = [
    a_message_batch("msgbatch_a", 10, ended_at=NOW + HOUR, created_at=NOW),
    a_message_batch("msgbatch_b", 7, created_at=NOW + MINUTE),
]
NEW = a_job("attached-1a2b", [a_round(count=17, request_file="")], input_path="", input_sha256="1a2b-by-ids")
VERIFIED = Verified(
    bytes=99, sha256="a" * 64, counts=RequestCounts(), unknown=0, truncated=0, refusals=0, paused_turns=0, failures=()
)


def attached(ledger: SqlLedger, new: Job = NEW, found: list[MessageBatch] = FOUND) -> Job:
    assert ledger.record_attached(new, list(zip(cuts_without_requests(found), found, strict=True)), NOW)
    return ledger.job(new.name)


def fetched(ledger: SqlLedger, job: Job) -> None:
    ledger.record_polled([(b, replace(FOUND[0], id=b.message_batch_id or "")) for b in ledger.batches(job)], NOW)
    for batch in ledger.batches(job):
        assert ledger.claim(batch, "me", NOW)
        assert ledger.record_fetched(batch, "me", VERIFIED, NOW)


def test_batches_are_bound_and_stand_where_the_api_has_them(ledger: SqlLedger) -> None:
    job = attached(ledger)
    assert not job.has_requests
    one, other = ledger.batches(job)
    assert (one.message_batch_id, one.state, one.count, one.ended_at) == ("msgbatch_a", State.ENDED, 10, NOW + HOUR)
    assert (other.state, other.cut.first, other.created_at) == (State.IN_PROGRESS, 10, NOW + MINUTE)
    assert not any(b.provisional or b.intent_at or b.cut.has_requests for b in (one, other))
    assert ledger.known_message_batches(job) == {"msgbatch_a", "msgbatch_b"}
    assert ledger.jobs_of_message_batches({"msgbatch_b", "msgbatch_z"}) == {"msgbatch_b": job.name}


def test_a_batch_is_in_one_job_only(ledger: SqlLedger) -> None:
    attached(ledger)
    other = replace(NEW, name="other")
    assert not ledger.record_attached(other, list(zip(cuts_without_requests(FOUND), FOUND, strict=True)), NOW)
    assert [job.name for job in ledger.jobs()] == [NEW.name]


def test_a_batch_that_may_be_a_doubts_is_not_taken(ledger: SqlLedger) -> None:
    job = ledger.record_job(a_job(), [a_cut(10)])
    assert ledger.claim_send(ledger.batches(job)[0], "me", NOW, created_after=None, api=API)
    assert [b.id for b in ledger.unconfirmed_batches()] == [ledger.batches(job)[0].id]
    assert not ledger.record_attached(NEW, list(zip(cuts_without_requests(FOUND), FOUND, strict=True)), NOW)
    attached(ledger, NEW, FOUND[1:])


CUTS = [
    Cut(first=0, count=10, start=0, end=100, sha256="b" * 64),
    Cut(first=10, count=7, start=101, end=200, sha256="c" * 64),
]


def test_requests_become_known_at_once_and_what_was_merged_is_merged_anew(ledger: SqlLedger) -> None:
    job = attached(ledger)
    fetched(ledger, job)
    ledger.record_merged(job, Merged(at=NOW, batches=2, succeeded=17))
    assert ledger.claim_all(ledger.batches(job), "me", NOW)
    known = replace(
        job, input_path="/in.jsonl", input_sha256="d" * 64, left_out=3, line_count=20, rounds=(a_round(count=17),)
    )
    # What is said of the job while its results are downloaded stays.
    ledger.record_limit(job, Decimal(7))
    ledger.record_pause(job, "no credit")
    assert ledger.record_requests(known, "me", CUTS)
    job = ledger.job(job.name)
    assert job == replace(known, merged=None, max_cost=Decimal(7), paused="no credit")
    assert job.has_requests
    batches = ledger.batches(job)
    assert [b.cut for b in batches] == CUTS
    assert [(b.state, b.claim, b.results_sha256) for b in batches] == [(State.FETCHED, None, "a" * 64)] * 2


def test_lines_in_no_batch_have_their_place_and_are_no_batch(ledger: SqlLedger) -> None:
    job = attached(ledger)
    fetched(ledger, job)
    assert ledger.claim_all(ledger.batches(job), "me", NOW)
    rest = [Cut(first=17, count=3, start=201, end=230, sha256="d" * 64)]
    assert ledger.record_requests(replace(job, line_count=20, rounds=(a_round(count=20),)), "me", CUTS, rest)
    assert ledger.job(job.name).count == 20
    *sent, last = ledger.batches(job)
    assert [b.cut for b in (*sent, last)] == [*CUTS, *rest]
    assert (last.state, last.is_unattached, last.is_settled, last.message_batch_id, last.attempt) == (
        State.IN_NO_BATCH,
        True,
        True,
        None,
        0,
    )
    assert [ledger.place(b) for b in sent] == [(1, 2), (2, 2)]
    assert ledger.claim_send(last, "me", NOW, created_after=None, api=API) is None


@pytest.mark.parametrize("why", ["not downloaded", "not held", "one is another's"])
def test_requests_are_not_given_to_batches_that_are_not_in_hand(ledger: SqlLedger, why: str) -> None:
    job = attached(ledger)
    if why != "not downloaded":
        fetched(ledger, job)
    one, other = ledger.batches(job)
    if why != "not held":
        assert ledger.claim(one, "me", NOW)
        assert ledger.claim(other, "other" if why == "one is another's" else "me", NOW)
    assert not ledger.record_requests(replace(job, rounds=(a_round(count=17),)), "me", CUTS)
    assert ledger.job(job.name) == job


def test_a_job_that_was_attached_for_nothing_leaves_no_trace(ledger: SqlLedger) -> None:
    before = _rows(ledger)
    job = attached(ledger)
    fetched(ledger, job)
    assert ledger.record_detached(job)
    assert _rows(ledger) == before
    attached(ledger)


def _rows(ledger: SqlLedger) -> Any:
    with ledger._database.read() as db:
        return [db.execute(sa.select(table)).all() for table in schema.metadata.sorted_tables]


@pytest.mark.parametrize("why", ["held", "known by now"])
def test_a_job_that_is_somebodys_work_is_not_forgotten(ledger: SqlLedger, why: str) -> None:
    job = attached(ledger)
    fetched(ledger, job)
    if why == "held":
        assert ledger.claim(ledger.batches(job)[0], "other", NOW)
    else:
        assert ledger.claim_all(ledger.batches(job), "other", NOW)
        assert ledger.record_requests(replace(job, rounds=(a_round(count=17),)), "other", CUTS)
    assert not ledger.record_detached(job)
    assert len(ledger.jobs()) == 1
