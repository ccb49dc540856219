"""Whether a ledger may be a copy. A copy must not send what the original already sent.

The ledger keeps its place and a generation, which rises with every create. The user's state folder keeps the generation, too.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a ledger lies: machine, path, device and inode. An empty machine means that nothing was sent from it so far."""

    machine: str
    path: str
    device: int
    inode: int


def mismatch(stored: Place, here: Place, generation: int, remembered: int | None) -> str:
    """Return why a copy of this ledger may have sent what it still plans, empty where none can have.

    Args:
        stored: The place that the ledger keeps.
        here: The place where it lies now.
        generation: The generation that the ledger keeps.
        remembered: The greatest generation that the user's state folder has of any copy, None where it has none.
    """
    if remembered is not None and remembered > generation:
        return "it was continued elsewhere or restored from a copy"
    if not stored.machine or stored == here:
        return ""
    if stored.machine != here.machine:
        return "it comes from another machine"
    return f"it was moved or copied from {stored.path}" if stored.path != here.path else "its ledger is another file"
