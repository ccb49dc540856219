"""How a ledger is opened to be read."""

from pathlib import Path

from batchctl.ledger.reading import SqlReadLedger
from batchctl.ledger.schema import HEAD


def for_reading(path: Path) -> SqlReadLedger:
    """Open a ledger to ask it questions; one that is new or old is brought up to date first.

    Raises:
        LedgerProblem: It cannot be used, a newer program wrote it, or its schema is none of ours.
    """
    reading = SqlReadLedger(path)
    if reading.revision == HEAD:
        return reading
    reading.close()
    from batchctl.ledger.ledger import SqlLedger  # noqa: PLC0415 - who only reads needs none of the records

    return SqlLedger(path)
