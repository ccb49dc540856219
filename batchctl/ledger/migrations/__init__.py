"""How the ledgers of older versions become those of today.

To add a migration: change the tables in `ledger.schema`, write the next file in `versions/`, add its revision to
`ledger.schema.REVISIONS`, and add the digests that the tests name to the list of known structures beside the engine.
"""
