"""Notice a workspace that was copied, moved or put back: a copy must not send what the other copy has sent.

1. compare   where the ledger is and its generation, with what was stored in the ledger and in the user's state folder
2. record    where they differ: the ledger belongs here from now on, and each of its jobs may have been continued by a copy

A process that stops before step 2 compares again. What a planned batch needs after step 2 is in `engine.copy_check`.
"""

import os

from batchctl.domain.errors import UnconfirmedProblem
from batchctl.domain.events import Emit, PlaceChecked
from batchctl.domain.places import mismatch
from batchctl.ledger.places import Memory, state_folder
from batchctl.ledger.protocol import Ledger


class PlaceGuard:
    """The place and the generation of the ledger of this process.

    Attributes:
        workspace_id: Shared by all copies of the workspace, as is `salt`.
        salt: For fingerprints of keys.
        checked: The planned batches that were compared with the API's list, as (batch id, hash of their bytes): halves of a
            batch that was split are other batches.
    """

    def __init__(self, ledger: Ledger) -> None:
        """Guard `ledger`. Nothing is compared yet."""
        self._ledger = ledger
        self.workspace_id, self.salt, _, _ = ledger.stored_place()
        self._memory = Memory(state_folder(os.environ), self.workspace_id)
        self._has_compared = False
        self.checked: set[tuple[int, str]] = set()

    def compare(self, emit: Emit) -> None:
        """Take steps 1 and 2, once in the life of this process."""
        if self._has_compared:
            return
        _, _, stored, generation = self._ledger.stored_place()
        here, remembered = self._ledger.here(), self._memory.generation()
        why = mismatch(stored, here, generation, remembered) or self._memory.other_than(here)
        if why or stored != here:
            newest = max(generation, remembered or 0) + bool(why)
            self._ledger.record_place(here, newest, is_copy=bool(why))
            self._memory.keep(newest, here)
        if why:
            emit(PlaceChecked(why))
        self._has_compared = True

    def advance(self) -> None:
        """Raise the generation that the state folder keeps, after an intent and before its create.

        Raises UnconfirmedProblem where a copy of this workspace has raised it meanwhile: the copy sends, too.
        """
        here = self._ledger.here()
        is_other = bool(self._memory.other_than(here))
        _, _, _, generation = self._ledger.stored_place()
        highest = self._memory.keep(generation, here)
        if is_other or (highest > generation and highest > self._ledger.stored_place()[3]):
            raise UnconfirmedProblem(
                "a copy of this workspace has sent batches in the meantime; nothing more is sent from this one",
                hint="stop the other process, then run the same command again",
            )
