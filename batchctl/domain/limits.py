"""What the API takes, and what is taken where nobody says otherwise. Plain numbers, so that a help text loads nothing more."""

from datetime import timedelta

API_VERSION = "2026-10-21"
API_VERSIONS = ("2023-06-01", "2026-10-21")

CACHE_TTLS = ("1h", "5m")

DEFAULT_MAX_REQUESTS = 10_000
CEILING_MAX_REQUESTS = 100_000
# The API says 256 MB and not whether that is MB or MiB, so the ceiling keeps a margin below the smaller of the two.
CEILING_MAX_BYTES = 250_000_000

# Requests of an input that the API is asked to count for an estimate. Its rate for that is 2,000 a minute and more.
DEFAULT_SAMPLE = 40

# The clock of the API is the clock of many machines: they may differ by this much.
API_CLOCK_SLACK = timedelta(minutes=5)
