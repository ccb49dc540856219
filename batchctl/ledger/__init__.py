"""What we remember: jobs, rounds, batches and exceptions, in SQLite. Never a row per request, never a secret."""

from batchctl.ledger.ledger import Ledger as Ledger
from batchctl.ledger.owners import Owner as Owner
