"""What a command works with. Opened and closed by `cli.wiring`; tests open the same with another clock."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from batchctl.clock import Clock, StopSign
from batchctl.commands.server import Server
from batchctl.domain.events import Tell
from batchctl.domain.model import Batch
from batchctl.domain.reconciling import GRACE
from batchctl.files.workspace import Workspace
from batchctl.ledger import Ledger
from batchctl.transport.client import Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """`owner`: this process, as claims name it. `poll`: fixed seconds between looks, None for the usual pace.

    `grace`: how long a batch in doubt may be missing from the API's list before it counts as never created.
    """

    workspace: Workspace
    ledger: Ledger
    transport: Transport
    server: Server
    clock: Clock
    tell: Tell
    owner: str
    stop: StopSign = field(default_factory=StopSign)
    parallel: int = 4
    poll: float | None = None
    grace: timedelta = GRACE

    def now(self) -> datetime:
        return self.clock.now()

    def place(self, batch: Batch) -> tuple[Batch, int, int]:
        """A batch as events tell of it: itself, its number in its round from 1, and how many there are."""
        return batch, *self.ledger.place(batch)
