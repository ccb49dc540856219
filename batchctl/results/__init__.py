"""The results of a job: received, verified, indexed and merged."""
