"""Copies of a workspace: before anything is sent from one, the API's list says whether another has sent it.

1. compare   where the ledger lies and its generation with what was stored, here and in the user's state folder
2. note      where they differ: the ledger is at home here, and each of its jobs may have been continued by a copy
3. read      for such a job, before a round of it is sent: the API's list, for batches that no job knows, of a planned size
4. doubt     these planned batches are unconfirmed from here on: the ids in the results tell, or a person
A stop before 2 compares again, a stop after it reads again. While a process sends, `advance` notices a copy that is
continued elsewhere.
"""

import os
from collections.abc import Sequence
from datetime import timedelta

from batchctl.domain.errors import UnconfirmedProblem
from batchctl.domain.events import PlaceChecked
from batchctl.domain.model import Batch, Job, MessageBatch, State
from batchctl.domain.places import mismatch
from batchctl.engine.accounts import is_other
from batchctl.engine.reconciler import list_since
from batchctl.engine.session import Session
from batchctl.ledger.ledger import Ledger
from batchctl.ledger.places import Memory, state_folder

# A job's time is ours and a batch's is the API's: where the two agree today, no batch of a job is older than it by so much.
BEFORE = timedelta(days=1)
AGREES_WITHIN = timedelta(hours=1)
NOTE = "unconfirmed: a copy of this workspace may have sent it"


class PlaceGuard:
    """Of the ledger of this process."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.workspace_id, self.salt, _, _ = ledger.stored_place()
        self._memory = Memory(state_folder(os.environ), self.workspace_id)
        self._has_compared = False
        self._read: set[tuple[int, str]] = set()

    def is_passed(self, session: Session, job: Job) -> bool:
        """Whether planned batches of a job may be sent. False where some are unconfirmed now, and are looked for first.

        Raises ApiFailure, and UnconfirmedProblem where the list cannot be read whole.
        """
        self.accept_place(session)
        job = session.ledger.job(job.name)
        planned = [b for b in session.ledger.batches(job) if b.state is State.PLANNED and b.claim is None]
        # A cut in two is two others.
        unread = [b for b in planned if (b.id, b.cut.sha256) not in self._read]
        if not job.may_be_copied or not unread:
            return True
        unconfirmed = _doubt(session, job, unread)
        self._read |= {(b.id, b.cut.sha256) for b in unread}
        return not unconfirmed

    def accept_place(self, session: Session) -> None:
        """A plan is made: from here on, a copy of it is one."""
        if not self._has_compared:
            self._compare(session)
            self._has_compared = True

    def _compare(self, session: Session) -> None:
        """Steps 1 and 2."""
        _, _, stored, generation = self._ledger.stored_place()
        here, remembered = self._ledger.here(), self._memory.generation()
        why = mismatch(stored, here, generation, remembered) or self._memory.other_than(here)
        if not why and stored == here:
            return
        newest = max(generation, remembered or 0) + bool(why)
        self._ledger.record_place(here, newest, is_copy=bool(why))
        self._memory.keep(newest, here)
        if why:
            session.emit(PlaceChecked(why))

    def advance(self) -> None:
        """After an intent, before its create. Raises UnconfirmedProblem where a copy of this workspace is continued elsewhere."""
        here = self._ledger.here()
        is_other = bool(self._memory.other_than(here))
        _, _, _, generation = self._ledger.stored_place()
        highest = self._memory.keep(generation, here)
        if is_other or (highest > generation and highest > self._ledger.stored_place()[3]):
            raise UnconfirmedProblem(
                "a copy of this workspace has sent batches meanwhile; nothing more is sent from here",
                hint="stop the other one, then the same command again: the API's list says what it has sent",
            )


def _doubt(session: Session, job: Job, planned: Sequence[Batch]) -> int:
    """Steps 3 and 4; how many. Raises as `PlaceGuard.is_passed` does."""
    batches = session.ledger.batches(job)
    known = session.ledger.known_message_batches(job) | session.ledger.message_batch_ids()
    listed, is_whole = list_since(session, None, known)
    if not is_whole:
        raise UnconfirmedProblem(
            "this workspace was moved, copied or put back, and the API's list cannot be read whole: nothing is sent",
            hint="run the same command again later; `batchctl doctor` shows what the API answers",
        )
    fits = [b for b in listed if b.id not in known and any(b.size in {None, one.count} for one in planned)]
    for batch in [b for b in fits if _is_older(session, job, b)]:
        session.ledger.record_stranger(job.id, batch.id, session.now())
        fits.remove(batch)
    sizes = {b.size for b in fits}
    # What was sent with another account is not in this list, whoever sent it.
    elsewhere = next((b.api for b in batches if is_other(b.api, session.server.account)), "")
    doubted = [one for one in planned if elsewhere or None in sizes or one.count in sizes]
    session.ledger.record_copied(doubted, session.now(), NOTE, api=elsewhere)
    return len(doubted)


def _is_older(session: Session, job: Job, batch: MessageBatch) -> bool:
    # A job of the future was planned by a clock that was wrong.
    is_comparable = session.server.is_clock_within(AGREES_WITHIN) and job.created_at <= session.now()
    return is_comparable and batch.created_at is not None and batch.created_at < job.created_at - BEFORE
