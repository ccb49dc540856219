"""What the API accepts, and the defaults. Plain numbers in a module of their own, so that `--help` loads nothing else."""

from datetime import timedelta

# The default of the anthropic-version header, and the versions that the program knows.
API_VERSION = "2026-10-21"
API_VERSIONS = ("2023-06-01", "2026-10-21")

# Values of `ttl` in `cache_control` (prompt caching page of the API's documentation).
CACHE_TTLS = ("1h", "5m")

# The API takes 100,000 requests in a batch; smaller batches end sooner.
DEFAULT_MAX_REQUESTS = 10_000
CEILING_MAX_REQUESTS = 100_000
# The API says 256 MB, which may be MB or MiB. The ceiling keeps a margin below the smaller of the two.
CEILING_MAX_BYTES = 250_000_000

# How many token counts an estimate asks the API for. Its rate limit for these is 2,000 a minute or more.
DEFAULT_SAMPLE = 40

# How much the clocks of the API's many machines may differ.
API_CLOCK_SLACK = timedelta(minutes=5)
