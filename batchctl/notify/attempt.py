"""What came of one attempt to deliver a notification."""

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The end of an attempt.

    Attributes:
        why: Why it failed, without secrets; empty where it was delivered.
        is_final: Whether another attempt would fail, too.
        output: The last lines that a command wrote, as it wrote them.
    """

    why: str = ""
    is_final: bool = False
    output: tuple[str, ...] = ()

    @property
    def is_delivered(self) -> bool:
        """Whether the target has the notification."""
        return not self.why


DELIVERED = Attempt()


def within(seconds: float, deliver: Callable[[], Attempt]) -> Attempt:
    """Return what came of a delivery; a failed attempt where it takes longer.

    The time limit of a socket holds for each read alone, and that of a name lookup cannot be set. So a thread delivers, and is
    left behind where it takes too long.
    """
    attempts: list[Attempt] = []
    thread = threading.Thread(target=lambda: attempts.append(deliver()), daemon=True)
    thread.start()
    thread.join(seconds)
    return attempts[0] if attempts else Attempt(why=f"no answer within {seconds:g} s")
