"""Tables and columns get the words that the program uses: foreign, duplicate, presumed not created, list reads, polled."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = (("stranger", "foreign_batch"), ("surplus", "duplicate_batch"), ("presumed", "presumed_not_created"))
COLUMNS = (
    ("batch", "looks", "list_reads"),
    ("batch", "looked_at", "polled_at"),
    ("duplicate_batch", "settled", "is_over"),
)


def upgrade() -> None:
    # Renamed in place: a table that is made anew would have to be dropped while others refer to its rows. SQLite changes the
    # stored text of the table, its automatic indices and the references to it in the same transaction.
    for before, after in TABLES:
        op.rename_table(before, after)
    # batch_alter_table would make a column's table anew.
    for table, before, after in COLUMNS:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {before} TO {after}")
