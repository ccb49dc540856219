"""The engines that check requests and verify results, and which of them a command uses."""

from enum import StrEnum

# A worker process that downloads imports the SDK before it does anything: for fewer requests, that takes longer than it saves.
# (Measured on two cores: 1.2 times the speed for 200,000 requests.)
MIN_REQUESTS = 200_000


class Engine(StrEnum):
    """Who checks requests and verifies results: the command's own process alone, or other processes as well."""

    THREADS = "threads"
    PROCESSES = "processes"


def engine_for(requests: int, wanted: Engine | None, cores: int) -> Engine:
    """Return the engine that downloads the results of a job.

    Args:
        requests: How many requests have results that may be downloaded.
        wanted: The engine that a person named, None for none: then the number of requests and of cores decides.
        cores: How many cores the command may use, and has downloads at once for.
    """
    if wanted is not None:
        return wanted
    return Engine.PROCESSES if requests >= MIN_REQUESTS and cores > 1 else Engine.THREADS


def core_limit(cpu_max: str) -> int | None:
    """Return how many whole cores a control group may use, at least 1; None where it sets no limit.

    `cpu_max`: the text of the group's `cpu.max`, a quota and a period in microseconds: `150000 100000`, or `max 100000`.
    """
    match cpu_max.split():
        case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period):
            return max(1, int(quota) // int(period))
        case _:
            return None
