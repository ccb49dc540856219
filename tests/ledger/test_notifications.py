"""Notifications: an intent once for each occasion, attempts that one process gets, and records that come too late."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from builders import MINUTE, NOW
from ledger.methods import HOOK, JOB, LATER, OTHER_HOOK, attached_for_nothing, pending, planned, told

from batchctl.domain.notifications import Delivery, NotifyEvent, NotifyTarget, TargetKind
from batchctl.ledger.ledger import SqlLedger

COMMAND = NotifyTarget(id="3c" * 16, kind=TargetKind.COMMAND, label="the --on-done command")


def test_each_target_has_one_intent_for_an_occasion(ledger: SqlLedger) -> None:
    told(ledger)
    job = ledger.job(JOB)
    ledger.record_notify_targets(job, TargetKind.COMMAND, [COMMAND])
    for _ in range(2):
        ledger.record_notifications(job, NotifyEvent.ENDED, "ended round 1", '{"later": 1}', LATER)
    first, second = ledger.pending_notifications()
    assert (first.target, first.body, first.job) == (HOOK, "{}", JOB)
    assert (second.target, second.body, second.attempts) == (COMMAND, '{"later": 1}', 0)
    assert first.message_id != second.message_id
    ledger.record_notifications(job, NotifyEvent.ENDED, "ended round 2", "{}", LATER)
    assert len(ledger.pending_notifications()) == 4


@pytest.mark.parametrize("delivery", [Delivery.DELIVERED, Delivery.FAILED])
def test_what_is_over_is_not_pending_and_not_recorded_anew(ledger: SqlLedger, delivery: Delivery) -> None:
    told(ledger)
    claimed = ledger.claim_notification(pending(ledger), NOW, until=LATER)
    assert claimed is not None
    assert ledger.record_attempt(claimed, delivery, LATER)
    ledger.record_notifications(ledger.job(JOB), NotifyEvent.ENDED, "ended round 1", "{}", LATER)
    assert ledger.pending_notifications() == []
    assert ledger.claim_notification(claimed, LATER, until=LATER) is None
    assert not ledger.record_attempt(claimed, Delivery.PENDING, LATER, not_before=LATER)


def test_a_failed_attempt_says_when_the_next_one_is_due(ledger: SqlLedger) -> None:
    told(ledger)
    seen = pending(ledger)
    claimed = ledger.claim_notification(seen, NOW, until=LATER)
    assert claimed == replace(seen, attempts=1, attempted_at=NOW, not_before=LATER) == pending(ledger)
    assert ledger.record_attempt(claimed, Delivery.PENDING, LATER, not_before=LATER + MINUTE, note="HTTP 500")
    assert pending(ledger) == replace(claimed, attempted_at=LATER, not_before=LATER + MINUTE)


def test_a_record_that_comes_after_the_next_attempt_changes_nothing(ledger: SqlLedger) -> None:
    told(ledger)
    late = ledger.claim_notification(pending(ledger), NOW, until=LATER)
    assert late is not None
    other = ledger.claim_notification(pending(ledger), LATER, until=LATER + MINUTE)
    assert other is not None
    assert not ledger.record_attempt(late, Delivery.DELIVERED, LATER)
    assert pending(ledger) == other


def test_of_many_that_claim_at_once_one_gets_it(ledger: SqlLedger, path: Path) -> None:
    told(ledger)
    seen = pending(ledger)
    others = [SqlLedger(path) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        claimed = list(threads.map(lambda other: other.claim_notification(seen, NOW, until=LATER), others))
    for other in others:
        other.close()
    assert sum(one is not None for one in claimed) == 1
    assert pending(ledger).attempts == 1


def test_targets_take_the_place_of_those_of_their_kind_alone(ledger: SqlLedger) -> None:
    told(ledger)
    job = ledger.job(JOB)
    ledger.record_notify_targets(job, TargetKind.COMMAND, [COMMAND])
    assert ledger.notify_targets(job) == [COMMAND, HOOK]
    # The same again keeps what is to be delivered to it.
    ledger.record_notify_targets(job, TargetKind.URL, [HOOK, OTHER_HOOK])
    assert ledger.notify_targets(job) == [COMMAND, HOOK, OTHER_HOOK]
    assert pending(ledger).target == HOOK
    ledger.record_notify_targets(job, TargetKind.URL, [])
    assert ledger.notify_targets(job) == [COMMAND]
    assert ledger.pending_notifications() == []


def test_a_job_that_is_detached_takes_its_targets_with_it(ledger: SqlLedger) -> None:
    job = ledger.job_of(attached_for_nothing(ledger))
    ledger.record_notify_targets(job, TargetKind.URL, [HOOK])
    ledger.record_notifications(job, NotifyEvent.ENDED, "ended", "{}", NOW)
    assert ledger.record_detached(job)
    assert ledger.pending_notifications() == []
    planned(ledger)
    assert ledger.notify_targets(ledger.job(JOB)) == []
