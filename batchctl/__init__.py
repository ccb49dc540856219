"""Run a JSONL of Messages requests through Anthropic's Message Batches API as one job."""

__version__ = "0.1.0"
