"""The ledger: jobs, rounds, batches and failures in a database. Never a row per request, never a secret.

`opening` opens one, and whoever has it uses it as `protocol` says. What SQLite has of its own is in `sqlite`; another database
gets a file beside it.
"""

import gc

# SQLAlchemy is imported here, before any module of this room. Its classes live as long as the process: without the garbage
# collector, which would go through them again and again and once more at the end, a short command takes a fifth less time.
gc.disable()
try:
    import sqlalchemy.dialects.sqlite  # noqa: F401
finally:
    gc.freeze()
    gc.enable()
