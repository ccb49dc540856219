"""What a verb works with: the workspace, the ledger, the clock and the API.

`verbs.open_session` and `verbs.open_read_session` open a session; a test opens the same with another clock.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from batchctl.clock import Clock, StopSignal
from batchctl.domain.engines import Engine
from batchctl.domain.model import Batch
from batchctl.engine.resend_rules import GRACE
from batchctl.ledger.protocol import ReadLedger
from batchctl.money.catalog import PriceCatalog
from batchctl.store.workspace import Workspace

if TYPE_CHECKING:
    from batchctl.api.protocol import MessageBatches
    from batchctl.domain.events import Emit
    from batchctl.engine.api_view import Server
    from batchctl.engine.copy_guard import PlaceGuard
    from batchctl.ledger.protocol import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSession:
    """What a verb needs that only reads the ledger, and calls no API.

    Attributes:
        stop: Set by a signal or a time limit.
        base_url: Where the API would be; empty for the default of the SDK.
        engine: Who checks requests and verifies results, as a person named it; None where that is left to the program.
    """

    workspace: Workspace
    ledger: ReadLedger
    clock: Clock
    emit: "Emit"
    stop: StopSignal = field(default_factory=StopSignal)
    price_catalog: PriceCatalog = field(default_factory=PriceCatalog)
    base_url: str = ""
    engine: Engine | None = None

    def now(self) -> datetime:
        """Return the time of day of the session's clock, in UTC."""
        return self.clock.now()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSession(ReadSession):
    """A session that also calls the API, for what costs nothing."""

    message_batches: "MessageBatches"
    server: "Server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(ApiSession):
    """A session that also writes the ledger and takes steps.

    Attributes:
        owner: The name of this process in claims.
        parallel: How many steps are performed at once.
        poll_seconds: Fixed seconds between polls; None for the usual pace.
        grace: How long an unconfirmed batch may be missing from the API's list before it is presumed not created.
        open_worker: Opens a session like this one in a worker process; None where there can be none.
    """

    ledger: "Ledger"
    owner: str
    place_guard: "PlaceGuard"
    parallel: int = 4
    poll_seconds: float | None = None
    grace: timedelta = GRACE
    open_worker: "OpenWorker | None" = None

    def place(self, batch: Batch) -> tuple[Batch, int, int]:
        """Return a batch as events name it: the batch, its number in its round from 1, and how many batches the round has."""
        return batch, *self.ledger.place(batch)


# Opens the session of a worker process, which its stop signal stops. It is pickled on its way there, and holds no secret.
OpenWorker = Callable[[StopSignal], contextlib.AbstractContextManager[Session]]
