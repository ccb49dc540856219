"""An emulator inside this process, for tests: started with a scenario, asked and steered by plain calls."""

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from batchctl.emulator.faults import fault_from
from batchctl.emulator.listening import bound, listen
from batchctl.emulator.scenario import scenario_from
from batchctl.emulator.state import State

Told = TypeVar("Told")


class Running:
    """A running emulator. Its methods may be called from any thread."""

    def __init__(self, state: State, loop: asyncio.AbstractEventLoop) -> None:
        self._state, self._loop = state, loop

    @property
    def base_url(self) -> str:
        """The URL to point a client at."""
        return self._state.base_url

    def _ask(self, question: Callable[[], Told]) -> Told:
        async def asked() -> Told:
            return question()

        return asyncio.run_coroutine_threadsafe(asked(), self._loop).result(timeout=30)

    def batches(self) -> list[dict[str, Any]]:
        """Every batch ever created, oldest first, with the keys of the control endpoint's `batches`."""
        return self._ask(self._state.batches)

    def body(self, batch_id: str) -> bytes:
        """The create body exactly as received."""
        return self._state.shelf.all[batch_id].body.path.read_bytes()

    def requests(self) -> dict[str, int]:
        """Calls by endpoint, ids as `{id}`: `{"POST /v1/messages/batches": 3}`; unknown paths count as `elsewhere`."""
        return self._ask(lambda: dict(self._state.calls))

    def faults(self) -> list[dict[str, Any]]:
        """The script, each fault with how often it was `seen` and `fired`."""
        return self._ask(lambda: [fault.listed() for fault in self._state.script.faults])

    def unfired(self) -> list[dict[str, Any]]:
        """Scripted faults that never fired."""
        return self._ask(lambda: [fault.listed() for fault in self._state.script.unfired()])

    def add_fault(self, fault: Mapping[str, Any]) -> None:
        """Adds one fault, shaped as an entry of `[[faults]]`; raises `ValueError`."""
        made = fault_from(fault)
        self._ask(lambda: self._state.script.faults.append(made))

    def advance(self, seconds: float) -> None:
        """Lets virtual seconds pass at once."""
        self._ask(lambda: self._state.clock.advance(seconds))

    def now(self) -> float:
        """The server's time: virtual seconds since the epoch, skew included."""
        return self._ask(self._state.now)

    def set_scenario(self, scenario: Mapping[str, Any]) -> None:
        """Follows another scenario from here on, its faults unfired; batches created before keep their outcomes."""
        made = scenario_from(scenario)
        self._ask(lambda: self._state.follow(made))

    def reset(self) -> None:
        """Forgets batches, counts and sendings, and restarts the scenario's script."""
        self._ask(self._state.reset)


@contextmanager
def running(
    scenario: Mapping[str, Any] | None = None, *, seed: int = 0, speed: float = 1.0, data_dir: Path | None = None
) -> Iterator[Running]:
    """Runs an emulator on a free port of 127.0.0.1 until the block is left; raises `ScenarioError` for a wrong scenario."""
    with ExitStack() as stack:
        folder = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="batchctl-emulator-")))
        folder.mkdir(parents=True, exist_ok=True)
        state = State(scenario_from(scenario or {}), folder, seed=seed, speed=speed)
        yield stack.enter_context(_on_a_thread(state))


@contextmanager
def _on_a_thread(state: State) -> Iterator[Running]:
    link = bound(0)
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def serve() -> None:
        found.update(loop=asyncio.get_running_loop(), stop=asyncio.Event())
        await listen(state, link, found["stop"], ready.set)

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="batchctl-emulator", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield Running(state, found["loop"])
    finally:
        found["loop"].call_soon_threadsafe(found["stop"].set)
        thread.join(timeout=10)
        link.close()
