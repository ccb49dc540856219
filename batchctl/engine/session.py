"""What a verb works with. `verbs.open_session` and `verbs.open_read_session` open it; tests open the same with another clock."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from batchctl.clock import Clock, StopSignal
from batchctl.domain.model import Batch
from batchctl.engine.reconcile import GRACE
from batchctl.ledger.reading import SqlReadLedger
from batchctl.money.catalog import PriceCatalog
from batchctl.store.workspace import Workspace

if TYPE_CHECKING:
    from batchctl.api.protocol import MessageBatches
    from batchctl.domain.events import Emit
    from batchctl.engine.place_guard import PlaceGuard
    from batchctl.engine.server import Server
    from batchctl.ledger.ledger import SqlLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSession:
    """All it takes to read and to show: the ledger is only asked, the API is not.

    `base_url`: where it would be, empty for the SDK's own.
    """

    workspace: Workspace
    ledger: SqlReadLedger
    clock: Clock
    emit: "Emit"
    stop: StopSignal = field(default_factory=StopSignal)
    price_catalog: PriceCatalog = field(default_factory=PriceCatalog)
    base_url: str = ""

    def now(self) -> datetime:
        return self.clock.now()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSession(ReadSession):
    """And the way to the API, to ask it what costs nothing."""

    message_batches: "MessageBatches"
    server: "Server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(ApiSession):
    """`owner`: this process, as claims name it. `poll_seconds`: fixed seconds between looks, None for the usual pace.

    `grace`: how long a batch in doubt may be missing from the API's list before it counts as never created.
    """

    ledger: "SqlLedger"
    owner: str
    place_guard: "PlaceGuard"
    parallel: int = 4
    poll_seconds: float | None = None
    grace: timedelta = GRACE

    def place(self, batch: Batch) -> tuple[Batch, int, int]:
        """A batch as events tell of it: itself, its number in its round from 1, and how many there are."""
        return batch, *self.ledger.place(batch)
