"""The ledger in an SQL database. `protocol` documents its methods; a write that returned is on the disk."""

from batchctl.ledger.claims import Claims
from batchctl.ledger.jobs import Jobs
from batchctl.ledger.notifications import Notifications
from batchctl.ledger.places import Places
from batchctl.ledger.results import Results
from batchctl.ledger.sending import Sending


class SqlLedger(Jobs, Claims, Sending, Results, Places, Notifications):
    """The `Ledger` of `ledger.protocol` in an SQL database."""
