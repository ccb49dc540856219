"""Arrow e: what became of batches that the API may or may not have.

Nothing here is undone by a stop: each finding is a transaction of its own, and what is left open is still a doubt.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from batchctl.commands.equipment import Equipment
from batchctl.commands.looking import pages, raise_unless_passing
from batchctl.domain.errors import ApiFailure, DoubtProblem
from batchctl.domain.events import DoubtSettled, LookFailed
from batchctl.domain.model import Batch, Job, MessageBatch
from batchctl.domain.polling import backoff
from batchctl.domain.reconciling import CLOCK_MARGIN, MIN_LOOKS, Listing, Verdict, missed_at, settle
from batchctl.files.ranges import ids_of_range
from batchctl.files.requests import request_file
from batchctl.files.result_lines import NotWhole, first_ids

WAIT_FOR_END = timedelta(seconds=60)
# Enough to tell one input from another, few enough to read from any batch.
SAMPLE_IDS = 20


class Settler:
    """Looks for doubts, and counts how often looking itself failed."""

    def __init__(self, tools: Equipment) -> None:
        self._tools = tools
        self._failures = 0

    def settle(self, job: Job, doubts: Sequence[Batch]) -> bool:
        """Looks once. True while something may come of waiting here; False when only ended batches can tell more."""
        tools = self._tools
        # 1. One process settles, and all of a job's doubts: who takes a part takes the rest for a stranger's.
        if not tools.ledger.claim_all(doubts, tools.owner, tools.now()):
            return True
        try:
            # 2. What the API has, newest first, back to before the oldest intent.
            verdict = settle(doubts, listing_for(tools, job, doubts), now=tools.server.now(), grace=tools.grace)
            # 3. What can be said of each.
            has_come_on = _carry_out(tools, verdict)
        except ApiFailure as failure:
            self._failed(doubts, failure)
            return True
        except BaseException:
            _look_again(tools, doubts, "in doubt", 0.0)
            raise
        self._failures = 0
        return has_come_on or not verdict.candidates or is_in_grace(tools, verdict.wait)

    def _failed(self, doubts: Sequence[Batch], failure: ApiFailure) -> None:
        self._failures += 1
        pause = backoff(self._failures, failure.retry_after, self._tools.clock.draw())
        _look_again(self._tools, doubts, f"in doubt, and the API cannot be asked: {failure}", pause)
        raise_unless_passing(failure)
        self._tools.tell(LookFailed(str(failure), self._failures, pause))


def listing_for(tools: Equipment, job: Job, doubts: Sequence[Batch]) -> Listing:
    """What the API has, back to before the oldest intent. Raises as `pages` does, and DoubtProblem for another key."""
    oldest = min(d.intent_at for d in doubts if d.intent_at)
    found = list_since(tools, oldest, doubts)
    return Listing(
        batches=found,
        known=tools.ledger.known_message_batches(job),
        guessed={g.message_batch_id for g in tools.ledger.guesses() if g.message_batch_id},
        contested={b.count for d in doubts for b in tools.ledger.contenders(d.count) if b.job_id != job.id},
    )


def list_since(tools: Equipment, oldest: datetime, doubts: Sequence[Batch] = ()) -> list[MessageBatch]:
    """Newest first, and some older ones. Raises as `listing_for` does."""
    found: list[MessageBatch] = []
    for page in pages(tools):
        tools.server.learn(page)
        refuse_other_account(tools, doubts)
        found.extend(page.batches)
        if page.batches and page.batches[-1].created_at < oldest - 2 * CLOCK_MARGIN:
            break
    return found


def refuse_other_account(tools: Equipment, doubts: Sequence[Batch]) -> None:
    """Another key does not see what this one created: "not there" would mean nothing."""
    elsewhere = [d for d in doubts if d.api and d.api != tools.server.identity]
    if elsewhere:
        raise DoubtProblem(
            f"{len(elsewhere)} batches are in doubt at {elsewhere[0].api}; this key and URL ask {tools.server.identity}",
            hint="run it again with the key and the --base-url that they were sent with",
        )


def _carry_out(tools: Equipment, verdict: Verdict) -> bool:
    """True when something was found out."""
    for doubt, seen in verdict.adopt:
        _adopt(tools, doubt, seen, identified=False)
    for doubt in verdict.replan:
        note = "the API does not have it"
        if tools.ledger.record_given_up(doubt, tools.now(), given_up_at=tools.server.now(), note=note):
            tools.tell(DoubtSettled(*tools.place(doubt), ""))
    found_out = [_identify(tools, candidate, verdict) for candidate in verdict.identify]
    has_come_on = bool(verdict.adopt or verdict.replan) or any(found_out)
    names = ", ".join(c.id for c in verdict.candidates[:3])
    note = f"in doubt: may be one of {names}" if names else "in doubt: the API's list does not show it so far"
    # What was adopted above is no doubt any more: the ledger passes over it.
    _look_again(tools, verdict.wait, note, 0.0 if has_come_on else _pause(tools, verdict), looked=not has_come_on)
    return has_come_on


def _pause(tools: Equipment, verdict: Verdict) -> float:
    """Seconds until the next look."""
    if verdict.candidates and not is_in_grace(tools, verdict.wait):
        return WAIT_FOR_END.total_seconds()
    return tools.grace.total_seconds() / MIN_LOOKS


def _identify(tools: Equipment, candidate: MessageBatch, verdict: Verdict) -> bool:
    """Reads some ids of an ended batch and gives it to the one whose they are. False when that stays open."""
    contenders = tools.ledger.contenders(candidate.counts.total)
    try:
        shares = shares_of(tools, candidate, contenders)
        if not any(share for _, share in shares):
            # Once more before it is disowned for good: an odd answer must not make ours a stranger's.
            shares = shares_of(tools, candidate, contenders)
    except NotWhole:
        return False
    owners = [b for b, share in shares if share == 1]
    holder = next((b for b in contenders if b.message_batch_id == candidate.id), None)
    if holder is not None and any(b.id == holder.id for b in owners):
        tools.ledger.record_identified(holder)
        return True
    if len(owners) == 1:
        return _hand_over(tools, owners[0], holder, candidate)
    if any(share for _, share in shares):
        # Two jobs hold the same ids, or some of the ids are ours and some are not: nobody can say whose it is.
        return False
    if holder is not None:
        tools.ledger.record_wrong_adoption(holder, tools.now())
    tools.ledger.record_stranger(verdict.wait[0].job_id, candidate.id, tools.now())
    return True


def shares_of(tools: Equipment, candidate: MessageBatch, contenders: Sequence[Batch]) -> list[tuple[Batch, float]]:
    """Each contender, and which part of some of the candidate's ids it holds; the candidate must have ended.

    Raises ApiFailure, and NotWhole where its results are none.
    """
    answered = _sample(tools, candidate)
    return [(b, sum(i in ids for i in answered) / len(answered)) for b in contenders for ids in [_ids(tools, b)]]


def _hand_over(tools: Equipment, owner: Batch, holder: Batch | None, candidate: MessageBatch) -> bool:
    """To the one that its ids name; whoever was given it by a wrong guess is in doubt again."""
    if owner.claim is not None and owner.claim.owner != tools.owner:
        return False
    if holder is not None:
        tools.ledger.record_wrong_adoption(holder, tools.now())
    if owner.message_batch_id is not None:
        tools.ledger.record_wrong_adoption(owner, tools.now())
    _adopt(tools, owner, candidate, identified=True)
    return True


def _sample(tools: Equipment, candidate: MessageBatch) -> list[bytes]:
    """Some of its custom_ids, at least one. Raises ApiFailure, and NotWhole where its results are none."""
    with tools.transport.results(candidate.id) as pieces:
        return first_ids(pieces, SAMPLE_IDS)


def _ids(tools: Equipment, batch: Batch) -> dict[bytes, int]:
    return ids_of_range(request_file(tools.workspace, tools.ledger.job_of(batch), batch.round), batch)


def _adopt(tools: Equipment, doubt: Batch, seen: MessageBatch, *, identified: bool) -> None:
    if tools.ledger.record_adopted(doubt, seen, tools.now(), identified=identified):
        tools.tell(DoubtSettled(*tools.place(doubt), seen.id))
    else:
        _look_again(tools, [doubt], "in doubt: its candidate was another's", 1.0)


def _look_again(tools: Equipment, doubts: Sequence[Batch], note: str, seconds: float, *, looked: bool = False) -> None:
    """`looked`: this look counts, where it came after its pause: looks in a row say nothing of a list that lags behind."""
    now = tools.now()
    until = now + timedelta(seconds=seconds)
    for doubt in doubts:
        counts = looked and (doubt.not_before is None or doubt.not_before <= now)
        looks = doubt.looks + counts
        tools.ledger.record_doubt(doubt, not_before=until, note=note, looks=looks, owner=tools.owner)


def is_in_grace(tools: Equipment, doubts: Sequence[Batch]) -> bool:
    now = tools.server.now()
    return any(
        d.intent_at is not None and (now - missed_at(d) < tools.grace or d.looks + 1 < MIN_LOOKS) for d in doubts
    )
