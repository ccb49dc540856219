"""A first batch, whose outcomes are awaited before the other requests of a job are planned."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.add_column(sa.Column("canary", sa.Boolean(), nullable=False, server_default="0"))
        job.add_column(sa.Column("prime_min_hit", sa.Integer(), nullable=True))
        job.add_column(sa.Column("withheld", sa.JSON(), nullable=True))
    with op.batch_alter_table("round") as round_:
        round_.add_column(sa.Column("purpose", sa.String(8), nullable=False, server_default=""))
