"""Arrow e: what became of batches that the API may or may not have.

Nothing here is undone by a stop: each finding is a transaction of its own, and what is left open is still unconfirmed.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from batchctl.domain.answers import AfterRead, after_read
from batchctl.domain.errors import ApiFailure, DoubtProblem
from batchctl.domain.events import DoubtSettled, DuplicateBatch, LookFailed
from batchctl.domain.model import Batch, IfAbsent, Job, MessageBatch, Presumed, State
from batchctl.engine.accounts import account_of, is_other, is_other_key
from batchctl.engine.pacing import backoff
from batchctl.engine.poll import completed, pages, raise_unless_passing
from batchctl.engine.reconcile import (
    MIN_LOOKS,
    Listing,
    Verdict,
    grace_of,
    has_been_sought,
    is_past,
    reconcile,
    why_a_person,
)
from batchctl.engine.send import refuse, split
from batchctl.engine.session import Equipment
from batchctl.requests.request_file import ids_of_range, request_file
from batchctl.results.lines import NotWhole, first_ids

WAIT_FOR_END = timedelta(seconds=60)
# Enough to tell one input from another, few enough to read from any batch.
SAMPLE_IDS = 20
Sought = TypeVar("Sought", Batch, Presumed)


class Settler:
    """Looks for unconfirmed batches, counts how often looking itself failed, and paces the looks that count."""

    def __init__(self, tools: Equipment) -> None:
        self._tools = tools
        self._failures = 0
        # When the last look for a batch was that counts, by a clock that nobody sets.
        self._counted_at: dict[int, float] = {}

    def settle(self, job: Job, doubts: Sequence[Batch]) -> bool:
        """Look once. True while something may come of waiting here; False when only ended batches or a person can tell more."""
        tools = self._tools
        # 1. One process reconciles, and all of a job's unconfirmed batches: who takes a part takes the rest for foreign ones.
        if not tools.ledger.claim_all(doubts, tools.owner, tools.now()):
            return True
        try:
            # 2. What the API has, newest first, back to before the oldest create.
            listing = listing_for(tools, job, doubts)
            verdict = reconcile(doubts, listing)
            # 3. What can be said of each.
            has_come_on = self._carry_out(verdict, listing)
        except ApiFailure as failure:
            self._failed(doubts, failure)
            return True
        except BaseException:
            self._look_again(doubts, "unconfirmed", 0.0)
            raise
        self._failures = 0
        return has_come_on or is_in_grace(verdict.wait)

    def _failed(self, doubts: Sequence[Batch], failure: ApiFailure) -> None:
        self._failures += 1
        pause = backoff(self._failures, failure.retry_after, self._tools.clock.draw())
        self._look_again(doubts, f"unconfirmed, and the API cannot be asked: {failure}", pause)
        raise_unless_passing(failure)
        self._tools.tell(LookFailed(str(failure), self._failures, pause))

    def _carry_out(self, verdict: Verdict, listing: Listing) -> bool:
        """True when something was found out."""
        tools = self._tools
        for doubt, seen in verdict.adopt:
            self._adopt(doubt, seen, identified=False)
        for doubt in verdict.absent:
            _settle_absent(tools, doubt)
        for doubt in verdict.decide:
            self._look_again([doubt], why_a_person(doubt), WAIT_FOR_END.total_seconds())
        found_out = [self._identify(candidate, verdict) for candidate in verdict.identify]
        has_come_on = bool(verdict.adopt or verdict.absent) or any(found_out)
        note = _why_open(verdict, listing)
        # What was adopted above is no longer unconfirmed: the ledger passes over it.
        pause = 0.0 if has_come_on else self._pause(verdict)
        self._look_again(verdict.wait, note, pause, looked=not has_come_on)
        return has_come_on

    def _pause(self, verdict: Verdict) -> float:
        """Seconds until the next look."""
        if verdict.candidates and not is_in_grace(verdict.wait):
            return WAIT_FOR_END.total_seconds()
        return max((self._look_pause(d) for d in verdict.wait), default=0.0)

    def _look_pause(self, doubt: Batch) -> float:
        return grace_of(doubt, self._tools.grace).total_seconds() / MIN_LOOKS

    def _look_again(self, doubts: Sequence[Batch], note: str, seconds: float, *, looked: bool = False) -> None:
        """`looked`: this look counts, where it came after its pause: looks in a row say nothing of a list that lags behind."""
        tools = self._tools
        now = tools.now()
        until = now + timedelta(seconds=seconds)
        for doubt in doubts:
            looks = doubt.looks + (looked and self._counts(doubt, now))
            tools.ledger.record_unconfirmed(doubt, tools.owner, now, not_before=until, note=note, looks=looks)

    def _counts(self, doubt: Batch, now: datetime) -> bool:
        """Whether its pause has passed since the last look: by the steady clock between two looks of this process.

        The first one of a process goes by when the last one of another was noted; a clock that was set makes one look count
        too early at most, and it takes several.
        """
        steady, last = self._tools.clock.monotonic(), self._counted_at.get(doubt.id)
        if last is None:
            counts = doubt.not_before is not None and doubt.not_before <= now
        else:
            counts = steady - last >= self._look_pause(doubt)
        if counts or last is None:
            self._counted_at[doubt.id] = steady
        return counts

    def _identify(self, candidate: MessageBatch, verdict: Verdict) -> bool:
        """Read some ids of an ended batch and give it to the one whose they are. False when that stays open."""
        try:
            return self._give_away(candidate, verdict.wait)
        except NotWhole:
            return False
        except ApiFailure as failure:
            if after_read(failure) is not AfterRead.GONE:
                raise
            # Its results are gone: it stays a candidate that nobody can tell, and holds up no other.
            return False

    def _give_away(self, candidate: MessageBatch, doubts: Sequence[Batch]) -> bool:
        """Raises ApiFailure, and NotWhole where its results are none."""
        tools = self._tools
        sizes = {d.count for d in doubts} if candidate.size is None else {candidate.size}
        contenders = [b for size in sizes for b in tools.ledger.contenders(size)]
        shares = shares_of(tools, candidate, contenders)
        if not any(share for _, share in shares):
            # Once more before it is disowned for good: an odd answer must not make ours a foreign one.
            shares = shares_of(tools, candidate, contenders)
        owners = [b for b, share in shares if share == 1]
        holder = next((b for b in contenders if b.message_batch_id == candidate.id), None)
        if holder is not None and any(b.id == holder.id for b in owners):
            tools.ledger.record_identified(holder)
            return True
        if len(owners) == 1:
            return self._hand_over(owners[0], holder, candidate)
        if any(share for _, share in shares):
            # Two jobs hold the same ids, or some of the ids are ours and some are not: nobody can say whose it is.
            return False
        if self._is_of_planned(candidate, doubts[0]):
            # A copy of the workspace sent it, cut otherwise: it is looked for again when its requests are to be sent.
            return False
        if holder is not None:
            tools.ledger.record_wrong_adoption(holder, tools.owner, tools.now())
        if not self._is_duplicate(candidate, doubts[0]):
            tools.ledger.record_stranger(doubts[0].job_id, candidate.id, tools.now())
        return True

    def _is_of_planned(self, candidate: MessageBatch, doubt: Batch) -> bool:
        """Whether it holds requests that this job still plans to send, which takes a copy of the workspace."""
        tools = self._tools
        job = tools.ledger.job_of(doubt)
        planned = [b for b in tools.ledger.batches(job) if b.state is State.PLANNED] if job.may_be_copied else []
        return bool(planned) and any(share for _, share in shares_of(tools, candidate, planned))

    def _is_duplicate(self, candidate: MessageBatch, doubt: Batch) -> bool:
        """Whether it is a create that was presumed to have made nothing: then it is remembered as one."""
        tools = self._tools
        job = tools.ledger.job_of(doubt)
        presumed = [p for p in tools.ledger.presumed(job) if candidate.size in {None, p.cut.count}]
        if not presumed:
            return False
        ours = next((p for p, share in shares_of(tools, candidate, presumed) if share == 1), None)
        if ours is None:
            return False
        batch = next(b for b in tools.ledger.batches(job) if b.id == ours.batch_id)
        tools.ledger.record_surplus(job.id, candidate.id, tools.now())
        tools.tell(DuplicateBatch(*tools.place(batch), candidate.id))
        return True

    def _hand_over(self, owner: Batch, holder: Batch | None, candidate: MessageBatch) -> bool:
        """To the one that its ids name; whoever was given it by a wrong match is unconfirmed again."""
        tools = self._tools
        if owner.claim is not None and owner.claim.owner != tools.owner:
            return False
        if holder is not None:
            tools.ledger.record_wrong_adoption(holder, tools.owner, tools.now())
        if owner.message_batch_id is not None:
            tools.ledger.record_wrong_adoption(owner, tools.owner, tools.now())
        self._adopt(owner, candidate, identified=True)
        return True

    def _adopt(self, doubt: Batch, seen: MessageBatch, *, identified: bool) -> None:
        tools = self._tools
        if tools.ledger.record_adopted(doubt, seen, tools.owner, tools.now(), identified=identified):
            tools.tell(DoubtSettled(*tools.place(doubt), seen.id, identified))
        else:
            self._look_again([doubt], "unconfirmed: its candidate was another's", 1.0)


def _why_open(verdict: Verdict, listing: Listing) -> str:
    if verdict.candidates:
        return f"unconfirmed: may be one of {', '.join(c.id for c in verdict.candidates[:3])}"
    if not listing.is_whole:
        return "unconfirmed: the API's list cannot be read whole, so that nothing can be said to be missing from it"
    return "unconfirmed: the API's list does not show it so far"


def listing_for(tools: Equipment, job: Job, doubts: Sequence[Batch], *, with_any_key: bool = False) -> Listing:
    """What the API has, back to before the oldest create. Raises as `pages` does, and DoubtProblem for another account.

    `with_any_key`: for a person to look at, who may have another key of the same account by now.
    """
    known = tools.ledger.known_message_batches(job)
    of_this_account = [d for d in doubts if not (with_any_key and is_other_key(d.api, tools.server.account))]
    found, is_whole = list_since(tools, bound_of(doubts), known, of_this_account)
    return Listing(
        batches=found,
        known=known,
        matched={g.message_batch_id for g in tools.ledger.guesses() if g.message_batch_id},
        contested={b.count for d in doubts for b in tools.ledger.contenders(d.count) if b.job_id != job.id},
        is_whole=is_whole,
    )


def bound_of(sought: Sequence[Batch | Presumed]) -> datetime | None:
    """How far back the list is read for them; None for all of it."""
    bounds = [b.created_after for b in sought]
    return min((b for b in bounds if b is not None), default=None) if None not in bounds else None


def list_since(
    tools: Equipment, since: datetime | None, known: Collection[str], doubts: Sequence[Batch] = ()
) -> tuple[list[MessageBatch], bool]:
    """Newest first, and some older ones; and whether all of that could be read. Raises as `listing_for` does.

    What the list does not say of a batch that is not `known`, the batch itself is asked for.
    """
    found: list[MessageBatch] = []
    is_whole = True
    for page in pages(tools):
        refuse_other_account(tools, doubts)
        found.extend(page.batches)
        is_whole = is_whole and page.is_whole
        if is_past(page.batches, since):
            break
    return completed(tools, found, known), is_whole


def refuse_other_account(tools: Equipment, doubts: Sequence[Batch]) -> None:
    """Another account does not see what this one created: "not there" would mean nothing."""
    here = tools.server.account
    elsewhere = [d for d in doubts if is_other(d.api, here)]
    if elsewhere:
        there = account_of(elsewhere[0].api)
        key = way = ""
        if is_other_key(elsewhere[0].api, here):
            key, way = " with another key", "; where that key is gone, `batchctl resolve` takes your decision"
        raise DoubtProblem(
            f"{len(elsewhere)} batches are unconfirmed at {there.shown()}{key}; this key and URL ask {here.shown()}",
            hint=f"run it again with the key and the --base-url that they were sent with{way}",
        )


def _settle_absent(tools: Equipment, doubt: Batch) -> None:
    """Its create made nothing: what the answer to it asked for is done now."""
    match doubt.if_absent:
        case IfAbsent.REFUSE:
            refuse(tools, tools.ledger.job_of(doubt), doubt, doubt.note)
        case IfAbsent.SPLIT:
            split(tools, tools.ledger.job_of(doubt), doubt)
        case IfAbsent.PLAN:
            if tools.ledger.record_presumed(doubt, tools.owner, tools.now(), note="the API does not have it"):
                tools.tell(DoubtSettled(*tools.place(doubt), "", identified=False))


def shares_of(tools: Equipment, candidate: MessageBatch, contenders: Sequence[Sought]) -> list[tuple[Sought, float]]:
    """Each contender, and which part of some of the candidate's ids it holds; the candidate must have ended.

    Raises ApiFailure, and NotWhole where its results are none.
    """
    answered = _sample(tools, candidate)
    return [(b, sum(i in ids for i in answered) / len(answered)) for b in contenders for ids in [_ids(tools, b)]]


def _sample(tools: Equipment, candidate: MessageBatch) -> list[bytes]:
    """Some of its custom_ids, at least one. Raises ApiFailure, and NotWhole where its results are none."""
    with tools.transport.results(candidate.id) as pieces:
        return first_ids(pieces, SAMPLE_IDS)


def _ids(tools: Equipment, batch: Batch | Presumed) -> dict[bytes, int]:
    return ids_of_range(request_file(tools.workspace, tools.ledger.job_of(batch), batch.round), batch)


def is_in_grace(doubts: Sequence[Batch]) -> bool:
    return any(not has_been_sought(d) for d in doubts)
