"""The requests of a job: checked, grouped, cut into batches, sent from, and rebuilt for a retry."""
