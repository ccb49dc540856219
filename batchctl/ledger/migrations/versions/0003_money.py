"""What requests used, by batch and price, what a round was estimated to cost, and the limit of a job."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.add_column(sa.Column("cache_system", sa.String(2), nullable=False, server_default=""))
        job.add_column(sa.Column("max_cost", sa.Text(), nullable=True))
    with op.batch_alter_table("round") as round_:
        round_.add_column(sa.Column("shape", sa.String(64), nullable=False, server_default=""))
        round_.add_column(sa.Column("forecast", sa.JSON(), nullable=True))
    with op.batch_alter_table("batch") as batch:
        batch.add_column(sa.Column("usage_unread", sa.Integer(), nullable=True))
    with op.batch_alter_table("surplus") as surplus:
        surplus.add_column(sa.Column("settled", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "usage",
        sa.Column("batch_id", sa.Integer(), sa.ForeignKey("batch.id"), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("prompt_over", sa.Integer(), nullable=False),
        sa.Column("inference_geo", sa.String(16), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("input", sa.BigInteger(), nullable=False),
        sa.Column("write_5m", sa.BigInteger(), nullable=False),
        sa.Column("write_1h", sa.BigInteger(), nullable=False),
        sa.Column("read", sa.BigInteger(), nullable=False),
        sa.Column("output", sa.BigInteger(), nullable=False),
        sa.Column("web_searches", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "model", "prompt_over", "inference_geo"),
    )
