"""The engines that can perform downloads, and which of them a command uses."""

from enum import StrEnum

# A worker process imports the SDK before it does anything: for fewer requests, that takes longer than the worker saves.
LEAST_REQUESTS = 100_000


class Engine(StrEnum):
    """Who receives and verifies results: threads of the command's own process, or worker processes beside it."""

    THREADS = "threads"
    PROCESSES = "processes"


def engine_for(requests: int, wanted: Engine | None, cores: int) -> Engine:
    """Return the engine for a command.

    Args:
        requests: How many requests have results that may be downloaded.
        wanted: The engine that a person named, None for none: then the number of requests and of cores decides.
        cores: How many cores the command may use, and has downloads at once for.
    """
    if wanted is not None:
        return wanted
    return Engine.PROCESSES if requests >= LEAST_REQUESTS and cores > 1 else Engine.THREADS


def core_limit(cpu_max: str) -> int | None:
    """Return how many whole cores a control group may use, at least 1; None where it sets no limit.

    `cpu_max`: the text of the group's `cpu.max`, a quota and a period in microseconds: `150000 100000`, or `max 100000`.
    """
    match cpu_max.split():
        case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period):
            return max(1, int(quota) // int(period))
        case _:
            return None
