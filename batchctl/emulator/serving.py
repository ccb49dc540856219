"""The emulator as a program: says where it listens, serves until it is told to stop, leaves nothing behind."""

import asyncio
import logging
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from batchctl.emulator.listening import LOOPBACK, bound, listen
from batchctl.emulator.scenario import Scenario, ScenarioError, read_scenario, scenario_from
from batchctl.emulator.state import State

WRONG_USE = 2


def run(port: int, speed: float, scenario: Path | None, seed: int, data_dir: Path | None) -> int:
    """Blocks until SIGINT or SIGTERM; the exit status."""
    if not 0 < speed < float("inf"):
        return _refuse(f"--speed {speed:g}: must be above 0")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    try:
        followed = read_scenario(scenario) if scenario else scenario_from({})
        link = bound(port)
    except ScenarioError as problem:
        return _refuse(str(problem))
    except (OSError, OverflowError) as problem:
        return _refuse(f"cannot listen on {LOOPBACK}:{port}: {problem}")
    with ExitStack() as stack:
        stack.callback(link.close)
        try:
            folder = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="batchctl-emulator-")))
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            return _refuse(f"{f'--data-dir {data_dir}' if data_dir else 'a temporary folder'}: {problem.strerror}")
        return _serve(followed, folder, link, seed, speed)


def _serve(followed: Scenario, folder: Path, link: socket.socket, seed: int, speed: float) -> int:
    state = State(followed, folder, seed=seed, speed=speed)

    async def main() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await listen(state, link, stop, lambda: _tell(sys.stdout, state.base_url))

    asyncio.run(main())
    return 0


def _refuse(told: str) -> int:
    _tell(sys.stderr, f"batchctl emulator: {told}")
    return WRONG_USE


def _tell(to: TextIO, line: str) -> None:
    to.write(f"{line}\n")
    to.flush()
