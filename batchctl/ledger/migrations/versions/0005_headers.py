"""With which headers each batch was sent, which a person may change for what is still to be sent; and how deep a check went."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("job") as job:
        job.add_column(sa.Column("depth", sa.String(8), nullable=False, server_default="auto"))
    with op.batch_alter_table("batch") as batch:
        batch.add_column(sa.Column("headers", sa.JSON(), nullable=True))
    # Until now a job could not change them. What was made elsewhere, or by a copy of the workspace, is not known.
    op.execute(
        "UPDATE batch SET headers = (SELECT '{\"api_version\": \"' || api_version || '\", \"betas\": ' || betas || '}'"
        " FROM job WHERE job.id = batch.job_id)"
        " WHERE (intent_at IS NOT NULL OR attempt > 0) AND unconfirmed != 'copied'"
    )
