"""Everything a running emulator knows: its clock, scenario, batches, scripted faults and counts of calls."""

import secrets
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchctl.emulator.answers import Author
from batchctl.emulator.batches import Shelf
from batchctl.emulator.clock import VirtualClock, rfc3339
from batchctl.emulator.faults import Script
from batchctl.emulator.outcomes import Dice, Fates, Memory
from batchctl.emulator.scenario import Scenario
from batchctl.emulator.validation import Rules

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def new_id(prefix: str) -> str:
    """An opaque id as the API forms them; never the same twice, so that nothing can be told apart by chance."""
    return f"{prefix}_01" + "".join(secrets.choice(_BASE58) for _ in range(22))


class State:
    """Lives on the event loop's thread; only the making of result lines happens elsewhere."""

    def __init__(self, scenario: Scenario, folder: Path, *, seed: int = 0, speed: float = 1.0) -> None:
        self.folder, self.seed = folder, seed
        self.clock = VirtualClock(speed)
        self.base_url = ""
        self.shelf = Shelf()
        self.scenario = scenario
        self.started_at = self.now()
        self.closing = False
        self.reset()

    def reset(self) -> None:
        """Forgets batches, counts and sendings, and starts the script over; the clock goes on."""
        for batch in self.shelf.all.values():
            batch.lines.remove()
            batch.body.path.unlink(missing_ok=True)
        self.shelf = Shelf()
        self.calls: Counter[str] = Counter()
        self.memories: dict[str, Memory] = {}
        self.tokens = 0.0
        self.refilled_at: float | None = None
        self.follow(self.scenario)

    def follow(self, scenario: Scenario) -> None:
        """From now on this scenario, its faults unfired; batches created before keep how they turn out."""
        self.scenario = scenario
        self.dice = Dice(scenario.outcomes, self.seed)
        self.author = Author(scenario.answers)
        self.script = Script((replace(each, seen=0, fired=0) for each in scenario.faults), self.seed)

    def now(self) -> float:
        """Return the server's time in seconds, skew included."""
        return self.clock.now() + float(self.scenario.clock["skew_seconds"])

    def fates(self, workspace: str, rules: Rules) -> Fates:
        """Return what decides how the requests of a workspace turn out."""
        memory = self.memories.setdefault(workspace, Memory())
        return Fates(self.dice, self.author, rules, memory, self.scenario.cache, self.now())

    def in_virtual(self, real_seconds: float) -> float:
        """Return how many virtual seconds pass in so many real ones."""
        return real_seconds * self.clock.speed

    def batches(self) -> list[dict[str, Any]]:
        """Return what there is to know of every batch, oldest first."""
        return [batch.account(self.now()) for batch in self.shelf.all.values()]

    def told(self) -> dict[str, Any]:
        """The answer of `GET /_emulator/state`."""
        return {
            "now": rfc3339(self.now()),
            "speed": self.clock.speed,
            "batches": self.batches(),
            "requests": dict(self.calls),
            "faults": [fault.listed() for fault in self.script.faults],
        }
