"""Arrow e: what became of batches that the API may or may not have.

Nothing here is undone by a stop: each finding is a transaction of its own, and what is left open is still unconfirmed.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from batchctl.domain.answers import AfterRead, after_read
from batchctl.domain.errors import ApiFailure, UnconfirmedProblem
from batchctl.domain.events import BatchReconciled, DuplicateBatch, PollFailed
from batchctl.domain.model import Batch, IfAbsent, Job, MessageBatch, PresumedNotCreated, State
from batchctl.engine.accounts import account_of, is_other, is_other_key
from batchctl.engine.pacing import backoff
from batchctl.engine.poll import fill_in_sizes, pages, raise_unless_passing
from batchctl.engine.reconcile import (
    MIN_LIST_READS,
    Listing,
    Verdict,
    grace_of,
    is_past,
    is_search_complete,
    reconcile,
    why_person_decides,
)
from batchctl.engine.send import refuse, split
from batchctl.engine.session import Session
from batchctl.requests.request_file import ids_of_range, request_file
from batchctl.results.result_lines import IncompleteResults, first_ids

WAIT_FOR_END = timedelta(seconds=60)
# Enough to tell one input from another, few enough to read from any batch.
SAMPLE_IDS = 20
Sought = TypeVar("Sought", Batch, PresumedNotCreated)


class Reconciler:
    """Looks for unconfirmed batches, counts how often looking itself failed, and paces the looks that count."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._failures = 0
        # When the last look for a batch was that counts, by a clock that nobody sets.
        self._counted_at: dict[int, float] = {}

    def reconcile(self, job: Job, unconfirmed_batches: Sequence[Batch]) -> bool:
        """Look once. True while something may come of waiting here; False when only ended batches or a person can tell more."""
        session = self._session
        # 1. One process reconciles, and all of a job's unconfirmed batches: who takes a part takes the rest for foreign ones.
        if not session.ledger.claim_all(unconfirmed_batches, session.owner, session.now()):
            return True
        try:
            # 2. What the API has, newest first, back to before the oldest create.
            listing = listing_for(session, job, unconfirmed_batches)
            verdict = reconcile(unconfirmed_batches, listing)
            # 3. What can be said of each.
            has_come_on = self._carry_out(verdict, listing)
        except ApiFailure as failure:
            self._failed(unconfirmed_batches, failure)
            return True
        except BaseException:
            self._put_off(unconfirmed_batches, "unconfirmed", 0.0)
            raise
        self._failures = 0
        return has_come_on or is_in_grace(verdict.wait)

    def _failed(self, unconfirmed_batches: Sequence[Batch], failure: ApiFailure) -> None:
        self._failures += 1
        pause = backoff(self._failures, failure.retry_after, self._session.clock.draw())
        self._put_off(unconfirmed_batches, f"unconfirmed, and the API cannot be asked: {failure}", pause)
        raise_unless_passing(failure)
        self._session.emit(PollFailed(str(failure), self._failures, pause))

    def _carry_out(self, verdict: Verdict, listing: Listing) -> bool:
        """True when something was found out."""
        session = self._session
        for unconfirmed_batch, seen in verdict.adopt:
            self._adopt(unconfirmed_batch, seen, identified=False)
        for unconfirmed_batch in verdict.absent:
            _carry_out_absence(session, unconfirmed_batch)
        for unconfirmed_batch in verdict.decide:
            self._put_off([unconfirmed_batch], why_person_decides(unconfirmed_batch), WAIT_FOR_END.total_seconds())
        found_out = [self._identify(candidate, verdict) for candidate in verdict.identify]
        has_come_on = bool(verdict.adopt or verdict.absent) or any(found_out)
        note = _why_open(verdict, listing)
        # What was adopted above is no longer unconfirmed: the ledger passes over it.
        pause = 0.0 if has_come_on else self._pause(verdict)
        self._put_off(verdict.wait, note, pause, looked=not has_come_on)
        return has_come_on

    def _pause(self, verdict: Verdict) -> float:
        """Seconds until the next look."""
        if verdict.candidates and not is_in_grace(verdict.wait):
            return WAIT_FOR_END.total_seconds()
        return max((self._poll_pause(d) for d in verdict.wait), default=0.0)

    def _poll_pause(self, unconfirmed_batch: Batch) -> float:
        return grace_of(unconfirmed_batch, self._session.grace).total_seconds() / MIN_LIST_READS

    def _put_off(
        self, unconfirmed_batches: Sequence[Batch], note: str, seconds: float, *, looked: bool = False
    ) -> None:
        """`looked`: this look counts, where it came after its pause: looks in a row say nothing of a list that lags behind."""
        session = self._session
        now = session.now()
        until = now + timedelta(seconds=seconds)
        for unconfirmed_batch in unconfirmed_batches:
            looks = unconfirmed_batch.list_reads + (looked and self._counts(unconfirmed_batch, now))
            session.ledger.record_unconfirmed(
                unconfirmed_batch, session.owner, now, not_before=until, note=note, list_reads=looks
            )

    def _counts(self, unconfirmed_batch: Batch, now: datetime) -> bool:
        """Whether its pause has passed since the last look: by the steady clock between two looks of this process.

        The first one of a process goes by when the last one of another was noted; a clock that was set makes one look count
        too early at most, and it takes several.
        """
        steady, last = self._session.clock.monotonic(), self._counted_at.get(unconfirmed_batch.id)
        if last is None:
            counts = unconfirmed_batch.not_before is not None and unconfirmed_batch.not_before <= now
        else:
            counts = steady - last >= self._poll_pause(unconfirmed_batch)
        if counts or last is None:
            self._counted_at[unconfirmed_batch.id] = steady
        return counts

    def _identify(self, candidate: MessageBatch, verdict: Verdict) -> bool:
        """Read some ids of an ended batch and give it to the one whose they are. False when that stays open."""
        try:
            return self._give_away(candidate, verdict.wait)
        except IncompleteResults:
            return False
        except ApiFailure as failure:
            if after_read(failure) is not AfterRead.GONE:
                raise
            # Its results are gone: it stays a candidate that nobody can tell, and holds up no other.
            return False

    def _give_away(self, candidate: MessageBatch, unconfirmed_batches: Sequence[Batch]) -> bool:
        """Raises ApiFailure, and IncompleteResults where its results are none."""
        session = self._session
        sizes = {d.count for d in unconfirmed_batches} if candidate.size is None else {candidate.size}
        contenders = [b for size in sizes for b in session.ledger.contenders(size)]
        shares = shares_of(session, candidate, contenders)
        if not any(share for _, share in shares):
            # Once more before it is disowned for good: an odd answer must not make ours a foreign one.
            shares = shares_of(session, candidate, contenders)
        owners = [b for b, share in shares if share == 1]
        holder = next((b for b in contenders if b.message_batch_id == candidate.id), None)
        if holder is not None and any(b.id == holder.id for b in owners):
            session.ledger.record_identified(holder)
            return True
        if len(owners) == 1:
            return self._hand_over(owners[0], holder, candidate)
        if any(share for _, share in shares):
            # Two jobs hold the same ids, or some of the ids are ours and some are not: nobody can say whose it is.
            return False
        if self._is_of_planned(candidate, unconfirmed_batches[0]):
            # A copy of the workspace sent it, cut otherwise: it is looked for again when its requests are to be sent.
            return False
        if holder is not None:
            session.ledger.record_wrong_adoption(holder, session.owner, session.now())
        if not self._is_duplicate(candidate, unconfirmed_batches[0]):
            session.ledger.record_foreign_batch(unconfirmed_batches[0].job_id, candidate.id, session.now())
        return True

    def _is_of_planned(self, candidate: MessageBatch, unconfirmed_batch: Batch) -> bool:
        """Whether it holds requests that this job still plans to send, which takes a copy of the workspace."""
        session = self._session
        job = session.ledger.job_of(unconfirmed_batch)
        planned = [b for b in session.ledger.batches(job) if b.state is State.PLANNED] if job.may_be_copied else []
        return bool(planned) and any(share for _, share in shares_of(session, candidate, planned))

    def _is_duplicate(self, candidate: MessageBatch, unconfirmed_batch: Batch) -> bool:
        """Whether it is a create that was presumed to have made nothing: then it is remembered as one."""
        session = self._session
        job = session.ledger.job_of(unconfirmed_batch)
        presumed = [p for p in session.ledger.presumed_not_created(job) if candidate.size in {None, p.cut.count}]
        if not presumed:
            return False
        ours = next((p for p, share in shares_of(session, candidate, presumed) if share == 1), None)
        if ours is None:
            return False
        batch = next(b for b in session.ledger.batches(job) if b.id == ours.batch_id)
        session.ledger.record_duplicate_batch(job.id, candidate.id, session.now())
        session.emit(DuplicateBatch(*session.place(batch), candidate.id))
        return True

    def _hand_over(self, owner: Batch, holder: Batch | None, candidate: MessageBatch) -> bool:
        """To the one that its ids name; whoever was given it by a wrong match is unconfirmed again."""
        session = self._session
        if owner.claim is not None and owner.claim.owner != session.owner:
            return False
        if holder is not None:
            session.ledger.record_wrong_adoption(holder, session.owner, session.now())
        if owner.message_batch_id is not None:
            session.ledger.record_wrong_adoption(owner, session.owner, session.now())
        self._adopt(owner, candidate, identified=True)
        return True

    def _adopt(self, unconfirmed_batch: Batch, seen: MessageBatch, *, identified: bool) -> None:
        session = self._session
        if session.ledger.record_adopted(unconfirmed_batch, seen, session.owner, session.now(), identified=identified):
            session.emit(BatchReconciled(*session.place(unconfirmed_batch), seen.id, identified))
        else:
            self._put_off([unconfirmed_batch], "unconfirmed: its candidate was another's", 1.0)


def _why_open(verdict: Verdict, listing: Listing) -> str:
    if verdict.candidates:
        return f"unconfirmed: may be one of {', '.join(c.id for c in verdict.candidates[:3])}"
    if not listing.is_whole:
        return "unconfirmed: the API's list cannot be read whole, so that nothing can be said to be missing from it"
    return "unconfirmed: the API's list does not show it so far"


def listing_for(
    session: Session, job: Job, unconfirmed_batches: Sequence[Batch], *, with_any_key: bool = False
) -> Listing:
    """What the API has, back to before the oldest create. Raises as `pages` does, and UnconfirmedProblem for another account.

    `with_any_key`: for a person to look at, who may have another key of the same account by now.
    """
    known = session.ledger.known_message_batches(job)
    of_this_account = [
        d for d in unconfirmed_batches if not (with_any_key and is_other_key(d.api, session.server.account))
    ]
    found, is_whole = list_since(session, bound_of(unconfirmed_batches), known, of_this_account)
    return Listing(
        batches=found,
        known=known,
        matched={g.message_batch_id for g in session.ledger.provisional_matches() if g.message_batch_id},
        contested={
            b.count for d in unconfirmed_batches for b in session.ledger.contenders(d.count) if b.job_id != job.id
        },
        is_whole=is_whole,
    )


def bound_of(sought: Sequence[Batch | PresumedNotCreated]) -> datetime | None:
    """How far back the list is read for them; None for all of it."""
    bounds = [b.created_after for b in sought]
    return min((b for b in bounds if b is not None), default=None) if None not in bounds else None


def list_since(
    session: Session, since: datetime | None, known: Collection[str], unconfirmed_batches: Sequence[Batch] = ()
) -> tuple[list[MessageBatch], bool]:
    """Newest first, and some older ones; and whether all of that could be read. Raises as `listing_for` does.

    What the list does not say of a batch that is not `known`, the batch itself is asked for.
    """
    found: list[MessageBatch] = []
    is_whole = True
    for page in pages(session):
        refuse_other_account(session, unconfirmed_batches)
        found.extend(page.batches)
        is_whole = is_whole and page.is_whole
        if is_past(page.batches, since):
            break
    return fill_in_sizes(session, found, known), is_whole


def refuse_other_account(session: Session, unconfirmed_batches: Sequence[Batch]) -> None:
    """Another account does not see what this one created: "not there" would mean nothing."""
    here = session.server.account
    elsewhere = [d for d in unconfirmed_batches if is_other(d.api, here)]
    if elsewhere:
        there = account_of(elsewhere[0].api)
        key = way = ""
        if is_other_key(elsewhere[0].api, here):
            key, way = " with another key", "; where that key is gone, `batchctl resolve` takes your decision"
        raise UnconfirmedProblem(
            f"{len(elsewhere)} batches are unconfirmed at {there.shown()}{key}; this key and URL ask {here.shown()}",
            hint=f"run it again with the key and the --base-url that they were sent with{way}",
        )


def _carry_out_absence(session: Session, unconfirmed_batch: Batch) -> None:
    """Its create made nothing: what the answer to it asked for is done now."""
    match unconfirmed_batch.if_absent:
        case IfAbsent.REFUSE:
            refuse(session, session.ledger.job_of(unconfirmed_batch), unconfirmed_batch, unconfirmed_batch.note)
        case IfAbsent.SPLIT:
            split(session, session.ledger.job_of(unconfirmed_batch), unconfirmed_batch)
        case IfAbsent.PLAN:
            if session.ledger.record_presumed_not_created(
                unconfirmed_batch, session.owner, session.now(), note="the API does not have it"
            ):
                session.emit(BatchReconciled(*session.place(unconfirmed_batch), "", identified=False))


def shares_of(session: Session, candidate: MessageBatch, contenders: Sequence[Sought]) -> list[tuple[Sought, float]]:
    """Each contender, and which part of some of the candidate's ids it holds; the candidate must have ended.

    Raises ApiFailure, and IncompleteResults where its results are none.
    """
    answered = _sample(session, candidate)
    return [(b, sum(i in ids for i in answered) / len(answered)) for b in contenders for ids in [_ids(session, b)]]


def _sample(session: Session, candidate: MessageBatch) -> list[bytes]:
    """Some of its custom_ids, at least one. Raises ApiFailure, and IncompleteResults where its results are none."""
    with session.message_batches.results(candidate.id) as pieces:
        return first_ids(pieces, SAMPLE_IDS)


def _ids(session: Session, batch: Batch | PresumedNotCreated) -> dict[bytes, int]:
    return ids_of_range(request_file(session.workspace, session.ledger.job_of(batch), batch.round), batch)


def is_in_grace(unconfirmed_batches: Sequence[Batch]) -> bool:
    return any(not is_search_complete(d) for d in unconfirmed_batches)
