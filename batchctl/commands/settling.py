"""Arrow e: what became of batches that the API may or may not have."""

from collections.abc import Sequence
from datetime import timedelta

from batchctl.commands.equipment import Equipment
from batchctl.commands.looking import raise_unless_passing
from batchctl.domain.errors import ApiFailure, ServiceProblem
from batchctl.domain.events import DoubtSettled
from batchctl.domain.model import Batch, Job, MessageBatch
from batchctl.domain.polling import GIVE_UP_AFTER, backoff
from batchctl.domain.reconciling import CLOCK_MARGIN, MIN_LOOKS, Listing, Verdict, settle
from batchctl.files.requests import request_file
from batchctl.files.results import custom_id_of, ids_of_range

WAIT_FOR_END = timedelta(seconds=60)


class Settler:
    """Looks for doubts, and counts how often looking itself failed."""

    def __init__(self, tools: Equipment) -> None:
        self._tools = tools
        self._failures = 0

    def settle(self, job: Job, doubts: Sequence[Batch]) -> bool:
        """Looks once. True while something may come of waiting here; False when only ended batches can tell more."""
        tools = self._tools
        # 1. One process settles: two could each adopt the same batch for another doubt.
        mine = [d for d in doubts if tools.ledger.claim(d, tools.owner, tools.now())]
        if not mine:
            return True
        try:
            # 2. What the API has, newest first, back to before the oldest intent.
            verdict = settle(mine, _list_since(tools, job, mine), now=tools.now(), grace=tools.grace)
            # 3. Each answer in a transaction of its own: what a stop leaves open is still a doubt.
            _carry_out(tools, verdict)
        except ApiFailure as failure:
            self._failed(mine, failure)
            return True
        except BaseException:
            _look_again(tools, mine, "in doubt", 0.0)
            raise
        self._failures = 0
        is_late = bool(verdict.candidates) and not _is_in_grace(tools, verdict.wait)
        return not verdict.wait or bool(verdict.identify) or not is_late

    def _failed(self, doubts: Sequence[Batch], failure: ApiFailure) -> None:
        self._failures += 1
        pause = backoff(self._failures, failure.retry_after, self._tools.clock.draw())
        _look_again(self._tools, doubts, f"in doubt, and the API cannot be asked: {failure}", pause)
        raise_unless_passing(failure)
        if self._failures >= GIVE_UP_AFTER:
            raise ServiceProblem(
                f"{len(doubts)} batches are in doubt and the API cannot be asked: {failure}",
                hint="nothing is sent twice: run the same command again when the API can be reached",
            ) from failure


def _list_since(tools: Equipment, job: Job, doubts: Sequence[Batch]) -> Listing:
    found: list[MessageBatch] = []
    ahead = timedelta()
    oldest = min(d.intent_at for d in doubts if d.intent_at)
    after = ""
    while True:
        page = tools.transport.page(after)
        if page.server_time is not None:
            ahead = page.server_time - tools.now()
        found.extend(page.batches)
        is_past = bool(page.batches) and page.batches[-1].created_at < oldest + ahead - 2 * CLOCK_MARGIN
        if is_past or not page.after:
            return Listing(
                batches=found,
                known=tools.ledger.known_message_batches(job),
                guessed={g.message_batch_id for g in tools.ledger.guesses() if g.message_batch_id},
                ahead=ahead,
            )
        after = page.after


def _carry_out(tools: Equipment, verdict: Verdict) -> None:
    for doubt, seen in verdict.adopt:
        _adopt(tools, doubt, seen, provisional=True)
    for doubt in verdict.replan:
        tools.ledger.record_not_created(doubt, tools.now(), not_before=None, note="the API does not have it")
        tools.tell(DoubtSettled(*tools.place(doubt), ""))
    left = _identify(tools, verdict)
    names = ", ".join(c.id for c in verdict.candidates[:3])
    note = f"in doubt: may be one of {names}" if names else "in doubt: the API's list does not show it so far"
    _look_again(tools, left, note, _pause(tools, verdict), looked=True)


def _pause(tools: Equipment, verdict: Verdict) -> float:
    """Seconds until the next look."""
    if len(verdict.identify) == len(verdict.candidates) > 0:
        return 0.0
    if verdict.candidates and not _is_in_grace(tools, verdict.wait):
        return WAIT_FOR_END.total_seconds()
    return tools.grace.total_seconds() / MIN_LOOKS


def _identify(tools: Equipment, verdict: Verdict) -> list[Batch]:
    """Reads an id of each ended candidate: it tells whose it is. Gives the doubts that stay."""
    left = list(verdict.wait)
    for candidate in verdict.identify:
        answered = _first_id(tools, candidate)
        # A guess made earlier may have taken it for another's, or given its place to another: those are asked, too.
        same_size = [b for b in (*left, *tools.ledger.guesses()) if b.count == candidate.counts.total]
        owner = next((b for b in same_size if answered in _ids(tools, b)), None)
        if owner is None:
            _disown(tools, verdict.wait[0].job_id, candidate)
        elif owner.message_batch_id == candidate.id:
            tools.ledger.record_confirmed(owner)
        else:
            _hand_over(tools, owner, candidate)
            left = [d for d in left if d.id != owner.id]
    return left


def _disown(tools: Equipment, job_id: int, candidate: MessageBatch) -> None:
    _unguess(tools, candidate)
    tools.ledger.record_stranger(job_id, candidate.id, tools.now())


def _hand_over(tools: Equipment, owner: Batch, candidate: MessageBatch) -> None:
    """To the batch that its ids name; whoever was given it by a wrong guess is in doubt again."""
    _unguess(tools, candidate)
    if owner.message_batch_id is not None:
        tools.ledger.record_wrong_adoption(owner, tools.now())
    _adopt(tools, owner, candidate, provisional=False)


def _unguess(tools: Equipment, candidate: MessageBatch) -> None:
    for guess in tools.ledger.guesses():
        if guess.message_batch_id == candidate.id:
            tools.ledger.record_wrong_adoption(guess, tools.now())


def _first_id(tools: Equipment, candidate: MessageBatch) -> bytes:
    start = b""
    with tools.transport.results(candidate.id) as pieces:
        for piece in pieces:
            start += piece
            if b"\n" in start:
                break
    return custom_id_of(start.split(b"\n")[0])


def _ids(tools: Equipment, batch: Batch) -> dict[bytes, int]:
    job = next(job for job in tools.ledger.jobs() if job.id == batch.job_id)
    return ids_of_range(request_file(tools.workspace, job, batch.round), batch)


def _adopt(tools: Equipment, doubt: Batch, seen: MessageBatch, *, provisional: bool) -> None:
    if tools.ledger.record_adopted(doubt, seen, tools.now(), provisional=provisional):
        tools.tell(DoubtSettled(*tools.place(doubt), seen.id))
    else:
        _look_again(tools, [doubt], "in doubt: its candidate was another's", 1.0)


def _look_again(tools: Equipment, doubts: Sequence[Batch], note: str, seconds: float, *, looked: bool = False) -> None:
    until = tools.now() + timedelta(seconds=seconds)
    for doubt in doubts:
        tools.ledger.record_doubt(doubt, not_before=until, note=note, looks=doubt.looks + looked)


def _is_in_grace(tools: Equipment, doubts: Sequence[Batch]) -> bool:
    return any(
        d.intent_at is not None and (tools.now() - d.intent_at < tools.grace or d.looks + 1 < MIN_LOOKS) for d in doubts
    )
