"""What a retry made of the params of its requests."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("round") as round_:
        round_.add_column(sa.Column("changes", sa.JSON(), nullable=True))
