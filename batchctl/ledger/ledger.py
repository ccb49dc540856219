"""The ledger: what is true of every job. A write that returned is on the disk.

`record_...` says what has happened; the other methods answer questions (`questions`). Methods that take a step return whether it was
there to be taken.
"""

from batchctl.ledger.claims import Claims
from batchctl.ledger.jobs import Jobs
from batchctl.ledger.places import Places
from batchctl.ledger.results import Results
from batchctl.ledger.sending import Sending


class Ledger(Jobs, Claims, Sending, Results, Places):
    """All that is remembered, as one thing."""
