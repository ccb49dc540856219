"""The results of a job: received, verified, indexed and proved complete. `engine.merge` writes them in input order."""
