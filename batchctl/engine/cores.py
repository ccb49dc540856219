"""How many cores this process may use."""

import contextlib
import multiprocessing
import os
from pathlib import Path

from batchctl.domain.engines import core_limit

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Return how many cores this process may use: those it may run on, and no more than its control group allows."""
    if multiprocessing.current_process().daemon:
        # Such a process, as those of some task queues are, may start no other.
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return min(cores, core_limit(_CPU_MAX.read_text("ascii")) or cores)
    return cores
