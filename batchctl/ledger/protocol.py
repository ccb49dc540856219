"""The ledger as the rest of the program sees it: what is true of every job.

`ReadLedger` has the questions, each answered from one instant. `Ledger` adds the claims and records. Each of those is one
transaction: when it returns, what it wrote is on the disk, and when it is interrupted, nothing of it is. A record of a step is
fenced: its maker proves by owner and attempt that the step is still its own, and a record that comes too late changes nothing.

`ledger.SqlLedger` is the implementation, on the database of `ledger.sqlite`; tests/ledger/test_conformance.py is what any
implementation must pass.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from batchctl.domain.model import (
    Batch,
    Cut,
    Failures,
    Headers,
    IfAbsent,
    Job,
    Merged,
    MessageBatch,
    PresumedNotCreated,
    Round,
    State,
    Unconfirmed,
    Verified,
    WithheldShape,
)
from batchctl.domain.notifications import Delivery, Notification, NotifyEvent, NotifyTarget, TargetKind
from batchctl.domain.places import Place
from batchctl.domain.prices import UsageTotals


class ReadLedger(Protocol):
    """The questions that a ledger answers. All methods raise LedgerProblem where the database cannot be used."""

    @property
    def revision(self) -> str | None:
        """The revision of the tables; None for an empty database, which must not be asked anything."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...

    # ---------------------------------------------------------------- jobs

    def jobs(self) -> list[Job]:
        """Return all jobs, oldest first."""
        ...

    def job(self, name: str) -> Job:
        """Return the job of that name, which must be there."""
        ...

    def job_of(self, batch: Batch | PresumedNotCreated) -> Job:
        """Return the job that a batch belongs to."""
        ...

    # ---------------------------------------------------------------- the workspace

    def stored_place(self) -> tuple[str, str, Place, int]:
        """Return (workspace id, salt, place where it was last written, generation). All copies share the id and the salt."""
        ...

    # ---------------------------------------------------------------- batches of a job

    def batches(self, job: Job) -> tuple[Batch, ...]:
        """Return the batches of a job in the order of rounds, and of the input within a round."""
        ...

    def place(self, batch: Batch) -> tuple[int, int]:
        """Return the number of a batch in its round, from 1, and how many batches the round has."""
        ...

    def failures(self, job: Job) -> list[Failures]:
        """Return the failed requests of a job, by batch and kind."""
        ...

    def usage_totals(self, job: Job) -> dict[int, list[UsageTotals]]:
        """Return the usage of the successes of each batch, by its id; a batch that was not downloaded is left out."""
        ...

    def moves(self, job: Job) -> list[tuple[int, datetime, str, str, str]]:
        """Return every change of state, oldest first: id of the batch, time, state before, state after, remark."""
        ...

    def presumed_not_created(self, job: Job) -> list[PresumedNotCreated]:
        """Return the creates that were presumed to have made nothing, and were followed by others of the same requests.

        Those whose batch had an id are left out: it is known, so there is nothing to look for.
        """
        ...

    def possibly_paid_creates(self, job: Job) -> list[PresumedNotCreated]:
        """Return all that may be paid for besides the batches.

        These are `presumed_not_created`, and batches whose id the API stopped knowing and that were sent again.
        """
        ...

    # ---------------------------------------------------------------- batches of all jobs

    def unconfirmed_batches(self) -> list[Batch]:
        """Return the batches of all jobs that were or are being sent and have no id yet."""
        ...

    def provisional_matches(self) -> list[Batch]:
        """Return the batches of all jobs that were adopted by size and time alone."""
        ...

    def contenders(self, count: int) -> list[Batch]:
        """Return the batches of all jobs that a batch of `count` requests in the API's list may belong to.

        These are the ones that are being sent, are unconfirmed or were adopted, the oldest intent first.
        """
        ...

    def counts_being_sent(self, but: Job) -> frozenset[int]:
        """Return the sizes of the batches that other jobs than `but` are sending or reconciling right now."""
        ...

    def holder_of(self, batch: Batch) -> tuple[str | None, int]:
        """Return the owner of the step on a batch, if any, and its attempt."""
        ...

    def is_claimed_by(self, sent: Batch, owner: str) -> bool:
        """Return whether the create under way is still this owner's, in this attempt."""
        ...

    def holders(self) -> dict[str, datetime]:
        """Return the owners that hold a claim, each with the latest end of its claims."""
        ...

    # ---------------------------------------------------------------- ids of the API

    def job_id_of_message_batch(self, message_batch_id: str) -> int | None:
        """Return the id of the job that has this batch of the API; None where none has."""
        ...

    def message_batch_ids(self) -> set[str]:
        """Return the ids at the API of all batches of this workspace."""
        ...

    def jobs_of_message_batches(self, message_batch_ids: Collection[str]) -> dict[str, str]:
        """Return the names of the jobs that have these batches of the API; ids that no job has are left out."""
        ...

    def known_message_batches(self, job: Job) -> set[str]:
        """Return the ids at the API that cannot be an unconfirmed batch of the job: taken by other batches, or foreign."""
        ...

    # ---------------------------------------------------------------- notifications

    def notify_targets(self, job: Job) -> list[NotifyTarget]:
        """Return the targets of a job."""
        ...

    def pending_notifications(self) -> list[Notification]:
        """Return what is to be delivered of all jobs, oldest first, whether or not it is due."""
        ...


class Ledger(ReadLedger, Protocol):
    """A ledger that is written as well. A method that takes a step returns False if another owner took it or the batch changed."""

    # ---------------------------------------------------------------- claims

    def claim(self, wanted: Batch, owner: str, now: datetime) -> bool:
        """Take the next step on a batch, if the batch is still as `wanted` has it and nobody else has taken it."""
        ...

    def claim_all(self, wanted: Sequence[Batch], owner: str, now: datetime) -> bool:
        """Claim all batches or none: to reconcile a part of them would take batches of the rest for foreign ones."""
        ...

    def claim_send(
        self, wanted: Batch, owner: str, now: datetime, *, created_after: datetime | None, api: str
    ) -> Batch | None:
        """Claim a planned batch and record the intent to create it: until an answer is recorded, the batch may exist.

        The create is to be sent with the headers that the job has at this instant. The generation of the ledger rises.

        Args:
            wanted: The batch as it was seen.
            owner: Who sends it.
            now: When.
            created_after: The newest `created_at` that the API has shown so far.
            api: Base URL, account and key that the create goes to.

        Returns:
            The batch with its new attempt; None where another was first, or the job was canceled meanwhile.
        """
        ...

    def release(self, owned: Batch, owner: str, *, not_before: datetime | None = None, note: str = "") -> None:
        """Give a claim back; the state stays."""
        ...

    def renew(self, owner: str, now: datetime) -> None:
        """Renew all claims of an owner as a sign of life."""
        ...

    def release_dead(self, elapsed: float) -> int:
        """Release the claims of owners that no longer run, whose half-sent batches become unconfirmed; return how many.

        Args:
            elapsed: Seconds of a clock that nobody sets and that goes on while the machine sleeps. An owner that cannot be
                asked, as one on another machine, is dead when its lease was not renewed for LEASE of them.
        """
        ...

    # ---------------------------------------------------------------- records of jobs

    def record_job(self, new: Job, cuts: Sequence[Cut]) -> Job:
        """Record a job, its first round and its batches; return it with its id. The ids in `new` are not used.

        The batches of a job with a first batch are only the plan of the input, in no state in which they could be sent.
        """
        ...

    def record_attached(
        self, new: Job, found: Sequence[tuple[Cut, MessageBatch]], now: datetime, *, api: str = ""
    ) -> bool:
        """Record a job of batches that were made elsewhere. `api`: where they were found.

        Returns:
            False where one of them is in a job already, or may be an unconfirmed batch of a job.
        """
        ...

    def record_requests(self, known: Job, owner: str, cuts: Sequence[Cut], rest: Sequence[Cut] = ()) -> bool:
        """Record the requests of an attached job, and release its batches. Its results must fit the requests by now.

        Args:
            known: The job with its input.
            owner: The owner of all of its batches.
            cuts: Where the requests of each batch lie in the input.
            rest: Requests that none of the batches holds. They get a place in round 1 and are no batch.

        Returns:
            False where `owner` does not hold all of its batches, downloaded.
        """
        ...

    def record_detached(self, job: Job) -> bool:
        """Forget a job that was attached for nothing.

        Returns:
            False where its requests are known by now, or somebody is taking a step on it.
        """
        ...

    def record_round(
        self, job: Job, new: Round, cuts: Sequence[Cut], withheld: Sequence[WithheldShape] | None = None
    ) -> bool:
        """Record a later round and its batches; return False where another process was first with its number.

        `withheld`: the shapes that are not sent, with the round that judges the first batch.
        """
        ...

    def record_judged(self, job: Job, withheld: Sequence[WithheldShape]) -> bool:
        """Record that the first batch is judged, and that nothing else of the input can be sent.

        `job` is the job as it was judged; return False where another process has planned a round since.
        """
        ...

    def record_pause(self, job: Job, reason: str) -> None:
        """Record that no batch is sent until a person comes back; an empty reason ends the pause."""
        ...

    def record_hold(self, job: Job, until: datetime | None, reason: str, now: datetime) -> None:
        """Record that no batch is created before a time, as the API asked; None ends it."""
        ...

    def record_canceled(self, job: Job, at: datetime | None) -> None:
        """Record that nothing more of a job is sent from a time on; None: a person wants it sent after all."""
        ...

    def record_limit(self, job: Job, max_cost: Decimal) -> None:
        """Record the limit for all rounds together, in US dollars."""
        ...

    def record_prime_min_hit(self, job: Job, percent: int) -> None:
        """Record how much of the shared prompts is to be read from a cache, for a job whose cache is primed."""
        ...

    def record_headers(self, job: Job, headers: Headers) -> bool:
        """Record the headers for all creates from now on. What was sent keeps the headers of its create.

        Returns:
            False where the job has other headers than `job` by now.
        """
        ...

    def record_window(self, job: Job, requests: int, at: datetime) -> None:
        """Record how many requests of the job the API's queue took at once when it last refused, or took, more."""
        ...

    def record_merged(self, job: Job, merged: Merged) -> None:
        """Record what the last merge wrote."""
        ...

    def record_request_file(self, job: Job, number: int, path: str, mtime_ns: int) -> None:
        """Record where the bytes of a round lie from now on."""
        ...

    # ---------------------------------------------------------------- records of creates

    def record_created(self, sent: Batch, seen: MessageBatch, now: datetime) -> bool:
        """Record the API's own answer to a create. It is certain: another batch that adopted the same id was wrong.

        Returns:
            False where the requests were sent once more, cut or bound by another process meanwhile: then this is a duplicate
            batch, which is remembered and never adopted. False, too, where the API has given this id to another create: then
            a batch was made, and nobody knows which.
        """
        ...

    def record_adopted(self, found: Batch, seen: MessageBatch, owner: str, now: datetime, *, identified: bool) -> bool:
        """Record a provisional match: the API has the batch, as far as its size and perhaps some of its ids tell.

        Returns:
            False where the id is taken, or the batch is another owner's or no longer unconfirmed.
        """
        ...

    def record_not_created(
        self, sent: Batch, owner: str, now: datetime, *, not_before: datetime | None, note: str
    ) -> bool:
        """Record a definite no of the API, after which the batch is planned again; return False where the claim was lost."""
        ...

    def record_presumed_not_created(self, lost: Batch, owner: str, now: datetime, *, note: str) -> bool:
        """Record that an unconfirmed create is presumed to have made nothing, or that the API does not know a batch any more.

        The batch is planned again. The create is remembered: it may be paid for, and what the API shows of it later holds the
        same requests once more.

        Returns:
            False where another process was first, or the API knows the batch again by now.
        """
        ...

    def record_unconfirmed(
        self,
        sent: Batch,
        owner: str,
        now: datetime,
        *,
        not_before: datetime,
        note: str,
        list_reads: int = 0,
        unconfirmed: Unconfirmed | None = None,
        if_absent: IfAbsent | None = None,
    ) -> None:
        """Record that the outcome of a create is not known. The batch stays `submitting` and the claim ends.

        Nothing is changed where another owner has the step by now.

        Args:
            sent: The batch as it was sent.
            owner: Who sent it, or reconciles it.
            now: When.
            not_before: When it is reconciled at the earliest.
            note: A remark.
            list_reads: How often the API's list was read for it so far.
            unconfirmed: Why the outcome is not known; None leaves what is recorded.
            if_absent: What follows once nothing proves to have been created; None leaves what is recorded.
        """
        ...

    def record_copied(self, planned: Sequence[Batch], now: datetime, note: str, *, api: str) -> None:
        """Record that a copy of this workspace may have sent these batches: they become unconfirmed.

        One that somebody has taken meanwhile is left as it is. `api`: the account of the copy; empty for our own.
        """
        ...

    def record_refused(self, sent: Batch, owner: str, now: datetime, note: str) -> bool:
        """Record that the API refuses a batch for good; return False where the claim was lost."""
        ...

    def record_split(self, sent: Batch, owner: str, halves: Sequence[Cut], now: datetime, note: str) -> bool:
        """Replace a batch that is too large for the API by two smaller ones; return False where the claim was lost."""
        ...

    def record_vouched(self, held: Batch, evidence: str) -> bool:
        """Record a person's word that a match is ours; return False where it is another batch's by now."""
        ...

    def record_foreign_batch(self, job_id: int, message_batch_id: str, now: datetime) -> None:
        """Record that a batch of the API holds requests of others: it is never matched with this job again."""
        ...

    def record_duplicate_batch(self, job_id: int, message_batch_id: str, now: datetime) -> None:
        """Record that a batch of the API holds requests that another batch of the job holds, too: it is to be canceled."""
        ...

    def record_duplicate_ended(self, job_id: int, message_batch_id: str, now: datetime, *, is_free: bool) -> None:
        """Record that a duplicate batch is over. `is_free`: none of it was processed, so it is forgotten."""
        ...

    def record_wrong_adoption(self, adopted: Batch, owner: str, now: datetime) -> None:
        """Record that the results of a match are other requests': the batch is unconfirmed again, and the id is free.

        Nothing is changed where another process is downloading it, has fetched it, or recorded the same before.
        """
        ...

    def record_identified(self, adopted: Batch) -> None:
        """Record that some ids in a provisional match were read and are ours."""
        ...

    # ---------------------------------------------------------------- records of polls and downloads

    def record_polled(self, pairs: Collection[tuple[Batch, MessageBatch]], now: datetime) -> list[tuple[Batch, State]]:
        """Record what the API says of batches, all in one transaction; return those whose state moved, with the new state."""
        ...

    def record_missing(self, batch: Batch, now: datetime) -> None:
        """Record that the API answered 404 for a batch; the first time since it was last seen counts."""
        ...

    def record_fetched(
        self, downloaded: Batch, owner: str, verified: Verified, now: datetime, *, evidence: str = ""
    ) -> bool:
        """Record that the results are whole, verified and on the disk; return False where the claim was lost.

        `evidence`: what shows that they are ours, for a batch that was found in the API's list.
        """
        ...

    def record_usage(self, downloaded: Batch, verified: Verified) -> None:
        """Record the usage of a batch that an older version downloaded without it, if its results are still the same."""
        ...

    def record_files_missing(self, downloaded: Batch, now: datetime) -> None:
        """Record that the files of a fetched batch are not on the disk as they were: they are downloaded again."""
        ...

    def record_postponed(self, batch: Batch, now: datetime, *, not_before: datetime, note: str) -> None:
        """Record that a step got no answer and is not tried again before a time; state and claim stay."""
        ...

    def record_deleted(self, batch: Batch, now: datetime) -> None:
        """Record that the API no longer has a batch: what is on the disk is all there is."""
        ...

    def record_download_failed(
        self, downloaded: Batch, owner: str, now: datetime, *, not_before: datetime, note: str
    ) -> None:
        """Record that a download did not hold what it should and is tried again later; the claim ends."""
        ...

    def record_results_removed(self, downloaded: Batch, owner: str, at: datetime, note: str) -> None:
        """Record that the API removed the results of a batch before they were downloaded; the claim ends."""
        ...

    def record_held(self, downloaded: Batch, owner: str, why: str) -> None:
        """Record that only a person can say whether downloaded results are ours; they are not used, and the claim ends."""
        ...

    # ---------------------------------------------------------------- the workspace

    def here(self) -> Place:
        """Return where the ledger lies now."""
        ...

    def record_place(self, here: Place, generation: int, *, is_copy: bool) -> None:
        """Record where the ledger is written from now on. The generation never falls.

        `is_copy`: another copy may have continued its jobs.
        """
        ...

    # ---------------------------------------------------------------- records of notifications

    def record_notify_targets(self, job: Job, kind: TargetKind, targets: Sequence[NotifyTarget]) -> None:
        """Record the targets of one kind. Others of this kind are forgotten, with what was to be delivered to them."""
        ...

    def record_notifications(self, job: Job, event: NotifyEvent, occasion: str, body: str, now: datetime) -> None:
        """Record the intent to notify each target of a job. A target that has one of this occasion gets no second one."""
        ...

    def claim_notification(self, wanted: Notification, now: datetime, *, until: datetime) -> Notification | None:
        """Claim the next attempt to deliver a notification, if it is still pending and no other was begun.

        Args:
            wanted: The notification as it was seen.
            now: When.
            until: When another process may begin the attempt after this one, if nothing is recorded of this one before.

        Returns:
            The notification with its new number of attempts; None where another process was first.
        """
        ...

    def record_attempt(
        self,
        claimed: Notification,
        delivery: Delivery,
        now: datetime,
        *,
        not_before: datetime | None = None,
        note: str = "",
    ) -> bool:
        """Record what came of an attempt; return False where another attempt was begun meanwhile."""
        ...
