"""Reconcile unconfirmed batches: read the API's list, apply the rules of `engine.resend_rules`, and record what they decide.

A stop between any two of the numbered steps in `Reconciler.reconcile` loses nothing: each conclusion is a transaction of its
own, and a batch without one stays unconfirmed.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from batchctl.domain.api_failures import AfterRead, after_read
from batchctl.domain.errors import ApiFailure, UnconfirmedProblem
from batchctl.domain.events import BatchReconciled, DuplicateBatch, PollFailed
from batchctl.domain.model import Batch, IfAbsent, Job, MessageBatch, PresumedNotCreated, State
from batchctl.domain.wording import plural
from batchctl.engine.accounts import account_of, is_other, is_other_key
from batchctl.engine.pacing import backoff
from batchctl.engine.poll import fill_in_sizes, pages, raise_unless_passing
from batchctl.engine.resend_rules import (
    MIN_LIST_READS,
    Listing,
    Verdict,
    grace_of,
    is_past,
    is_search_complete,
    judge_list,
    oldest_created_after,
    why_person_decides,
)
from batchctl.engine.send import refuse, split
from batchctl.engine.session import Session
from batchctl.requests.request_file import ids_of_range, request_file
from batchctl.results.result_lines import IncompleteResults, first_ids

# The pause while only the end of a candidate, or a person, can tell more.
WAIT_FOR_END = timedelta(seconds=60)
# Ids that are read of a candidate: enough to distinguish two inputs, and few enough to read from any batch.
SAMPLE_IDS = 20
Contender = TypeVar("Contender", Batch, PresumedNotCreated)


class Reconciler:
    """Searches the API's list for unconfirmed batches, and computes the pauses between two reads of it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._failures = 0
        # By the id of a batch, the time of the last read that counted, by the monotonic clock.
        self._counted_at: dict[int, float] = {}

    def reconcile(self, job: Job, unconfirmed_batches: Sequence[Batch]) -> bool:
        """Read the API's list once, and record what it says about all unconfirmed batches of a job.

        Returns whether waiting may bring more. False: only the end of a candidate or a person can tell more.

        A transient error postpones the batches and returns True. Raises AccountProblem and ServiceProblem where asking again
        cannot help, UnconfirmedProblem where the batches were sent with another account, and Stopped.
        """
        session = self._session
        # 1. The claim, of all unconfirmed batches of the job or none: to a process that has a part of them, the batches of the
        #    others would look foreign.
        if not session.ledger.claim_all(unconfirmed_batches, session.owner, session.now()):
            return True
        try:
            # 2. The API's list, newest first, back to before the oldest create.
            listing = listing_for(session, job, unconfirmed_batches)
            verdict = judge_list(unconfirmed_batches, listing)
            # 3. The records: what is concluded of each batch.
            is_progress = self._record(verdict, listing)
        except ApiFailure as failure:
            self._failed(unconfirmed_batches, failure)
            return True
        except BaseException:
            self._postpone(unconfirmed_batches, "unconfirmed", 0.0)
            raise
        self._failures = 0
        return is_progress or is_in_grace(verdict.wait)

    def _failed(self, unconfirmed_batches: Sequence[Batch], failure: ApiFailure) -> None:
        self._failures += 1
        pause = backoff(self._failures, failure.retry_after, self._session.clock.draw())
        self._postpone(unconfirmed_batches, f"unconfirmed, and the API cannot be reached: {failure}", pause)
        raise_unless_passing(failure)
        self._session.emit(PollFailed(str(failure), self._failures, pause))

    def _record(self, verdict: Verdict, listing: Listing) -> bool:
        """Record a verdict. Return whether anything was concluded."""
        session = self._session
        for batch, candidate in verdict.adopt:
            self._adopt(batch, candidate, identified=False)
        for batch in verdict.absent:
            _record_absent(session, batch)
        for batch in verdict.decide:
            self._postpone([batch], why_person_decides(batch), WAIT_FOR_END.total_seconds())
        is_identified = [self._identify(candidate, verdict) for candidate in verdict.identify]
        is_progress = bool(verdict.adopt or verdict.absent) or any(is_identified)
        note = _why_open(verdict, listing)
        # A batch that was adopted above is no longer unconfirmed: the ledger does not postpone it.
        if is_progress:
            pause = 0.0
        elif verdict.candidates and not is_in_grace(verdict.wait):
            pause = WAIT_FOR_END.total_seconds()
        else:
            pause = max((self._read_pause(b) for b in verdict.wait), default=0.0)
        self._postpone(verdict.wait, note, pause, is_read=not is_progress)
        return is_progress

    def _read_pause(self, batch: Batch) -> float:
        return grace_of(batch, self._session.grace).total_seconds() / MIN_LIST_READS

    def _postpone(self, batches: Sequence[Batch], note: str, seconds: float, *, is_read: bool = False) -> None:
        """Record when unconfirmed batches are reconciled again.

        `is_read`: the list was read for them. The read counts only where it came after its pause: reads in quick succession
        prove nothing about a list that lags behind.
        """
        session = self._session
        now = session.now()
        until = now + timedelta(seconds=seconds)
        for batch in batches:
            list_reads = batch.list_reads + (is_read and self._counts(batch, now))
            session.ledger.record_unconfirmed(
                batch, session.owner, now, not_before=until, note=note, list_reads=list_reads
            )

    def _counts(self, batch: Batch, now: datetime) -> bool:
        """Return whether a read of the list counts for a batch: its pause has passed since the last read that counted.

        Two reads of this process are compared by the monotonic clock. The first read of a process is compared with the time
        that another process recorded: a clock that was set can make at most one read count early, and several are required.
        """
        steady, last = self._session.clock.monotonic(), self._counted_at.get(batch.id)
        if last is None:
            counts = batch.not_before is not None and batch.not_before <= now
        else:
            counts = steady - last >= self._read_pause(batch)
        if counts or last is None:
            self._counted_at[batch.id] = steady
        return counts

    def _identify(self, candidate: MessageBatch, verdict: Verdict) -> bool:
        """Read some ids of an ended candidate and record whose it is. Return whether that was concluded."""
        try:
            return self._assign(candidate, verdict.wait)
        except IncompleteResults:
            return False
        except ApiFailure as failure:
            if after_read(failure) is not AfterRead.GONE:
                raise
            # Its results are gone: it stays a candidate that cannot be identified, and does not stop the others.
            return False

    def _assign(self, candidate: MessageBatch, unconfirmed_batches: Sequence[Batch]) -> bool:
        """Record whose an ended candidate is, and return whether that was concluded.

        Raises ApiFailure, and IncompleteResults where its results have no id.
        """
        session = self._session
        sizes = {b.count for b in unconfirmed_batches} if candidate.size is None else {candidate.size}
        contenders = [b for size in sizes for b in session.ledger.contenders(size)]
        shares = shares_of(session, candidate, contenders)
        if not any(share for _, share in shares):
            # Read once more before it is a foreign batch for good: one wrong answer of the API must not decide that.
            shares = shares_of(session, candidate, contenders)
        owners = [b for b, share in shares if share == 1]
        matched = next((b for b in contenders if b.message_batch_id == candidate.id), None)
        if matched is not None and any(b.id == matched.id for b in owners):
            session.ledger.record_identified(matched)
            return True
        if len(owners) == 1:
            return self._reassign(owners[0], matched, candidate)
        if any(share for _, share in shares):
            # Two jobs have the same ids, or some of the ids are ours and some are not: ids cannot say whose it is.
            return False
        if self._is_of_planned(candidate, unconfirmed_batches[0]):
            # A copy of the workspace sent it, with other cuts: it is reconciled when its requests are to be sent.
            return False
        if matched is not None:
            session.ledger.record_wrong_adoption(matched, session.owner, session.now())
        job = session.ledger.job_of(unconfirmed_batches[0])
        presumed = [p for p in session.ledger.presumed_not_created(job) if candidate.size in {None, p.cut.count}]
        if not (presumed and record_if_duplicate(session, job, candidate, shares_of(session, candidate, presumed))):
            session.ledger.record_foreign_batch(job.id, candidate.id, session.now())
        return True

    def _is_of_planned(self, candidate: MessageBatch, batch: Batch) -> bool:
        """Return whether a candidate has requests that the job of `batch` still plans to send: a copy has sent them."""
        session = self._session
        job = session.ledger.job_of(batch)
        planned = [b for b in session.ledger.batches(job) if b.state is State.PLANNED] if job.may_be_copied else []
        return bool(planned) and any(share for _, share in shares_of(session, candidate, planned))

    def _reassign(self, owner: Batch, matched: Batch | None, candidate: MessageBatch) -> bool:
        """Adopt a candidate for the batch whose ids it has; a `matched` batch, by a wrong match, becomes unconfirmed again.

        Returns False where another process has claimed the batch.
        """
        session = self._session
        if owner.claim is not None and owner.claim.owner != session.owner:
            return False
        if matched is not None:
            session.ledger.record_wrong_adoption(matched, session.owner, session.now())
        if owner.message_batch_id is not None:
            session.ledger.record_wrong_adoption(owner, session.owner, session.now())
        self._adopt(owner, candidate, identified=True)
        return True

    def _adopt(self, batch: Batch, candidate: MessageBatch, *, identified: bool) -> None:
        session = self._session
        if session.ledger.record_adopted(batch, candidate, session.owner, session.now(), identified=identified):
            session.emit(BatchReconciled(*session.place(batch), candidate.id, identified))
        else:
            self._postpone([batch], "unconfirmed: its candidate belongs to another batch", 1.0)


def _why_open(verdict: Verdict, listing: Listing) -> str:
    """Return, for people, why batches of a verdict stay unconfirmed."""
    if verdict.candidates:
        return f"unconfirmed: may be one of {', '.join(c.id for c in verdict.candidates[:3])}"
    if not listing.is_whole:
        return "unconfirmed: the API's list cannot be read completely"
    return "unconfirmed: the API's list does not show it yet"


def listing_for(
    session: Session, job: Job, unconfirmed_batches: Sequence[Batch], *, with_any_key: bool = False
) -> Listing:
    """Read the API's list back to before the oldest create of the unconfirmed batches of a job.

    `with_any_key`: a batch that was sent with another key is no error. For a person, whose key may have been replaced.
    Raises what `pages` raises, and UnconfirmedProblem where a batch was sent with another account.
    """
    known = session.ledger.known_message_batches(job)
    of_this_account = [
        b for b in unconfirmed_batches if not (with_any_key and is_other_key(b.api, session.server.account))
    ]
    listed, is_whole = list_since(session, oldest_created_after(unconfirmed_batches), known, of_this_account)
    sizes = {b.count for b in unconfirmed_batches}
    return Listing(
        batches=listed,
        known=known,
        matched={b.message_batch_id for b in session.ledger.provisional_matches() if b.message_batch_id},
        contested={b.count for size in sizes for b in session.ledger.contenders(size) if b.job_id != job.id},
        is_whole=is_whole,
    )


def list_since(
    session: Session, since: datetime | None, known: Collection[str], unconfirmed_batches: Sequence[Batch] = ()
) -> tuple[list[MessageBatch], bool]:
    """Return the batches of the API's list back to `since`, newest first, and whether all of that could be read.

    Some older batches may follow; without `since` the whole list is read. The size of a batch that the list does not show is
    asked for by id, unless the batch is `known`.
    Raises as `listing_for` does.
    """
    listed: list[MessageBatch] = []
    is_whole = True
    for page in pages(session):
        refuse_other_account(session, unconfirmed_batches)
        listed.extend(page.batches)
        is_whole = is_whole and page.is_whole
        if is_past(page.batches, since):
            break
    return fill_in_sizes(session, listed, known), is_whole


def refuse_other_account(session: Session, unconfirmed_batches: Sequence[Batch]) -> None:
    """Raise UnconfirmedProblem where unconfirmed batches were sent with another account, whose batches this one cannot see."""
    here = session.server.account
    of_others = [b for b in unconfirmed_batches if is_other(b.api, here)]
    if of_others:
        there = account_of(of_others[0].api)
        key = way = ""
        if is_other_key(of_others[0].api, here):
            key, way = " with another key", "; if that key no longer exists, decide yourself: batchctl resolve"
        raise UnconfirmedProblem(
            f"{plural(len(of_others), 'batch is', 'batches are')} unconfirmed at {there.shown()}{key}; this key and URL use {here.shown()}",
            hint=f"run the same command again with the key and the --base-url that sent them{way}",
        )


def _record_absent(session: Session, batch: Batch) -> None:
    """Record that a create created nothing, and do what the answer to it asked for."""
    match batch.if_absent:
        case IfAbsent.REFUSE:
            refuse(session, session.ledger.job_of(batch), batch, batch.note)
        case IfAbsent.SPLIT:
            split(session, session.ledger.job_of(batch), batch)
        case IfAbsent.PLAN:
            if session.ledger.record_presumed_not_created(
                batch, session.owner, session.now(), note="the API does not have it"
            ):
                session.emit(BatchReconciled(*session.place(batch), "", identified=False))


def shares_of(
    session: Session, candidate: MessageBatch, contenders: Sequence[Contender]
) -> list[tuple[Contender, float]]:
    """Return each contender with the share, from 0 to 1, of a sample of the candidate's ids that are among its requests.

    The candidate must have ended. Raises ApiFailure, IncompleteResults where its results have no id, and InputProblem or
    DiskProblem where requests cannot be read.
    """
    with session.message_batches.results(candidate.id) as pieces:
        sample = first_ids(pieces, SAMPLE_IDS)
    shares = []
    for contender in contenders:
        path = request_file(session.workspace, session.ledger.job_of(contender), contender.round)
        ids = ids_of_range(path, contender)
        shares.append((contender, sum(i in ids for i in sample) / len(sample)))
    return shares


def record_if_duplicate(
    session: Session, job: Job, candidate: MessageBatch, shares: Sequence[tuple[PresumedNotCreated, float]]
) -> bool:
    """Record and emit a candidate as a duplicate batch if all sampled ids are those of one presumption; return whether.

    `shares`: what `shares_of` returned for the creates of the job that were presumed to have created nothing.
    """
    original = next((presumed for presumed, share in shares if share == 1), None)
    if original is None:
        return False
    batch = next(b for b in session.ledger.batches(job) if b.id == original.batch_id)
    session.ledger.record_duplicate_batch(job.id, candidate.id, session.now())
    session.emit(DuplicateBatch(*session.place(batch), candidate.id))
    return True


def is_in_grace(unconfirmed_batches: Sequence[Batch]) -> bool:
    """Return whether the list must be read again before the absence of one of these batches is proven."""
    return any(not is_search_complete(b) for b in unconfirmed_batches)
