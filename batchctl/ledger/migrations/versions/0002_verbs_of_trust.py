"""What cancel, delete, resolve and a full queue need to remember."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.add_column(sa.Column("canceled_at", sa.String(27), nullable=True))
        job.add_column(sa.Column("window", sa.Integer(), nullable=True))
        job.add_column(sa.Column("window_at", sa.String(27), nullable=True))
    with op.batch_alter_table("batch") as batch:
        batch.add_column(sa.Column("given_up_at", sa.String(27), nullable=True))
        batch.add_column(sa.Column("deleted_at", sa.String(27), nullable=True))
    op.create_table(
        "surplus",
        sa.Column("job_id", sa.Integer(), sa.ForeignKey("job.id"), nullable=False),
        sa.Column("message_batch_id", sa.String(128), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "message_batch_id"),
    )
