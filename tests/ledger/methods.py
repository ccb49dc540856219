"""Every method of the ledger, each with a situation in which it has something to do, and with the fences it must keep."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from builders import API, HOUR, MINUTE, NOW, WITHHELD, a_cut, a_job, a_message_batch, a_round

from batchctl.domain.attaching import cuts_without_requests
from batchctl.domain.model import (
    Batch,
    Cut,
    FailureClass,
    Failures,
    Headers,
    IfAbsent,
    Merged,
    MessageBatch,
    Outcome,
    RequestCounts,
    Unconfirmed,
    Verified,
)
from batchctl.domain.notifications import Delivery, Notification, NotifyEvent, NotifyTarget, TargetKind
from batchctl.domain.places import Place
from batchctl.domain.prices import Usage, UsageTotals
from batchctl.ledger.protocol import Ledger, ReadLedger

# The owners are on another machine: nobody can ask them whether they live.
ME, OTHER = "alpha.0123456789ab.0123456789ab-1-aa", "beta.0123456789ab.0123456789ab-2-bb"
JOB = "reviews-7f3a"
ATTACHED = "attached-1a2b"
LATER = NOW + MINUTE
HALVES = (a_cut(5), a_cut(5, 5))
FOUND = [a_message_batch("msgbatch_a", 10, ended_at=NOW + HOUR), a_message_batch("msgbatch_b", 7, ended_at=NOW + HOUR)]
FAILED = Failures(
    round=1,
    outcome=Outcome.ERRORED,
    error_type="api_error",
    failure_class=FailureClass.RETRY,
    count=1,
    sample_ids=("r-1",),
    sample_message="Internal",
)
VERIFIED = Verified(
    bytes=9,
    sha256="a" * 64,
    counts=RequestCounts(succeeded=9, errored=1),
    unknown=0,
    truncated=1,
    refusals=0,
    paused_turns=0,
    failures=(FAILED,),
    usage_totals=(
        UsageTotals(model="claude-haiku-4-5", prompt_over=0, inference_geo="", requests=9, usage=Usage(input_tokens=8)),
    ),
    usage_unread=0,
)


# ---------------------------------------------------------------- situations


def first(ledger: ReadLedger, name: str = JOB) -> Batch:
    return ledger.batches(ledger.job(name))[0]


def planned(ledger: Ledger) -> Batch:
    """A job of three batches."""
    counts = (10, 10, 7)
    ledger.record_job(
        a_job(JOB, [a_round(count=sum(counts))]), [a_cut(count, sum(counts[:n])) for n, count in enumerate(counts)]
    )
    return first(ledger)


def sent(ledger: Ledger) -> Batch:
    """A create is under way."""
    batch = ledger.claim_send(planned(ledger), ME, NOW, created_after=None, api=API)
    assert batch is not None
    return batch


def sent_after_refusal(ledger: Ledger) -> Batch:
    """A create was refused by something else than the API, and its batch is reconciled."""
    batch = sent(ledger)
    ledger.record_unconfirmed(batch, ME, NOW, not_before=NOW, note="", unconfirmed=Unconfirmed.REFUSED)
    lost = first(ledger)
    assert ledger.claim(lost, ME, NOW)
    return lost


def presumed(ledger: Ledger) -> Batch:
    """The answer to a create comes after it was presumed to have made nothing, while another batch has its id."""
    batch = sent(ledger)
    assert ledger.record_presumed_not_created(first(ledger), ME, NOW, note="")
    other = ledger.claim_send(ledger.batches(ledger.job(JOB))[1], OTHER, NOW, created_after=None, api=API)
    assert other is not None
    assert ledger.record_adopted(other, a_message_batch("msgbatch_9"), OTHER, NOW, identified=False)
    return batch


def adopted(ledger: Ledger) -> Batch:
    """A provisional match has ended and nobody has a step on it."""
    batch = sent(ledger)
    assert ledger.record_adopted(batch, a_message_batch("msgbatch_1", ended_at=NOW + HOUR), ME, NOW, identified=False)
    return first(ledger)


def running(ledger: Ledger) -> Batch:
    """A batch that the API named is under way."""
    batch = sent(ledger)
    assert ledger.record_created(batch, a_message_batch("msgbatch_1"), NOW)
    return first(ledger)


def downloading(ledger: Ledger) -> Batch:
    """A provisional match is downloaded."""
    assert ledger.claim(adopted(ledger), ME, NOW)
    return first(ledger)


def fetched(ledger: Ledger) -> Batch:
    """A batch was downloaded."""
    assert ledger.record_fetched(downloading(ledger), ME, VERIFIED, NOW)
    return first(ledger)


def fetched_without_usage(ledger: Ledger) -> Batch:
    """A batch was downloaded by a version that did not sum the usage up."""
    without = replace(VERIFIED, usage_totals=(), usage_unread=None)
    assert ledger.record_fetched(downloading(ledger), ME, without, NOW)
    return first(ledger)


def fetched_before(ledger: Ledger) -> Batch:
    """A batch whose files were lost is downloaded a second time."""
    ledger.record_files_missing(fetched(ledger), NOW)
    assert ledger.claim(first(ledger), ME, NOW)
    return first(ledger)


def attached(ledger: Ledger) -> Batch:
    """A job of batches that were made elsewhere is downloaded, and held by one owner."""
    new = a_job(ATTACHED, [a_round(count=17, request_file="")], input_path="", input_sha256="1a2b-by-ids")
    assert ledger.record_attached(new, list(zip(cuts_without_requests(FOUND), FOUND, strict=True)), NOW)
    for batch in ledger.batches(ledger.job(ATTACHED)):
        assert ledger.claim(batch, ME, NOW)
        assert ledger.record_fetched(batch, ME, VERIFIED, NOW)
    assert ledger.claim_all(ledger.batches(ledger.job(ATTACHED)), ME, NOW)
    return first(ledger, ATTACHED)


def attached_for_nothing(ledger: Ledger) -> Batch:
    """The same, and nobody has a step on it."""
    attached(ledger)
    for batch in ledger.batches(ledger.job(ATTACHED)):
        ledger.release(batch, ME)
    return first(ledger, ATTACHED)


HOOK = NotifyTarget(id="1a" * 16, kind=TargetKind.URL, label="https://example.com")
OTHER_HOOK = NotifyTarget(id="2b" * 16, kind=TargetKind.URL, label="https://example.org")


def told(ledger: Ledger) -> Batch:
    """A job has a target, and something is to be delivered to it."""
    batch = planned(ledger)
    ledger.record_notify_targets(ledger.job_of(batch), TargetKind.URL, [HOOK])
    ledger.record_notifications(ledger.job_of(batch), NotifyEvent.ENDED, "ended round 1", "{}", NOW)
    return batch


def telling(ledger: Ledger) -> Batch:
    """It is being delivered."""
    batch = told(ledger)
    assert ledger.claim_notification(pending(ledger), NOW, until=LATER)
    return batch


def pending(ledger: ReadLedger) -> Notification:
    (notification,) = ledger.pending_notifications()
    return notification


def dead(ledger: Ledger) -> Batch:
    """An owner on another machine has not renewed its lease for longer than it lasts."""
    batch = sent(ledger)
    assert ledger.release_dead(0) == 0
    return batch


# ---------------------------------------------------------------- methods that write


@dataclass(frozen=True)
class Write:
    """A method that writes.

    `situation` makes a ledger in which it has something to do; `call` calls it on the batch that the situation returned, as an
    owner. `fences`: what of the batch it must refuse. owner: another owner has the claim. attempt: another create was begun.
    takeover: the claim was lost to another owner. id: the batch has another id at the API.
    """

    situation: Callable[[Ledger], Batch]
    call: Callable[[Ledger, Batch, str], object]
    fences: frozenset[str] = frozenset()


def _write(
    situation: Callable[[Ledger], Batch], call: Callable[[Ledger, Batch, str], object], fences: str = ""
) -> Write:
    return Write(situation, call, frozenset(fences.split()))


def _of_job(call: Callable[[Ledger, Any], object]) -> Write:
    return Write(planned, lambda ledger, batch, _: call(ledger, ledger.job_of(batch)))


def _record_requests(ledger: Ledger, batch: Batch, owner: str) -> bool:
    known = replace(ledger.job_of(batch), input_path="/in.jsonl", rounds=(a_round(count=20),))
    cuts = [
        Cut(first=0, count=10, start=0, end=100, sha256="b" * 64),
        Cut(first=10, count=7, start=101, end=200, sha256="c" * 64),
    ]
    return ledger.record_requests(known, owner, cuts, [Cut(first=17, count=3, start=201, end=230, sha256="d" * 64)])


def _seen(name: str = "msgbatch_1", **more: Any) -> MessageBatch:
    return a_message_batch(name, **more)


CREATE = "owner attempt takeover"
DOWNLOAD = "owner takeover id"
WRITES: dict[str, Write] = {
    "claim": _write(planned, lambda ledger, b, owner: ledger.claim(b, owner, NOW)),
    "claim_all": _write(
        planned, lambda ledger, b, owner: ledger.claim_all(ledger.batches(ledger.job_of(b)), owner, NOW)
    ),
    "claim_send": _write(
        planned, lambda ledger, b, owner: ledger.claim_send(b, owner, NOW, created_after=None, api=API)
    ),
    "release": _write(sent, lambda ledger, b, owner: ledger.release(b, owner, note="later"), "owner takeover"),
    "renew": _write(sent, lambda ledger, _, owner: ledger.renew(owner, LATER), "owner takeover"),
    "release_dead": _write(dead, lambda ledger, *_: ledger.release_dead(120)),
    "record_job": _write(planned, lambda ledger, *_: ledger.record_job(a_job("other-1111"), [a_cut(), a_cut(7, 10)])),
    "record_attached": _write(
        planned,
        lambda ledger, *_: ledger.record_attached(
            a_job(ATTACHED, [a_round(count=17)]), list(zip(cuts_without_requests(FOUND), FOUND, strict=True)), NOW
        ),
    ),
    "record_requests": _write(attached, _record_requests, "owner takeover"),
    "record_detached": _write(attached_for_nothing, lambda ledger, b, _: ledger.record_detached(ledger.job_of(b))),
    "record_round": _of_job(lambda ledger, job: ledger.record_round(job, a_round(2, 3), [a_cut(3)])),
    "record_judged": _of_job(lambda ledger, job: ledger.record_judged(job, [WITHHELD])),
    "record_pause": _of_job(lambda ledger, job: ledger.record_pause(job, "no credit")),
    "record_hold": _of_job(lambda ledger, job: ledger.record_hold(job, LATER, "queue", NOW)),
    "record_canceled": _of_job(lambda ledger, job: ledger.record_canceled(job, NOW)),
    "record_limit": _of_job(lambda ledger, job: ledger.record_limit(job, Decimal(7))),
    "record_prime_min_hit": _of_job(lambda ledger, job: ledger.record_prime_min_hit(job, 30)),
    "record_headers": _of_job(lambda ledger, job: ledger.record_headers(job, Headers(betas=("b-1",)))),
    "record_window": _of_job(lambda ledger, job: ledger.record_window(job, 20, NOW)),
    "record_merged": _of_job(lambda ledger, job: ledger.record_merged(job, Merged(at=NOW, batches=1, succeeded=3))),
    "record_request_file": _of_job(lambda ledger, job: ledger.record_request_file(job, 1, "/moved", 7)),
    "record_created": _write(presumed, lambda ledger, b, _: ledger.record_created(b, _seen("msgbatch_9"), LATER)),
    "record_adopted": _write(
        sent, lambda ledger, b, owner: ledger.record_adopted(b, _seen(), owner, LATER, identified=True), CREATE
    ),
    "record_not_created": _write(
        sent, lambda ledger, b, owner: ledger.record_not_created(b, owner, LATER, not_before=LATER, note="no"), CREATE
    ),
    "record_presumed_not_created": _write(
        sent, lambda ledger, b, owner: ledger.record_presumed_not_created(b, owner, LATER, note="not there"), CREATE
    ),
    "record_unconfirmed": _write(
        sent,
        lambda ledger, b, owner: ledger.record_unconfirmed(
            b, owner, LATER, not_before=LATER, note="lost", list_reads=2, if_absent=IfAbsent.SPLIT
        ),
        CREATE,
    ),
    "record_copied": _write(
        planned, lambda ledger, b, _: ledger.record_copied([b], LATER, "a copy", api=API), "attempt"
    ),
    "record_refused": _write(
        sent_after_refusal, lambda ledger, b, owner: ledger.record_refused(b, owner, LATER, "no"), CREATE
    ),
    "record_split": _write(
        sent_after_refusal, lambda ledger, b, owner: ledger.record_split(b, owner, HALVES, LATER, "too large"), CREATE
    ),
    "record_vouched": _write(adopted, lambda ledger, b, _: ledger.record_vouched(b, "a person's word"), "id"),
    "record_foreign_batch": _write(
        planned, lambda ledger, b, _: ledger.record_foreign_batch(b.job_id, "msgbatch_8", NOW)
    ),
    "record_duplicate_batch": _write(
        planned, lambda ledger, b, _: ledger.record_duplicate_batch(b.job_id, "msgbatch_8", NOW)
    ),
    "record_duplicate_ended": _write(
        planned, lambda ledger, b, _: ledger.record_duplicate_ended(b.job_id, "msgbatch_8", NOW, is_free=False)
    ),
    "record_wrong_adoption": _write(
        downloading, lambda ledger, b, owner: ledger.record_wrong_adoption(b, owner, LATER), DOWNLOAD
    ),
    "record_identified": _write(adopted, lambda ledger, b, _: ledger.record_identified(b), "id"),
    "record_polled": _write(
        running, lambda ledger, b, _: ledger.record_polled([(b, _seen(ended_at=NOW + HOUR))], LATER), "id"
    ),
    "record_missing": _write(running, lambda ledger, b, _: ledger.record_missing(b, LATER), "id"),
    "record_fetched": _write(
        fetched_before,
        lambda ledger, b, owner: ledger.record_fetched(b, owner, VERIFIED, LATER, evidence="ids"),
        DOWNLOAD,
    ),
    "record_usage": _write(fetched_without_usage, lambda ledger, b, _: ledger.record_usage(b, VERIFIED)),
    "record_files_missing": _write(fetched, lambda ledger, b, _: ledger.record_files_missing(b, LATER)),
    "record_postponed": _write(
        running, lambda ledger, b, _: ledger.record_postponed(b, LATER, not_before=LATER, note="HTTP 529"), "id"
    ),
    "record_deleted": _write(fetched, lambda ledger, b, _: ledger.record_deleted(b, LATER), "id"),
    "record_download_failed": _write(
        downloading,
        lambda ledger, b, owner: ledger.record_download_failed(b, owner, LATER, not_before=LATER, note="7 of 10"),
        DOWNLOAD,
    ),
    "record_results_removed": _write(
        downloading, lambda ledger, b, owner: ledger.record_results_removed(b, owner, LATER, "removed"), DOWNLOAD
    ),
    "record_held": _write(
        downloading, lambda ledger, b, owner: ledger.record_held(b, owner, "its model differs"), DOWNLOAD
    ),
    "record_place": _write(
        planned,
        lambda ledger, *_: ledger.record_place(Place(machine="m", path="/p", device=1, inode=2), 7, is_copy=True),
    ),
    "record_notify_targets": _write(
        told,
        lambda ledger, b, _: ledger.record_notify_targets(ledger.job_of(b), TargetKind.URL, [OTHER_HOOK]),
    ),
    "record_notifications": _write(
        told,
        lambda ledger, b, _: ledger.record_notifications(
            ledger.job_of(b), NotifyEvent.NEEDS_PERSON, "in doubt", "{}", LATER
        ),
    ),
    "claim_notification": _write(
        told, lambda ledger, *_: ledger.claim_notification(pending(ledger), LATER, until=LATER)
    ),
    "record_attempt": _write(
        telling, lambda ledger, *_: ledger.record_attempt(pending(ledger), Delivery.DELIVERED, LATER)
    ),
}

# ---------------------------------------------------------------- methods that only read

QUESTIONS: dict[str, Callable[[ReadLedger, Batch], object]] = {
    "revision": lambda ledger, _: ledger.revision,
    "jobs": lambda ledger, _: ledger.jobs(),
    "job": lambda ledger, _: ledger.job(JOB),
    "job_of": lambda ledger, b: ledger.job_of(b),
    "stored_place": lambda ledger, _: ledger.stored_place(),
    "batches": lambda ledger, b: ledger.batches(ledger.job_of(b)),
    "place": lambda ledger, b: ledger.place(b),
    "failures": lambda ledger, b: ledger.failures(ledger.job_of(b)),
    "usage_totals": lambda ledger, b: ledger.usage_totals(ledger.job_of(b)),
    "moves": lambda ledger, b: ledger.moves(ledger.job_of(b)),
    "presumed_not_created": lambda ledger, b: ledger.presumed_not_created(ledger.job_of(b)),
    "possibly_paid_creates": lambda ledger, b: ledger.possibly_paid_creates(ledger.job_of(b)),
    "notify_targets": lambda ledger, b: ledger.notify_targets(ledger.job_of(b)),
    "pending_notifications": lambda ledger, _: ledger.pending_notifications(),
    "unconfirmed_batches": lambda ledger, _: ledger.unconfirmed_batches(),
    "provisional_matches": lambda ledger, _: ledger.provisional_matches(),
    "contenders": lambda ledger, _: ledger.contenders(10),
    "counts_being_sent": lambda ledger, b: ledger.counts_being_sent(replace(ledger.job_of(b), id=99)),
    "holder_of": lambda ledger, b: ledger.holder_of(b),
    "is_claimed_by": lambda ledger, b: ledger.is_claimed_by(b, ME),
    "holders": lambda ledger, _: ledger.holders(),
    "job_id_of_message_batch": lambda ledger, _: ledger.job_id_of_message_batch("msgbatch_1"),
    "message_batch_ids": lambda ledger, _: ledger.message_batch_ids(),
    "jobs_of_message_batches": lambda ledger, _: ledger.jobs_of_message_batches({"msgbatch_1", "msgbatch_z"}),
    "known_message_batches": lambda ledger, b: ledger.known_message_batches(ledger.job_of(b)),
}
