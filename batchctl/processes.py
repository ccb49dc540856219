"""Processes beside this one, started anew. A fork would copy an open ledger and the locks of threads."""

import multiprocessing
import signal
from collections.abc import Callable, Iterable
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess


def spawn(
    target: Callable[..., object], args: tuple[object, ...], *, blocked: Iterable[signal.Signals], daemon: bool = False
) -> BaseProcess:
    """Start a process that calls `target`, and return it.

    Args:
        target: A function of a module, so that it can be pickled.
        args: Its arguments. They are pickled, and hold no secret.
        blocked: Signals that the process begins with blocked: a Ctrl-C while it imports would end it with a traceback.
        daemon: Whether the process is killed when this one ends.

    Raises:
        OSError: The system has no process, file or memory to give.
    """
    process = multiprocessing.get_context("spawn").Process(target=target, args=args, daemon=daemon)
    # Python starts its tracker with the first process, and unblocks signals then: so that comes before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process
