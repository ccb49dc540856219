"""What we remember: jobs, rounds, batches and exceptions, in SQLite. Never a row per request, never a secret."""
