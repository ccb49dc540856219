"""Alembic's way in: the caller's connection, inside the caller's transaction."""

from alembic import context

connection = context.config.attributes["connection"]
# SQLite's DDL is transactional and the caller has begun: Alembic must neither begin nor commit.
context.configure(connection=connection, render_as_batch=True, transactional_ddl=True, target_metadata=None)
context.run_migrations()
