"""What it takes never to pay twice: fences, the API's own clock, presumptions that are remembered, where the ledger is."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.add_column(sa.Column("hold_at", sa.String(27), nullable=True))
        job.add_column(sa.Column("size_start", sa.Integer(), nullable=True))
        job.add_column(sa.Column("may_be_copied", sa.Boolean(), nullable=False, server_default="0"))
    # Whoever kept a copy of an older ledger kept one that cannot be told from this.
    op.execute("UPDATE job SET may_be_copied = 1")
    op.create_table(
        "presumed",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("batch_id", sa.Integer(), sa.ForeignKey("batch.id"), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created_after", sa.String(27), nullable=True),
        sa.Column("at", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute(
        'INSERT INTO presumed (batch_id, "first", "count", "start", "end", sha256, "at")'
        ' SELECT id, "first", "count", "start", "end", sha256, given_up_at FROM batch WHERE given_up_at IS NOT NULL'
    )
    with op.batch_alter_table("batch") as batch:
        batch.add_column(sa.Column("attempt", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("created_after", sa.String(27), nullable=True))
        batch.add_column(sa.Column("unconfirmed", sa.String(12), nullable=False, server_default=""))
        batch.add_column(sa.Column("if_absent", sa.String(8), nullable=False, server_default="plan"))
        batch.add_column(sa.Column("unknown_creates", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("unproven_refusals", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("put_off_at", sa.String(27), nullable=True))
        batch.add_column(sa.Column("counts_unread", sa.Boolean(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("evidence", sa.Text(), nullable=False, server_default=""))
        batch.add_column(sa.Column("held", sa.Text(), nullable=False, server_default=""))
    op.execute("UPDATE batch SET unknown_creates = 1 WHERE given_up_at IS NOT NULL")
    op.execute("UPDATE batch SET unconfirmed = 'unknown' WHERE state = 'submitting'")
    # In place: a table that is made anew would have to be dropped while others refer to its rows.
    op.execute("ALTER TABLE batch DROP COLUMN lost_at")
    op.execute("ALTER TABLE batch DROP COLUMN given_up_at")
    op.create_table(
        "place",
        sa.Column("workspace_id", sa.String(32), nullable=False),
        sa.Column("salt", sa.String(32), nullable=False),
        sa.Column("machine", sa.String(16), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id"),
    )
    # Nobody knows so far where it lies: the first command that sends writes that down.
    named = sa.text(
        "INSERT INTO place (workspace_id, salt, machine, path, device, inode, generation)"
        " VALUES (:workspace_id, :salt, '', '', 0, 0, 0)"
    )
    op.get_bind().execute(named, {"workspace_id": secrets.token_hex(16), "salt": secrets.token_hex(16)})
